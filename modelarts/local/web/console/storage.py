"""The page of storage: what jobs and their folders take, and logs of jobs that are gone."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, Callable

import attr
from werkzeug.wrappers import Response

from modelarts.local.errors import Failure
from modelarts.local.web.console.parts import Parts
from modelarts.local.web.console.visit import Visit

_WORKSPACE = "0"
_LOG = re.compile(r"job-([0-9]{1,18})\.log\Z")
#: So long, and at so many files, one page looks for sizes.
_MAX_SECONDS = 1.0
_MAX_FILES = 100_000
_MAX_SHOWN = 200


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Size:
    """The size of a folder.

    Attributes:
        bytes: what its files hold.
        files: how many they are.
        is_whole: all of them were counted.
    """

    bytes: int
    files: int
    is_whole: bool


class StoragePages:
    """The page of storage.

    Args:
        parts: the operations and the users.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._logs = parts.root / "logs"

    def routes(self) -> list[tuple[str, str, Callable[..., Response]]]:
        """Return the routes of these pages, as method, path and handler."""
        return [
            ("GET", "/storage", self.show),
            ("GET", "/storage/delete", self.ask),
            ("POST", "/storage/delete", self.delete),
        ]

    def show(self, visit: Visit, project_id: str) -> Response:
        """Return the sizes of the folders of a project's jobs, and of their logs."""
        budget = _Budget()
        by_folder: dict[str, list[dict[str, Any]]] = {}
        jobs, _ = self._parts.operations.jobs(project_id, _WORKSPACE)
        for job in reversed(jobs):
            log = _size_of(self._parts.supervisor.log(job.job_id))
            row = {"id": job.job_id, "name": job.job_name, "log": log}
            by_folder.setdefault(job.train_url, []).append(row)
        folders: list[dict[str, Any]] = []
        for url, of_folder in list(by_folder.items())[:_MAX_SHOWN]:
            size, problem = None, ""
            try:
                place = self._parts.operations.place(visit.caller, url)
                size = None if place is None else budget.measure(place)
            except Failure as failure:
                problem = failure.message
            folders.append({"url": url, "jobs": of_folder, "size": size, "problem": problem})
        folders.sort(key=lambda each: -(each["size"].bytes if each["size"] else 0))
        return visit.render(
            "storage.html",
            folders=folders,
            is_cut=len(by_folder) > _MAX_SHOWN,
            logs=sum(job["log"] for each in by_folder.values() for job in each),
            gone=self._gone() if visit.is_admin else [],
        )

    def ask(self, visit: Visit, project_id: str) -> Response:
        """Return the question before logs are deleted."""
        visit.need_admin()
        gone = self._gone()
        total = sum(size for _, size in gone)
        return visit.render("storage_delete.html", gone=gone, total=total)

    def delete(self, visit: Visit, project_id: str) -> Response:
        """Delete the logs of jobs that are gone."""
        visit.need_admin()
        for path, _ in self._gone():
            path.unlink(missing_ok=True)
        return visit.back("storage", done="logs")

    def _gone(self) -> list[tuple[Path, int]]:
        """Return the logs of boards whose jobs are gone, in all projects, with their sizes."""
        sizes = []
        for path in sorted(self._logs.glob("job-*.log")):
            name = _LOG.match(path.name)
            if name is not None and self._parts.operations.find(int(name.group(1))) is None:
                sizes.append((path, _size_of(path)))
        return sizes


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _Budget:
    """Measures folders, for as long as a page may take."""

    def __init__(self) -> None:
        self._end = time.monotonic() + _MAX_SECONDS
        self._left = _MAX_FILES

    def measure(self, folder: Path) -> Size:
        """Return the size of a folder, as far as there was time to count it."""
        total = files = 0
        waiting = [os.fspath(folder)]
        while waiting:
            if self._left <= 0 or time.monotonic() > self._end:
                return Size(total, files, False)
            try:
                with os.scandir(waiting.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        elif entry.is_file(follow_symlinks=False):
                            total += entry.stat(follow_symlinks=False).st_size
                            files += 1
                        self._left -= 1
            except OSError:
                continue
        return Size(total, files, True)
