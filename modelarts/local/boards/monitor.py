"""The thread that notices what happens by itself: boards that end, and times that come."""

from __future__ import annotations

import logging
import os
from multiprocessing.connection import wait
from threading import Event, Thread
from typing import Callable, Iterable, cast

from modelarts.local.boards.engine import Board
from modelarts.local.boards.tasks import AGAIN_SECONDS
from modelarts.local.jobs.store import StoreFailure

_LOG = logging.getLogger("modelarts.local")
#: A signal to all processes of the service reaches the boards as well; so long may the service
#: take to notice its own, which on a busy machine takes a while.
_NOTICE_SECONDS = 0.5
_LONG_NOTICE_SECONDS = 10.0


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
