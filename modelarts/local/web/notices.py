"""Small pages in place of a board that does not run."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from html import escape

from werkzeug.wrappers import Request, Response

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 36rem; margin: 15vh auto 0; padding: 0 1rem; }
button { font: inherit; padding: 0.5rem 1.25rem; cursor: pointer; }
"""


def notice(title: str, text: str, button: str | None = None, reload: bool = False) -> Response:
    """Return a page with status 503, which no script and no style of others can change.

    Args:
        button: what a button says that sends a ``POST`` to the address of the page; None: none.
        reload: whether the page asks again after a second.
    """
    again = '<meta http-equiv="refresh" content="1">' if reload else ""
    form = f'<form method="post"><button>{escape(button)}</button></form>' if button else ""
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{again}<style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1><p>{escape(text)}</p>{form}</main></body></html>"
    )
    response = Response(page, 503, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src '{_hash()}'; form-action 'self'; base-uri 'none'"
    )
    # With no-referrer a browser sends a form without the origin of its page, and it is refused.
    response.headers["Referrer-Policy"] = "same-origin"
    if reload:
        response.headers["Retry-After"] = "1"
    return response


def wants_page(request: Request) -> bool:
    """Return True for a browser that shows what it asks for."""
    return request.method in ("GET", "HEAD") and "text/html" in request.headers.get("Accept", "")


@lru_cache(maxsize=None)
def _hash() -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
