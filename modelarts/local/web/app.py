"""The routes of the service, and its responses to errors."""

from __future__ import annotations

import json
import logging
import os
import re
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterable
from urllib.parse import urlsplit

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, RequestRedirect, Rule
from werkzeug.wrappers import Request, Response

from modelarts import __version__
from modelarts.local.boards.frontend import PATH as FRONTEND
from modelarts.local.errors import Failure, GatewayFailure, json_response
from modelarts.local.jobs.shares import KEY_LENGTH, SHARED
from modelarts.local.jobs.store import PAGES
from modelarts.local.web.boards import Pages
from modelarts.local.web.clock import TestClock
from modelarts.local.web.console.entry import LINKS, Console
from modelarts.local.web.headers import COMMON
from modelarts.local.web.hosts import CONSOLE, Reach
from modelarts.local.web.iam import Iam
from modelarts.local.web.obs_keys import ObsKeysApi
from modelarts.local.web.security import check
from modelarts.local.web.shares import ShareApi
from modelarts.local.web.trainings import LOGS, LogLinks
from modelarts.local.web.v1 import Api
from modelarts.local.web.v2 import TrainingJobs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_LOG = logging.getLogger("modelarts.local")
_KEY = re.compile(f"({PAGES}|{LOGS})[^/]+")
_PAGE = PAGES + "<string(length=32):key>/<int:job_id>/"
_LINK = f"{PAGES}<string(length={KEY_LENGTH}):key>/{SHARED}/"


