"""The identity of a session: its token, keys, project and addresses, looked up when needed.

Each is requested when it is first needed, by one thread, and kept while it is valid. The requests
to IAM are imported then: a session with AK/SK and a project id does not need them.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Callable, Dict, Optional, Union

from modelarts._internal.locks import ForkSafeLock
from modelarts.auth import endpoints, signer
from modelarts.auth.credentials import (
    AccessKey,
    ApplicationCredential,
    CredentialsUnavailable,
    StaticToken,
)
from modelarts.auth.settings import Resolved
from modelarts.errors import ConfigurationError
from modelarts.http.auth import Authorizer

if TYPE_CHECKING:
    from modelarts.auth.iam import Token
    from modelarts.auth.renewal import Renewed
    from modelarts.http.transport import Transport


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


class Identity:
    """The token, keys, project and addresses of the resolved settings.

    Args:
        resolved: the settings; results of requests are stored in it.
    """

    def __init__(self, resolved: Resolved, transport: Transport) -> None:
        self._resolved = resolved
        self._transport = transport
        self._lock = ForkSafeLock()
        now = transport.skew.now
        credentials = resolved.credential_set.credentials
        self._tokens: Optional[Renewed[Token]] = None
        self._keys: Optional[Renewed[AccessKey]] = None
        if not isinstance(credentials, AccessKey) or resolved.credential_set.renew is not None:
            from modelarts.auth import renewal

            if isinstance(credentials, AccessKey):
                self._keys = renewal.Renewed(self._renew, now, credentials)
            else:
                self._tokens = renewal.Renewed(self._login, now)
                self._keys = renewal.Renewed(self._exchange, now)
        self.authorizer = self._authorizer()

    def over(self, transport: Transport) -> Identity:
        """Return an identity with another transport that shares all results with this one."""
        other = copy.copy(self)
        other._transport = transport
        if self._keys is not None:
            by_token = self._tokens is not None
            other._keys = self._keys.by(other._exchange if by_token else other._renew)
        if self._tokens is not None:
            other._tokens = self._tokens.by(other._login)
        other.authorizer = other._authorizer()
        return other

    def keys(self) -> AccessKey:
        """Return the keys that are valid now; with a password or a token, temporary keys."""
        if self._keys is not None:
            return self._keys.get()
        credentials = self._resolved.credential_set.credentials
        assert isinstance(credentials, AccessKey)
        return credentials

    def renew_keys(self, refused: AccessKey) -> bool:
        """Discard refused keys; return True if :meth:`keys` returns other keys from now on."""
        if self._keys is not None:
            self._keys.forget(refused)
        return self._keys is not None

    def in_use(self) -> Union[None, AccessKey, Token]:
        """Return the keys or token in use, or None, without a request."""
        if self._tokens is not None:
            return self._tokens.current()
        renewed = self._keys.current() if self._keys is not None else None
        credentials = self._resolved.credential_set.credentials
        assert isinstance(credentials, AccessKey)
        return renewed or credentials

    def token(self) -> Optional[Token]:
        """Return the token that is valid now; None in a session with AK/SK."""
        return self._tokens.get() if self._tokens is not None else None

    def project_id(self) -> str:
        """Return the project's id; looked up by the project's name if it was not given.

        Raises:
            ConfigurationError: there is no such project, more than one, or no name.
        """
        with self._lock:
            if self._resolved.project_id is None:
                self._resolved.project_id = self._find_project()
            return self._resolved.project_id

    def endpoint(self, service: str) -> str:
        """Return the address of ``modelarts``, ``iam`` or ``obs``.

        Raises:
            ConfigurationError: no setting has the address, and the region does not give it.
        """
        known = self._resolved.endpoints.get(service)
        if known is not None:
            return known
        address = self._from_catalog(service)
        source = "the token's catalog"
        if address is None:
            address = endpoints.of_region(service, self._resolved.region_name)
            source = "the region's pattern"
        self._resolved.sources[service] = source
        self._resolved.endpoints[service] = address
        return address

    def _from_catalog(self, service: str) -> Optional[str]:
        from modelarts.auth import iam

        token = self.token() if service != "iam" else None
        if token is None:
            return None
        name = "object" if service == "obs" else service
        url = iam.catalog_endpoint(token.catalog, name, self._resolved.region_name)
        return endpoints.normalize(service, url) if url else None

    def _find_project(self) -> str:
        from modelarts.auth import iam

        token = self.token()
        if token is not None and token.project_id is not None:
            if isinstance(
                self._resolved.credential_set.credentials, (StaticToken, ApplicationCredential)
            ):
                self._resolved.sources["project"] = "the token"
            return token.project_id
        name = self._resolved.project_name
        if not name:
            raise ConfigurationError("no project and no region: give project_id= or region_name=")
        return iam.find_project(self._transport, self.endpoint("iam"), self.authorizer, name)

    def _login(self) -> Token:
        from modelarts.auth import iam

        known = self._resolved
        credentials = known.credential_set.credentials
        endpoint = self.endpoint("iam")
        if isinstance(credentials, StaticToken):
            return iam.inspect(self._transport, endpoint, credentials.token)
        assert not isinstance(credentials, AccessKey)
        if isinstance(credentials, ApplicationCredential):
            return iam.login(self._transport, endpoint, credentials)
        if known.project_id is not None:
            scope = {"id": known.project_id}
        elif known.project_name:
            scope = {"name": known.project_name}
        else:
            raise ConfigurationError("no project and no region: give project_id= or region_name=")
        return iam.login(self._transport, endpoint, credentials, scope)

    def _exchange(self) -> AccessKey:
        from modelarts.auth import iam

        token = self.token()
        assert token is not None
        return iam.temporary_keys(self._transport, self.endpoint("iam"), token)

    def _renew(self) -> AccessKey:
        credential_set = self._resolved.credential_set
        assert credential_set.renew is not None
        try:
            return credential_set.renew()
        except CredentialsUnavailable as reason:
            raise ConfigurationError(
                "%s has no fresh keys any more: %s" % (credential_set.source, reason)
            ) from None

    def _authorizer(self) -> Authorizer:
        if self._tokens is None:
            return KeyAuthorizer(self.keys)
        from modelarts.auth.renewal import TokenAuthorizer

        renewable = not isinstance(self._resolved.credential_set.credentials, StaticToken)
        return TokenAuthorizer(self._tokens, renewable)
