"""Downloads an object to a temporary file beside the target, verifies and renames it."""

import hashlib
import os
import threading
from typing import Any, Callable, List, Optional

from modelarts.errors import ApiError, TransferError
from modelarts.obs.checksums import same
from modelarts.obs.crc64 import crc64_in, crc64_of, is_available
from modelarts.obs.esdk.requests import PASSING, Asking, LocalError
from modelarts.obs.executor import WorkerPool
from modelarts.obs.multipart.checkpoint import Checkpoint
from modelarts.obs.multipart.plan import SIZES
from modelarts.obs.partial import PartialFile, discard, naming
from modelarts.obs.stores.base import ObjectInfo, Progress

_CHUNK = 256 * 1024


class Download:
    """The download of one object.

    Args:
        info: the metadata of the object; parts of another version are not accepted.
        path: the path of the target, in a folder that exists.
        progress: called with the number of bytes, by one thread at a time.
        range_size: bytes of a range; an object of at most two ranges is fetched in one request.
    """

    def __init__(
        self,
        asking: Asking,
        info: ObjectInfo,
        path: str,
        progress: Optional[Progress] = None,
        range_size: int = SIZES.range,
    ) -> None:
        self._asking = asking
        self._info = info
        self._path = path
        self._progress = progress
        self._range_size = range_size
        self._operation = "download obs://%s/%s" % (info.bucket, info.key)
        self._lock = threading.Lock()
        self._encrypted = False
        self._crc64 = info.crc64
        where = os.path.abspath(path)
        name = "%s/%s %s" % (info.bucket, info.key, where)
        self._folder, self._name = os.path.split(where)
        # The suffix, which makes names distinct, is never cut off; names may have 255 bytes.
        self._number = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        client = asking.client
        self._checkpoint = Checkpoint(
            kind="download",
            server="%s:%s" % (client.server, client.port),
            bucket=info.bucket,
            key=info.key,
            path=where,
        )

    def run(self, crew: WorkerPool) -> None:
        """Download the object. The file is then complete and verified, or unchanged."""
        self._part = PartialFile(
            self._part_named(self._number), lambda: self._part_named(os.urandom(4).hex())
        )
        kept = False
        try:
            if self._info.size > 2 * self._range_size:
                self._fetch_ranges(crew)
            else:
                self._fetch()
            self._verify()
            self._part.become(self._path)
            self._checkpoint.remove()
        except TransferError:
            self._checkpoint.remove()
            raise
        except BaseException as error:
            if isinstance(error, ApiError) and not isinstance(error, PASSING):
                self._checkpoint.remove()
            kept = self._checkpoint.is_kept
            raise
        finally:
            self._checkpoint.close()
            if kept:
                self._part.close()
            else:
                self._part.remove()

    def forget(self) -> None:
        """Remove the files of an interrupted download."""
        discard(self._part_named(self._number))
        if self._info.size > 2 * self._range_size:
            self._checkpoint.open()
            self._checkpoint.remove()

    def _part_named(self, number: str) -> str:
        return os.path.join(self._folder, ".%s.%s.part" % (self._name[:40], number))

    def _fetch(self) -> None:
        self._part.open().close()
        if self._info.size:
            self._range(0, self._info.size, lambda: None)

    def _fetch_ranges(self, crew: WorkerPool) -> None:
        info = self._info
        done = set(self._done())
        missing = [offset for offset in range(0, info.size, self._range_size) if offset not in done]
        if self._crc64 is None:
            self._look_up()
        self._moved(
            info.size - sum(min(self._range_size, info.size - offset) for offset in missing)
        )

        def take() -> Optional[int]:
            with self._lock:
                return missing.pop(0) if missing else None

        def work(offset: int, going: Callable[[], None]) -> None:
            self._range(offset, min(self._range_size, info.size - offset), going)
            with self._lock:
                self._checkpoint.add([offset])

        crew.run(take, work)

    def _done(self) -> List[int]:
        """Return the offsets of the ranges of an earlier attempt; make room if there are none."""
        info = self._info
        state = {
            "size": info.size,
            "etag": info.etag,
            "modified": info.modified,
            "range": self._range_size,
        }
        # A later call would not find a part under another name.
        lines = self._checkpoint.open() if self._part.is_usual else []
        if lines and self._part.size == info.size and state.items() <= lines[0].items():
            known = {str(line) for line in lines}
            return [
                offset for offset in range(0, info.size, self._range_size) if str([offset]) in known
            ]
        self._checkpoint.begin(temporary=self._part.path, **state)
        with naming(self._path), self._part.open() as file:
            file.truncate(info.size)
        return []

    def _look_up(self) -> None:
        """Get the object's CRC-64, which the response to a range need not have."""
        info = self._info
        answer = self._asking.ask(
            self._operation,
            lambda: self._asking.client.getObjectMetadata(info.bucket, info.key),
            # The permission to read an object does not include that to look it up.
            allowed=(403, 404, 405),
        )
        if answer.status < 300 and info.etag in (None, (answer.body.etag or "").strip('"')):
            self._crc64 = crc64_in(answer)

    def _range(self, offset: int, size: int, going: Callable[[], None]) -> None:
        """Fetch a range into its place; after an interruption, only its missing part."""
        got = [0]
        try:
            with open(self._part.path, "r+b") as file:
                file.seek(offset)

                def send() -> Any:
                    answer = self._get(offset + got[0], size - got[0])
                    if answer.status < 300:
                        self._write(answer.body.response, file, size, got, going)
                    return answer

                self._asking.patient().ask(self._operation, send)
        except ApiError as error:
            if error.status_code == 412:
                raise self._replaced() from None
            raise

    def _replaced(self) -> TransferError:
        return TransferError(
            "%s: the object was replaced by another one; fetch it again" % self._operation
        )

    def _get(self, offset: int, size: int) -> Any:
        from obs import GetObjectHeader

        info = self._info
        headers = GetObjectHeader()
        if info.etag is not None:
            # The client would make %22 of quotes.
            headers.if_match = info.etag
        if size != info.size:
            headers.range = "bytes=%d-%d" % (offset, offset + size - 1)
        answer = self._asking.client.getObject(info.bucket, info.key, headers=headers)
        if answer.status < 300:
            body = answer.body
            if body.sseKms is not None or body.sseC is not None:
                self._encrypted = True
            other = info.etag is not None and (body.etag or "").strip('"') != info.etag
            if other or body.contentLength not in (None, size):
                body.response.close()
                if not other and size != info.size and answer.status != 206:
                    raise TransferError(
                        "%s: the whole object was sent for the request of a range; the server, "
                        "or a proxy, does not support ranges" % self._operation
                    )
                raise self._replaced()
            if size == info.size and self._crc64 is None:
                self._crc64 = crc64_in(answer)
        return answer

    def _write(
        self, stream: Any, file: Any, size: int, got: List[int], going: Callable[[], None]
    ) -> None:
        try:
            while True:
                chunk = stream.read(_CHUNK)
                if not chunk:
                    break
                try:
                    going()
                    with naming(self._path):
                        file.write(chunk)
                        file.flush()
                    got[0] += len(chunk)
                    self._moved(len(chunk))
                except Exception as error:
                    raise LocalError(error) from error
        finally:
            stream.close()
        if got[0] != size:
            raise ConnectionError("the response ended after %d of %d bytes" % (got[0], size))

    def _verify(self) -> None:
        if os.path.getsize(self._part.path) != self._info.size:
            raise TransferError(
                "%s: the object was received incomplete; fetch it again" % self._operation
            )
        if self._crc64 is not None and is_available():
            fine: Optional[bool] = crc64_of(self._part.path) == self._crc64
        else:
            fine = self._encrypted or same(self._part.path, self._info)
        if fine is False:
            raise TransferError(
                "%s: the received bytes have another checksum than the object; fetch it again"
                % self._operation
            )

    def _moved(self, count: int) -> None:
        if self._progress is not None and count:
            with self._lock:
                self._progress(count)
