"""Requests to IAM, Huawei Cloud's dialect of Keystone v3.

Source: *Identity and Access Management — API Reference*.
"""

import json
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from modelarts._internal.values import Value
from modelarts.auth.credentials import AccessKey, ApplicationCredential, Password, to_seconds
from modelarts.errors import ConfigurationError, RequestKind, TransportError
from modelarts.http.auth import Authorizer, canonical_query
from modelarts.http.errors import read_json
from modelarts.http.models import Request
from modelarts.http.transport import Transport


class Token(Value):
    """A token, its expiry and its project.

    Attributes:
        expires_at: the expiry, in seconds since the epoch; None if it is not known.
        project_id: the id of the project of the token; None for an unscoped token.
    """

    __slots__ = ("catalog", "expires_at", "project_id", "user_id", "value")
    _hidden = frozenset(("catalog", "value"))

    value: str
    expires_at: Optional[float]
    project_id: Optional[str]
    user_id: Optional[str]
    catalog: Sequence[Mapping[str, Any]]

    def __init__(
        self,
        value: str,
        expires_at: Optional[float],
        project_id: Optional[str],
        user_id: Optional[str],
        catalog: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._set(
            value=value,
            expires_at=expires_at,
            project_id=project_id,
            user_id=user_id,
            catalog=catalog,
        )


def login(
    transport: Transport,
    endpoint: str,
    known: Union[Password, ApplicationCredential],
    scope: Optional[Mapping[str, str]] = None,
) -> Token:
    """Obtain a token: ``POST /v3/auth/tokens``.

    Source: "Obtaining a User Token Through Password Authentication".

    Args:
        scope: the project as ``{"id": …}`` or ``{"name": region}``; None with an application
            credential: it belongs to one project already, and Keystone refuses a scope with it.

    Raises:
        AuthenticationFailed: the user, password or account is wrong, or the application credential.
        TransportError: no answer, or none that can be read.
    """
    if isinstance(known, Password):
        identity = _by_password(known)
        operation = "log in as %s" % known.username
    else:
        identity = _by_application(known)
        operation = "log in with application credential %s" % (known.id or known.name)
    body: Dict[str, Any] = {"auth": {"identity": identity}}
    if scope is not None:
        body["auth"]["scope"] = {"project": dict(scope)}
    request = Request(
        "POST",
        endpoint,
        "/v3/auth/tokens",
        body=json.dumps(body).encode("utf-8"),
        operation=operation,
        kind=RequestKind.AUTHENTICATION,
        may_repeat=True,
    )
    response = transport.send(request)
    # The expiry is by the service's clock.
    transport.skew.learn(response.headers)
    return _token(response.headers.get("X-Subject-Token"), read_json(response, request), request)


def _by_password(known: Password) -> Dict[str, Any]:
    domain = _domain(known.account_id, known.account)
    user = {"name": known.username, "password": known.password, "domain": domain}
    return {"methods": ["password"], "password": {"user": user}}


def _by_application(known: ApplicationCredential) -> Dict[str, Any]:
    shown: Dict[str, Any] = {"secret": known.secret}
    if known.id is not None:
        shown["id"] = known.id
    else:
        by_name = {"name": known.username, "domain": _domain(known.account_id, known.account)}
        shown["name"] = known.name
        shown["user"] = by_name if known.user_id is None else {"id": known.user_id}
    return {"methods": ["application_credential"], "application_credential": shown}


def _domain(by_id: Optional[str], name: Optional[str]) -> Dict[str, Optional[str]]:
    return {"name": name} if by_id is None else {"id": by_id}


def inspect(transport: Transport, endpoint: str, value: str) -> Token:
    """Return IAM's description of a token: ``GET /v3/auth/tokens`` ("Verifying a Token").

    Raises:
        AuthenticationFailed: the token is unknown or has expired.
        TransportError: no answer, or none that can be read.
    """
    request = Request(
        "GET",
        endpoint,
        "/v3/auth/tokens",
        headers={"X-Auth-Token": value, "X-Subject-Token": value},
        operation="verify the token",
        kind=RequestKind.AUTHENTICATION,
    )
    return _token(value, transport.fetch(request, None, read_json), request)


def temporary_keys(
    transport: Transport, endpoint: str, token: Token, seconds: int = 24 * 3600
) -> AccessKey:
    """Obtain temporary keys with a token, for services that need a signature, such as OBS:
    ``POST /v3.0/OS-CREDENTIAL/securitytokens`` ("Obtaining a Temporary Access Key").

    Args:
        seconds: the validity of the keys, 900 to 86400; by default a day.
    """
    identity = {"methods": ["token"], "token": {"duration_seconds": seconds}}
    request = Request(
        "POST",
        endpoint,
        "/v3.0/OS-CREDENTIAL/securitytokens",
        headers={"X-Auth-Token": token.value},
        body=json.dumps({"auth": {"identity": identity}}).encode("utf-8"),
        operation="obtain temporary keys",
        kind=RequestKind.AUTHENTICATION,
        may_repeat=True,
    )
    answer = transport.fetch(request, None, read_json)
    try:
        keys = answer["credential"]
        return AccessKey(
            keys["access"],
            keys["secret"],
            keys["securitytoken"],
            expires_at=to_seconds(keys["expires_at"]),
        )
    except (KeyError, TypeError, ValueError):
        raise TransportError(
            "%s returned keys that cannot be read" % endpoint,
            endpoint,
            request.operation,
            request_kind=request.kind,
        ) from None


def _token(value: Optional[str], answer: Any, request: Request) -> Token:
    try:
        token = answer["token"]
        if not value:
            raise KeyError("X-Subject-Token")
        return Token(
            value,
            to_seconds(token["expires_at"]),
            (token.get("project") or {}).get("id"),
            (token.get("user") or {}).get("id"),
            token.get("catalog") or (),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TransportError(
            "%s returned a token that cannot be read (%s)"
            % (request.endpoint, type(error).__name__),
            request.endpoint,
            request.operation,
            request_kind=request.kind,
        ) from None


def find_project(transport: Transport, endpoint: str, authorizer: Authorizer, name: str) -> str:
    """Return the id of the project of that name: ``GET /v3/projects?name=…``.

    Raises:
        ConfigurationError: there is no such project, or more than one.
        ApiError: IAM refused the request.
    """
    request = Request(
        "GET",
        endpoint,
        "/v3/projects",
        query=canonical_query([("name", name)]),
        operation="look up project %s" % name,
        kind=RequestKind.AUTHENTICATION,
    )
    answer = transport.fetch(request, authorizer, read_json)
    projects: List[Dict[str, Any]] = (answer or {}).get("projects") or []
    ids = [
        str(project["id"])
        for project in projects
        if project.get("name") == name and project.get("id")
    ]
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise ConfigurationError(
            "%s knows %d projects named %r (%s); give project_id="
            % (endpoint, len(ids), name, ", ".join(ids))
        )
    raise ConfigurationError(
        "%s knows no project named %r that is yours; give project_id=" % (endpoint, name)
    )


def catalog_endpoint(
    catalog: Sequence[Mapping[str, Any]], service: str, region: Optional[str]
) -> Optional[str]:
    """Return a service's public address in a catalog, without version and project; or None."""
    for entry in catalog:
        kind = str(entry.get("type", ""))
        if service not in (entry.get("name"), kind) and kind != service + "v1":
            continue
        for endpoint in entry.get("endpoints") or ():
            if endpoint.get("interface", "public") != "public" or not endpoint.get("url"):
                continue
            if region and endpoint.get("region_id", endpoint.get("region")) not in (None, region):
                continue
            return str(endpoint["url"])
    return None