class App:
    """The WSGI application of the service."""

    def __init__(
        self,
        api: Api,
        training_jobs: TrainingJobs,
        iam: Iam,
        pages: Pages,
        reach: Reach,
        links: LogLinks,
        shares: ShareApi,
        test_clock: TestClock | None = None,
        obs_keys: ObsKeysApi | None = None,
        console: Console | None = None,
    ) -> None:
        self._reach = reach
        jobs = "/v1/<project_id>/visualization-jobs"
        routes: list[tuple[str, tuple[str, ...], Callable[..., WSGIApplication]]] = [
            (jobs, ("GET", "POST"), api.jobs),
            (jobs + "/<int:job_id>", ("GET", "PUT", "DELETE"), api.job),
            (jobs + "/<int:job_id>/<any(stop,restart):action>", ("POST",), api.action),
            *_training_routes(training_jobs),
            ("/", ("GET",), iam.versions if console is None else partial(_root, iam)),
            ("/v3", ("GET",), iam.versions),
            ("/v3/", ("GET",), iam.versions),
            ("/v3/auth/tokens", ("GET",), iam.show_token),
            ("/v3/auth/tokens", ("POST",), iam.create_token),
            ("/v3.0/OS-CREDENTIAL/securitytokens", ("POST",), iam.create_keys),
            ("/v3/projects", ("GET",), iam.projects),
            ("/healthz", ("GET",), _health),
            ("/openapi.json", ("GET",), _described),
            (LOGS + "<key>", ("GET",), links.send),
            (f"{PAGES}{FRONTEND}/<version>/<path:rest>", ("GET",), pages.frontend),
            (_PAGE, (), pages.page),
            (_PAGE + "<path:rest>", (), pages.page),
            (_LINK, (), pages.shared),
            (_LINK + "<path:rest>", (), pages.shared),
            (
                "/local/<project_id>/visualization-jobs/<board_id>/shares",
                ("GET", "POST"),
                shares.shares,
            ),
            (
                "/local/<project_id>/visualization-jobs/<board_id>/shares/<share_id>",
                ("DELETE",),
                shares.share,
            ),
        ]
        if test_clock is not None:
            routes.append(("/local/clock", ("GET", "PUT"), test_clock.answer))
        if obs_keys is not None:
            routes.append(("/local/obs-keys", ("PUT",), obs_keys.put))
        if console is not None:
            routes.append((LINKS, ("POST",), console.make_link))
            routes.append((CONSOLE, (), console.page))
            routes.append((CONSOLE + "<path:rest>", (), console.page))
        self._routes = Map(
            [
                Rule(path, methods=methods or None, endpoint=call, defaults=_defaults(path))
                for path, methods, call in routes
            ],
            merge_slashes=False,
        )

    def rules(self) -> dict[str, set[str]]:
        """Every path with its methods; none where the path takes whatever a board does."""
        methods: dict[str, set[str]] = {}
        for rule in self._routes.iter_rules():
            methods.setdefault(rule.rule, set()).update(rule.methods or ())
        return methods

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request_id = uuid.uuid4().hex
        request = Request(environ)
        answer = self._answer(request, request_id)
        if isinstance(answer, Response):
            answer.headers["X-Request-Id"] = request_id
            answer.headers.setdefault("Cache-Control", "no-store")

        def start(status: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
            code = int(status[:3])
            if code >= 400:
                _log_failure(request, code, request_id)
            present = {name.lower() for name, _ in headers}
            missing = [pair for pair in COMMON if pair[0].lower() not in present]
            return start_response(status, [*headers, *missing], error)

        return answer(environ, start)

    def _answer(self, request: Request, request_id: str) -> WSGIApplication:
        try:
            check(request, self._reach)
            call, values = self._routes.bind_to_environ(request.environ).match()
            answer: WSGIApplication = call(request, **values)
            return answer
        except Failure as failure:
            return failure.response(request_id)
        except RequestRedirect as redirect:
            # Without scheme and host, which a proxy may have changed.
            parts = urlsplit(redirect.new_url)
            query = f"?{parts.query}" if parts.query else ""
            return Response(status=308, headers={"Location": parts.path + query})
        except MethodNotAllowed as error:
            refusal = GatewayFailure(405, "APIG.0101", "The API has no such method.")
            response = refusal.response(request_id)
            response.headers["Allow"] = ", ".join(error.valid_methods or ())
            return response
        except HTTPException as error:
            status = error.code or 500
            message = "The API does not exist." if status == 404 else error.name
            return GatewayFailure(status, "APIG.0101", message).response(request_id)
        except Exception:
            _LOG.exception("request %s: internal error", request_id)
            return Failure(500, "ModelArts.0010", "Internal error.").response(request_id)


def _training_routes(
    api: TrainingJobs,
) -> list[tuple[str, tuple[str, ...], Callable[..., WSGIApplication]]]:
    project = "/v2/<project_id>"
    job = project + "/training-jobs/<job_id>"
    task = job + "/tasks/<task_id>/logs"
    return [
        (project + "/training-jobs", ("POST",), api.create),
        (project + "/training-jobs/batch-delete", ("POST",), api.batch_delete),
        (project + "/training-job-searches", ("POST",), api.search),
        (project + "/training-job-flavors", ("GET",), api.flavors),
        (project + "/training-job-engines", ("GET",), api.engines),
        (job, ("GET", "PUT", "DELETE"), api.job),
        (job + "/actions", ("POST",), api.action),
        (job + "/events", ("GET",), api.events),
        (job + "/metrics/<task_id>", ("GET",), api.metrics),
        (job + "/logs/<task_id>", ("GET",), api.log_url),
        (task + "/preview", ("GET",), api.log),
        (task + "/url", ("GET",), api.log_url),
    ]


def _defaults(path: str) -> dict[str, Any] | None:
    return {"rest": ""} if path in (_PAGE, _LINK, CONSOLE) else None


def _root(iam: Iam, request: Request) -> Response:
    """Lead a browser to the console; Keystone clients get what they look for."""
    if "text/html" in request.headers.get("Accept", ""):
        # Without the path of this service, which a proxy may have changed.
        response = Response(status=303, headers={"Location": CONSOLE.lstrip("/")})
    else:
        response = iam.versions(request)
    response.headers["Vary"] = "Accept"
    return response


def _health(request: Request) -> Response:
    return json_response({"status": "ok", "pid": os.getpid(), "version": __version__})


def document() -> dict[str, Any]:
    """Return the OpenAPI document of the service. Boards are not in it: they are TensorBoard's.

    Source: *OpenAPI Specification* 3.1.
    """
    document: dict[str, Any] = json.loads(Path(__file__).with_name("openapi.json").read_bytes())
    document["info"]["version"] = __version__
    return document


def _described(request: Request) -> Response:
    return json_response(document())


def _log_failure(request: Request, code: int, request_id: str) -> None:
    # A board's address is its key.
    path = _KEY.sub(r"\1...", request.path)[:200]
    _LOG.log(
        logging.WARNING if code >= 500 and code != 503 else logging.INFO,
        "request %s: %s %s from %s: HTTP %d",
        request_id,
        ascii(request.method)[1:-1][:20],
        ascii(path)[1:-1],
        request.remote_addr,
        code,
    )
