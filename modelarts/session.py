"""The session: its credentials and the addresses of the services."""

from __future__ import annotations

import os
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    ClassVar,
    Dict,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from modelarts._clients import Wiring, check_network
from modelarts._internal.clock import Clock
from modelarts.auth.credentials import (
    AccessKey,
    ApplicationCredential,
    Password,
    StaticToken,
)
from modelarts.auth.endpoints import normalize
from modelarts.auth.settings import ARGUMENTS, resolve, text
from modelarts.errors import InvalidArgument

if TYPE_CHECKING:
    from modelarts.http.attempts import AttemptInfo
    from modelarts.http.client import ServiceClient
    from modelarts.obs.api import Obs
    from modelarts.obs.results import Transferred
    from modelarts.obs.stores.base import Store
    from modelarts.whoami import WhoAmI

    _Path = Union[str, os.PathLike[str]]

__all__ = ["Session"]


def _obs_address(session: object) -> str:
    if not isinstance(session, Session):
        raise InvalidArgument("obs", session, "a Session")
    endpoint = session.obs_endpoint
    if not endpoint.startswith("http"):
        raise InvalidArgument("obs", session, "a session whose OBS is reached by HTTP")
    return endpoint


class Session:
    """A session with ModelArts: credentials, project, region and endpoints.

    Settings that are not arguments are searched for in a configuration file, in the environment, in
    the files of the clients of Huawei Cloud and OpenStack, in the metadata of an Elastic Cloud
    Server, and in the providers of :func:`modelarts.auth.add_provider`. Values that IAM has to
    supply (a token, a project's id) are requested when they are first needed, and kept. Threads may
    share a session.

    Args:
        access_key: the access key (AK); requires ``secret_key``.
        secret_key: the secret key (SK) of ``access_key``.
        project_id: the project's id; by default that of the project named ``project_name``.
        region_name: the region, such as ``"cn-north-4"`` or ``"eu-de"``.
        security_token: the security token of temporary keys; by default the keys are permanent.
        username: the IAM user, instead of AK/SK; requires ``password``.
        password: the password of ``username``.
        account: the account (Keystone: domain) of that user; by default the user's name.
        project_name: the project's name; by default the region's. That of a sub-project is
            ``<region>_<name>``.
        region: another spelling of ``region_name``.
        config_file: the path of a ``config.json`` that contains these settings.
        modelarts_endpoint: the address of ModelArts, with or without ``https://``; by default that
            of :meth:`set_endpoint`, of the environment, of the token's catalog, or of the region.
        iam_endpoint: the address of IAM, likewise.
        obs_endpoint: the address of OBS, likewise; a ``file:`` URL is allowed.
        obs_path: the folder in OBS that a folder of this machine is sent to when a job is created
            over it, such as ``"obs://bucket/boards/"``.
        api: ``"v1"``, visualization jobs; ``"v2"``, training jobs; or ``"auto"``, by default:
            public regions have v2, elsewhere the first call shows it. ``MODELARTS_API`` and
            ``api`` in a ``config.json`` say it too.
        timeout: seconds above 0, by default 30: for one attempt to connect, and for each wait for
            data. A response that is incomplete after that time is given up. A request ends, with
            all attempts and pauses, within ``timeout * (retries + 2)``.
        retries: the number of times that a request which may be repeated is sent again, 0 or more;
            by default 3.
        proxies: the proxies by scheme, such as ``{"https": "http://proxy:3128"}``; ``{}`` for none;
            by default those of the environment.
        verify: False to accept any certificate, or the path of a CA bundle; by default the public
            authorities, or ``REQUESTS_CA_BUNDLE``.
        cert: the client certificate: a path, or a pair of paths (certificate, key).
        on_response: a function for counting and timing; called with an
            :class:`~modelarts.http.attempts.AttemptInfo` after each attempt, successful or not.
        clock: the source of time and of pauses; for tests.

    Raises:
        InvalidArgument: an argument is wrong.
        CredentialsNotFound: no credentials were found; the error lists all sources.
        ConfigurationError: a configuration file or variable cannot be used.

    Source: *ModelArts SDK Reference*, "Session Authentication".

    Example:
        >>> session = Session(access_key="AK", secret_key="SK", project_id="0a1b",
        ...                   region_name="cn-north-4")
        >>> session
        Session(region_name='cn-north-4', project_id='0a1b', credentials='AK/SK from arguments')
    """

    _shared: ClassVar[Dict[str, Optional[str]]] = {}

    def __init__(
        self,
        config_file: Optional[str] = None,
        *,
        access_key: Optional[str] = None,
        secret_key: Optional[str] = None,
        project_id: Optional[str] = None,
        region_name: Optional[str] = None,
        security_token: Optional[str] = None,
        username: Optional[str] = None,
        password: Optional[str] = None,
        account: Optional[str] = None,
        project_name: Optional[str] = None,
        region: Optional[str] = None,
        modelarts_endpoint: Optional[str] = None,
        iam_endpoint: Optional[str] = None,
        obs_endpoint: Optional[str] = None,
        obs_path: Optional[str] = None,
        api: str = "auto",
        timeout: float = 30,
        retries: int = 3,
        proxies: Optional[Mapping[str, str]] = None,
        verify: Union[bool, str] = True,
        cert: Union[None, str, Tuple[str, str]] = None,
        on_response: Optional[Callable[[AttemptInfo], object]] = None,
        clock: Optional[Clock] = None,
    ) -> None:
        check_network(timeout, retries)
        if obs_path is not None:
            from modelarts.obs.paths import parse

            parse("obs_path", obs_path)
        clock = clock or Clock()
        environ = dict(os.environ)
        region_name = text("region_name", region_name) or text("region", region)
        self._resolved = resolve(
            environ,
            clock,
            keys={
                "access_key": access_key,
                "secret_key": secret_key,
                "security_token": security_token,
            },
            user={"username": username, "password": password, "account": account},
            project_id=text("project_id", project_id),
            project_name=text("project_name", project_name),
            region_name=region_name,
            config_file=config_file,
            addresses={
                "modelarts": modelarts_endpoint,
                "iam": iam_endpoint,
                "obs": obs_endpoint,
            },
            obs_path=obs_path,
            api=None if api == "auto" else api,
            shared=self._shared,
        )
        settings = {
            "timeout": timeout,
            "retries": retries,
            "proxies": proxies,
            "verify": verify,
            "cert": cert,
            "on_response": on_response,
        }
        self._wiring = Wiring(self._resolved, settings, environ, clock)
        self._local_root: Optional[str] = None
        self._obs_session: Optional[Session] = None

    @classmethod
    def set_endpoint(
        cls,
        iam_endpoint: Optional[str] = None,
        obs_endpoint: Optional[str] = None,
        modelarts_endpoint: Optional[str] = None,
        region_name: Optional[str] = None,
    ) -> None:
        """Set the addresses of the services for all sessions made from now on.

        For private clouds and Open Telekom Cloud. Existing sessions do not change. An argument that
        is not given keeps its earlier value.

        Args:
            iam_endpoint: the address of IAM, with or without ``https://``.
            obs_endpoint: the address of OBS, likewise; a ``file:`` URL is allowed.
            modelarts_endpoint: the address of ModelArts, likewise.
            region_name: the region.

        Raises:
            InvalidArgument: an argument is not an address, or the region has blanks around it.

        Source: *ModelArts SDK Reference*, "Session Authentication".

        Example:
            >>> Session.set_endpoint(
            ...     iam_endpoint="https://iam.example.com",
            ...     obs_endpoint="https://obs.example.com",
            ...     modelarts_endpoint="https://modelarts.example.com",
            ...     region_name="region-1",
            ... )                                                                 # doctest: +SKIP
        """
        addresses = {"modelarts": modelarts_endpoint, "iam": iam_endpoint, "obs": obs_endpoint}
        settings: Dict[str, Optional[str]] = {
            service: normalize(service, value)
            for service, value in addresses.items()
            if value is not None
        }
        if region_name is not None:
            settings["region_name"] = text("region_name", region_name)
        Session._shared = {**Session._shared, **settings}

    @classmethod
    def local(
        cls,
        root: Union[str, os.PathLike[str], None] = None,
        stay: bool = False,
        *,
        obs: Optional[Session] = None,
    ) -> Session:
        """Connect to the local service of a folder, and start it if it is not running.

        A service that is started here ends with the last process that uses it. Requires the extra
        ``modelarts[local]``; for logs in OBS also ``modelarts[obs]``.

        Args:
            root: the service's folder, by default ``~/.modelarts/local``, with ``obs`` one for each
                address of OBS; the job's ``/bucket/path/`` is ``<root>/obs/bucket/path/`` there.
            stay: True to keep the service running after the processes that use it have ended; by
                default False.
            obs: a session with a cloud; by default None. Boards then show the logs in its OBS,
                which the service reads with the keys of that session. The keys are sent to the
                service, which keeps them in memory only; renewed keys are sent again as long as
                this process runs. ``session.obs`` is that of ``obs``.

        Returns:
            A session with that service.

        Raises:
            InvalidArgument: ``root`` is not a path, or ``obs`` is not a session with an OBS that is
                reached by HTTP.
            ConfigurationError: the service cannot be started, or reads another OBS; the message
                gives the reason.
            ApiError: IAM refused temporary keys for ``obs``.
            TransportError: no response from IAM or from the service.

        Example:
            >>> session = Session.local()                                         # doctest: +SKIP
            >>> VisualizationJob.create("runs/", session=session).show()          # doctest: +SKIP
            >>> job = VisualizationJob.ensure(
            ...     "obs://bucket/logs/",
            ...     session=Session.local(obs=Session()))                         # doctest: +SKIP
        """
        from modelarts.local.server.launcher import connect

        endpoint = None if obs is None else _obs_address(obs)
        service = connect(root, stay, obs_endpoint=endpoint)
        session = cls(
            access_key=service["access_key"],
            secret_key=service["secret_key"],
            project_id=service["project_id"],
            region_name=service["region_name"],
            modelarts_endpoint=service["modelarts_endpoint"],
            iam_endpoint=service["iam_endpoint"],
            obs_endpoint=service["obs_endpoint"],
            api=os.environ.get("MODELARTS_API") or "v1",
            proxies={},
        )
        session._local_root = service["root"]
        session._wiring.local_obs = service.get("obs_http_endpoint")
        sources = session._resolved.sources
        # This setting can only be from the variable.
        names = set(sources) - {"obs_path"}
        sources.update(dict.fromkeys(names, "local service of " + service["root"]))
        if obs is not None:
            from modelarts._obs_keys import send

            session._obs_session = obs
            send(service["root"], session._wiring.parts.client, obs.keys, session.clock)
        return session

    @property
    def local_root(self) -> Optional[str]:
        """The root folder of the service of :meth:`local`; None in other sessions."""
        return self._local_root

    def mount(self, folders: Mapping[str, str]) -> str:
        """Let the local service read folders of this machine in place.

        The session writes them to the file ``mounts.json`` in the root folder of the service; no
        request is sent.

        Args:
            folders: the folders by the names that their runs begin with in TensorBoard: absolute
                paths, or ``/bucket/path/`` of the service. The name of a single folder is empty.

        Returns:
            The ``train_url`` of a job over them, such as ``/runs-0c5e1f6a0b3d/``. It is the same
            for the same folders.

        Raises:
            ValueError: a folder cannot be read in place.
            ConfigurationError: the session was not made by :meth:`local`, or the file cannot be
                written.
        """
        if self._local_root is None:
            from modelarts.errors import ConfigurationError

            raise ConfigurationError(
                "only a service of this machine can read folders of this machine in place: use "
                "Session.local()"
            )
        from modelarts.local.logs.mounts import mount

        return mount(self._local_root, folders)

    # Who -----------------------------------------------------------------------------------

    def keys(self) -> AccessKey:
        """Return access key, secret key and security token that belong together.

        With a password or a token these are temporary keys from IAM: the first call requests them,
        and they are renewed before they expire. Use this method in code that passes on all three,
        because the keys may be renewed between two reads of :attr:`access_key` and
        :attr:`secret_key`.

        Returns:
            The keys, with the time at which they expire.

        Raises:
            ApiError: IAM refused the request.
            TransportError: no response from IAM.
            ConfigurationError: the source of the keys has no fresh ones any more.

        Example:
            >>> Session(access_key="AK", secret_key="SK").keys()
            AccessKey(access_key='AK', expires_at=None)
        """
        return self._wiring.parts.identity.keys()

    @property
    def access_key(self) -> Optional[str]:
        """The access key; with a password or a token, that of temporary keys from IAM.

        The first read then sends a request to IAM, as does that of :attr:`secret_key` and
        :attr:`security_token`. The keys are renewed before they expire. :meth:`keys` returns all
        three as of one moment.
        """
        return self.keys().access_key

    @property
    def secret_key(self) -> Optional[str]:
        """The secret key that belongs to :attr:`access_key`."""
        return self.keys().secret_key

    @property
    def security_token(self) -> Optional[str]:
        """The security token of temporary keys; None with permanent ones."""
        return self.keys().security_token

    @property
    def user_id(self) -> Optional[str]:
        """The user's id that IAM sends with a token; None in a session with AK/SK."""
        token = self._wiring.parts.identity.token()
        return token.user_id if token is not None else None

    @property
    def clock(self) -> Clock:
        """The clock of the session; a test may set another one before the first call."""
        return self._wiring.clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._wiring.clock = clock

    @property
    def region_name(self) -> Optional[str]:
        """The region; None if no setting names one."""
        return self._resolved.region_name

    @property
    def project_id(self) -> str:
        """The project's id; if it was not given, it is looked up by its name, once.

        Raises:
            ConfigurationError: there is no such project, or no name to look it up by.
            ApiError: IAM refused the request.
            TransportError: no response from IAM.
        """
        known = self._resolved.project_id
        return known if known is not None else self._wiring.parts.identity.project_id()

    # Where ---------------------------------------------------------------------------------

    @property
    def modelarts_endpoint(self) -> str:
        """The address of ModelArts.

        Raises:
            ConfigurationError: no setting gives it, and the region is not a known one.
        """
        return self._wiring.parts.identity.endpoint("modelarts")

    @property
    def iam_endpoint(self) -> str:
        """The address of IAM; raises the same errors as :attr:`modelarts_endpoint`."""
        return self._wiring.parts.identity.endpoint("iam")

    @property
    def obs_endpoint(self) -> str:
        """The address of OBS, a ``file:`` URL with the local service; raises the same errors."""
        return self._wiring.parts.identity.endpoint("obs")

    @property
    def api(self) -> str:
        """The version of the API that the service has: ``"v1"`` or ``"v2"``.

        ``"auto"`` until the first call has shown it. Public regions have v2; elsewhere v1 is tried
        first, and v2 where the gateway knows no v1.
        """
        dialect = self._wiring.dialect
        return self._resolved.api if dialect is None else dialect.name or "auto"

    @property
    def obs_path(self) -> Optional[str]:
        """The folder in OBS that folders of this machine are sent to; None if no setting names one.

        Each is placed in a folder of its own there, unless the call gives another place.
        """
        return self._resolved.obs_path

    # What it does --------------------------------------------------------------------------

    @property
    def client(self) -> ServiceClient:
        """The client that calls ModelArts for this session."""
        return self._wiring.parts.client

    def with_api(self, api: str) -> Session:
        """Return this session, or one like it whose calls use another version of the API.

        Credentials and connections are shared, so that no login is needed.

        Args:
            api: ``"v1"`` or ``"v2"``.

        Returns:
            A session whose :attr:`api` is that version.

        Raises:
            InvalidArgument: ``api`` is neither of the two.

        Example:
            >>> session.with_api("v2").api                                        # doctest: +SKIP
            'v2'
        """
        if api not in ("v1", "v2"):
            raise InvalidArgument("api", api, "'v1' or 'v2'")
        if self.api == api:
            return self
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._wiring = self._wiring.with_api(api)
        return other

    def request(
        self,
        method: str,
        path: str,
        query: Optional[Mapping[str, object]] = None,
        body: Union[bytes, str, Mapping[str, Any], None] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> Any:
        """Call any ModelArts path with authorization, and return the parsed JSON.

        Args:
            method: the HTTP method: ``"GET"``, ``"POST"``, ``"PUT"``, ``"DELETE"`` or any other.
            path: the path, from ``/v1/…`` on; it may contain a query.
            query: the query's parameters; a list as a value repeats its name; a parameter that is
                None is left out.
            body: a str or bytes to be sent as they are, or a value to be sent as JSON.
            headers: additional headers; they are signed too.

        Returns:
            The parsed JSON; None if the body is empty.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            ApiError: the service refused the request.
            TransportError: no response, or one that is not JSON.

        Example:
            >>> session.request("GET", "/v1/%s/visualization-jobs" % session.project_id,
            ...                 query={"per_page": 5})                            # doctest: +SKIP
        """
        return self.client.request(method, path, query, body, headers)

    def get_obs_client(self, **settings: Any) -> Any:
        """Return the official client of OBS, with this session's keys and settings.

        It signs each request with the keys that are valid at that time, so temporary keys need no
        ``refresh``. It keeps connections open: close it after use. Requires the extra
        ``modelarts[obs]``.

        Args:
            settings: arguments of ``obs.ObsClient``, such as ``signature="v2"``; they override
                those of the session.

        Returns:
            An ``obs.ObsClient``.

        Raises:
            ConfigurationError: the extra is not installed, or :attr:`obs_endpoint` is a folder and
                no local service offers it (``modelarts serve --obs-api``).

        Source: *ModelArts SDK Reference*, "Session Authentication"; *OBS Python SDK*, "ObsClient".

        Example:
            >>> client = session.get_obs_client()                                 # doctest: +SKIP
            >>> client.listObjects("bucket", prefix="logs/").body.contents        # doctest: +SKIP
        """
        return self._wiring.obs_client(**settings)

    @property
    def obs(self) -> Obs:
        """File transfers to and from OBS; see :class:`~modelarts.obs.api.Obs`.

        Example:
            >>> session.obs.upload_dir("runs", "obs://bucket/logs/")              # doctest: +SKIP
        """
        return self._wiring.obs if self._obs_session is None else self._obs_session.obs

    @property
    def quick_store(self) -> Store:
        """The store behind :attr:`obs`, which sends requests once and waits for half a second."""
        return (self._obs_session or self)._wiring.quick_store

    def upload_data(self, bucket_path: str, path: Union[_Path, Sequence[_Path]]) -> Transferred:
        """Upload a file, several files or a folder; older form of ``session.obs.upload_…``.

        Args:
            bucket_path: the folder in OBS, ``'/bucket/folder/'``.
            path: a file, a list of files, or a folder. The folder itself is placed in the target.

        Returns:
            What was transferred.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            IncompleteTransfer: some files could not be sent; all others were.
            ApiError: OBS refused the request.
            TransportError: no response from OBS.

        Source: *ModelArts SDK Reference*, "Uploading a File to OBS", version of 2019.
        """
        from modelarts.obs.legacy import upload_data

        return upload_data(self.obs.calls, bucket_path, path)

    def download_data(self, bucket_path: str, path: _Path) -> Transferred:
        """Download an object or a folder; older form of ``session.obs.download_…``.

        Prints a line for each file: ``Successfully download file <bucket/key> from OBS to local
        <path>``.

        Args:
            bucket_path: ``'/bucket/folder/object'``, or ``'/bucket/folder/'``.
            path: a folder, which exists or ends with a slash; or, for an object, the file.

        Returns:
            What was transferred.

        Raises:
            InvalidArgument: an argument is wrong; no request was sent.
            NotFound: there is no such object or folder.
            IncompleteTransfer: some files could not be downloaded; all others were.
            ApiError: OBS refused the request.
            TransportError: no response from OBS.

        Source: *ModelArts SDK Reference*, "Downloading Data from OBS", version of 2019.
        """
        from modelarts.obs.legacy import download_data

        return download_data(self.obs.calls, bucket_path, path)

    def create_directory(self, bucket: str, directory: str) -> str:
        """Create a folder in OBS, with the folders above it.

        A folder need not exist before something is sent to it, so this is for scripts that expect
        one. A folder that exists stays as it is.

        Args:
            bucket: the name of the bucket.
            directory: the folder, such as ``'/dir1/dir2/'``.

        Returns:
            The folder, such as ``'obs://bucket/dir1/dir2/'``.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            ApiError: OBS refused the request, for example because there is no such bucket.
            TransportError: no response from OBS.

        Source: *ModelArts SDK Reference*, "Creating a Folder in OBS", version of 2019.

        Example:
            >>> session.create_directory("bucket", "/dir1/dir2/")                 # doctest: +SKIP
            'obs://bucket/dir1/dir2/'
        """
        from modelarts.obs.legacy import create_directory

        return create_directory(self.obs.calls, bucket, directory)

    def explain(self) -> WhoAmI:
        """Return the settings of this session with their sources, and test each service.

        Print the result, or run ``modelarts whoami``. Secrets are shown as their last four
        characters.

        Returns:
            The settings and the state of the services. The entry of a service that fails contains
            the reason; no error is raised.
        """
        from modelarts.whoami import PATIENCE, explain

        hurried = self._wiring.in_a_hurry(PATIENCE)
        try:
            return explain(self._resolved, hurried.parts, self.mode, self.clock)
        finally:
            hurried.close()

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        self._wiring.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "Session(region_name=%r, project_id=%r, credentials='%s from %s')" % (
            self.region_name,
            self._resolved.project_id,
            self.mode,
            self._resolved.sources["credentials"],
        )

    def __reduce__(self) -> Tuple[Any, ...]:
        # What is unpickled elsewhere finds its own credentials again; nothing secret travels.
        if self._local_root is not None:
            return _local_again, (self._local_root, self._obs_session)
        known = self._resolved
        if known.sources["credentials"].startswith(ARGUMENTS):
            raise TypeError(
                "this session's %s was given as an argument, and secrets are not pickled. Let the "
                "worker make its own: Session() finds credentials in the environment" % self.mode
            )
        settings = dict(self._wiring.settings)
        if any("@" in proxy for proxy in (settings["proxies"] or {}).values()):
            raise TypeError("this session's proxies= holds a password, and secrets are not pickled")
        settings.update(
            on_response=None,
            project_id=known.project_id,
            project_name=known.project_name,
            region_name=known.region_name,
            obs_path=known.obs_path,
            api=self.api,
            config_file=known.credential_set.config_file,
        )
        for service, address in known.endpoints.items():
            settings[service + "_endpoint"] = address
        return _again, (settings,)

    @property
    def sources(self) -> Mapping[str, str]:
        """The source of each setting that was found, such as ``{"region_name": "arguments"}``."""
        return dict(self._resolved.sources)

    @property
    def mode(self) -> str:
        """The kind of the credentials.

        One of ``"AK/SK"``, ``"password"``, ``"application credential"`` and ``"token"``.
        """
        kind = type(self._resolved.credential_set.credentials)
        return {
            AccessKey: "AK/SK",
            Password: "password",
            ApplicationCredential: "application credential",
            StaticToken: "token",
        }[kind]


def _local_again(root: str, obs: Optional[Session]) -> Session:
    return Session.local(root, obs=obs)


def _again(settings: Dict[str, Any]) -> Session:
    return Session(**settings)


def checked_session(argument: str, session: object) -> Optional[Session]:
    """Return a session or None; raise InvalidArgument for anything else."""
    if session is not None and not isinstance(session, Session):
        raise InvalidArgument(argument, session, "a modelarts.session.Session")
    return session
