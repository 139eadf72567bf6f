"""Signatures of the OBS API: in OBS's own form, and in those of S3.

Source: *OBS API Reference*, "Authentication of Signature in a Header"; *Amazon S3 API Reference*,
"Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from calendar import timegm
from email.utils import parsedate_to_datetime
from time import gmtime, strftime, strptime
from typing import Mapping
from urllib.parse import quote, unquote

import attr

from modelarts.local.errors import GatewayFailure
from modelarts.local.identity.authentication import Authentication, Caller

_MOST_SKEW = 15 * 60
_SIGNED = (
    "CDNNotifyConfiguration acl append attname backtosource cors customdomain delete deletebucket "
    "directcoldaccess encryption inventory length lifecycle location logging metadata modify name "
    "notification object-lock obscompresspolicy partNumber policy policyStatus position "
    "publicAccessBlock quota rename replication requestPayment response-cache-control "
    "response-content-disposition response-content-encoding response-content-language "
    "response-content-type response-expires restore retention storageClass storagePolicy "
    "storageinfo tagging torrent truncate uploadId uploads versionId versioning versions website "
    "x-image-process x-image-save-bucket x-image-save-object"
)
#: The signed names of a query in OBS's own signature, besides those that begin with ``x-obs-``.
SUBRESOURCES = frozenset(_SIGNED.split())
_PREFIXES = {"OBS": "x-obs-", "AWS": "x-amz-"}
_V4 = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^/,]+)/(\d{8})/([^/,]*)/s3/aws4_request, *"
    r"SignedHeaders=([a-z0-9;_-]+), *Signature=([0-9a-f]{64})\Z"
)
#: The name by which clients reach a bucket as ``bucket.localhost``.
_LOCALHOST = ".localhost"


class Refusal(Exception):
    """A refusal by OBS. Source: *OBS API Reference*, "Error Codes"."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Asked:
    """A request as received.

    Args:
        path: still encoded.
        query: decoded; None is the value of a name without ``=``.
        headers: by name in lower case.
        host: the service's part of ``Host``.
        resource: the signed form of bucket and object.
        prefix: the prefix of special headers, in requests and responses.
    """

    method: str
    path: str
    query: Mapping[str, str | None]
    headers: Mapping[str, str]
    host: str
    bucket: str
    key: str
    resource: str
    prefix: str

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str]) -> Asked:
        """Parse a request. Raise Refusal if its target is invalid."""
        path, _, text = target.partition("?")
        try:
            if not path.startswith("/") or not target.isascii():
                raise ValueError
            query = {}
            for pair in filter(None, text.split("&")):
                name, is_given, value = pair.partition("=")
                query[_decoded(name)] = _decoded(value) if is_given else None
            bucket, _, key = path[1:].partition("/")
            resource = path
            host = headers.get("host", "")
            name, colon, port = host.partition(":")
            if name.lower().endswith(_LOCALHOST):
                # The bucket is in the name, and the whole path is the object's.
                bucket, key, host = name[: -len(_LOCALHOST)], path[1:], "localhost" + colon + port
                resource = f"/{bucket}{path}"
            bucket, key = unquote(bucket, errors="strict"), unquote(key, errors="strict")
        except ValueError:
            raise Refusal(400, "InvalidURI", "The request target cannot be read.") from None
        scheme = headers.get("authorization", "")[:3]
        prefix = _PREFIXES.get(scheme, "x-obs-")
        return cls(method, path, query, headers, host, bucket, key, resource, prefix)

    def own(self, name: str) -> str | None:
        """Return a special header; only in the spelling that this request signs."""
        return self.headers.get(self.prefix + name)


