"""The entry of the console: loads its pages when they are first asked for."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from modelarts.local.errors import Failure, json_response
from modelarts.local.identity.sessions import LINK_SECONDS
from modelarts.local.identity.users import User
from modelarts.local.web.console.parts import Parts
from modelarts.local.web.hosts import CONSOLE

if TYPE_CHECKING:
    from modelarts.local.web.console.site import Site

#: Where programs with keys ask for a link that signs in a browser.
LINKS = "/local/console-links"


class Console:
    """The console of one service.

    Args:
        parts: the operations and the users behind its pages.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = Lock()
        self._site: Site | None = None

    def page(self, request: Request, rest: str) -> Response:
        """Return the response to a request for a page or a file of the console."""
        return self._loaded().answer(request, rest)

    def make_link(self, request: Request) -> Response:
        """``POST /local/console-links``: a link that signs in a browser as the caller, once."""
        caller = self._parts.authentication.caller(request)
        if not caller.is_whole:
            raise Failure(
                403,
                "ModelArts.0108",
                "A link signs in with all projects of its user, for hours, so it is made for "
                "permanent keys only. Sign in with a name and a password.",
            )
        self._loaded()
        url = self._parts.reach.pages(request) + self.link(caller.user)
        body = {"url": url, "expires_in": int(LINK_SECONDS)}
        return json_response(body, 201)

    def link(self, user: User) -> str:
        """Return the path of a new link that signs in a browser as this user, once."""
        return f"{CONSOLE}sign-in?key={self._parts.sessions.make_link(user)}"

    def _loaded(self) -> Site:
        with self._lock:
            if self._site is None:
                try:
                    from modelarts.local.web.console.site import Site
                except ImportError as error:
                    raise Failure(
                        501,
                        "ModelArts.0010",
                        f"The console needs one more package ({error}): "
                        "pip install 'modelarts[local]'",
                    ) from None
                self._site = Site(self._parts)
            return self._site
