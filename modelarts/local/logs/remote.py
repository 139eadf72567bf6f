"""The objects of a bucket in OBS, read with the client that the service was given."""

from __future__ import annotations

import http.client
from contextlib import contextmanager
from threading import Lock
from typing import Any, Callable, Generator, Iterator

import attr

from modelarts.errors import ModelArtsError

_CHUNK = 256 * 1024


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Source:
    """The OBS that objects are read from.

    Attributes:
        endpoint: the address of OBS, such as ``https://obs.cn-north-4.myhuaweicloud.com``.
        client: the SDK's client of OBS. It signs each request with the keys that are valid then,
            verifies certificates and follows no redirect; threads may share it.
        keys: returns the keys that are valid now; called before each look at a bucket, as it
            raises the reason why there are none.
        origin: where the keys are from, in words.
    """

    endpoint: str
    client: Any = attr.ib(repr=False)
    keys: Callable[[], object] = attr.ib(repr=False)
    origin: str = "unknown"


@attr.s(frozen=True, slots=True, auto_attribs=True)
class LogObject:
    """An object as it was listed. ``modified`` is a text that sorts by time."""

    key: str
    size: int
    etag: str
    modified: str


class Requests:
    """Counts requests to OBS, which are billed.

    Attributes:
        lists: the number of requested pages of lists.
        reads: the number of requested objects, or parts of them.
        size: the number of received bytes of content.
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
    """A refusal by OBS that persists; the message has the next step."""


class Passing(Exception):
    """A failure that may pass: no response, or one that asks for another attempt."""


class Unreadable(Exception):
    """An object cannot be read, or has changed since it was listed; others can be read."""


class Bucket:
    """One bucket; threads may share it.

    Attributes:
        requests: the counts of the requests that were sent.
    """

    def __init__(self, source: Source, name: str, per_page: int = 1000) -> None:
        self.name = name
        self.requests = Requests()
        self._per_page = per_page
        self._source = source

    def list(self, prefix: str, limit: int | None = None) -> Iterator[LogObject]:
        """Return the objects whose key begins with ``prefix``; all, or the first ``limit``.

        Raises:
            Refused: the bucket is not there, or not for these keys.
            Passing: it did not work this time.
        """
        self._need_keys()
        marker = None
        while True:
            self.requests.add(lists=1)
            with self._talking():
                answer = self._source.client.listObjects(
                    self.name,
                    prefix=prefix,
                    marker=marker,
                    max_keys=limit or self._per_page,
                    # Keys may hold what XML cannot.
                    encoding_type="url",
                )
            self._see(answer)
            if answer.body is None:
                raise Passing(f"the list of bucket {self.name} cannot be read")
            for entry in answer.body.contents:
                etag = str(entry.etag).strip('"')
                yield LogObject(entry.key, int(entry.size), etag, str(entry.lastModified))
            if limit or not answer.body.is_truncated:
                return
            last = answer.body.contents[-1].key if answer.body.contents else None
            following = answer.body.next_marker or last
            if following is None or following == marker:
                raise Passing(f"the list of bucket {self.name} has no next page")
            marker = following

    def read(self, entry: LogObject, start: int = 0) -> Generator[bytes, None, None]:
        """Return an object's content from ``start`` on, in pieces.

        Raises:
            Unreadable: it is not as it was listed any more, or archived.
            Refused: these keys may not read it.
            Passing: it did not work this time.
        """
        from obs import GetObjectHeader

        headers = GetObjectHeader(range=f"{start}-{entry.size - 1}" if start else None)
        self.requests.add(reads=1)
        with self._talking():
            answer = self._source.client.getObject(self.name, entry.key, headers=headers)
        self._see(answer, entry.key)
        stream = answer.body.response
        try:
            etag = str(answer.body.etag).strip('"')
            if etag != entry.etag or (start and answer.status != 206):
                raise Unreadable("it has changed since it was listed")
            while True:
                with self._talking():
                    piece = stream.read(_CHUNK)
                if not piece:
                    break
                self.requests.add(size=len(piece))
                yield piece
        finally:
            stream.close()

    def _need_keys(self) -> None:
        try:
            self._source.keys()
        except ConnectionError as error:  # modelarts.errors.TransportError is one
            raise Passing(f"keys for OBS: {error}") from None
        except ModelArtsError as error:
            raise Refused(f"keys for OBS ({self._source.origin}): {error}") from None

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
        """Raise the error for a refusal."""
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
        whose = f"the keys of {self._source.origin}"
        if code == "RequestTimeTooSkewed":
            raise Refused(f"{at} does not accept this machine's time: set its clock")
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"):
            if self._source.client.renew_keys():
                raise Passing(f"{at} does not accept {whose}: there are others by now")
            raise Refused(f"{at} does not accept {whose}: give the service others")
        if status in (401, 403):
            target = f"object {key!r} of bucket" if key else "bucket"
            raise Refused(
                f"{whose} may not read {target} {self.name!r} at {at}: have its owner "
                "allow ListBucket and GetObject, or give the service other keys"
            )
        raise Refused(f"bucket {self.name!r}: {at}: {answer.errorMessage or answer.reason}")


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
