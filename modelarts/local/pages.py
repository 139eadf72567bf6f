"""The boards' pages: ``/modelarts/tensorboard/<32 hex>/<job_id>/…``.

The 32 hexadecimal digits are the job's own and cannot be guessed; who has the address, sees the
board, as with the service in the cloud.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from modelarts.jobs.models import JobStatus
from modelarts.local.operations import Operations
from modelarts.local.supervisor import Supervisor

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Pages"]


class Pages:
    """Leads a request to the board that it is for."""

    def __init__(self, operations: Operations, supervisor: Supervisor) -> None:
        self._operations = operations
        self._supervisor = supervisor

    def page(self, request: Request, key: str, job_id: int, rest: str) -> WSGIApplication:
        """What answers this request."""
        job = self._operations.find(job_id) if job_id < 2**63 else None
        if job is None or not hmac.compare_digest(job.page_key.encode(), key.encode()):
            return Response("There is no such board.\n", 404, content_type="text/plain")
        board = self._supervisor.page(job)
        if board is not None:
            return board
        status = JobStatus(job.status)
        response = Response(
            f"Job {job.job_id} ({job.job_name}) is {status.name}; its board opens when it is "
            "RUNNING.\n",
            503,
            content_type="text/plain",
        )
        if not status.is_final:
            response.headers["Retry-After"] = "1"
        return response
