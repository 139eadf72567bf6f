"""The jobs, in the database: written before anything is answered."""

from __future__ import annotations

import logging
import secrets
import uuid
from collections import OrderedDict
from threading import Lock
from typing import Any, Callable, ContextManager, Iterable, Mapping, Sequence

import attr

from modelarts.local.database.base import Database, StoreFailure, contains
from modelarts.models import JobStatus

__all__ = ["ACTIVE", "PAGES", "Job", "Store", "StoreFailure"]

_LOG = logging.getLogger("modelarts.local")
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
#: So many jobs are sorted when they are asked for; more are read in the order of an index.
_FEW = 1000
#: More than any database has rows.
_MAX = 2**62
#: So many totals of searches are kept.
_MAX_TOTALS = 200
#: So many places in a list are kept, of so many lists.
_MAX_PLACES = 2000
_MAX_LISTS = 50


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
        runs_on: the front end that starts its board, where several share the database.
        board_number: counts the boards of this run, where they are on a cluster.
    """

    job_id: int
    project_id: str
    workspace_id: str
    job_name: str
    job_desc: str
    train_url: str
    job_type: str
    status: int
    create_time: int
    page_key: str
    resource_id: str
    reads_as: str
    flavor: str | None = None
    schedule_hours: int | None = None
    run: int = 1
    ran_ms: int = 0
    running_since: int | None = None
    stop_at: int | None = None
    reason: str | None = None
    asleep: int = 0
    sources: str | None = None
    visited_at: int | None = None
    is_idle: int = 0
    runs_on: str | None = None
    board_number: int = 0

    @property
    def page(self) -> str:
        """The path of its board's page."""
        return f"{PAGES}{self.page_key}/{self.job_id}/"

    def duration(self, now: int) -> int:
        """How long it has been running, in milliseconds."""
        since = 0 if self.running_since is None else now - self.running_since
        return self.ran_ms + since


_COLUMNS = ", ".join(field.name for field in attr.fields(Job))


