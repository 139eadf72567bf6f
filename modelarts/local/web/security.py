"""Rejects malformed targets, unknown hosts (DNS rebinding) and cross-origin requests."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from werkzeug.wrappers import Request

from modelarts.local.errors import GatewayFailure
from modelarts.local.jobs.store import PAGES
from modelarts.local.web.hosts import Reach

_ENCODED = re.compile(r"%(2f|5c|00)", re.IGNORECASE)
_ODD = re.compile(r"[\x00-\x1f\x7f\\]|(^|/)\.{1,2}(/|$)")
_SHOWN = ("document", "iframe", "frame")
_PLUGIN = re.compile(PAGES + r"[0-9a-f]{32}/[0-9]+/data/plugin/")


def check(request: Request, reach: Reach) -> None:
    """Let a request pass.

    Raises:
        GatewayFailure: 400 for a target that is no plain path, 421 for a ``Host`` that is none
            of this service's, 403 for what the page of another origin asks for.
    """
    _check_target(request)
    check_names(request, reach, request.headers.get("Host"), request.path)


def check_names(request: Request, reach: Reach, host: str | None, path: str) -> None:
    """The part of it that holds whatever the path looks like: for which name of the service it
    is, and from which page."""
    if not reach.is_own(host, path):
        raise GatewayFailure(
            421,
            "APIG.0101",
            "The Host of this request is not one of this service's names; 'modelarts serve "
            "--allow-host NAME' adds one, as does MODELARTS_ALLOW_HOST=NAME in the environment "
            "of what starts the service.",
        )
    if not (reach.board_host is None and is_of_plugin(request)):
        _check_origin(request)


def is_of_plugin(request: Request) -> bool:
    """Return True for what the page of a plugin asks of its own board, as far as can be seen.

    Such a page has an opaque origin, so it asks as a page of another origin. It needs the key in
    the address of the board; other boards, and all else of this service, it cannot ask for.
    """
    return (
        request.headers.get("Origin") == "null"
        and request.headers.get("Sec-Fetch-Mode", "cors") == "cors"
        and _PLUGIN.match(request.path) is not None
    )


def _check_target(request: Request) -> None:
    # As it came, so that a path has one spelling. With TLS it is decoded before; a coded slash is
    # then a slash like any other, and asks for what that asks for.
    target = str(request.environ.get("REQUEST_URI", "/"))
    path, _, _ = target.partition("?")
    plain = path.startswith("/") and "#" not in target
    if not plain or _ENCODED.search(path) or _ODD.search(request.path):
        raise GatewayFailure(400, "APIG.0101", "The request target is not a plain path.")


def _check_origin(request: Request) -> None:
    """Reject reads by pages of other origins. A board may be opened, in a window or in a frame of a
    notebook. Source: *Fetch Metadata Request Headers* (W3C)."""
    # A page of a board may not stand before others, nor ask for anything but boards.
    by_board = PAGES in request.headers.get("Referer", "")
    if request.headers.get("Service-Worker") or (by_board and not request.path.startswith(PAGES)):
        raise GatewayFailure(403, "APIG.0101", "This is asked for by the page of a board.")
    origin = request.headers.get("Origin")
    foreign = origin is not None and _place(origin) != request.headers.get("Host")
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        opened = (
            request.method == "GET"
            and request.headers.get("Sec-Fetch-Mode") == "navigate"
            and request.headers.get("Sec-Fetch-Dest", "document") in _SHOWN
        )
        foreign = foreign or not opened
    if foreign:
        raise GatewayFailure(403, "APIG.0101", "This is asked for by a page of another origin.")


def _place(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None
