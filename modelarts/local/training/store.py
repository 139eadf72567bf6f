"""The trainings, in the database of the jobs: written before a response is sent."""

from __future__ import annotations

import json
import secrets
import uuid
from typing import Any, ContextManager, Iterable

import attr

from modelarts.local.jobs.store import Store
from modelarts.models import JobStatus

#: The statuses of trainings that have not ended.
LIVE = (JobStatus.INIT, JobStatus.WAITING, JobStatus.RUNNING, JobStatus.KILLING)
_LIVE = ", ".join(str(int(status)) for status in LIVE)


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Training:
    """A row. Times are in milliseconds.

    Attributes:
        number: its place in the order of creation.
        definition: the body of the request that created it.
        create_time: by the wall clock.
        start_time: by the wall clock; None: it has not started.
        started_at: on the timeline's ``passed``.
        ran_ms: how long it ran, once it has ended.
        stop_at: on the timeline's ``passed``; None: it is not stopped by a schedule.
        gpu: the GPU that it has.
        key: marks its processes.
        is_deleted: it goes, as soon as its processes have.
        runs_on: the front end that has it, where several share the database.
    """

    number: int
    job_id: str
    project_id: str
    workspace_id: str
    user_name: str
    name: str
    description: str
    definition: dict[str, Any] = attr.ib(converter=json.loads)
    status: int
    create_time: int
    key: str = attr.ib(repr=False)
    schedule_hours: int | None = None
    start_time: int | None = None
    started_at: int | None = None
    ran_ms: int = 0
    stop_at: int | None = None
    gpu: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    is_deleted: int = 0
    runs_on: str | None = None

    def duration(self, passed: int) -> int:
        """Return how long it has been running, in milliseconds."""
        if self.started_at is None or self.status not in LIVE:
            return self.ran_ms
        return max(0, passed - self.started_at)


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Event:
    """An event in the life of a training; ``time`` is by the wall clock, in milliseconds."""

    time: int
    level: str
    message: str


