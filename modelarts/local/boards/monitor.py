"""The thread that notices boards that end and times that come, and tasks in the background, which
are repeated when the store could not be written."""

from __future__ import annotations

import logging
import os
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import wait
from threading import Event, Lock, Thread
from typing import Callable, Iterable, cast

from modelarts.local.boards.engine import Board, EngineAway
from modelarts.local.jobs.clock import Timeline
from modelarts.local.jobs.store import Job, StoreFailure

_LOG = logging.getLogger("modelarts.local")
#: How long after a failure to write it is tried again.
AGAIN_SECONDS = 2.0
#: A signal to all processes of the service reaches the boards as well; so long may the service
#: take to notice its own, which on a busy machine takes a while.
_NOTICE_SECONDS = 0.5
_LONG_NOTICE_SECONDS = 10.0

_Call = Callable[[Job], None]


class Watcher:
    """Waits until a board ends, a time comes, or it is woken; and then again.

    Args:
        boards: answers those that run; None ends the thread.
        ended: is called with each that has ended by itself.
        look: is called after each wait; returns how many seconds the next may take.
    """

    def __init__(
        self,
        boards: Callable[[], Iterable[Board] | None],
        ended: Callable[[Board], None],
        look: Callable[[], float],
    ) -> None:
        self._boards = boards
        self._ended = ended
        self._look = look
        self._ending = Event()
        self._woken, self._wake = os.pipe()
        self._thread = Thread(target=self._watch, name="watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Have it look again."""
        os.write(self._wake, b".")

    def expect_end(self) -> None:
        """From now on, boards that end do so with the service. Safe in a signal's handler."""
        self._ending.set()

    def join(self) -> None:
        """Wait for its end, if it has begun."""
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        longest = 0.0
        while True:
            boards = self._boards()
            if boards is None:
                return
            running = {board.sentinel: board for board in boards}
            ready = wait([self._woken, *running], longest)
            ended = [running[cast(int, each)] for each in ready if each != self._woken]
            if ended and self._ending.wait(_notice(ended)):
                return
            longest = AGAIN_SECONDS
            try:
                if self._woken in ready:
                    os.read(self._woken, 65536)
                for each in ended:
                    self._ended(each)
                longest = self._look()
            except StoreFailure as failure:
                _LOG.error("%s", failure)
            except Exception:
                _LOG.exception("internal error")


def _notice(ended: Iterable[Board]) -> float:
    """Return the seconds that the service may take to notice its own end, if these ended by it."""
    likely = any(board.was_told_to_end() for board in ended)
    return _LONG_NOTICE_SECONDS if likely else _NOTICE_SECONDS


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
