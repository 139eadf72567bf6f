"""Connections to OBS that are kept open, each for its host, and looked at before they are used.

The official client keeps all in one queue, whatever host they lead to, hands out those that the
server has closed meanwhile, cannot use one a second time behind a proxy, and compares no
certificate with the host's name. It is given these instead.
"""

import base64
import http.client
import os
import select
import socket
import ssl
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union
from urllib.parse import unquote, urlsplit

from modelarts.errors import ConfigurationError

__all__ = ["Connections", "make_context"]

_Place = Tuple[str, str, int]
#: Seconds for which a connection is taken to be as good as it was.
_FRESH = 1.0


class Connections:
    """A pool. Safe for threads; after a fork the child begins with an empty one.

    Args:
        timeout: seconds to connect, and for each wait for data.
        context: makes the TLS settings, when they are first needed.
        proxies: the proxies that lead to a URL, by scheme.

    Attributes:
        is_obs: whether the service has shown to be OBS itself; other servers have other limits.
        takes_crc64: False when it has shown to verify no CRC-64.
    """

    #: So many are kept for each host; it is what a transfer of many files uses.
    kept = 64

    def __init__(
        self,
        timeout: float,
        context: Callable[[], ssl.SSLContext],
        proxies: Callable[[str], Mapping[str, str]],
    ) -> None:
        self._timeout = timeout
        self._make_context = context
        self._context: Optional[ssl.SSLContext] = None
        self._proxies = proxies
        self._lock = threading.Lock()
        self._idle: Dict[_Place, List[_Kept]] = {}
        self._pid = os.getpid()
        self._lent = threading.local()
        self.is_obs = False
        self.takes_crc64 = True

    def take(self, scheme: str, host: str, port: int, certified: str = "") -> "_Kept":
        """Return a connection to that host: an idle one that is still good, or a new one.

        Args:
            certified: the name that its certificate is to have, if not the host's.
        """
        place = (scheme, host, port)
        if self._pid != os.getpid():
            # Another process owns those. Closing them here closes nothing there.
            self._lock, self._idle, self._pid = threading.Lock(), {}, os.getpid()
        while True:
            with self._lock:
                idle = self._idle.get(place)
                connection = idle.pop() if idle else None
            if connection is None:
                connection = self._connect(place, certified or host)
            elif connection.is_stale():
                connection.close()
                continue
            self._lent.connection = connection
            return connection

    def give_back(self, connection: "_Kept") -> None:
        """Keep it for the next one, if its answer was read to the end."""
        if not connection.is_free():
            return connection.close()
        connection.since = time.monotonic()
        if getattr(self._lent, "connection", None) is connection:
            # Another thread may use it from now on, so drop() must not close it.
            self._lent.connection = None
        with self._lock:
            idle = self._idle.setdefault(connection.place, [])
            if len(idle) < self.kept:
                return idle.append(connection)
        connection.close()

    def drop(self) -> None:
        """Close the one that this thread has taken last: its request did not end well."""
        lent = getattr(self._lent, "connection", None)
        if lent is not None:
            lent.close()

    def close(self) -> None:
        """Close those that are idle."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    # The official client's queue ------------------------------------------------------------

    def put_nowait(self, connection: "_Kept") -> None:
        """Take a connection back; the official client's name for :meth:`give_back`."""
        self.give_back(connection)

    def empty(self) -> bool:
        """Close all connections, and return True: the official client would close each."""
        self.close()
        return True

    def _connect(self, place: _Place, certified: str) -> "_Kept":
        scheme, host, port = place
        address = "%s://%s:%d" % place
        proxies = self._proxies(address)
        proxy = proxies.get("%s://%s" % (scheme, host)) or proxies.get(scheme) or proxies.get("all")
        by = urlsplit(proxy if "://" in proxy else "http://" + proxy) if proxy else None
        if by is not None and by.scheme != "http":
            # Spoken to as if it were one it would fail, and get the password unencrypted.
            raise ConfigurationError(
                "a proxy to OBS must be one of http://; see proxies= and the environment: it is "
                "%s://%s" % (by.scheme, by.hostname)
            )
        to = (host, port) if by is None else (by.hostname or "", by.port or 3128)
        settings: Dict[str, Any] = {"timeout": self._timeout}
        kind: Any = _Plain
        if scheme == "https":
            if self._context is None:
                self._context = self._make_context()
            kind, settings["context"] = _Secure, self._context
        made: _Kept = kind(to[0], to[1], **settings)
        made.place, made.owner, made.certified = place, self, certified
        if by is not None:
            made.by_proxy = True
            known = {} if by.username is None else _authorization(by.username, by.password)
            if scheme == "https":
                made.set_tunnel(host, port, known)
            else:
                made.prefix, made.proxy_headers = address, known
        return made


