"""Filters the headers of requests to boards and of their responses.

Unless each board has a host of its own, all are of one origin, and what they show comes from event
files and from plugins that the owner installed. What keeps one from doing others harm is in
docs/security.md, "Boards and the browser".
"""

from __future__ import annotations

import re
from http.client import HTTPException, responses
from typing import Iterable
from urllib.parse import quote, urlsplit

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
#: What boards say of their content. All else may concern other pages of their origin, or a proxy
#: in front of the service: cookies, permissions, reports, redirects within the proxy, and what
#: browsers and proxies will know next year.
_FOR_VISITORS = frozenset(
    (
        "accept-ranges",
        "allow",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-range",
        "content-security-policy",
        "content-type",
        "etag",
        "expires",
        "last-modified",
        "location",
        "pragma",
        "retry-after",
        "vary",
        "x-frame-options",
    )
)
#: Visible characters, spaces and tabs, of Latin-1 as HTTP has them.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")
#: A path beside a page, which every browser reads alike.
_BESIDE = re.compile(
    r"(?!.*\.\.)[\w.~!$&'()*+,;=@%-][\w.~!$&'()*+,;=@%/-]*(\?[\x21-\x7e]*)?\Z", re.A
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

    Raises:
        http.client.HTTPException: they make no sense, or programs would read them differently.

    Args:
        prefix: the path of the board.
        has_own_policy: whether a policy of the page itself is enough, as for those of the frontend.
        has_own_host: whether the board shares its origin with nothing else.
    """
    passed = []
    headers = list(headers)
    _check(headers)
    answered = {name.lower(): value for name, value in headers}
    for name, value in headers:
        lower = name.lower()
        if lower not in _FOR_VISITORS:
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


def status_line(status: str) -> str:
    """Return the status of a board's answer with its usual reason.

    Raises:
        http.client.HTTPException: it is no status of an answer. After 1xx a client would take the
            answer to another request for that to this one.
    """
    code = int(status[:3])
    if not 200 <= code <= 599:
        raise HTTPException(f"the board answers with status {code}")
    return f"{code} {responses.get(code, 'Unknown')}"


def _check(headers: Iterable[tuple[str, str]]) -> None:
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    if len(lengths) > 1 or not all(each.isascii() and each.isdigit() for each in lengths):
        raise HTTPException("the board gives no one length of its content")
    if not all(_VALUE.match(value) for _, value in headers):
        raise HTTPException("a header of the board has a control character")


def _location(value: str, prefix: str) -> str:
    """Return the target of a board's redirect, which is always below its own path."""
    if _BESIDE.match(value):
        return value  # beside the page that it is on
    try:
        parts = urlsplit(value.replace("\\", "/"))
    except ValueError:
        return prefix
    query = f"?{parts.query}" if parts.query else ""
    steps = [step for step in parts.path.split("/") if step not in ("", ".", "..")]
    path = "/".join(steps) + ("/" if steps and parts.path.endswith("/") else "")
    return prefix + quote(path, safe="/%!$&'()*+,;=:@~") + query