def signer_of(asked: Asked, authentication: Authentication, now: float) -> Caller:
    """Return the caller that signed a request; the body is not verified yet.

    Raises:
        Refusal: the request is not signed, or the signature is wrong.
    """
    header = asked.headers.get("authorization", "")
    v4 = _V4.match(header)
    if v4 is not None:
        access_key, day, region, names, signature = v4.groups()
        date = _v4_date(asked)
        if day != date[:8]:
            raise Refusal(403, "AccessDenied", "The date of the signature is another one.")
        sent_at: float = timegm(strptime(date, "%Y%m%dT%H%M%SZ"))
    else:
        scheme, _, rest = header.partition(" ")
        access_key, colon, signature = rest.strip().partition(":")
        if scheme not in _PREFIXES or not colon:
            raise Refusal(
                403,
                "AccessDenied",
                "Anonymous access is forbidden; sign with 'OBS ACCESSKEY:SIGNATURE', 'AWS …' or "
                "'AWS4-HMAC-SHA256 …' in the header Authorization.",
            )
        date = asked.own("date") or asked.headers.get("date", "")
        sent_at = _moment(date)
    if abs(sent_at - now) > _MOST_SKEW:
        raise Refusal(403, "RequestTimeTooSkewed", "The date is more than 15 minutes off.")
    try:
        user, secret_key, projects = authentication.signing_key(
            access_key, asked.own("security-token")
        )
    except GatewayFailure as failure:
        raise Refusal(403, "InvalidToken", failure.message) from None
    if v4 is not None:
        expected = _v4_signature(asked, secret_key, date, region, names.split(";"))
    else:
        expected = _signature(asked, secret_key)
    # Compared for unknown keys too, so that the time does not differ.
    right = hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode())
    if user is None:
        raise Refusal(403, "InvalidAccessKeyId", "The access key is none of this service's.")
    if not right:
        raise Refusal(403, "SignatureDoesNotMatch", "The signature is not that of this request.")
    return Caller(user, projects)


def _signature(asked: Asked, secret_key: str) -> str:
    headers = asked.headers
    own = sorted((name, value) for name, value in headers.items() if name.startswith(asked.prefix))
    signed = sorted(
        (name, value)
        for name, value in asked.query.items()
        if name in SUBRESOURCES or name.lower().startswith(asked.prefix)
    )
    parts = [name if value is None else f"{name}={value}" for name, value in signed]
    lines = [
        asked.method,
        headers.get("content-md5", ""),
        headers.get("content-type", ""),
        "" if asked.own("date") is not None else headers.get("date", ""),
        *(f"{name}:{value}" for name, value in own),
        asked.resource + ("?" + "&".join(parts) if parts else ""),
    ]
    digest = hmac.new(secret_key.encode(), "\n".join(lines).encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def _v4_signature(asked: Asked, secret_key: str, date: str, region: str, names: list[str]) -> str:
    special = {name for name in asked.headers if name.startswith(asked.prefix)}
    if not {"host", *special} <= set(names) <= set(asked.headers):
        raise Refusal(
            403, "AccessDenied", "Host and all x-amz- headers must be signed, and all signed sent."
        )
    query = sorted((_encoded(name), _encoded(value or "")) for name, value in asked.query.items())
    lines = [
        asked.method,
        quote(unquote(asked.path), safe="/~"),
        "&".join(f"{name}={value}" for name, value in query),
        *(f"{name}:{' '.join(asked.headers[name].split())}" for name in names),
        "",
        ";".join(names),
        asked.own("content-sha256") or "UNSIGNED-PAYLOAD",
    ]
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    canonical = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = b"AWS4" + secret_key.encode()
    for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def _v4_date(asked: Asked) -> str:
    """Return the signed date; the official client sends it in ``Date`` only, in its format."""
    date = asked.own("date")
    if date is None:
        return strftime("%Y%m%dT%H%M%SZ", gmtime(_moment(asked.headers.get("date", ""))))
    try:
        strptime(date, "%Y%m%dT%H%M%SZ")
    except ValueError:
        raise Refusal(403, "AccessDenied", "x-amz-date is not YYYYMMDDTHHMMSSZ.") from None
    return date


def _moment(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        raise Refusal(403, "AccessDenied", "The request has no date that can be read.") from None


def _encoded(text: str) -> str:
    return quote(text, safe="~")


def _decoded(text: str) -> str:
    return unquote(text.replace("+", " "), errors="strict")
