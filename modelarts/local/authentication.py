"""Who sent a request: by its signature or its token.

Tokens and temporary keys are sealed, not stored: they stay good when the service is restarted.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from calendar import timegm
from time import strptime
from typing import Any
from urllib.parse import parse_qsl, quote

import attr
from werkzeug.wrappers import Request

from modelarts.auth import signer
from modelarts.clock import Clock
from modelarts.local.failures import GatewayFailure
from modelarts.local.identity import Identity

__all__ = ["TOKEN_SECONDS", "Authentication", "Caller", "TemporaryKeys"]

TOKEN_SECONDS = 24 * 3600
_MOST_SKEW = 15 * 60
_REFUSED = "Incorrect IAM authentication information: "


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Caller:
    """Who calls. ``project_id`` is None with a token that is good for no project."""

    user_id: str
    project_id: str | None
    expires_at: float | None = None


@attr.s(frozen=True, slots=True, auto_attribs=True)
class TemporaryKeys:
    """Keys that end by themselves."""

    access_key: str
    secret_key: str = attr.ib(repr=False)
    security_token: str = attr.ib(repr=False)
    expires_at: float


class Authentication:
    """Verifies each request of the API.

    Args:
        clock: by which tokens and temporary keys expire.
        dates: by which signatures do; None: the same.
    """

    def __init__(self, identity: Identity, clock: Clock, dates: Clock | None = None) -> None:
        self._identity = identity
        self._clock = clock
        self._dates = dates or clock

    def caller(self, request: Request) -> Caller:
        """Who sent it. Raises GatewayFailure (401, APIG.0301)."""
        token = request.headers.get("X-Auth-Token")
        if token is not None:
            return self.token(token)
        header = request.headers.get("Authorization")
        if header is None:
            raise _refused("neither X-Auth-Token nor Authorization is there")
        return self._by_signature(request, header)

    def seal(self, project_id: str | None) -> tuple[str, float]:
        """A new token for that project, and when it expires (seconds since the epoch)."""
        expires_at = self._clock.time() + TOKEN_SECONDS
        return self._pack("token", project=project_id, until=expires_at), expires_at

    def token(self, value: str) -> Caller:
        """Who a token is for. Raises GatewayFailure (401, APIG.0301)."""
        claims = self._unpack("token", value)
        return Caller(self._identity.user_id, claims["project"], claims["until"])

    def temporary_keys(self, caller: Caller, seconds: int) -> TemporaryKeys:
        """New keys for a caller, good for so many seconds."""
        expires_at = self._clock.time() + seconds
        access_key = "TEMPORARY" + secrets.token_hex(8).upper()
        token = self._pack("keys", access=access_key, project=caller.project_id, until=expires_at)
        return TemporaryKeys(access_key, self._mac("secret", token), token, expires_at)

    def _mac(self, purpose: str, text: str) -> str:
        key = bytes.fromhex(self._identity.token_key)
        content = f"{purpose}:{text}".encode("utf-8", "replace")
        return hmac.new(key, content, hashlib.sha256).hexdigest()

    def _pack(self, purpose: str, **claims: Any) -> str:
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
        return f"{payload}.{self._mac(purpose, payload)}"

    def _unpack(self, purpose: str, sealed: str) -> dict[str, Any]:
        payload, _, seal = sealed.partition(".")
        expected = self._mac(purpose, payload)
        if not hmac.compare_digest(seal.encode("utf-8", "replace"), expected.encode()):
            raise _refused("unknown token")
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload))
        if claims["until"] <= self._clock.time():
            raise _refused("the token has expired")
        return claims

    def _by_signature(self, request: Request, header: str) -> Caller:
        given = signer.parse_authorization(header)
        if given is None:
            raise _refused(f"Authorization is not of {signer.ALGORITHM}")
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not {"host", "x-sdk-date"} <= set(given.signed) <= set(headers):
            raise _refused("host and x-sdk-date must be signed, and every signed header sent")
        date = headers["x-sdk-date"]
        try:
            sent_at = timegm(strptime(date, "%Y%m%dT%H%M%SZ"))
        except ValueError:
            raise _refused("x-sdk-date is not YYYYMMDDTHHMMSSZ") from None
        if abs(sent_at - self._dates.time()) > _MOST_SKEW:
            raise _refused("x-sdk-date is more than 15 minutes off")
        mine = self._identity
        access_key, secret_key, project_id = mine.access_key, mine.secret_key, mine.project_id
        token = headers.get("x-security-token")
        if token is not None:
            claims = self._unpack("keys", token)
            access_key, project_id = claims["access"], claims["project"]
            secret_key = self._mac("secret", token)
            if "x-security-token" not in given.signed:
                raise _refused("x-security-token must be signed")
        expected = signer.signature(secret_key, date, _canonical(request, given))
        # Both are compared, whatever the first comes to.
        known = hmac.compare_digest(given.access_key.encode(), access_key.encode())
        right = hmac.compare_digest(given.signature, expected)
        if not (known and right):
            raise _refused("unknown access key, or the signature does not match")
        return Caller(mine.user_id, project_id)


def _canonical(request: Request, given: signer.Authorization) -> str:
    query = parse_qsl(
        request.query_string.decode("latin-1"), keep_blank_values=True, errors="surrogateescape"
    )
    return signer.canonical_request(
        request.method,
        # The WSGI server decoded it once.
        quote(request.path, safe="/~"),
        signer.canonical_query(query),
        {name.lower(): value for name, value in request.headers.items()},
        given.signed,
        request.get_data(),
    )


def _refused(why: str) -> GatewayFailure:
    return GatewayFailure(401, "APIG.0301", _REFUSED + why)
