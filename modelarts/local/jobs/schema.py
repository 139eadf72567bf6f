"""The file of the jobs: opened, checked, and brought up to the version that is known here."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from modelarts.local.jobs.wal import check_log

__all__ = ["VERSION", "open_database", "wall_ms"]

_FIRST = """
CREATE TABLE jobs (
    job_id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    job_name TEXT NOT NULL,
    job_desc TEXT NOT NULL,
    train_url TEXT NOT NULL,
    job_type TEXT NOT NULL,
    flavor TEXT,
    schedule_hours INTEGER,
    status INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    run INTEGER NOT NULL DEFAULT 1,
    ran_ms INTEGER NOT NULL DEFAULT 0,
    running_since INTEGER,
    stop_at INTEGER,
    page_key TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    reason TEXT
);
CREATE INDEX jobs_of_project ON jobs (project_id, workspace_id);
CREATE INDEX jobs_by_status ON jobs (status);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
# Until then running_since was of the wall clock; what a client was told last, goes on from there.
_SECOND = """
ALTER TABLE jobs ADD COLUMN asleep INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET ran_ms = ran_ms + max(0, wall_ms() - running_since), running_since = NULL
WHERE running_since IS NOT NULL;
"""
#: Each leads to the next version. Released ones are never changed; a new one is added at the end.
_STEPS = (_FIRST, _SECOND)
VERSION = len(_STEPS)


def open_database(path: Path) -> sqlite3.Connection:
    """The file, made if there is none.

    Raises:
        ValueError: it is damaged, or was written by a newer version; it is left as it is.
        sqlite3.Error: it cannot be opened or written.
    """
    if path.exists():
        check_log(path.with_name(path.name + "-wal"))
        _check(path)
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        db.row_factory = sqlite3.Row
        # SQLite's own knows A to Z only.
        db.create_function("lower", 1, str.lower, deterministic=True)
        db.create_function("wall_ms", 0, wall_ms)
        db.execute("PRAGMA journal_mode = WAL")
        # What a client was told survives a power cut too; the second is for macOS.
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA fullfsync = ON")
        _migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def wall_ms() -> int:
    """What the wall clock shows, in the first version's terms."""
    return int(time.time() * 1000)


def _check(path: Path) -> None:
    # By a connection of its own that can only read, and so writes nothing when it is closed.
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise ValueError(
                f"{path} was written by a newer version of modelarts (schema {version}, "
                f"known here: {VERSION})"
            )
        found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:  # it cannot be read, which is not to say that it is damaged
        raise
    except sqlite3.DatabaseError as error:
        found = str(error)
    finally:
        db.close()
    if found != "ok":
        raise ValueError(
            f"{path} is damaged ({' '.join(found.split())}); it was left as it is: put a copy in "
            "its place, or move it away to begin without jobs"
        )


def _migrate(db: sqlite3.Connection) -> None:
    """To the version known here, wholly or not at all."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION:
        return
    steps = "".join(_STEPS[version:])
    try:
        db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
