"""The calls of the OBS API."""

from __future__ import annotations

import os
from email.utils import formatdate
from typing import Any, Callable, cast
from urllib.parse import unquote, unquote_plus
from xml.sax.saxutils import escape

from waitress.buffers import ReadOnlyFileBasedBuffer
from werkzeug.datastructures import Range
from werkzeug.http import parse_range_header
from werkzeug.wrappers import Response

from modelarts._internal.clock import Clock
from modelarts.errors import ApiError
from modelarts.local.identity.buckets import Access
from modelarts.local.obs_api.auth import SUBRESOURCES, Refusal
from modelarts.local.obs_api.checksums import digests
from modelarts.local.obs_api.request import MOST_KEYS
from modelarts.local.obs_api.span import Span
from modelarts.local.obs_api.upload_handlers import UploadCalls
from modelarts.local.obs_api.xml import as_refusal, iso, missing, xml

_NOT_KEPT = ("meta-", "server-side-encryption", "website-redirect-location", "tagging", "expires")
_CONDITIONS = {"if-match", "if-none-match"}
_ALLOWED_ACL = (None, "private", "bucket-owner-full-control")
#: The calls by method and subresource, with the access to the bucket that they need.
_MODES = {
    ("GET", ""): ("list_objects", Access.READ),
    ("PUT", ""): ("create_bucket", Access.NONE),
    ("HEAD", ""): ("head_bucket", Access.READ),
    ("DELETE", ""): ("delete_bucket", Access.OWN),
    ("POST", "delete"): ("delete_objects", Access.WRITE),
    ("GET", "uploads"): ("list_uploads", Access.WRITE),
}
_OBJECT_MODES = {
    ("GET", ""): ("get_object", Access.READ),
    ("HEAD", ""): ("get_object", Access.READ),
    ("PUT", ""): ("put_object", Access.WRITE),
    ("DELETE", ""): ("delete_object", Access.WRITE),
    ("POST", "uploads"): ("begin_upload", Access.WRITE),
    ("PUT", "partNumber uploadId"): ("put_part", Access.WRITE),
    ("GET", "uploadId"): ("list_parts", Access.WRITE),
    ("POST", "uploadId"): ("complete_upload", Access.WRITE),
    ("DELETE", "uploadId"): ("abort_upload", Access.WRITE),
}


