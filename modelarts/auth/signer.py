"""Signatures with AK/SK: SDK-HMAC-SHA256, in its named steps.

Source: *API Gateway — Signing Guide*, "Signing Algorithm"; the published vector and others
are in ``tests/unit/signer-vectors``. Both sides use this module: the session signs with it,
:mod:`modelarts.local` verifies with it.

>>> headers = {"host": "modelarts.example.com", "x-sdk-date": sdk_date(0)}
>>> sign("GET", "/v1/p/visualization-jobs", "", headers, b"", "AK", "SK")[:54]
'SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-sdk-da'
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from typing import List, Mapping, Optional
from urllib.parse import quote, unquote

from modelarts._internal.values import Value
from modelarts.http.auth import canonical_query

__all__ = [
    "ALGORITHM",
    "Authorization",
    "canonical_path",
    "canonical_query",
    "canonical_request",
    "parse_authorization",
    "sdk_date",
    "sign",
    "signature",
]

ALGORITHM = "SDK-HMAC-SHA256"
_EMPTY_HASH = hashlib.sha256(b"").hexdigest()
_AUTHORIZATION = (
    ALGORITHM + r" Access=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})\Z"
)


def sdk_date(now: float) -> str:
    """Return seconds since the epoch in the format of ``X-Sdk-Date``: ``YYYYMMDDTHHMMSSZ``, UTC."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


def canonical_path(path: str) -> str:
    """Return the path with each segment percent-encoded and the final slash of the signed form."""
    encoded = quote(unquote(path), safe="/~")
    return encoded if encoded.endswith("/") else encoded + "/"


def canonical_request(
    method: str, path: str, query: str, headers: Mapping[str, str], signed: List[str], body: bytes
) -> str:
    """Return the text to hash. ``headers`` has lower-case names, ``query`` is canonical."""
    lines = ["%s:%s\n" % (name, headers[name].strip()) for name in signed]
    return "\n".join(
        (
            method.upper(),
            canonical_path(path),
            query,
            "".join(lines),
            ";".join(signed),
            hashlib.sha256(body).hexdigest() if body else _EMPTY_HASH,
        )
    )


def signature(secret_key: str, date: str, canonical: str) -> str:
    """Return the signature of a canonical request; the secret key itself is the HMAC key."""
    hashed = hashlib.sha256(canonical.encode("utf-8")).hexdigest()
    to_sign = "%s\n%s\n%s" % (ALGORITHM, date, hashed)
    return hmac.new(secret_key.encode("utf-8"), to_sign.encode("utf-8"), hashlib.sha256).hexdigest()


def sign(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    access_key: str,
    secret_key: str,
) -> str:
    """Return the ``Authorization`` header of a request.

    Args:
        query: the query in the form of :func:`canonical_query`.
        headers: the headers to sign; ``host`` and ``x-sdk-date`` must be among them.
            Names with an underscore are left out, as gateways drop those headers.
    """
    lowered = {name.lower(): value for name, value in headers.items() if "_" not in name}
    signed = sorted(lowered)
    canonical = canonical_request(method, path, query, lowered, signed, body)
    return "%s Access=%s, SignedHeaders=%s, Signature=%s" % (
        ALGORITHM,
        access_key,
        ";".join(signed),
        signature(secret_key, lowered["x-sdk-date"], canonical),
    )


class Authorization(Value):
    """The three parts of an ``Authorization`` header."""

    __slots__ = ("access_key", "signature", "signed")

    access_key: str
    signed: List[str]
    signature: str

    def __init__(self, access_key: str, signed: List[str], signature: str) -> None:
        self._set(access_key=access_key, signed=signed, signature=signature)


def parse_authorization(header: str) -> Optional[Authorization]:
    """Parse an ``Authorization`` header; return None if it is of another algorithm."""
    match = re.match(_AUTHORIZATION, header)
    if match is None:
        return None
    return Authorization(match.group(1), match.group(2).split(";"), match.group(3))
