"""The part of TensorBoard that boards share, loaded before they are forked.

A TensorBoard packs its frontend's files when it starts, which takes most of that time and some
megabytes. Here that is done before the fork, by TensorBoard's own code, and the memory is shared.
"""

from __future__ import annotations

import gc
import gzip
import io
import mimetypes
import zipfile
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

import tensorboard.assets
import tensorboard.data.provider
import tensorboard.default
import tensorboard.program
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from tensorboard.plugins.core import core_plugin
from werkzeug.wrappers import Request, Response

from modelarts.local.boards import frontend
from modelarts.local.boards.confinement import installed_paths

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["ASSETS", "PLUGINS", "index_only"]


def _pack() -> tuple[dict[str, WSGIApplication], bytes]:
    """Return the handlers of the frontend's files by path, and an archive with the index alone,
    which is all that a board needs of them."""
    core = core_plugin.CorePlugin(
        base_plugin.TBContext(
            assets_zip_provider=tensorboard.assets.get_default_assets_zip_provider()
        )
    )
    served = core.get_plugin_apps()
    files = {
        "/" + name: served["/" + name]
        for name in frontend.names() - {frontend.INDEX, frontend.RELOAD}
    }
    index = io.BytesIO()
    with zipfile.ZipFile(index, "w") as alone:
        alone.writestr(frontend.INDEX, gzip.decompress(frontend.content(frontend.INDEX)))
    for path in ("", frontend.INDEX, "data/plugin/projector/projector_binary.html"):
        files["/" + path] = _page(frontend.page(path) or b"")
    return files, index.getvalue()


def _page(content: bytes) -> WSGIApplication:
    compressed = gzip.compress(content, 9, mtime=0)

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


#: Modules that a board loads when it is made, and on its first request. Loaded here, they share
#: their memory; nothing in this module uses them.
_USED_LATER = (
    "encodings.cp437",
    "encodings.idna",
    "grpc._channel",
    "grpc._simple_stubs",
    "grpc.experimental",
    "modelarts.local.boards.tensorboard",
    "resource",
    "tensorboard_data_server",
)
for _name in _USED_LATER:
    # What this system has no need of, or not the wheel of, is loaded by the board or not at all.
    with suppress(ImportError):
        import_module(_name)
PLUGINS = tensorboard.default.get_plugins()
ASSETS, _ARCHIVE = _pack()
mimetypes.init()
# Found before the fork too, as it loads the settings that Python was built with.
installed_paths()
# Pages that the collector leaves alone stay shared with the boards.
gc.collect()
gc.freeze()
