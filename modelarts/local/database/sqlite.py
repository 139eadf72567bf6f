"""The database in a file of SQLite, for one front end."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Iterator, Mapping

from modelarts._internal.clock import Clock
from modelarts.local.database.base import Database, Matches, StoreFailure
from modelarts.local.database.schema import (
    add_indexes,
    has_index_of_texts,
    has_indexes,
    open_database,
)
from modelarts.local.files import place_of

_LOG = logging.getLogger("modelarts.local")
#: The shortest search that the index of texts has.
_TRIGRAM = 3


class SqliteDatabase(Database):
    """One connection behind one lock.

    Args:
        path: the file, which is made if there is none.

    Raises:
        ValueError: it is damaged, or was written by another version; it is left as it is.
        sqlite3.Error: it cannot be opened or written.
    """

    is_shared = False
    whole = "NOT INDEXED"

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._folder = path.parent
        self._lock = RLock()
        self._db = open_database(path)
        self._has_indexes = has_indexes(self._db)
        self._has_texts = has_index_of_texts(self._db)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Return a context with the connection, for this thread alone."""
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise StoreFailure(error) from error

    @contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """Return the context of a transaction of several statements."""
        with self._lock:
            if self._db.in_transaction:
                yield self._db
                return
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise StoreFailure(error) from error

    def insert(self, table: str, columns: Mapping[str, Any], key: str) -> int:
        """Insert a row, and return the number that it was given."""
        names = ", ".join(columns)
        values = ", ".join(":" + name for name in columns)
        with self.transaction() as db:
            try:
                cursor = db.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", columns)
            except sqlite3.IntegrityError as error:
                raise KeyError(str(error)) from None
        return cursor.lastrowid or 0

    def expect_many(self) -> None:
        """Add the indexes for lists of many jobs, if there are none."""
        if self._has_indexes:
            return
        with self.transaction() as db:
            if not self._has_indexes and not db.in_transaction:
                add_indexes(db)
                self._has_indexes = True
                self._has_texts = has_index_of_texts(db)
                _LOG.info("%s has many jobs: lists of them have indexes now", self.name)

    def matching(self, search: str, limit: int) -> Matches:
        """Return the jobs whose text has this search, if they are few."""
        if not self._has_texts or len(search) < _TRIGRAM or "\0" in search:
            return Matches(None)
        phrase = '"' + search.replace('"', '""') + '"'
        with self.transaction() as db:
            rows = db.execute(
                "SELECT rowid FROM job_texts WHERE job_texts MATCH ? LIMIT ?", (phrase, limit + 1)
            ).fetchall()
        return Matches([row[0] for row in rows] if len(rows) <= limit else None)

    def place(self) -> str:
        """Return a text for the place of the folder with the file."""
        return place_of(self._folder)

    def time(self) -> float:
        """Return the time of this machine."""
        return Clock().time()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
