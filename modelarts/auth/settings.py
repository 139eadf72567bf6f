"""The settings of a session, and the source of each.

All settings are resolved when the session is made, without any request.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, Optional, Tuple, Union

from modelarts._internal.clock import Clock
from modelarts._internal.values import Value
from modelarts.auth import endpoints
from modelarts.auth.credentials import AccessKey, CredentialSet, Password
from modelarts.errors import ConfigurationError, CredentialsNotFound, InvalidArgument

ARGUMENTS = "arguments"
_SET_ENDPOINT = "Session.set_endpoint"
_APIS = ("auto", "v1", "v2")
_SERVICES = ("modelarts", "iam", "obs")


class Resolved:
    """The resolved settings. ``sources`` has the source of each in words.

    ``api`` is ``"auto"`` where the first call decides between ``"v1"`` and ``"v2"``.
    """

    __slots__ = (
        "api",
        "credential_set",
        "endpoints",
        "obs_path",
        "project_id",
        "project_name",
        "region_name",
        "sources",
    )

    def __init__(
        self,
        *,
        credential_set: CredentialSet,
        project_id: Optional[str],
        project_name: Optional[str],
        region_name: Optional[str],
        endpoints: Dict[str, str],
        obs_path: Optional[str],
        api: str,
        sources: Dict[str, str],
    ) -> None:
        self.credential_set = credential_set
        self.project_id = project_id
        self.project_name = project_name
        self.region_name = region_name
        self.endpoints = endpoints
        self.obs_path = obs_path
        self.api = api
        self.sources = sources


class _Place(Value):
    """The region and project of one source."""

    __slots__ = ("project_id", "project_name", "region_name", "source")

    source: str
    region_name: Optional[str]
    project_id: Optional[str]
    project_name: Optional[str]

    def __init__(
        self,
        source: str,
        region_name: Optional[str],
        project_id: Optional[str],
        project_name: Optional[str] = None,
    ) -> None:
        self._set(
            source=source,
            region_name=region_name,
            project_id=project_id,
            project_name=project_name,
        )

    @property
    def region(self) -> Optional[str]:
        """The region, by default the one in the project's name.

        A project is named like its region, one inside it ``<region>_<name>``.
        """
        return self.region_name or (self.project_name or "").split("_", 1)[0] or None


def resolve(
    environ: Mapping[str, str],
    clock: Clock,
    *,
    keys: Dict[str, Optional[str]],
    user: Dict[str, Optional[str]],
    project_id: Optional[str],
    project_name: Optional[str],
    region_name: Optional[str],
    config_file: Optional[str],
    addresses: Mapping[str, Optional[str]],
    obs_path: Optional[str],
    api: Optional[str],
    shared: Mapping[str, Optional[str]],
) -> Resolved:
    """Find all settings of a session.

    Args:
        keys: access_key, secret_key, security_token.
        user: username, password, account.
        addresses: modelarts, iam, obs.
        shared: the endpoints of ``Session.set_endpoint``, and its ``region_name``.

    Raises:
        InvalidArgument: an argument is wrong.
        CredentialsNotFound: no credentials were found.
        ConfigurationError: a setting cannot be used.
    """
    credential_set = _of_arguments(keys, user, environ)
    asked: Optional[CredentialSet]
    if credential_set is None:
        from modelarts.auth.providers.base import ProviderContext
        from modelarts.auth.providers.chain import find

        credential_set = find(ProviderContext.of_this_process(config_file, clock))
        asked = credential_set if credential_set.config_file is not None else None
    else:
        place = (project_id or project_name, region_name)
        is_complete = all(place) and all(addresses.get(service) for service in _SERVICES)
        # If the arguments are complete, as in Session.local(), a wrong variable is no error.
        is_asked = config_file or (environ.get("MODELARTS_CONFIG") and not is_complete)
        asked = _file_beside(credential_set, config_file, clock) if is_asked else None
    sources = {"credentials": credential_set.source}

    def first(what: str, *options: Tuple[Optional[str], str]) -> Optional[str]:
        for value, source in options:
            if value:
                sources[what] = source
                return value
        return None

    places = _places(asked, credential_set, environ)
    region = first(
        "region_name",
        (region_name, ARGUMENTS),
        (shared.get("region_name"), _SET_ENDPOINT),
        *((place.region, place.source) for place in places),
    )
    project = _project([_Place(ARGUMENTS, region, project_id, project_name), *places], region)
    if project.project_id:
        sources["project"] = project.source
    elif project.project_name:
        sources["project"] = "by its name, " + project.source
    elif region:
        sources["project"] = "by the region's name"
    variables = endpoints.from_environment(environ)
    resolved = {}
    for service in _SERVICES:
        value = addresses.get(service)
        address = first(
            service,
            (None if value is None else endpoints.normalize(service, value), ARGUMENTS),
            (shared.get(service), _SET_ENDPOINT),
            *([(asked.endpoints.get(service), asked.source)] if asked is not None else []),
            (variables.get(service), "environment"),
            (credential_set.endpoints.get(service), credential_set.source),
        )
        if address is not None:
            resolved[service] = address
    obs_path, api = (
        first(
            name,
            (value, ARGUMENTS),
            *([(getattr(asked, name), asked.source)] if asked is not None else []),
            (environ.get(variable), "environment " + variable),
            (getattr(credential_set, name), credential_set.source),
        )
        for name, value, variable in (
            ("obs_path", obs_path, "MODELARTS_OBS_PATH"),
            ("api", api, "MODELARTS_API"),
        )
    )
    if api is not None:
        _check_api(api, sources["api"])
    if api in (None, "auto") and endpoints.is_public(region, resolved.get("modelarts")):
        api, sources["api"] = "v2", "region"
    return Resolved(
        credential_set=credential_set,
        project_id=project.project_id,
        project_name=project.project_name or region,
        region_name=region,
        endpoints=resolved,
        obs_path=obs_path,
        api=api or "auto",
        sources=sources,
    )


def _check_api(api: object, source: str) -> None:
    if api in _APIS:
        return
    error = InvalidArgument("api", api, "'auto', 'v1' or 'v2'")
    if source == ARGUMENTS:
        raise error
    raise ConfigurationError("%s: %s" % (source, error))


def _places(
    asked: Optional[CredentialSet], credential_set: CredentialSet, environ: Mapping[str, str]
) -> List[_Place]:
    """Return the sources of region and project after the arguments, in order.

    A requested file comes first, then the variables of this package, then the source of the
    credentials, and last the variables of other tools.
    """
    places = [
        _Place("environment MODELARTS_*", *endpoints.package_place(environ)),
        _place_of(credential_set),
        _Place("environment", *endpoints.container_place(environ)),
    ]
    return places if asked is None else [_place_of(asked), *places]


def _place_of(credential_set: CredentialSet) -> _Place:
    return _Place(
        credential_set.source,
        credential_set.region_name,
        credential_set.project_id,
        credential_set.project_name,
    )


def _project(places: Iterable[_Place], region: Optional[str]) -> _Place:
    """Return the project of the first source that has one, by its id or its name."""
    for place in places:
        # A project belongs to one region: it is ignored if an earlier source has set another one.
        elsewhere = place.region_name is not None and place.region_name != region
        if not elsewhere and (place.project_id or place.project_name):
            return place
    return _Place("", region, None)


def _file_beside(
    credential_set: CredentialSet, config_file: Optional[str], clock: Clock
) -> Optional[CredentialSet]:
    """Return the settings besides credentials of a file that the caller named."""
    from modelarts.auth.providers.base import ProviderContext
    from modelarts.auth.providers.config_file import ExplicitConfig

    context = ProviderContext.of_this_process(config_file, clock)
    return ExplicitConfig().beside(credential_set.credentials, context)


def text(argument: str, value: Optional[str]) -> Optional[str]:
    """Return a text without surrounding blanks; None for None or an empty text.

    Raises:
        InvalidArgument: the value has surrounding blanks, or is not a text.
    """
    if value is not None and (not isinstance(value, str) or value.strip() != value):
        raise InvalidArgument(argument, value, "a text without blanks around it")
    return value or None


def _of_arguments(
    keys: Dict[str, Optional[str]], user: Dict[str, Optional[str]], environ: Mapping[str, str]
) -> Optional[CredentialSet]:
    """Return the credentials in the arguments; a missing half is taken from ``MODELARTS_*``."""
    by_keys = any(value is not None for value in keys.values())
    if not by_keys and all(value is None for value in user.values()):
        return None
    if by_keys and any(value is not None for value in user.values()):
        raise ConfigurationError(
            "give access_key and secret_key, or username and password, not both"
        )
    needed = ("access_key", "secret_key") if by_keys else ("username", "password")
    arguments = keys if by_keys else user
    # A security token of the environment belongs to the keys there, not to keys in arguments.
    whole = None not in [arguments[name] for name in needed]
    filled = dict(arguments)
    for name, value in arguments.items():
        if value is None and not (whole and name == "security_token"):
            filled[name] = environ.get("MODELARTS_" + name.upper()) or None
    for name in needed:
        if filled[name] is None:
            other = needed[1 - needed.index(name)]
            raise CredentialsNotFound(
                "%s is missing; it belongs to %s" % (name, other),
                (("environment", "MODELARTS_%s is not set" % name.upper()),),
            )
    credentials: Union[AccessKey, Password]
    if by_keys:
        credentials = AccessKey(
            filled["access_key"] or "", filled["secret_key"] or "", filled["security_token"]
        )
    else:
        username = filled["username"] or ""
        account = username if filled["account"] is None else filled["account"]
        credentials = Password(username, filled["password"] or "", account)
    both = "arguments and environment MODELARTS_*"
    return CredentialSet(credentials=credentials, source=ARGUMENTS if filled == arguments else both)
