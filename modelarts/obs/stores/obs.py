"""The store of objects in OBS: by the official client, with typed errors and retries."""

import calendar
import os
import threading
import time
from email.utils import mktime_tz, parsedate_tz
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple, Union

from modelarts._internal.clock import Clock
from modelarts.errors import ApiError, InvalidArgument, ModelArtsError, TransferError, api_error
from modelarts.http.retry import Retry
from modelarts.obs.checksums import is_md5, md5, same, to_header
from modelarts.obs.crc64 import crc64_in, crc64_of, is_available
from modelarts.obs.esdk.requests import Asking
from modelarts.obs.executor import WorkerPool
from modelarts.obs.io import Body, Content, Source
from modelarts.obs.multipart.download import Download
from modelarts.obs.multipart.plan import MAX_PARTS, SIZES, Sizes
from modelarts.obs.multipart.upload import Upload, abort_stale
from modelarts.obs.stores.base import ObjectInfo, Progress, Store, check_key

#: Bytes of an object: so many parts of 5 GiB.
_LARGEST = MAX_PARTS * 5 * 1024**3
#: Bytes of an object up to which it is copied in one request, as OBS allows.
COPIED = 5 * 1024**3
_COPIED_PART = 1024**3
#: The error codes of two regions for a bucket that this user has already.
_OWN_BUCKET = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


