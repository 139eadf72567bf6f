"""What the service offers, as an OpenAPI document: ``GET /openapi.json``.

Source: *OpenAPI Specification* 3.1.
"""

from __future__ import annotations

from typing import Any

from modelarts import __version__
from modelarts.models import JobStatus
from modelarts.validation import JOB_TYPES

__all__ = ["document"]

_JOBS = "/v1/{project_id}/visualization-jobs"
_JOB = _JOBS + "/{job_id}"
_STRING: dict[str, Any] = {"type": "string"}
_NUMBER: dict[str, Any] = {"type": "integer"}
_OBJECT: dict[str, Any] = {"type": "object"}
_SIGNED: list[dict[str, list[str]]] = [{"signature": [], "date": []}, {"token": []}]
_SCHEDULE = {
    "type": "object",
    "properties": {
        "type": {"const": "stop"},
        "time_unit": {"const": "HOURS"},
        "duration": {"type": "integer", "minimum": 0, "maximum": 24},
    },
    "required": ["type", "time_unit", "duration"],
}
_CREATE = {
    "type": "object",
    "properties": {
        "job_name": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,20}$"},
        "job_desc": {"type": "string", "maxLength": 256},
        "train_url": {"type": "string", "pattern": "^/[^/]+/(.+/)?$"},
        "job_type": {"enum": list(JOB_TYPES)},
        "workspace_id": _STRING,
        "schedule": {"type": "array", "items": _SCHEDULE, "maxItems": 1},
        "flavor": _OBJECT,
    },
    "required": ["job_name", "train_url"],
}
_UPDATE = {
    "type": "object",
    "properties": {"job_desc": {"type": "string", "maxLength": 256}},
    "required": ["job_desc"],
}
_LOGIN = {
    "type": "object",
    "properties": {
        "auth": {
            "type": "object",
            "properties": {
                "identity": {
                    "type": "object",
                    "properties": {
                        "methods": {"const": ["password"]},
                        "password": {"type": "object", "properties": {"user": _OBJECT}},
                    },
                    "required": ["methods", "password"],
                },
                "scope": {"type": "object", "properties": {"project": _OBJECT}},
            },
            "required": ["identity"],
        }
    },
    "required": ["auth"],
}
_KEYS = {
    "type": "object",
    "properties": {
        "auth": {
            "type": "object",
            "properties": {
                "identity": {
                    "type": "object",
                    "properties": {
                        "methods": {"const": ["token"]},
                        "token": {
                            "type": "object",
                            "properties": {
                                "duration_seconds": {
                                    "type": "integer",
                                    "minimum": 900,
                                    "maximum": 86400,
                                }
                            },
                        },
                    },
                }
            },
        }
    },
}
_JOB_FIELDS = {
    "type": "object",
    "properties": {
        "job_id": _NUMBER,
        "job_name": _STRING,
        "job_desc": _STRING,
        "job_type": _STRING,
        "status": {"enum": [int(status) for status in JobStatus]},
        "create_time": _NUMBER,
        "duration": _NUMBER,
        "service_url": {"type": "string", "format": "uri"},
        "train_url": _STRING,
    },
    "required": ["job_id", "job_name", "status", "create_time", "service_url"],
}
_PAGE = {
    "type": "object",
    "properties": {
        "is_success": {"const": True},
        "job_total_count": _NUMBER,
        "job_count_limit": _NUMBER,
        "quotas": _NUMBER,
        "jobs": {"type": "array", "items": _JOB_FIELDS},
    },
    "required": ["is_success", "job_total_count", "job_count_limit", "quotas", "jobs"],
}


def document() -> dict[str, Any]:
    """The document. Boards are not in it: what they offer is TensorBoard's."""
    listed = [
        _query("status", _STRING),
        _query("per_page", {"type": "integer", "minimum": 1, "maximum": 1000}),
        _query("page", {"type": "integer", "minimum": 1}),
        _query("sortBy", _STRING),
        _query("order", {"enum": ["asc", "desc"]}),
        _query("search_content", {"type": "string", "maxLength": 100}),
        _query("workspace_id", _STRING),
    ]
    token = {"X-Subject-Token": {"schema": _STRING, "description": "The token."}}
    subject = {"name": "X-Subject-Token", "in": "header", "required": True, "schema": _STRING}
    paths = {
        _JOBS: {
            "parameters": [_project()],
            "get": _call("listJobs", _PAGE, parameters=listed),
            "post": _call("createJob", _JOB_FIELDS, body=_CREATE),
        },
        _JOB: {
            "parameters": [_project(), _job()],
            "get": _call("showJob", _JOB_FIELDS),
            "put": _call("updateJob", body=_UPDATE),
            "delete": _call("deleteJob"),
        },
        **{
            f"{_JOB}/{action}": {
                "parameters": [_project(), _job()],
                "post": _call(action + "Job"),
            }
            for action in ("stop", "restart")
        },
        "/v3/auth/tokens": {
            "get": _call("showToken", parameters=[subject]),
            "post": _call("createToken", body=_LOGIN, status=201, headers=token, security=[]),
        },
        "/v3.0/OS-CREDENTIAL/securitytokens": {
            "post": _call("createKeys", body=_KEYS, status=201),
        },
        "/v3/projects": {"get": _call("listProjects", parameters=[_query("name", _STRING)])},
        "/": {"get": _call("listVersions", status=300, security=[])},
        "/v3": {"get": _call("showVersion", security=[])},
        "/v3/": {"get": _call("showVersionToo", security=[])},
        "/healthz": {"get": _call("showHealth", security=[])},
        "/openapi.json": {"get": _call("showDocument", security=[])},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "ModelArts visualization jobs", "version": __version__},
        "security": _SIGNED,
        "paths": paths,
        "components": {
            "securitySchemes": {
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "SDK-HMAC-SHA256 of the request, with the user's keys.",
                },
                "date": {"type": "apiKey", "in": "header", "name": "X-Sdk-Date"},
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
            }
        },
    }


def _call(
    operation_id: str,
    answer: dict[str, Any] = _OBJECT,
    *,
    status: int = 200,
    body: dict[str, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
    headers: dict[str, Any] | None = None,
    security: list[Any] | None = None,
) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done.", "content": _json(answer)}
    if headers is not None:
        done["headers"] = headers
    found: dict[str, Any] = {
        "operationId": operation_id,
        "responses": {
            str(status): done,
            "4XX": {"description": "Refused; the body says why.", "content": _json(_OBJECT)},
            "503": {"description": "Not at this moment.", "content": _json(_OBJECT)},
        },
    }
    if parameters is not None:
        found["parameters"] = parameters
    if body is not None:
        found["requestBody"] = {"required": True, "content": _json(body)}
    if security is not None:
        found["security"] = security
    return found


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


def _project() -> dict[str, Any]:
    schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
    return {"name": "project_id", "in": "path", "required": True, "schema": schema}


def _job() -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1}
    return {"name": "job_id", "in": "path", "required": True, "schema": schema}
