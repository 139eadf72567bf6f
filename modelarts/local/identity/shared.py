"""Sessions, replays and wrong passwords in the database, for all of its front ends."""

from __future__ import annotations

import hashlib
import secrets
from typing import Callable

from modelarts._internal.clock import Clock
from modelarts.local.database.base import Database
from modelarts.local.identity.sessions import (
    LINK_SECONDS,
    SESSION_SECONDS,
    BrowserSession,
    Sessions,
    hashed,
    mark_of,
    user_of,
)
from modelarts.local.identity.users import User, Users

_MAX_SESSIONS_OF_USER = 50
#: How often old signatures are removed.
_FORGET_SECONDS = 60.0
#: The time by the clock of the database, in milliseconds.
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"


class SharedSessions(Sessions):
    """The sessions of the browsers of all front ends.

    Cookies, keys of links and marks of credentials are kept as hashes; the token of a session is
    made from its cookie.

    Args:
        database: where they are kept.
        now: returns the time by which they end, in milliseconds, which all front ends have.
    """

    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self._database = database
        self._now = now

    def make_link(self, user: User) -> str:
        key = secrets.token_urlsafe(32)
        self._add(key, user, LINK_SECONDS, is_link=True)
        return key

    def use_link(self, key: str, users: Users) -> User | None:
        session = self._get(key, is_link=True)
        if session is None:
            return None
        with self._database.transaction() as db:
            cursor = db.execute(
                "DELETE FROM browser_sessions WHERE key_hash = ? AND is_link = 1", (hashed(key),)
            )
        # Of two that use it at once, one has removed it.
        return user_of(session, users) if cursor.rowcount else None

    def begin(self, user: User) -> tuple[str, BrowserSession]:
        cookie = secrets.token_urlsafe(32)
        return cookie, self._add(cookie, user, SESSION_SECONDS, is_link=False)

    def find(self, cookie: str, users: Users) -> tuple[User, BrowserSession] | None:
        session = self._get(cookie, is_link=False)
        user = None if session is None else user_of(session, users)
        return None if session is None or user is None else (user, session)

    def end(self, cookie: str) -> None:
        with self._database.transaction() as db:
            db.execute("DELETE FROM browser_sessions WHERE key_hash = ?", (hashed(cookie),))

    def _add(self, key: str, user: User, seconds: float, is_link: bool) -> BrowserSession:
        until = self._now() + int(seconds * 1000)
        credentials = mark_of(user)
        with self._database.alone() as db:
            db.execute("DELETE FROM browser_sessions WHERE ends_at <= ?", (self._now(),))
            db.execute(
                "DELETE FROM browser_sessions WHERE key_hash IN (SELECT key_hash "
                "FROM browser_sessions WHERE user_id = ? ORDER BY ends_at DESC, key_hash "
                "OFFSET ?)",
                (user.user_id, _MAX_SESSIONS_OF_USER - 1),
            )
            db.execute(
                "INSERT INTO browser_sessions VALUES (?, ?, ?, ?, ?)",
                (hashed(key), int(is_link), user.user_id, credentials, until),
            )
        return BrowserSession(user.user_id, credentials, _token(key), until / 1000)

    def _get(self, key: str, is_link: bool) -> BrowserSession | None:
        with self._database.transaction() as db:
            row = db.execute(
                "SELECT user_id, password_hash, ends_at FROM browser_sessions "
                "WHERE key_hash = ? AND is_link = ? AND ends_at > ?",
                (hashed(key), int(is_link), self._now()),
            ).fetchone()
        return None if row is None else BrowserSession(row[0], row[1], _token(key), row[2] / 1000)


class SharedReplays:
    """Detects replayed requests that any front end received, as :class:`.Replays` does.

    Args:
        keep_seconds: the time for which signatures are kept.
        grace_seconds: the moment in which equal calls are no replays.
    """

    def __init__(self, database: Database, keep_seconds: float, grace_seconds: float = 5.0) -> None:
        self._database = database
        self._keep = int(keep_seconds * 1000)
        self._clock = Clock()
        self._forget_at = 0.0
        self._grace = int(grace_seconds * 1000)

    def is_replay(self, caller: str, signature: str) -> bool:
        """Return True if the signature was received before that moment; keep it if not."""
        if self._clock.monotonic() >= self._forget_at:
            self._forget_at = self._clock.monotonic() + _FORGET_SECONDS
            self.forget()
        with self._database.transaction() as db:
            first_at, now = db.execute(
                f"INSERT INTO signatures AS known VALUES (?, ?, {_NOW}) "
                f"ON CONFLICT (caller, signature) DO UPDATE SET first_at = known.first_at "
                f"RETURNING first_at, {_NOW}",
                (caller, hashed(signature)),
            ).fetchone()
        return bool(now - first_at > self._grace)

    def forget(self) -> None:
        """Forget the signatures that are refused by their dates."""
        with self._database.transaction() as db:
            db.execute(f"DELETE FROM signatures WHERE first_at < {_NOW} - ?", (self._keep,))


class SharedRate:
    """A token bucket for each caller, for all front ends, as :class:`.Rate` is.

    Args:
        now: returns the time, in milliseconds, which all front ends have.
    """

    def __init__(
        self, database: Database, per_second: float, burst: float, now: Callable[[], int]
    ) -> None:
        self._database = database
        self._per_second = per_second
        self._burst = burst
        self._now = now

    def take(self, caller: str) -> float:
        """Count a call and return 0.0, or return the seconds until it would be allowed."""
        self.forget()
        with self._database.alone():
            saved = self._saved(caller)
            is_allowed = saved >= 1
            self._keep(caller, saved - is_allowed)
        return 0.0 if is_allowed else (1 - saved) / self._per_second

    def give_back(self, caller: str) -> None:
        """Do not count the last call of this caller."""
        with self._database.alone():
            self._keep(caller, min(self._burst, self._saved(caller) + 1))

    def forget(self) -> None:
        """Forget the callers that have all of their calls again."""
        since = self._now() - int(self._burst / self._per_second * 1000)
        with self._database.transaction() as db:
            db.execute("DELETE FROM wrong_passwords WHERE since < ?", (since,))

    def _saved(self, caller: str) -> float:
        with self._database.transaction() as db:
            row = db.execute(
                "SELECT saved, since FROM wrong_passwords WHERE caller = ?", (hashed(caller),)
            ).fetchone()
        if row is None:
            return self._burst
        seconds = max(0, self._now() - row[1]) / 1000
        return float(min(self._burst, row[0] + seconds * self._per_second))

    def _keep(self, caller: str, saved: float) -> None:
        with self._database.transaction() as db:
            db.execute(
                "INSERT INTO wrong_passwords VALUES (?, ?, ?) ON CONFLICT (caller) "
                "DO UPDATE SET saved = excluded.saved, since = excluded.since",
                (hashed(caller), saved, self._now()),
            )


def _token(key: str) -> str:
    return hashlib.sha256(f"token {key}".encode("utf-8", "replace")).hexdigest()
