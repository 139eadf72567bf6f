"""Under which names a service is reached, and what each reader is told."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import attr
from werkzeug.wrappers import Request

from modelarts.errors import InvalidArgument
from modelarts.local.jobs.store import PAGES

__all__ = ["ANY", "CONSOLE", "Reach", "is_unspecified", "public_url"]

#: The beginning of the paths of the console.
CONSOLE = "/console/"
#: Stands for all names.
ANY = "*"


def public_url(value: str) -> str:
    """The address at which a proxy offers the service, checked.

    Raises:
        InvalidArgument: it is no ``https://host`` or ``https://host:port``.
    """
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    more = (parts.path.rstrip("/"), parts.query, parts.fragment, parts.username or "")
    if parts.scheme not in ("http", "https") or not _name(parts.netloc) or any(more):
        raise InvalidArgument("public_url", value, "https://HOST or https://HOST:PORT")
    return f"{parts.scheme}://{parts.netloc}"


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Reach:
    """The addresses of one service.

    Args:
        host: the address that it listens on.
        local: the scheme, host and port for programs on this machine.
        public: those for everybody else, where a proxy offers the service.
        further: more names that a ``Host`` header may have; ``*`` for all.
        pages_for_all: boards' pages and the console may be asked for under any name.
    """

    host: str
    local: str
    public: str | None = None
    further: tuple[str, ...] = ()
    pages_for_all: bool = False

    def is_own(self, header: str | None, path: str) -> bool:
        """Return True if a ``Host`` header names this service, for this path.

        Another name means that a page of somebody else's had its own name lead here (DNS
        rebinding). An address cannot be made to lead elsewhere, so any will do where the service
        listens on all.
        """
        name = _name(header)
        if name is None:
            return False
        if ANY in self.further or (self.pages_for_all and path.startswith((PAGES, CONSOLE))):
            return True
        known = {"localhost", self.host.lower(), *(one.lower() for one in self.further)}
        if self.public is not None:
            known.add(urlsplit(self.public).hostname or "")
        if name in known:
            return True
        try:
            address = ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or is_unspecified(self.host)

    def base(self, request: Request) -> str:
        """The service's address as this caller came to it."""
        header = request.headers.get("Host", "")
        if self.public is not None and _name(header) == urlsplit(self.public).hostname:
            return self.public
        return f"{request.scheme}://{header}"

    def pages(self, request: Request) -> str:
        """Return the beginning of boards' addresses: the public address, if there is one, since
        they are opened on other machines."""
        return self.public or self.base(request)


def is_unspecified(host: str) -> bool:
    """Return True for ``0.0.0.0`` and ``::``, which are no addresses to connect to."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _name(header: str | None) -> str | None:
    """The host in a ``Host`` header, in lower case, without port and brackets."""
    try:
        parts = urlsplit(f"//{header or ''}")
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.netloc != header or "@" in parts.netloc:
        return None
    return host.rstrip(".")
