"""Sends and fetches all files of a folder."""

import os
import stat
import warnings
from functools import partial
from typing import Callable, Collection, Dict, Iterable, Iterator, List, Optional, Set

import attr

from modelarts._internal.warnings import level_of_the_caller
from modelarts.errors import InvalidArgument
from modelarts.obs.atomic import PART, folds_case
from modelarts.obs.executor import Task, run
from modelarts.obs.paths import ObsPath, local_segments
from modelarts.obs.progress import Meter
from modelarts.obs.stores.base import ObjectInfo, Progress, Store, check_key


@attr.s(frozen=True, slots=True, auto_attribs=True)
class LocalFile:
    """A file, or a folder that cannot be read.

    Attributes:
        path: where it is.
        relative: its path from the folder that was walked, with ``/``.
        size: in bytes.
        modified: nanoseconds since the epoch.
        number: its number in the file system (inode).
        changed: nanoseconds since the epoch; unlike ``modified``, it cannot be set.
        error: the reason why it cannot be read; None if it can.
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
        """Return the file as it is now."""
        return cls(
            path, relative, state.st_size, state.st_mtime_ns, state.st_ino, state.st_ctime_ns
        )


def folders_in(folder: str, others: Iterable[str]) -> Set[str]:
    """Return the folders of ``others`` inside a folder, in the form for :func:`files_below`."""
    top = os.path.join(os.path.realpath(folder), "")
    paths = [os.path.realpath(other) for other in others]
    return {path[len(top) :].replace(os.sep, "/") + "/" for path in paths if path.startswith(top)}


def files_below(
    folder: str, skipped: Callable[[str], None], apart: Collection[str] = ()
) -> Iterator[LocalFile]:
    """Return all regular files below a folder, in order of their paths.

    Links are not followed. ``skipped`` is called with each link, socket, FIFO and device.

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
    """Yield the files of a folder and, with a final ``/``, its folders."""
    files = []
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
                    files.append(LocalFile(entry.path, relative + "/"))
                elif stat.S_ISREG(state.st_mode):
                    files.append(LocalFile.of(entry.path, relative, state))
                else:
                    skipped(entry.path)
    except FileNotFoundError:
        pass
    except OSError as error:
        files = [LocalFile(folder, prefix, error=error)]
    files.sort(key=lambda file: file.relative)
    return iter(files)


class Comparison:
    """The base of comparisons with OBS. It compares nothing, so all files are sent."""

    def quick(self, file: LocalFile) -> Optional[bool]:
        """Return True if the file is known to be in OBS, None if it has to be compared."""
        return False

    def look(self, file: LocalFile) -> bool:
        """Compare the file with its object; return True if they are equal."""
        return False

    def sent(self, file: LocalFile) -> None:
        """Record a file that was sent, in the state before it was sent."""


class Send:
    """Sends files to below a folder in OBS.

    Attributes:
        sent: the files that were sent.
        same: the files that were in OBS already.
        gone: the paths of files that were deleted before they could be sent.
    """

    def __init__(self, store: Store, target: ObsPath, known: Comparison) -> None:
        self._store = store
        self._target = target
        self._known = known
        self.sent: List[LocalFile] = []
        self.same: List[LocalFile] = []
        self.gone: List[str] = []

    def run_folder(
        self,
        folder: str,
        skipped: Callable[[str], None],
        threads: Optional[int],
        meter: Meter,
    ) -> None:
        """Send all files in a folder, except for the store's own folder, which would never end.

        Args:
            skipped: called with the path of each file that is not sent.

        Raises:
            IncompleteTransfer: some could not be sent; all others were.
        """
        own = self._store.own_folders(self._target.bucket, self._target.key)
        self.run(files_below(folder, skipped, folders_in(folder, own)), threads, meter)

    def run(self, files: Iterable[LocalFile], threads: Optional[int], meter: Meter) -> None:
        """Send the files.

        Raises:
            IncompleteTransfer: some could not be sent; all others were.
        """
        wanted = self._wanted(files)
        if meter.shows:
            listed = list(wanted)
            meter.expect(len(listed), sum(file.size for file in listed))
            wanted = iter(listed)
        tasks = (Task(file.path, partial(self._send, file), file.size) for file in wanted)
        run(tasks, threads, meter)

    def _wanted(self, files: Iterable[LocalFile]) -> Iterator[LocalFile]:
        for file in files:
            if file.error is None and self._known.quick(file):
                self.same.append(file)
            else:
                yield file

    def _send(self, file: LocalFile, progress: Progress) -> None:
        if file.error is not None:
            raise file.error
        target = self._target / file.relative
        check_key("an object's name", target.key)
        try:
            if self._known.quick(file) is None and self._known.look(file):
                self.same.append(file)
                return
            self._store.upload(file.path, target.bucket, target.key, progress)
        except FileNotFoundError:
            if os.path.lexists(file.path):
                raise
            self.gone.append(file.path)
            return
        self._known.sent(file)
        self.sent.append(file)


class Fetch:
    """Fetches objects to below a folder on this machine.

    Args:
        prefix: what the objects' keys begin with and the paths here do not.
        compare: True to skip objects whose file has the same content.
        tell: called with each object that was fetched, and the path of its file.

    Attributes:
        fetched: the objects that were fetched.
        same: the objects whose files were the same already.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        folder: str,
        compare: bool,
        tell: Callable[[ObjectInfo, str], object],
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._tell = tell
        self._folder = folder
        self._compare = compare
        self._names: Optional[Dict[str, str]] = {} if folds_case(folder) else None
        self.fetched: List[ObjectInfo] = []
        self.same: List[ObjectInfo] = []

    def run(self, objects: Iterable[ObjectInfo], threads: Optional[int], meter: Meter) -> None:
        """Fetch the objects; objects that stand for folders are left out.

        Raises:
            IncompleteTransfer: some could not be fetched; all others were.
        """
        wanted = (info for info in objects if not info.key.endswith("/"))
        if meter.shows:
            listed = list(wanted)
            meter.expect(len(listed), sum(info.size for info in listed))
            wanted = (info for info in listed)
        tasks = (
            Task(ObsPath(info.bucket, info.key).url, partial(self._fetch, info), info.size)
            for info in wanted
        )
        run(tasks, threads, meter)

    def _fetch(self, info: ObjectInfo, progress: Progress) -> None:
        relative = info.key[len(self._prefix) :]
        try:
            path = os.path.join(self._folder, *local_segments(relative))
        except ValueError as reason:
            raise InvalidArgument(
                "an object's name", relative, "one that a file can have here: %s" % reason
            ) from None
        if self._names is not None:
            other = self._names.setdefault(relative.lower(), relative)
            if other != relative:
                raise InvalidArgument(
                    "an object's name", relative, "different from %r in more than its case" % other
                )
        if self._compare and os.path.isfile(path) and self._store.same(path, info):
            self._store.forget(path, info)
            self.same.append(info)
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._store.download(info, path, progress)
        self.fetched.append(info)
        self._tell(info, path)


def say_skipped(paths: List[str]) -> None:
    """Warn of paths that were not sent because they are not files."""
    if paths:
        named = ", ".join(paths[:5])
        own = "; nor the folder that stands for OBS" if any(map(_is_folder, paths)) else ""
        warnings.warn(
            "not sent, because only files are (no links, sockets, FIFOs, devices%s): %s%s"
            % (own, named, " and %d more" % (len(paths) - 5) if len(paths) > 5 else ""),
            UserWarning,
            stacklevel=level_of_the_caller(),
        )


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)
