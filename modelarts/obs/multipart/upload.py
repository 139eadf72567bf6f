"""Uploads a large file in parallel parts, and resumes an interrupted upload."""

import os
import threading
from typing import Any, Callable, Dict, List, Optional, Tuple

from modelarts.errors import (
    ApiError,
    ModelArtsError,
    PermissionDenied,
    TransferError,
)
from modelarts.obs.checksums import combined, is_md5
from modelarts.obs.crc64 import crc64_in, is_available
from modelarts.obs.esdk.requests import PASSING, Asking
from modelarts.obs.executor import WorkerPool
from modelarts.obs.io import Source
from modelarts.obs.multipart.arrivals import Arrived, Sender, arrived_in, whole_crc64, whole_etag
from modelarts.obs.multipart.checkpoint import Checkpoint, stale
from modelarts.obs.multipart.plan import MIN_PART_S3, SIZES, Layout, Part, Sizes
from modelarts.obs.stores.base import Progress


class Upload:
    """The upload of one file.

    Args:
        progress: called with the number of bytes, by one thread at a time.
        sizes: of the parts.
    """

    def __init__(
        self,
        asking: Asking,
        source: Source,
        bucket: str,
        key: str,
        progress: Optional[Progress] = None,
        sizes: Sizes = SIZES,
    ) -> None:
        self._asking = asking
        self._source = source
        self._bucket, self._key = bucket, key
        self._progress = progress
        self._operation = "upload obs://%s/%s" % (bucket, key)
        self._lock = threading.Lock()
        self._id = ""
        self._sizes = sizes
        self._plan = Layout(source.size)
        self._arrived: Dict[int, Arrived] = {}
        self._sender = Sender(
            asking, source, bucket, key, self._operation, self._moved, self._failed
        )
        client = asking.client
        self._checkpoint = Checkpoint(
            kind="upload",
            server="%s:%s" % (client.server, client.port),
            bucket=bucket,
            key=key,
            path=os.path.abspath(source.path),
        )

    def run(self, crew: WorkerPool) -> None:
        """Upload the file. The object is then complete, or unchanged."""
        try:
            done = self._resume()
            if done is None:
                done = self._begin()
            sizes = self._sizes
            min_part = sizes.min_part if self._is_obs() else min(MIN_PART_S3, sizes.part)
            self._plan = Layout(self._source.size, sizes.part, min_part, done)
            self._moved(sum(part.size for part in done))
            crew.run(self._next, self._send)
            self._source.check()
            self._complete()
            self._checkpoint.remove()
        except (TransferError, FileNotFoundError):
            self._abort()
            raise
        except ApiError as error:
            if not isinstance(error, PASSING):
                self._abort()
            raise
        finally:
            if self._id and not self._checkpoint.is_kept:
                self._abort()
            self._checkpoint.close()

    def forget(self) -> None:
        """Delete the parts of an interrupted upload."""
        lines = self._checkpoint.open()
        if lines:
            abort(self._asking, lines[0])
        self._checkpoint.remove()

    # Begin ---------------------------------------------------------------------------------

    def _begin(self) -> List[Part]:
        client = self._asking.client
        answer = self._asking.ask(
            self._operation,
            lambda: client.initiateMultipartUpload(self._bucket, self._key),
            wanted=("uploadId",),
        )
        self._id = answer.body.uploadId
        self._checkpoint.begin(upload=self._id, **self._state())
        return []

    def _state(self) -> Dict[str, int]:
        """Return the fields by which a changed file is recognized."""
        source = self._source
        return {"size": source.size, "modified": source.modified, "inode": source.inode}

    def _resume(self) -> Optional[List[Part]]:
        """Return the stored parts of this file in its present state."""
        lines = self._checkpoint.open()
        if not lines:
            return None
        first = lines[0]
        if not (self._state().items() <= first.items() and isinstance(first.get("upload"), str)):
            abort(self._asking, first)
            return None
        self._id = first["upload"]
        try:
            parts = self._arrived_parts()
        except PermissionDenied:
            # The permission to upload does not include that to list the parts.
            abort(self._asking, first)
            parts = None
        if parts is None:
            return None
        done = []
        for part, arrived in filter(None, map(arrived_in, lines[1:])):
            has_arrived = parts.get(part.number) == (arrived.etag, part.size)
            if has_arrived and part.number not in self._arrived:
                self._arrived[part.number] = arrived
                done.append(part)
        return done

    def _arrived_parts(self) -> Optional[Dict[int, Tuple[str, int]]]:
        """Return the ETag and size of each stored part; None if the upload does not exist."""
        parts: Dict[int, Tuple[str, int]] = {}
        after: Optional[int] = None
        while True:
            page = self._page(after)
            if page is None:
                return None
            for part in page.parts:
                parts[part.partNumber] = ((part.etag or "").strip('"'), part.size)
            before, after = after, page.nextPartNumberMarker
            if not page.isTruncated or not page.parts or after == before:
                return parts

    def _page(self, after: Optional[int]) -> Any:
        client = self._asking.client
        answer = self._asking.ask(
            self._operation,
            lambda: client.listParts(self._bucket, self._key, self._id, partNumberMarker=after),
            allowed=(404,),
            wanted=("parts",),
        )
        return answer.body if answer.status < 300 else None

    # Send ----------------------------------------------------------------------------------

    def _next(self) -> Optional[Part]:
        with self._lock:
            return self._plan.take()

    def _send(self, part: Part, going: Callable[[], None]) -> None:
        arrived = self._sender.send(self._id, part, going)
        with self._lock:
            self._plan.went_through(part)
            self._arrived[part.number] = arrived
            self._checkpoint.add([part.number, part.offset, *arrived])

    def _failed(self) -> None:
        with self._lock:
            self._plan.failed()

    def _moved(self, count: int) -> None:
        if self._progress is not None and count:
            with self._lock:
                self._progress(count)

    # End -----------------------------------------------------------------------------------

    def _complete(self) -> None:
        from obs import CompleteMultipartUploadRequest, CompletePart

        client = self._asking.client
        numbers = sorted(self._arrived)
        arrived = [self._arrived[number] for number in numbers]
        parts = [CompletePart(number, self._arrived[number].etag) for number in numbers]
        expected = (whole_etag(arrived), whole_crc64(arrived))
        headers = None if expected[1] is None else {client.crc64_header: str(expected[1])}
        answer = self._asking.ask(
            self._operation,
            lambda: client.completeMultipartUpload(
                self._bucket,
                self._key,
                self._id,
                CompleteMultipartUploadRequest(parts),
                extensionHeaders=headers,
            ),
            allowed=(404,),
            wanted=("etag",),
        )
        differs = ""
        if answer.status < 300:
            differs = _differs(answer, expected)
        elif not self._is_there(arrived):
            raise TransferError(
                "%s: the upload was removed before it was complete; send it again" % self._operation
            )
        self._id = ""
        if differs:
            raise TransferError(
                "%s: the stored object has %s; send it again" % (self._operation, differs)
            )

    def _is_there(self, arrived: List[Arrived]) -> bool:
        """Return True if the object is already complete, as after a lost response."""
        client, source = self._asking.client, self._source
        answer = self._asking.ask(
            self._operation,
            lambda: client.getObjectMetadata(self._bucket, self._key),
            allowed=(404,),
            wanted=("contentLength",),
        )
        if answer.status == 404 or answer.body.contentLength != source.size:
            return False
        etag, crc64 = (answer.body.etag or "").strip('"'), crc64_in(answer)
        if crc64 is not None and is_available():
            return crc64 == source.crc64(0, source.size, lambda: None)
        if is_md5(etag):
            return etag == source.md5(0, source.size, lambda: None).hex()
        etags = [part.etag for part in arrived]
        return all(map(is_md5, etags)) and etag == combined(map(bytes.fromhex, etags))

    def _abort(self) -> None:
        if self._id:
            abort(self._asking, {"upload": self._id, "bucket": self._bucket, "key": self._key})
            self._id = ""
        self._checkpoint.remove()

    def _is_obs(self) -> bool:
        return bool(self._asking.client.connections.is_obs)