class ObsStore(Store):
    """OBS, or a server that speaks S3.

    Args:
        client: the result of ``session.get_obs_client(max_retry_count=0)``; the store closes it.
        clock: the source of time and of the pauses between attempts.
        retry: the retry policy.
        sizes: the sizes of parts and ranges, and the size above which a file is sent in parts.
        region: the region of new buckets.
        copied: the size up to which an object is copied in one request, and the size of a part.

    Source: *OBS API Reference*.
    """

    def __init__(
        self,
        client: Any,
        clock: Optional[Clock] = None,
        retry: Optional[Retry] = None,
        sizes: Sizes = SIZES,
        region: Optional[str] = None,
        copied: Tuple[int, int] = (COPIED, _COPIED_PART),
    ) -> None:
        self._client = client
        self._region = region
        self._copied, self._copied_part = copied
        self._sizes = sizes
        self._asking = Asking(client, clock or Clock(), retry or Retry())
        self._crew = WorkerPool()
        self._lock = threading.Lock()
        self._looked_for_stale = False

    def head(self, bucket: str, key: str) -> Optional[ObjectInfo]:
        check_key("key", key)
        client = self._client
        answer = self._asking.ask(
            "look up obs://%s/%s" % (bucket, key),
            lambda: _explained(
                client.getObjectMetadata(bucket, key), lambda: client.getObject(bucket, key)
            ),
            allowed=(404,),
            wanted=("etag", "contentLength"),
        )
        if answer.status == 404:
            return None
        body, metadata = answer.body, dict(answer.header)
        digest = metadata.get("md5")
        return ObjectInfo(
            bucket=bucket,
            key=key,
            size=body.contentLength,
            modified=_from_header(body.lastModified),
            etag=_unquoted(body.etag),
            # The first was computed by the service, the other set by the uploader.
            md5=_md5_of(body) or (digest if is_md5(digest) else None),
            crc64=crc64_in(answer),
        )

    def has_bucket(self, bucket: str) -> bool:
        """Return True if there is such a bucket.

        Raises:
            PermissionDenied: the bucket exists, and this user has no access to it.
        """
        client = self._client
        answer = self._asking.ask(
            "look up bucket %s" % bucket,
            lambda: _explained(
                client.headBucket(bucket), lambda: client.listObjects(bucket, max_keys=1)
            ),
            allowed=(404,),
        )
        return bool(answer.status != 404)

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket in the region of the session.

        Raises:
            ApiError: another user has the bucket, or it cannot be made.
        """

        def make(location: Optional[str]) -> None:
            self._asking.ask(
                "create bucket %s" % bucket,
                lambda: self._client.createBucket(bucket, location=location),
            )

        try:
            try:
                make(self._region)
            except ApiError as error:
                # The default region of S3 must be left out.
                if self._region is None or error.error_code != "InvalidLocationConstraint":
                    raise
                make(None)
        except ApiError as error:
            if error.error_code not in _OWN_BUCKET or not self.has_bucket(bucket):
                raise

    def make_folder(self, bucket: str, key: str) -> None:
        """Make an empty folder: an object without content, whose key ends with a slash."""
        check_key("key", key)
        self._asking.ask(
            "create obs://%s/%s" % (bucket, key),
            lambda: self._client.putContent(bucket, key, content=""),
        )

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        marker: Optional[str] = None
        while True:
            page = self._page(bucket, prefix, marker)
            for entry in page.contents:
                yield ObjectInfo(
                    bucket=bucket,
                    key=entry.key,
                    size=entry.size or 0,
                    modified=_from_list(entry.lastModified),
                    etag=_unquoted(entry.etag),
                )
            if not page.is_truncated or not page.contents:
                return
            before, marker = marker, page.next_marker or page.contents[-1].key
            if marker == before:
                raise TransferError(
                    "list obs://%s/%s: the service returned the same page again after %r"
                    % (bucket, prefix, marker)
                )

    def _page(self, bucket: str, prefix: str, marker: Optional[str]) -> Any:
        answer = self._asking.ask(
            "list obs://%s/%s" % (bucket, prefix),
            lambda: self._client.listObjects(
                bucket,
                prefix=prefix or None,
                marker=marker,
                max_keys=self.page,
                encoding_type="url",
            ),
            wanted=("contents",),
        )
        return answer.body

    def upload(self, path: str, bucket: str, key: str, progress: Optional[Progress] = None) -> None:
        """Send a file atomically: the object is then complete, or unchanged.

        Bytes appended to the file meanwhile are not sent. A file of more than 100 MB is sent in
        parallel parts; if that is interrupted, the next call for the same file resumes it, by the
        record in ``~/.modelarts/transfers``. Parts that were not resumed within a week are deleted
        by the next upload of a large file.

        Args:
            progress: told of the bytes, by one thread at a time; it may raise to stop this.

        Raises:
            OSError: the file cannot be read.
            InvalidArgument: the file is larger than the largest object.
            TransferError: the file changed while it was being sent.
        """
        check_key("key", key)
        source = Source.of(path)
        if source.size > _LARGEST:
            raise InvalidArgument("a file", path, "at most 48.8 TiB, the maximum size of an object")
        if source.size > self._sizes.multipart:
            self._abort_stale()
            return Upload(self._asking, source, bucket, key, progress, self._sizes).run(self._crew)
        content = None
        if source.size <= self._sizes.memory:
            content = source.read()
            digest = md5()
            digest.update(content)
            checksum: bytes = digest.digest()
        else:
            checksum = source.md5(0, source.size, lambda: None)
            source.check()
        self._put(source, content, to_header(checksum), bucket, key, progress)

    def _put(
        self,
        source: Source,
        content: Optional[bytes],
        checksum: str,
        bucket: str,
        key: str,
        progress: Optional[Progress],
    ) -> None:
        body: Union[Body, Content]
        if content is None:
            body = Body(source, 0, source.size, progress)
        else:
            body = Content(content, progress)

        def send() -> Any:
            return self._client.put(bucket, key, source.size, body.send, md5=checksum)

        def again(error: Exception) -> None:
            if progress is not None and body.count:
                progress(-body.count)

        try:
            self._asking.ask("upload obs://%s/%s" % (bucket, key), send, again=again)
        except ApiError as error:
            if error.error_code == "BadDigest":
                source.check()
            raise

    def download(self, info: ObjectInfo, path: str, progress: Optional[Progress] = None) -> None:
        """Fetch an object to ``path``: the file is then complete and verified, or unchanged.

        Meanwhile it has a temporary name in the same folder, ``.<name>.<8 digits>.part``. If the
        download of a large object is interrupted, that file is kept and the next call resumes it.

        Args:
            progress: told of the bytes, by one thread at a time; it may raise to stop this.

        Raises:
            OSError: the file cannot be written.
            TransferError: the object was replaced meanwhile, or its checksum differs.
        """
        Download(self._asking, info, path, progress, self._sizes.range).run(self._crew)

    def copy(
        self, info: ObjectInfo, bucket: str, key: str, progress: Optional[Progress] = None
    ) -> None:
        """Copy an object to another one within OBS, without a download.

        An object of more than 5 GB is copied in parts.

        Raises:
            TransferError: the object was replaced meanwhile.
        """
        check_key("key", key)
        operation = "copy obs://%s/%s to obs://%s/%s" % (info.bucket, info.key, bucket, key)
        if info.size > self._copied:
            self._copy_parts(operation, info, bucket, key, progress)
            return
        self._asking.ask(
            operation,
            lambda: self._client.copyObject(info.bucket, info.key, bucket, key),
            wanted=("etag",),
        )
        if progress is not None:
            progress(info.size)

    def _copy_parts(
        self,
        operation: str,
        info: ObjectInfo,
        bucket: str,
        key: str,
        progress: Optional[Progress],
    ) -> None:
        from obs import CompleteMultipartUploadRequest, CompletePart

        client, asking = self._client, self._asking.patient()
        metadata = None if info.md5 is None else {"md5": info.md5}
        begun = asking.ask(
            operation,
            lambda: client.initiateMultipartUpload(bucket, key, metadata=metadata),
            wanted=("uploadId",),
        )
        upload, source = begun.body.uploadId, "/%s/%s" % (info.bucket, info.key)
        parts: List[Any] = []
        try:
            for start in range(0, info.size, self._copied_part):
                last = min(start + self._copied_part, info.size) - 1
                number, span = len(parts) + 1, "%d-%d" % (start, last)

                def send(number: int = number, span: str = span) -> Any:
                    return client.copyPart(bucket, key, number, upload, source, span)

                part = asking.ask(operation, send, wanted=("etag",))
                parts.append(CompletePart(number, part.body.etag))
                if progress is not None:
                    progress(last + 1 - start)
            now = self.head(info.bucket, info.key)
            if now is None or (now.etag, now.size) != (info.etag, info.size):
                raise TransferError("%s: the object was replaced meanwhile" % operation)
            whole = CompleteMultipartUploadRequest(parts)
            asking.ask(
                operation,
                lambda: client.completeMultipartUpload(bucket, key, upload, whole),
                wanted=("etag",),
            )
        except BaseException:
            client.abortMultipartUpload(bucket, key, upload)
            raise

    def same(self, path: str, info: ObjectInfo) -> Optional[bool]:
        """Return True if a file has the content of an object, by their checksums.

        By the ETag if it is an MD5; otherwise by the CRC-64, which is requested from OBS.
        """
        known = same(path, info)
        if known or os.path.getsize(path) != info.size or not is_available():
            return known
        if info.crc64 is None:
            head = self.head(info.bucket, info.key)
            info = head if head is not None and head.etag == info.etag else info
        return known if info.crc64 is None else crc64_of(path) == info.crc64

    def forget(self, path: str, info: ObjectInfo) -> None:
        """Remove the leftovers of an interrupted transfer between the two, at both ends."""
        if info.size > self._sizes.multipart:
            Upload(self._asking, Source.of(path), info.bucket, info.key).forget()
        Download(self._asking, info, path, range_size=self._sizes.range).forget()

    def delete(self, bucket: str, keys: Sequence[str]) -> Sequence[Tuple[str, Exception]]:
        failed: List[Tuple[str, Exception]] = []
        # XML cannot represent control characters.
        odd = [key for key in keys if any(letter < " " for letter in key)]
        plain = [key for key in keys if not any(letter < " " for letter in key)]
        for begin in range(0, len(plain), self.page):
            some = plain[begin : begin + self.page]
            try:
                failed.extend(self._delete(bucket, some))
            except ModelArtsError as error:
                failed.extend((key, error) for key in some)
        for key in odd:
            try:
                self._delete_one(bucket, key)
            except ModelArtsError as error:
                failed.append((key, error))
        return failed

    def _delete_one(self, bucket: str, key: str) -> None:
        operation = "delete obs://%s/%s" % (bucket, key)
        self._asking.ask(operation, lambda: self._client.deleteObject(bucket, key), allowed=(404,))

    def _delete(self, bucket: str, keys: Sequence[str]) -> Iterator[Tuple[str, Exception]]:
        from obs import DeleteObjectsRequest, Object

        wanted = DeleteObjectsRequest(quiet=True, objects=[Object(key) for key in keys])
        operation = "delete from obs://%s/" % bucket
        answer = self._asking.ask(
            operation, lambda: self._client.deleteObjects(bucket, wanted), wanted=("error",)
        )
        for failure in answer.body.error:
            if failure.code != "NoSuchKey":
                yield (
                    failure.key,
                    api_error(
                        failure.message or "refused",
                        status_code=answer.status,
                        error_code=failure.code,
                        request_id=answer.requestId,
                        operation=operation,
                    ),
                )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _abort_stale(self) -> None:
        with self._lock:
            looked, self._looked_for_stale = self._looked_for_stale, True
        if not looked:
            abort_stale(self._asking)


def _explained(answer: Any, other: Callable[[], Any]) -> Any:
    """Return the response to a HEAD; after a refusal without a reason, that to another request."""
    if answer.status != 403 or answer.errorCode:
        return answer
    explained = other()
    stream = getattr(explained.body, "response", None)
    if stream is not None:
        stream.close()
    return explained if explained.status == 403 else answer


def _unquoted(etag: Optional[str]) -> Optional[str]:
    return etag.strip('"') if etag else None


def _md5_of(body: Any) -> Optional[str]:
    etag = _unquoted(body.etag)
    return etag if is_md5(etag) and body.sseKms is None and body.sseC is None else None


def _from_header(text: Optional[str]) -> Optional[float]:
    parsed = parsedate_tz(text) if text else None
    return float(mktime_tz(parsed)) if parsed is not None else None


def _from_list(text: Optional[str]) -> Optional[float]:
    """Return a time of a list: in UTC, or made local and without zone by the client."""
    if not text:
        return None
    try:
        if "T" in text:
            return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
        # In summer time the client is wrong by an hour: it treats UTC as a local time.
        made = time.mktime(time.strptime(text, "%Y/%m/%d %H:%M:%S"))
        summer = time.localtime(made + time.timezone).tm_isdst > 0
        return made + (time.timezone - time.altzone if summer else 0)
    except ValueError:
        return None
