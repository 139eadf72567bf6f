"""Authentication of requests by signature or token.

Tokens and temporary keys are sealed, not stored: they stay valid when the service is restarted,
and end when the user's password changes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from calendar import timegm
from time import strptime
from typing import Any
from urllib.parse import parse_qsl, quote

import attr
from itsdangerous import BadData, URLSafeSerializer
from werkzeug.wrappers import Request

from modelarts._internal.clock import Clock
from modelarts.auth import signer
from modelarts.local.errors import GatewayFailure, Throttled
from modelarts.local.identity.rate_limit import Rate, ReplayCheck, Replays
from modelarts.local.identity.users import Project, User, Users
from modelarts.local.identity.users_file import Accounts

TOKEN_SECONDS = 24 * 3600
_MOST_SKEW = 15 * 60
#: So long a signature has to be known.
KEPT_SECONDS = 2 * _MOST_SKEW
_REFUSED = "Incorrect IAM authentication information: "


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Caller:
    """The caller of a request, and the projects that it may be about: with permanent keys all of
    the user's; with a token the one that it is for, or none.

    ``expires_at`` is there with a token.

    Attributes:
        is_whole: the credentials are the user's permanent keys, or a session of the console; all
            others end, or are for one project, and get nothing that would outlive or exceed them.
    """

    user: User
    projects: tuple[Project, ...]
    expires_at: float | None = None
    is_whole: bool = False

    @property
    def acts_for_own_project(self) -> bool:
        """True if the credentials are good for the user's own project."""
        return self.user.projects[0] in self.projects


@attr.s(frozen=True, slots=True, auto_attribs=True)
class TemporaryKeys:
    """Keys that expire."""

    access_key: str
    secret_key: str = attr.ib(repr=False)
    security_token: str = attr.ib(repr=False)
    expires_at: float


