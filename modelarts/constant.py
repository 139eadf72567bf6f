"""The method names that scripts written for the original SDK import."""

__all__ = ["HTTPS_DELETE", "HTTPS_GET", "HTTPS_POST", "HTTPS_PUT"]

HTTPS_GET = "GET"
HTTPS_POST = "POST"
HTTPS_PUT = "PUT"
HTTPS_DELETE = "DELETE"
