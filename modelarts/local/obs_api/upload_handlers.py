"""The calls of the OBS API about uploads in parts."""

from __future__ import annotations

import re
from typing import Callable, Iterable
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from modelarts.local.identity.authentication import Caller
from modelarts.local.identity.buckets import Access, BucketAccess
from modelarts.local.obs_api.auth import Refusal
from modelarts.local.obs_api.request import MOST_KEYS, MOST_PARTS, Sent
from modelarts.local.obs_api.storage import Objects
from modelarts.local.obs_api.xml import Names, iso, missing, xml


class UploadCalls:
    """A request about an upload in parts.

    Args:
        buckets: decides which buckets the caller reaches.
        has_bucket: returns True if a bucket or mount of a name exists, in upper or lower case.
        caller: the user that signed it, and the projects of the credentials.
        region: the region that is returned for all buckets.
    """

    def __init__(
        self,
        objects: Objects,
        buckets: BucketAccess,
        has_bucket: Callable[[str], bool],
        sent: Sent,
        caller: Caller,
        region: str,
    ) -> None:
        self._objects = objects
        self._buckets = buckets
        self._has_bucket = has_bucket
        self._sent = sent
        self._asked = sent.asked
        self._user = caller.user
        self._projects = [project.project_id for project in caller.projects]
        self._region = region
        self._bucket = sent.asked.bucket
        self._key = sent.asked.key

    def list_uploads(self) -> Response:
        """Return the uploads in parts that are not complete."""
        uploads = self._objects.uploads.list(self._bucket, self._sent.query.get("prefix", ""))
        after = (
            self._sent.query.get("key-marker", ""),
            self._sent.query.get("upload-id-marker", ""),
        )
        if after[0]:
            uploads = [
                upload
                for upload in uploads
                if upload.key.encode() > after[0].encode()
                or (upload.key == after[0] and after[1] and upload.upload_id > after[1])
            ]
        most = self._sent.number("max-uploads", 1, MOST_KEYS)
        shown = uploads[:most]
        named = self._names([upload.key for upload in uploads])
        inside = f"<Bucket>{escape(self._bucket)}</Bucket>{named.encoding}"
        inside += f"<MaxUploads>{most}</MaxUploads>"
        inside += f"<IsTruncated>{str(len(shown) < len(uploads)).lower()}</IsTruncated>"
        if len(shown) < len(uploads):
            inside += (
                f"<NextKeyMarker>{named.of(shown[-1].key)}</NextKeyMarker>"
                f"<NextUploadIdMarker>{shown[-1].upload_id}</NextUploadIdMarker>"
            )
        for upload in shown:
            inside += (
                f"<Upload><Key>{named.of(upload.key)}</Key><UploadId>{upload.upload_id}</UploadId>"
                f"{self._owner()}<StorageClass>STANDARD</StorageClass>"
                f"<Initiated>{iso(upload.began)}</Initiated></Upload>"
            )
        return xml("ListMultipartUploadsResult", inside)

    def begin_upload(self) -> Response:
        """Begin an upload in parts."""
        upload_id = self._objects.uploads.begin(self._bucket, self._key)
        return self._of_upload("InitiateMultipartUploadResult", upload_id)

    def put_part(self) -> Response:
        """Store a part."""
        folder = self._objects.uploads.find(self._bucket, self._key, self._sent.query["uploadId"])
        if self._asked.own("copy-source") is not None:
            raise missing("a part that is copied")
        number = self._sent.number("partNumber", 1, MOST_PARTS)
        crc64 = self._sent.given_crc64()
        body, etag = self._sent.body(crc64)
        self._objects.uploads.put_part(folder, number, body, etag)
        return Response(headers={"ETag": f'"{etag}"', **self._sent.checksum_header(crc64)})

    def list_parts(self) -> Response:
        """Return the stored parts."""
        upload_id = self._sent.query["uploadId"]
        folder = self._objects.uploads.find(self._bucket, self._key, upload_id)
        after = self._sent.number("part-number-marker", 0, MOST_PARTS, 0)
        most = self._sent.number("max-parts", 1, MOST_KEYS)
        parts = [part for part in self._objects.uploads.parts(folder) if part.number > after]
        shown = parts[:most]
        inside = f"<PartNumberMarker>{after}</PartNumberMarker><MaxParts>{most}</MaxParts>"
        if shown:
            inside += f"<NextPartNumberMarker>{shown[-1].number}</NextPartNumberMarker>"
        inside += f"<IsTruncated>{str(len(shown) < len(parts)).lower()}</IsTruncated>"
        for part in shown:
            inside += (
                f"<Part><PartNumber>{part.number}</PartNumber>"
                f"<LastModified>{iso(part.modified)}</LastModified>"
                f'<ETag>"{part.etag}"</ETag><Size>{part.size}</Size></Part>'
            )
        return self._of_upload("ListPartsResult", upload_id, inside)

    def complete_upload(self) -> Response:
        """Make an object of the parts."""
        folder = self._objects.uploads.find(self._bucket, self._key, self._sent.query["uploadId"])
        wanted, crc64 = [], self._sent.given_crc64()
        for part in self._sent.read_xml("CompleteMultipartUpload").findall("Part"):
            number, etag = part.findtext("PartNumber") or "", part.findtext("ETag") or ""
            if not re.match(r"[0-9]{1,5}\Z", number):
                raise Refusal(400, "MalformedXML", "A PartNumber is no number.")
            wanted.append((int(number), etag.strip().strip('"')))
        etag = self._objects.uploads.complete(self._bucket, self._key, folder, wanted, crc64)
        answer = self._of_upload("CompleteMultipartUploadResult", None, f'<ETag>"{etag}"</ETag>')
        answer.headers.update(self._sent.checksum_header(crc64))
        return answer

    def abort_upload(self) -> Response:
        """Delete the upload and its parts."""
        folder = self._objects.uploads.find(self._bucket, self._key, self._sent.query["uploadId"])
        self._objects.uploads.abort(folder)
        return Response(status=204)

    def _of_upload(self, name: str, upload_id: str | None, inside: str = "") -> Response:
        named = self._names([self._key])
        id_element = "" if upload_id is None else f"<UploadId>{upload_id}</UploadId>"
        about = f"<Bucket>{escape(self._bucket)}</Bucket><Key>{named.of(self._key)}</Key>"
        return xml(name, f"{named.encoding}{about}{id_element}{inside}")

    # Names ---------------------------------------------------------------------------------

    def _access(self, bucket: str) -> Access:
        return self._buckets.of(self._projects, bucket)

    def _names(self, names: Iterable[str], is_encoded: bool = False) -> Names:
        return Names(is_encoded or self._sent.query.get("encoding-type") == "url", names)

    def _owner(self) -> str:
        name = escape(self._user.name)
        return f"<Owner><ID>{self._user.user_id}</ID><DisplayName>{name}</DisplayName></Owner>"
