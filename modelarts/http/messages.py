"""A request, its answer, and what is told of an attempt."""

from typing import Mapping, Optional

import attr

from modelarts.errors import TransportError

__all__ = ["Exchange", "Request", "Response"]


@attr.s(slots=True, auto_attribs=True)
class Request:
    """One call. ``endpoint`` is ``scheme://host[:port][/prefix]``; ``query`` is encoded."""

    method: str
    endpoint: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = attr.ib(factory=dict, repr=False)
    body: bytes = attr.ib(default=b"", repr=False)
    operation: str = ""

    @property
    def url(self) -> str:
        """All of it."""
        return self.endpoint + self.path + ("?" + self.query if self.query else "")

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        return "/".join(self.endpoint.split("/", 3)[:3])

    @property
    def signed_path(self) -> str:
        """The path as the service sees it."""
        parts = self.endpoint.split("/", 3)
        return "/" + parts[3] + self.path if len(parts) > 3 else self.path

    @property
    def host(self) -> str:
        """The ``Host`` header: without the scheme's own port."""
        scheme, _, rest = self.endpoint.partition("://")
        host = rest.split("/", 1)[0]
        default = ":443" if scheme == "https" else ":80"
        return host[: -len(default)] if host.endswith(default) else host


@attr.s(slots=True, auto_attribs=True)
class Response:
    """An answer, read whole."""

    status_code: int
    reason: str
    headers: Mapping[str, str] = attr.ib(repr=False)
    body: bytes = attr.ib(repr=False)
    attempts: int = 1


@attr.s(frozen=True, slots=True, auto_attribs=True, kw_only=True)
class Exchange:
    """One attempt, as ``Session(on_response=…)`` is told of it.

    Attributes:
        operation: what was being done, such as ``"create visualization job"``.
        attempt: the how manieth of this call, from 1.
        status_code: the HTTP status; None where no answer came.
        error: why none came; None where one did.
        seconds: how long it took.
        request_id: the gateway's id of it, if it gave one.
    """

    method: str
    url: str
    operation: str
    attempt: int
    status_code: Optional[int]
    error: Optional[TransportError]
    seconds: float
    request_id: Optional[str]
