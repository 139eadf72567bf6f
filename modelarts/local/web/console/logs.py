"""Logs on pages: their last part, and what was written since."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

from werkzeug.utils import send_file
from werkzeug.wrappers import Response

from modelarts.local.web.console.visit import Visit

#: A page shows so many bytes at first, and at most so many more with each request.
_MAX_TAIL = 64 * 1024
_MAX_PART = 256 * 1024
_TEXT = "text/plain; charset=utf-8"


def tail(path: Path) -> tuple[str, int]:
    """Return the last part of a log, and the position behind it."""
    content, position, _ = _read(path, None)
    return content, position


def log_part(visit: Visit, path: Path) -> Response:
    """Return what was written to a log behind the position that the script knows; all to others.

    The header ``X-Log-Position`` says where the next part begins; ``X-Log-Anew`` that the log has
    begun anew, and the part is all there is to show.
    """
    if not visit.is_live:
        if not path.exists():
            return Response("", content_type=_TEXT)
        whole = send_file(path, visit.request.environ, mimetype=_TEXT, etag=False)
        whole.headers["Cache-Control"] = "no-store"
        return whole
    text = visit.request.args.get("from", "")
    known = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
    content, position, anew = _read(path, known)
    response = Response(content, content_type=_TEXT)
    response.headers["X-Log-Position"] = str(position)
    if anew:
        response.headers["X-Log-Anew"] = "1"
    return response


def _read(path: Path, known: int | None) -> tuple[str, int, bool]:
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            anew = known is None or known > size or size - known > _MAX_PART
            begin = max(0, size - _MAX_TAIL) if anew or known is None else known
            file.seek(begin)
            content = file.read(size - begin)
    except FileNotFoundError:
        return "", 0, bool(known)
    if begin and anew:
        content = content[content.find(b"\n") + 1 :]
    # A character of several bytes is shown when it is whole.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(content)
    return text, size - len(decoder.getstate()[0]), anew
