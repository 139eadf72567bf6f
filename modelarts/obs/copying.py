"""Copies of files that are whole or not there."""

import errno
import os
import re
import stat
from contextlib import contextmanager
from typing import Any, BinaryIO, Callable, Iterator, Optional

from modelarts.errors import TransferError
from modelarts.obs.store import Progress

__all__ = ["COPY", "PART", "copy", "create", "folds_case", "is_named_so", "same_content"]

#: Names of copies that are not whole yet. One says nothing of the file, so that no program that
#: looks for certain names finds it.
COPY = re.compile(r"\.modelarts-[0-9a-f]{16}\.part\Z")
#: Those, and the names of downloads from OBS that are not whole yet.
PART = re.compile(COPY.pattern + r"|\..+\.[0-9a-f]{8}\.part\Z", re.DOTALL)
_BLOCK = 1 << 20
_RANGE = 1 << 26
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def copy(
    source: BinaryIO, target: str, progress: Optional[Progress] = None, private: bool = False
) -> None:
    """Make ``target`` a copy of an open file as it is now; what it still grows by is left out.

    It is copied under another name beside the target and renamed. A file that nobody may write
    is linked instead: neither name can then change what is under the other. Any other file has to
    be copied, or what is written to it later would show in the copy.

    Args:
        private: whether only this user may read the copy.

    Raises:
        TransferError: the file became shorter meanwhile; ``target`` is as it was before.
        OSError: it could not be copied; likewise.
    """
    source.seek(0)
    state = os.fstat(source.fileno())
    with _whole(target) as part:
        if not state.st_mode & _WRITABLE and _link(source, part, state):
            if progress is not None:
                progress(state.st_size)
        else:
            with open(_new(part, private), "wb", buffering=0) as sink:
                _fill(source, sink, state.st_size, progress)


def create(target: str, fill: Callable[[BinaryIO], None], private: bool = False) -> None:
    """Make ``target`` what ``fill`` writes to a file; as it was before, if that raises."""
    with _whole(target) as part, open(_new(part, private), "wb") as sink:
        fill(sink)


def same_content(one: str, other: str) -> bool:
    """Whether two files hold the same bytes."""
    with open(one, "rb") as first, open(other, "rb") as second:
        if os.fstat(first.fileno()).st_size != os.fstat(second.fileno()).st_size:
            return False
        while True:
            block = first.read(_BLOCK)
            if block != second.read(_BLOCK):
                return False
            if not block:
                return True


def folds_case(folder: str) -> bool:
    """Whether the file system takes names for the same that differ in their case only."""
    while not os.path.lexists(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    other = os.path.join(os.path.dirname(folder), os.path.basename(folder).swapcase())
    try:
        return other != folder and os.path.samefile(folder, other)
    except OSError:
        return False


def is_named_so(path: str, root: str) -> bool:
    """Whether each part of ``path`` below ``root`` that is there is spelt as it is listed."""
    while path != root and os.path.dirname(path) != path:
        folder, name = os.path.split(path)
        if os.path.lexists(path) and name not in os.listdir(folder):
            return False
        path = folder
    return True


@contextmanager
def _whole(target: str) -> Iterator[str]:
    """The name under which ``target`` is to be made."""
    part = os.path.join(os.path.dirname(target), ".modelarts-%s.part" % os.urandom(8).hex())
    try:
        yield part
        os.replace(part, target)
    except BaseException:
        try:
            os.unlink(part)
        except FileNotFoundError:
            pass
        raise


def _new(path: str, private: bool) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600 if private else 0o666)


def _link(source: BinaryIO, part: str, state: os.stat_result) -> bool:
    try:
        os.link(source.name, part)
        if os.path.samestat(os.lstat(part), state):
            return True
        os.unlink(part)  # something else has that name by now
    except (OSError, NotImplementedError):
        pass  # another disk, or one without links
    return False


def _fill(source: BinaryIO, sink: Any, size: int, progress: Optional[Progress]) -> None:
    done = 0
    # The kernel copies by itself; on some file systems both then share the blocks until one of
    # them is written to.
    by_kernel: Optional[Callable[[int, int, int], int]] = getattr(os, "copy_file_range", None)
    while done < size:
        moved = 0
        if by_kernel is not None:
            try:
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
            moved = sink.write(block)
            while moved < len(block):
                moved += sink.write(block[moved:])
        if not moved:
            raise TransferError("%s became shorter while it was copied" % source.name)
        done += moved
        if progress is not None:
            progress(moved)
