"""Python's own file functions with paths in OBS, as ``mox.file.shift("os", "mox")`` makes them."""

import builtins
import functools
import glob
import os
import shutil
from typing import Any, Callable, Dict, List, Tuple

from modelarts.errors import InvalidArgument

from . import file_io
from .file_object import File
from .paths import is_remote

_Function = Callable[..., Any]


def _remove_tree(path: str, *others: object, **options: object) -> None:
    file_io.remove(path, recursive=True)


def _make_dirs(path: str, mode: int = 0o777, exist_ok: bool = False) -> None:
    if not exist_ok and file_io.exists(path):
        raise FileExistsError("%s exists" % path)
    file_io.make_dirs(path)


def _open(path: str, mode: str = "r", buffering: int = -1, *others: Any, **options: Any) -> File:
    names = ("encoding", "errors", "newline")
    return File(path, mode, **{**dict(zip(names, others)), **options})


#: The documented pairs; the number is that of the arguments which may be paths.
_PAIRS: List[Tuple[Any, str, _Function, int]] = [
    (glob, "glob", file_io.glob, 1),
    (os, "listdir", file_io.list_directory, 1),
    (os, "makedirs", _make_dirs, 1),
    (os, "mkdir", lambda path, mode=0o777: file_io.mk_dir(path), 1),
    (os.path, "exists", file_io.exists, 1),
    (os.path, "getsize", file_io.get_size, 1),
    (os.path, "isdir", file_io.is_directory, 1),
    (os, "remove", file_io.remove, 1),
    (os, "rename", file_io.rename, 2),
    (os, "scandir", file_io.scan_dir, 1),
    (os, "stat", file_io.stat, 1),
    (os, "walk", file_io.walk, 1),
    (builtins, "open", _open, 1),
    (shutil, "copyfile", file_io.copy, 2),
    (shutil, "copytree", file_io.copy_parallel, 2),
    (shutil, "rmtree", _remove_tree, 1),
]
_originals: Dict[Tuple[str, str], _Function] = {}


def _either(original: _Function, ours: _Function, paths: int) -> _Function:
    @functools.wraps(original)
    def call(*args: Any, **options: Any) -> Any:
        function = ours if any(is_remote(path) for path in args[:paths]) else original
        return function(*args, **options)

    return call


def shift(src: str, dst: str) -> None:
    """Let Python's own file functions accept paths in OBS from now on, or no longer.

    These are ``open``, ``glob.glob``, ``os.listdir``, ``makedirs``, ``mkdir``, ``remove``,
    ``rename``, ``scandir``, ``stat`` and ``walk``, ``os.path.exists``, ``getsize`` and ``isdir``,
    ``shutil.copyfile``, ``copytree`` and ``rmtree``. Paths of this machine are not affected.

    Args:
        src: ``"os"``.
        dst: ``"mox"``; ``shift("mox", "os")`` ends it.

    Raises:
        InvalidArgument: other names were given.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.shift("os", "mox")                                       # doctest: +SKIP
        >>> os.listdir("obs://bucket/data")                                   # doctest: +SKIP
    """
    if (src, dst) not in (("os", "mox"), ("mox", "os")):
        raise InvalidArgument("src, dst", (src, dst), "'os', 'mox' or 'mox', 'os'")
    for module, name, ours, paths in _PAIRS:
        key = (module.__name__, name)
        if dst == "mox" and key not in _originals:
            _originals[key] = getattr(module, name)
            setattr(module, name, _either(_originals[key], ours, paths))
        elif dst == "os" and key in _originals:
            setattr(module, name, _originals.pop(key))
