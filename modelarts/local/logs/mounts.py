"""Folders of this machine that boards read where they lie.

A mount stands for a bucket in a ``train_url``. The owner of the service makes it: in
``mounts.json`` in the root folder, which only that user can write, or by ``modelarts serve
--mount``. No request makes one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping

import attr

from modelarts.local.identity.buckets import key_of
from modelarts.local.identity.private_file import PrivateFile
from modelarts.local.jobs.store import Job
from modelarts.local.logs.source import Logs, LogSource, folder_of, inside

if TYPE_CHECKING:
    from modelarts.local.logs.remote import Requests

_FOLDER = "mounts"  # in the root; links to the folders of mounts that have several
_NAME = re.compile(r"[0-9a-z][0-9a-z.-]{1,61}[0-9a-z]\Z")


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Mount:
    """One folder, or several that are shown together.

    Args:
        folders: absolute paths by the names that their runs begin with; the name of a folder that
            is alone is empty.
    """

    folders: Mapping[str, str]

    @property
    def only(self) -> str | None:
        """The folder, if it is alone."""
        return self.folders.get("")


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Mounts:
    """The mounts of a service by name."""

    by_name: Mapping[str, Mount] = attr.ib(factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        mounts = {name: dict(mount.folders) for name, mount in self.by_name.items()}
        return {"mounts": mounts}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Mounts:
        """Return the mounts in a file's content. Raises ValueError where it makes no sense."""
        mounts = content.get("mounts")
        if not isinstance(mounts, dict) or not all(map(_are_folders, mounts.values())):
            raise ValueError("it has another form")
        return cls({name: Mount(folders) for name, folders in mounts.items()})