class Store:
    """All jobs of a service.

    Args:
        database: where they are kept; it is closed with the store.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._lock = Lock()
        # By the search: after how many changes of the project it was counted, the number, and the
        # ids if they are few.
        self._totals: OrderedDict[tuple[Any, ...], tuple[int, int, list[int] | None]]
        self._totals = OrderedDict()
        # By the list: after how many changes they were seen, and the values of jobs by their place.
        self._places: OrderedDict[tuple[Any, ...], tuple[int, dict[int, tuple[Any, int]]]] = (
            OrderedDict()
        )

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def transaction(self) -> ContextManager[Any]:
        """Return a context with a connection. Raises StoreFailure."""
        return self.database.transaction()

    def alone(self) -> ContextManager[Any]:
        """Return the context of a transaction of several calls, beside which there is no other."""
        return self.database.alone()

    def add(self, most_active: int, **columns: Any) -> Job | None:
        """Add a job; None where the project has ``most_active`` that are active."""
        columns = {
            "status": int(JobStatus.INIT),
            "page_key": secrets.token_hex(16),
            "resource_id": str(uuid.uuid4()),
            "reads_as": columns["project_id"],
            **columns,
        }
        text = _search_text(columns["job_name"], columns["job_desc"])
        with self.alone():
            if self.count_active(columns["project_id"]) >= most_active:
                return None
            job_id = self.database.insert("jobs", {**columns, "search_text": text}, "job_id")
        return Job(job_id=job_id, **columns)

    def get(self, job_id: int, project_id: str | None = None) -> Job | None:
        """Return a job, if it is there and of that project."""
        with self.transaction() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
        if row is None or project_id not in (None, row["project_id"]):
            return None
        return Job(**row)

    def page(
        self,
        project_id: str,
        workspace_id: str,
        *,
        statuses: Sequence[int] = (),
        search: str = "",
        sort_by: str = "job_id",
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
        now: int = 0,
    ) -> tuple[list[Job], int]:
        """Return the jobs of one page, and how many match on all pages.

        However many jobs there are, it reads about as many as the page has: the number of all is
        counted with each change, and each order has an index. What it may have to read more of is
        in ``docs/database.md``.

        Args:
            limit: how many jobs a page has; None: all.
            now: the time on the timeline's ``running``, for the durations.
        """
        query = _Query(project_id, workspace_id, sort_by, descending, now)
        if statuses:
            query.restrict(f"status IN ({_marks(statuses)})")
        numbers, changes = self._counts(project_id, workspace_id)
        total = sum(
            number for status, number in numbers.items() if not statuses or status in statuses
        )
        if sum(numbers.values()) > _FEW:
            try:
                self.database.expect_many()
            except StoreFailure as failure:  # a full disk does not keep anyone from reading
                _LOG.error("%s", failure)
        if "\0" in search:  # no text has it, and not every database can be asked
            return [], 0
        if search:
            query.values["search"] = contains(search.lower())
            query.restrict("search_text LIKE :search ESCAPE '!'")
            key = (*sorted(set(statuses)), search.lower())
            total, ids = self._search(query, search.lower(), key, changes)
            if ids is not None:
                query.restrict(_among(ids))
        if total <= _FEW and (search or statuses):
            return self._sorted(query, limit, offset, total)
        return self._walk(query, total, limit, offset, changes), total

    def _counts(self, project_id: str, workspace_id: str) -> tuple[dict[int, int], int]:
        """Return how many jobs of each status there are, and how often one was changed."""
        with self.transaction() as db:
            rows = db.execute(
                "SELECT status, number, changes FROM job_counts "
                "WHERE project_id = ? AND workspace_id = ?",
                (project_id, workspace_id),
            ).fetchall()
        return {row[0]: row[1] for row in rows}, sum(row[2] for row in rows)

    def _search(
        self, query: _Query, search: str, key: tuple[Any, ...], changes: int
    ) -> tuple[int, list[int] | None]:
        """Return how many jobs a search finds, and their ids if they are few.

        It is kept until something is changed. Where there is no index of texts, or more than a few
        jobs have the text, all jobs are read for it.
        """
        key = (query.values["project"], query.values["workspace"], *key)
        with self._lock:
            known = self._totals.get(key)
        if known is not None and known[0] == changes:
            return known[1:]
        candidates = self.database.matching(search, _FEW).job_ids
        if candidates is None:
            matching = f"FROM jobs {self.database.whole} WHERE {query.where}"
        else:
            matching = f"FROM jobs WHERE {query.where} AND {_among(candidates)}"
        ids: list[int] | None
        with self.transaction() as db:
            rows = db.execute(f"SELECT job_id {matching} LIMIT {_FEW + 1}", query.values).fetchall()
            total, ids = len(rows), [row[0] for row in rows]
            if total > _FEW:
                sql = f"SELECT count(*) {matching}"
                total, ids = int(db.execute(sql, query.values).fetchone()[0]), None
        with self._lock:
            self._totals[key] = changes, total, ids
            self._totals.move_to_end(key)
            if len(self._totals) > _MAX_TOTALS:
                self._totals.popitem(last=False)
        return total, ids

    def _sorted(
        self, query: _Query, limit: int | None, offset: int, total: int
    ) -> tuple[list[Job], int]:
        """Return a page of few jobs, which are read and then sorted."""
        # Its own limit keeps the database from reading all jobs in their order instead.
        few = f"(SELECT {_COLUMNS} FROM jobs WHERE {query.where} LIMIT {max(total, 1)}) AS few"
        page = _limit(limit, offset)
        return self._jobs(f"{few} ORDER BY {query.order} {page}", query.values), total

    def _walk(
        self, query: _Query, total: int, limit: int | None, offset: int, changes: int
    ) -> list[Job]:
        """Return a page of many jobs, in the order of an index, from the nearest known place."""
        count = max(0, min(total - offset, total if limit is None else limit))
        is_late = offset > total // 2
        if is_late:
            query.turn()
            offset = max(0, total - offset - count)
        column = _ORDER[query.sort_by]
        known = self._known_places(query, changes)
        place = max((at for at in list(known) if at <= offset), default=0)
        if place and query.sort_by != "duration":
            sign = "<=" if query.direction == "DESC" else ">="
            value, job_id = known[place]
            query.values.update(place_value=value, place_id=job_id)
            query.restrict(
                f"job_id {sign} :place_id"
                if column == "job_id"
                else f"({column}, job_id) {sign} (:place_value, :place_id)"
            )
            page = f"{_limit(count, offset - place)}"
        else:
            page = f"{_limit(count, offset)}"
        if query.sort_by == "duration":
            reach = _limit(count + offset, 0)
            ended = f"{query.where} AND running_since IS NULL"
            runs = f"{query.where} AND running_since IS NOT NULL"
            ids = (
                f"SELECT job_id FROM (SELECT * FROM (SELECT job_id, ran_ms AS length FROM jobs "
                f"WHERE {ended} ORDER BY ran_ms {query.direction}, job_id {query.direction} "
                f"{reach}) AS ended UNION ALL SELECT job_id, {_DURATION} AS length FROM jobs "
                f"WHERE {runs}) AS every ORDER BY length {query.direction}, "
                f"job_id {query.direction} {page}"
            )
        else:
            ids = f"SELECT job_id FROM jobs WHERE {query.where} ORDER BY {query.order} {page}"
        jobs = self._jobs(f"jobs WHERE job_id IN ({ids}) ORDER BY {query.order}", query.values)
        if jobs and offset >= _FEW and query.sort_by != "duration":
            # Of the first and of the last one, from which the next page goes on.
            for at, job in ((offset, jobs[0]), (offset + len(jobs) - 1, jobs[-1])):
                known[at] = getattr(job, column), job.job_id
        return jobs[::-1] if is_late else jobs

    def _known_places(self, query: _Query, changes: int) -> dict[int, tuple[Any, int]]:
        """Return the places of jobs that were seen in a list, if nothing was changed since."""
        values = (value for name, value in query.values.items() if name != "now")
        key = (query.sort_by, query.direction, query.where, *values)
        with self._lock:
            seen, places = self._places.pop(key, (changes, {}))
            if seen != changes or len(places) > _MAX_PLACES:
                places = {}
            self._places[key] = changes, places
            if len(self._places) > _MAX_LISTS:
                self._places.popitem(last=False)
        return places

    def count_active(self, project_id: str) -> int:
        """How many of a project's jobs have, or are about to have, a board."""
        sql = f"SELECT sum(number) FROM job_counts WHERE project_id = ? AND status IN ({_ACTIVE})"
        return self._value(sql, (project_id,)) or 0

    def with_status(self, statuses: Iterable[int]) -> list[Job]:
        """Return all jobs that have one of these statuses."""
        return self._jobs(f"jobs WHERE status IN ({_marks(statuses)})")

    def last_start(self) -> int:
        """When the last of the running jobs began to run, on the timeline's ``running``."""
        return self._value("SELECT max(running_since) FROM jobs") or 0

    def due(self, now: int) -> list[Job]:
        """Return the active jobs whose schedule says that they stop by now."""
        return self._jobs(f"jobs WHERE stop_at <= ? AND status IN ({_ACTIVE})", (now,))

    def idle(self, latest: int) -> list[Job]:
        """Return the running jobs that were not visited after this time."""
        values = (int(JobStatus.RUNNING), latest)
        return self._jobs("jobs WHERE status = ? AND visited_at <= ?", values)

    def keep_visits(self, times: Mapping[int, int]) -> None:
        """Write when jobs were last visited."""
        with self.alone() as db:
            db.executemany(
                "UPDATE jobs SET visited_at = ? WHERE job_id = ? "
                "AND (visited_at IS NULL OR visited_at < ?)",
                [(time, job_id, time) for job_id, time in times.items()],
            )

    def reset_visits(self, now: int | None) -> None:
        """Count from now on for active jobs whose visits were not counted; None: count none."""
        with self.alone() as db:
            if now is None:
                db.execute("UPDATE jobs SET visited_at = NULL WHERE visited_at IS NOT NULL")
            else:
                db.execute(
                    f"UPDATE jobs SET visited_at = ? WHERE visited_at IS NULL "
                    f"AND status IN ({_ACTIVE})",
                    (now,),
                )

    def left_by(self, is_left: Callable[[str], bool]) -> list[Job]:
        """Return the jobs that begin or end on front ends that were left by them.

        Args:
            is_left: tells of the name of a front end that it does not live.
        """
        changing = (JobStatus.INIT, JobStatus.WAITING, JobStatus.KILLING)
        return [job for job in self.with_status(changing) if job.runs_on and is_left(job.runs_on)]

    def next_stop(self) -> int | None:
        """When the next schedule is due."""
        return self._value(f"SELECT min(stop_at) FROM jobs WHERE status IN ({_ACTIVE})")

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
        in_board: int | None = None,
        **columns: Any,
    ) -> Job | None:
        """Give a job a new status as :meth:`change` does, and read it.

        Returns the job as it is then; None where nothing was changed.
        """
        with self.transaction():
            is_changed = self.change(job_id, sources, target, in_run, in_board, **columns)
            return self.get(job_id) if is_changed else None

    def change(
        self,
        job_id: int,
        sources: Iterable[int],
        target: int,
        in_run: int | None = None,
        in_board: int | None = None,
        **columns: Any,
    ) -> bool:
        """Give a job a new status, if it has one of ``sources`` (and that run, and that board).

        Returns False where nothing was changed.
        """
        columns = {"status": int(target), **columns}
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        marks = _marks(sources)
        same_run = "" if in_run is None else " AND run = :in_run"
        same_board = "" if in_board is None else " AND board_number = :in_board"
        with self.transaction() as db:
            cursor = db.execute(
                f"UPDATE jobs SET {changes} WHERE job_id = :id AND status IN ({marks})"
                f"{same_run}{same_board}",
                {**columns, "id": job_id, "in_run": in_run, "in_board": in_board},
            )
        return bool(cursor.rowcount)

    def describe(self, job: Job, job_desc: str) -> None:
        """Change a description."""
        text = _search_text(job.job_name, job_desc)
        with self.transaction() as db:
            db.execute(
                "UPDATE jobs SET job_desc = ?, search_text = ? WHERE job_id = ?",
                (job_desc, text, job.job_id),
            )

    def remove(self, job_id: int, sources: Iterable[int]) -> bool:
        """Remove a job with the links to its board, if it has one of these statuses."""
        marks = _marks(sources)
        with self.alone() as db:
            cursor = db.execute(
                f"DELETE FROM jobs WHERE job_id = ? AND status IN ({marks})", (job_id,)
            )
        return bool(cursor.rowcount > 0)

    def _jobs(self, query: str, values: Any = ()) -> list[Job]:
        """Return the jobs of a query, which begins with its table."""
        with self.transaction() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM {query}", values).fetchall()
        return [Job(**row) for row in rows]

    def _value(self, query: str, values: Any = ()) -> int | None:
        """Return the number that is the one result of a query; None for NULL."""
        with self.transaction() as db:
            value = db.execute(query, values).fetchone()[0]
        return None if value is None else int(value)

    def setting(self, name: str) -> str | None:
        """Return a value that the service keeps for itself."""
        with self.transaction() as db:
            row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep_setting(self, name: str, value: str) -> None:
        """Keep such a value."""
        with self.transaction() as db:
            db.execute(
                "INSERT INTO settings (name, value) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, value),
            )


