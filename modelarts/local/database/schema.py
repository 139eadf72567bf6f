"""The file of the jobs: its tables, its version, and checks before it is used."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from modelarts.local.database.wal import check_log

#: A released schema is never changed: a later version comes with the steps that lead to it.
VERSION = 8
#: The tables, for SQLite and, with other names of types, for PostgreSQL.
SCHEMA = """
CREATE TABLE jobs (
    job_id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    job_name TEXT NOT NULL,
    job_desc TEXT NOT NULL,
    search_text TEXT NOT NULL,
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
    is_idle INTEGER NOT NULL DEFAULT 0,
    runs_on TEXT,
    board_number INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX jobs_by_status ON jobs (status);
CREATE INDEX jobs_of_project ON jobs (project_id, workspace_id, status, job_id);
CREATE TABLE job_counts (
    project_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    number INTEGER NOT NULL,
    changes INTEGER NOT NULL,
    PRIMARY KEY (project_id, workspace_id, status)
);
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
    is_deleted INTEGER NOT NULL DEFAULT 0,
    runs_on TEXT
);
CREATE UNIQUE INDEX training_names ON trainings (project_id, name) WHERE is_deleted = 0;
CREATE INDEX trainings_by_status ON trainings (status);
CREATE TABLE training_events (
    event_id INTEGER PRIMARY KEY AUTOINCREMENT,
    number INTEGER NOT NULL,
    time INTEGER NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX events_of_training ON training_events (number, event_id);
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
#: For lists of many jobs: each order has an index.
INDEXES = """
CREATE INDEX jobs_running ON jobs (project_id, running_since) WHERE running_since IS NOT NULL;
CREATE INDEX jobs_by_id ON jobs (project_id, workspace_id, job_id);
CREATE INDEX jobs_by_name ON jobs (project_id, workspace_id, job_name, job_id);
CREATE INDEX jobs_by_desc ON jobs (project_id, workspace_id, job_desc, job_id);
CREATE INDEX jobs_by_time ON jobs (project_id, workspace_id, create_time, job_id);
CREATE INDEX jobs_by_folder ON jobs (project_id, workspace_id, train_url, job_id);
CREATE INDEX jobs_by_length ON jobs (project_id, workspace_id, ran_ms, job_id)
    WHERE running_since IS NULL;
"""
#: How many jobs of each status a project has is counted with each change, so that no list counts.
_COUNTS = """
CREATE TRIGGER job_added AFTER INSERT ON jobs BEGIN
    INSERT INTO job_counts VALUES (NEW.project_id, NEW.workspace_id, NEW.status, 1, 1)
    ON CONFLICT (project_id, workspace_id, status)
    DO UPDATE SET number = number + 1, changes = changes + 1;
END;
CREATE TRIGGER job_removed AFTER DELETE ON jobs BEGIN
    UPDATE job_counts SET number = number - 1, changes = changes + 1
    WHERE project_id = OLD.project_id AND workspace_id = OLD.workspace_id AND status = OLD.status;
END;
CREATE TRIGGER job_moved AFTER UPDATE OF status ON jobs WHEN OLD.status <> NEW.status BEGIN
    UPDATE job_counts SET number = number - 1, changes = changes + 1
    WHERE project_id = OLD.project_id AND workspace_id = OLD.workspace_id AND status = OLD.status;
    INSERT INTO job_counts VALUES (NEW.project_id, NEW.workspace_id, NEW.status, 1, 1)
    ON CONFLICT (project_id, workspace_id, status)
    DO UPDATE SET number = number + 1, changes = changes + 1;
END;
CREATE TRIGGER job_described AFTER UPDATE OF search_text ON jobs BEGIN
    UPDATE job_counts SET changes = changes + 1
    WHERE project_id = OLD.project_id AND workspace_id = OLD.workspace_id AND status = OLD.status;
END;
"""
#: Three letters of the texts of jobs after another, for searches; SQLite 3.34 and newer.
_TEXTS = """
CREATE VIRTUAL TABLE job_texts USING fts5(
    search_text, content = 'jobs', content_rowid = 'job_id',
    tokenize = 'trigram case_sensitive 1'
);
CREATE TRIGGER text_added AFTER INSERT ON jobs BEGIN
    INSERT INTO job_texts (rowid, search_text) VALUES (NEW.job_id, NEW.search_text);
END;
CREATE TRIGGER text_removed AFTER DELETE ON jobs BEGIN
    INSERT INTO job_texts (job_texts, rowid, search_text)
    VALUES ('delete', OLD.job_id, OLD.search_text);
END;
CREATE TRIGGER text_changed AFTER UPDATE OF search_text ON jobs BEGIN
    INSERT INTO job_texts (job_texts, rowid, search_text)
    VALUES ('delete', OLD.job_id, OLD.search_text);
    INSERT INTO job_texts (rowid, search_text) VALUES (NEW.job_id, NEW.search_text);
END;
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
        db.execute("PRAGMA journal_mode = WAL")
        # An acknowledged change survives a power cut, too; the second is for macOS.
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA fullfsync = ON")
        # Of a table with very many jobs, more is kept in memory: 32 MiB.
        db.execute("PRAGMA cache_size = -32768")
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
                f"known here: {VERSION}); it was left as it is: serve it with the version that "
                "wrote it, or move the file away to begin without jobs"
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
    _run(db, f"{SCHEMA} {_COUNTS} PRAGMA user_version = {VERSION};")


def add_indexes(db: sqlite3.Connection) -> None:
    """Add what lists of many jobs need. Each change costs more then, so few jobs have none of it.

    Raises:
        sqlite3.Error: it cannot be written; nothing was added.
    """
    rebuild = "INSERT INTO job_texts (job_texts) VALUES ('rebuild');"
    _run(db, INDEXES + (f"{_TEXTS} {rebuild}" if _knows_trigrams() else ""))


def _run(db: sqlite3.Connection, script: str) -> None:
    try:
        db.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _knows_trigrams() -> bool:
    db = sqlite3.connect(":memory:")
    try:
        db.execute("CREATE VIRTUAL TABLE texts USING fts5(text, tokenize = 'trigram')")
    except sqlite3.Error:
        return False
    finally:
        db.close()
    return True


def has_indexes(db: sqlite3.Connection) -> bool:
    """Return True if lists of many jobs have what they need."""
    row = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs_by_name'").fetchone()
    return row is not None


def has_index_of_texts(db: sqlite3.Connection) -> bool:
    """Return True if searches can ask the index of the texts of jobs."""
    row = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'job_texts'").fetchone()
    if row is None:
        return False
    db.execute("SELECT 1 FROM job_texts LIMIT 0")  # fails where this SQLite does not know it
    return True
