"""Clients of the OBS API, for ``python -m benchmarks.kills --objects``.

They put, copy and delete objects, and begin,
fill, complete and abort uploads in parts, each waiting for its answer. After each return every
object must be what its client was told, whole; of the one call that was not answered it may be
what was there before or what was to come. An upload must be there with its parts, or have ended as
it was to. No copy that is not whole may be left, and no upload that cannot be listed and aborted.
"""

import hashlib
import http.client
import random
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, FrozenSet, List, Optional, Tuple

from obs import (
    CompleteMultipartUploadRequest,
    CompletePart,
    DeleteObjectsRequest,
    Object,
)

__all__ = ["BUCKET", "ObjectClient", "look_at_objects"]

BUCKET = "bucket"
_OBJECTS = 6
_UPLOADS = 2
_SMALLEST_PART = 100 * 1024
_SIZES = (0, 1000, 300_000, 3_000_000, 12_000_000)
_SETTLED_SECONDS = 30.0
_BLOCK = 1 << 20
#: The MD5 of an object; None where there is none.
_Content = FrozenSet[Optional[str]]


class _Upload:
    """An upload in parts; by number, the MD5s that a part may have, and the last one's bytes."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.parts: Dict[int, _Content] = {}
        self.bytes: Dict[int, bytes] = {}
        self.may_be_gone = False


class ObjectClient:
    """One client; by key, what an object may be found to be."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self._chance = chance
        self._client: Any = None
        self._uploads: Dict[str, _Upload] = {}
        self.acknowledged = 0
        self.unanswered = 0
        self.wrong: List[str] = []
        # Some share a folder with those of others: it comes and goes with its objects.
        self.may_be: Dict[str, _Content] = {
            "f%d/%s-%d" % (number % 3, name, number): frozenset({None})
            for number in range(_OBJECTS)
        }

    def use(self, session: Any) -> None:
        """Call until the service is gone."""
        with closing(session.get_obs_client(max_retry_count=0)) as self._client:
            acts = [self._put, self._put, self._copy, self._delete, self._delete_several]
            acts += [self._begin, self._send_part, self._send_part, self._complete, self._abort]
            try:
                while True:
                    self._chance.choice(acts)()
                    self.acknowledged += 1
            except (OSError, http.client.HTTPException):
                self.unanswered += 1

    def _call(self, verb: str, *arguments: Any) -> Any:
        answer = getattr(self._client, verb)(*arguments)
        if answer.status >= 300:
            self.wrong.append(
                "%s %s: %s %s" % (verb, arguments[:2], answer.status, answer.errorCode)
            )
        return answer.body

    def _content(self) -> Tuple[bytes, str]:
        size = self._chance.choice(_SIZES) + self._chance.randrange(1000)
        mark = b"%016x" % self._chance.getrandbits(64)
        content = (mark * (size // len(mark) + 1))[:size]
        return content, hashlib.md5(content).hexdigest()

    def _key(self) -> str:
        return self._chance.choice(list(self.may_be))

    def _change(self, keys: List[str], after: Optional[str], verb: str, *arguments: Any) -> None:
        for key in keys:
            self.may_be[key] |= {after}
        self._call(verb, BUCKET, *arguments)
        for key in keys:
            self.may_be[key] = frozenset({after})

    def _put(self) -> None:
        key, (content, md5) = self._key(), self._content()
        self._change([key], md5, "putContent", key, content)

    def _copy(self) -> None:
        there = [key for key, found in self.may_be.items() if None not in found]
        if there:
            source, key = self._chance.choice(there), self._key()
            (md5,) = self.may_be[source]
            self._change([key], md5, "copyObject", source, BUCKET, key)

    def _delete(self) -> None:
        key = self._key()
        self._change([key], None, "deleteObject", key)

    def _delete_several(self) -> None:
        keys = self._chance.sample(list(self.may_be), 2)
        wanted = DeleteObjectsRequest(objects=[Object(key) for key in keys])
        self._change(keys, None, "deleteObjects", wanted)

    # Uploads in parts ------------------------------------------------------------------------

    def _begin(self) -> None:
        if len(self._uploads) < _UPLOADS:
            key = self._key()
            begun = self._call("initiateMultipartUpload", BUCKET, key)
            if begun is None:
                raise ConnectionError("the answer was cut off")
            self._uploads[begun.uploadId] = _Upload(key)

    def _one(self) -> Tuple[str, Optional[_Upload]]:
        upload_id = self._chance.choice([*self._uploads, ""])
        return upload_id, self._uploads.get(upload_id)

    def _send_part(self) -> None:
        upload_id, upload = self._one()
        if upload is not None:
            number, (content, _) = self._chance.randint(1, 4), self._content()
            content += bytes(_SMALLEST_PART)
            md5 = hashlib.md5(content).hexdigest()
            upload.parts[number] = upload.parts.get(number, frozenset({None})) | {md5}
            upload.bytes.pop(number, None)
            self._call("uploadPart", BUCKET, upload.key, number, upload_id, content)
            upload.parts[number] = frozenset({md5})
            upload.bytes[number] = content

    def _complete(self) -> None:
        upload_id, upload = self._one()
        # Of a part that was not acknowledged, nobody here knows what it is.
        if upload is not None and upload.bytes and set(upload.bytes) == set(upload.parts):
            whole = hashlib.md5()
            named = []
            for number, content in sorted(upload.bytes.items()):
                whole.update(content)
                named.append(CompletePart(number, hashlib.md5(content).hexdigest()))
            upload.may_be_gone = True
            wanted = CompleteMultipartUploadRequest(named)
            arguments = (upload.key, upload_id, wanted)
            self._change([upload.key], whole.hexdigest(), "completeMultipartUpload", *arguments)
            del self._uploads[upload_id]

    def _abort(self) -> None:
        upload_id, upload = self._one()
        if upload is not None:
            upload.may_be_gone = True
            self._call("abortMultipartUpload", BUCKET, upload.key, upload_id)
            del self._uploads[upload_id]

    # What is found ---------------------------------------------------------------------------

    def look(self, client: Any, objects: Dict[str, str], uploads: Dict[str, str]) -> None:
        """Compare what is there with what was said; go on from what is there.

        What is this client's is taken out of ``objects`` (MD5 by key) and ``uploads`` (key by id).
        """
        for key, allowed in self.may_be.items():
            md5 = objects.pop(key, None)
            if md5 not in allowed:
                self.wrong.append("%s is %s, not of %s" % (key, md5, sorted(map(str, allowed))))
            self.may_be[key] = frozenset({md5})
        for upload_id, upload in list(self._uploads.items()):
            if uploads.pop(upload_id, None) == upload.key:
                self._look_at_parts(client, upload_id, upload)
                upload.may_be_gone = False
            else:
                if not upload.may_be_gone:
                    self.wrong.append("upload %s to %s is gone" % (upload_id, upload.key))
                del self._uploads[upload_id]

    def _look_at_parts(self, client: Any, upload_id: str, upload: _Upload) -> None:
        listed = client.listParts(BUCKET, upload.key, upload_id).body.parts
        found = {int(part.partNumber): part.etag.strip('"') for part in listed}
        if len(found) < len(listed):
            self.wrong.append("upload %s has a part twice" % upload_id)
        for number, allowed in list(upload.parts.items()):
            md5 = found.pop(number, None)
            if md5 not in allowed:
                self.wrong.append("part %d of %s is %s" % (number, upload_id, md5))
            if md5 is None:
                del upload.parts[number]
            else:
                upload.parts[number] = frozenset({md5})
        if found:
            self.wrong.append("upload %s has parts that nobody sent" % upload_id)


def look_at_objects(root: Path, session: Any, clients: List[ObjectClient]) -> List[str]:
    """Return the faults of the objects that are there."""
    wrong: List[str] = []
    with closing(session.get_obs_client(max_retry_count=0)) as client:
        if client.headBucket(BUCKET).status == 404:
            client.createBucket(BUCKET)
        objects = _objects(client)
        for key, md5 in objects.items():
            if hashlib.md5((root / "obs" / BUCKET / key).read_bytes()).hexdigest() != md5:
                wrong.append("%s is not what its etag says" % key)
        uploads = {one.uploadId: one.key for one in client.listMultipartUploads(BUCKET).body.upload}
        for each in clients:
            each.look(client, objects, uploads)
            wrong += each.wrong
            each.wrong = []
        wrong += ["nobody put %s" % key for key in objects]
        # Those that began, and of which nobody was told.
        for upload_id, key in uploads.items():
            if client.abortMultipartUpload(BUCKET, key, upload_id).status != 204:
                wrong.append("upload %s cannot be aborted" % upload_id)
        known = {one.uploadId for one in client.listMultipartUploads(BUCKET).body.upload}
    left = _left(root, known)
    deadline = time.monotonic() + _SETTLED_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = _left(root, known)
    return wrong + ["%s was left" % path for path in left]


def _objects(client: Any) -> Dict[str, str]:
    found: Dict[str, str] = {}
    marker: Optional[str] = None
    while True:
        page = client.listObjects(BUCKET, marker=marker, max_keys=7).body
        found.update((one.key, one.etag.strip('"')) for one in page.contents)
        if not page.is_truncated:
            return found
        marker = page.next_marker


def _left(root: Path, uploads: Any) -> List[str]:
    """Return files that are neither an object nor of an upload that is listed."""
    left = [str(path) for path in (root / "obs").rglob(".*")]
    for path in (root / "uploads").iterdir():
        if path.name not in uploads:
            left.append(str(path))
        else:
            left += [str(each) for each in path.glob("*.new")]
    return left