class Call(UploadCalls):
    """A request with a valid signature."""

    def answer(self) -> Response:
        """Return the response of the call. Raises Refusal."""
        asked = self._asked
        self._refuse_what_is_not_kept()
        wanted = " ".join(sorted(SUBRESOURCES & set(asked.query)))
        if self._key and not self._bucket:
            raise Refusal(400, "InvalidBucketName", "The path has no bucket.")
        if not self._bucket:
            modes = {("GET", ""): ("list_buckets", Access.NONE)}
        else:
            modes = _OBJECT_MODES if self._key else _MODES
        mode, needed = modes.get((asked.method, wanted), ("", Access.NONE))
        if not mode:
            raise missing(f"{asked.method}{' ?' if wanted else ''}{wanted}")
        call: Callable[[], Response] = getattr(self, mode)
        if mode in ("create_bucket", "delete_bucket"):
            # With the record of its owner, so that no other call comes in between.
            with self._objects.locks.changing():
                return self._checked(mode, needed, call)
        if needed >= Access.WRITE:
            with self._objects.locks.writing(self._bucket):
                return self._checked(mode, needed, call)
        return self._checked(mode, needed, call)

    def _checked(self, mode: str, needed: Access, call: Callable[[], Response]) -> Response:
        if self._bucket and mode != "create_bucket":
            self._check_bucket(self._bucket, needed)
        return call()

    def _check_bucket(self, bucket: str, needed: Access) -> None:
        self._objects.check_bucket(bucket)
        if self._access(bucket) < needed:
            raise Refusal(
                403,
                "AccessDenied",
                "The bucket belongs to another project, and is not shared with the caller's for "
                "this.",
            )

    def _refuse_what_is_not_kept(self) -> None:
        asked = self._asked
        for name in asked.headers:
            rest = name[len(asked.prefix) :] if name.startswith(asked.prefix) else ""
            if rest.startswith(_NOT_KEPT) and asked.method != "GET":
                raise missing(f"the header {name}")
        if asked.method not in ("GET", "HEAD") and _CONDITIONS & set(asked.headers):
            raise missing("writing on a condition")
        if asked.own("acl") not in _ALLOWED_ACL:
            raise missing("access for others")

    # Buckets -------------------------------------------------------------------------------

    def list_buckets(self) -> Response:
        """Return the buckets that the caller can read."""
        inside = "".join(
            f"<Bucket><Name>{escape(name)}</Name><CreationDate>{iso(made)}</CreationDate>"
            f"<Location>{self._region}</Location><BucketType>OBJECT</BucketType></Bucket>"
            for name, made in self._objects.buckets()
            if self._access(name) >= Access.READ
        )
        return xml("ListAllMyBucketsResult", f"{self._owner()}<Buckets>{inside}</Buckets>")

    def create_bucket(self) -> Response:
        """Make a bucket, which belongs to the first project of the credentials."""
        taken = Refusal(409, "BucketAlreadyExists", "The name is another project's bucket.")
        owner, is_open = self._buckets.owner(self._bucket), self._buckets.is_open
        if not is_open and not self._projects:
            raise Refusal(403, "AccessDenied", "The credentials are for no project.")
        if not is_open and owner is not None and owner not in self._projects:
            raise taken
        reaches = owner is not None or self._access(self._bucket) is Access.OWN
        # An existing folder or mount, whose name may differ in case, must not get a new owner.
        if not reaches and self._has_bucket(self._bucket):
            raise taken
        try:
            self._objects.create_bucket(self._bucket)
        except Refusal as refusal:
            if refusal.status == 409 and self._access(self._bucket) < Access.OWN:
                raise taken from None
            raise
        if owner is None and self._projects:
            try:
                is_own = self._buckets.claim(self._bucket, self._projects[0])
            except BaseException:
                self._objects.delete_bucket(self._bucket)
                raise
            if not is_own and not is_open:  # a job of another project was faster
                self._objects.delete_bucket(self._bucket)
                raise taken
        return Response(headers={"Location": "/" + self._bucket})

    def head_bucket(self) -> Response:
        """Confirm that the bucket exists."""
        return Response(headers={self._asked.prefix + "bucket-location": self._region})

    def delete_bucket(self) -> Response:
        """Delete the bucket."""
        self._objects.delete_bucket(self._bucket)
        self._buckets.release(self._bucket)
        return Response(status=204)

    def list_objects(self) -> Response:
        """Return a page of objects."""
        if self._sent.query.get("list-type", "1") != "1":
            raise missing("list-type=2")
        names = ("prefix", "marker", "delimiter")
        prefix, marker, delimiter = (self._sent.query.get(name, "") for name in names)
        most = self._sent.number("max-keys", 0, MOST_KEYS)
        page = self._objects.page(self._bucket, prefix, marker, delimiter, most)
        shown = [prefix, marker, delimiter, page.next or "", *page.prefixes]
        named = self._names([*shown, *(info.key for info in page.objects)])
        inside = f"<Name>{escape(self._bucket)}</Name>{named.encoding}"
        for tag, value in (("Prefix", prefix), ("Marker", marker), ("Delimiter", delimiter)):
            inside += f"<{tag}>{named.of(value)}</{tag}>" if value or tag != "Delimiter" else ""
        inside += f"<MaxKeys>{most}</MaxKeys>"
        if page.next is None:
            inside += "<IsTruncated>false</IsTruncated>"
        else:
            inside += "<IsTruncated>true</IsTruncated>"
            inside += f"<NextMarker>{named.of(page.next)}</NextMarker>"
        for info in page.objects:
            etag = "" if info.etag is None else f'<ETag>"{info.etag}"</ETag>'
            inside += (
                f"<Contents><Key>{named.of(info.key)}</Key>"
                f"<LastModified>{iso(info.modified)}</LastModified>{etag}<Size>{info.size}</Size>"
                f"{self._owner()}<StorageClass>STANDARD</StorageClass></Contents>"
            )
        for each in page.prefixes:
            inside += f"<CommonPrefixes><Prefix>{named.of(each)}</Prefix></CommonPrefixes>"
        return xml("ListBucketResult", inside)

    def delete_objects(self) -> Response:
        """Delete several objects."""
        # In OBS's own signature only this header protects the body.
        if "content-md5" not in self._asked.headers and not self._sent.signed_sha256():
            raise Refusal(400, "InvalidRequest", "Content-MD5 is missing.")
        tree = self._sent.read_xml("Delete")
        is_encoded = tree.findtext("EncodingType") == "url"
        names = [element.findtext("Key") or "" for element in tree.findall("Object")]
        if not 1 <= len(names) <= MOST_KEYS:
            raise Refusal(400, "MalformedXML", "1 to 1000 objects are expected.")
        if any(element.find("VersionId") is not None for element in tree):
            raise missing("versions")
        keys = [unquote_plus(element) for element in names] if is_encoded else names
        failed = dict(self._objects.delete(self._bucket, keys))
        named = self._names(keys, is_encoded)
        inside = named.encoding
        for key in keys:
            error = failed.get(key)
            if isinstance(error, ApiError):
                refusal = as_refusal(error)
                inside += (
                    f"<Error><Key>{named.of(key)}</Key><Code>{refusal.code}</Code>"
                    f"<Message>{escape(refusal.message)}</Message></Error>"
                )
            elif tree.findtext("Quiet") != "true":
                inside += f"<Deleted><Key>{named.of(key)}</Key></Deleted>"
        return xml("DeleteResult", inside)

    # Objects -------------------------------------------------------------------------------

    def get_object(self) -> Response:
        """Return the object, a part of it, or for HEAD its metadata."""
        file = self._objects.open(self._bucket, self._key)
        try:
            sums, state = self._objects.etags.of(file)
            headers = {
                "ETag": f'"{sums.md5}"',
                **self._sent.checksum_header(sums.crc64 or None),
                "Last-Modified": formatdate(state.st_mtime, usegmt=True),
                "Accept-Ranges": "bytes",
                "Content-Type": "binary/octet-stream",
            }
            status = self._sent.unmet(sums.md5, state.st_mtime)
            if status == 304:
                file.close()
                return Response(status=304, headers=headers)
            if status == 412:
                raise Refusal(412, "PreconditionFailed", "The object is another one.")
            start, stop = 0, state.st_size
            ranged = parse_range_header(self._asked.headers.get("range"))
            if ranged is not None and ranged.units == "bytes" and len(ranged.ranges) == 1:
                requested = Range("bytes", [_from_start(*ranged.ranges[0], state.st_size)])
                span = requested.range_for_length(state.st_size)
                if span is None:
                    raise Refusal(416, "InvalidRange", "The object has no such bytes.")
                start, stop = span
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{state.st_size}"
            headers["Content-Length"] = str(stop - start)
            status = 206 if "Content-Range" in headers else 200
            # A file that waitress sends by itself: a client that reads slowly, or not at all, takes
            # no thread from others.
            content: Any = ReadOnlyFileBasedBuffer(cast(Any, Span(file, start, stop)))
            answer = Response(content, status, headers, direct_passthrough=True)
        except BaseException:
            file.close()
            raise
        answer.call_on_close(file.close)
        return answer

    def put_object(self) -> Response:
        """Store the object."""
        if self._asked.own("copy-source") is not None:
            return self._copy()
        crc64 = self._sent.given_crc64()
        body, etag = self._sent.body(crc64)
        if self._key.endswith("/") and body.seek(0, os.SEEK_END) == 0:
            self._objects.make_folder(self._bucket, self._key)
        else:
            self._objects.put(body, self._bucket, self._key)
        return Response(headers={"ETag": f'"{etag}"', **self._sent.checksum_header(crc64)})

    def delete_object(self) -> Response:
        """Delete the object."""
        for _, error in self._objects.delete(self._bucket, [self._key]):
            raise error
        return Response(status=204)

    def _copy(self) -> Response:
        header = self._asked.own("copy-source") or ""
        path, _, version = header.partition("?")
        try:
            bucket, _, key = unquote(path, errors="strict").lstrip("/").partition("/")
        except ValueError:
            key = ""
        if version or not key:
            raise Refusal(400, "InvalidArgument", "The source of a copy is /bucket/object.")
        if [name for name in self._asked.headers if "copy-source-" in name]:
            raise missing("a copy with conditions")
        self._check_bucket(bucket, Access.READ)
        with self._objects.open(bucket, key) as source:
            (etag,) = digests(source, os.fstat(source.fileno()).st_size, "md5")
            if (bucket, key) != (self._bucket, self._key):
                self._objects.put(source, self._bucket, self._key)
        modified = iso(Clock().time())
        inside = f'<LastModified>{modified}</LastModified><ETag>"{etag}"</ETag>'
        return xml("CopyObjectResult", inside)


def _from_start(start: int, stop: int | None, size: int) -> tuple[int, int | None]:
    """Return the range of the last bytes of an object; the whole object if it is shorter."""
    return (max(0, size + start), None) if start < 0 else (start, stop)
