"""``/v1/{project_id}/visualization-jobs``: reads requests, calls the operations."""

from __future__ import annotations

import re
from typing import Any

from werkzeug.wrappers import Request, Response

from modelarts.local.errors import Failure, json_of, json_response
from modelarts.local.identity.authentication import Authentication, Caller
from modelarts.local.operations import Operations
from modelarts.local.web.hosts import Reach

_PROJECT = re.compile(r"[0-9a-f]{32}\Z")
_MOST_ID = 2**63 - 1


class Api:
    """The operations, behind authentication."""

    def __init__(
        self, operations: Operations, authentication: Authentication, reach: Reach
    ) -> None:
        self._operations = operations
        self._authentication = authentication
        self._reach = reach

    def jobs(self, request: Request, project_id: str) -> Response:
        """Create and list."""
        caller = self.authorize(request, project_id)
        if request.method == "POST":
            made = self._operations.create(caller, project_id, _body(request))
            return json_response(self.addressed(request, made))
        page = self._operations.page(project_id, request.args)
        page["jobs"] = [self.addressed(request, job) for job in page["jobs"]]
        return json_response(page)

    def job(self, request: Request, project_id: str, job_id: int) -> Response:
        """Details, update and delete."""
        self.authorize(request, project_id)
        number = min(job_id, _MOST_ID)
        if request.method == "PUT":
            return json_response(self._operations.update(project_id, number, _body(request)))
        if request.method == "DELETE":
            return json_response(self._operations.delete(project_id, number))
        details = self._operations.details(project_id, number)
        return json_response(self.addressed(request, details))

    def action(self, request: Request, project_id: str, job_id: int, action: str) -> Response:
        """Stop and restart."""
        caller = self.authorize(request, project_id)
        number = min(job_id, _MOST_ID)
        if action == "stop":
            return json_response(self._operations.stop(project_id, number))
        return json_response(self._operations.restart(caller, project_id, number))

    def addressed(self, request: Request, job: dict[str, Any]) -> dict[str, Any]:
        """A job whose ``service_url`` this caller can open; the operations know the path."""
        return {**job, "service_url": self.address(request, job["service_url"])}

    def address(self, request: Request, path: str) -> str:
        """Return the address of a path of this service that the caller can open."""
        return self._reach.address(request, path)

    def authorize(self, request: Request, project_id: str) -> Caller:
        """Return the caller of a request. Raises Failure if it may not use the project."""
        caller = self._authentication.caller(request)
        if not _PROJECT.match(project_id):
            raise Failure(400, "ModelArts.0210", "Invalid project ID.")
        if not caller.projects:
            raise Failure(400, "ModelArts.0204", "Token must contain projectId info.")
        if project_id not in [project.project_id for project in caller.projects]:
            raise Failure(
                403,
                "ModelArts.0210",
                "The project id in the request URL does not match the credentials.",
            )
        return caller


def _body(request: Request) -> dict[str, Any]:
    body = json_of(request)
    if not isinstance(body, dict):
        raise Failure(400, "ModelArts.0101", "Invalid Argument. The body is not a JSON object.")
    return body
