"""The part of IAM that clients need: tokens for a password, and projects.

Source: *Identity and Access Management — API Reference*, "Token Management" and "Project
Management".
"""

from __future__ import annotations

import hmac
from time import gmtime, strftime
from typing import Any

from werkzeug.wrappers import Request, Response

from modelarts.clock import Clock
from modelarts.local.authentication import TOKEN_SECONDS, Authentication
from modelarts.local.failures import IamFailure, json_of, json_response
from modelarts.local.identity import Identity

__all__ = ["Iam"]


class Iam:
    """Answers ``/v3/auth/tokens`` and ``/v3/projects``."""

    def __init__(
        self, identity: Identity, authentication: Authentication, base_url: str, clock: Clock
    ) -> None:
        self._identity = identity
        self._authentication = authentication
        self._base_url = base_url
        self._clock = clock

    def create_token(self, request: Request) -> Response:
        """``POST /v3/auth/tokens`` with a password; the token comes in ``X-Subject-Token``."""
        auth = _at(json_of(request), "auth")
        user = _at(auth, "identity", "password", "user")
        if _at(auth, "identity", "methods") != ["password"] or not isinstance(user, dict):
            raise IamFailure(400, "Bad Request", "identity must have the method password alone")
        self._check_password(user)
        project_id = self._scope(_at(auth, "scope"))
        value, expires_at = self._authentication.seal(project_id)
        response = json_response({"token": self._token(project_id, expires_at)}, 201)
        response.headers["X-Subject-Token"] = value
        return response

    def show_token(self, request: Request) -> Response:
        """``GET /v3/auth/tokens``: what the token in ``X-Subject-Token`` is good for."""
        self._authentication.caller(request)
        caller = self._authentication.token(request.headers.get("X-Subject-Token", ""))
        assert caller.expires_at is not None
        return json_response({"token": self._token(caller.project_id, caller.expires_at)})

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
            "links": [{"rel": "self", "href": self._base_url + "/v3/"}],
            "media-types": [],
        }
        if request.path == "/":
            return json_response({"versions": {"values": [version]}}, 300)
        return json_response({"version": version})

    def projects(self, request: Request) -> Response:
        """``GET /v3/projects[?name=…]``: the caller's projects."""
        self._authentication.caller(request)
        name = request.args.get("name")
        project = self._project()
        found = [project] if name in (None, project["name"]) else []
        return json_response(
            {"projects": found, "links": {"self": self._base_url + "/v3/projects"}}
        )

    def _check_password(self, user: dict[str, Any]) -> None:
        mine = self._identity
        given = str(user.get("password")).encode("utf-8", "surrogatepass")
        right = hmac.compare_digest(given, mine.password.encode())
        by_id = user.get("id") == mine.user_id
        domain = user.get("domain")
        by_name = user.get("name") == mine.username and (
            _at(domain, "name") == mine.account or _at(domain, "id") == mine.account_id
        )
        if not (right and (by_id or by_name)):
            raise IamFailure(401, "Unauthorized", "The username or password is wrong.")

    def _scope(self, scope: object) -> str | None:
        project = _at(scope, "project")
        if not isinstance(project, dict):
            return None
        mine = self._identity
        if mine.project_id == project.get("id") or mine.region_name == project.get("name"):
            return mine.project_id
        raise IamFailure(401, "Unauthorized", "The user has no such project.")

    def _project(self) -> dict[str, Any]:
        mine = self._identity
        return {
            "id": mine.project_id,
            "name": mine.region_name,
            "domain_id": mine.account_id,
            "enabled": True,
        }

    def _token(self, project_id: str | None, expires_at: float) -> dict[str, Any]:
        mine = self._identity
        domain = {"id": mine.account_id, "name": mine.account}
        token: dict[str, Any] = {
            "methods": ["password"],
            "issued_at": _when(expires_at - TOKEN_SECONDS),
            "expires_at": _when(expires_at),
            "user": {"id": mine.user_id, "name": mine.username, "domain": domain},
            "catalog": self._catalog(),
        }
        if project_id is not None:
            token["project"] = {"id": project_id, "name": mine.region_name, "domain": domain}
        return token

    def _catalog(self) -> list[dict[str, Any]]:
        modelarts = f"{self._base_url}/v1/{self._identity.project_id}"
        services = [
            ("identity", "iam", self._base_url + "/v3"),
            ("modelarts", "modelarts", modelarts),
            ("modelartsv1", "modelarts", modelarts),
        ]
        return [
            {
                "id": kind,
                "type": kind,
                "name": name,
                "endpoints": [
                    {
                        "id": kind + "-public",
                        "interface": "public",
                        "region": self._identity.region_name,
                        "region_id": self._identity.region_name,
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
