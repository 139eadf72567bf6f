"""``modelarts serve --status`` and ``--stop``: looks at the service of a folder, and ends it."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path
from typing import Callable

from modelarts._internal.clock import Clock
from modelarts.errors import ConfigurationError
from modelarts.local.server.launcher import SERVICE_LOCK, is_served, running
from modelarts.models import JobStatus

#: The exit code, as of an init script.
NOT_RUNNING = 3
_STOP_SECONDS = 60.0
_PAUSE = 0.05


def status(root: Path, database: str | None = None) -> tuple[int, str]:
    """Return an exit code and a report: 0 it responds, 1 it does not, 3 none is running.

    Args:
        database: the address of its PostgreSQL database; None: it keeps its jobs in a file.

    Raises:
        ConfigurationError: the jobs cannot be read.
    """
    lines = [f"root: {root}"]
    if not (root / SERVICE_LOCK).exists() or not is_served(root):
        code, headline = NOT_RUNNING, "not running"
    else:
        service = running(root)
        if service is None:
            code, headline = 1, f"process {_holder(root)} has the folder, and does not answer"
        else:
            code, headline = (
                0,
                f"running: process {service['pid']} at {service['modelarts_endpoint']}",
            )
    elsewhere = None if code else (running(root) or {}).get("database")
    if elsewhere is not None and database is None:
        lines.append(f"jobs: in the {elsewhere}; --database counts them")
        return code, "\n".join([headline, *lines])

    def counts(query: str) -> dict[int, int]:
        return _counts(root / "jobs.sqlite", database, query)

    jobs = _by_status(counts, "jobs")
    if code == NOT_RUNNING and _numbers(counts, "jobs").get(JobStatus.RUNNING):
        jobs += "; those that are RUNNING run again when the service starts"
    lines.append("jobs: " + jobs)
    lines.append("trainings: " + _by_status(counts, "trainings WHERE is_deleted = 0"))
    if code == 0:
        running_jobs = f"SELECT asleep, count(*) FROM jobs WHERE status = {JobStatus.RUNNING:d}"
        boards = counts(running_jobs + " GROUP BY asleep")
        lines.append(f"boards: {boards.get(0, 0)}, {boards.get(1, 0)} asleep")
    return code, "\n".join([headline, *lines])


def stop(root: Path, clock: Clock) -> str:
    """End the service of a folder, wait until it has ended, and say so.

    Raises:
        ConfigurationError: it cannot be ended, or takes more than a minute.
    """
    if not (root / SERVICE_LOCK).exists() or not is_served(root):
        return f"no service of {root} is running"
    holder = _holder(root)
    try:
        os.kill(holder, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has ended by itself
    except PermissionError:
        raise ConfigurationError(f"process {holder} is another user's; ask them") from None
    deadline = clock.monotonic() + _STOP_SECONDS
    while is_served(root):
        if clock.monotonic() > deadline:
            raise ConfigurationError(
                f"process {holder} has not ended within {_STOP_SECONDS:.0f} seconds; "
                f"{root / 'service.log'} may say why"
            )
        clock.sleep(_PAUSE)
    return f"ended process {holder}; {root} keeps its jobs"


def _by_status(counts: Callable[[str], dict[int, int]], rows: str) -> str:
    numbers = _numbers(counts, rows).items()
    return ", ".join(f"{number} {JobStatus(status).name}" for status, number in numbers) or "none"


def _numbers(counts: Callable[[str], dict[int, int]], rows: str) -> dict[int, int]:
    return counts(f"SELECT status, count(*) FROM {rows} GROUP BY status ORDER BY status")


def _holder(root: Path) -> int:
    """Return the process that holds the lock, which it wrote there."""
    try:
        return int((root / SERVICE_LOCK).read_text())
    except ValueError:
        raise ConfigurationError(
            f"{root / SERVICE_LOCK} does not say which process serves it; try again"
        ) from None


def _counts(path: Path, url: str | None, query: str) -> dict[int, int]:
    """How many jobs there are of each kind."""
    if url is not None:
        from modelarts.local.database.postgres import read

        return dict(read(url, query))
    if not path.exists():
        return {}
    try:
        database = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            rows = database.execute(query)
            return {int(value): int(number) for value, number in rows}
        finally:
            database.close()
    except sqlite3.Error as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
