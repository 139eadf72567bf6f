"""OBS's API over the folder that stands for OBS, as far as clients need it for files.

It knows buckets, objects and uploads in parts. What else OBS has (access control lists, versions,
metadata of one's own, …) is refused with ``NotImplemented``, so that nobody relies on it.

Source: *OBS API Reference*, "APIs".
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import re
import uuid
from datetime import datetime, timezone
from email.utils import formatdate
from typing import TYPE_CHECKING, BinaryIO, Iterable, Iterator, Mapping
from urllib.parse import quote, unquote, unquote_plus
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from werkzeug.http import parse_date, parse_etags, parse_range_header
from werkzeug.wrappers import Request, Response

from modelarts.clock import Clock
from modelarts.errors import ApiError
from modelarts.local.authentication import Authentication
from modelarts.local.failures import GatewayFailure
from modelarts.local.guard import check_names
from modelarts.local.headers import COMMON
from modelarts.local.limits import Rate
from modelarts.local.objects import Objects, digests
from modelarts.local.objects_auth import SUBRESOURCES, Asked, Refusal, signer_of
from modelarts.local.reach import Reach
from modelarts.local.users import User

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["LARGEST", "ObjectsApi"]

_LOG = logging.getLogger("modelarts.local")
#: Bytes of an object that is sent in one piece, and of a part.
LARGEST = 5 * 1024**3
_LARGEST_XML = 1024 * 1024
_MOST_KEYS = 1000
_MOST_PARTS = 10_000
_BLOCK = 256 * 1024
#: What XML 1.0 cannot hold.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_KEPT = ("meta-", "server-side-encryption", "website-redirect-location", "tagging", "expires")
_ALLOWED_ACL = (None, "private", "bucket-owner-full-control")
_MODES = {
    ("GET", ""): "list_objects",
    ("PUT", ""): "create_bucket",
    ("HEAD", ""): "head_bucket",
    ("DELETE", ""): "delete_bucket",
    ("POST", "delete"): "delete_objects",
    ("GET", "uploads"): "list_uploads",
}
_OBJECT_MODES = {
    ("GET", ""): "get_object",
    ("HEAD", ""): "get_object",
    ("PUT", ""): "put_object",
    ("DELETE", ""): "delete_object",
    ("POST", "uploads"): "begin_upload",
    ("PUT", "partNumber uploadId"): "put_part",
    ("GET", "uploadId"): "list_parts",
    ("POST", "uploadId"): "complete_upload",
    ("DELETE", "uploadId"): "abort_upload",
}


class ObjectsApi:
    """The WSGI application.

    Args:
        rate: how often a user, and all that are none from one address, may call.
    """

    def __init__(
        self,
        objects: Objects,
        authentication: Authentication,
        reach: Reach,
        rate: Rate,
        clock: Clock,
    ) -> None:
        self._objects = objects
        self._authentication = authentication
        self._reach = reach
        self._rate = rate
        self._clock = clock

    def admits(self, method: str, target: str, headers: Mapping[str, str]) -> bool:
        """Whether the body of a request is worth keeping, seen from its head."""
        try:
            signer_of(Asked.of(method, target, headers), self._authentication, self._clock.time())
        except Refusal:
            return False
        return True

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request_id = uuid.uuid4().hex.upper()
        request = Request(environ)
        amazon = request.headers.get("Authorization", "").startswith("AWS")
        prefix = "x-amz-" if amazon else "x-obs-"
        try:
            answer = self._answer(request)
        except Refusal as refusal:
            answer = _refused(refusal, request_id)
        except ApiError as error:
            answer = _refused(_as_refusal(error), request_id)
        except Exception:
            _LOG.exception("request %s: internal error", request_id)
            answer = _refused(Refusal(500, "InternalError", "Internal error."), request_id)
        if answer.status_code >= 400:
            _LOG.info(
                "OBS request %s: %s %s from %s: HTTP %d",
                request_id,
                ascii(request.method)[1:-1][:20],
                ascii(request.path)[1:-1][:200],
                request.remote_addr,
                answer.status_code,
            )
        answer.headers.extend([(prefix + "request-id", request_id), *COMMON])
        return answer(environ, start_response)

    def _answer(self, request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        target = str(request.environ.get("REQUEST_URI", "/"))
        asked = Asked.of(request.method, target, headers)
        try:
            check_names(request, self._reach, asked.host)
        except GatewayFailure as failure:
            raise Refusal(failure.status, "AccessDenied", failure.message) from None
        if asked.method == "HEAD" and not asked.key and "apiversion" in asked.query:
            # The official client asks, unsigned, in which way to sign.
            return Response(headers={"x-obs-api": "3.0"})
        try:
            user = signer_of(asked, self._authentication, self._clock.time())
        except Refusal:
            self._count(f"address {request.remote_addr}")
            raise
        self._count(f"user {user.user_id}")
        call = _Call(self._objects, asked, user, request, self._authentication.users().region_name)
        return call.answer()

    def _count(self, who: str) -> None:
        if self._rate.take(who):
            raise Refusal(503, "SlowDown", "Too many calls; reduce your request rate.")


class _Call:
    """One request that is well signed."""

    def __init__(
        self, objects: Objects, asked: Asked, user: User, request: Request, region: str
    ) -> None:
        self._objects = objects
        self._asked = asked
        self._query = {name: value or "" for name, value in asked.query.items()}
        self._user = user
        self._request = request
        self._region = region
        self._bucket = asked.bucket
        self._key = asked.key

    def answer(self) -> Response:
        """What is answered. Raises Refusal."""
        asked = self._asked
        self._refuse_what_is_not_kept()
        wanted = " ".join(sorted(SUBRESOURCES & set(asked.query)))
        if not self._bucket:
            mode = "list_buckets" if (asked.method, wanted) == ("GET", "") else None
        else:
            mode = (_OBJECT_MODES if self._key else _MODES).get((asked.method, wanted))
        if mode is None:
            raise _missing(f"{asked.method}{' ?' if wanted else ''}{wanted}")
        if self._bucket and mode != "create_bucket":
            self._objects.check_bucket(self._bucket)
        answer: Response = getattr(self, mode)()
        return answer

    def _refuse_what_is_not_kept(self) -> None:
        asked = self._asked
        for name in asked.headers:
            rest = name[len(asked.prefix) :] if name.startswith(asked.prefix) else ""
            if rest.startswith(_NOT_KEPT) and asked.method != "GET":
                raise _missing(f"the header {name}")
        if asked.own("acl") not in _ALLOWED_ACL:
            raise _missing("access for others")

    # Buckets -------------------------------------------------------------------------------

    def list_buckets(self) -> Response:
        inside = "".join(
            f"<Bucket><Name>{escape(name)}</Name><CreationDate>{_iso(made)}</CreationDate>"
            f"<Location>{self._region}</Location><BucketType>OBJECT</BucketType></Bucket>"
            for name, made in self._objects.buckets()
        )
        return _xml("ListAllMyBucketsResult", f"{self._owner()}<Buckets>{inside}</Buckets>")

    def create_bucket(self) -> Response:
        self._objects.create_bucket(self._bucket)
        return Response(headers={"Location": "/" + self._bucket})

    def head_bucket(self) -> Response:
        return Response(headers={self._asked.prefix + "bucket-location": self._region})

    def delete_bucket(self) -> Response:
        self._objects.delete_bucket(self._bucket)
        return Response(status=204)

    def list_objects(self) -> Response:
        if self._query.get("list-type", "1") != "1":
            raise _missing("list-type=2")
        names = ("prefix", "marker", "delimiter")
        prefix, marker, delimiter = (self._query.get(name, "") for name in names)
        most = self._number("max-keys", 0, _MOST_KEYS)
        page = self._objects.page(self._bucket, prefix, marker, delimiter, most)
        shown = [prefix, marker, delimiter, page.next or "", *page.prefixes]
        named = self._names([*shown, *(one.key for one in page.objects)])
        inside = f"<Name>{escape(self._bucket)}</Name>{named.told}"
        for tag, value in (("Prefix", prefix), ("Marker", marker), ("Delimiter", delimiter)):
            inside += f"<{tag}>{named.of(value)}</{tag}>" if value or tag != "Delimiter" else ""
        inside += f"<MaxKeys>{most}</MaxKeys>"
        if page.next is None:
            inside += "<IsTruncated>false</IsTruncated>"
        else:
            inside += "<IsTruncated>true</IsTruncated>"
            inside += f"<NextMarker>{named.of(page.next)}</NextMarker>"
        for one in page.objects:
            etag = "" if one.etag is None else f'<ETag>"{one.etag}"</ETag>'
            inside += (
                f"<Contents><Key>{named.of(one.key)}</Key>"
                f"<LastModified>{_iso(one.modified)}</LastModified>{etag}<Size>{one.size}</Size>"
                f"{self._owner()}<StorageClass>STANDARD</StorageClass></Contents>"
            )
        for each in page.prefixes:
            inside += f"<CommonPrefixes><Prefix>{named.of(each)}</Prefix></CommonPrefixes>"
        return _xml("ListBucketResult", inside)

    def delete_objects(self) -> Response:
        # In OBS's own way a body is signed by this header alone.
        if "content-md5" not in self._asked.headers and not self._signed_sha256():
            raise Refusal(400, "InvalidRequest", "Content-MD5 is missing.")
        tree = self._read_xml("Delete")
        is_encoded = tree.findtext("EncodingType") == "url"
        given = [one.findtext("Key") or "" for one in tree.findall("Object")]
        if not 1 <= len(given) <= _MOST_KEYS or any(one.find("VersionId") for one in tree):
            raise Refusal(400, "MalformedXML", "1 to 1000 objects without versions are expected.")
        keys = [unquote_plus(one) for one in given] if is_encoded else given
        failed = dict(self._objects.delete(self._bucket, keys))
        named = self._names(keys, is_encoded)
        inside = named.told
        for key in keys:
            error = failed.get(key)
            if isinstance(error, ApiError):
                refusal = _as_refusal(error)
                inside += (
                    f"<Error><Key>{named.of(key)}</Key><Code>{refusal.code}</Code>"
                    f"<Message>{escape(refusal.message)}</Message></Error>"
                )
            elif tree.findtext("Quiet") != "true":
                inside += f"<Deleted><Key>{named.of(key)}</Key></Deleted>"
        return _xml("DeleteResult", inside)

    def list_uploads(self) -> Response:
        uploads = self._objects.uploads(self._bucket, self._query.get("prefix", ""))
        after = (self._query.get("key-marker", ""), self._query.get("upload-id-marker", ""))
        if after[0]:
            uploads = [
                one
                for one in uploads
                if one.key.encode() > after[0].encode()
                or (one.key == after[0] and after[1] and one.upload_id > after[1])
            ]
        most = self._number("max-uploads", 1, _MOST_KEYS)
        shown = uploads[:most]
        named = self._names([one.key for one in uploads])
        inside = f"<Bucket>{escape(self._bucket)}</Bucket>{named.told}"
        inside += f"<MaxUploads>{most}</MaxUploads>"
        inside += f"<IsTruncated>{str(len(shown) < len(uploads)).lower()}</IsTruncated>"
        if len(shown) < len(uploads):
            inside += (
                f"<NextKeyMarker>{named.of(shown[-1].key)}</NextKeyMarker>"
                f"<NextUploadIdMarker>{shown[-1].upload_id}</NextUploadIdMarker>"
            )
        for one in shown:
            inside += (
                f"<Upload><Key>{named.of(one.key)}</Key><UploadId>{one.upload_id}</UploadId>"
                f"{self._owner()}<StorageClass>STANDARD</StorageClass>"
                f"<Initiated>{_iso(one.began)}</Initiated></Upload>"
            )
        return _xml("ListMultipartUploadsResult", inside)

    # Objects -------------------------------------------------------------------------------

    def get_object(self) -> Response:
        file = self._objects.open(self._bucket, self._key)
        try:
            etag, state = self._objects.etags.of(file)
            headers = {
                "ETag": f'"{etag}"',
                "Last-Modified": formatdate(state.st_mtime, usegmt=True),
                "Accept-Ranges": "bytes",
                "Content-Type": "binary/octet-stream",
            }
            status = self._unmet(etag, state.st_mtime)
            if status == 304:
                file.close()
                return Response(status=304, headers=headers)
            if status == 412:
                raise Refusal(412, "PreconditionFailed", "The object is another one.")
            start, stop = 0, state.st_size
            ranged = parse_range_header(self._asked.headers.get("range"))
            if ranged is not None and ranged.units == "bytes" and len(ranged.ranges) == 1:
                found = ranged.range_for_length(state.st_size)
                if found is None:
                    raise Refusal(416, "InvalidRange", "The object has no such bytes.")
                start, stop = found
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{state.st_size}"
            headers["Content-Length"] = str(stop - start)
            status = 206 if "Content-Range" in headers else 200
            answer = Response(_blocks(file, start, stop), status, headers)
        except BaseException:
            file.close()
            raise
        answer.call_on_close(file.close)
        return answer

    def put_object(self) -> Response:
        if self._asked.own("copy-source") is not None:
            return self._copy()
        body, etag = self._body()
        self._objects.put(body, self._bucket, self._key)
        return Response(headers={"ETag": f'"{etag}"'})

    def delete_object(self) -> Response:
        for _, error in self._objects.delete(self._bucket, [self._key]):
            raise error
        return Response(status=204)

    def _copy(self) -> Response:
        given = self._asked.own("copy-source") or ""
        path, _, version = given.partition("?")
        try:
            bucket, _, key = unquote(path, errors="strict").lstrip("/").partition("/")
        except ValueError:
            key = ""
        if version or not key:
            raise Refusal(400, "InvalidArgument", "The source of a copy is /bucket/object.")
        if [name for name in self._asked.headers if "copy-source-" in name]:
            raise _missing("a copy with conditions")
        self._objects.check_bucket(bucket)
        with self._objects.open(bucket, key) as source:
            (etag,) = digests(source, os.fstat(source.fileno()).st_size, "md5")
            if (bucket, key) != (self._bucket, self._key):
                self._objects.put(source, self._bucket, self._key)
        modified = _iso(Clock().time())
        inside = f'<LastModified>{modified}</LastModified><ETag>"{etag}"</ETag>'
        return _xml("CopyObjectResult", inside)

    # Uploads in parts ----------------------------------------------------------------------

    def begin_upload(self) -> Response:
        upload_id = self._objects.begin(self._bucket, self._key)
        return self._of_upload("InitiateMultipartUploadResult", upload_id)

    def put_part(self) -> Response:
        folder = self._objects.upload(self._bucket, self._key, self._query["uploadId"])
        if self._asked.own("copy-source") is not None:
            raise _missing("a part that is copied")
        number = self._number("partNumber", 1, _MOST_PARTS)
        body, etag = self._body()
        self._objects.put_part(folder, number, body, etag)
        return Response(headers={"ETag": f'"{etag}"'})

    def list_parts(self) -> Response:
        upload_id = self._query["uploadId"]
        folder = self._objects.upload(self._bucket, self._key, upload_id)
        after = self._number("part-number-marker", 0, _MOST_PARTS, 0)
        most = self._number("max-parts", 1, _MOST_KEYS)
        parts = [part for part in self._objects.parts(folder) if part.number > after]
        shown = parts[:most]
        inside = f"<PartNumberMarker>{after}</PartNumberMarker><MaxParts>{most}</MaxParts>"
        if shown:
            inside += f"<NextPartNumberMarker>{shown[-1].number}</NextPartNumberMarker>"
        inside += f"<IsTruncated>{str(len(shown) < len(parts)).lower()}</IsTruncated>"
        for part in shown:
            inside += (
                f"<Part><PartNumber>{part.number}</PartNumber>"
                f"<LastModified>{_iso(part.modified)}</LastModified>"
                f'<ETag>"{part.etag}"</ETag><Size>{part.size}</Size></Part>'
            )
        return self._of_upload("ListPartsResult", upload_id, inside)

    def complete_upload(self) -> Response:
        folder = self._objects.upload(self._bucket, self._key, self._query["uploadId"])
        wanted = []
        for part in self._read_xml("CompleteMultipartUpload").findall("Part"):
            number, etag = part.findtext("PartNumber") or "", part.findtext("ETag") or ""
            if not re.match(r"[0-9]{1,5}\Z", number):
                raise Refusal(400, "MalformedXML", "A PartNumber is no number.")
            wanted.append((int(number), etag.strip().strip('"')))
        etag = self._objects.complete(self._bucket, self._key, folder, wanted)
        return self._of_upload("CompleteMultipartUploadResult", None, f'<ETag>"{etag}"</ETag>')

    def abort_upload(self) -> Response:
        folder = self._objects.upload(self._bucket, self._key, self._query["uploadId"])
        self._objects.abort(folder)
        return Response(status=204)

    def _of_upload(self, name: str, upload_id: str | None, inside: str = "") -> Response:
        named = self._names([self._key])
        told = "" if upload_id is None else f"<UploadId>{upload_id}</UploadId>"
        about = f"<Bucket>{escape(self._bucket)}</Bucket><Key>{named.of(self._key)}</Key>"
        return _xml(name, f"{named.told}{about}{told}{inside}")

    # What was sent, and how things are named ------------------------------------------------

    def _body(self) -> tuple[BinaryIO, str]:
        """The whole body as a file, and its MD5 in hexadecimal digits. Raises Refusal."""
        asked = self._asked
        if "content-length" not in asked.headers:
            raise Refusal(411, "MissingContentLength", "Content-Length is missing.")
        body: BinaryIO = self._request.environ["wsgi.input"]
        size = body.seek(0, os.SEEK_END)
        if asked.headers["content-length"] != str(size):
            raise Refusal(400, "IncompleteBody", "The body is not as long as was said.")
        if size > LARGEST:
            raise Refusal(400, "EntityTooLarge", "An object or a part may have 5 GB.")
        md5, *sha256 = digests(body, size, "md5", *(["sha256"] if self._signed_sha256() else []))
        if sha256 and sha256[0] != self._signed_sha256():
            raise Refusal(400, "XAmzContentSHA256Mismatch", "The body is not the signed one.")
        given = asked.headers.get("content-md5")
        if given is not None:
            try:
                expected = base64.b64decode(given, validate=True).hex()
            except (binascii.Error, ValueError):
                expected = ""
            if len(expected) != 32:
                raise Refusal(400, "InvalidDigest", "Content-MD5 is no MD5 in base64.")
            if expected != md5:
                raise Refusal(400, "BadDigest", "The body's MD5 is not Content-MD5.")
        return body, md5

    def _signed_sha256(self) -> str | None:
        """The checksum of the body that is signed; there with Signature Version 4 only."""
        given = self._asked.headers.get("x-amz-content-sha256", "")
        if self._asked.headers.get("authorization", "")[:4] != "AWS4" or given[:8] == "UNSIGNED":
            return None
        if given.startswith("STREAMING"):
            raise _missing("a body that is signed in chunks")
        return given or None

    def _read_xml(self, name: str) -> ElementTree.Element:
        if int(self._asked.headers.get("content-length") or 0) > _LARGEST_XML:
            raise Refusal(400, "EntityTooLarge", "The XML is larger than 1 MiB.")
        body, _ = self._body()
        text = body.read()
        try:
            if b"<!" in text:
                raise ValueError  # no entities, no other documents
            tree = ElementTree.fromstring(text)
        except (ElementTree.ParseError, ValueError, LookupError):
            raise Refusal(400, "MalformedXML", "The body is not the XML expected here.") from None
        for each in tree.iter():
            each.tag = each.tag.rpartition("}")[2]
        if tree.tag != name:
            raise Refusal(400, "MalformedXML", f"The body is no {name}.")
        return tree

    def _number(self, name: str, least: int, most: int, default: int = _MOST_KEYS) -> int:
        given = self._query.get(name) or str(default)
        if not re.match(r"[0-9]{1,9}\Z", given) or int(given) < least:
            raise Refusal(400, "InvalidArgument", f"{name} is no number from {least} on.")
        if name == "partNumber" and int(given) > most:
            raise Refusal(400, "InvalidArgument", f"{name} is at most {most}.")
        return min(int(given), most)

    def _names(self, names: Iterable[str], is_encoded: bool = False) -> _Names:
        encoded = is_encoded or self._query.get("encoding-type") == "url"
        return _Names(encoded or any(_NO_XML.search(name) for name in names))

    def _owner(self) -> str:
        name = escape(self._user.name)
        return f"<Owner><ID>{self._user.user_id}</ID><DisplayName>{name}</DisplayName></Owner>"

    def _unmet(self, etag: str, modified: float) -> int | None:
        """The status where a condition of the request is not met."""
        headers = self._asked.headers
        match = headers.get("if-match")
        if match is not None and not parse_etags(match).contains(etag) and match != etag:
            return 412
        since = headers.get("if-unmodified-since")
        if since is not None and int(modified) > (_time(since) or modified):
            return 412
        none = headers.get("if-none-match")
        if none is not None:
            return 304 if parse_etags(none).contains(etag) or none == etag else None
        since = headers.get("if-modified-since")
        if since is not None and int(modified) <= (_time(since) or 0):
            return 304
        return None


class _Names:
    """How keys are written in an answer."""

    def __init__(self, is_encoded: bool) -> None:
        self._is_encoded = is_encoded
        self.told = "<EncodingType>url</EncodingType>" if is_encoded else ""

    def of(self, name: str) -> str:
        return quote(name, safe="/") if self._is_encoded else escape(name)


def _blocks(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    file.seek(start)
    while start < stop:
        block = file.read(min(_BLOCK, stop - start))
        if not block:
            return  # shorter by now: the connection is closed before the end
        start += len(block)
        yield block


def _xml(name: str, inside: str) -> Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}>{inside}</{name}>'
    return Response(text.encode(), content_type="application/xml")


def _refused(refusal: Refusal, request_id: str) -> Response:
    answer = _xml(
        "Error",
        f"<Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>"
        f"<RequestId>{request_id}</RequestId>",
    )
    answer.status_code = refusal.status
    return answer


def _as_refusal(error: ApiError) -> Refusal:
    said = _NO_XML.sub("?", error.error_msg)
    return Refusal(error.status_code, error.error_code or "InternalError", said)


def _missing(what: str) -> Refusal:
    return Refusal(501, "NotImplemented", f"The local service does not know {what}.")


def _iso(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%dT%H:%M:%S}.000Z"


def _time(date: str) -> float | None:
    found = parse_date(date)
    return None if found is None else found.timestamp()