class MountsFile(PrivateFile[Mounts]):
    """The mounts in a root folder, in ``mounts.json``.

    Args:
        root: the root folder of the service.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(
            root / "mounts.json", "mounts", Mounts.from_json, Mounts.to_json, Mounts, required=False
        )


def mount(root: str, folders: Mapping[str, str]) -> str:
    """Record a mount in the file of a root folder, if it is not there yet.

    Args:
        folders: absolute paths, or ``/bucket/path/``, by names as in :class:`Mount`.

    Returns:
        The ``train_url`` of the folders; that of its bucket for one below ``obs`` in the root.

    Raises:
        ValueError: one of the folders cannot be mounted.
        ConfigurationError: the file cannot be read or written.
    """
    buckets = os.path.join(os.path.realpath(root), "obs", "")
    paths = {name: os.path.realpath(path) for name, path in folders.items()}
    for path in paths.values():
        problem = problem_with(path, Path(root))
        if problem is not None:
            raise ValueError(problem)
    if paths.get("", "").startswith(buckets):
        return "/%s/" % paths[""][len(buckets) :]
    parts = [part for item in sorted(paths.items()) for part in item]
    digest = hashlib.sha256(b"\0".join(os.fsencode(part) for part in parts)).hexdigest()[:12]
    base = os.path.basename(paths.get("", "")) or "folders"
    name = "%s-%s" % (re.sub("[^0-9a-z]+", "-", base.lower()).strip("-")[:40] or "folder", digest)
    wanted = Mount(paths)

    def add(mounts: Mounts) -> Mounts:
        if mounts.by_name.get(name) == wanted:
            return mounts
        return Mounts({**mounts.by_name, name: wanted})

    MountsFile(Path(root)).edit(add)
    return f"/{name}/"


def mount_option(text: str, root: Path) -> tuple[str, Mount]:
    """Return the name and the mount that ``NAME=DIR`` stands for.

    Raises:
        ValueError: it is not of that form, the name is taken, or the folder cannot be read.
    """
    name, equals, folder = text.partition("=")
    if not equals or not _NAME.match(name):
        raise ValueError(
            f"--mount {text}: give NAME=DIR, where NAME is 3 to 63 lower-case letters, digits, "
            "hyphens or full stops, and begins and ends with a letter or digit"
        )
    path = os.path.realpath(os.path.expanduser(folder))
    problem = problem_with(path, root)
    if problem is None and os.path.lexists(root / "obs" / name):
        problem = f"the name is taken by the bucket {root / 'obs' / name}"
    if problem is not None:
        raise ValueError(f"--mount {text}: {problem}")
    return name, Mount({"": path})


def problem_with(folder: str, root: Path) -> str | None:
    """Return the reason why a folder cannot be mounted; None where it can.

    Args:
        folder: an absolute path without links.
        root: the root folder of the service.
    """
    if not os.path.lexists(folder):
        return f"there is no folder {folder}"
    if not os.path.isdir(folder):
        return f"{folder} is not a folder"
    if not os.access(folder, os.R_OK | os.X_OK):
        return f"{folder} cannot be read"
    private = os.path.realpath(root)
    is_private = os.path.commonpath([folder, private]) in (folder, private)
    if is_private and not folder.startswith(os.path.join(private, "obs", "")):
        return f"{folder} holds files of the service itself"
    return None


class MountedLogs(LogSource):
    """The folders of mounts, and those of another source for all other names.

    Args:
        root: the root folder of the service.
        given: mounts that are not in the file.
        other: reads the logs of jobs that are not over a mount.
    """

    def __init__(self, root: Path, served: Mapping[str, Mount], other: LogSource) -> None:
        self._root = root
        self._served = served
        self._file = MountsFile(root)
        self._other = other
        self._lock = Lock()
        self._read: dict[int, Logs] = {}

    def check(self, train_url: str) -> None:
        """Check that the folders of the ``train_url`` can be read. Raises ValueError."""
        logs = self._logs(train_url)
        if logs is None:
            return self._other.check(train_url)
        for folder in _targets(logs):
            problem = problem_with(folder, self._root)
            if problem is not None:
                raise ValueError(f"{train_url} cannot be read: {problem}")

    def has_bucket(self, bucket: str) -> bool:
        """Return whether there is such a mount or bucket."""
        names = {*self._served, *self._file.current().by_name}
        return key_of(bucket) in map(key_of, names) or self._other.has_bucket(bucket)

    def folders(self, train_url: str) -> tuple[str, ...]:
        """Return the folders that a board over the ``train_url`` reads in place."""
        logs = self._logs(train_url)
        return self._other.folders(train_url) if logs is None else _targets(logs)

    def buckets(self, train_url: str) -> tuple[str, ...]:
        """Return the name of the mount or bucket, and the buckets of folders shown together.

        A mount of one folder is of the service's owner, who may share it whatever it leads to.
        """
        name, _ = _split(train_url)
        mount, obs = self._mount(name), (self._root / "obs").resolve()
        several = {} if mount is None or mount.only is not None else mount.folders
        paths = [Path(path) for path in several.values()]
        inner = {path.relative_to(obs).parts[0] for path in paths if obs in path.parents}
        return (name, *sorted(inner))

    def together(self, folders: Mapping[str, str]) -> str:
        """Return the ``train_url`` for several folders in buckets; those missing are made.

        Raises:
            ValueError: one of them cannot be shown.
            ConfigurationError: the file of the mounts cannot be read or written.
        """
        paths = {}
        for name, train_url in folders.items():
            folder = folder_of(self._root / "obs", train_url)
            folder.mkdir(parents=True, exist_ok=True)
            paths[name] = str(folder)
        return mount(str(self._root), paths)

    def names(self) -> tuple[str, ...]:
        """Return the names of the mounts, and of the other source's buckets."""
        mounts = {*self._served, *self._file.current().by_name}
        return tuple(sorted({*mounts, *self._other.names()}))

    def place(self, train_url: str) -> Path | None:
        """Return the folder of a ``train_url``; None for a mount of several. Raises ValueError."""
        logs = self._logs(train_url)
        if logs is None:
            return self._other.place(train_url)
        return None if logs.links else logs.folder

    def keep(self, jobs: Iterable[Job]) -> None:
        """Remove the copies of all other jobs' files, when the service starts.

        Raises:
            ConfigurationError: the file of the mounts cannot be read; later that is logged only.
        """
        self._file.current()
        shutil.rmtree(self._root / _FOLDER, ignore_errors=True)
        self._other.keep(job for job in jobs if self._logs(job.train_url) is None)

    def open(self, job: Job, give_up: Callable[[Job, str], None]) -> Logs:
        """Return the folder that the job's board reads. Raises ValueError or OSError."""
        logs = self._logs(job.train_url)
        if logs is None:
            return self._other.open(job, give_up)
        if logs.links:
            _link(logs.folder, self._mount(_split(job.train_url)[0]))
        with self._lock:
            self._read[job.job_id] = logs
        return logs

    def visited(self, job_id: int) -> None:
        self._other.visited(job_id)

    def rest(self, job_id: int) -> None:
        """Note that the job's board sleeps."""
        self._other.rest(job_id)

    def remark(self, job_id: int) -> str | None:
        """Return what is wrong with the folders of a running job; None where nothing is."""
        with self._lock:
            logs = self._read.get(job_id)
        if logs is None:
            return self._other.remark(job_id)
        problems = (problem_with(folder, self._root) for folder in _targets(logs))
        return next((problem for problem in problems if problem is not None), None)

    def requests(self, job_id: int) -> Requests | None:
        return self._other.requests(job_id)

    def close(self, job_id: int, run: int | None = None) -> None:
        """End the reading for this run of the job."""
        with self._lock:
            self._read.pop(job_id, None)
        self._other.close(job_id, run)

    def shut(self) -> None:
        self._other.shut()

    def _mount(self, name: str) -> Mount | None:
        mount = self._served.get(name)
        return self._file.current().by_name.get(name) if mount is None else mount

    def _logs(self, train_url: str) -> Logs | None:
        """Return what a ``train_url`` over a mount stands for, None if it is over none."""
        name, key = _split(train_url)
        mount = self._mount(name)
        if mount is None:
            return None
        if mount.only is not None:
            return Logs(inside(Path(mount.only), key, train_url))
        if key:
            raise ValueError(f"{train_url}: a mount of several folders has no folders below it")
        return Logs(self._root.resolve() / _FOLDER / name, tuple(mount.folders.values()))


def _targets(logs: Logs) -> tuple[str, ...]:
    return logs.links or (str(logs.folder),)


def _link(folder: Path, several: Mount | None) -> None:
    """Make a folder with links to those of a mount."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    for name, target in several.folders.items() if several is not None else ():
        (folder / name).symlink_to(target, target_is_directory=True)


def _split(train_url: str) -> tuple[str, str]:
    name, _, key = train_url.strip("/").partition("/")
    return name, key


def _are_folders(value: object) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(path, str) and os.path.isabs(path) for path in value.values())
    )
