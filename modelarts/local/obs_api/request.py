"""The body, numbers and conditions of a request to the OBS API."""

from __future__ import annotations

import base64
import binascii
import os
import re
from typing import BinaryIO
from urllib.parse import unquote
from xml.etree import ElementTree

from werkzeug.http import parse_date

from modelarts.local.obs_api.auth import Asked, Refusal
from modelarts.local.obs_api.checksums import digests
from modelarts.local.obs_api.xml import missing
from modelarts.obs.crc64 import is_available

#: Bytes of an object that is sent in one piece, and of a part.
LARGEST = 5 * 1024**3
MOST_KEYS = 1000
MOST_PARTS = 10_000
#: The name of the header, without the prefix of the dialect.
CRC64 = "checksum-crc64ecma"
_LARGEST_XML = 1024 * 1024


class Sent:
    """The content of a request with a valid signature.

    Args:
        stream: the body, as far as it was received.
    """

    def __init__(self, asked: Asked, stream: BinaryIO) -> None:
        self.asked = asked
        self.query = {name: value or "" for name, value in asked.query.items()}
        self._stream = stream

    def body(self, crc64: str | None = None) -> tuple[BinaryIO, str]:
        """Return the whole body as a file, and its MD5 in hexadecimal digits.

        Args:
            crc64: the CRC-64 that it must have; None for any.

        Raises:
            Refusal: the body does not match the headers of the request.
        """
        asked = self.asked
        if "content-length" not in asked.headers:
            raise Refusal(411, "MissingContentLength", "Content-Length is missing.")
        body: BinaryIO = self._stream
        size = body.seek(0, os.SEEK_END)
        if asked.headers["content-length"] != str(size):
            raise Refusal(400, "IncompleteBody", "The body is not as long as was said.")
        if size > LARGEST:
            raise Refusal(400, "EntityTooLarge", "An object or a part may have 5 GB.")
        signed = self.signed_sha256()
        names = ["md5", *(["sha256"] if signed else []), *(["crc64"] if crc64 else [])]
        sums = dict(zip(names, digests(body, size, *names)))
        if sums.get("sha256") != signed:
            raise Refusal(400, "XAmzContentSHA256Mismatch", "The body is not the signed one.")
        if sums.get("crc64") != crc64:
            raise Refusal(400, "BadDigest", "The body's CRC-64 is not the one given.")
        value, md5 = asked.headers.get("content-md5"), sums["md5"]
        if value is not None:
            try:
                expected = base64.b64decode(value, validate=True).hex()
            except (binascii.Error, ValueError):
                expected = ""
            if len(expected) != 32:
                raise Refusal(400, "InvalidDigest", "Content-MD5 is no MD5 in base64.")
            if expected != md5:
                raise Refusal(400, "BadDigest", "The body's MD5 is not Content-MD5.")
        return body, md5

    def given_crc64(self) -> str | None:
        """Return the CRC-64 to verify, or None. Raise Refusal if it is invalid."""
        value = self.asked.own(CRC64)
        if value is None or not is_available():
            return None
        if not re.match(r"[0-9]{1,20}\Z", value):
            raise Refusal(400, "InvalidDigest", f"{CRC64} is no number.")
        return str(int(value))

    def checksum_header(self, crc64: str | None) -> dict[str, str]:
        """Return the header of a response with a CRC-64; empty if that is unknown."""
        return {} if crc64 is None else {self.asked.prefix + CRC64: crc64}

    def signed_sha256(self) -> str | None:
        """Return the signed checksum of the body, which only Signature Version 4 has."""
        value = self.asked.headers.get("x-amz-content-sha256", "")
        if self.asked.headers.get("authorization", "")[:4] != "AWS4" or value[:8] == "UNSIGNED":
            return None
        if value.startswith("STREAMING"):
            raise missing("a body that is signed in chunks")
        return value or None

    def read_xml(self, name: str) -> ElementTree.Element:
        """Return the body as XML with that root element. Raise Refusal if it is invalid."""
        if int(self.asked.headers.get("content-length") or 0) > _LARGEST_XML:
            raise Refusal(400, "EntityTooLarge", "The XML is larger than 1 MiB.")
        body, _ = self.body()
        text = body.read()
        try:
            if b"<!" in text or b"\0" in text:
                raise ValueError  # entities, other documents and UTF-16 are not accepted
            tree = ElementTree.fromstring(text)
        except (ElementTree.ParseError, ValueError, LookupError):
            raise Refusal(400, "MalformedXML", "The body is not the XML expected here.") from None
        for each in tree.iter():
            each.tag = each.tag.rpartition("}")[2]
        if tree.tag != name:
            raise Refusal(400, "MalformedXML", f"The body is no {name}.")
        return tree

    def number(self, name: str, minimum: int, maximum: int, default: int = MOST_KEYS) -> int:
        """Return a number in the query, at most ``maximum``. Raise Refusal if it is invalid."""
        value = self.query.get(name) or ("" if name == "partNumber" else str(default))
        if not re.match(r"[0-9]{1,9}\Z", value) or int(value) < minimum:
            raise Refusal(400, "InvalidArgument", f"{name} is no number from {minimum} on.")
        if name == "partNumber" and int(value) > maximum:
            raise Refusal(400, "InvalidArgument", f"{name} is at most {maximum}.")
        return min(int(value), maximum)

    def unmet(self, etag: str, modified: float) -> int | None:
        """Return the status for a condition of the request that is not met; None if all are."""
        headers = self.asked.headers
        match = headers.get("if-match")
        if match is not None and not _names_etag(match, etag):
            return 412
        since = headers.get("if-unmodified-since")
        if since is not None and int(modified) > (_time(since) or modified):
            return 412
        none = headers.get("if-none-match")
        if none is not None:
            return 304 if _names_etag(none, etag) else None
        since = headers.get("if-modified-since")
        if since is not None and int(modified) <= (_time(since) or 0):
            return 304
        return None


def _names_etag(condition: str, etag: str) -> bool:
    """Return True if a condition names this ETag; the official client sends quotes as ``%22``."""
    return condition.strip() == "*" or etag in re.findall("[0-9a-f]{32}", unquote(condition))


def _time(date: str) -> float | None:
    try:
        parsed = parse_date(date)
    except (OverflowError, IndexError):
        return None
    return None if parsed is None else parsed.timestamp()
