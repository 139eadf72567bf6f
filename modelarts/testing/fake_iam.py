"""The user of the fake: authentication of requests, and the issued tokens and keys."""

import secrets
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import parse_qsl, urlsplit

from modelarts._internal.clock import Clock
from modelarts.auth import signer
from modelarts.testing.payloads import token_payload

_DAY = 86_400


class _Keys(NamedTuple):
    secret_key: str
    security_token: Optional[str] = None
    expires_at: float = float("inf")


class FakeIdentity:
    """One user with a password and a pair of permanent keys.

    Args:
        user: the names of the account and the user, and the password.
        keys: access key and secret key.
        project: ``id`` and ``name``.
    """

    def __init__(
        self,
        clock: Clock,
        user: Tuple[str, str, str],
        keys: Tuple[str, str],
        project: Mapping[str, str],
    ) -> None:
        self._clock = clock
        self._user = user
        self._permanent = {keys[0]: _Keys(keys[1])}
        self._project = project
        self.forget()

    def forget(self) -> None:
        """Refuse all tokens and keys issued until now."""
        self._tokens: Dict[str, float] = {}
        self._keys: Dict[str, _Keys] = dict(self._permanent)

    def knows(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Return True if a request has a valid token, or is signed with valid keys."""
        token = headers.get("X-Auth-Token")
        if token is not None:
            return self._tokens.get(token, 0) > self._clock.time()
        authorization = signer.parse_authorization(headers.get("Authorization", ""))
        keys = self._keys.get(authorization.access_key) if authorization is not None else None
        if authorization is None or keys is None or keys.expires_at <= self._clock.time():
            return False
        lowered = {name.lower(): value for name, value in headers.items()}
        if not set(authorization.signed) <= set(lowered):
            return False
        parts = urlsplit(url)
        canonical = signer.canonical_request(
            method,
            parts.path,
            signer.canonical_query(parse_qsl(parts.query, keep_blank_values=True)),
            lowered,
            authorization.signed,
            body,
        )
        expected = signer.signature(keys.secret_key, lowered.get("x-sdk-date", ""), canonical)
        same_token = lowered.get("x-security-token") == keys.security_token
        return same_token and authorization.signature == expected

    def token(self, body: Mapping[str, Any]) -> Optional[Tuple[str, Dict[str, Any]]]:
        """A new token and its answer's body; None where the user is not known.

        Source: Keystone, "Password authentication with scoped authorization".
        """
        try:
            user = body["auth"]["identity"]["password"]["user"]
            shown = (user["domain"]["name"], user["name"], user["password"])
            scope = body["auth"]["scope"]["project"]
        except (KeyError, TypeError):
            return None
        if shown != self._user or not set(scope.items()) <= set(self._project.items()):
            return None
        value, now = secrets.token_hex(32), self._clock.time()
        self._tokens[value] = now + _DAY
        return value, token_payload(now, now + _DAY, project=dict(self._project))

    def temporary_keys(self) -> Dict[str, Any]:
        """New keys, for a day."""
        now = self._clock.time()
        access_key = "TEMPORARY" + secrets.token_hex(8).upper()
        keys = _Keys(secrets.token_hex(20), secrets.token_hex(32), now + _DAY)
        self._keys[access_key] = keys
        credential = {
            "access": access_key,
            "secret": keys.secret_key,
            "securitytoken": keys.security_token,
            "expires_at": token_payload(now, now + _DAY)["token"]["expires_at"],
        }
        return {"credential": credential}

    def projects(self, name: Optional[str]) -> Dict[str, Any]:
        """The user's projects of that name."""
        mine = dict(self._project)
        return {"projects": [mine] if name in (None, mine["name"]) else []}
