"""Filters the headers of requests to boards and of their responses.

All boards are of one origin, and what they show comes from event files. What keeps one from doing
others harm is told in docs/local-service.md, "Security".
"""

from __future__ import annotations

from typing import Iterable
from urllib.parse import urlsplit

__all__ = ["COMMON", "for_board", "for_visitor"]

#: In every answer of the service.
COMMON = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),  # a board's address is its key
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
#: Cookies know no ports: those of a notebook server on this machine would come along.
_NOT_FOR_BOARDS = (
    "HTTP_AUTHORIZATION",
    "HTTP_COOKIE",
    "HTTP_PROXY_AUTHORIZATION",
    "HTTP_X_AUTH_TOKEN",
    "HTTP_X_SECURITY_TOKEN",
    "HTTP_X_SUBJECT_TOKEN",
)
_NOT_FOR_VISITORS = frozenset(
    (
        "clear-site-data",
        "refresh",
        "report-to",
        "server",
        "service-worker-allowed",
        "set-cookie",
        "sourcemap",
        *(name.lower() for name, _ in COMMON),
    )
)
#: What a page without a policy of its own may do; TensorBoard's pages have one.
_SANDBOX = "sandbox allow-scripts; object-src 'none'; base-uri 'none'"
_SCRIPTS = ("javascript", "css", "font", "json", "wasm")


def for_board(environ: dict[str, object], key_header: str) -> None:
    """Take from a request what is no board's business."""
    # A visitor's own would spoil the one that the board is shown.
    for name in (*_NOT_FOR_BOARDS, "HTTP_" + key_header.upper().replace("-", "_")):
        environ.pop(name, None)


def for_visitor(headers: Iterable[tuple[str, str]], prefix: str) -> list[tuple[str, str]]:
    """The headers of a board's answer as they are passed on; ``prefix`` is the board's path."""
    passed = []
    said = {name.lower(): value for name, value in headers}
    for name, value in headers:
        lower = name.lower()
        if lower in _NOT_FOR_VISITORS or lower.startswith("access-control-"):
            continue
        if lower == "location":
            value = _location(value, prefix)
        passed.append((name, value))
    kind = said.get("content-type", "")
    if "content-security-policy" not in said and not any(one in kind for one in _SCRIPTS):
        passed.append(("Content-Security-Policy", _SANDBOX))
    return passed


def _location(value: str, prefix: str) -> str:
    """Return the target of a board's redirect, which is always below its own path."""
    parts = urlsplit(value)
    if not parts.netloc and not parts.path.startswith("/"):
        return value  # beside the page that it is on
    query = f"?{parts.query}" if parts.query else ""
    return prefix + parts.path.lstrip("/") + query
