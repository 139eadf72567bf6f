"""When boards were last visited, and which jobs are idle."""

from __future__ import annotations

from threading import Lock

from modelarts.local.jobs.clock import Timeline
from modelarts.local.jobs.store import Job, Store

__all__ = ["Visits"]


class Visits:
    """The times of the last visits. Kept in memory, and written when :meth:`idle` looks.

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
            with self._lock:
                self._new[job_id] = self._timeline.running()

    def idle(self) -> list[Job]:
        """Return the running jobs without a visit for so long."""
        if not self._stop_after:
            return []
        with self._lock:
            if self._new:
                self._store.keep_visits(self._new)
                self._new = {}
            return self._store.idle(self._timeline.running() - int(self._stop_after * 1000))
