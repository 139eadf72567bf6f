"""Who sent a request: by its signature or its token.

Tokens are sealed, not stored: they stay good when the service is restarted.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
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

__all__ = ["TOKEN_SECONDS", "Authentication", "Caller"]

TOKEN_SECONDS = 24 * 3600
_MOST_SKEW = 15 * 60
_REFUSED = "Incorrect IAM authentication information: "


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Caller:
    """Who calls. ``project_id`` is None with a token that is good for no project."""

    user_id: str
    project_id: str | None


class Authentication:
    """Verifies each request of the API."""

    def __init__(self, identity: Identity, clock: Clock) -> None:
        self._identity = identity
        self._clock = clock

    def caller(self, request: Request) -> Caller:
        """Who sent it. Raises GatewayFailure (401, APIG.0301)."""
        token = request.headers.get("X-Auth-Token")
        if token is not None:
            return self._by_token(token)
        header = request.headers.get("Authorization")
        if header is None:
            raise _refused("neither X-Auth-Token nor Authorization is there")
        return self._by_signature(request, header)

    def seal(self, project_id: str | None) -> tuple[str, float]:
        """A new token for that project, and when it expires (seconds since the epoch)."""
        expires_at = self._clock.time() + TOKEN_SECONDS
        claims = {"user": self._identity.user_id, "project": project_id, "until": expires_at}
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
        return f"{payload}.{self._sealed(payload)}", expires_at

    def _sealed(self, payload: str) -> str:
        key = bytes.fromhex(self._identity.token_key)
        return hmac.new(key, payload.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def _by_token(self, token: str) -> Caller:
        payload, _, seal = token.partition(".")
        if not hmac.compare_digest(seal.encode(), self._sealed(payload).encode()):
            raise _refused("unknown token")
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload))
        if claims["until"] <= self._clock.time():
            raise _refused("the token has expired")
        return Caller(claims["user"], claims["project"])

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
        if abs(sent_at - self._clock.time()) > _MOST_SKEW:
            raise _refused("x-sdk-date is more than 15 minutes off")
        expected = signer.signature(self._identity.secret_key, date, _canonical(request, given))
        # Both are compared, whatever the first comes to.
        known = hmac.compare_digest(given.access_key.encode(), self._identity.access_key.encode())
        right = hmac.compare_digest(given.signature, expected)
        if not (known and right):
            raise _refused("unknown access key, or the signature does not match")
        return Caller(self._identity.user_id, self._identity.project_id)


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
