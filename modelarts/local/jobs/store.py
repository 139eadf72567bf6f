"""The jobs, in SQLite: written before anything is answered."""

from __future__ import annotations

import secrets
import sqlite3
import uuid
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, ContextManager, Iterable, Iterator, Mapping, Sequence

import attr

from modelarts.local.errors import Failure
from modelarts.local.jobs.schema import open_database
from modelarts.models import JobStatus

__all__ = ["ACTIVE", "PAGES", "Job", "Store", "StoreFailure"]

#: The beginning of the paths of boards; their next part is a key that has to be known.
PAGES = "/modelarts/tensorboard/"
#: A job that has, or is about to have, a board.
ACTIVE = (JobStatus.INIT, JobStatus.WAITING, JobStatus.RUNNING)
_ACTIVE = ", ".join(str(int(status)) for status in ACTIVE)

_DURATION = "ran_ms + CASE WHEN running_since IS NULL THEN 0 ELSE :now - running_since END"
_ORDER = {
    "job_id": "job_id",
    "job_name": "job_name",
    "job_desc": "job_desc",
    "create_time": "create_time",
    "status": "status",
    "duration": _DURATION,
    "log_dir": "train_url",
}


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Job:
    """A row. Times are in milliseconds; ``run`` counts how often the job was started.

    Attributes:
        create_time: by the wall clock.
        ran_ms: how long it ran until it was last stopped.
        running_since: on the timeline's ``running``, as what :meth:`duration` takes.
        stop_at: on the timeline's ``passed``.
        asleep: it is RUNNING, and its board starts with the next visit.
        reads_as: the id of the project by whose access to the bucket the job reads its logs.
        sources: the trainings that its board shows, as a JSON list of their ids, if it was created
            over trainings.
        visited_at: when its board was last visited, or began to run, on the timeline's ``running``;
            written from time to time.
        is_idle: it was stopped for lack of visits, and the next visitor may start it.
    """

    job_id: int
    project_id: str
    workspace_id: str
    job_name: str
    job_desc: str
    train_url: str
    job_type: str
    flavor: str | None
    schedule_hours: int | None
    status: int
    create_time: int
    run: int
    ran_ms: int
    running_since: int | None
    stop_at: int | None
    page_key: str
    resource_id: str
    reason: str | None
    asleep: int
    reads_as: str
    sources: str | None = None
    visited_at: int | None = None
    is_idle: int = 0

    @property
    def page(self) -> str:
        """The path of its board's page."""
        return f"{PAGES}{self.page_key}/{self.job_id}/"

    def duration(self, now: int) -> int:
        """How long it has been running, in milliseconds."""
        since = 0 if self.running_since is None else now - self.running_since
        return self.ran_ms + since


class StoreFailure(Failure):
    """The file cannot be read or written: the disk is full, mostly. Nothing was changed."""

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(
            500,
            "ModelArts.0010",
            f"The service cannot use the file of its jobs ({error}). Nothing was changed; "
            "whoever runs the service has to make room on its disk, or to look at its log.",
        )


