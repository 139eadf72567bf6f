"""Under which names a service is reached, and what each reader is told."""

from __future__ import annotations

import hashlib
import re
from ipaddress import ip_address
from urllib.parse import urlsplit

import attr
from werkzeug.wrappers import Request

from modelarts.errors import InvalidArgument
from modelarts.local.jobs.store import PAGES

#: The beginning of the paths of the console.
CONSOLE = "/console/"
#: Stands for all names.
ANY = "*"
_KEY = 32
_NAME = r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z"


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


def board_host(value: str) -> str:
    """The name under which each board has a host of its own, checked.

    Returns:
        What follows the label of a board: ``.boards.example.com`` for ``*.boards.example.com``.

    Raises:
        InvalidArgument: it is no ``*.NAME``.
    """
    name = value.lower()
    if not name.startswith("*.") or len(name) > 190 or not re.match(_NAME, name[2:]):
        raise InvalidArgument("board_host", value, "*.NAME, such as *.boards.example.com")
    return name[1:]


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Reach:
    """The addresses of one service.

    Args:
        host: the address that it listens on.
        local: the scheme, host and port for programs on this machine.
        public: those for everybody else, where a proxy offers the service.
        further: more names that a ``Host`` header may have; ``*`` for all.
        pages_for_all: boards' pages and the console may be asked for under any name.
        board_host: what follows the label of a board, if each has a host of its own.
    """

    host: str
    local: str
    public: str | None = None
    further: tuple[str, ...] = ()
    pages_for_all: bool = False
    board_host: str | None = None

    def is_own(self, header: str | None, path: str) -> bool:
        """Return True if a ``Host`` header names this service, for this path.

        Another name means that a page of somebody else's had its own name lead here (DNS
        rebinding). An address cannot be made to lead elsewhere, so any will do where the service
        listens on all.
        """
        name = _name(header)
        if name is None:
            return False
        if self._is_board(name):
            # Nothing else is under the name of a board, so its scripts can ask for nothing else.
            key = _key(path)
            return key is not None and (len(key) < _KEY or name == self._host(key))
        if ANY in self.further or (self.pages_for_all and path.startswith((PAGES, CONSOLE))):
            return True
        known = {"localhost", self.host.lower(), *(name.lower() for name in self.further)}
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

    def address(self, request: Request, path: str) -> str:
        """Return the address of a path that this caller can open; a board's has its own host."""
        base = self.pages(request)
        key = _key(path)
        if self.board_host is None or key is None:
            return base + path
        parts = urlsplit(base)
        port = "" if parts.port is None else f":{parts.port}"
        return f"{parts.scheme}://{self._host(key)}{port}{path}"

    def is_at_board_host(self, request: Request) -> bool:
        """Return True if a request is for the host of a board."""
        return self._is_board(_name(request.headers.get("Host")) or "")

    def _is_board(self, name: str) -> bool:
        return self.board_host is not None and name.endswith(self.board_host)

    def _host(self, key: str) -> str:
        # Names are asked for in clear text, and the key is a secret.
        return hashlib.sha256(b"host of " + key.encode()).hexdigest()[:32] + (self.board_host or "")


def _key(path: str) -> str | None:
    """Return the key in the path of a board; for files that boards share, the name of their
    folder, which is shorter."""
    return path[len(PAGES) :].partition("/")[0] if path.startswith(PAGES) else None


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
