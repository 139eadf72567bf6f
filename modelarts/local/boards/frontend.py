"""The files of TensorBoard's frontend, which are the same for all boards of a service.

Each board of ``tensorboard`` sends its own, and has the browser ask for them anew. Here all boards
refer to one address, which is new with each version of the files.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import posixpath
import re
import struct
import zipfile
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Iterable, Iterator

import tensorboard
import tensorboard.assets

INDEX = "index.html"
#: Beside the pages of the boards, whose paths have two more parts.
PATH = "frontend"
_FONTS = b"url(/font-roboto/"
#: The page of the projector, which the frontend shows in a frame.
_PROJECTOR = "data/plugin/projector/projector_binary.html"
#: Ours, which the page loads before TensorBoard's.
RELOAD = "reload.js"
#: Deflate, no name, no time, any system.
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


@lru_cache(maxsize=None)
def names() -> frozenset[str]:
    """Return the paths of the files.

    Raises:
        ImportError: TensorBoard is installed without its frontend.
    """
    with _archive() as archive:
        files = [name for name in archive.namelist() if not name.endswith("/")]
    return frozenset([*files, RELOAD])


@lru_cache(maxsize=None)
def version() -> str:
    """Return a text that is another one for other files."""
    with _archive() as archive:
        known = sorted((info.filename, info.CRC, info.file_size) for info in archive.infolist())
    return hashlib.sha256(repr(known).encode() + _reload()).hexdigest()[:16]


@lru_cache(maxsize=64)
def content(name: str) -> bytes:
    """Return a file, compressed with gzip."""
    return gzip.compress(text(name), 6, mtime=0)


def text(name: str) -> bytes:
    """Return a file as it is."""
    if name == RELOAD:
        return _reload()
    with _archive() as archive:
        return archive.read(name)


def from_archive(paths: Iterable[str]) -> dict[str, bytes]:
    """Return files of TensorBoard's archive by name, compressed with gzip as they are there.

    They are somewhat larger than :func:`content` makes them, and cost nothing: to compress all of
    them takes half a second of a processor.
    """
    with _archive() as archive:
        return {path: _member(archive, archive.getinfo(path)) for path in paths}


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.compress_type != zipfile.ZIP_DEFLATED:
        return gzip.compress(archive.read(info), 6, mtime=0)
    file = archive.fp
    assert file is not None  # the archive is open
    file.seek(info.header_offset)
    name, extra = struct.unpack("<26x2H", file.read(30))
    file.seek(name + extra, os.SEEK_CUR)
    # RFC 1952: the data of a gzip file and of a ZIP archive are the same, the frame is not.
    end = struct.pack("<2L", info.CRC, info.file_size & 0xFFFFFFFF)
    return _GZIP_HEADER + file.read(info.compress_size) + end


def refer(page: bytes, depth: int) -> bytes:
    """Return a page that asks for scripts and fonts at the common address.

    Args:
        page: a page of TensorBoard. It asks for its fonts at the root of the origin.
        depth: how many parts its path has below that of all boards.
    """
    common = posixpath.join("../" * depth, PATH, version(), "").encode()
    fonts = b"url(" + common + b"font-roboto/"
    ours = b'<script src="' + common + RELOAD.encode() + b'"></script>'
    page = re.sub(rb'(<script[^>]*src=")index\.js', ours + rb"\1" + common + b"index.js", page)
    return page.replace(_FONTS, fonts)


@lru_cache(maxsize=8)
def page(path: str) -> bytes | None:
    """Return the page of the frontend at a path of a board; None if it is not of the frontend."""
    if path in ("", INDEX):
        # As TensorBoard begins it for a page at the root.
        shown = b'<!doctype html><meta name="tb-relative-root" content="./">'
        return refer(shown + text(INDEX), depth=2)
    if path == _PROJECTOR:
        plugins = Path(tensorboard.__file__).with_name("plugins")
        binary = plugins / "projector" / "tf_projector_plugin" / "projector_binary.html"
        return refer(binary.read_bytes(), depth=5)
    return None


def with_nonce(shown: bytes, nonce: str) -> bytes:
    """Return a page whose scripts have a nonce, which its policy asks for."""
    return re.sub(rb"(<script [^>]*)>", rb'\1 nonce="' + nonce.encode() + b'">', shown)


def _reload() -> bytes:
    return Path(__file__).with_name(RELOAD).read_bytes()


@contextmanager
def _archive() -> Iterator[zipfile.ZipFile]:
    provider = tensorboard.assets.get_default_assets_zip_provider()
    if provider is None:
        raise ImportError("TensorBoard is installed without its frontend (webfiles.zip)")
    with provider() as file, zipfile.ZipFile(file) as archive:
        yield archive
