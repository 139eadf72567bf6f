"""When boards were last visited, and which jobs are idle."""

from __future__ import annotations

from threading import Lock

from modelarts.local.jobs.clock import Timeline
from modelarts.local.jobs.store import Job, Store

__all__ = ["Visits"]

_WRITE_MS = 1000


class Visits:
    """The times of the last visits. Kept in memory, and written when :meth:`idle` looks.

    Where there may be other front ends, they are written at most a second later.

    The time that counts is that in which the service runs: nobody can visit a board otherwise.

    Args:
        stop_after: how many seconds a job goes on without a visit; 0: for ever.
    """

    def __init__(self, store: Store, timeline: Timeline, stop_after: float) -> None:
        self._store = store
        self._timeline = timeline
        self._stop_after = stop_after
        self._lock = Lock()
        self._new: dict[int, int] = {}
        self._is_shared = store.database.is_shared
        self._written = 0

    def open(self) -> None:
        """Begin to count for jobs that ran while nothing was counted."""
        self._store.reset_visits(self._timeline.running() if self._stop_after else None)

    @property
    def reason(self) -> str:
        """Why an idle job is stopped."""
        return f"no visit for {self._stop_after / 3600:g} hours"

    def note(self, job_id: int) -> None:
        """Remember a visit."""
        if self._stop_after:
            now = self._timeline.running()
            with self._lock:
                self._new[job_id] = now
                is_due = self._is_shared and now >= self._written + _WRITE_MS
                if is_due:
                    self._written = now
            if is_due:
                self.write()

    def write(self) -> None:
        """Write the visits that were noted."""
        with self._lock:
            if self._new:
                self._store.keep_visits(self._new)
                self._new = {}

    def idle(self) -> list[Job]:
        """Return the running jobs without a visit for so long."""
        if not self._stop_after:
            return []
        self.write()
        return self._store.idle(self._timeline.running() - int(self._stop_after * 1000))
