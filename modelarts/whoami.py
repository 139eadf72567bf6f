"""What a session goes by, and whether it works: what ``modelarts whoami`` prints."""

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple, Union

import attr

from modelarts.auth.credentials import AccessKey, GivenToken, Password
from modelarts.errors import ApiError, ModelArtsError, TransportError

if TYPE_CHECKING:
    from modelarts._clients import Parts
    from modelarts.auth.iam import Token
    from modelarts.session import Session

__all__ = ["Explanation", "Service", "explain", "last_four"]

#: Seconds that a service has for its answer: who asks why nothing works should not wait long.
_PATIENCE = 5.0


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Service:
    """One service: its address, what named it, and what came of trying it."""

    endpoint: Optional[str]
    source: Optional[str]
    works: bool
    says: str


@attr.s(frozen=True, slots=True, auto_attribs=True, kw_only=True)
class Explanation:
    """Everything a session goes by. ``str()`` is for people, :meth:`as_dict` for programs.

    Attributes:
        credentials: kind, source and names; secrets as their last four characters.
        expires_at: when the token or the temporary keys end, ISO 8601 in UTC; or None.
        obs_path: the folder in OBS that folders of this machine are sent to; or None.
        clock_skew: seconds that this machine's clock is behind the services', 0 if it is not.
        services: ``modelarts``, ``iam`` and ``obs``.
    """

    credentials: Dict[str, Optional[str]]
    project_id: Optional[str]
    project_source: Optional[str]
    region_name: Optional[str]
    region_source: Optional[str]
    obs_path: Optional[str]
    obs_path_source: Optional[str]
    expires_at: Optional[str]
    clock_skew: float
    services: Dict[str, Service]

    @property
    def works(self) -> bool:
        """Whether ModelArts accepts who you are."""
        return self.services["modelarts"].works

    def as_dict(self) -> Dict[str, Any]:
        """The same as plain values, for JSON."""
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
    """A secret as people may see it; a short one not at all."""
    if secret is None:
        return None
    return "…" + secret[-4:] if len(secret) >= 12 else "…"


def explain(session: "Session") -> Explanation:
    """Try everything a session goes by, and say what came of it. Raises nothing of it.

    Each service is tried once, and not waited for any longer than a few seconds.
    """
    parts = session._wiring.parts_in_a_hurry(_PATIENCE)
    try:
        services = {name: _try(session, parts, name) for name in ("modelarts", "iam", "obs")}
    finally:
        parts.transport.close()
    resolved = session._resolved
    in_use = parts.identity.in_use()
    return Explanation(
        credentials=_credentials(session, in_use),
        project_id=resolved.project_id,
        project_source=resolved.sources.get("project"),
        region_name=resolved.region_name,
        region_source=resolved.sources.get("region_name"),
        obs_path=resolved.obs_path,
        obs_path_source=resolved.sources.get("obs_path"),
        expires_at=_date(in_use.expires_at) if in_use is not None else None,
        clock_skew=round(parts.transport.skew.seconds),
        services=services,
    )


def _credentials(
    session: "Session", in_use: "Union[None, AccessKey, Token]"
) -> Dict[str, Optional[str]]:
    known = session._resolved.found.credentials
    shown: Dict[str, Optional[str]] = {
        "kind": session.mode,
        "source": session._resolved.sources["credentials"],
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
    elif isinstance(known, GivenToken):
        shown["token"] = last_four(known.token)
    return shown


def _date(ends: Optional[float]) -> Optional[str]:
    if ends is None:
        return None
    return datetime.fromtimestamp(ends, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _try(session: "Session", parts: "Parts", service: str) -> Service:
    try:
        endpoint = parts.identity.endpoint(service)
    except ModelArtsError as error:
        return Service(None, None, False, _without_advice(error))
    started = session.clock.monotonic()
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
    taken = (session.clock.monotonic() - started) * 1000
    says += " (%d ms)" % taken if works else ""
    return Service(endpoint, session._resolved.sources.get(service), works, says)


def _without_advice(error: Exception) -> str:
    """What an error says, without the advice to look at what is being looked at."""
    from modelarts.http.hints import hint

    text = str(error)
    if not isinstance(error, ApiError) or not error.hint or not text.endswith(error.hint):
        return text
    refusal = (error.status_code, error.error_code, error.error_msg)
    if error.hint != hint(*refusal):
        return text
    return text[: -len(error.hint)] + (hint(*refusal, with_whoami=False) or "")


def _list_jobs(parts: "Parts") -> str:
    from modelarts.visualization import v1 as api

    count = api.documented_page(parts.client, {"per_page": "1"})["job_total_count"]
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
