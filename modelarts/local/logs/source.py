"""Where the files of a ``train_url`` are on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterable

from modelarts.local.jobs.store import Job

__all__ = ["Folders", "folder_of"]


def folder_of(obs: Path, train_url: str) -> Path:
    """``/bucket/path/`` below the folder that stands for OBS.

    The folder need not exist yet: training may write it later.

    Raises:
        ValueError: links lead out of the bucket, which has the job read other files than
            those of the bucket.
    """
    bucket, _, key = train_url.strip("/").partition("/")
    # Resolved as far as it exists; the bucket itself must not be a link either.
    inside = obs.resolve() / bucket
    folder = (inside / key).resolve()
    if folder != inside and inside not in folder.parents:
        raise ValueError(f"{train_url} leads out of its bucket")
    return folder


class Folders:
    """The folders that boards read; here those below one that stands for OBS.

    Args:
        obs: that folder.
    """

    def __init__(self, obs: Path) -> None:
        self._obs = obs

    def check(self, train_url: str) -> None:
        """See whether a job can read it, when the job is created. Raises ValueError."""
        folder_of(self._obs, train_url)

    def keep(self, jobs: Iterable[Job]) -> None:
        """Remove what was kept for all other jobs, when the service begins."""

    def open(self, job: Job, give_up: Callable[[Job, str], None]) -> Path:
        """The folder that the job's board reads, from now on.

        Args:
            give_up: is called with the reason, should it turn out that the job's files cannot be
                read at all.

        Raises:
            ValueError: there is no such folder.
            OSError: it cannot be made.
        """
        return folder_of(self._obs, job.train_url)

    def visited(self, job_id: int) -> None:
        """Somebody looks at the job's board."""

    def rest(self, job_id: int) -> None:
        """The job's board sleeps: nobody looks until it is opened again."""

    def remark(self, job_id: int) -> str | None:
        """What the user should know of a running job's files; None where there is nothing."""
        return None

    def close(self, job_id: int, run: int | None = None) -> None:
        """The board of this run of the job (by default, of any) has ended for good."""

    def shut(self) -> None:
        """The service ends."""
