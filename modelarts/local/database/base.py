"""The seam between the stores and a database, whichever it is.

Statements are written once, with ``?`` or ``:name`` for parameters. What SQLite and PostgreSQL do
differently is behind :class:`Database`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ContextManager, Mapping, NamedTuple

from werkzeug.wrappers import Response

from modelarts.local.errors import Failure

#: The seconds after which a client may try again while the database cannot be reached.
RETRY_SECONDS = 1


class StoreFailure(Failure):
    """The database cannot be read or written: the disk is full, mostly. Nothing was changed.

    Args:
        reason: what the database says, in short, without values.
    """

    def __init__(self, reason: object, status: int = 500, message: str | None = None) -> None:
        super().__init__(
            status,
            "ModelArts.0010",
            message
            or f"The service cannot use the file of its jobs ({reason}). Nothing was changed; "
            "whoever runs the service has to make room on its disk, or to look at its log.",
        )


class DatabaseUnavailable(StoreFailure):
    """The database server cannot be reached, or is busy for too long: HTTP 503, to be tried again.

    Args:
        is_in_doubt: the connection was lost while a change was on its way.
    """

    def __init__(self, reason: object, is_in_doubt: bool = False) -> None:
        outcome = (
            "It is not known whether the change was made: look before it is repeated."
            if is_in_doubt
            else "Nothing was changed; try again."
        )
        super().__init__(reason, 503, f"The database is not available ({reason}). {outcome}")
        self.is_in_doubt = is_in_doubt

    def response(self, request_id: str) -> Response:
        """Return the HTTP response, which says when to try again."""
        response = super().response(request_id)
        response.headers["Retry-After"] = str(RETRY_SECONDS)
        return response


class Matches(NamedTuple):
    """The jobs in whose texts a search may occur, of all projects.

    Attributes:
        job_ids: their ids, if they are few; None if they are many, or there is no index of texts.
    """

    job_ids: list[int] | None


class Database(ABC):
    """A database with the tables of a service.

    Attributes:
        is_shared: other front ends may use it at the same time.
        name: what it is called in logs; without a password.
        whole: follows the name of a table that is to be read as a whole, and not by an index.
    """

    is_shared: bool
    name: str
    whole: str = ""

    @abstractmethod
    def transaction(self) -> ContextManager[Any]:
        """Return a context with a connection, on which each statement is a transaction.

        The connection has ``execute`` and ``executemany``; rows have their values by position and
        by name. Within :meth:`alone` it is that transaction.

        Raises:
            StoreFailure: a statement fails, by the database.
        """

    @abstractmethod
    def alone(self) -> ContextManager[Any]:
        """Return the context of a transaction beside which there is no other one of this kind.

        Everything that changes more than one row, or changes what it has read, is done in it: no
        thread and no front end comes in between, and it is done wholly or not at all.

        Raises:
            StoreFailure: it fails, by the database.
        """

    @abstractmethod
    def insert(self, table: str, columns: Mapping[str, Any], key: str) -> int:
        """Insert a row, and return the number that it was given as its ``key``.

        Raises:
            KeyError: there is such a row already.
        """

    @abstractmethod
    def expect_many(self) -> None:
        """Prepare for lists of many jobs, if that was not done yet."""

    @abstractmethod
    def matching(self, search: str, limit: int) -> Matches:
        """Return all jobs whose text may have this search, in lower case, if they are few.

        Args:
            limit: how many are few.
        """

    @abstractmethod
    def place(self) -> str:
        """Return a text for the place of the database: a copy of it has another."""

    @abstractmethod
    def time(self) -> float:
        """Return the time that all front ends have, in seconds since the epoch."""

    def hurry(self) -> None:  # noqa: B027 # a file answers
        """Wait a few seconds at most for a server that does not answer, as the service ends."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections."""


def contains(search: str) -> str:
    """Return the pattern of ``LIKE … ESCAPE '!'`` for texts that have this in them."""
    for special in "!%_":
        search = search.replace(special, "!" + special)
    return f"%{search}%"
