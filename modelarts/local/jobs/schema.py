"""The file of the jobs: its tables, its version, and checks before it is used."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from modelarts.local.jobs.wal import check_log

__all__ = ["SCHEMA", "VERSION", "open_database"]

#: A released schema is never changed: a later version comes with the steps that lead to it.
VERSION = 6
SCHEMA = """
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
    reason TEXT,
    asleep INTEGER NOT NULL DEFAULT 0,
    reads_as TEXT NOT NULL,
    sources TEXT,
    visited_at INTEGER,
    is_idle INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX jobs_of_project ON jobs (project_id, status);
CREATE INDEX jobs_by_status ON jobs (status);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE trainings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL UNIQUE,
    project_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    user_name TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    definition TEXT NOT NULL,
    schedule_hours INTEGER,
    status INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    start_time INTEGER,
    started_at INTEGER,
    ran_ms INTEGER NOT NULL DEFAULT 0,
    stop_at INTEGER,
    gpu TEXT,
    key TEXT NOT NULL,
    exit_code INTEGER,
    reason TEXT,
    is_deleted INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX training_names ON trainings (project_id, name) WHERE is_deleted = 0;
CREATE INDEX trainings_by_status ON trainings (status);
CREATE TABLE training_events (
    number INTEGER NOT NULL,
    time INTEGER NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX events_of_training ON training_events (number);
CREATE TABLE training_metrics (
    number INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    metric TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (number, minute, metric)
);
CREATE TABLE shares (
    share_id TEXT PRIMARY KEY,
    job_id INTEGER NOT NULL REFERENCES jobs (job_id) ON DELETE CASCADE,
    key_hash TEXT NOT NULL UNIQUE,
    create_time INTEGER NOT NULL,
    end_time INTEGER NOT NULL,
    ends_at INTEGER NOT NULL
);
CREATE INDEX shares_of_job ON shares (job_id);
"""


def open_database(path: Path) -> sqlite3.Connection:
    """Return the file, made if there is none.

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
        db.execute("PRAGMA journal_mode = WAL")
        # What a client was told survives a power cut too; the second is for macOS.
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA fullfsync = ON")
        # The links to a board go with its job.
        db.execute("PRAGMA foreign_keys = ON")
        _create(db)
    except BaseException:
        db.close()
        raise
    return db


def _check(path: Path) -> None:
    # By a connection of its own that can only read, and so writes nothing when it is closed.
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            age = "a newer" if version > VERSION else "an unreleased"
            raise ValueError(
                f"{path} was written by {age} version of modelarts (schema {version}, "
                f"known here: {VERSION})"
            )
        problem = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:  # it cannot be read, which is not to say that it is damaged
        raise
    except sqlite3.DatabaseError as error:
        problem = str(error)
    finally:
        db.close()
    if problem != "ok":
        raise ValueError(
            f"{path} is damaged ({' '.join(problem.split())}); it was left as it is: put a copy in "
            "its place, or move it away to begin without jobs"
        )


def _create(db: sqlite3.Connection) -> None:
    """Make the tables of a new file, wholly or not at all."""
    if db.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    try:
        db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
