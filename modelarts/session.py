"""Who you are and where the services are."""

import os
from types import TracebackType
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
    Type,
    Union,
)

from modelarts._clients import Wiring, check_network
from modelarts._internal.clock import Clock
from modelarts.auth.credentials import AccessKey, GivenToken, Password
from modelarts.auth.endpoints import normalize
from modelarts.auth.settings import ARGUMENTS, Arguments, resolve, text

if TYPE_CHECKING:
    from modelarts.http.client import ServiceClient
    from modelarts.http.models import Exchange
    from modelarts.obs.api import Obs
    from modelarts.obs.results import Transferred
    from modelarts.whoami import Explanation

__all__ = ["Session"]


_Path = Union[str, "os.PathLike[str]"]


class Session:
    """A session with ModelArts: credentials, project, region and endpoints.

    What is not given is looked for: in a configuration file, in the environment, in the files of
    Huawei Cloud's and OpenStack's clients, in the metadata of an Elastic Cloud Server, and where
    :func:`modelarts.auth.add_provider` says. What has to be asked of IAM (a token, a project's
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
        project_id: the project; by default the one named ``project_name``.
        project_name: the project's name; by default the region's. A sub-project's is
            ``<region>_<name>``.
        region_name: the region, such as ``"cn-north-4"`` or ``"eu-de"``; ``region`` is
            another spelling of it.
        config_file: a ``config.json`` to take all of this from.
        modelarts_endpoint: the address of ModelArts, with or without ``https://``; by
            default that of :meth:`set_endpoint`, of the environment, of the token's catalog,
            or of the region.
        iam_endpoint: likewise the address of IAM.
        obs_endpoint: likewise the address of OBS.
        obs_path: the folder in OBS that folders of this machine are sent to when a job is created
            over one, such as ``"obs://bucket/boards/"``.
        timeout: seconds for one attempt to connect, and for each wait for data; an answer that
            is not whole after that time is given up. A request ends, with all attempts and
            pauses, within ``timeout * (retries + 2)``.
        retries: how often a request that may be repeated is sent again.
        proxies: ``{"https": "http://proxy:3128"}``; ``{}`` for none; by default those of the
            environment.
        verify: False to trust any certificate, or the path of a CA bundle; by default
            the public authorities, or ``REQUESTS_CA_BUNDLE``.
        cert: a client certificate: a path, or a pair of paths (certificate, key).
        on_response: called with an :class:`~modelarts.http.models.Exchange` after each
            attempt, answered or not; for counting and timing.
        clock: what tells the time and waits; for tests.

    Raises:
        InvalidArgument: an argument is wrong.
        CredentialsNotFound: nothing says who you are; it says where was looked.
        ConfigurationError: something that says who you are cannot be used.

    Source: *ModelArts SDK Reference*, "Session Authentication".
    """

    _shared: ClassVar[Dict[str, Optional[str]]] = {}

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
        project_name: Optional[str] = None,
        region: Optional[str] = None,
        config_file: Optional[str] = None,
        modelarts_endpoint: Optional[str] = None,
        iam_endpoint: Optional[str] = None,
        obs_endpoint: Optional[str] = None,
        obs_path: Optional[str] = None,
        timeout: float = 30,
        retries: int = 3,
        proxies: Optional[Mapping[str, str]] = None,
        verify: Union[bool, str] = True,
        cert: Union[None, str, Tuple[str, str]] = None,
        on_response: Optional[Callable[["Exchange"], object]] = None,
        clock: Optional[Clock] = None,
    ) -> None:
        check_network(timeout, retries)
        if obs_path is not None:
            from modelarts.obs.paths import parse

            parse("obs_path", obs_path)
        clock = clock or Clock()
        environ = dict(os.environ)
        region_name = text("region_name", region_name) or text("region", region)
        given = Arguments(
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
            endpoints={
                "modelarts": modelarts_endpoint,
                "iam": iam_endpoint,
                "obs": obs_endpoint,
            },
            obs_path=obs_path,
            shared=self._shared,
        )
        self._resolved = resolve(given, environ, clock)
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
        said: Dict[str, Optional[str]] = {
            service: normalize(service, value)
            for service, value in given.items()
            if value is not None
        }
        if region_name is not None:
            said["region_name"] = text("region_name", region_name)
        Session._shared = {**Session._shared, **said}

    @classmethod
    def local(
        cls, root: Union[str, "os.PathLike[str]", None] = None, stay: bool = False
    ) -> "Session":
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
        from modelarts.local.server.launcher import connect

        found = connect(root, stay)
        session = cls(
            access_key=found["access_key"],
            secret_key=found["secret_key"],
            project_id=found["project_id"],
            region_name=found["region_name"],
            modelarts_endpoint=found["modelarts_endpoint"],
            iam_endpoint=found["iam_endpoint"],
            obs_endpoint=found["obs_endpoint"],
            proxies={},
        )
        session._local_root = found["root"]
        session._wiring.local_obs = found.get("obs_http_endpoint")
        sources = session._resolved.sources
        # Only the variable can have said it.
        said = set(sources) - {"obs_path"}
        sources.update(dict.fromkeys(said, "local service of " + found["root"]))
        return session

    # Who -----------------------------------------------------------------------------------

    def keys(self) -> AccessKey:
        """Access key, secret key and security token that belong together.

        With a password or a token these are temporary keys from IAM: the first call asks for
        them, and they are renewed before they end. Code that passes the three on takes them from
        here, since between two reads of :attr:`access_key` and :attr:`secret_key` they may have
        been renewed.

        >>> Session(access_key="AK", secret_key="SK").keys()
        AccessKey(access_key='AK', expires_at=None)

        Raises:
            ApiError: IAM refused.
            ConfigurationError: the place that the keys are from has no fresh ones any more.
        """
        return self._wiring.parts.identity.keys()

    @property
    def access_key(self) -> Optional[str]:
        """The access key; with a password or a token, that of temporary keys from IAM.

        The first read of it then asks IAM, as do :attr:`secret_key` and
        :attr:`security_token`; they are renewed before they expire. :meth:`keys` answers all
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
        """The user's id as IAM tells it with a token; None in a session with AK/SK."""
        token = self._wiring.parts.identity.token()
        return token.user_id if token is not None else None

    @property
    def clock(self) -> Clock:
        """What tells the time and waits; a test may set another one before the first call."""
        return self._wiring.clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._wiring.clock = clock

    @property
    def region_name(self) -> Optional[str]:
        """The region; None where nothing names one."""
        return self._resolved.region_name

    @property
    def project_id(self) -> str:
        """The project's id; where it was not given, looked up by its name, once.

        Raises:
            ConfigurationError: there is no such project, or no name to look it up by.
        """
        known = self._resolved.project_id
        return known if known is not None else self._wiring.parts.identity.project_id()

    # Where ---------------------------------------------------------------------------------

    @property
    def modelarts_endpoint(self) -> str:
        """The address of ModelArts.

        Raises:
            ConfigurationError: nothing says where it is. So do the other two.
        """
        return self._wiring.parts.identity.endpoint("modelarts")

    @property
    def iam_endpoint(self) -> str:
        """The address of IAM."""
        return self._wiring.parts.identity.endpoint("iam")

    @property
    def obs_endpoint(self) -> str:
        """The address of OBS; with the local service a ``file:`` URL."""
        return self._wiring.parts.identity.endpoint("obs")

    @property
    def obs_path(self) -> Optional[str]:
        """The folder in OBS that folders of this machine are sent to; None where nothing names one.

        Each is in a folder of its own there, unless the call says where.
        """
        return self._resolved.obs_path

    # What it does --------------------------------------------------------------------------

    @property
    def client(self) -> "ServiceClient":
        """What calls ModelArts for this session."""
        return self._wiring.parts.client

    def request(
        self,
        method: str,
        path: str,
        query: Optional[Mapping[str, object]] = None,
        body: Union[bytes, str, Mapping[str, Any], None] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> Any:
        """Call any ModelArts path, authorized, and answer its parsed JSON (None if empty).

        >>> session.request("GET", "/v1/%s/visualization-jobs" % session.project_id,
        ...                 query={"per_page": 5})                        # doctest: +SKIP

        Args:
            path: from ``/v1/…`` on; a query in it is understood too.
            query: the query's parameters; a list as a value repeats its name.
            body: a text or bytes as they are to be sent, or what is to be sent as JSON.
            headers: further headers; they are signed too.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            ApiError: the service refused.
            TransportError: no answer, or none that is JSON.
        """
        return self.client.request(method, path, query, body, headers)

    def get_obs_client(self, **settings: Any) -> Any:
        """The official client of OBS, ``obs.ObsClient``, with this session's keys and settings.

        It signs each request with the keys that are good then, so temporary keys need no
        ``refresh``. It keeps connections open: close it after use. Needs ``modelarts[obs]``.

        >>> client = session.get_obs_client()                               # doctest: +SKIP
        >>> client.listObjects("bucket", prefix="logs/").body.contents      # doctest: +SKIP

        Args:
            settings: what ``obs.ObsClient`` takes, such as ``signature="v2"``, over what the
                session says.

        Raises:
            ConfigurationError: the extra is not installed, or :attr:`obs_endpoint` is a folder
                and no local service offers it (``modelarts serve --obs-api``).

        Source: *ModelArts SDK Reference*, "Session Authentication"; *OBS Python SDK*, "ObsClient".
        """
        return self._wiring.obs_client(**settings)

    @property
    def obs(self) -> "Obs":
        """Files and folders, to OBS and back; see :class:`~modelarts.obs.api.Obs`.

        >>> session.obs.upload_dir("runs", "obs://bucket/logs/")          # doctest: +SKIP
        """
        return self._wiring.obs

    def upload_data(self, bucket_path: str, path: Union[_Path, Sequence[_Path]]) -> "Transferred":
        """Send a file, several, or a folder; the older form of ``session.obs.upload_…``.

        Args:
            bucket_path: the folder in OBS, ``'/bucket/folder/'``.
            path: a file, a list of files, or a folder, which itself lands under the target.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            IncompleteTransfer: some files could not be sent; all others were.
            ApiError: OBS refused.

        Source: *ModelArts SDK Reference*, "Uploading a File to OBS", version of 2019.
        """
        from modelarts.obs.legacy import upload_data

        return upload_data(self.obs.calls, bucket_path, path)

    def download_data(self, bucket_path: str, path: _Path) -> "Transferred":
        """Fetch an object or a folder, and print a line for each file; the older form of
        ``session.obs.download_…``.

        Args:
            bucket_path: ``'/bucket/folder/object'``, or ``'/bucket/folder/'``.
            path: a folder, which ends with a slash or is there; or, for an object, the file.

        Raises:
            InvalidArgument: an argument is wrong; nothing was asked.
            NotFound: there is no such object or folder.
            IncompleteTransfer: some files could not be fetched; all others were.

        Source: *ModelArts SDK Reference*, "Downloading Data from OBS", version of 2019.
        """
        from modelarts.obs.legacy import download_data

        return download_data(self.obs.calls, bucket_path, path)

    def explain(self) -> "Explanation":
        """What this session goes by, and whether it works: every source, and each service tried.

        Print it, or see ``modelarts whoami``. Secrets are shown as their last four characters.
        """
        from modelarts.whoami import explain

        return explain(self)

    def close(self) -> None:
        """Close the connections. A call made later opens new ones."""
        self._wiring.close()

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
        return "Session(region_name=%r, project_id=%r, credentials='%s from %s')" % (
            self.region_name,
            self._resolved.project_id,
            self.mode,
            self._resolved.sources["credentials"],
        )

    def __reduce__(self) -> Tuple[Any, ...]:
        # What is unpickled elsewhere finds its own credentials again; nothing secret travels.
        if self._local_root is not None:
            return Session.local, (self._local_root,)
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
            config_file=known.found.config_file,
        )
        for service, address in known.endpoints.items():
            settings[service + "_endpoint"] = address
        return _again, (settings,)

    @property
    def mode(self) -> str:
        """How the session shows who you are: ``"AK/SK"``, ``"password"`` or ``"token"``."""
        kind = type(self._resolved.found.credentials)
        return {AccessKey: "AK/SK", Password: "password", GivenToken: "token"}[kind]


def _again(settings: Dict[str, Any]) -> Session:
    return Session(**settings)
