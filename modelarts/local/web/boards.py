"""The boards' pages: ``/modelarts/tensorboard/<32 hex>/<job_id>/…``.

The 32 hexadecimal digits are the job's own and cannot be guessed; who has the address, sees the
board, as with the service in the cloud. A link that ends is
``/modelarts/tensorboard/<43 characters>/shared/…``, and reads only.
"""

from __future__ import annotations

import gzip
import hmac
import json
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
from modelarts.local.jobs.shares import SHARED, Shares
from modelarts.local.jobs.store import PAGES, Job
from modelarts.local.operations import Operations
from modelarts.local.web.headers import for_board, for_visitor
from modelarts.local.web.notices import notice, wants_page
from modelarts.models import STOPPED, JobStatus

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["MOST_OPEN", "Pages"]

#: How many requests may wait for boards at once; and for one of them, which may hang.
MOST_OPEN = 40
_MOST_OPEN_OF_ONE = 12
#: TensorBoard has no others.
_METHODS = ("GET", "HEAD", "POST")
_READS = ("GET", "HEAD")
#: Questions that TensorBoard's frontend asks with POST, as they are too long for an address.
_QUESTIONS = frozenset(
    (
        "data/plugin/hparams/download_data",
        "data/plugin/hparams/experiment",
        "data/plugin/hparams/metric_evals",
        "data/plugin/hparams/session_groups",
        "data/plugin/scalars/scalars_multirun",
        "data/plugin/timeseries/timeSeries",
    )
)
#: TensorBoard's own plugins. Those that somebody installed may do more than read.
_PLUGINS = frozenset(
    (
        "audio",
        "custom_scalars",
        "debugger-v2",
        "distributions",
        "graphs",
        "histograms",
        "hparams",
        "images",
        "mesh",
        "pr_curves",
        "projector",
        "scalars",
        "text",
        "timeseries",
    )
)
_PLUGIN = "data/plugin/"
#: Loads a plugin that somebody installed.
_PLUGIN_PAGE = "data/plugin_entry.html"
#: They say where on this machine the event files are.
_PLACES = ("data/environment", "data/logdir")


class Pages:
    """Leads a request to the board that it is for."""

    def __init__(
        self,
        operations: Operations,
        supervisor: Supervisor,
        shares: Shares,
        rate: Rate,
        guesses: Rate,
    ) -> None:
        self._operations = operations
        self._supervisor = supervisor
        self._shares = shares
        self._rate = rate
        self._guesses = guesses
        self._lock = Lock()
        self._open: Counter[int] = Counter()

    def page(self, request: Request, key: str, job_id: int, rest: str) -> WSGIApplication:
        """Return the WSGI application that responds to this request."""
        self._take(request)
        job = self._operations.find(job_id) if job_id < 2**63 else None
        if job is None or not hmac.compare_digest(job.page_key.encode(), key.encode()):
            return _text("There is no such board.", 404)
        if not self._operations.may_read(job):
            return _text(
                f"The bucket of job {job.job_id} is not shared with its project any more.", 403
            )
        board = self._supervisor.page(job)
        if board is not None:
            if request.method not in _METHODS:
                raise MethodNotAllowed(_METHODS)
            return self._guarded(job, board, job.page)
        if job.is_idle and job.status in STOPPED and rest == "":
            if request.method == "POST":
                self._operations.resume(job)
                # Relative, as a proxy may have put a prefix before the path.
                return Response(status=303, headers={"Location": "./"})
            if wants_page(request):
                return notice(
                    "This board was stopped",
                    f"Job {job.job_id} ({job.job_name}) was stopped: {job.reason}. Its event files "
                    "are as they were.",
                    "Start it again",
                )
        name = JobStatus(job.status).name
        text = f"Job {job.job_id} ({job.job_name}) is {name}; its board opens when it is RUNNING."
        return _not_running(request, text, job)

    def shared(self, request: Request, key: str, rest: str) -> WSGIApplication:
        """Return the application for a link that ends: it reads, and names neither the job nor its
        folder."""
        self._take(request)
        caller = str(request.remote_addr)
        pause = self._guesses.take(caller)
        if pause:
            raise Throttled("Too many links that do not work.", pause)
        job = self._shares.find(key)
        if job is None:
            return _text("This link has ended, was revoked, or never was one.", 404)
        self._guesses.give_back(caller)
        if not self._operations.may_read(job):
            return _text("The board can no longer be read.", 403)
        methods = _METHODS if rest in _QUESTIONS else _READS
        if request.method not in methods:
            raise MethodNotAllowed(methods)
        if not _only_reads(rest):
            return _text("A link shows the dashboards of TensorBoard itself only.", 403)
        board = self._supervisor.page(job)
        if board is None:
            return _not_running(request, "The board does not run at the moment.", job)
        board = _moved(board, job.page + rest)
        if rest in _PLACES:
            board = _placeless(board)
        return self._guarded(job, board, f"{PAGES}{key}/{SHARED}/")

    def _take(self, request: Request) -> None:
        pause = self._rate.take(str(request.remote_addr))
        if pause:
            raise Throttled("Too many requests for pages.", pause)

    def frontend(self, request: Request, version: str, rest: str) -> Response:
        """Return a file of TensorBoard's frontend, which browsers and proxies may keep for ever."""
        self._take(request)
        if version != frontend.version() or rest not in frontend.names():
            return _text("There is no such file.", 404)
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

    def _guarded(self, job: Job, board: WSGIApplication, prefix: str) -> WSGIApplication:
        """A board that hangs, or says what is no HTTP, is a matter of its own page alone."""
        job_id = job.job_id

        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if not self._enter(job_id):
                busy = Response("The board is busy.\n", 503, content_type="text/plain")
                busy.headers["Retry-After"] = "1"
                return busy(environ, start_response)
            for_board(environ, KEY_HEADER)

            def start(status: str, headers: Any, error: Any = None) -> Any:
                return start_response(status, for_visitor(headers, prefix), error)

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


def _only_reads(path: str) -> bool:
    """Return True for a path of a board of which it is known that it does not change anything."""
    if path.startswith(_PLUGIN):
        return path[len(_PLUGIN) :].partition("/")[0] in _PLUGINS
    if path.startswith("data/"):
        return path != _PLUGIN_PAGE
    return path == "" or path in frontend.names()


def _text(text: str, status: int) -> Response:
    return Response(text + "\n", status, content_type="text/plain")


def _not_running(request: Request, text: str, job: Job) -> Response:
    is_final = JobStatus(job.status).is_final
    if wants_page(request):
        title = "This board does not run" if is_final else "This board is starting"
        if job.status == JobStatus.KILLING:
            title = "This board is being stopped"
        return notice(title, text, reload=not is_final)
    response = _text(text, 503)
    if not is_final:
        response.headers["Retry-After"] = "1"
    return response


def _moved(board: WSGIApplication, path: str) -> WSGIApplication:
    """Return the application that asks a board for another path than the visitor asked for."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["PATH_INFO"] = path
        return board(environ, start_response)

    return answer


def _placeless(board: WSGIApplication) -> WSGIApplication:
    """Return an application that does not say where the event files are."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ.pop("HTTP_ACCEPT_ENCODING", None)
        response = Response.from_app(board, environ, buffered=True)
        if response.status_code == 200 and environ["REQUEST_METHOD"] != "HEAD":
            fields = json.loads(response.get_data())
            fields.pop("debug", None)  # with the flags of TensorBoard
            for name in {"data_location", "logdir"} & set(fields):
                fields[name] = ""
            response.set_data(json.dumps(fields))
        return response(environ, start_response)

    return answer
