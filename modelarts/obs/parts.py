"""Sends one large file in parts, several at once, and goes on where an earlier attempt ended."""

import os
import threading
from typing import Any, Callable, Dict, List, Optional, Tuple

from modelarts.errors import (
    ApiError,
    AuthenticationFailed,
    ModelArtsError,
    NotFound,
    RateLimited,
    ServerError,
    TransferError,
)
from modelarts.obs.checkpoints import Checkpoint, stale
from modelarts.obs.checksums import combined, to_header
from modelarts.obs.failures import Asking
from modelarts.obs.files import Body, Source
from modelarts.obs.layout import SMALLEST, SMALLEST_S3, Layout, Part
from modelarts.obs.store import Progress
from modelarts.obs.threads import Crew

__all__ = ["Upload", "abort_stale"]

#: After these somebody may go on from what has arrived; after other refusals nobody can.
_PASSING = (AuthenticationFailed, RateLimited, ServerError)


class Upload:
    """One file on its way.

    Args:
        progress: told of the bytes; called by one thread at a time.
    """

    def __init__(
        self,
        asking: Asking,
        source: Source,
        bucket: str,
        key: str,
        progress: Optional[Progress] = None,
    ) -> None:
        self._asking = asking
        self._source = source
        self._bucket, self._key = bucket, key
        self._progress = progress
        self._operation = "upload obs://%s/%s" % (bucket, key)
        self._lock = threading.Lock()
        self._id = ""
        self._etags: Dict[int, Tuple[str, str]] = {}
        # Encrypted with keys of KMS, for one, the etags are none.
        self._etags_are_md5s = True
        client = asking.client
        self._checkpoint = Checkpoint(
            kind="upload",
            server="%s:%s" % (client.server, client.port),
            bucket=bucket,
            key=key,
            path=os.path.abspath(source.path),
        )

    def run(self, crew: Crew) -> None:
        """Send it. Afterwards the object is there whole, or as it was before."""
        try:
            done = self._resume()
            if done is None:
                done = self._begin()
            smallest = SMALLEST if self._is_obs() else SMALLEST_S3
            plan = Layout(self._source.size, smallest, done)
            self._moved(sum(part.size for part in done))
            crew.run(lambda: self._next(plan), lambda part, going: self._send(plan, part, going))
            self._source.check()
            self._complete()
            self._checkpoint.remove()
        except (TransferError, NotFound):
            self._abort()
            raise
        except ApiError as error:
            if not isinstance(error, _PASSING):
                self._abort()
            raise
        finally:
            if self._id and not self._checkpoint.is_kept:
                self._abort()
            self._checkpoint.close()

    # Begin ---------------------------------------------------------------------------------

    def _begin(self) -> List[Part]:
        client = self._asking.client
        answer = self._asking.ask(
            self._operation, lambda: client.initiateMultipartUpload(self._bucket, self._key)
        )
        self._id = answer.body.uploadId
        size, modified = self._source.size, self._source.modified
        self._checkpoint.begin(upload=self._id, size=size, modified=modified)
        return []

    def _resume(self) -> Optional[List[Part]]:
        """What has arrived of this file as it is now."""
        lines = self._checkpoint.open()
        if not lines:
            return None
        first = lines[0]
        if (first.get("size"), first.get("modified")) != (self._source.size, self._source.modified):
            abort(self._asking, first)
            return None
        self._id = first["upload"]
        there = self._there()
        if there is None:
            return None
        done = []
        for number, offset, size, digest in lines[1:]:
            etag, sent = there.get(number, ("", 0))
            if sent == size and number not in self._etags:
                self._etags[number] = (etag, digest)
                done.append(Part(number, offset, size))
        return done

    def _there(self) -> Optional[Dict[int, Tuple[str, int]]]:
        """Etag and size of each part that has arrived; None where the upload is gone."""
        found: Dict[int, Tuple[str, int]] = {}
        after: Optional[int] = None
        while True:
            page = self._page(after)
            if page is None:
                return None
            for part in page.parts:
                found[part.partNumber] = (part.etag, part.size)
            after = page.nextPartNumberMarker
            if not page.isTruncated or not page.parts:
                return found

    def _page(self, after: Optional[int]) -> Any:
        client = self._asking.client
        answer = self._asking.ask(
            self._operation,
            lambda: client.listParts(self._bucket, self._key, self._id, partNumberMarker=after),
            allowed=(404,),
        )
        return answer.body if answer.status < 300 else None

    # Send ----------------------------------------------------------------------------------

    def _next(self, plan: Layout) -> Optional[Part]:
        with self._lock:
            return plan.take()

    def _send(self, plan: Layout, part: Part, going: Callable[[], None]) -> None:
        """Send a part, and see that it arrived as it is: each byte is read and hashed once.

        The etag that is answered tells. Where it is another one the part is sent once more, and
        OBS told to take nothing else.
        """
        digest: Optional[bytes] = None
        if not self._etags_are_md5s:
            digest = self._source.md5(part.offset, part.size, going)

        def moved(count: int) -> None:
            going()
            self._moved(count)

        body = Body(self._source, part.offset, part.size, moved, hashes=digest is None)
        etag = self._put(plan, part, body, digest)
        if digest is None:
            digest = body.md5
            if etag != digest.hex():
                self._moved(-body.count)
                etag = self._put(plan, part, body, digest)
                if etag != digest.hex():
                    self._etags_are_md5s = False
        with self._lock:
            plan.went_through(part)
            self._etags[part.number] = (etag, digest.hex())
            self._checkpoint.add([part.number, part.offset, part.size, digest.hex()])

    def _put(self, plan: Layout, part: Part, body: Body, digest: Optional[bytes]) -> str:
        client = self._asking.client
        query = {"partNumber": part.number, "uploadId": self._id}
        md5 = None if digest is None else to_header(digest)

        def send() -> Any:
            return client.put(self._bucket, self._key, part.size, body.send, md5=md5, query=query)

        def again(error: Exception) -> None:
            with self._lock:
                plan.failed()
            self._moved(-body.count)

        try:
            answer = self._asking.patient().ask(self._operation, send, again=again)
        except ApiError as error:
            if error.error_code == "BadDigest":
                self._source.check()
            raise
        etag: str = answer.etag
        return etag

    def _moved(self, count: int) -> None:
        if self._progress is not None and count:
            with self._lock:
                self._progress(count)

    # End -----------------------------------------------------------------------------------

    def _complete(self) -> None:
        from obs import CompleteMultipartUploadRequest, CompletePart

        client = self._asking.client
        numbers = sorted(self._etags)
        parts = [CompletePart(number, self._etags[number][0]) for number in numbers]
        digests = [self._etags[number][1] for number in numbers]
        expected: Optional[str] = combined(bytes.fromhex(digest) for digest in digests)
        if any(self._etags[number][0].strip('"') != self._etags[number][1] for number in numbers):
            # Encrypted with keys of KMS, for one: each part was verified by its Content-MD5.
            expected = None
        lost: List[Exception] = []
        answer = self._asking.ask(
            self._operation,
            lambda: client.completeMultipartUpload(
                self._bucket, self._key, self._id, CompleteMultipartUploadRequest(parts)
            ),
            allowed=(404,),
            again=lost.append,
        )
        etag = None if answer.status == 404 else (answer.body.etag or "").strip('"')
        if answer.status == 404:
            # The first answer was lost, maybe, and the upload is what it was to become.
            head = self._asking.ask(
                self._operation,
                lambda: client.getObjectMetadata(self._bucket, self._key),
                allowed=(404,),
            )
            there = (head.body.etag or "").strip('"') if head.status < 300 else None
            if not lost or there is None or (expected is not None and there != expected):
                raise TransferError(
                    "%s: the upload is gone before it was complete; send it again" % self._operation
                )
            etag = there
        self._id = ""
        if not etag or (expected is not None and etag != expected):
            raise TransferError(
                "%s: what arrived has the checksum %s and should have %s; send it again"
                % (self._operation, etag, expected)
            )

    def _abort(self) -> None:
        if self._id:
            abort(self._asking, {"upload": self._id, "bucket": self._bucket, "key": self._key})
            self._id = ""
        self._checkpoint.remove()

    def _is_obs(self) -> bool:
        connections = getattr(self._asking.client, "connections", None)
        return connections is not None and bool(connections.is_obs)


def abort(asking: Asking, line: Dict[str, Any]) -> None:
    """Have the parts of an upload deleted; where that fails, nothing more can be done."""
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
    """Abort the uploads from here that nobody came back for."""
    server = "%s:%s" % (asking.client.server, asking.client.port)
    for line in stale(asking.clock.time(), server):
        abort(asking, line)