class Store:
    """All jobs of a service. One connection behind one lock: each call is one transaction."""

    def __init__(self, path: Path) -> None:
        self._lock = RLock()
        self._db = open_database(path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """``with`` it, the connection is used by this thread alone. Raises StoreFailure."""
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise StoreFailure(error) from error

    def alone(self) -> ContextManager[Any]:
        """``with`` it, nobody else reads or changes the jobs between several calls."""
        return self._lock

    def add(self, most_active: int, **columns: Any) -> Job | None:
        """Add a job; None where the project has ``most_active`` that are active."""
        columns = {
            "status": int(JobStatus.INIT),
            "page_key": secrets.token_hex(16),
            "resource_id": str(uuid.uuid4()),
            "reads_as": columns["project_id"],
            **columns,
        }
        names = ", ".join(columns)
        values = ", ".join(":" + name for name in columns)
        with self.transaction() as db:
            if self.count_active(columns["project_id"]) >= most_active:
                return None
            cursor = db.execute(f"INSERT INTO jobs ({names}) VALUES ({values})", columns)
            return self.get(cursor.lastrowid or 0)

    def get(self, job_id: int, project_id: str | None = None) -> Job | None:
        """Return a job, if it is there and of that project."""
        with self.transaction() as db:
            row = db.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
        if row is None or project_id not in (None, row["project_id"]):
            return None
        return Job(**row)

    def page(
        self,
        project_id: str,
        workspace_id: str,
        *,
        statuses: Sequence[int],
        search: str,
        sort_by: str,
        descending: bool,
        limit: int,
        offset: int,
        now: int,
    ) -> tuple[list[Job], int]:
        """Return the jobs of one page, and how many match on all pages."""
        where = "project_id = :project AND workspace_id = :workspace"
        values: dict[str, Any] = {"project": project_id, "workspace": workspace_id, "now": now}
        if statuses:
            where += f" AND status IN ({', '.join(str(int(s)) for s in statuses)})"
        if search:
            where += " AND (instr(lower(job_name), :search) OR instr(lower(job_desc), :search))"
            values["search"] = search.lower()
        direction = "DESC" if descending else "ASC"
        values.update(limit=limit, offset=offset)
        with self.transaction() as db:
            total = db.execute(f"SELECT count(*) FROM jobs WHERE {where}", values)
            matching = total.fetchone()[0]
            rows = db.execute(
                f"SELECT * FROM jobs WHERE {where} ORDER BY {_ORDER[sort_by]} {direction}, "
                f"job_id {direction} LIMIT :limit OFFSET :offset",
                values,
            ).fetchall()
        return [Job(**row) for row in rows], matching

    def count_active(self, project_id: str) -> int:
        """How many of a project's jobs have, or are about to have, a board."""
        with self.transaction() as db:
            row = db.execute(
                f"SELECT count(*) FROM jobs WHERE project_id = ? AND status IN ({_ACTIVE})",
                (project_id,),
            ).fetchone()
        return int(row[0])

    def with_status(self, statuses: Iterable[int]) -> list[Job]:
        """Return all jobs that have one of these statuses."""
        marks = ", ".join(str(int(status)) for status in statuses)
        with self.transaction() as db:
            rows = db.execute(f"SELECT * FROM jobs WHERE status IN ({marks})").fetchall()
        return [Job(**row) for row in rows]

    def last_start(self) -> int:
        """When the last of the running jobs began to run, on the timeline's ``running``."""
        with self.transaction() as db:
            row = db.execute("SELECT max(running_since) FROM jobs").fetchone()
        return int(row[0] or 0)

    def due(self, now: int) -> list[Job]:
        """Return the active jobs whose schedule says that they stop by now."""
        with self.transaction() as db:
            rows = db.execute(
                f"SELECT * FROM jobs WHERE stop_at <= ? AND status IN ({_ACTIVE})", (now,)
            ).fetchall()
        return [Job(**row) for row in rows]

    def idle(self, latest: int) -> list[Job]:
        """Return the running jobs that were not visited after this time."""
        with self.transaction() as db:
            rows = db.execute(
                "SELECT * FROM jobs WHERE status = ? AND visited_at <= ?",
                (int(JobStatus.RUNNING), latest),
            ).fetchall()
        return [Job(**row) for row in rows]

    def keep_visits(self, times: Mapping[int, int]) -> None:
        """Write when jobs were last visited."""
        with self.transaction() as db:
            db.executemany(
                "UPDATE jobs SET visited_at = ? WHERE job_id = ?",
                [(time, job_id) for job_id, time in times.items()],
            )

    def reset_visits(self, now: int | None) -> None:
        """Count from now on for active jobs whose visits were not counted; None: count none."""
        with self.transaction() as db:
            if now is None:
                db.execute("UPDATE jobs SET visited_at = NULL WHERE visited_at IS NOT NULL")
            else:
                db.execute(
                    f"UPDATE jobs SET visited_at = ? WHERE visited_at IS NULL "
                    f"AND status IN ({_ACTIVE})",
                    (now,),
                )

    def next_stop(self) -> int | None:
        """When the next schedule is due."""
        with self.transaction() as db:
            row = db.execute(f"SELECT min(stop_at) FROM jobs WHERE status IN ({_ACTIVE})")
            value: int | None = row.fetchone()[0]
        return value

    def any_active(self) -> bool:
        """Return True if there is an active job."""
        with self.transaction() as db:
            row = db.execute(f"SELECT 1 FROM jobs WHERE status IN ({_ACTIVE}) LIMIT 1").fetchone()
        return row is not None

    def move(
        self,
        job_id: int,
        sources: Iterable[int],
        target: int,
        in_run: int | None = None,
        **columns: Any,
    ) -> Job | None:
        """Give a job a new status, if it has one of ``sources`` (and is in that run).

        Returns the job as it is then; None where nothing was changed.
        """
        columns = {"status": int(target), **columns}
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        marks = ", ".join(str(int(status)) for status in sources)
        same_run = "" if in_run is None else " AND run = :in_run"
        with self.transaction() as db:
            cursor = db.execute(
                f"UPDATE jobs SET {changes} WHERE job_id = :id AND status IN ({marks}){same_run}",
                {**columns, "id": job_id, "in_run": in_run},
            )
            return self.get(job_id) if cursor.rowcount else None

    def describe(self, job_id: int, job_desc: str) -> None:
        """Change a description."""
        with self.transaction() as db:
            db.execute("UPDATE jobs SET job_desc = ? WHERE job_id = ?", (job_desc, job_id))

    def remove(self, job_id: int, sources: Iterable[int]) -> bool:
        """Remove a job, if it has one of these statuses."""
        marks = ", ".join(str(int(status)) for status in sources)
        with self.transaction() as db:
            cursor = db.execute(
                f"DELETE FROM jobs WHERE job_id = ? AND status IN ({marks})", (job_id,)
            )
        return cursor.rowcount > 0

    def setting(self, name: str) -> str | None:
        """Return a value that the service keeps for itself."""
        with self.transaction() as db:
            row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep_setting(self, name: str, value: str) -> None:
        """Keep such a value."""
        with self.transaction() as db:
            db.execute("REPLACE INTO settings VALUES (?, ?)", (name, value))
