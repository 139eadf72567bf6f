"""The boards' pages: ``/modelarts/tensorboard/<32 hex>/<job_id>/…``.

The 32 hexadecimal digits are the job's own and cannot be guessed; who has the address, sees the
board, as with the service in the cloud.
"""

from __future__ import annotations

import gzip
import hmac
import mimetypes
from collections import Counter
from http.client import HTTPException, InvalidURL
from threading import Lock
from typing import TYPE_CHECKING, Any, Iterable

from werkzeug.exceptions import BadGateway, BadRequest, MethodNotAllowed
from werkzeug.wrappers import Request, Response
from werkzeug.wsgi import ClosingIterator

from modelarts.local.boards import frontend
from modelarts.local.boards.supervisor import Supervisor
from modelarts.local.boards.tensorboard import KEY_HEADER
from modelarts.local.errors import Throttled
from modelarts.local.identity.rate_limit import Rate
from modelarts.local.jobs.store import Job
from modelarts.local.operations import Operations
from modelarts.local.web.headers import for_board, for_visitor
from modelarts.models import JobStatus

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["MOST_OPEN", "Pages"]

#: How many requests may wait for boards at once; and for one of them, which may hang.
MOST_OPEN = 40
_MOST_OPEN_OF_ONE = 12
#: TensorBoard has no others.
_METHODS = ("GET", "HEAD", "POST")


class Pages:
    """Leads a request to the board that it is for."""

    def __init__(self, operations: Operations, supervisor: Supervisor, rate: Rate) -> None:
        self._operations = operations
        self._supervisor = supervisor
        self._rate = rate
        self._lock = Lock()
        self._open: Counter[int] = Counter()

    def page(self, request: Request, key: str, job_id: int, rest: str) -> WSGIApplication:
        """Return the WSGI application that responds to this request."""
        pause = self._rate.take(str(request.remote_addr))
        if pause:
            raise Throttled("Too many requests for pages.", pause)
        job = self._operations.find(job_id) if job_id < 2**63 else None
        if job is None or not hmac.compare_digest(job.page_key.encode(), key.encode()):
            return Response("There is no such board.\n", 404, content_type="text/plain")
        if not self._operations.may_read(job):
            return Response(
                f"The bucket of job {job.job_id} is not shared with its project any more.\n",
                403,
                content_type="text/plain",
            )
        board = self._supervisor.page(job)
        if board is not None:
            if request.method not in _METHODS:
                raise MethodNotAllowed(_METHODS)
            return self._guarded(job, board)
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

    def frontend(self, request: Request, version: str, rest: str) -> Response:
        """Return a file of TensorBoard's frontend, which browsers and proxies may keep for ever."""
        pause = self._rate.take(str(request.remote_addr))
        if pause:
            raise Throttled("Too many requests for pages.", pause)
        if version != frontend.version() or rest not in frontend.names():
            return Response("There is no such file.\n", 404, content_type="text/plain")
        content = frontend.content(rest)
        kind = mimetypes.guess_type(rest)[0] or "application/octet-stream"
        response = Response(content, content_type=kind)
        if request.accept_encodings["gzip"]:
            response.content_encoding = "gzip"
        else:
            response.set_data(gzip.decompress(content))
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response

    def _guarded(self, job: Job, board: WSGIApplication) -> WSGIApplication:
        """A board that hangs, or says what is no HTTP, is a matter of its own page alone."""
        job_id = job.job_id

        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if not self._enter(job_id):
                busy = Response("The board is busy.\n", 503, content_type="text/plain")
                busy.headers["Retry-After"] = "1"
                return busy(environ, start_response)
            for_board(environ, KEY_HEADER)

            def start(status: str, headers: Any, error: Any = None) -> Any:
                return start_response(status, for_visitor(headers, job.page), error)

            try:
                parts = board(environ, start)
            except HTTPException as error:
                self._leave(job_id)
                refusal = BadRequest() if isinstance(error, InvalidURL) else BadGateway()
                return refusal(environ, start_response)
            except BaseException:
                self._leave(job_id)
                raise
            return ClosingIterator(parts, lambda: self._leave(job_id))

        return answer

    def _enter(self, job_id: int) -> bool:
        with self._lock:
            everywhere, here = sum(self._open.values()), self._open[job_id]
            if everywhere >= MOST_OPEN or here >= _MOST_OPEN_OF_ONE:
                return False
            self._open[job_id] += 1
            return True

    def _leave(self, job_id: int) -> None:
        with self._lock:
            self._open[job_id] -= 1
            if not self._open[job_id]:
                del self._open[job_id]
