"""The settings of a session and the state of its services, for ``modelarts whoami``."""

import os
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple, Union

import attr

from modelarts.auth.credentials import (
    AccessKey,
    ApplicationCredential,
    Password,
    StaticToken,
)
from modelarts.errors import ApiError, ModelArtsError, NotFound, TransportError

if TYPE_CHECKING:
    from modelarts._clients import Parts
    from modelarts._internal.clock import Clock
    from modelarts.auth.iam import Token
    from modelarts.auth.settings import Resolved

__all__ = ["Service", "WhoAmI", "explain", "last_four"]

#: Seconds that a service has for its response: a report of problems must not take long.
PATIENCE = 5.0


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Service:
    """The address of one service, the source of the address, and the result of a test request.

    Attributes:
        endpoint: the address; None if it is not known.
        source: the setting that the address is from; None if it is not known.
        works: True if the service responded to the test request without an error.
        says: the result in words: what the service responded, or the reason of the failure.
    """

    endpoint: Optional[str]
    source: Optional[str]
    works: bool
    says: str


@attr.s(frozen=True, slots=True, auto_attribs=True, kw_only=True)
class WhoAmI:
    """The settings of a session with their sources, and the state of its services.

    ``str()`` is a table for people; :meth:`as_dict` is for programs.

    Attributes:
        credentials: kind, source and names; secrets as their last four characters.
        project_id: the project's id; None if it is not known.
        project_source: the setting that the project is from; None if it is not known.
        region_name: the region; None if there is none.
        region_source: the setting that the region is from; None if there is none.
        obs_path: the folder in OBS that folders of this machine are sent to; or None.
        obs_path_source: the setting that ``obs_path`` is from; or None.
        api: the version of the API in use, ``"v1"`` or ``"v2"``; ``"auto"`` if no response showed
            it.
        api_source: the setting that ``api`` is from; None if a response showed it.
        package: the folder of this package.
        other_package: the folder of another ``modelarts`` that is before it on ``sys.path``, and
            that ``import modelarts`` finds, such as the built-in SDK of a ModelArts notebook; None
            if there is none.
        expires_at: the time at which the token or the temporary keys expire, ISO 8601 in UTC; or
            None.
        clock_skew: the seconds that this machine's clock is behind that of the services; 0 if it is
            right.
        services: ``modelarts``, ``iam`` and ``obs``.

    Example:
        >>> session.explain().services["modelarts"].works                     # doctest: +SKIP
        True
    """

    credentials: Dict[str, Optional[str]]
    project_id: Optional[str]
    project_source: Optional[str]
    region_name: Optional[str]
    region_source: Optional[str]
    obs_path: Optional[str]
    obs_path_source: Optional[str]
    api: str
    api_source: Optional[str]
    package: str
    other_package: Optional[str]
    expires_at: Optional[str]
    clock_skew: float
    services: Dict[str, Service]

    @property
    def works(self) -> bool:
        """True if ModelArts accepts the credentials."""
        return self.services["modelarts"].works

    def as_dict(self) -> Dict[str, Any]:
        """Return the same as plain values, for JSON.

        Returns:
            A dict of all attributes, and ``works``.
        """
        return dict(attr.asdict(self), works=self.works)

    def __str__(self) -> str:
        rows: List[Tuple[str, str, Optional[str]]] = []
        shown = dict(self.credentials)
        source = shown.pop("source")
        rows.append(("credentials", shown.pop("kind") or "", source))
        rows.extend(("  " + name, value, None) for name, value in shown.items() if value)
        rows.append(("project_id", self.project_id or "not known", self.project_source))
        rows.append(("region_name", self.region_name or "none", self.region_source))
        if self.obs_path:
            rows.append(("obs_path", self.obs_path, self.obs_path_source))
        rows.append(("api", self.api, self.api_source))
        rows.append(("package", self.package, None))
        if self.other_package is not None:
            remark = "import modelarts finds another one, which is before it on sys.path"
            rows.append(("", "%s: %s" % (remark, self.other_package), None))
        if self.expires_at:
            rows.append(("expires_at", self.expires_at, None))
        if self.clock_skew:
            rows.append(("clock_skew", "%+d seconds; set the clock" % self.clock_skew, None))
        for name, service in self.services.items():
            rows.append((name, service.endpoint or "not known", service.source))
            rows.append(("", ("works: " if service.works else "FAILS: ") + service.says, None))
        width = max(len(name) for name, _, _ in rows) + 2
        return "\n".join(
            (name.ljust(width) + value + ("  (%s)" % source if source else "")).rstrip()
            for name, value, source in rows
        )


def last_four(secret: Optional[str]) -> Optional[str]:
    """Return a secret in the form in which it is shown.

    Args:
        secret: the secret; or None.

    Returns:
        ``"…"`` and the last four characters; for a secret of less than 12 characters ``"…"`` only;
        None for None.

    Example:
        >>> last_four("fake-secret-key")
        '…-key'
    """
    if secret is None:
        return None
    return "…" + secret[-4:] if len(secret) >= 12 else "…"


