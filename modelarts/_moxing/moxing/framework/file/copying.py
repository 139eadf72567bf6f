"""Copies of files and folders between OBS and this machine."""

import errno
import os
import shutil
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from modelarts.errors import InvalidArgument
from modelarts.obs.stores.base import ObjectInfo

from . import objects
from .errors import MoxFileNameDuplicateException, MoxFileNotExistsException
from .paths import LocalOrUrl, Remote, is_remote, local, remote


class _Source(NamedTuple):
    """A file to copy; ``info`` is the metadata of an object, None for a file of this machine."""

    path: str
    info: Optional[ObjectInfo]


def copy_file(source: LocalOrUrl, target: LocalOrUrl) -> None:
    """Copy one file.

    Raises:
        InvalidArgument: the target is a folder in OBS.
        MoxFileNotExistsException: there is no such object.
        IsADirectoryError: the source or the target is a folder.
    """
    _check_target(target)
    _copy(_file(source), target)


def copy_tree(
    source: LocalOrUrl, target: LocalOrUrl, names: Optional[List[str]], threads: int
) -> None:
    """Copy what is in a folder to another; a file to be the target.

    Args:
        source: the folder, or a file.
        target: the other folder.
        names: the paths of the files to copy, from ``source``; None for all.
        threads: the number of files that are copied at once.

    Raises:
        MoxFileNotExistsException: there is no such folder, or file in ``names``.
        MoxFileNameDuplicateException: two files need one name on this machine.
    """
    if names is None and _is_file(source):
        copy_file(source, target)
        return
    files, folders = _below(source)
    if names is not None:
        wanted = [name.strip("/") for name in names]
        missing = [name for name in wanted if name not in files]
        if missing:
            raise MoxFileNotExistsException.of(_join(source, missing[0]))
        files, folders = {name: files[name] for name in wanted}, []
    if not is_remote(target):
        _check_names(source, files, folders)
    _make_folder(target)
    filled = {name.rpartition("/")[0] for name in files}
    for folder in folders:
        if folder not in filled:
            _make_folder(_join(target, folder))
    _run([partial(_copy, file, _join(target, name)) for name, file in files.items()], threads)


def _run(calls: List[Callable[[], None]], threads: int) -> None:
    """Call functions in threads; the first error ends what has not begun."""
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            for future in futures:
                future.cancel()
    for future in futures:
        if not future.cancelled():
            future.result()


def _below(source: LocalOrUrl) -> Tuple[Dict[str, _Source], List[str]]:
    """Return the files below a folder by their paths from there, and the folders."""
    if isinstance(source, str) and is_remote(source):
        path = remote(source)
        files = {
            name: _Source(path.child(name).url, info)
            for name, info in objects.descendants(path)
            if not name.endswith("/")
        }
        return files, [name for name, is_folder in objects.tree(path) if is_folder]
    top = local(source)
    os.listdir(top)  # raises what is wrong with it
    files, folders = {}, []
    entered = {os.path.realpath(top)}
    for folder, inner, names in os.walk(top, followlinks=True):
        for name in list(inner):
            real = os.path.realpath(os.path.join(folder, name))
            if real in entered:
                inner.remove(name)  # a link in a circle
            entered.add(real)
        relative = os.path.relpath(folder, top).replace(os.sep, "/")
        beginning = "" if relative == "." else relative + "/"
        folders += [beginning + name for name in inner]
        for name in names:
            path_here = os.path.join(folder, name)
            if os.path.isfile(path_here):
                files[beginning + name] = _Source(path_here, None)
    return files, folders


def _check_names(source: LocalOrUrl, files: Dict[str, _Source], folders: List[str]) -> None:
    taken = set(folders)
    for name in files:
        parts = name.split("/")
        taken.update("/".join(parts[:count]) for count in range(1, len(parts)))
    for name in sorted(taken.intersection(files)):
        raise MoxFileNameDuplicateException(
            errno.EEXIST, "there are an object and a folder of this name", _join(source, name)
        )


def _is_file(source: LocalOrUrl) -> bool:
    if isinstance(source, str) and is_remote(source):
        return objects.head(remote(source)) is not None
    return os.path.isfile(local(source))


def _file(source: LocalOrUrl) -> _Source:
    if not (isinstance(source, str) and is_remote(source)):
        return _Source(local(source), None)
    path = remote(source)
    info = objects.head(path)
    if info is None:
        if objects.is_folder(path):
            raise IsADirectoryError(errno.EISDIR, "a folder: copy_parallel copies it", path.url)
        raise MoxFileNotExistsException.of(path.url)
    return _Source(path.url, info)


def _check_target(target: LocalOrUrl) -> None:
    if isinstance(target, str) and is_remote(target) and remote(target).is_folder:
        raise InvalidArgument("dst_url", target, "the URL of an object, with its name")


def _copy(source: _Source, target: LocalOrUrl) -> None:
    if isinstance(target, str) and is_remote(target):
        _send(source, remote(target))
        return
    path = local(target)
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "a folder: name the file in it", path)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    if source.info is None:
        shutil.copyfile(source.path, path)
    else:
        objects.download(remote(source.path), path, source.info)


def _send(source: _Source, target: Remote) -> None:
    if source.info is None:
        objects.upload(source.path, target)
        return
    objects.copy(source.info, target)


def _make_folder(target: LocalOrUrl) -> None:
    if isinstance(target, str) and is_remote(target):
        objects.make_folder(remote(target))
    else:
        os.makedirs(local(target), exist_ok=True)


def _join(top: LocalOrUrl, name: str) -> str:
    return "%s/%s" % (local(top).rstrip("/"), name)
