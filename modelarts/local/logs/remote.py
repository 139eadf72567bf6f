"""The objects of a bucket in OBS, read with the official client."""

from __future__ import annotations

import http.client
import os
import ssl
from contextlib import contextmanager
from ipaddress import ip_address
from threading import Lock
from typing import Any, Callable, Generator, Iterator, Protocol
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import attr
import certifi
from obs import GetObjectHeader, ObsClient

from modelarts.errors import ModelArtsError

__all__ = ["Bucket", "Found", "Keys", "Passing", "Refused", "Requests", "Source", "Unreadable"]

#: For one answer to begin, or to go on. A round that failed is repeated anyway.
_SECONDS = 20
_CHUNK = 256 * 1024


class Keys(Protocol):
    """An access key and its secret key, with a security token where they are temporary."""

    @property
    def access_key(self) -> str:
        """The access key (AK)."""

    @property
    def secret_key(self) -> str:
        """The secret key (SK)."""

    @property
    def security_token(self) -> str | None:
        """The security token."""


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Source:
    """The address and the credentials of the OBS that objects are read from.

    Attributes:
        endpoint: the address of OBS, such as ``https://obs.cn-north-4.myhuaweicloud.com``.
        keys: answers the keys as they are now; asked before each look at a bucket.
        said_by: where the keys are from, in words.
    """

    endpoint: str
    keys: Callable[[], Keys] = attr.ib(repr=False)
    said_by: str = "unknown"


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Found:
    """An object as it was listed. ``modified`` is a text that sorts by time."""

    key: str
    size: int
    etag: str
    modified: str


class Requests:
    """Counts requests to OBS, which are billed.

    Attributes:
        lists: how many pages of a list were asked for.
        reads: how many objects, or parts of them.
        size: how many bytes of content came.
    """

    def __init__(self) -> None:
        self.lists = self.reads = self.size = 0
        self._lock = Lock()

    def add(self, lists: int = 0, reads: int = 0, size: int = 0) -> None:
        """Add to the counts."""
        with self._lock:
            self.lists += lists
            self.reads += reads
            self.size += size


class Refused(Exception):
    """OBS refuses, and will go on refusing; the message says what to do."""


class Passing(Exception):
    """It did not work this time: no answer, or one that says to come again."""


class Unreadable(Exception):
    """One object cannot be read, or not as it was listed; the others can."""


