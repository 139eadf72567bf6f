"""How a request shows who sends it: signed with AK/SK, or with a token from IAM."""

from threading import Lock
from typing import TYPE_CHECKING, Callable, Dict, Optional

from modelarts.auth import signer
from modelarts.auth.credentials import AccessKey
from modelarts.clock import Clock

if TYPE_CHECKING:
    from modelarts.auth.iam import Token

__all__ = ["Authorizer", "KeyAuthorizer", "TokenAuthorizer"]

#: A token is not used in its last seconds: it might end on the way.
_MARGIN = 120


class Authorizer:
    """Adds to each attempt of a request what shows who sends it."""

    #: What a list's sort key is called in this mode.
    #: Source: *SDK Reference*, "Obtaining Visualization Jobs".
    sort_parameter = "sortBy"

    def authorize(
        self, method: str, path: str, query: str, headers: Dict[str, str], body: bytes, now: float
    ) -> str:
        """Add headers; answers a mark of what was used, for :meth:`renew`."""
        raise TypeError("%s authorizes nothing" % type(self).__name__)

    def renew(self, mark: str) -> bool:
        """After a 401: whether there is something fresh to try once more with."""
        return False


class KeyAuthorizer(Authorizer):
    """Signs with AK/SK; with temporary keys their security token is signed too."""

    def __init__(self, credentials: AccessKey) -> None:
        self.credentials = credentials

    def authorize(
        self, method: str, path: str, query: str, headers: Dict[str, str], body: bytes, now: float
    ) -> str:
        """Sign this attempt at ``now``."""
        keys = self.credentials
        headers["X-Sdk-Date"] = signer.sdk_date(now)
        if keys.security_token is not None:
            headers["X-Security-Token"] = keys.security_token
        headers["Authorization"] = signer.sign(
            method, path, query, headers, body, keys.access_key, keys.secret_key
        )
        return keys.access_key


class TokenAuthorizer(Authorizer):
    """Sends a token, fetched when first needed and again before it expires.

    However many threads ask, one of them fetches.
    """

    sort_parameter = "sort_by"

    def __init__(self, fetch: "Callable[[], Token]", clock: Clock) -> None:
        from cachetools import TLRUCache

        self._fetch = fetch
        self._lock = Lock()
        self._cache: TLRUCache[str, Token] = TLRUCache(
            maxsize=1, ttu=lambda key, token, now: token.expires_at - _MARGIN, timer=clock.time
        )

    def token(self) -> "Token":
        """The token, fetched if there is none that is still good."""
        with self._lock:
            token: Optional[Token] = self._cache.get("token")
            if token is None:
                token = self._cache["token"] = self._fetch()
            return token

    def authorize(
        self, method: str, path: str, query: str, headers: Dict[str, str], body: bytes, now: float
    ) -> str:
        """Send the token along."""
        value = self.token().value
        headers["X-Auth-Token"] = value
        return value

    def renew(self, mark: str) -> bool:
        """Forget the refused token, unless another thread has replaced it already."""
        with self._lock:
            token = self._cache.get("token")
            if token is not None and token.value == mark:
                del self._cache["token"]
        return True
