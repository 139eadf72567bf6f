"""One request to the console: its user, its project, and the pages that answer it."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment
from werkzeug.wrappers import Request, Response

from modelarts import __version__
from modelarts.local.errors import Failure
from modelarts.local.identity.authentication import Caller
from modelarts.local.identity.sessions import BrowserSession
from modelarts.local.identity.users import OWNER, Project, User


class Unchanged(Exception):
    """The script has the live part of the page as it is."""


class Visit:
    """One request to the console.

    Attributes:
        rest: its path below that of the console.
        root: the relative address of the console, for links on the page.
        nonce: allows the scripts and styles of this response.
        frames: the origins that the page shows frames of.
        is_live: it is asked for by the script, which replaces the live part of the page.
        user: who is signed in.
        session: the session of the browser.
        project: the project that the page is about; None where it is about none.
    """

    user: User
    session: BrowserSession

    def __init__(
        self, request: Request, rest: str, templates: Environment, version: str, nonce: str
    ) -> None:
        self.request = request
        self.rest = rest
        self.root = "../" * rest.count("/") or "./"
        self.nonce = nonce
        self.frames: list[str] = []
        self.is_live = False
        self.project: Project | None = None
        self._templates = templates
        self._version = version
        self._user: User | None = None
        self._tag: str | None = None

    @property
    def caller(self) -> Caller:
        """The user as the caller of operations."""
        return Caller(self.user, self.user.projects, is_whole=True)

    @property
    def section(self) -> str:
        """The part of the console that the page belongs to."""
        return self.rest.partition("/")[2].partition("/")[0]

    @property
    def is_admin(self) -> bool:
        """True for the user that the service began with."""
        return self.user.name == OWNER

    def need_admin(self) -> None:
        """Raise Failure for everybody but that user."""
        if not self.is_admin:
            raise Failure(403, "ModelArts.0203", "Only the user local may do this.")

    @property
    def here(self) -> str:
        """The relative address of the pages of the project."""
        project = self.project or self.user.projects[0]
        return f"{self.root}{project.project_id}/"

    def signed_in(self, user: User, session: BrowserSession) -> None:
        """Note who is signed in."""
        self.user = self._user = user
        self.session = session

    def choose(self, project_id: str) -> None:
        """Choose the project that the page is about.

        Raises:
            Failure: 403, as the REST API, where it is none of the user's.
        """
        self.project = self.user.project_by_id(project_id)
        if self.project is None:
            raise Failure(
                403,
                "ModelArts.0210",
                "The project id in the request URL does not match the credentials.",
            )

    def mark(self, *content: object) -> None:
        """Note what the live part shows. Where the script has just that, it is sent nothing.

        Raises:
            Unchanged: it has.
        """
        digest = hashlib.sha256(repr(content).encode("utf-8", "replace")).hexdigest()[:32]
        self._tag = f'"{digest}"'
        if self.is_live and self.request.headers.get("If-None-Match") == self._tag:
            raise Unchanged

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page."""
        user = self._user
        page = self._templates.get_template(template).render(
            layout="live.html" if self.is_live else "page.html",
            visit=self,
            user=user,
            token=self.session.token if user is not None else "",
            root=self.root,
            here=self.here if user is not None else self.root,
            static=f"{self.root}static/{self._version}/",
            version=__version__,
            done=self.request.args.get("done", ""),
            **values,
        )
        response = Response(page, status, content_type="text/html; charset=utf-8")
        if self._tag is not None:
            response.headers["ETag"] = self._tag
        return response

    def redirect(self, path: str, **query: str) -> Response:
        """Lead to another page of the console; ``path`` is below that of the console."""
        more = "?" + urlencode(query) if query else ""
        return Response(status=303, headers={"Location": self.root + path + more})

    def back(self, path: str, **query: str) -> Response:
        """Lead to another page of the project; ``path`` is below that of the project."""
        project = self.project or self.user.projects[0]
        return self.redirect(f"{project.project_id}/{path}", **query)
