"""The names of the HTTP methods that scripts written for the original SDK import.

``HTTPS_GET``, ``HTTPS_POST``, ``HTTPS_PUT`` and ``HTTPS_DELETE`` are the strings ``"GET"``,
``"POST"``, ``"PUT"`` and ``"DELETE"``, for :func:`modelarts.config.auth.auth_by_apig`.
"""

__all__ = ["HTTPS_DELETE", "HTTPS_GET", "HTTPS_POST", "HTTPS_PUT"]

HTTPS_GET = "GET"
HTTPS_POST = "POST"
HTTPS_PUT = "PUT"
HTTPS_DELETE = "DELETE"