class Bucket:
    """One bucket. Connections are kept; threads may share it.

    Attributes:
        requests: how many requests were sent.
    """

    def __init__(self, source: Source, name: str, per_page: int = 1000) -> None:
        self.name = name
        self.requests = Requests()
        self._per_page = per_page
        self._source = source
        parts = urlsplit(source.endpoint)
        host = parts.hostname or ""
        keys = self._keys()
        self._client: Any = ObsClient(
            access_key_id=keys.access_key,
            secret_access_key=keys.secret_key,
            security_token=keys.security_token,
            server=f"{parts.scheme}://{parts.netloc}",
            path_style=_by_path(host),
            timeout=_SECONDS,
            max_retry_count=1,
            long_conn_mode=True,
            **_proxy(source.endpoint, host),
        )
        if parts.scheme == "https":
            # The client's own verifies no certificate, and no host in any case.
            self._client.context = ssl.create_default_context(cafile=_authorities())

    def refresh(self) -> None:
        """Go on with the keys as they are now. Raises Refused, Passing."""
        keys = self._keys()
        self._client.refresh(keys.access_key, keys.secret_key, keys.security_token)

    def list(self, prefix: str, most: int | None = None) -> Iterator[Found]:
        """All objects whose key begins with ``prefix``; or the first ``most``.

        Raises:
            Refused: the bucket is not there, or not for these keys.
            Passing: it did not work this time.
        """
        marker = None
        while True:
            self.requests.add(lists=1)
            with self._talking():
                answer = self._client.listObjects(
                    self.name,
                    prefix=prefix,
                    marker=marker,
                    max_keys=most or self._per_page,
                    # Keys may hold what XML cannot.
                    encoding_type="url",
                )
            self._see(answer)
            if answer.body is None:
                raise Passing(f"the list of bucket {self.name} cannot be read")
            for one in answer.body.contents:
                yield Found(one.key, int(one.size), str(one.etag).strip('"'), str(one.lastModified))
            if most or not answer.body.is_truncated:
                return
            last = answer.body.contents[-1].key if answer.body.contents else None
            following = answer.body.next_marker or last
            if following is None or following == marker:
                raise Passing(f"the list of bucket {self.name} has no next page")
            marker = following

    def read(self, found: Found, start: int = 0) -> Generator[bytes, None, None]:
        """An object's content from ``start`` on, in pieces.

        Raises:
            Unreadable: it is not as it was listed any more, or archived.
            Refused: these keys may not read it.
            Passing: it did not work this time.
        """
        headers = GetObjectHeader(range=f"{start}-{found.size - 1}" if start else None)
        self.requests.add(reads=1)
        with self._talking():
            answer = self._client.getObject(self.name, found.key, headers=headers)
        self._see(answer, found.key)
        stream = answer.body.response
        whole = False
        try:
            etag = str(answer.body.etag).strip('"')
            if etag != found.etag or (start and answer.status != 206):
                raise Unreadable("it has changed since it was listed")
            while True:
                with self._talking():
                    piece = stream.read(_CHUNK)
                if not piece:
                    break
                self.requests.add(size=len(piece))
                yield piece
            whole = True
        finally:
            # A connection with a rest in it is of no further use.
            stream.conn._clear = not whole
            stream.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _keys(self) -> Keys:
        try:
            return self._source.keys()
        except ConnectionError as error:  # modelarts.errors.TransportError is one
            raise Passing(f"keys for OBS: {error}") from None
        except ModelArtsError as error:
            raise Refused(f"keys for OBS ({self._source.said_by}): {error}") from None

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise Passing(f"{self._source.endpoint}: {_why(error)}") from None
        except Exception as error:  # the client raises it as such, where an answer ends early
            if type(error) is not Exception:
                raise
            raise Passing(f"{self._source.endpoint}: {error}") from None

    def _see(self, answer: Any, key: str | None = None) -> None:
        """Raise what a refusal means."""
        status, code = int(answer.status), str(answer.errorCode or "")
        if status < 300:
            return
        what = f"HTTP {status} {code}".strip()
        if status >= 500 or status in (408, 429):
            raise Passing(f"{self._source.endpoint} answers {what}")
        if key is not None and (status in (404, 412, 416) or code == "InvalidObjectState"):
            raise Unreadable(f"OBS answers {what}")
        at = f"{self._source.endpoint} ({what})"
        if status == 404:
            raise Refused(
                f"there is no bucket {self.name!r} at {at}: check the bucket's name, and that "
                "--obs-endpoint is that of its region"
            )
        whose = f"the keys of {self._source.said_by}"
        if code == "RequestTimeTooSkewed":
            raise Refused(f"{at} does not accept this machine's time: set its clock")
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"):
            raise Refused(f"{at} does not accept {whose}: give the service others")
        if status in (401, 403):
            target = f"object {key!r} of bucket" if key else "bucket"
            raise Refused(
                f"{whose} may not read {target} {self.name!r} at {at}: have its owner "
                "allow ListBucket and GetObject, or give the service other keys"
            )
        raise Refused(f"bucket {self.name!r}: {at}: {answer.errorMessage or answer.reason}")


def _by_path(host: str) -> bool:
    """Return True if the bucket goes into the path because it cannot go before the host's name."""
    try:
        ip_address(host)
    except ValueError:
        return "." not in host
    return True


def _authorities() -> str:
    """The same as for the SDK's other requests."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    return next((os.environ[name] for name in names if os.environ.get(name)), certifi.where())


def _proxy(endpoint: str, host: str) -> dict[str, Any]:
    proxies = getproxies()
    address = proxies.get(urlsplit(endpoint).scheme) or proxies.get("all")
    if not address or proxy_bypass(host):
        return {}
    parts = urlsplit(address if "://" in address else "http://" + address)
    return {
        "proxy_host": parts.hostname,
        "proxy_port": parts.port or 80,
        "proxy_username": unquote(parts.username) if parts.username else None,
        "proxy_password": unquote(parts.password) if parts.password else None,
    }


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
