"""The part of TensorBoard that boards share, loaded before they are forked.

A TensorBoard packs its frontend's files when it starts, which takes most of that time and some
megabytes. Here they are taken before the fork as they are packed already, and the memory is shared.
"""

from __future__ import annotations

import gc
import gzip
import io
import mimetypes
import sys
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Iterator

from werkzeug.wrappers import Request, Response

from modelarts.local.boards import frontend
from modelarts.local.boards.confinement import installed_paths

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: Seconds that browsers keep a script of which they know the version, as by TensorBoard.
_KEEP = 24 * 3600


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Have imports of these packages fail."""
    hidden = {name: sys.modules[name] for name in names if name in sys.modules}
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type] # how Python refuses one
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(hidden)


# TensorBoard imports them wherever they are installed, to read logs from other places. A board
# reads a folder, and can reach no other place.
with _without("boto3", "botocore", "fsspec"):
    import tensorboard.compat.tensorflow_stub.io.gfile
    import tensorboard.data.provider
    import tensorboard.default
    import tensorboard.program
    from tensorboard.backend import http_util


def _pack() -> tuple[dict[str, WSGIApplication], bytes]:
    """Return the handlers of the frontend's files by path, and an archive with the index alone,
    which is all that a board needs of them."""
    packed = frontend.from_archive(frontend.names() - {frontend.INDEX, frontend.RELOAD})
    files = {"/" + name: _asset(name, content) for name, content in packed.items()}
    index = io.BytesIO()
    with zipfile.ZipFile(index, "w") as alone:
        alone.writestr(frontend.INDEX, frontend.text(frontend.INDEX))
    for path in ("", frontend.INDEX, "data/plugin/projector/projector_binary.html"):
        files["/" + path] = _page(frontend.page(path) or b"")
    return files, index.getvalue()


def _asset(name: str, compressed: bytes) -> WSGIApplication:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"

    @Request.application
    def respond(request: Request) -> Response:
        keep = _KEEP if request.args.get("_file_hash") and kind.endswith("/javascript") else 0
        response: Response = http_util.Respond(
            request, compressed, kind, content_encoding="gzip", expires=keep
        )
        return response

    return respond


def _page(content: bytes) -> WSGIApplication:
    compressed = gzip.compress(content, 6, mtime=0)

    @Request.application
    def respond(request: Request) -> Response:
        response: Response = http_util.Respond(
            request, compressed, "text/html", content_encoding="gzip"
        )
        return response

    return respond


def index_only() -> BinaryIO:
    """Return the frontend of which :data:`ASSETS` serves the rest, as TensorBoard takes it."""
    return io.BytesIO(_ARCHIVE)


PLUGINS = tensorboard.default.get_plugins()
mimetypes.init()
ASSETS, _ARCHIVE = _pack()
# Found before the fork too, as it loads the settings that Python was built with.
installed_paths()
# Pages that the collector leaves alone stay shared with the boards.
gc.collect()
gc.freeze()