class _Kept(http.client.HTTPConnection):
    """A connection that knows where it leads and whether it can be used again."""

    place: _Place
    owner: Connections
    certified: str
    since = 0.0
    by_proxy = False
    prefix = ""
    proxy_headers: Mapping[str, str] = {}
    _answer: Optional[http.client.HTTPResponse] = None
    _holds = _refused = False
    _head = b""

    def connect(self) -> None:
        """Connect; where that fails, it is told apart whether it is the proxy that fails."""
        try:
            http.client.HTTPConnection.connect(self)
        except OSError as error:
            if not self.by_proxy or isinstance(error, socket.timeout):
                raise
            raise ConnectionError(
                "the proxy %s:%d: %s; see proxies=" % (self.host, self.port, error)
            ) from None

    def putrequest(self, method: str, url: str, *arguments: Any, **settings: Any) -> None:
        """Begin a request; a proxy for plain HTTP wants the whole URL."""
        super().putrequest(method, self.prefix + url, *arguments, **settings)
        for name, value in self.proxy_headers.items():
            self.putheader(name, value)

    def endheaders(self, *arguments: Any, **settings: Any) -> None:
        """Keep the head back, to go together with the beginning of the body."""
        self._holds = True
        try:
            super().endheaders(*arguments, **settings)
        finally:
            self._holds = False

    def send(self, data: Any) -> None:
        """Send what was kept back, and this."""
        if self._holds:
            self._head += data
            return
        head, self._head = self._head, b""
        if self._refused:
            return
        try:
            super().send(head + data if head else data)
        except BrokenPipeError:
            # The other side wants no more of it; mostly it has said why.
            self._refused = True

    def getresponse(self) -> http.client.HTTPResponse:
        """Return the response, which is kept: once it is read, the connection is free."""
        if self._head:
            self.send(b"")
        self._answer = super().getresponse()
        if self._answer.getheader("Server") == "OBS":
            self.owner.is_obs = True
        return self._answer

    def is_free(self) -> bool:
        """True if the next request can be sent over it."""
        if self.sock is None or self._answer is None or self._refused:
            return False
        # One that was cut off counts as closed, too; so many bytes were still to come.
        return self._answer.isclosed() and not self._answer.length

    def is_stale(self) -> bool:
        """Return True if the peer has closed it, or has sent data that no request asked for."""
        if self.sock is None:
            return True
        if time.monotonic() - self.since < _FRESH:
            return False
        if not hasattr(select, "poll"):
            return bool(select.select([self.sock], [], [], 0)[0])
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))


class _Plain(_Kept):
    """A connection over TCP."""


class _Secure(_Kept, http.client.HTTPSConnection):
    """A connection over TLS."""

    def connect(self) -> None:
        """Connect, and have the certificate shown."""
        super().connect()
        context: ssl.SSLContext = self._context  # type: ignore[attr-defined] # not in typeshed
        self.sock = context.wrap_socket(self.sock, server_hostname=self.certified)


def _authorization(user: str, password: Optional[str]) -> Dict[str, str]:
    pair = "%s:%s" % (unquote(user), unquote(password or ""))
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def make_context(
    verify: Union[bool, str], cert: Union[None, str, Tuple[str, str]]
) -> ssl.SSLContext:
    """TLS settings as ``Session(verify=, cert=)`` says; certificates must name the host.

    Raises:
        ConfigurationError: a file that is named is not there, or holds something else.
    """
    try:
        return _context(verify, cert)
    except OSError as error:  # those of ssl, too
        raise ConfigurationError(
            "verify=%r or cert=%r cannot be used: %s" % (verify, cert, error)
        ) from error


def _context(verify: Union[bool, str], cert: Union[None, str, Tuple[str, str]]) -> ssl.SSLContext:
    if verify is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        import certifi

        bundle = certifi.where() if verify is True else str(verify)
        if os.path.isdir(bundle):
            context = ssl.create_default_context(capath=bundle)
        else:
            context = ssl.create_default_context(cafile=bundle)
    if isinstance(cert, str):
        context.load_cert_chain(cert)
    elif cert is not None:
        context.load_cert_chain(*cert)
    return context