class TrainingStore:
    """All trainings of a service.

    Args:
        store: the file of the jobs.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def alone(self) -> ContextManager[Any]:
        """``with`` it, no other thread reads or changes the file between several calls."""
        return self._store.alone()

    def add(self, max_live: int, **columns: Any) -> Training | None:
        """Add a training.

        Returns:
            The training; None where the project has ``max_live`` that have not ended.

        Raises:
            ValueError: the project has a training of that name.
        """
        columns = {
            "job_id": str(uuid.uuid4()),
            "status": int(JobStatus.INIT),
            "key": secrets.token_hex(16),
            **columns,
        }
        with self._store.alone() as db:
            (live,) = db.execute(
                f"SELECT count(*) FROM trainings WHERE project_id = ? AND status IN ({_LIVE})",
                (columns["project_id"],),
            ).fetchone()
            if live >= max_live:
                return None
            try:
                number = self._store.database.insert("trainings", columns, "number")
            except KeyError:
                raise ValueError(columns["name"]) from None
        return Training(number=number, **columns)

    def get(self, job_id: str, project_id: str | None = None) -> Training | None:
        """Return a training that is there, of that project."""
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT * FROM trainings WHERE job_id = ? AND is_deleted = 0", (job_id,)
            ).fetchone()
        if row is None or project_id not in (None, row["project_id"]):
            return None
        return Training(**row)

    def of_project(self, project_id: str, workspace_id: str) -> list[Training]:
        """Return all trainings of a project, the oldest first."""
        return self._all(
            "project_id = ? AND workspace_id = ? AND is_deleted = 0", (project_id, workspace_id)
        )

    def live(self) -> list[Training]:
        """Return all trainings that have not ended, deleted ones too, the oldest first."""
        return self._all(f"status IN ({_LIVE})", ())

    def waiting(self) -> list[Training]:
        """Return the trainings that wait for their start, the oldest first."""
        return self._all("status IN (?, ?)", (int(JobStatus.INIT), int(JobStatus.WAITING)))

    def ids(self) -> set[str]:
        """Return the ids of all trainings."""
        with self._store.transaction() as db:
            return {row[0] for row in db.execute("SELECT job_id FROM trainings")}

    def any_live(self) -> bool:
        """Return True if there is a training that has not ended."""
        with self._store.transaction() as db:
            query = f"SELECT 1 FROM trainings WHERE status IN ({_LIVE}) LIMIT 1"
            return db.execute(query).fetchone() is not None

    def next_stop(self) -> int | None:
        """Return when the next schedule is due, on the timeline's ``passed``."""
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT min(stop_at) FROM trainings WHERE status = ?", (int(JobStatus.RUNNING),)
            ).fetchone()
        return None if row[0] is None else int(row[0])

    def due(self, passed: int) -> list[Training]:
        """Return the running trainings whose schedule says that they stop by now."""
        return self._all("status = ? AND stop_at <= ?", (int(JobStatus.RUNNING), passed))

    def move(
        self, job_id: str, sources: Iterable[int], target: int, **columns: Any
    ) -> Training | None:
        """Give a training a new status, if it has one of ``sources``.

        Returns:
            The training as it is then; None where nothing was changed.
        """
        columns = {"status": int(target), **columns}
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        marks = ", ".join(str(int(status)) for status in sources)
        with self._store.transaction() as db:
            cursor = db.execute(
                f"UPDATE trainings SET {changes} WHERE job_id = :id AND status IN ({marks})",
                {**columns, "id": job_id},
            )
            rows = self._all("job_id = ?", (job_id,)) if cursor.rowcount else []
        return rows[0] if rows else None

    def claim(
        self, job_id: str, sources: Iterable[int], gpu: str | None, front_end: str | None
    ) -> Training | None:
        """Give a training to a front end, if it has one of ``sources`` and is no other one's.

        Returns:
            The training as it is then; None where nothing was changed.
        """
        marks = ", ".join(str(int(status)) for status in sources)
        with self._store.transaction() as db:
            cursor = db.execute(
                f"UPDATE trainings SET gpu = ?, runs_on = ? WHERE job_id = ? "
                f"AND status IN ({marks}) AND (runs_on IS NULL OR runs_on = ?)",
                (gpu, front_end, job_id, front_end),
            )
            rows = self._all("job_id = ?", (job_id,)) if cursor.rowcount else []
        return rows[0] if rows else None

    def describe(self, job_id: str, description: str) -> None:
        """Change a description."""
        with self._store.transaction() as db:
            db.execute(
                "UPDATE trainings SET description = ? WHERE job_id = ?", (description, job_id)
            )

    def delete_later(self, job_id: str) -> None:
        """Hide a training that runs, and note that it is being ended; its name is free at once.

        In one step: a service that is killed after it must not leave one that is hidden and runs.
        """
        with self._store.transaction() as db:
            db.execute(
                "UPDATE trainings SET is_deleted = 1, status = ? WHERE job_id = ?",
                (int(JobStatus.KILLING), job_id),
            )

    def disown(self) -> int:
        """Give the trainings that have not ended other keys; return how many there are.

        Of a copy of a service's folder, their processes belong to the other service, and are found
        by the keys.
        """
        with self._store.alone() as db:
            live = self.live()
            for training in live:
                db.execute(
                    "UPDATE trainings SET key = ? WHERE number = ?",
                    (secrets.token_hex(16), training.number),
                )
        return len(live)

    def remove(self, number: int) -> None:
        """Remove a training with its events and metrics."""
        with self._store.alone() as db:
            for table in ("trainings", "training_events", "training_metrics"):
                db.execute(f"DELETE FROM {table} WHERE number = ?", (number,))

    def add_event(self, number: int, event: Event) -> None:
        """Record an event."""
        with self._store.transaction() as db:
            db.execute(
                "INSERT INTO training_events (number, time, level, message) VALUES (?, ?, ?, ?)",
                (number, event.time, event.level, event.message),
            )

    def events(self, number: int) -> list[Event]:
        """Return the events of a training, the oldest first."""
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT time, level, message FROM training_events WHERE number = ? "
                "ORDER BY event_id",
                (number,),
            ).fetchall()
        return [Event(*row) for row in rows]

    def add_metric(self, number: int, minute: int, metric: str, value: float) -> None:
        """Record the mean of a metric in one minute of a training."""
        with self._store.transaction() as db:
            db.execute(
                "INSERT INTO training_metrics (number, minute, metric, value) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (number, minute, metric) DO UPDATE SET value = excluded.value",
                (number, minute, metric, value),
            )

    def metrics(self, number: int) -> dict[str, dict[int, float]]:
        """Return the means of each metric by minute, counted from the start of the training."""
        means: dict[str, dict[int, float]] = {}
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT metric, minute, value FROM training_metrics WHERE number = ?", (number,)
            ).fetchall()
        for metric, minute, value in rows:
            means.setdefault(metric, {})[minute] = value
        return means

    def _all(self, where: str, values: tuple[Any, ...]) -> list[Training]:
        with self._store.transaction() as db:
            rows = db.execute(
                f"SELECT * FROM trainings WHERE {where} ORDER BY number", values
            ).fetchall()
        return [Training(**row) for row in rows]
