"""The authorizer of a session with AK/SK."""

from typing import Callable, Dict

from modelarts.auth import signer
from modelarts.auth.credentials import AccessKey
from modelarts.http.auth import Authorizer


class KeyAuthorizer(Authorizer):
    """Signs with AK/SK; with temporary keys their security token is signed too.

    Args:
        keys: returns the keys that are valid now.
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