def explain(resolved: "Resolved", parts: "Parts", mode: str, clock: "Clock") -> WhoAmI:
    """Send one test request to each service of a session, and return the results.

    Args:
        resolved: the settings of the session.
        parts: clients with a short timeout.
        mode: the kind of its credentials, as :attr:`Session.mode`.
        clock: the clock of the session.

    Returns:
        The settings, and the results. A service that fails raises no error.
    """
    attempts = {name: _try(resolved, parts, name, clock) for name in ("modelarts", "iam", "obs")}
    in_use = parts.identity.in_use()
    return WhoAmI(
        credentials=_credentials(resolved, mode, in_use),
        project_id=resolved.project_id,
        project_source=resolved.sources.get("project"),
        region_name=resolved.region_name,
        region_source=resolved.sources.get("region_name"),
        obs_path=resolved.obs_path,
        obs_path_source=resolved.sources.get("obs_path"),
        api=parts.client.dialect.name or "auto",
        api_source=resolved.sources.get("api"),
        package=os.path.dirname(os.path.abspath(__file__)),
        other_package=_other_package(),
        expires_at=_date(in_use.expires_at) if in_use is not None else None,
        clock_skew=round(parts.transport.skew.seconds),
        services=attempts,
    )


def _other_package() -> Optional[str]:
    """Return the folder of another package of this name that Python finds first."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    paths = [os.path.abspath(path) for path in sys.path]
    if paths[:1] == [ours] and "_modelarts_command" in sys.modules:
        del paths[0]  # put there by the command
    for path in paths:
        if path == ours:
            return None
        package = os.path.join(path, "modelarts")
        if os.path.exists(os.path.join(package, "__init__.py")):
            return package
    return None


def _credentials(
    resolved: "Resolved", mode: str, in_use: "Union[None, AccessKey, Token]"
) -> Dict[str, Optional[str]]:
    known = resolved.credential_set.credentials
    shown: Dict[str, Optional[str]] = {
        "kind": mode,
        "source": resolved.sources["credentials"],
    }
    if isinstance(known, AccessKey):
        keys = in_use if isinstance(in_use, AccessKey) else known
        shown["access_key"] = keys.access_key
        shown["secret_key"] = last_four(keys.secret_key)
        shown["security_token"] = last_four(keys.security_token)
    elif isinstance(known, Password):
        by_id = known.account_id is not None
        shown["account_id" if by_id else "account"] = known.account_id or known.account
        shown["username"] = known.username
        shown["password"] = last_four(known.password)
    elif isinstance(known, ApplicationCredential):
        shown["application_credential"] = known.id or known.name
        shown["username"] = known.user_id or known.username
        shown["secret"] = last_four(known.secret)
    elif isinstance(known, StaticToken):
        shown["token"] = last_four(known.token)
    return shown


def _date(ends: Optional[float]) -> Optional[str]:
    if ends is None:
        return None
    return datetime.fromtimestamp(ends, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _try(resolved: "Resolved", parts: "Parts", service: str, clock: "Clock") -> Service:
    try:
        endpoint = parts.identity.endpoint(service)
    except ModelArtsError as error:
        return Service(None, None, False, _without_advice(error))
    started = clock.monotonic()
    try:
        if service == "modelarts":
            says = _list_jobs(parts)
        elif endpoint.startswith("file:"):
            says = _folder(endpoint)
        else:
            says = _knock(parts, endpoint, "/v3" if service == "iam" else "/")
        works = True
    except (ModelArtsError, OSError) as error:
        works, says = False, _without_advice(error)
    taken = (clock.monotonic() - started) * 1000
    says += " (%d ms)" % taken if works else ""
    return Service(endpoint, resolved.sources.get(service), works, says)


def _without_advice(error: Exception) -> str:
    """Return an error's text without the advice to run ``modelarts whoami``."""
    from modelarts.http.hints import hint

    text = str(error)
    if not isinstance(error, ApiError) or not error.hint or not text.endswith(error.hint):
        return text
    refusal = (error.status_code, error.error_code)
    if error.hint != hint(*refusal):
        return text
    return text[: -len(error.hint)] + (hint(*refusal, with_whoami=False) or "")


def _list_jobs(parts: "Parts") -> str:
    from modelarts.http.client import lacks_api

    dialect = parts.client.dialect
    if dialect.name != "v2":
        try:
            says = _list_v1(parts)
        except NotFound as error:
            # The gateway knows no such API.
            if dialect.name is not None or not lacks_api(error):
                raise
        else:
            dialect.name = "v1"
            return says
    says = _list_v2(parts)
    dialect.name = "v2"
    return says


def _list_v2(parts: "Parts") -> str:
    doing, path = "list training jobs", "/v2/%s/training-job-searches" % parts.client.project_id
    answer = parts.client.call(doing, "POST", path, body={"offset": 0, "limit": 1})
    total = answer.get("total") if isinstance(answer, dict) else None
    if not isinstance(total, int):
        raise parts.client.unreadable(doing, "it is not a list of training jobs")
    return "accepts these credentials; %d training job%s" % (total, "" if total == 1 else "s")


def _list_v1(parts: "Parts") -> str:
    from modelarts.models import JobPage

    doing, path = "list visualization jobs", "/v1/%s/visualization-jobs" % parts.client.project_id
    answer = parts.client.call(doing, "GET", path, query=[("per_page", "1")])
    try:
        count = JobPage.from_wire(answer).job_total_count
    except (ValueError, AttributeError) as error:
        raise parts.client.unreadable(doing, error) from None
    says = "accepts these credentials"
    if count is not None:
        says += "; %s visualization job%s" % (count, "" if count == 1 else "s")
    return says


def _folder(endpoint: str) -> str:
    import os
    from urllib.parse import unquote, urlsplit

    path = unquote(urlsplit(endpoint).path)
    if not os.path.isdir(path):
        raise TransportError("there is no folder %s" % path)
    return "a folder on this machine"


def _knock(parts: "Parts", endpoint: str, path: str) -> str:
    from modelarts.http.models import Request

    request = Request("GET", endpoint, path, operation="reach " + endpoint)
    response = parts.transport.send(request)
    if response.status_code >= 500:
        raise ApiError(response.reason, status_code=response.status_code)
    return "answers"
