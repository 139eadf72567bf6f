"""The part of IAM that clients need: tokens for a password, and projects.

Source: *Identity and Access Management — API Reference*, "Token Management" and "Project
Management".
"""

from __future__ import annotations

from time import gmtime, strftime
from typing import Any

from werkzeug.wrappers import Request, Response

from modelarts.local.errors import IamFailure, json_of, json_response
from modelarts.local.identity.authentication import TOKEN_SECONDS, Authentication
from modelarts.local.identity.passwords import Logins
from modelarts.local.identity.users import Project, User
from modelarts.local.web.hosts import Reach


class Iam:
    """Answers ``/v3/auth/tokens`` and ``/v3/projects``.

    Args:
        logins: checks passwords; of all logins to the service, so that wrong ones are counted once.
    """

    def __init__(self, authentication: Authentication, reach: Reach, logins: Logins) -> None:
        self._authentication = authentication
        self._reach = reach
        self._logins = logins

    def create_token(self, request: Request) -> Response:
        """``POST /v3/auth/tokens`` with a password; the token comes in ``X-Subject-Token``."""
        auth = _at(json_of(request), "auth")
        login = _at(auth, "identity", "password", "user")
        if _at(auth, "identity", "methods") != ["password"] or not isinstance(login, dict):
            raise IamFailure(400, "Bad Request", "identity must have the method password alone")
        user = self._login(login, str(request.remote_addr))
        project = _scope(user, _at(auth, "scope"))
        value, expires_at = self._authentication.seal(user, project)
        response = self._token(request, user, project, expires_at, 201)
        response.headers["X-Subject-Token"] = value
        return response

    def show_token(self, request: Request) -> Response:
        """``GET /v3/auth/tokens``: what the token in ``X-Subject-Token`` is good for."""
        asking = self._authentication.caller(request)
        caller = self._authentication.token(request.headers.get("X-Subject-Token", ""))
        if caller.user.user_id != asking.user.user_id:
            raise IamFailure(403, "Forbidden", "This is another user's token.")
        assert caller.expires_at is not None
        project = caller.projects[0] if caller.projects else None
        return self._token(request, caller.user, project, caller.expires_at, 200)

    def create_keys(self, request: Request) -> Response:
        """``POST /v3.0/OS-CREDENTIAL/securitytokens``: temporary keys for a token."""
        caller = self._authentication.caller(request)
        if caller.expires_at is None:
            raise IamFailure(403, "Forbidden", "Temporary keys are given for a token only.")
        asked = _at(json_of(request), "auth", "identity", "token", "duration_seconds")
        seconds = 900 if asked is None else asked
        if type(seconds) is not int or not 900 <= seconds <= 86400:
            raise IamFailure(400, "Bad Request", "duration_seconds must be from 900 to 86400")
        keys = self._authentication.temporary_keys(caller, seconds)
        credential = {
            "access": keys.access_key,
            "secret": keys.secret_key,
            "securitytoken": keys.security_token,
            "expires_at": _when(keys.expires_at),
        }
        return json_response({"credential": credential}, 201)

    def versions(self, request: Request) -> Response:
        """``GET /v3`` and ``GET /``: how Keystone clients find their way."""
        version = {
            "id": "v3.6",
            "status": "stable",
            "links": [{"rel": "self", "href": self._reach.base(request) + "/v3/"}],
            "media-types": [],
        }
        if request.path == "/":
            return json_response({"versions": {"values": [version]}}, 300)
        return json_response({"version": version})

    def projects(self, request: Request) -> Response:
        """``GET /v3/projects[?name=…]``: the caller's projects."""
        user = self._authentication.caller(request).user
        name = request.args.get("name")
        account_id = self._authentication.users().account_id
        projects = [
            {
                "id": project.project_id,
                "name": project.name,
                "domain_id": account_id,
                "enabled": True,
            }
            for project in user.projects
            if name in (None, project.name)
        ]
        link = self._reach.base(request) + "/v3/projects"
        return json_response({"projects": projects, "links": {"self": link}})

    def _login(self, login: dict[str, Any], address: str) -> User:
        users = self._authentication.users()
        domain = login.get("domain")
        name = str(login.get("name", login.get("id")))[:100]
        user = users.by_id(login.get("id"))
        if user is None and (
            _at(domain, "name") == users.account or _at(domain, "id") == users.account_id
        ):
            user = users.by_name.get(str(login.get("name")))
        if not self._logins.is_right(user, str(login.get("password")), name, address):
            raise IamFailure(401, "Unauthorized", "The username or password is wrong.")
        assert user is not None  # whose password it is
        return user

    def _token(
        self,
        request: Request,
        user: User,
        project: Project | None,
        expires_at: float,
        status: int,
    ) -> Response:
        users = self._authentication.users()
        domain = {"id": users.account_id, "name": users.account}
        token: dict[str, Any] = {
            "methods": ["password"],
            "issued_at": _when(expires_at - TOKEN_SECONDS),
            "expires_at": _when(expires_at),
            "user": {"id": user.user_id, "name": user.name, "domain": domain},
            "catalog": _catalog(self._reach.base(request), users.region_name, project),
        }
        if project is not None:
            token["project"] = {"id": project.project_id, "name": project.name, "domain": domain}
        return json_response({"token": token}, status)


def _scope(user: User, scope: object) -> Project | None:
    asked = _at(scope, "project")
    if not isinstance(asked, dict):
        return None
    project = user.project_by_id(str(asked.get("id"))) or user.project(str(asked.get("name")))
    if project is None:
        raise IamFailure(401, "Unauthorized", "The user has no such project.")
    return project


def _catalog(base_url: str, region: str, project: Project | None) -> list[dict[str, Any]]:
    services = [("identity", "iam", base_url + "/v3")]
    if project is not None:
        modelarts = f"{base_url}/v1/{project.project_id}"
        services += [(kind, "modelarts", modelarts) for kind in ("modelarts", "modelartsv1")]
    return [
        {
            "id": kind,
            "type": kind,
            "name": name,
            "endpoints": [
                {
                    "id": kind + "-public",
                    "interface": "public",
                    "region": region,
                    "region_id": region,
                    "url": url,
                }
            ],
        }
        for kind, name, url in services
    ]


def _at(value: object, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _when(seconds: float) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S.000000Z", gmtime(seconds))
