"""Tokens and temporary keys, which are replaced before they expire."""

import copy
from typing import TYPE_CHECKING, Callable, Dict, Generic, Optional, TypeVar, cast

from modelarts._internal.locks import ForkSafeLock
from modelarts.auth.credentials import AccessKey
from modelarts.http.auth import Authorizer

if TYPE_CHECKING:
    from modelarts.auth.iam import Token

#: Seconds before its expiry in which a token or key is no longer used: it could expire in transit.
_MARGIN = 120

_T = TypeVar("_T", "AccessKey", "Token")


class Renewed(Generic[_T]):
    """A value with an ``expires_at``, fetched when first needed and again before it expires.

    Only one thread fetches at a time; the others wait for its result.

    Args:
        fetch: the function that returns a fresh value.
        now: the time by the clock that ``expires_at`` goes by, in seconds since the epoch.
        first: a value that exists already; None if there is none.
    """

    def __init__(
        self, fetch: Callable[[], _T], now: Callable[[], float], first: Optional[_T] = None
    ) -> None:
        from cachetools import TLRUCache

        self._fetch: Callable[[], _T] = fetch
        self._lock = ForkSafeLock()
        self._cache: TLRUCache[str, _T] = TLRUCache(maxsize=1, ttu=_useful_until, timer=now)
        if first is not None:
            self._cache["it"] = first

    def get(self) -> _T:
        """Return the current value; fetch it if needed."""
        with self._lock:
            current: Optional[_T] = self._cache.get("it")
            if current is None:
                current = self._fetch()
                # A value that expires within the margin is used once, and not kept.
                self._cache["it"] = current
            return current

    def current(self) -> Optional[_T]:
        """Return the valid value if there is one, else None, without fetching."""
        with self._lock:
            current: Optional[_T] = self._cache.get("it")
            return current

    def by(self, fetch: Callable[[], _T]) -> "Renewed[_T]":
        """Return an object with another fetch function that shares the value with this object."""
        other = copy.copy(self)
        other._fetch = fetch
        return other

    def forget(self, refused: _T) -> None:
        """Discard a value, unless another thread has replaced it already."""
        with self._lock:
            if self._cache.get("it") is refused:
                del self._cache["it"]


def _useful_until(key: str, value: _T, now: float) -> float:
    ends = value.expires_at
    return float("inf") if ends is None else ends - _MARGIN


class TokenAuthorizer(Authorizer):
    """Authorizes requests with a token.

    Args:
        tokens: the source of the token.
        renewable: True if a refused token can be replaced.
    """

    sort_parameter = "sort_by"

    def __init__(self, tokens: "Renewed[Token]", renewable: bool = True) -> None:
        self.tokens = tokens
        self._renewable = renewable

    def authorize(
        self, method: str, path: str, query: str, headers: Dict[str, str], body: bytes, now: float
    ) -> object:
        """Add the token to the headers."""
        token = self.tokens.get()
        headers["X-Auth-Token"] = token.value
        return token

    def renew(self, used: object) -> bool:
        """Discard the refused token: the password or roles of its user may have changed."""
        if self._renewable:
            self.tokens.forget(cast("Token", used))  # the value that authorize() returned
        return self._renewable
