"""The database on a PostgreSQL server, for several front ends (extra ``postgres``)."""

from __future__ import annotations

import re
import select
import time
from contextlib import contextmanager
from functools import lru_cache
from threading import BoundedSemaphore, Lock, local
from typing import Any, Callable, Generator, Iterator, Mapping, Sequence, TypeVar

import psycopg
from psycopg import errors, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from modelarts._internal.clock import Clock
from modelarts.errors import ConfigurationError
from modelarts.local.database.base import (
    Database,
    DatabaseUnavailable,
    Matches,
    StoreFailure,
    contains,
)
from modelarts.local.database.postgres_schema import prepare

_T = TypeVar("_T")
_MAX_CONNECTIONS = 8
#: After a failed attempt to connect, others fail at once for so long.
_PAUSE = 0.5
_MAX_ATTEMPTS = 5
#: What a statement, a wait for a lock and a transaction may take at most. A front end that is
#: stopped in a transaction keeps the others waiting no longer; a dead one is noticed as soon.
_SETTINGS = """
SET statement_timeout = '30s';
SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '30s';
SET default_transaction_isolation = 'read committed';
SET synchronous_commit = 'on';
SET client_min_messages = 'warning';
SET tcp_keepalives_idle = 5;
SET tcp_keepalives_interval = 3;
SET tcp_keepalives_count = 3;
"""
#: The server ends a statement after 30 seconds. One that does not do so has stopped.
_PATIENCE = 35.0
#: The same while the service ends.
_LAST_PATIENCE = 5.0
_CONNECTION = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "application_name": "modelarts",
}
#: The first half of the key of the lock of :meth:`PostgresDatabase.alone`.
_ALONE = 0x6D610001
_PARAMETER = re.compile(r"\?|(?<!:):([a-z_]+)|%")
_AGAIN = (errors.SerializationFailure, errors.DeadlockDetected)
_BUSY = (
    errors.QueryCanceled,
    errors.LockNotAvailable,
    errors.TooManyConnections,
    errors.ReadOnlySqlTransaction,
    errors.IdleInTransactionSessionTimeout,
)


class Row(tuple):  # type: ignore[type-arg] # of any length
    """The values of a row, by position and by name, as in :class:`sqlite3.Row`."""

    names: Sequence[str]

    def keys(self) -> Sequence[str]:
        """Return the names of the columns."""
        return self.names

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return tuple.__getitem__(self, self.names.index(key))
        return tuple.__getitem__(self, key)


class _Silent(psycopg.OperationalError):
    """The server did not answer in time."""


class _Connection(psycopg.Connection[Row]):
    """A connection that is closed if the server does not answer a statement.

    Attributes:
        patience: returns after how many seconds that is.
    """

    patience: Callable[[], float] = staticmethod(lambda: _PATIENCE)

    def wait(self, gen: Generator[Any, Any, _T], *arguments: Any, **named: Any) -> _T:
        """Wait until a statement has ended, as psycopg does, but not for ever."""
        try:
            return super().wait(self._limited(gen), *arguments, **named)
        except _Silent:
            self.close()
            raise

    def _limited(self, gen: Generator[Any, Any, _T]) -> Generator[Any, Any, _T]:
        begin, monotonic = time.monotonic(), time.monotonic
        try:
            wanted = next(gen)
            while True:
                # Several times a second nothing is ready (not in psycopg 3.2.0).
                ready = yield wanted
                if not ready and monotonic() - begin > self.patience():
                    raise _Silent("the server does not answer")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


