"""Which path leads where, and what is said when something is wrong."""

from __future__ import annotations

import logging
import os
import uuid
from typing import TYPE_CHECKING, Any, Callable, Iterable, cast

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, RequestRedirect, Rule
from werkzeug.wrappers import Request, Response

from modelarts import __version__
from modelarts.local.api import Api
from modelarts.local.failures import Failure, GatewayFailure, json_response
from modelarts.local.iam import Iam
from modelarts.local.pages import Pages
from modelarts.local.testclock import TestClock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["App"]

_LOG = logging.getLogger("modelarts.local")
_PAGE = "/modelarts/tensorboard/<string(length=32):key>/<int:job_id>/"


class App:
    """The WSGI application of the service."""

    def __init__(
        self, api: Api, iam: Iam, pages: Pages, test_clock: TestClock | None = None
    ) -> None:
        jobs = "/v1/<project_id>/visualization-jobs"
        routes: list[tuple[str, tuple[str, ...], Callable[..., WSGIApplication]]] = [
            (jobs, ("GET", "POST"), api.jobs),
            (jobs + "/<int:job_id>", ("GET", "PUT", "DELETE"), api.job),
            (jobs + "/<int:job_id>/<any(stop,restart):action>", ("POST",), api.action),
            ("/", ("GET",), iam.versions),
            ("/v3", ("GET",), iam.versions),
            ("/v3/", ("GET",), iam.versions),
            ("/v3/auth/tokens", ("GET",), iam.show_token),
            ("/v3/auth/tokens", ("POST",), iam.create_token),
            ("/v3.0/OS-CREDENTIAL/securitytokens", ("POST",), iam.create_keys),
            ("/v3/projects", ("GET",), iam.projects),
            ("/healthz", ("GET",), _health),
            (_PAGE, (), pages.page),
            (_PAGE + "<path:rest>", (), pages.page),
        ]
        if test_clock is not None:
            routes.append(("/local/clock", ("GET", "PUT"), test_clock.answer))
        self._routes = Map(
            [
                Rule(path, methods=methods or None, endpoint=call, defaults=_defaults(path))
                for path, methods, call in routes
            ],
            merge_slashes=False,
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request_id = uuid.uuid4().hex
        answer = self._answer(Request(environ), request_id)
        if isinstance(answer, Response):
            answer.headers["X-Request-Id"] = request_id
        return answer(environ, start_response)

    def _answer(self, request: Request, request_id: str) -> WSGIApplication:
        try:
            call, values = self._routes.bind_to_environ(request.environ).match()
            answer: WSGIApplication = call(request, **values)
            return answer
        except Failure as failure:
            return failure.response(request_id)
        except RequestRedirect as redirect:
            return cast("WSGIApplication", redirect.get_response(request.environ))
        except MethodNotAllowed as error:
            refusal = GatewayFailure(405, "APIG.0101", "The API has no such method.")
            response = refusal.response(request_id)
            response.headers["Allow"] = ", ".join(error.valid_methods or ())
            return response
        except HTTPException as error:
            status = error.code or 500
            said = "The API does not exist." if status == 404 else error.name
            return GatewayFailure(status, "APIG.0101", said).response(request_id)
        except Exception:
            _LOG.exception("request %s: internal error", request_id)
            return Failure(500, "ModelArts.0010", "Internal error.").response(request_id)


def _defaults(path: str) -> dict[str, Any] | None:
    return {"rest": ""} if path == _PAGE else None


def _health(request: Request) -> Response:
    return json_response({"status": "ok", "pid": os.getpid(), "version": __version__})
