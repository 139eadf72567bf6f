"""When boards were last visited, who looks at them now, and which jobs are idle."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Mapping

from modelarts.local.jobs.clock import Timeline
from modelarts.local.jobs.store import Job, Store

#: An open board asks for data at least twice in this time while its tab is visible.
LOOKS_SECONDS = 65.0
#: So many visitors are kept for a board, the latest.
_MAX_LOOKING = 20
#: With more boards than this, those without a visit in the last minute are removed.
_MANY_BOARDS = 1000
#: So old may the time of the last visit be that other front ends know.
_WRITE_MS = 1000


class Visits:
    """The times of the last visits. Kept in memory, and written when :meth:`idle` looks.

    Where there may be other front ends, one is written a second after the one before.

    The time that counts is that in which the service runs: nobody can visit a board otherwise.

    Args:
        stop_after: how many seconds a job goes on without a visit; 0: for ever.
        counts_always: visits are counted although no job is stopped for lack of them.
    """

    def __init__(
        self, store: Store, timeline: Timeline, stop_after: float, counts_always: bool = False
    ) -> None:
        self._store = store
        self._timeline = timeline
        self._stop_after = stop_after
        self._counts = bool(stop_after) or counts_always
        self._lock = Lock()
        self._new: dict[int, int] = {}
        self._is_shared = store.database.is_shared
        self._written: dict[int, int] = {}
        self._looking: dict[int, OrderedDict[str, float]] = {}

    def open(self) -> None:
        """Begin to count for jobs that ran while nothing was counted."""
        self._store.reset_visits(self._timeline.running() if self._counts else None)

    @property
    def reason(self) -> str:
        """Why an idle job is stopped."""
        return f"no visit for {self._stop_after / 3600:g} hours"

    def note(self, job_id: int, visitor: str) -> None:
        """Remember a visit.

        Args:
            visitor: in words, where the request came from.
        """
        now, running = self._timeline.monotonic(), self._timeline.running()
        is_due = False
        with self._lock:
            if self._counts:
                self._new[job_id] = running
                last = self._written.get(job_id, 0)
                is_due = self._is_shared and running >= last + _WRITE_MS
                if is_due:
                    self._written = {} if len(self._written) > _MANY_BOARDS else self._written
                    self._written[job_id] = running
            if len(self._looking) > _MANY_BOARDS:
                self._looking = {
                    key: value for key, value in self._looking.items() if _now(value, now)
                }
            looking = self._looking.setdefault(job_id, OrderedDict())
            looking[visitor] = now
            looking.move_to_end(visitor)
            while len(looking) > _MAX_LOOKING:
                looking.popitem(last=False)
        if is_due:
            self.write()

    def write(self) -> None:
        """Write the visits that were noted."""
        with self._lock:
            if self._new:
                self._store.keep_visits(self._new)
                self._new = {}

    def looking(self, job_id: int) -> list[str]:
        """Return those who look at a board now, in words, the last who came first."""
        with self._lock:
            return _now(self._looking.get(job_id, {}), self._timeline.monotonic())

    def idle(self) -> list[Job]:
        """Return the running jobs without a visit for so long."""
        return self.unvisited(self._stop_after)

    def unvisited(self, seconds: float) -> list[Job]:
        """Return the running jobs without a visit for so long; none if that is 0."""
        if not seconds:
            return []
        self.write()
        return self._store.idle(self._timeline.running() - int(seconds * 1000))


def _now(looking: Mapping[str, float], now: float) -> list[str]:
    return [each for each, at in list(looking.items())[::-1] if now - at < LOOKS_SECONDS]