class PostgresDatabase(Database):
    """Some connections to a server, each for one thread at a time.

    Args:
        url: ``postgresql://…``; the password is in it, or where libpq looks for it. It is kept
            in the connections only.
        patience: after how many seconds a connection is closed that does not answer.

    Raises:
        ConfigurationError: it cannot be reached or used. Nothing was changed.
    """

    is_shared = True

    def __init__(self, url: str, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._conninfo = _conninfo(url)
        self._clock = Clock()
        self._lock = Lock()
        self._free: list[psycopg.Connection[Row]] = []
        self._turns = BoundedSemaphore(_MAX_CONNECTIONS)
        self._down_until = 0.0
        self._is_closed = False
        self._current = local()
        try:
            connection = self.connect()
        except DatabaseUnavailable as failure:
            raise ConfigurationError(f"--database: {failure.__cause__}") from None
        self.name = _name(connection)
        try:
            features = prepare(connection)
        except psycopg.Error as error:
            connection.close()
            raise ConfigurationError(f"--database: {self.name}: {_primary(error)}") from None
        except BaseException:
            connection.close()
            raise
        self.schema_key = features.schema_key
        self._has_index = features.has_trigrams
        self._free.append(connection)

    def connect(self) -> psycopg.Connection[Row]:
        """Return a new connection, for the caller alone.

        Raises:
            DatabaseUnavailable: there is none.
        """
        try:
            connection = _Connection.connect(self._conninfo, autocommit=True, row_factory=_rows)
            connection.patience = lambda: self._patience
            connection.execute(_SETTINGS, prepare=False)
        except psycopg.Error as error:
            # libpq names the host, the user and the reason, and no password.
            reason = " ".join(str(error).split())
            raise DatabaseUnavailable("it cannot be reached") from ConnectionError(reason)
        return connection

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Return a context with a connection, on which each statement is a transaction."""
        with self._translated(), self._taken() as use:
            yield use

    @contextmanager
    def alone(self) -> Iterator[Any]:
        """Return the context of a transaction that holds the lock of this schema."""
        with self._translated(), self._taken() as use:
            if use.in_transaction:
                yield use
                return
            use.connection.execute("BEGIN")
            use.in_transaction = True
            try:
                use.execute("SELECT pg_advisory_xact_lock(?, ?)", (_ALONE, self.schema_key))
                yield use
            except BaseException:
                use.in_transaction = False
                _roll_back(use.connection)
                raise
            use.in_transaction = False
            try:
                use.connection.execute("COMMIT")
            except psycopg.Error as error:
                if use.connection.closed:
                    raise DatabaseUnavailable("its connection was lost", True) from error
                raise

    def insert(self, table: str, columns: Mapping[str, Any], key: str) -> int:
        """Insert a row, and return the number that it was given."""
        names = ", ".join(columns)
        values = ", ".join(":" + name for name in columns)
        sql = f"INSERT INTO {table} ({names}) VALUES ({values}) ON CONFLICT DO NOTHING"
        with self.transaction() as db:
            row = db.execute(f"{sql} RETURNING {key}", columns).fetchone()
        if row is None:
            raise KeyError(table)
        return int(row[0])

    def expect_many(self) -> None:
        """Do nothing: the indexes are always there."""

    def matching(self, search: str, limit: int) -> Matches:
        """Return the jobs whose text has this search, if they are few."""
        if not self._has_index or len(search) < 3:
            return Matches(None)
        with self.transaction() as db:
            rows = db.execute(
                "SELECT job_id FROM jobs WHERE search_text LIKE ? ESCAPE '!' LIMIT ?",
                (contains(search), limit + 1),
            ).fetchall()
        return Matches([row[0] for row in rows] if len(rows) <= limit else None)

    def place(self) -> str:
        """Return a text for the server, the database and its tables."""
        server = ""
        with self.transaction() as db:
            database, table, may_ask = db.execute(
                "SELECT (SELECT oid FROM pg_database WHERE datname = current_database())::bigint, "
                "'settings'::regclass::oid::bigint, "
                "has_function_privilege(to_regprocedure('pg_control_system()'), 'EXECUTE')"
            ).fetchone()
            if may_ask:
                sql = "SELECT system_identifier::text FROM pg_control_system()"
                (server,) = db.execute(sql).fetchone()
        return f"{server}-{database}-{table}"

    def time(self) -> float:
        """Return the time of the server."""
        with self.transaction() as db:
            row = db.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        return float(row[0])

    def hurry(self) -> None:
        self._patience = min(self._patience, _LAST_PATIENCE)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            connections, self._free = self._free, []
        for connection in connections:
            connection.close()

    @contextmanager
    def _taken(self) -> Iterator[_Use]:
        """Return the context of a connection that no other thread has."""
        current: _Use | None = getattr(self._current, "use", None)
        if current is not None:
            yield current
            return
        with self._turns:
            use = self._current.use = _Use(self, self.take())
            try:
                yield use
            finally:
                self._current.use = None
                self._put(use.connection)

    def take(self) -> psycopg.Connection[Row]:
        """Return a connection that works, as far as can be known without asking the server."""
        while True:
            with self._lock:
                if not self._free:
                    break
                connection = self._free.pop()
            if not _is_lost(connection):
                return connection
            connection.close()
        if self._clock.monotonic() < self._down_until:
            raise DatabaseUnavailable("it cannot be reached")
        try:
            connection = self.connect()
        except DatabaseUnavailable:
            self._down_until = self._clock.monotonic() + _PAUSE
            raise
        self._down_until = 0.0
        return connection

    def _put(self, connection: psycopg.Connection[Row]) -> None:
        is_idle = connection.info.transaction_status == pq.TransactionStatus.IDLE
        with self._lock:
            if is_idle and not connection.closed and not self._is_closed:
                self._free.append(connection)
                return
        connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise _failure(error) from error


def read(url: str, sql: str) -> list[Any]:
    """Return the rows of a query, and change nothing.

    Raises:
        ConfigurationError: the database cannot be read.
    """
    try:
        with _Connection.connect(_conninfo(url), autocommit=True) as connection:
            connection.patience = lambda: _LAST_PATIENCE
            connection.read_only = True
            return connection.execute(_translate(sql)).fetchall()
    except psycopg.Error as error:
        reason = " ".join(str(error.diag.message_primary or error).split())
        raise ConfigurationError(f"--database: {reason}") from None


class _Use:
    """The use of a connection by one thread. Where that is safe, a statement is repeated."""

    def __init__(self, database: PostgresDatabase, connection: psycopg.Connection[Row]) -> None:
        self.connection = connection
        self.in_transaction = False
        self._database = database

    def execute(self, sql: str, parameters: Any = ()) -> psycopg.Cursor[Row]:
        """Execute a statement.

        Raises:
            DatabaseUnavailable: the connection was lost meanwhile.
            psycopg.Error: it failed otherwise.
        """
        text = _translate(sql)
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            try:
                return self.connection.execute(text, parameters)
            except _AGAIN:
                if self.in_transaction or attempt == _MAX_ATTEMPTS:
                    raise
            except psycopg.OperationalError as error:
                if self.in_transaction or not self.connection.closed:
                    raise
                is_read = sql.startswith("SELECT")
                if not is_read or attempt == _MAX_ATTEMPTS:
                    reason = "its connection was lost"
                    raise DatabaseUnavailable(reason, is_in_doubt=not is_read) from error
                self.connection = self._database.take()
        raise AssertionError  # the last attempt has raised

    def executemany(self, sql: str, parameters: Sequence[Any]) -> None:
        """Execute a statement with each of some parameters, in a transaction."""
        self.connection.cursor().executemany(_translate(sql), parameters)


def _rows(cursor: psycopg.Cursor[Any]) -> type[Row]:
    return _row(tuple(column.name for column in cursor.description or ()))


@lru_cache(100)
def _row(names: tuple[str, ...]) -> type[Row]:
    return type("Row", (Row,), {"names": names})


def _roll_back(connection: psycopg.Connection[Row]) -> None:
    try:
        connection.execute("ROLLBACK")
    except psycopg.Error:
        connection.close()  # the server rolls back by itself


@lru_cache(500)
def _translate(sql: str) -> Any:
    """Return a statement with psycopg's marks of parameters."""

    def mark(match: re.Match[str]) -> str:
        if match.group() == "%":
            return "%%"
        return "%s" if match.group() == "?" else f"%({match.group(1)})s"

    return _PARAMETER.sub(mark, sql)


def _failure(error: psycopg.Error) -> StoreFailure:
    if isinstance(error, _BUSY):
        return DatabaseUnavailable(_primary(error))
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and (
        error.sqlstate is None or error.sqlstate[:2] in ("08", "57")
    ):
        return DatabaseUnavailable("its connection was lost")
    return StoreFailure(_primary(error))


def _primary(error: psycopg.Error) -> str:
    """Return what the server says, without the values that it adds."""
    return error.diag.message_primary or type(error).__name__


def _is_lost(connection: psycopg.Connection[Row]) -> bool:
    """Return True if the server has closed a connection that no thread used."""
    if connection.closed:
        return True
    # A server that sends something without being asked says that it ends.
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _conninfo(url: str) -> str:
    if not url.startswith(("postgresql://", "postgres://")):
        raise ConfigurationError("--database must be postgresql://[USER@]HOST[:PORT]/DATABASE")
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:  # it would repeat parts of the URL, and the password is in it
        raise ConfigurationError(
            "--database is no address of PostgreSQL: postgresql://[USER@]HOST[:PORT]/DATABASE; "
            "special characters in its parts are written as %XX"
        ) from None
    return make_conninfo("", **{**_CONNECTION, **parts})


def _name(connection: psycopg.Connection[Row]) -> str:
    info = connection.info
    return f"PostgreSQL database {info.dbname} at {info.host or info.hostaddr}:{info.port}"
