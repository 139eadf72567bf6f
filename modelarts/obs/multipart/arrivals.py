"""Sends the parts of a large file, and verifies each."""

from typing import Any, Callable, Iterable, List, NamedTuple, Optional, Tuple

from modelarts.errors import ApiError
from modelarts.obs.checksums import combined, to_header
from modelarts.obs.crc64 import is_available, joined
from modelarts.obs.esdk.requests import Asking
from modelarts.obs.io import Body, Source
from modelarts.obs.multipart.plan import Part


class Arrived(NamedTuple):
    """A part that was stored.

    Attributes:
        size: in bytes.
        etag: its ETag.
        md5: 32 hexadecimal digits; None if it was verified by ``crc64``.
        crc64: its CRC-64; None if it was verified by the MD5.
    """

    size: int
    etag: str
    md5: Optional[str] = None
    crc64: Optional[int] = None


class Sender:
    """Sends the parts of one upload. Safe for threads.

    The CRC-64 of a part is sent with it; OBS verifies and returns it. If the server does not return
    it, as servers other than OBS, the MD5 of the sent bytes is compared with the returned ETag. If
    that differs, as with encryption by KMS, the part is sent again with ``Content-MD5``.

    Args:
        operation: the operation in words, for the errors.
        moved: called with the number of bytes; a negative number if they have to be sent again.
        failed: called when a part has to be sent again.
    """

    def __init__(
        self,
        asking: Asking,
        source: Source,
        bucket: str,
        key: str,
        operation: str,
        moved: Callable[[int], None],
        failed: Callable[[], None],
    ) -> None:
        self._asking = asking
        self._source = source
        self._bucket, self._key = bucket, key
        self._operation = operation
        self._moved = moved
        self._failed = failed
        self._etags_are_md5s = True

    def send(self, upload: str, part: Part, going: Callable[[], None]) -> Arrived:
        """Send a part; ``going`` raises an error if the upload is to stop."""
        connections = self._asking.client.connections
        if connections.is_obs and connections.takes_crc64 and is_available():
            return self._by_crc64(upload, part, going)
        return self._by_md5(upload, part, going)

    def _by_crc64(self, upload: str, part: Part, going: Callable[[], None]) -> Arrived:
        value = self._source.crc64(part.offset, part.size, going)
        body = self._body(part, going)
        digest: Optional[bytes] = None
        try:
            stored = self._put(upload, part, body, crc64=value)
        except ApiError as error:
            if error.status_code != 400:
                raise
            # Damaged each time, or not supported by this service.
            self._asking.client.connections.takes_crc64 = False
        else:
            if stored.crc64 == value:
                return Arrived(part.size, stored.etag, crc64=value)
            if stored.crc64 is None:
                self._asking.client.connections.takes_crc64 = False
            digest = self._source.md5(part.offset, part.size, going)
            if stored.crc64 is None and stored.etag == digest.hex():
                return Arrived(part.size, stored.etag, md5=digest.hex())
        self._moved(-body.count)
        return self._by_md5(upload, part, going, digest)

    def _by_md5(
        self,
        upload: str,
        part: Part,
        going: Callable[[], None],
        digest: Optional[bytes] = None,
    ) -> Arrived:
        if digest is None and not self._etags_are_md5s:
            digest = self._source.md5(part.offset, part.size, going)
        body = self._body(part, going, hashes=digest is None)
        stored = self._put(upload, part, body, md5=digest)
        if digest is None:
            digest = body.md5
            if stored.etag != digest.hex():
                self._moved(-body.count)
                stored = self._put(upload, part, body, md5=digest)
        if stored.etag != digest.hex():
            self._etags_are_md5s = False
        return Arrived(part.size, stored.etag, md5=digest.hex())

    def _body(self, part: Part, going: Callable[[], None], hashes: bool = False) -> Body:
        def moved(count: int) -> None:
            going()
            self._moved(count)

        return Body(self._source, part.offset, part.size, moved, hashes=hashes)

    def _put(
        self,
        upload: str,
        part: Part,
        body: Body,
        *,
        md5: Optional[bytes] = None,
        crc64: Optional[int] = None,
    ) -> Any:
        client = self._asking.client
        query = {"partNumber": part.number, "uploadId": upload}
        sums = {"md5": None if md5 is None else to_header(md5), "crc64": crc64}

        def send() -> Any:
            return client.put(self._bucket, self._key, part.size, body.send, query=query, **sums)

        def again(error: Exception) -> None:
            self._failed()
            self._moved(-body.count)

        try:
            return self._asking.patient().ask(self._operation, send, again=again)
        except ApiError as error:
            if error.status_code == 400:
                self._source.check()
            raise


def arrived_in(line: Any) -> Optional[Tuple[Part, Arrived]]:
    """Return a part from a line of a checkpoint; None if the line is invalid."""
    if not isinstance(line, list) or len(line) != 6:
        return None
    number, offset, size, etag, md5, crc64 = line
    whole = (number, offset, size, 0 if crc64 is None else crc64)
    texts = (etag, "" if md5 is None else md5)
    if not (
        all(type(value) is int for value in whole) and all(type(value) is str for value in texts)
    ):
        return None
    return Part(number, offset, size), Arrived(size, etag, md5, crc64)


def whole_etag(parts: Iterable[Arrived]) -> Optional[str]:
    """Return the etag of the object of these parts; None if their etags are not MD5s."""
    digests: List[bytes] = []
    for part in parts:
        if part.md5 is None or part.md5 != part.etag:
            return None
        digests.append(bytes.fromhex(part.md5))
    return combined(digests)


def whole_crc64(parts: Iterable[Arrived]) -> Optional[int]:
    """Return the CRC-64 of the object of these parts; None if it is unknown for one of them."""
    known = []
    for part in parts:
        if part.crc64 is None:
            return None
        known.append((part.crc64, part.size))
    return joined(known)
