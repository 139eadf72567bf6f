"""Puts a session's parts together when they are first needed.

So that making a session imports no ``requests``, opens no connection and sends no request.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from modelarts._internal.clock import Clock
from modelarts._internal.locks import ForkSafeLock
from modelarts.auth.settings import Resolved
from modelarts.errors import InvalidArgument

if TYPE_CHECKING:
    from modelarts.auth.identity import Identity
    from modelarts.http.client import Dialect, ServiceClient
    from modelarts.http.transport import Transport
    from modelarts.obs.api import Obs
    from modelarts.obs.stores.base import Store

#: Seconds that a check waits for a connection, and for each response.
_QUICK = 0.5


class Parts:
    """The transport, identity and API client of one session."""

    def __init__(self, transport: Transport, identity: Identity, client: ServiceClient) -> None:
        self.transport = transport
        self.identity = identity
        self.client = client


def check_network(timeout: Any, retries: Any) -> None:
    """Raises InvalidArgument for what is no time or no number of retries."""
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise InvalidArgument("timeout", timeout, "a number of seconds above 0")
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise InvalidArgument("retries", retries, "a whole number from 0 on")


class Wiring:
    """The parts of one session.

    Args:
        resolved: the resolved settings: credentials, project and endpoints.
        settings: the session's ``timeout``, ``retries``, ``proxies``, ``verify``, ``cert`` and
            ``on_response``.
        environ: the environment as it was when the session was made.
        clock: what tells the time and waits.

    Attributes:
        clock: likewise; what is put together later goes by what it is then.
        dialect: the version of the API; None before the first call.
        local_obs: where a local service offers its folder by OBS's API; None elsewhere.
    """

    def __init__(
        self,
        resolved: Resolved,
        settings: Mapping[str, Any],
        environ: Mapping[str, str],
        clock: Clock,
    ) -> None:
        self.resolved = resolved
        self.local_obs: Optional[str] = None
        self.dialect: Optional[Dialect] = None
        self.clock = clock
        self._proxy_environ = {k: v for k, v in environ.items() if k.lower().endswith("_proxy")}
        bundle = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
        self.settings: Dict[str, Any] = dict(settings)
        if settings["verify"] is True and bundle:
            self.settings["verify"] = bundle
        self._lock = ForkSafeLock()
        self._parts: Optional[Parts] = None
        self._obs: Optional[Obs] = None
        self._quick: Optional[Wiring] = None

    @property
    def parts(self) -> Parts:
        """The clients of the session, built on first use."""
        if self._parts is None:
            with self._lock:
                if self._parts is None:
                    self._parts = self._put_together()
        return self._parts

    @property
    def obs(self) -> Obs:
        """The object behind ``session.obs``, built on first use."""
        if self._obs is None:
            with self._lock:
                if self._obs is None:
                    from modelarts.obs.api import Obs

                    self._obs = Obs(
                        self._open_store, self._obs_endpoint, self.clock, self._default_bucket
                    )
        return self._obs

    @property
    def quick_store(self) -> Store:
        """The store of a check that must not hold up its caller, with connections of its own."""
        if self._quick is None:
            hurried = self.in_a_hurry(_QUICK)
            with self._lock:
                self._quick = self._quick or hurried
        return self._quick.obs.calls.store

    def in_a_hurry(self, timeout: float) -> Wiring:
        """The same identity with connections of its own, which try once and give up soon.

        Close it after use.
        """
        parts = self.parts
        other = copy.copy(self)
        timeout = min(timeout, self.settings["timeout"])
        other.settings = {**self.settings, "timeout": timeout, "retries": 0}
        other._lock, other._obs, other._quick = ForkSafeLock(), None, None
        transport = other._make_transport()
        transport.skew = parts.transport.skew
        other._parts = other._connect(transport, parts.identity.over(transport))
        return other

    def with_api(self, api: str) -> Wiring:
        """Return the same parts, whose calls use another version of the API."""
        from modelarts.http.client import Dialect

        parts = self.parts
        other = copy.copy(self)
        other.dialect = Dialect(api)
        other._lock = ForkSafeLock()
        other._parts = other._connect(parts.transport, parts.identity)
        return other

    def obs_client(self, **settings: Any) -> Any:
        """The official client of OBS; ``settings`` win over the session's."""
        from modelarts.http.proxies import Proxies
        from modelarts.obs.esdk.client import make_client

        identity = self.parts.identity
        return make_client(
            self.local_obs or self._obs_endpoint(),
            identity.keys,
            identity.renew_keys,
            timeout=settings.pop("timeout", self.settings["timeout"]),
            verify=self.settings["verify"],
            cert=self.settings["cert"],
            proxies=Proxies(self.settings["proxies"], self._proxy_environ).of,
            **{"region": self.resolved.region_name or "region", **settings},
        )

    def close(self) -> None:
        """Close the connections. A call made later opens new ones."""
        with self._lock:
            if self._obs is not None:
                self._obs.close()
            if self._parts is not None:
                self._parts.transport.close()
            if self._quick is not None:
                self._quick.close()

    def _obs_endpoint(self) -> str:
        return self.parts.identity.endpoint("obs")

    def _open_store(self) -> Store:
        endpoint = self._obs_endpoint()
        if endpoint.startswith("file:"):
            from modelarts.obs.stores.folder import FolderStore

            return FolderStore(endpoint)
        from modelarts.http.retry import Retry
        from modelarts.obs.stores.obs import ObsStore

        retry, region = Retry(self.settings["retries"]), self.resolved.region_name
        return ObsStore(self.obs_client(max_retry_count=0), self.clock, retry, region=region)

    def _default_bucket(self) -> str:
        known = self.resolved
        if known.obs_path is not None:
            from modelarts.obs.paths import parse

            return parse("obs_path", known.obs_path).bucket
        region = known.region_name or "region"
        return "modelarts-%s-%s" % (region.lower(), self.parts.identity.project_id())

    def _put_together(self) -> Parts:
        from modelarts.auth.identity import Identity

        transport = self._make_transport()
        return self._connect(transport, Identity(self.resolved, transport))

    def _dialect(self) -> Dialect:
        from modelarts.http.client import Dialect

        if self.dialect is None:
            self.dialect = Dialect(None if self.resolved.api == "auto" else self.resolved.api)
        return self.dialect

    def _make_transport(self) -> Transport:
        from modelarts import __version__
        from modelarts.http.proxies import Proxies
        from modelarts.http.retry import Retry
        from modelarts.http.transport import Transport

        settings = dict(self.settings)
        return Transport(
            retry=Retry(settings.pop("retries")),
            proxies=Proxies(settings.pop("proxies"), self._proxy_environ),
            clock=self.clock,
            user_agent="modelarts-python/" + __version__,
            **settings,
        )

    def _connect(self, transport: Transport, identity: Identity) -> Parts:
        from modelarts.http.client import ServiceClient

        client = ServiceClient(
            transport,
            identity.authorizer,
            lambda: identity.endpoint("modelarts"),
            identity.project_id,
            self._dialect(),
        )
        return Parts(transport, identity, client)
