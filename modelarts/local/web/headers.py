"""Filters the headers of requests to boards and of their responses.

Unless each board has a host of its own, all are of one origin, and what they show comes from event
files and from plugins that the owner installed. What keeps one from doing others harm is in
docs/security.md, "Boards and the browser".
"""

from __future__ import annotations

from typing import Iterable
from urllib.parse import urlsplit

__all__ = ["COMMON", "OPENER", "for_board", "for_visitor", "frontend_policy"]

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
#: Of boards, instead of what is common: a window that a board opens with another page of this
#: service is in a group of its own, so the board cannot reach into it, nor it into the board.
OPENER = ("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
#: Makes the origin of a page one that is like no other, not even like itself.
_OPAQUE = "sandbox allow-scripts"
#: What a page without a policy of its own may do.
_SANDBOX = _OPAQUE + "; object-src 'none'; base-uri 'none'"
#: What is no document, whoever opens it; all else may be one.
_NO_DOCUMENTS = frozenset(
    (
        "application/javascript",
        "application/json",
        "application/wasm",
        "text/css",
        "text/javascript",
        "font/otf",
        "font/ttf",
        "font/woff",
        "font/woff2",
    )
)


def for_board(environ: dict[str, object], key_header: str) -> None:
    """Take from a request what is no board's business."""
    # A visitor's own would spoil the one that the board is shown.
    for name in (*_NOT_FOR_BOARDS, "HTTP_" + key_header.upper().replace("-", "_")):
        environ.pop(name, None)


def frontend_policy(nonce: str) -> str:
    """Return the policy of the pages of TensorBoard's frontend: they run its own scripts and no
    others, whatever an event file or a plugin gets into them."""
    return (
        "default-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none'; "
        "connect-src 'self'; frame-src 'self'; worker-src 'self'; font-src 'self' data:; "
        "img-src 'self' data: blob:; style-src 'self' data: 'unsafe-inline'; "
        f"script-src 'nonce-{nonce}' 'unsafe-eval'"  # TensorBoard makes functions of texts
    )


def for_visitor(
    headers: Iterable[tuple[str, str]],
    prefix: str,
    has_own_policy: bool = False,
    has_own_host: bool = False,
) -> list[tuple[str, str]]:
    """The headers of a board's answer as they are passed on.

    Args:
        prefix: the path of the board.
        has_own_policy: whether a policy of the page itself is enough, as for those of the frontend.
        has_own_host: whether the board shares its origin with nothing else.
    """
    passed = []
    answered = {name.lower(): value for name, value in headers}
    for name, value in headers:
        lower = name.lower()
        if lower in _NOT_FOR_VISITORS or lower.startswith("access-control-"):
            continue
        if lower == "content-type" and value != answered[lower]:
            continue  # of several, browsers and this function are to go by the same
        if lower == "location":
            value = _location(value, prefix)
        passed.append((name, value))
    kind = answered.get("content-type", "").partition(";")[0].strip().lower()
    if not has_own_host and kind not in _NO_DOCUMENTS:
        if "content-security-policy" not in answered:
            passed.append(("Content-Security-Policy", _SANDBOX))
        elif not has_own_policy:
            passed.append(("Content-Security-Policy", _OPAQUE))
    return passed


def _location(value: str, prefix: str) -> str:
    """Return the target of a board's redirect, which is always below its own path."""
    parts = urlsplit(value)
    if not parts.netloc and not parts.path.startswith("/"):
        return value  # beside the page that it is on
    query = f"?{parts.query}" if parts.query else ""
    return prefix + parts.path.lstrip("/") + query
