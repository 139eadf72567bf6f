"""A pool of connections to OBS, by host, which checks each connection before it is used.

The official client keeps the connections to all hosts in one queue, uses connections that the
server has closed, cannot reuse a connection behind a proxy, and does not compare certificates with
the host's name. This pool replaces its queue.
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

_Place = Tuple[str, str, int]
#: Seconds after the last use in which a connection is not checked.
_FRESH = 1.0


class Connections:
    """A connection pool. Safe for threads; after a fork the child begins with an empty pool.

    Args:
        timeout: seconds to connect, and for each wait for data.
        context: a function that returns the TLS settings; called when they are first needed.
        proxies: the proxies that lead to a URL, by scheme.

    Attributes:
        is_obs: True if the service is known to be OBS itself; other servers have other limits.
        takes_crc64: False if the service is known not to verify the CRC-64.
    """

    #: The number of idle connections for each host: as many as a transfer of many files uses.
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
        """Return a connection to that host: an idle one that is still usable, or a new one.

        Args:
            certified: the name that its certificate must have, if not the host's.
        """
        place = (scheme, host, port)
        if self._pid != os.getpid():
            # These belong to the parent process. Closing them here does not close them there.
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
        """Keep a connection for the next request, if its response was read to the end."""
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
        """Close the connection that this thread has taken last, after a failed request."""
        lent = getattr(self._lent, "connection", None)
        if lent is not None:
            lent.close()

    def close(self) -> None:
        """Close the idle connections."""
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
            # The request would fail, and send the password unencrypted.
            raise ConfigurationError(
                "a proxy to OBS must be an http:// address; see proxies= and the environment; got "
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
    """A connection that knows its host and if it can be used again."""

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
        """Connect; the error of a proxy names the proxy."""
        try:
            http.client.HTTPConnection.connect(self)
        except OSError as error:
            if not self.by_proxy or isinstance(error, socket.timeout):
                raise
            raise ConnectionError(
                "the proxy %s:%d: %s; see proxies=" % (self.host, self.port, error)
            ) from None

    def putrequest(self, method: str, url: str, *arguments: Any, **settings: Any) -> None:
        """Begin a request, with the whole URL for a proxy of plain HTTP."""
        super().putrequest(method, self.prefix + url, *arguments, **settings)
        for name, value in self.proxy_headers.items():
            self.putheader(name, value)

    def endheaders(self, *arguments: Any, **settings: Any) -> None:
        """Hold the head of the request back, to send it with the beginning of the body."""
        self._holds = True
        try:
            super().endheaders(*arguments, **settings)
        finally:
            self._holds = False

    def send(self, data: Any) -> None:
        """Send the head that was held back, and these bytes."""
        if self._holds:
            self._head += data
            return
        head, self._head = self._head, b""
        if self._refused:
            return
        try:
            super().send(head + data if head else data)
        except BrokenPipeError:
            # The server has closed its end; usually its response has the reason.
            self._refused = True

    def getresponse(self) -> http.client.HTTPResponse:
        """Return the response, and keep it: the connection is free once it is read."""
        if self._head:
            self.send(b"")
        self._answer = super().getresponse()
        if self._answer.getheader("Server") == "OBS":
            self.owner.is_obs = True
        return self._answer

    def is_free(self) -> bool:
        """True if the next request can be sent over this connection."""
        if self.sock is None or self._answer is None or self._refused:
            return False
        # An interrupted response counts as closed, too; so many bytes were missing.
        return self._answer.isclosed() and not self._answer.length

    def is_stale(self) -> bool:
        """Return True if the peer has closed the connection, or has sent data without a request."""
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
        """Connect, and verify the certificate."""
        super().connect()
        context: ssl.SSLContext = self._context  # type: ignore[attr-defined] # not in typeshed
        self.sock = context.wrap_socket(self.sock, server_hostname=self.certified)


def _authorization(user: str, password: Optional[str]) -> Dict[str, str]:
    pair = "%s:%s" % (unquote(user), unquote(password or ""))
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def make_context(
    verify: Union[bool, str], cert: Union[None, str, Tuple[str, str]]
) -> ssl.SSLContext:
    """Return the TLS settings for ``Session(verify=, cert=)``; certificates must name the host.

    Raises:
        ConfigurationError: a file is missing, or has another content.
    """
    try:
        return _context(verify, cert)
    except OSError as error:  # also the errors of ssl
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
