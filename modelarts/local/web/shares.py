"""``/local/{project_id}/visualization-jobs/{board_id}/shares``: links to one board that end.

No cloud has such a call.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from werkzeug.wrappers import Request, Response

from modelarts.local.errors import Failure, json_of, json_response
from modelarts.local.jobs.shares import Share, Shares
from modelarts.local.jobs.store import Job
from modelarts.local.operations import Operations
from modelarts.local.web.v1 import Api

_MAX_ID = 2**63 - 1
_HOURS = 24


class ShareApi:
    """Creates, lists and revokes links, for who may see the job."""

    def __init__(self, api: Api, operations: Operations, shares: Shares) -> None:
        self._api = api
        self._operations = operations
        self._shares = shares

    def shares(self, request: Request, project_id: str, board_id: str) -> Response:
        """``GET``, or ``POST`` with ``{"hours": 24}``; the answer to that alone has the address."""
        job = self._job(request, project_id, board_id)
        if request.method == "POST":
            body = json_of(request)
            if not isinstance(body, dict):
                raise Failure(
                    400, "ModelArts.0101", "Invalid Argument. The body is not a JSON object."
                )
            share, path = self._shares.add(job, body.get("hours", _HOURS))
            url = self._api.address(request, path)
            return json_response({"is_success": True, **_fields(share), "url": url}, 201)
        shares = [_fields(share) for share in self._shares.of_job(job.job_id)]
        return json_response({"is_success": True, "shares": shares})

    def share(self, request: Request, project_id: str, board_id: str, share_id: str) -> Response:
        """``DELETE`` revokes a link."""
        job = self._job(request, project_id, board_id)
        self._shares.revoke(job.job_id, share_id)
        return json_response({"is_success": True})

    def _job(self, request: Request, project_id: str, board_id: str) -> Job:
        self._api.authorize(request, project_id)
        return self._operations.job(project_id, _number(board_id))


def _fields(share: Share) -> dict[str, Any]:
    return {
        "share_id": share.share_id,
        "job_id": share.job_id,
        "create_time": share.create_time,
        "end_time": share.end_time,
    }


def _number(board_id: str) -> int:
    """Return the number of a job from that number, or from the job's id in the v2 API."""
    try:
        number = int(board_id) if board_id.isascii() and board_id.isdigit() else UUID(board_id).int
    except ValueError:
        number = 0
    if not 0 < number <= _MAX_ID:
        raise Failure(404, "ModelArts.0015", "The visualization job does not exist.")
    return number
