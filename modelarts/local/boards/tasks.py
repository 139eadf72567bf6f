"""Tasks in the background, repeated when the store could not be written, or the engine is away."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Callable

from modelarts.local.boards.engine import EngineAway
from modelarts.local.jobs.clock import Timeline
from modelarts.local.jobs.store import Job, StoreFailure

_LOG = logging.getLogger("modelarts.local")
#: How long after a failure to write it is tried again.
AGAIN_SECONDS = 2.0

_Call = Callable[[Job], None]


class Work:
    """Calls about jobs, a few at once. What they do, they may do twice.

    Args:
        wake: is called where :meth:`try_again` is to be called after :data:`AGAIN_SECONDS`.
        threads: how many calls run at once.
    """

    def __init__(
        self, name: str, timeline: Timeline, wake: Callable[[], None], threads: int = 2
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, name)
        self._timeline = timeline
        self._wake = wake
        self._lock = Lock()
        self._closed = False
        self._failed: list[tuple[float, _Call, Job]] = []

    def submit(self, call: _Call, job: Job) -> Future[None] | None:
        """Do it as soon as there is a thread for it; None: nothing is begun any more."""
        with self._lock:
            return None if self._closed else self._pool.submit(self._do, call, job)

    def close(self) -> None:
        """Wait for what has begun; the rest is for the next service."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(cancel_futures=True)

    @property
    def failed(self) -> bool:
        """True if there is a task to repeat."""
        return bool(self._failed)

    def try_again(self) -> None:
        """Try again what failed some time ago."""
        now = self._timeline.monotonic()
        with self._lock:
            due = [each for each in self._failed if each[0] <= now]
            self._failed = [each for each in self._failed if each[0] > now]
        for _, call, job in due:
            self.submit(call, job)

    def _do(self, call: _Call, job: Job) -> None:
        try:
            call(job)
        except EngineAway:
            self._repeat(call, job)
        except StoreFailure as failure:
            _LOG.error("job %d: %s It is tried again.", job.job_id, failure)
            self._repeat(call, job)
        except Exception:
            _LOG.exception("job %d: internal error", job.job_id)

    def _repeat(self, call: _Call, job: Job) -> None:
        with self._lock:
            self._failed.append((self._timeline.monotonic() + AGAIN_SECONDS, call, job))
        self._wake()
