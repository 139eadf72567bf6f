"""Lists and details with 100 and with 100 000 jobs: ``python -m benchmarks.lists [JOBS] [URL…]``.

It prints the median of each call over HTTP in milliseconds, and what it is by with many jobs. Each
``URL`` is an empty PostgreSQL database that it fills too.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from modelarts.local.database.base import Database
from modelarts.local.database.sqlite import SqliteDatabase
from modelarts.local.jobs.store import Store
from modelarts.models import JobStatus
from tests.servers.served import Served

__all__ = ["main"]

_FEW = 100
_MANY = 100_000
_ROUNDS = 40
_STATUSES = (JobStatus.KILLED, JobStatus.FAILED, JobStatus.CANCELED)
_WORDS = ("vision", "speech", "ranking", "translation", "forecast", "robotics", "genome")
_SORTS = ("job_name", "job_desc", "create_time", "status", "duration", "log_dir")


def _rows(number: int, project: str) -> Iterator[Dict[str, Any]]:
    for each in range(number):
        # No order of the columns is that of the ids.
        mixed = each * 7919 % number
        name = "job-%06d" % mixed
        description = "%s run %d" % (_WORDS[each % len(_WORDS)], mixed)
        yield {
            "project_id": project,
            "workspace_id": "0",
            "job_name": name,
            "job_desc": description,
            "search_text": name + "\uffff" + description,
            "train_url": "/bucket/logs/%d/" % mixed,
            "job_type": "tensorboard",
            "status": int(_STATUSES[each % len(_STATUSES)]),
            "create_time": 1_700_000_000_000 + mixed,
            "ran_ms": mixed,
            "page_key": "%032x" % each,
            "resource_id": str(each),
            "reads_as": project,
        }


def _fill(database: Database, number: int, project: str) -> None:
    store = Store(database)
    if database.is_shared:  # each row would make the next one slower, in one transaction
        with store.alone() as db:
            db.execute("ALTER TABLE jobs DISABLE TRIGGER USER")
    rows = list(_rows(number, project))
    names = ", ".join(rows[0])
    marks = ", ".join("?" for _ in rows[0])
    with store.alone() as db:
        sql = "INSERT INTO jobs (%s) VALUES (%s)" % (names, marks)
        db.executemany(sql, [tuple(row.values()) for row in rows])
        if database.is_shared:
            db.execute("ALTER TABLE jobs ENABLE TRIGGER USER")
            db.execute("DELETE FROM job_counts")
            db.execute(
                "INSERT INTO job_counts SELECT project_id, workspace_id, status, count(*), 1 "
                "FROM jobs GROUP BY project_id, workspace_id, status"
            )
    store.close()


def _calls(session: Any, number: int) -> List[Tuple[str, Callable[[], Any]]]:
    path = "/v1/%s/visualization-jobs" % session.project_id

    def page(**query: Any) -> Callable[[], Any]:
        return lambda: session.request("GET", path, query={"per_page": 10, **query})

    last = number // 10
    calls = [
        ("details", lambda: session.request("GET", "%s/%d" % (path, number // 2))),
        ("first page", page()),
        ("middle page", page(page=max(1, last // 2))),
        ("last page", page(page=last)),
        *(("sorted by %s" % sort, page(sortBy=sort, order="desc")) for sort in _SORTS),
        ("one status", page(status=int(_STATUSES[0]))),
        ("one status, sorted", page(status=int(_STATUSES[0]), sortBy="job_name")),
        ("search: one job", page(search_content="run %d" % (number - 1))),
        ("search: no job", page(search_content="nothing-has-this")),
        ("search, sorted: one job", page(search_content="job-000042", sortBy="job_name")),
        ("search, sorted: a seventh", page(search_content="robotics", sortBy="job_name")),
        ("search, sorted: all", page(search_content="job", sortBy="create_time")),
    ]
    return calls


def _measure(number: int, url: Optional[str]) -> Dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        options = () if url is None else ("--database", url)
        first = Served(root, *options)
        project = first.connection["project_id"]
        first.end()
        if url is None:
            _fill(SqliteDatabase(root / "jobs.sqlite"), number, project)
        else:
            from modelarts.local.database.postgres import PostgresDatabase

            database = PostgresDatabase(url)
            with database.alone() as db:
                db.execute("TRUNCATE jobs, job_counts RESTART IDENTITY CASCADE")
            _fill(database, number, project)
            _analyze(url)
        served = Served(root, *options)
        seen = {}
        try:
            with served.session() as session:
                for name, call in _calls(session, number):
                    call()
                    seen[name] = median(_time(call) for _ in range(_ROUNDS))
        finally:
            served.end()
    return seen


def _analyze(url: str) -> None:
    """Do what autovacuum does a minute later."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE jobs")


def _time(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def main(arguments: List[str]) -> None:
    """Print the table."""
    many = int(arguments[0]) if arguments else _MANY
    for url in (None, *arguments[1:]):
        few, lots = _measure(_FEW, url), _measure(many, url)
        print("\n%s: milliseconds with %d and %d jobs" % (url or "SQLite", _FEW, many))
        for name, before in few.items():
            after = lots[name]
            print("%-28s %6.2f %7.2f  x %.2f" % (name, before, after, after / before))


if __name__ == "__main__":
    main(sys.argv[1:])