class _Query:
    """A request for a list: conditions, an order, and the values in them."""

    def __init__(
        self, project_id: str, workspace_id: str, sort_by: str, is_descending: bool, now: int
    ) -> None:
        self.sort_by = sort_by
        self.where = "project_id = :project AND workspace_id = :workspace"
        self.values: dict[str, Any] = {
            "project": project_id,
            "workspace": workspace_id,
            "now": now,
        }
        self._is_descending = is_descending

    def restrict(self, condition: str) -> None:
        self.where += " AND " + condition

    def turn(self) -> None:
        """Turn the order round."""
        self._is_descending = not self._is_descending

    @property
    def direction(self) -> str:
        return "DESC" if self._is_descending else "ASC"

    @property
    def order(self) -> str:
        column = _ORDER[self.sort_by]
        if column == "job_id":
            return f"job_id {self.direction}"
        return f"{column} {self.direction}, job_id {self.direction}"


def _marks(statuses: Iterable[int]) -> str:
    return ", ".join(str(int(status)) for status in statuses)


def _among(ids: list[int]) -> str:
    return f"job_id IN ({', '.join(map(str, ids)) or 'NULL'})"


def _limit(limit: int | None, offset: int) -> str:
    return f"LIMIT {_MAX if limit is None else limit} OFFSET {offset}"


def _search_text(job_name: str, job_desc: str) -> str:
    """Return what searches look at; in Python, as SQLite knows the capitals of A to Z only."""
    return f"{job_name}\uffff{job_desc}".lower()
