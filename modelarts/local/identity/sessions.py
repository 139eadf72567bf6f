"""Sessions of browsers, and links that sign in once; in memory, where there is one front end."""

from __future__ import annotations

import hashlib
import secrets
from abc import ABC, abstractmethod
from collections import OrderedDict
from threading import Lock

import attr

from modelarts._internal.clock import Clock
from modelarts.local.identity.users import User, Users

LINK_SECONDS = 600.0
SESSION_SECONDS = 12 * 3600.0
_MAX_LINKS = 1000
_MAX_SESSIONS = 10_000
_MAX_SESSIONS_OF_USER = 50


@attr.s(frozen=True, slots=True, auto_attribs=True)
class BrowserSession:
    """A signed-in browser, or a link that makes one.

    Attributes:
        user_id: the user that it is for.
        credentials: the mark of the user's password and keys at that time; with another password,
            or other keys, the session ends.
        token: proves that a form, or a request of the script, comes from a page of this session.
        until: when it ends, by the monotonic clock.
    """

    user_id: str
    credentials: str = attr.ib(repr=False)
    token: str = attr.ib(repr=False)
    until: float


class Sessions(ABC):
    """The sessions of the browsers of one service, and links that begin one."""

    @abstractmethod
    def make_link(self, user: User) -> str:
        """Return the key of a new link, which signs this user in once, within ten minutes."""

    @abstractmethod
    def use_link(self, key: str, users: Users) -> User | None:
        """Return the user of a link; None where it has ended, was used, or never was."""

    @abstractmethod
    def begin(self, user: User) -> tuple[str, BrowserSession]:
        """Begin a session; returns the value of its cookie, and the session."""

    @abstractmethod
    def find(self, cookie: str, users: Users) -> tuple[User, BrowserSession] | None:
        """Return the user and the session of a cookie; None where there is no such session."""

    @abstractmethod
    def end(self, cookie: str) -> None:
        """End a session."""


class BrowserSessions(Sessions):
    """The sessions of the browsers of one front end, in its memory.

    Cookies and keys of links are kept as hashes.

    Args:
        clock: by which sessions and links end.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        # In the order in which they end.
        self._links: OrderedDict[str, BrowserSession] = OrderedDict()
        self._sessions: OrderedDict[str, BrowserSession] = OrderedDict()

    def make_link(self, user: User) -> str:
        key = secrets.token_urlsafe(32)
        with self._lock:
            self._forget()
            while len(self._links) >= _MAX_LINKS:
                self._links.popitem(last=False)
            self._links[hashed(key)] = self._new(user, LINK_SECONDS)
        return key

    def use_link(self, key: str, users: Users) -> User | None:
        with self._lock:
            self._forget()
            link = self._links.pop(hashed(key), None)
        return None if link is None else user_of(link, users)

    def begin(self, user: User) -> tuple[str, BrowserSession]:
        cookie = secrets.token_urlsafe(32)
        session = self._new(user, SESSION_SECONDS)
        with self._lock:
            self._forget()
            own = [key for key, each in self._sessions.items() if each.user_id == user.user_id]
            for key in own[: max(0, len(own) + 1 - _MAX_SESSIONS_OF_USER)]:
                del self._sessions[key]
            while len(self._sessions) >= _MAX_SESSIONS:
                self._sessions.popitem(last=False)
            self._sessions[hashed(cookie)] = session
        return cookie, session

    def find(self, cookie: str, users: Users) -> tuple[User, BrowserSession] | None:
        with self._lock:
            session = self._sessions.get(hashed(cookie))
        if session is None or session.until <= self._clock.monotonic():
            return None
        user = user_of(session, users)
        return None if user is None else (user, session)

    def end(self, cookie: str) -> None:
        with self._lock:
            self._sessions.pop(hashed(cookie), None)

    def _new(self, user: User, seconds: float) -> BrowserSession:
        until = self._clock.monotonic() + seconds
        return BrowserSession(user.user_id, mark_of(user), secrets.token_urlsafe(32), until)

    def _forget(self) -> None:
        now = self._clock.monotonic()
        for known in (self._links, self._sessions):
            while known and next(iter(known.values())).until <= now:
                known.popitem(last=False)


def user_of(session: BrowserSession, users: Users) -> User | None:
    """Return the user of a session; None where it has gone, or has another password or keys."""
    user = users.by_id(session.user_id)
    return user if user is not None and mark_of(user) == session.credentials else None


def mark_of(user: User) -> str:
    """Return a mark that changes with the password and the keys of a user.

    A session may come from a link that was made with keys, so it ends when they are replaced.
    """
    return hashed(f"credentials {user.password} {user.key.access_key} {user.key.secret_key}")


def hashed(secret: str) -> str:
    """Return the SHA-256 of a secret, by which it is kept."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
