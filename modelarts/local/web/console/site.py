"""The pages of the console: who may see and do what, and the headers of all responses."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from pathlib import Path
from typing import Any, Callable
from urllib.parse import quote, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from modelarts.local.errors import Failure, GatewayFailure, NoSuchTraining, Throttled
from modelarts.local.identity.sessions import SESSION_SECONDS
from modelarts.local.web.console import text
from modelarts.local.web.console.admin import AdminPages
from modelarts.local.web.console.jobs import JobPages
from modelarts.local.web.console.parts import Parts
from modelarts.local.web.console.storage import StoragePages
from modelarts.local.web.console.trainings import TrainingPages
from modelarts.local.web.console.visit import Unchanged, Visit

_LOG = logging.getLogger("modelarts.local")
_STATIC = Path(__file__).with_name("static")
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
#: A page of the console that a sign-in may lead to.
_NEXT = re.compile(r"[A-Za-z0-9/-]{0,200}\Z")
_PID = "/<string(length=32):project_id>"


class Site:
    """The pages of the console of one service.

    Args:
        parts: the operations and the users behind its pages.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._files = {
            path.name: path.read_bytes() for path in _STATIC.iterdir() if path.suffix in _KINDS
        }
        content = b"".join(self._files[name] for name in sorted(self._files))
        self._version = hashlib.sha256(content).hexdigest()[:12]
        # Cookies know no ports: other services of this machine have other names.
        self._cookie = "modelarts-" + parts.service_id
        self._templates = Environment(
            loader=PackageLoader(__package__, "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self._templates.filters.update(text.FILTERS)
        pages: list[tuple[str, str, Callable[..., Response]]] = [
            *JobPages(parts).routes(),
            *TrainingPages(parts).routes(),
            *StoragePages(parts).routes(),
            *AdminPages(parts).routes(),
        ]
        self._routes = Map(
            [Rule("/", methods=["GET"], endpoint=_home)]
            + [Rule("/sign-out", methods=["POST"], endpoint=self._sign_out)]
            + [Rule(_PID + path, methods=[method], endpoint=call) for method, path, call in pages],
            merge_slashes=False,
            strict_slashes=True,
        )

    def answer(self, request: Request, rest: str) -> Response:
        """Return the response to a request; ``rest`` is its path below that of the console."""
        if rest.startswith("static/"):
            return self._file(rest[len("static/") :])
        visit = Visit(request, rest, self._templates, self._version, secrets.token_urlsafe(16))
        try:
            response = self._page(visit)
        except Failure as failure:
            # The API of training jobs answers 400 for one that is gone, and has to.
            status = 404 if isinstance(failure, NoSuchTraining) else failure.status
            response = visit.render("failure.html", status, failure=failure)
            if isinstance(failure, Throttled):
                pause = failure.response("").headers["Retry-After"]
                response.headers["Retry-After"] = pause
        except Unchanged:
            response = Response(status=304)
        except HTTPException as error:
            code = error.code or 500
            name = "There is no such page." if code == 404 else error.name
            response = visit.render("failure.html", code, failure=Failure(code, "", name))
        for name, value in _headers(visit).items():
            response.headers.setdefault(name, value)
        return response

    def _page(self, visit: Visit) -> Response:
        authentication = self._parts.authentication
        cookie = visit.request.cookies.get(self._cookie, "")
        session = self._parts.sessions.find(cookie, authentication.users())
        if session is None or visit.rest == "sign-in":
            authentication.count(f"address {visit.request.remote_addr}")
            return self._sign_in(visit) if visit.rest == "sign-in" else self._ask_to_sign_in(visit)
        visit.signed_in(*session)
        authentication.count(f"user {visit.user.user_id}")
        self._check_page(visit)
        call, values = self._routes.bind("console").match(
            "/" + visit.rest, "GET" if visit.request.method == "HEAD" else visit.request.method
        )
        if "project_id" in values:
            visit.choose(values["project_id"])
        response: Response = call(visit, **values)
        return response

    def _check_page(self, visit: Visit) -> None:
        """Check that a page of this session asks, and not one of a board, which may be of the same
        origin: a page is shown in a window only, and all else has the session's token.

        Raises:
            GatewayFailure: 403.
        """
        request = visit.request
        token = request.headers.get("X-Console-Token")
        if request.method == "POST":
            token = request.form.get("token", "")
        elif token is None:
            if request.headers.get("Sec-Fetch-Dest", "document") == "document":
                return
            raise GatewayFailure(403, "APIG.0101", "Pages of the console are shown in a window.")
        else:
            visit.is_live = True
        if not hmac.compare_digest(token.encode(), visit.session.token.encode()):
            raise GatewayFailure(
                403, "APIG.0101", "The form is not of this session. Load the page again."
            )

    def _ask_to_sign_in(self, visit: Visit) -> Response:
        if visit.request.headers.get("X-Console-Token") is not None:
            raise GatewayFailure(401, "APIG.0301", "The session has ended.")
        if visit.request.method not in ("GET", "HEAD"):
            raise GatewayFailure(401, "APIG.0301", "The session has ended. Sign in again.")
        follow = f"?next={quote(visit.rest)}" if visit.rest else ""
        return visit.redirect("sign-in" + follow)

    def _sign_in(self, visit: Visit) -> Response:
        request = visit.request
        follow = request.values.get("next", "")
        follow = follow if _NEXT.match(follow) and not follow.startswith("/") else ""
        address = str(request.remote_addr)
        if request.method == "GET" and "key" in request.args:
            # What only looks ahead does not use up the link.
            if "prefetch" in request.headers.get("Sec-Purpose", request.headers.get("Purpose", "")):
                raise GatewayFailure(403, "APIG.0101", "The link opens in a window.")
            users = self._parts.authentication.users()
            user = self._parts.sessions.use_link(request.args["key"], users)
            if user is None:
                message = (
                    "This link has been used, or has ended. 'modelarts open' on the machine of "
                    "the service makes a new one."
                )
                return visit.render("sign_in.html", 403, message=message, name="", follow="")
        elif request.method == "GET":
            return visit.render("sign_in.html", message="", name="", follow=follow)
        elif request.method == "POST":
            if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
                raise GatewayFailure(403, "APIG.0101", "Sign in on the page of this service.")
            name = request.form.get("name", "")[:100]
            user = self._parts.authentication.users().by_name.get(name)
            password = request.form.get("password", "")
            if not self._parts.logins.is_right(user, password, name, address):
                message = "The name or the password is wrong."
                return visit.render("sign_in.html", 401, message=message, name=name, follow=follow)
        else:
            raise GatewayFailure(405, "APIG.0101", "The console has no such method.")
        assert user is not None
        _LOG.info("console: %s signed in from %s", user.name, address)
        cookie, _ = self._parts.sessions.begin(user)
        # A page, and no redirect: after one that a foreign page led to, the browser would not send
        # the cookie.
        response = visit.render("signed_in.html", follow=visit.root + follow)
        response.headers["Referrer-Policy"] = "no-referrer"
        self._set_cookie(visit, response, cookie, int(SESSION_SECONDS))
        return response

    def _sign_out(self, visit: Visit) -> Response:
        self._parts.sessions.end(visit.request.cookies.get(self._cookie, ""))
        response = visit.redirect("sign-in")
        self._set_cookie(visit, response, "", 0)
        return response

    def _set_cookie(self, visit: Visit, response: Response, value: str, seconds: int) -> None:
        """Set the cookie of a session.

        It has no path: browsers take that of the page, ``…/console``, which a proxy may have put
        below a path of its own.
        """
        response.set_cookie(
            self._cookie,
            value,
            max_age=seconds,
            path=None,
            secure=urlsplit(self._parts.reach.base(visit.request)).scheme == "https",
            httponly=True,
            samesite="Strict",
        )

    def _file(self, path: str) -> Response:
        version, _, name = path.partition("/")
        content = self._files.get(name) if version == self._version else None
        if content is None:
            return Response("There is no such file.\n", 404, content_type="text/plain")
        kind = _KINDS[Path(name).suffix] + "; charset=utf-8"
        response = Response(content, content_type=kind)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _home(visit: Visit) -> Response:
    return visit.redirect(f"{visit.user.projects[0].project_id}/jobs")


def _headers(visit: Visit) -> dict[str, Any]:
    nonce = f"'nonce-{visit.nonce}'"
    frames = " ".join(visit.frames) or "'none'"
    policy = (
        f"default-src 'none'; script-src {nonce}; style-src {nonce}; img-src 'self'; "
        f"connect-src 'self'; form-action 'self'; frame-src {frames}; frame-ancestors 'none'; "
        "base-uri 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        # Forms would have the origin "null" otherwise.
        "Referrer-Policy": "same-origin",
        # A board, which may be of the same origin, gets no handle of a window of the console.
        "Cross-Origin-Opener-Policy": "noopener-allow-popups",
    }
