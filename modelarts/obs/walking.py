"""The files below a folder of this machine."""

import os
import stat
from typing import Callable, Collection, Iterable, Iterator, List, Optional, Set

import attr

from modelarts.obs.atomic import PART

__all__ = ["LocalFile", "files_below", "folders_in"]


@attr.s(frozen=True, slots=True, auto_attribs=True)
class LocalFile:
    """A file, or a folder that cannot be read.

    Attributes:
        path: where it is.
        relative: its path from the folder that was walked, with ``/``.
        size: in bytes.
        modified: nanoseconds since the epoch.
        number: what the file system calls it by.
        changed: nanoseconds since the epoch; unlike ``modified``, nobody can set it back.
        error: why it cannot be read.
    """

    path: str
    relative: str
    size: int = 0
    modified: int = 0
    number: int = 0
    changed: int = 0
    error: Optional[OSError] = None

    @classmethod
    def of(cls, path: str, relative: str, state: os.stat_result) -> "LocalFile":
        """The file as it is now."""
        return cls(
            path, relative, state.st_size, state.st_mtime_ns, state.st_ino, state.st_ctime_ns
        )


def folders_in(folder: str, others: Iterable[str]) -> Set[str]:
    """Those of other folders that are somewhere in one, as :func:`files_below` has them apart."""
    top = os.path.join(os.path.realpath(folder), "")
    paths = [os.path.realpath(other) for other in others]
    return {path[len(top) :].replace(os.sep, "/") + "/" for path in paths if path.startswith(top)}


def files_below(
    folder: str, skipped: Callable[[str], None], apart: Collection[str] = ()
) -> Iterator[LocalFile]:
    """All regular files below a folder, in order of their paths.

    Links are not followed. ``skipped`` is told of each, and of sockets, FIFOs and devices.

    Args:
        apart: folders that are skipped too: their paths from ``folder`` on, with a final ``/``.
    """
    waiting: List[Iterator[LocalFile]] = [_entries(folder, "", skipped)]
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
        elif entry.relative in apart:
            skipped(entry.path)
        elif entry.relative.endswith("/") and entry.error is None:
            waiting.append(_entries(entry.path, entry.relative, skipped))
        else:
            yield entry


def _entries(folder: str, prefix: str, skipped: Callable[[str], None]) -> Iterator[LocalFile]:
    """Files and, with a final ``/``, folders."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if PART.match(entry.name):
                    continue
                try:
                    state = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                relative = prefix + entry.name
                if stat.S_ISDIR(state.st_mode):
                    found.append(LocalFile(entry.path, relative + "/"))
                elif stat.S_ISREG(state.st_mode):
                    found.append(LocalFile.of(entry.path, relative, state))
                else:
                    skipped(entry.path)
    except FileNotFoundError:
        pass
    except OSError as error:
        found = [LocalFile(folder, prefix, error=error)]
    found.sort(key=lambda file: file.relative)
    return iter(found)
