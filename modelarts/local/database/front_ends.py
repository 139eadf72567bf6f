"""The front ends of one database: which of them lives, and which does what only one may do."""

from __future__ import annotations

import hashlib
import logging
from abc import ABC, abstractmethod
from threading import Event, Thread
from typing import TYPE_CHECKING, Callable

from modelarts._internal.clock import Clock

if TYPE_CHECKING:
    from modelarts.local.database.postgres import PostgresDatabase

_LOG = logging.getLogger("modelarts.local")
#: The first halves of the keys of locks: of being there, of the name, and of the leader.
_ANY = 0x6D610003
_NAME = 0x6D610004
_LEADER = 0x6D610005
#: How long a front end waits for another one that begins, or for its own connection of before.
_WAIT = "15s"
_PAUSE = 0.5
_LIVING = """
SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
#: A front end is gone when it was not there for so long: after a fault of the network, or of the
#: database, it comes back sooner.
_GONE_SECONDS = 5.0


class FrontEnds(ABC):
    """The front ends of a database, as one of them sees them.

    Attributes:
        name: the name of this one; None where there is no other.
        is_first: it began while no other one lived.
    """

    name: str | None
    is_first: bool

    @property
    @abstractmethod
    def is_leader(self) -> bool:
        """True if this one does what only one may do."""

    @abstractmethod
    def living(self) -> Callable[[str], bool]:
        """Return a function that tells by its name whether a front end lives.

        Raises:
            StoreFailure: the database cannot be asked.
        """

    @abstractmethod
    def start(self, changed: Callable[[], None]) -> None:
        """Let the others begin too.

        Args:
            changed: is called when another one has changed something, or this one leads now.
        """

    @abstractmethod
    def announce(self) -> None:
        """Notify the other front ends of a change. A failure is logged, not raised."""

    @abstractmethod
    def close(self) -> None:
        """Leave the others."""


class Gone:
    """The front ends that are gone for some time.

    Args:
        front_ends: tells which live.
    """

    def __init__(self, front_ends: FrontEnds) -> None:
        self._front_ends = front_ends
        # By the front end: since when it is seen to be gone.
        self._since: dict[str, float] = {}

    @property
    def is_waiting(self) -> bool:
        """True if a front end has left something, and is to be looked for again soon."""
        return bool(self._since)

    def look(self, now: float) -> Callable[[str], bool]:
        """Return a function that tells by its name whether a front end is gone for some time.

        Args:
            now: by the monotonic clock, in seconds.

        Raises:
            StoreFailure: the database cannot be asked.
        """
        lives = self._front_ends.living()
        before, self._since = self._since, {}

        def is_gone(name: str) -> bool:
            if lives(name):
                return False
            since = self._since[name] = before.get(name, now)
            return now - since >= _GONE_SECONDS

        return is_gone


class OnlyFrontEnd(FrontEnds):
    """The one front end of a file."""

    name = None
    is_first = True
    is_leader = True

    def living(self) -> Callable[[str], bool]:
        """Return a function that tells by its name whether a front end lives."""
        return lambda name: False

    def start(self, changed: Callable[[], None]) -> None:
        """Do nothing: a file has one front end, which alone changes it."""

    def announce(self) -> None:
        """Do nothing: there is no other front end to inform."""

    def close(self) -> None:
        """Do nothing: there is no other front end to take over."""


class SharedFrontEnds(FrontEnds):
    """The front ends of a PostgreSQL database.

    A connection of its own holds advisory locks, which the server frees when the connection ends,
    in whatever way: a shared one, by which the first front end knows that it is the first; one of
    the name; and that of the leader.

    Args:
        database: the database.
        name: the name of this front end, of which there is one at a time.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
        ValueError: there is one of this name.
    """

    def __init__(self, database: PostgresDatabase, name: str) -> None:
        self.name: str = name
        self._database = database
        self._changed: Callable[[], None] = lambda: None
        self._closing = Event()
        self._leads = False
        # The keys of those that live, as the leader has last seen them.
        self._others: set[int] = set()
        self._connection = database.connect()
        self._channel = f"modelarts_{database.schema_key}"
        self._thread = Thread(target=self._watch, name="front ends", daemon=True)
        try:
            self.is_first = self._join(may_be_first=True)
        except BaseException:
            self._connection.close()
            raise

    @property
    def is_leader(self) -> bool:
        return self._leads

    def living(self) -> Callable[[str], bool]:
        """Return a function that tells by its name whether a front end lives."""
        with self._database.transaction() as db:
            rows = db.execute(f"{_LIVING} AND classid = ?", (_NAME,)).fetchall()
        keys = {row[0] for row in rows}
        return lambda name: self._key(name) in keys

    def start(self, changed: Callable[[], None]) -> None:
        """Let the others begin too, and watch them."""
        self._changed = changed
        if self.is_first:
            key = self._database.schema_key
            self._connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", (_ANY, key))
            self._connection.execute("SELECT pg_advisory_unlock(%s, %s)", (_ANY, key))
        self._lead()
        self._thread.start()

    def announce(self) -> None:
        """Have the other front ends look at what was changed."""
        from modelarts.local.database.base import StoreFailure

        try:
            with self._database.transaction() as db:
                db.execute("SELECT pg_notify(?, ?)", (self._channel, self.name))
        except StoreFailure as failure:
            _LOG.error("%s", failure)

    def close(self) -> None:
        """Leave the others; the leader's place is free at once."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self._leads = False
        self._connection.close()

    def _key(self, name: str) -> int:
        digest = hashlib.sha256(f"{self._database.schema_key} {name}".encode()).digest()
        return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF

    def _join(self, may_be_first: bool) -> bool:
        """Take the locks of this front end; return True if there is no other one."""
        from psycopg.errors import LockNotAvailable

        execute, key = self._connection.execute, self._database.schema_key
        execute(f"SET lock_timeout = '{_WAIT}'", prepare=False)
        is_first, problem = False, f"another front end with the name {self.name} uses the database"
        try:
            execute("SELECT pg_advisory_lock(%s, %s)", (_NAME, self._key(self.name)))
            problem = "the first front end of the database has not begun for 15 seconds; try again"
            if may_be_first:
                row = execute("SELECT pg_try_advisory_lock(%s, %s)", (_ANY, key)).fetchone()
                is_first = bool(row and row[0])
            if not is_first:
                execute("SELECT pg_advisory_lock_shared(%s, %s)", (_ANY, key))
        except LockNotAvailable:
            raise ValueError(problem) from None
        execute(f"LISTEN {self._channel}")
        return is_first

    def _lead(self) -> bool:
        """Take the leader's place if it is free; return True if this one has it now."""
        row = self._connection.execute(
            "SELECT pg_try_advisory_lock(%s, %s)", (_LEADER, self._database.schema_key)
        ).fetchone()
        self._leads = bool(row and row[0])
        if self._leads:
            _LOG.info("this front end (%s) leads: schedules and adoption are its own", self.name)
        return self._leads

    def _watch(self) -> None:
        while not self._closing.is_set():
            try:
                if self._look():
                    self._changed()
            except Exception as error:  # of the database; it is looked for until the end
                if self._leads:
                    _LOG.error("this front end (%s) does not lead any more: %s", self.name, error)
                self._leads = False
                self._connection.close()
                Clock().sleep(_PAUSE)

    def _look(self) -> bool:
        """Wait a moment; return True if there is something to look at."""
        if self._connection.closed:
            self._connection = self._database.connect()
            self._join(may_be_first=False)
            self._lead()
            return True
        notices = list(self._connection.notifies(timeout=_PAUSE, stop_after=1))
        if not self._leads:
            if self._lead():
                return True
        else:
            rows = self._connection.execute(f"{_LIVING} AND classid = %s", (_NAME,)).fetchall()
            before, self._others = self._others, {row[0] for row in rows}
            if before - self._others:
                return True  # one has died, and may have left something
        return any(notice.payload != self.name for notice in notices)