def _differs(answer: Any, expected: Tuple[Optional[str], Optional[int]]) -> str:
    """Return the differences between checksums in words; "" where there are none.

    An ETag that is not made of parts, as of the local service, is not compared: each part was
    verified.
    """
    etag, crc64 = expected
    stored_etag, stored_crc64 = (answer.body.etag or "").strip('"'), crc64_in(answer)
    if stored_crc64 is not None and crc64 not in (None, stored_crc64):
        return "the CRC-64 %s and should have %s" % (stored_crc64, crc64)
    if etag not in (None, stored_etag) and "-" in stored_etag:
        return "the etag %r and should have %r" % (stored_etag, etag)
    return ""


def abort(asking: Asking, line: Dict[str, Any]) -> None:
    """Delete the parts of an upload; a failure is ignored."""
    bucket, key, upload = line.get("bucket"), line.get("key"), line.get("upload")
    if not (bucket and key and upload):
        return
    client = asking.client
    try:
        asking.ask(
            "abort upload of obs://%s/%s" % (bucket, key),
            lambda: client.abortMultipartUpload(bucket, key, upload),
            allowed=(404,),
        )
    except ModelArtsError:
        pass


def abort_stale(asking: Asking) -> None:
    """Abort the abandoned uploads of this machine."""
    server = "%s:%s" % (asking.client.server, asking.client.port)
    for line in stale(asking.clock.time(), server):
        abort(asking, line)
