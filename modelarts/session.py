"""Who you are and where the services are: the one place where the parts are put together."""

import os
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Dict, Mapping, Optional, Tuple, Type, Union

from modelarts import endpoints
from modelarts.auth.credentials import AccessKey, Password
from modelarts.clock import Clock
from modelarts.errors import ConfigurationError, CredentialsNotFound, InvalidArgument

if TYPE_CHECKING:
    from modelarts.auth.authorizers import Authorizer
    from modelarts.auth.iam import Token
    from modelarts.http.client import ServiceClient
    from modelarts.http.transport import Transport

__all__ = ["Session"]


class Session:
    """A session with ModelArts: credentials, project, region and endpoints.

    Nothing is sent when a session is made; what has to be asked of IAM (a token, a project's
    id) is asked when it is first needed, and kept. A session may be shared between threads.

    >>> session = Session(access_key="AK", secret_key="SK", project_id="0a1b",
    ...                   region_name="cn-north-4")
    >>> session
    Session(region_name='cn-north-4', project_id='0a1b', credentials='AK/SK from arguments')

    Args:
        access_key: the access key (AK), with ``secret_key`` (SK).
        security_token: the security token that belongs to temporary keys.
        username: the IAM user, with ``password``; instead of AK/SK.
        account: the account (Keystone: domain) of that user; by default the user's name.
        project_id: the project; by default the one named like the region.
        region_name: the region, such as ``"cn-north-4"`` or ``"eu-de"``; ``region`` is
            another spelling of it.
        modelarts_endpoint: the address of ModelArts, with or without ``https://``; by
            default that of :meth:`set_endpoint`, of the environment, of the token's catalog,
            or of the region.
        iam_endpoint: likewise the address of IAM.
        obs_endpoint: likewise the address of OBS.
        timeout: seconds for one attempt to connect, and for each wait for data.
        retries: how often a request that may be repeated is sent again.
        proxies: ``{"https": "http://proxy:3128"}``; ``{}`` for none; by default those of the
            environment.
        verify: False to trust any certificate, or the path of a CA bundle; by default
            the public authorities, or ``REQUESTS_CA_BUNDLE``.
        cert: a client certificate: a path, or a pair of paths (certificate, key).
        clock: what tells the time and waits; for tests.

    Raises:
        InvalidArgument: an argument is wrong.
        CredentialsNotFound: nothing says who you are.

    Source: *ModelArts SDK Reference*, "Session Authentication".
    """

    _shared: ClassVar[Dict[str, str]] = {}
    _shared_region: ClassVar[Optional[str]] = None

    def __init__(
        self,
        *,
        access_key: Optional[str] = None,
        secret_key: Optional[str] = None,
        project_id: Optional[str] = None,
        region_name: Optional[str] = None,
        security_token: Optional[str] = None,
        username: Optional[str] = None,
        password: Optional[str] = None,
        account: Optional[str] = None,
        region: Optional[str] = None,
        modelarts_endpoint: Optional[str] = None,
        iam_endpoint: Optional[str] = None,
        obs_endpoint: Optional[str] = None,
        timeout: float = 30,
        retries: int = 3,
        proxies: Optional[Mapping[str, str]] = None,
        verify: Union[bool, str] = True,
        cert: Union[None, str, Tuple[str, str]] = None,
        clock: Optional[Clock] = None,
    ) -> None:
        self._credentials = _credentials(
            access_key, secret_key, security_token, username, password, account
        )
        self.region_name: Optional[str] = (
            _text("region_name", region_name) or _text("region", region) or self._shared_region
        )
        self._project_id = _text("project_id", project_id)
        self._endpoints = {**endpoints.from_environment(os.environ), **self._shared}
        given = {"modelarts": modelarts_endpoint, "iam": iam_endpoint, "obs": obs_endpoint}
        for service, value in given.items():
            if value is not None:
                self._endpoints[service] = endpoints.normalize(service, value)
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
            raise InvalidArgument("timeout", timeout, "a number of seconds above 0")
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise InvalidArgument("retries", retries, "a whole number from 0 on")
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        self._settings = {
            "timeout": timeout,
            "retries": retries,
            "proxies": proxies,
            "verify": bundle if verify is True and bundle else verify,
            "cert": cert,
        }
        self._environ = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
        self.clock = clock or Clock()
        self._lock = RLock()
        self._client: Optional[ServiceClient] = None
        self._transport: Optional[Transport] = None
        self._authorizer: Optional[Authorizer] = None

    @classmethod
    def set_endpoint(
        cls,
        iam_endpoint: Optional[str] = None,
        obs_endpoint: Optional[str] = None,
        modelarts_endpoint: Optional[str] = None,
        region_name: Optional[str] = None,
    ) -> None:
        """Say where the services are, for all sessions made from now on.

        For private clouds and Open Telekom Cloud; sessions that exist keep what they have.
        What is not given stays as it was said before.

        Raises:
            InvalidArgument: one of them is not an address.

        Source: *ModelArts SDK Reference*, "Session Authentication".
        """
        given = {"modelarts": modelarts_endpoint, "iam": iam_endpoint, "obs": obs_endpoint}
        said = {s: endpoints.normalize(s, value) for s, value in given.items() if value is not None}
        Session._shared = {**Session._shared, **said}
        Session._shared_region = _text("region_name", region_name) or Session._shared_region

    @classmethod
    def local(cls, root: Optional[str] = None, stay: bool = False) -> "Session":
        """A session with the local service of ``root``, which is started if none runs there.

        A service started here ends with the last program that uses it. Needs the extra
        ``modelarts[local]``.

        Args:
            root: the service's folder, by default ``~/.modelarts/local``; the job's
                ``/bucket/path/`` is ``<root>/obs/bucket/path/`` there.
            stay: let the service run on when the programs that use it have ended.

        Raises:
            ConfigurationError: the service cannot be started; the message says why.
        """
        from modelarts.local.discovery import connect

        found = connect(root, stay)
        return cls(
            access_key=found["access_key"],
            secret_key=found["secret_key"],
            project_id=found["project_id"],
            region_name=found["region_name"],
            modelarts_endpoint=found["modelarts_endpoint"],
            iam_endpoint=found["iam_endpoint"],
            obs_endpoint=found["obs_endpoint"],
            proxies={},
        )

    @property
    def access_key(self) -> Optional[str]:
        """The access key, or None in a session with a password."""
        return self._credentials.access_key if isinstance(self._credentials, AccessKey) else None

    @property
    def secret_key(self) -> Optional[str]:
        """The secret key, or None in a session with a password."""
        return self._credentials.secret_key if isinstance(self._credentials, AccessKey) else None

    @property
    def security_token(self) -> Optional[str]:
        """The security token of temporary keys, or None."""
        keys = self._credentials
        return keys.security_token if isinstance(keys, AccessKey) else None

    @property
    def project_id(self) -> str:
        """The project's id; where it was not given, looked up by the region's name, once.

        Raises:
            ConfigurationError: there is no such project, or no region to look it up by.
        """
        if self._project_id is None:
            with self._lock:
                if self._project_id is None:
                    self._project_id = self._find_project()
        return self._project_id

    @property
    def user_id(self) -> Optional[str]:
        """The user's id as IAM tells it with a token; None in a session with AK/SK."""
        token = self._token()
        return token.user_id if token is not None else None

    @property
    def modelarts_endpoint(self) -> str:
        """The address of ModelArts.

        Raises:
            ConfigurationError: nothing says where it is. So do the other two.
        """
        return self._endpoint("modelarts")

    @property
    def iam_endpoint(self) -> str:
        """The address of IAM."""
        return self._endpoint("iam")

    @property
    def obs_endpoint(self) -> str:
        """The address of OBS; with the local service a ``file:`` URL."""
        return self._endpoint("obs")

    @property
    def client(self) -> "ServiceClient":
        """What calls ModelArts for this session."""
        if self._client is None:
            from modelarts.http.client import ServiceClient

            with self._lock:
                if self._client is None:
                    self._client = ServiceClient(
                        self._get_transport(),
                        self._get_authorizer(),
                        lambda: self._endpoint("modelarts"),
                        lambda: self.project_id,
                    )
        return self._client

    def request(
        self,
        method: str,
        path: str,
        query: Optional[Mapping[str, object]] = None,
        body: Union[None, bytes, str, Mapping[str, Any]] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> Any:
        """Call any ModelArts path, authorized, and answer its parsed JSON (None if empty).

        >>> session.request("GET", "/v1/%s/visualization-jobs" % session.project_id,
        ...                 query={"per_page": 5})                        # doctest: +SKIP

        Raises:
            ApiError: the service refused.
            TransportError: no answer, or none that can be read.
        """
        from urllib.parse import quote

        if not isinstance(path, str) or not path.startswith("/") or "?" in path or "#" in path:
            raise InvalidArgument("path", path, "a path that starts with '/', without a query")
        given = {str(name): str(value) for name, value in (query or {}).items()}
        encoded = quote(path, safe="/%~!$&'()*+,;=:@")
        method = method.upper()
        return self.client.call("%s %s" % (method, path), method, encoded, given, body, headers)

    def close(self) -> None:
        """Close the connections. A call made later opens new ones."""
        with self._lock:
            if self._transport is not None:
                self._transport.close()

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        mode = "AK/SK" if isinstance(self._credentials, AccessKey) else "password"
        return "Session(region_name=%r, project_id=%r, credentials='%s from %s')" % (
            self.region_name,
            self._project_id,
            mode,
            self._credentials.source,
        )

    def _endpoint(self, service: str) -> str:
        found = self._endpoints.get(service)
        if found is None:
            found = self._from_catalog(service) or endpoints.of_region(service, self.region_name)
            self._endpoints[service] = found
        return found

    def _from_catalog(self, service: str) -> Optional[str]:
        token = self._token() if service != "iam" else None
        if token is None:
            return None
        from modelarts.auth.iam import catalog_endpoint

        url = catalog_endpoint(token.catalog, service, self.region_name)
        return endpoints.normalize(service, url) if url else None

    def _find_project(self) -> str:
        token = self._token()
        if token is not None:
            if token.project_id is None:
                raise ConfigurationError("the token is good for no project; give project_id=")
            return token.project_id
        if not self.region_name:
            raise ConfigurationError("no project and no region: give project_id= or region_name=")
        from modelarts.auth import iam

        return iam.find_project(
            self._get_transport(), self._endpoint("iam"), self._get_authorizer(), self.region_name
        )

    def _login(self) -> "Token":
        from modelarts.auth import iam

        assert isinstance(self._credentials, Password)
        if self._project_id is not None:
            scope = {"id": self._project_id}
        elif self.region_name:
            scope = {"name": self.region_name}
        else:
            raise ConfigurationError("no project and no region: give project_id= or region_name=")
        return iam.login(self._get_transport(), self._endpoint("iam"), self._credentials, scope)

    def _token(self) -> "Optional[Token]":
        from modelarts.auth.authorizers import TokenAuthorizer

        authorizer = self._get_authorizer()
        return authorizer.token() if isinstance(authorizer, TokenAuthorizer) else None

    def _get_authorizer(self) -> "Authorizer":
        with self._lock:
            if self._authorizer is None:
                from modelarts.auth.authorizers import KeyAuthorizer, TokenAuthorizer

                if isinstance(self._credentials, AccessKey):
                    self._authorizer = KeyAuthorizer(self._credentials)
                else:
                    self._authorizer = TokenAuthorizer(self._login, self.clock)
            return self._authorizer

    def _get_transport(self) -> "Transport":
        with self._lock:
            if self._transport is None:
                from modelarts import __version__
                from modelarts.http.proxies import Proxies
                from modelarts.http.retry import Retry
                from modelarts.http.transport import Transport

                settings: Dict[str, Any] = dict(self._settings)
                self._transport = Transport(
                    retry=Retry(settings.pop("retries")),
                    proxies=Proxies(settings.pop("proxies"), self._environ),
                    clock=self.clock,
                    user_agent="modelarts-python/" + __version__,
                    **settings,
                )
            return self._transport


def _credentials(
    access_key: Optional[str],
    secret_key: Optional[str],
    security_token: Optional[str],
    username: Optional[str],
    password: Optional[str],
    account: Optional[str],
) -> Union[AccessKey, Password]:
    keys = {"access_key": access_key, "secret_key": secret_key, "security_token": security_token}
    user = {"username": username, "password": password, "account": account}
    by_keys = any(value is not None for value in keys.values())
    by_password = any(value is not None for value in user.values())
    if by_keys and by_password:
        raise ConfigurationError(
            "give access_key and secret_key, or username and password, not both"
        )
    if not by_keys and not by_password:
        raise CredentialsNotFound(
            "no credentials: give Session(access_key=, secret_key=, project_id=, region_name=) or "
            "Session(username=, password=, region_name=), or use Session.local()"
        )
    needed = ("access_key", "secret_key") if by_keys else ("username", "password")
    given = keys if by_keys else user
    for name in needed:
        if given[name] is None:
            other = needed[1 - needed.index(name)]
            raise CredentialsNotFound("%s is missing; it belongs to %s" % (name, other))
    if by_keys:
        return AccessKey(access_key or "", secret_key or "", security_token)
    if account is None:
        return Password(username or "", password or "")
    return Password(username or "", password or "", account)


def _text(argument: str, value: Optional[str]) -> Optional[str]:
    if value is not None and (not isinstance(value, str) or not value.strip("\r\n\t ") == value):
        raise InvalidArgument(argument, value, "a text without blanks around it")
    return value or None
