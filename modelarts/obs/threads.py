"""Threads that work together on one large file, as many as the store still has to give."""

import threading
from typing import Callable, List, Optional, TypeVar

__all__ = ["Crew", "Helper", "Stopped"]

_T = TypeVar("_T")


class Stopped(Exception):
    """Another thread has failed, so this one need not go on."""


class Helper(threading.Thread):
    """A daemon thread, to be waited for by :meth:`wait`.

    A ``join`` that Ctrl-C interrupts takes the thread for ended, and so does ``is_alive`` from
    then on (Python 3.8 to 3.12).
    """

    def __init__(self, work: Callable[[], object], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._over = threading.Event()

    def run(self) -> None:
        """Work."""
        try:
            self._work()
        finally:
            self._over.set()

    def wait(self) -> None:
        """Wait for its end, if it was started."""
        if self.ident is not None:
            # Without a timeout Ctrl-C would not be noticed on Windows.
            while not self._over.wait(1):
                pass


class Crew:
    """Hands out helpers.

    Args:
        total: how many helpers there are for all files at once.
        each: how many threads work on one file at the most, the caller's included.
    """

    def __init__(self, total: int = 12, each: int = 4) -> None:
        self._helpers = threading.BoundedSemaphore(total)
        self._each = each

    def run(
        self,
        take: Callable[[], Optional[_T]],
        work: Callable[[_T, Callable[[], None]], None],
    ) -> None:
        """Work on everything that ``take`` answers, until it answers None.

        Args:
            work: does one thing; it is handed what raises :class:`Stopped` when it should stop,
                to be called once in a while.

        Raises:
            Exception: the first error of any of them, when all have stopped.
        """
        failed: List[BaseException] = []

        def going() -> None:
            if failed:
                raise Stopped

        def loop() -> None:
            try:
                while not failed:
                    item = take()
                    if item is None:
                        return
                    work(item, going)
            except BaseException as error:
                failed.append(error)

        def help_out() -> None:
            try:
                loop()
            finally:
                self._helpers.release()

        helpers: List[Helper] = []
        try:
            while len(helpers) < self._each - 1 and self._helpers.acquire(blocking=False):
                helper = Helper(help_out, "modelarts-part")
                helpers.append(helper)
                try:
                    helper.start()
                except RuntimeError:
                    # The system gives no more threads; these will do.
                    self._helpers.release()
                    break
            loop()
            for helper in helpers:
                helper.wait()
        except BaseException as error:
            # Ctrl-C in a join, say: the others are told, and waited for.
            failed.append(error)
            for helper in helpers:
                helper.wait()
            raise
        if failed:
            raise failed[0]
