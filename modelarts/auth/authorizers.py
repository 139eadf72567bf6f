"""How a request shows who sends it: signed with AK/SK, or with a token from IAM."""

import copy
from typing import TYPE_CHECKING, Callable, Dict, Generic, Optional, TypeVar, cast

from modelarts._internal.locks import ForkSafeLock
from modelarts.auth import signer
from modelarts.auth.credentials import AccessKey
from modelarts.http.auth import Authorizer

if TYPE_CHECKING:
    from modelarts.auth.iam import Token

__all__ = ["KeyAuthorizer", "Renewed", "TokenAuthorizer"]

#: Seconds before its end in which a token or a key is not used any more: it might end on the way.
_MARGIN = 120

_T = TypeVar("_T", "AccessKey", "Token")


class Renewed(Generic[_T]):
    """Something with an ``expires_at``, fetched when first needed and again before it ends.

    However many threads ask, one of them fetches.

    Args:
        fetch: answers a fresh one.
        now: the time by the clock that ``expires_at`` goes by, in seconds since the epoch.
        first: one that is there already.
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
        """The current one."""
        with self._lock:
            current: Optional[_T] = self._cache.get("it")
            if current is None:
                current = self._fetch()
                # One that ends within the margin is not kept, but used this once.
                self._cache["it"] = current
            return current

    def current(self) -> Optional[_T]:
        """The one that is there and good, or None; nothing is fetched."""
        with self._lock:
            current: Optional[_T] = self._cache.get("it")
            return current

    def by(self, fetch: Callable[[], _T]) -> "Renewed[_T]":
        """The same thing, fetched in another way; what one of the two fetches, both have."""
        other = copy.copy(self)
        other._fetch = fetch
        return other

    def forget(self, refused: _T) -> None:
        """Fetch another one next time, unless another thread has done so already."""
        with self._lock:
            if self._cache.get("it") is refused:
                del self._cache["it"]


def _useful_until(key: str, value: _T, now: float) -> float:
    ends = value.expires_at
    return float("inf") if ends is None else ends - _MARGIN


class KeyAuthorizer(Authorizer):
    """Signs with AK/SK; with temporary keys their security token is signed too.

    Args:
        keys: answers the keys that are good now.
    """

    def __init__(self, keys: Callable[[], AccessKey]) -> None:
        self._keys = keys

    def authorize(
        self, method: str, path: str, query: str, headers: Dict[str, str], body: bytes, now: float
    ) -> object:
        """Sign this attempt at ``now``."""
        keys = self._keys()
        headers["X-Sdk-Date"] = signer.sdk_date(now)
        if keys.security_token is not None:
            headers["X-Security-Token"] = keys.security_token
        headers["Authorization"] = signer.sign(
            method, path, query, headers, body, keys.access_key, keys.secret_key
        )
        return keys


class TokenAuthorizer(Authorizer):
    """Sends a token.

    Args:
        tokens: where it comes from.
        renewable: whether a refused one can be replaced.
    """

    sort_parameter = "sort_by"

    def __init__(self, tokens: "Renewed[Token]", renewable: bool = True) -> None:
        self.tokens = tokens
        self._renewable = renewable

    def authorize(
        self, method: str, path: str, query: str, headers: Dict[str, str], body: bytes, now: float
    ) -> object:
        """Send the token along."""
        token = self.tokens.get()
        headers["X-Auth-Token"] = token.value
        return token

    def renew(self, used: object) -> bool:
        """Have the refused token replaced: its user's password or roles were changed."""
        if self._renewable:
            self.tokens.forget(cast("Token", used))  # what authorize() answered
        return self._renewable
