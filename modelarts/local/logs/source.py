"""The folder on this machine with the files of a ``train_url``."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterable, Mapping, NamedTuple, Tuple

from modelarts.local.identity.buckets import key_of
from modelarts.local.jobs.store import Job

if TYPE_CHECKING:
    from modelarts.local.logs.remote import Requests


def folder_of(obs: Path, train_url: str) -> Path:
    """``/bucket/path/`` below the folder that stands for OBS.

    The folder need not exist yet: training may write it later.

    Raises:
        ValueError: links lead out of the bucket, which has the job read other files than
            those of the bucket.
    """
    bucket, _, key = train_url.strip("/").partition("/")
    # The bucket itself must not be a link either.
    return inside(obs.resolve() / bucket, key, train_url)


def inside(base: Path, key: str, train_url: str) -> Path:
    """Return the folder ``key`` below ``base``, without links as far as it exists.

    Raises:
        ValueError: links lead out of ``base``.
    """
    folder = (base / key).resolve()
    if folder != base and base not in folder.parents:
        raise ValueError(f"{train_url} leads out of its bucket")
    return folder


class Logs(NamedTuple):
    """The files that a board reads.

    Attributes:
        folder: the folder that it shows, without links in its path.
        links: the folders outside that links in it lead to, which the service has made.
    """

    folder: Path
    links: Tuple[str, ...] = ()


class LogSource(ABC):
    """The folders on this machine that the boards of a service read."""

    @abstractmethod
    def check(self, train_url: str) -> None:
        """Check, when a job is created, that it can read its ``train_url``. Raises ValueError."""

    @abstractmethod
    def has_bucket(self, bucket: str) -> bool:
        """Return whether a bucket exists, as far as is known here.

        Names of different case or normalization are one bucket, as they have one owner.
        """

    @abstractmethod
    def keep(self, jobs: Iterable[Job]) -> None:
        """Remove the copies of all other jobs' files, when the service starts."""

    def folders(self, train_url: str) -> tuple[str, ...]:
        """Return the folders that a board over the ``train_url`` reads in place; none if it reads
        copies, or the folder that stands for OBS."""
        return ()

    def buckets(self, train_url: str) -> tuple[str, ...]:
        """Return the names of the buckets, or mounts, that a board over the ``train_url`` reads."""
        return (train_url.strip("/").partition("/")[0],)

    def names(self) -> tuple[str, ...]:
        """Return the names of the buckets and mounts on this machine, in order."""
        return ()

    def place(self, train_url: str) -> Path | None:
        """Return the folder on this machine that a ``train_url`` means; None where it means none,
        or several.

        Raises:
            ValueError: links lead out of the bucket.
        """
        return None

    def together(self, folders: Mapping[str, str]) -> str:
        """Return the ``train_url`` for several folders that one board shows.

        Args:
            folders: a ``train_url`` each, by the names that their runs begin with.

        Raises:
            ValueError: they cannot be shown together.
        """
        raise ValueError("several folders cannot be shown together")

    @abstractmethod
    def open(self, job: Job, give_up: Callable[[Job, str], None]) -> Logs:
        """Return the folder that the job's board reads, from now on.

        Args:
            give_up: is called with the reason, if the job's files cannot be read at all.

        Raises:
            ValueError: there is no such folder.
            OSError: it cannot be made.
        """

    @abstractmethod
    def visited(self, job_id: int) -> None:
        """Note that the job's board was visited."""

    @abstractmethod
    def rest(self, job_id: int) -> None:
        """Note that the job's board sleeps, and is not looked at until it is opened again."""

    @abstractmethod
    def remark(self, job_id: int) -> str | None:
        """Return a remark on a running job's files for its user; None where there is none."""

    def requests(self, job_id: int) -> Requests | None:
        """Return the requests to OBS for a running job; None where its logs are not in OBS."""
        return None

    @abstractmethod
    def close(self, job_id: int, run: int | None = None) -> None:
        """End the reading for this run of the job (by default, for any)."""

    @abstractmethod
    def shut(self) -> None:
        """End all reading: the service ends."""


class LocalFolders(LogSource):
    """The folders below the one that stands for OBS, which boards read in place.

    Args:
        obs: that folder.
    """

    def __init__(self, obs: Path) -> None:
        self._obs = obs

    def check(self, train_url: str) -> None:
        """Check that links do not lead out of the bucket. Raises ValueError."""
        folder_of(self._obs, train_url)

    def has_bucket(self, bucket: str) -> bool:
        """Return whether the bucket's folder exists, or one whose name is the same bucket's."""
        return any(key_of(name) == key_of(bucket) for name in os.listdir(self._obs))

    def names(self) -> tuple[str, ...]:
        """Return the names of the buckets."""
        with os.scandir(self._obs) as entries:
            folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return tuple(sorted(folders))

    def place(self, train_url: str) -> Path | None:
        """Return the folder of a ``train_url``. Raises ValueError."""
        return folder_of(self._obs, train_url)

    def keep(self, jobs: Iterable[Job]) -> None:
        """Remove nothing: there are no copies."""

    def open(self, job: Job, give_up: Callable[[Job, str], None]) -> Logs:
        """Return the folder of the job's ``train_url``. Raises ValueError."""
        return Logs(folder_of(self._obs, job.train_url))

    def visited(self, job_id: int) -> None:
        """Do nothing: the board reads the folder itself."""

    def rest(self, job_id: int) -> None:
        """Do nothing: the board reads the folder itself."""

    def remark(self, job_id: int) -> str | None:
        """Return None: all files are read."""
        return None

    def close(self, job_id: int, run: int | None = None) -> None:
        """Do nothing: the board reads the folder itself."""

    def shut(self) -> None:
        """Do nothing: the board reads the folder itself."""
