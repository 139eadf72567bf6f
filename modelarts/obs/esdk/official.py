"""The official client of OBS, with a session's keys and connections; needs the extra ``[obs]``."""

import threading
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

from obs import ObsClient, const

from modelarts.auth.credentials import AccessKey
from modelarts.obs.crc64 import parsed
from modelarts.obs.esdk.connections import Connections


class Stored(NamedTuple):
    """The response to a request that stored bytes."""

    status: int
    etag: str
    crc64: Optional[int]


class SessionClient(ObsClient):
    """An ``obs.ObsClient`` that signs each request with the keys that are valid at that time.

    ``refresh(…)`` sets other keys, which it keeps from then on. It follows no redirects.

    Args:
        keys: returns the keys that are valid now.
        renew: replaces keys that the service refused; returns False if there are no others.
        connections: the pool of its connections.
        settings: arguments of ``obs.ObsClient``.
    """

    def __init__(
        self,
        keys: Callable[[], AccessKey],
        renew: Callable[[AccessKey], bool],
        connections: Connections,
        **settings: Any,
    ) -> None:
        self._keys = keys
        self._renew = renew
        self._used = threading.local()
        self._made = False
        self._refreshed: Any = None
        self.connections = connections
        super().__init__(**settings)
        self.connHolder = {"connSet": connections, "lock": _NoLock()}
        self._made = True

    @property
    def securityProvider(self) -> Any:
        """Return the keys for the next request."""
        if self._refreshed is not None:
            return self._refreshed
        keys = self._used.keys = self._keys()
        return _Signing(keys.access_key, keys.secret_key, keys.security_token)

    @securityProvider.setter
    def securityProvider(self, provider: Any) -> None:
        # The constructor sets a provider, usually of empty keys; refresh() sets a user's own.
        if self._made or provider.access_key_id:
            self._refreshed = provider

    def put(
        self,
        bucket: str,
        key: str,
        size: int,
        send: Callable[[Any], None],
        *,
        md5: Optional[str] = None,
        crc64: Optional[int] = None,
        query: Optional[Mapping[str, Any]] = None,
    ) -> Any:
        """Store an object or, with ``query``, a part of an object.

        Equivalent to ``putContent`` and ``uploadPart``, without the objects that they make for each
        request and response, which take a third of the time for small files.

        Args:
            size: the number of bytes that are sent.
            send: sends the bytes, by its argument's ``send``.
            md5: the value of ``Content-MD5``; OBS refuses other content.
            crc64: the CRC-64, likewise; OBS returns it.

        Returns:
            :class:`Stored`; if OBS refuses the request, the result of ``putContent`` for a refusal.
        """
        headers: Dict[str, str] = {"Content-Length": str(size)}
        if md5 is not None:
            headers["Content-MD5"] = md5
        if crc64 is not None:
            headers[self.crc64_header] = str(crc64)
        kind = None if query else const.MIME_TYPES.get(key[key.rfind(".") + 1 :].lower())
        if kind is not None:
            headers["Content-Type"] = kind
        return self._make_request_with_retry(
            "PUT", bucket, key, query, headers, send, readable=True, parseMethod=self._stored
        )

    def _stored(self, connection: Any) -> Any:
        answer = connection.getresponse()
        if answer.status >= 300:
            result = self._parse_xml_internal(answer, readable=True)
        else:
            answer.read()
            etag = (answer.getheader("ETag") or "").strip('"')
            if not etag:
                # From another server, such as a proxy with a sign-in page: nothing was stored.
                raise ConnectionError("HTTP %d, in a response that is not of OBS" % answer.status)
            crc64 = parsed(answer.getheader(self.crc64_header))
            result = Stored(answer.status, etag, crc64)
        # After an error the client closes the connection.
        self.connections.give_back(connection)
        return result

    @property
    def crc64_header(self) -> str:
        """Return the name of the header of a CRC-64, which depends on the signature."""
        return "x-%s-checksum-crc64ecma" % ("obs" if self.signature == "obs" else "amz")

    def renew_keys(self) -> bool:
        """Replace the keys of this thread after a refusal; return True if there are other keys."""
        refused: Optional[AccessKey] = getattr(self._used, "keys", None)
        if self._refreshed is not None or refused is None:
            return False
        return self._renew(refused)

    def close(self) -> None:
        """Close the connections that are kept; the next call opens a new one."""
        self.connections.close()

    @staticmethod
    def _is_redirect_exception(status: int, headers: Mapping[str, str]) -> bool:
        """Return False: a redirect is never followed, as its target would get a request signed for
        OBS."""
        return False

    def _get_server_connection(
        self,
        server: str,
        port: Optional[int] = None,
        scheme: Optional[str] = None,
        redirect: bool = False,
        *proxy: Any,
        **proxies: Any,
    ) -> Any:
        secure = self.is_secure if scheme is None else scheme == "https"
        default = 443 if secure else 80
        # A * in a certificate covers a bucket without dots in its name. For any other bucket, which
        # is on the same host, the certificate must have the host's name.
        bucket = server[: -len(self.server) - 1] if server.endswith("." + self.server) else ""
        return self.connections.take(
            "https" if secure else "http",
            server,
            port or default,
            self.server if "." in bucket else server,
        )


class _Signing(NamedTuple):
    """Return the keys under the client's names."""

    access_key_id: str
    secret_access_key: str
    security_token: Optional[str]


class _NoLock:
    """Do nothing: the pool has its own lock."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        pass
