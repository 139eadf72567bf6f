"""What every board needs, made once, in the process that boards are forked from.

A TensorBoard packs its frontend's files when it starts, which takes most of that time and some
megabytes. Here that is done before the fork, by TensorBoard's own code, and the memory is shared.
"""

from __future__ import annotations

import gc
import io
import mimetypes
import zipfile
from typing import TYPE_CHECKING, BinaryIO

import tensorboard.assets
import tensorboard.data.provider
import tensorboard.default
import tensorboard.program
from tensorboard.plugins import base_plugin
from tensorboard.plugins.core import core_plugin

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["ASSETS", "PLUGINS", "index_only"]

_INDEX = "index.html"


def _pack() -> tuple[dict[str, WSGIApplication], bytes]:
    """What serves each of the frontend's files, by path, but for the index: that one knows of
    the board it is for. And an archive with the index alone."""
    provider = tensorboard.assets.get_default_assets_zip_provider()
    if provider is None:
        raise ImportError("TensorBoard is installed without its frontend (webfiles.zip)")
    core = core_plugin.CorePlugin(base_plugin.TBContext(assets_zip_provider=provider))
    served = core.get_plugin_apps()
    index = io.BytesIO()
    with provider() as file, zipfile.ZipFile(file) as archive:
        names = set(archive.namelist()) - {_INDEX}
        with zipfile.ZipFile(index, "w") as alone:
            # Its fonts are asked for at the root of the origin, where no board is.
            page = archive.read(_INDEX).replace(b"url(/font-roboto/", b"url(font-roboto/")
            alone.writestr(_INDEX, page)
    return {"/" + name: served["/" + name] for name in names}, index.getvalue()


def index_only() -> BinaryIO:
    """The frontend of which :data:`ASSETS` serves the rest, as TensorBoard takes it."""
    return io.BytesIO(_ARCHIVE)


PLUGINS = tensorboard.default.get_plugins()
ASSETS, _ARCHIVE = _pack()
mimetypes.init()
# Pages that the collector leaves alone stay shared with the boards.
gc.collect()
gc.freeze()
