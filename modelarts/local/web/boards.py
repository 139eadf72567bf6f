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
import re
import secrets
from collections import Counter
from http.client import HTTPException, InvalidURL
from threading import Lock
from typing import TYPE_CHECKING, Any, Iterable
from urllib.parse import quote

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
from modelarts.local.web.headers import (
    OPENER,
    for_board,
    for_visitor,
    frontend_policy,
    status_line,
)
from modelarts.local.web.hosts import Reach
from modelarts.local.web.notices import notice, wants_page
from modelarts.local.web.security import is_of_plugin
from modelarts.models import STOPPED, JobStatus

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: How many requests may wait for boards at once; and for one of them, which may hang.
MOST_OPEN = 40
_MOST_OPEN_OF_ONE = 12
#: Words by which browsers can be told from each other, in the order to look for them, as each
#: names others too.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
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
#: TensorBoard's own plugins. Those that the owner installed may do more than read.
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
#: The frontend names the experiment in some paths; a board has one.
_EXPERIMENT = re.compile(r"^experiment/[^/]+/")
#: Loads a plugin that the owner installed.
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
        reach: Reach,
        rate: Rate,
        guesses: Rate,
    ) -> None:
        self._operations = operations
        self._supervisor = supervisor
        self._shares = shares
        self._reach = reach
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
        elsewhere = self._redirected(request)
        if elsewhere is not None:
            return elsewhere
        if not self._operations.may_read(job):
            return _text(
                f"The bucket of job {job.job_id} is not shared with its project any more.", 403
            )
        board = self._supervisor.page(job, _visitor(request, str(request.remote_addr)))
        if board is not None:
            if request.method not in _METHODS:
                raise MethodNotAllowed(_METHODS)
            return self._guarded(job, board, job.page, rest)
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
        elsewhere = self._redirected(request)
        if elsewhere is not None:
            return elsewhere
        if not self._operations.may_read(job):
            return _text("The board can no longer be read.", 403)
        asked = _EXPERIMENT.sub("", rest, count=1)
        methods = _METHODS if asked in _QUESTIONS else _READS
        if request.method not in methods:
            raise MethodNotAllowed(methods)
        if not _only_reads(asked):
            return _text("A link shows the dashboards of TensorBoard itself only.", 403)
        board = self._supervisor.page(job, _visitor(request, "a link"))
        if board is None:
            return _not_running(request, "The board does not run at the moment.", job)
        board = _moved(board, job.page + rest)
        if asked in _PLACES:
            board = _placeless(board)
        return self._guarded(job, board, f"{PAGES}{key}/{SHARED}/", rest)

    def _redirected(self, request: Request) -> Response | None:
        """Return a redirect to the host of the board, if it has one and was not asked there."""
        if self._reach.board_host is None or self._reach.is_at_board_host(request):
            return None
        if request.method not in _READS:
            return _text("The board has a host of its own.", 421)
        query = request.query_string.decode("latin-1")
        path = quote(request.path, safe="/:@!$&'()*+,;=~") + (f"?{query}" if query else "")
        return Response(status=302, headers={"Location": self._reach.address(request, path)})

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

    def _guarded(self, job: Job, board: WSGIApplication, prefix: str, rest: str) -> WSGIApplication:
        """A board that hangs, or says what is no HTTP, is a matter of its own page alone."""
        job_id = job.job_id
        shown = frontend.page(rest) if job.job_type == "tensorboard" else None
        has_own_policy = shown is not None or job.job_type != "tensorboard"
        has_own_host = self._reach.board_host is not None
        if shown is not None:
            board = _with_page(board, shown)

        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if not self._enter(job_id):
                busy = Response("The board is busy.\n", 503, content_type="text/plain")
                busy.headers["Retry-After"] = "1"
                return busy(environ, start_response)
            more = [OPENER]
            if not has_own_host and is_of_plugin(Request(environ)):
                more += [("Access-Control-Allow-Origin", "null"), ("Vary", "Origin")]
            for_board(environ, KEY_HEADER)

            def start(status: str, headers: Any, error: Any = None) -> Any:
                passed = for_visitor(headers, prefix, has_own_policy, has_own_host)
                return start_response(status_line(status), [*passed, *more], error)

            try:
                parts = board(environ, start)
            except (HTTPException, ValueError) as error:
                self._leave(job_id)
                refusal = BadRequest() if isinstance(error, InvalidURL) else BadGateway()
                return refusal(environ, start_response)
            except BaseException:
                self._leave(job_id)
                raise
            close = getattr(parts, "close", lambda: None)
            return ClosingIterator(_whole(parts), [close, lambda: self._leave(job_id)])

        return answer

    def _enter(self, job_id: int) -> bool:
        with self._lock:
            everywhere, of_this = sum(self._open.values()), self._open[job_id]
            if everywhere >= MOST_OPEN or of_this >= _MOST_OPEN_OF_ONE:
                return False
            self._open[job_id] += 1
            return True

    def _leave(self, job_id: int) -> None:
        with self._lock:
            self._open[job_id] -= 1
            if not self._open[job_id]:
                del self._open[job_id]


def _whole(parts: Iterable[bytes]) -> Iterable[bytes]:
    """Return the content of a board's answer.

    Raises:
        ConnectionError: it ends before its end; so does the connection to the visitor.
    """
    try:
        yield from parts
    except HTTPException as error:
        raise ConnectionError(f"the board's answer is not whole: {error!r}") from None


def _only_reads(path: str) -> bool:
    """Return True for a path of a board of which it is known that it does not change anything."""
    if path.startswith(_PLUGIN):
        return path[len(_PLUGIN) :].partition("/")[0] in _PLUGINS
    if path.startswith("data/"):
        return path != _PLUGIN_PAGE
    return path == "" or path in frontend.names()


def _visitor(request: Request, origin: str) -> str:
    """Return in words who asks for a page."""
    agent = request.user_agent.string
    browser = next((name for word, name in _BROWSERS if word in agent), None)
    return f"{browser} at {origin}" if browser else origin


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


def _with_page(board: WSGIApplication, shown: bytes) -> WSGIApplication:
    """Return an application that serves a page of the frontend in place of the board's own, so that
    a plugin in the process of the board has no say in it."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = Response.from_app(board, environ, buffered=True)
        if response.status_code != 200:
            return response(environ, start_response)
        nonce = secrets.token_urlsafe(16)
        content = frontend.with_nonce(shown, nonce)
        page = Response(content, content_type="text/html; charset=utf-8")
        page.headers["Content-Security-Policy"] = frontend_policy(nonce)
        page.headers["Cache-Control"] = "no-cache, must-revalidate"
        page.headers["Vary"] = "Accept-Encoding"
        if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
            page.set_data(gzip.compress(content, 6, mtime=0))
            page.content_encoding = "gzip"
        return page(environ, start_response)

    return answer


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
