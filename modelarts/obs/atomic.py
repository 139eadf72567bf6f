"""Atomic copies of files: complete, or not at all."""

import errno
import hashlib
import os
import re
import stat
from io import BufferedWriter
from typing import Any, BinaryIO, Callable, Optional

from modelarts._internal.disk import sync_folder
from modelarts.errors import TransferError
from modelarts.obs.partial import PartialFile, discard, naming, remove
from modelarts.obs.stores.base import Progress

#: Names of incomplete copies. They do not contain the file's name, so that no program that
#: searches for certain names finds them.
COPY = re.compile(r"\.modelarts-[0-9a-f]{16}\.part\Z")
#: The same, and the names of incomplete downloads from OBS.
PART = re.compile(COPY.pattern + r"|\..+\.[0-9a-f]{8}\.part\Z", re.DOTALL)
_BLOCK = 1 << 20
_RANGE = 1 << 26
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def copy(
    source: BinaryIO,
    target: str,
    progress: Optional[Progress] = None,
    private: bool = False,
    durable: bool = False,
) -> None:
    """Make ``target`` a copy of an open file at its present size.

    It is copied under another name beside the target and renamed. A read-only file
    is linked instead: neither name can then change what is under the other. Any other file has to
    be copied, or what is written to it later would show in the copy. One that is at ``target``
    already is left as it is.

    Args:
        private: True if only this user may read the copy.
        durable: True if the copy is to be on the disk when this returns, whatever happens then.

    Raises:
        TransferError: the file became shorter meanwhile; ``target`` is as it was before.
        OSError: the file could not be copied; ``target`` is as it was before.
    """
    source.seek(0)
    state = os.fstat(source.fileno())
    if _is_at(source, target, state):
        # A process may be writing to this file; another file in its place would not get the rest.
        if progress is not None:
            progress(state.st_size)
        return
    if not state.st_mode & _WRITABLE and _link(source, target, state):
        if durable:
            os.fsync(source.fileno())
            sync_folder(os.path.dirname(target))
        if progress is not None:
            progress(state.st_size)
        return
    _make(
        target, lambda sink: _fill(source, sink, target, state.st_size, progress), private, durable
    )


def create(
    target: str, fill: Callable[[BinaryIO], None], private: bool = False, durable: bool = False
) -> None:
    """Make ``target`` the file that ``fill`` writes; if that raises, ``target`` does not change."""

    def write(sink: Any) -> None:
        with naming(target), BufferedWriter(sink) as whole:
            fill(whole)

    _make(target, write, private, durable)


def discard_part(target: str) -> None:
    """Remove the incomplete file of a killed copy to ``target``."""
    discard(_usual_part(target))


def same_content(first: BinaryIO, other: BinaryIO) -> bool:
    """Return True if two open files hold the same bytes."""
    if os.fstat(first.fileno()).st_size != os.fstat(other.fileno()).st_size:
        return False
    while True:
        block = first.read(_BLOCK)
        if block != other.read(_BLOCK):
            return False
        if not block:
            return True


def folds_case(folder: str) -> bool:
    """Return True if the file system ignores the case of names."""
    while not os.path.lexists(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    other = os.path.join(os.path.dirname(folder), os.path.basename(folder).swapcase())
    try:
        return other != folder and os.path.samefile(folder, other)
    except OSError:
        return False


def is_named_so(path: str, root: str) -> bool:
    """Return True if each existing part of ``path`` below ``root`` is spelt as it is listed."""
    while path != root and os.path.dirname(path) != path:
        folder, name = os.path.split(path)
        if os.path.lexists(path) and name not in os.listdir(folder):
            return False
        path = folder
    return True


def _make(target: str, fill: Callable[[Any], None], private: bool, durable: bool) -> None:
    folder, mode = os.path.dirname(target), 0o600 if private else 0o666
    part = PartialFile(_usual_part(target), lambda: _part(folder, _random()), mode)
    try:
        with part.open() as sink:
            fill(sink)
        if durable:
            part.sync()  # before it has its name: after a power cut a name has its content
        part.become(target)
        if durable:
            sync_folder(folder)
    except BaseException:
        part.remove()
        raise


def _is_at(source: BinaryIO, target: str, state: os.stat_result) -> bool:
    """Return True if that is the file's own path, not just another name of it."""
    try:
        if not os.path.samestat(os.lstat(target), state):
            return False
    except OSError:
        return False  # nothing is there
    return os.path.realpath(source.name) == os.path.realpath(target)


def _link(source: BinaryIO, target: str, state: os.stat_result) -> bool:
    part = _part(os.path.dirname(target), _random())
    try:
        os.link(source.name, part)
    except (OSError, NotImplementedError):
        return False  # another disk, or one without links
    try:
        if not os.path.samestat(os.lstat(part), state):
            return False  # something else has that name by now
        os.replace(part, target)
        return True
    finally:
        # It is still there, too, where both were one file already.
        remove(part)


def _usual_part(target: str) -> str:
    folder, name = os.path.split(target)
    return _part(folder, hashlib.sha256(os.fsencode(name)).hexdigest()[:16])


def _part(folder: str, number: str) -> str:
    return os.path.join(folder, ".modelarts-%s.part" % number)


def _random() -> str:
    return os.urandom(8).hex()


def _fill(
    source: BinaryIO, sink: Any, target: str, size: int, progress: Optional[Progress]
) -> None:
    done = 0
    # The kernel copies by itself; on some file systems both then share the blocks until one of
    # them is written to.
    by_kernel: Optional[Callable[[int, int, int], int]] = getattr(os, "copy_file_range", None)
    while done < size:
        moved = 0
        if by_kernel is not None:
            try:
                with naming(target):
                    moved = by_kernel(source.fileno(), sink.fileno(), min(size - done, _RANGE))
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                    raise
            if not moved:
                by_kernel = None
                source.seek(done)
                continue
        else:
            block = source.read(min(size - done, _BLOCK))
            with naming(target):
                moved = sink.write(block)
                while moved < len(block):
                    moved += sink.write(block[moved:])
        if not moved:
            raise TransferError("%s became shorter while it was copied" % source.name)
        done += moved
        if progress is not None:
            progress(moved)