class Authentication:
    """Verifies each request of the API.

    Args:
        rate: the limit of calls for each user, and for each address without a user.
        clock: by which tokens and temporary keys expire.
        dates: the clock by which signatures expire; None for the same clock.
        replays: the signatures that were received; None: they are kept in memory.
    """

    def __init__(
        self,
        accounts: Accounts,
        clock: Clock,
        rate: float,
        dates: Clock | None = None,
        replays: ReplayCheck | None = None,
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._dates = dates or clock
        # At both ends of the time that its date allows, a signature is the same one.
        self._replays: ReplayCheck = replays or Replays(self._dates, keep_seconds=KEPT_SECONDS)
        self._calls = Rate(rate, 10 * rate, self._dates)

    def users(self) -> Users:
        """Return the current users."""
        return self._accounts.users()

    def caller(self, request: Request) -> Caller:
        """Return the caller of a request.

        Raises:
            GatewayFailure: the caller cannot be authenticated (401, APIG.0301).
            Throttled: too many calls (429, APIG.0308).
        """
        try:
            caller, signature = self._verified(request)
        except GatewayFailure:
            self.count(f"address {request.remote_addr}")
            raise
        self.count(f"user {caller.user.user_id}")
        changes = request.method not in ("GET", "HEAD")
        if signature is not None and changes:
            self._refuse_replay(caller.user, signature)
        return caller

    def _refuse_replay(self, user: User, signature: str) -> None:
        if self._replays.is_replay(user.user_id, signature):
            raise _refused("this very request was received before; sign each one anew")

    def count(self, client: str) -> None:
        """Count a call of a user or an address. Raise Throttled if the limit is exceeded."""
        pause = self._calls.take(client)
        if pause:
            raise Throttled("Too many calls.", pause)

    def _verified(self, request: Request) -> tuple[Caller, str | None]:
        token = request.headers.get("X-Auth-Token")
        if token is not None:
            return self.token(token), None
        header = request.headers.get("Authorization")
        if header is None:
            raise _refused("neither X-Auth-Token nor Authorization is there")
        return self._by_signature(request, header)

    def seal(self, user: User, project: Project | None) -> tuple[str, float]:
        """Return a new token for that project, and when it expires (seconds since the epoch)."""
        expires_at = self._clock.time() + TOKEN_SECONDS
        project_id = None if project is None else project.project_id
        return self._pack("token", user, project=project_id, until=expires_at), expires_at

    def token(self, value: str) -> Caller:
        """Return the caller that a token is for. Raises GatewayFailure (401, APIG.0301)."""
        user, claims = self._unpack("token", value)
        return Caller(user, _projects(user, claims), claims["until"])

    def temporary_keys(self, caller: Caller, seconds: int) -> TemporaryKeys:
        """Return new keys for a caller with a token, valid for so many seconds."""
        expires_at = self._clock.time() + seconds
        access_key = "TEMPORARY" + secrets.token_hex(8).upper()
        project_id = caller.projects[0].project_id if caller.projects else None
        token = self._pack(
            "keys", caller.user, access=access_key, project=project_id, until=expires_at
        )
        return TemporaryKeys(access_key, self._mac("secret", token), token, expires_at)

    def _mac(self, purpose: str, text: str) -> str:
        key = bytes.fromhex(self.users().token_key)
        content = f"{purpose}:{text}".encode("utf-8", "replace")
        return hmac.new(key, content, hashlib.sha256).hexdigest()

    def _pack(self, purpose: str, user: User, **claims: Any) -> str:
        claims = {"user": user.user_id, "mark": self._mark(user), **claims}
        return str(self._serializer(purpose).dumps(claims))

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        # The salt keeps a token for one purpose from being taken for another.
        settings = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeSerializer(self.users().token_key, purpose, signer_kwargs=settings)

    def _mark(self, user: User) -> str:
        """Return a mark that changes with the user's password."""
        return self._mac("password", str(user.password))[:16]

    def _unpack(self, purpose: str, sealed: str) -> tuple[User, dict[str, Any]]:
        try:
            claims: dict[str, Any] = self._serializer(purpose).loads(sealed)
        except (BadData, UnicodeError):
            raise _refused("unknown token") from None
        if claims["until"] <= self._clock.time():
            raise _refused("the token has expired")
        user = self.users().by_id(claims.get("user"))
        if user is None or claims["mark"] != self._mark(user):
            raise _refused("the token's user has gone, or has another password")
        return user, claims

    def signing_key(
        self, access_key: str, token: str | None
    ) -> tuple[User | None, str, tuple[Project, ...]]:
        """Return the user of an access key, its secret key, and the projects that it is for.

        The user of an unknown key is None. A secret key that no client knows is returned for it, so
        that checking the signature takes as long.

        Args:
            token: the security token that came with it; None for a permanent key.

        Raises:
            GatewayFailure: the token is not of this service, or has expired.
        """
        if token is None:
            user = self.users().by_access_key(access_key)
            if user is None:
                return None, self._mac("nobody", ""), ()
            return user, user.key.secret_key, user.projects
        holder, claims = self._unpack("keys", token)
        known = hmac.compare_digest(access_key.encode(), claims["access"].encode())
        return holder if known else None, self._mac("secret", token), _projects(holder, claims)

    def _by_signature(self, request: Request, header: str) -> tuple[Caller, str]:
        signed = signer.parse_authorization(header)
        if signed is None:
            raise _refused(f"Authorization is not of {signer.ALGORITHM}")
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not {"host", "x-sdk-date"} <= set(signed.signed) <= set(headers):
            raise _refused("host and x-sdk-date must be signed, and every signed header sent")
        date = headers["x-sdk-date"]
        try:
            sent_at = timegm(strptime(date, "%Y%m%dT%H%M%SZ"))
        except ValueError:
            raise _refused("x-sdk-date is not YYYYMMDDTHHMMSSZ") from None
        if abs(sent_at - self._dates.time()) > _MOST_SKEW:
            raise _refused("x-sdk-date is more than 15 minutes off")
        token = headers.get("x-security-token")
        if token is not None and "x-security-token" not in signed.signed:
            raise _refused("x-security-token must be signed")
        user, secret_key, projects = self.signing_key(signed.access_key, token)
        expected = signer.signature(secret_key, date, _canonical(request, signed))
        # Compared for unknown keys too, so that the time does not differ.
        right = hmac.compare_digest(signed.signature, expected)
        if user is None or not right:
            raise _refused("unknown access key, or the signature does not match")
        return Caller(user, projects, is_whole=token is None), signed.signature


def _projects(user: User, claims: dict[str, Any]) -> tuple[Project, ...]:
    # One that was taken from the user since is there no more.
    project = user.project_by_id(claims["project"])
    return () if project is None else (project,)


def _canonical(request: Request, signed: signer.Authorization) -> str:
    query = parse_qsl(
        request.query_string.decode("latin-1"), keep_blank_values=True, errors="surrogateescape"
    )
    return signer.canonical_request(
        request.method,
        # The WSGI server decoded it once.
        quote(request.path, safe="/~"),
        signer.canonical_query(query),
        {name.lower(): value for name, value in request.headers.items()},
        signed.signed,
        request.get_data(),
    )


def _refused(why: str) -> GatewayFailure:
    return GatewayFailure(401, "APIG.0301", _REFUSED + why)
