"""A request and its response.

Plain classes, not attrs: every first call needs them, and the import of attrs would delay it.
"""

from __future__ import annotations

from typing import Mapping

from modelarts.errors import RequestKind

_NO_HEADERS: Mapping[str, str] = {}


class Request:
    """One call. ``endpoint`` is ``scheme://host[:port][/prefix]``; ``query`` is encoded.

    ``may_repeat`` is True for a POST that is idempotent. ``kind`` is an attribute of the errors of
    the request. ``is_secret`` is True if the URL alone grants access: it is not shown in logs and
    errors.
    """

    __slots__ = (
        "body",
        "endpoint",
        "headers",
        "is_secret",
        "kind",
        "may_repeat",
        "method",
        "operation",
        "path",
        "query",
    )

    def __init__(
        self,
        method: str,
        endpoint: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] = _NO_HEADERS,
        body: bytes = b"",
        operation: str = "",
        may_repeat: bool = False,
        kind: RequestKind = RequestKind.SERVICE_CALL,
        is_secret: bool = False,
    ) -> None:
        self.is_secret = is_secret
        self.method = method
        self.endpoint = endpoint
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.operation = operation
        self.may_repeat = may_repeat
        self.kind = kind

    @property
    def retried_as(self) -> str:
        """The method that decides whether the request may be sent again."""
        return "PUT" if self.may_repeat else self.method

    @property
    def url(self) -> str:
        """The whole URL."""
        return self.endpoint + self.path + ("?" + self.query if self.query else "")

    @property
    def shown_url(self) -> str:
        """The URL for logs: only the address if the URL is secret."""
        return self.address + "/…" if self.is_secret else self.url

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        return "/".join(self.endpoint.split("/", 3)[:3])

    @property
    def signed_path(self) -> str:
        """The path that the service receives."""
        parts = self.endpoint.split("/", 3)
        return "/" + parts[3] + self.path if len(parts) > 3 else self.path

    @property
    def host(self) -> str:
        """The ``Host`` header: without the scheme's own port."""
        scheme, _, rest = self.endpoint.partition("://")
        host = rest.split("/", 1)[0]
        default = ":443" if scheme == "https" else ":80"
        return host[: -len(default)] if host.endswith(default) else host

    def __repr__(self) -> str:
        # Headers and bodies hold tokens and passwords.
        return "Request(%r, %r, operation=%r)" % (self.method, self.shown_url, self.operation)


class Response:
    """A response with its whole body."""

    __slots__ = ("attempts", "body", "headers", "reason", "status_code")

    def __init__(
        self,
        status_code: int,
        reason: str,
        headers: Mapping[str, str],
        body: bytes,
        attempts: int = 1,
    ) -> None:
        self.status_code = status_code
        self.reason = reason
        self.headers = headers
        self.body = body
        self.attempts = attempts

    def __repr__(self) -> str:
        return "Response(%d, %r, %d bytes)" % (self.status_code, self.reason, len(self.body))
