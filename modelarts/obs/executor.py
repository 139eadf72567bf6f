"""Transfers many files in parallel, and reports exactly those that are missing."""

import threading
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Tuple, TypeVar

import attr

from modelarts.errors import AuthenticationFailed, IncompleteTransfer
from modelarts.obs.stores.base import Progress

_T = TypeVar("_T")


class Stopped(Exception):
    """Another thread has failed, so this thread stops."""


class Helper(threading.Thread):
    """A daemon thread that is joined by :meth:`wait`.

    After a ``join`` that Ctrl-C interrupts, ``is_alive`` returns False though the thread still
    runs (Python 3.8 to 3.12).
    """

    def __init__(self, work: Callable[[], object], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._over = threading.Event()

    def run(self) -> None:
        """Run the tasks."""
        try:
            self._work()
        finally:
            self._over.set()

    def wait(self) -> None:
        """Wait for the end of the thread, if it was started."""
        if self.ident is not None:
            # Without a timeout Ctrl-C would not be noticed on Windows.
            while not self._over.wait(1):
                pass


class WorkerPool:
    """Runs work in helper threads.

    Args:
        total: the greatest number of helpers for all files together.
        each: the greatest number of threads for one file, including the caller's.
    """

    def __init__(self, total: int = 12, each: int = 4) -> None:
        self._helpers = threading.BoundedSemaphore(total)
        self._each = each

    def run(
        self,
        take: Callable[[], Optional[_T]],
        work: Callable[[_T, Callable[[], None]], None],
    ) -> None:
        """Work on each item that ``take`` returns, until it returns None.

        Args:
            work: processes one item; its argument is a function to call from time to time, which
                raises :class:`Stopped` if the work is to stop.

        Raises:
            Exception: the first error, after all threads have stopped.
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
                    # The system allows no more threads; the existing ones do the work.
                    self._helpers.release()
                    break
            loop()
            for helper in helpers:
                helper.wait()
        except BaseException as error:
            # For example Ctrl-C in a join: the others are stopped and joined.
            failed.append(error)
            for helper in helpers:
                helper.wait()
            raise
        if failed:
            raise failed[0]


#: The files transferred at once. With a latency of 20 ms that is 1600 small files a second.
THREADS = 32


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Task:
    """A file to transfer.

    Attributes:
        name: the path of a local file, or an ``obs://`` URL; for messages.
        run: transfers the file; its argument is the function for progress in bytes.
        size: the size in bytes, if it is known.
    """

    name: str
    run: Callable[[Progress], None]
    size: int = 0


class Watcher:
    """The receiver of the events of a run, from one thread at a time; each method is optional."""

    def began(self, task: Task) -> None:
        """Record the start of a file."""

    def moved(self, task: Task, count: int) -> None:
        """Record transferred bytes; a negative number if some are sent again."""

    def ended(self, task: Task, error: Optional[Exception]) -> None:
        """Record the end of a file, with the error if it failed."""


class _Cancelled(Exception):
    """The run ended before this file was complete."""


def run(
    tasks: Iterable[Task], threads: Optional[int] = None, watcher: Optional[Watcher] = None
) -> List[str]:
    """Transfer files; return the names of all, in order.

    They are taken from ``tasks`` one by one, when a thread is free, so there may be any number of
    them. A file that fails does not stop the others. An error in ``tasks`` or in the
    watcher, and Ctrl-C, stop everything: what was under way is given up, what was done stays. So
    does a refusal that all would meet with, if none was moved yet.

    Raises:
        IncompleteTransfer: some files failed; all others were transferred.
        ApiError: there is no such bucket, or it is not known who asks.
    """
    return _Run(iter(tasks), watcher or Watcher()).run(threads or THREADS)


class _Run:
    def __init__(self, tasks: Iterator[Task], watcher: Watcher) -> None:
        self._tasks = tasks
        self._watcher = watcher
        self._feeding = threading.Lock()
        self._telling = threading.Lock()
        self._names: List[str] = []
        self._failed: Dict[int, Exception] = {}
        self._any_done = False
        self._ended: Optional[BaseException] = None
        self._workers: List[Helper] = []

    def run(self, threads: int) -> List[str]:
        first, second = self._take(), self._take()
        if second is None or threads == 1:
            # A single file needs no other thread.
            self._work(first, second)
            return self._result()
        try:
            for ready in (first, second):
                self._start(ready)
            while len(self._workers) < threads:
                ready = self._take()
                if ready is None:
                    break
                self._start(ready)
            for worker in self._workers:
                worker.wait()
        except BaseException as error:
            self._ended = self._ended or error
            for worker in self._workers:
                worker.wait()
            raise
        return self._result()

    def _result(self) -> List[str]:
        if self._ended is not None:
            raise self._ended
        if self._failed:
            failed = [(self._names[place], error) for place, error in sorted(self._failed.items())]
            done = [name for place, name in enumerate(self._names) if place not in self._failed]
            raise IncompleteTransfer(failed, done)
        return self._names

    def _start(self, ready: Optional[Tuple[int, Task]]) -> None:
        worker = Helper(lambda: self._work(ready), "modelarts-transfer")
        self._workers.append(worker)
        try:
            worker.start()
        except RuntimeError:
            self._work(ready)  # the system allows no more threads

    def _take(self) -> Optional[Tuple[int, Task]]:
        with self._feeding:
            if self._ended is not None:
                return None
            task = next(self._tasks, None)
            if task is None:
                return None
            self._names.append(task.name)
            return len(self._names) - 1, task

    def _work(self, *ready: Optional[Tuple[int, Task]]) -> None:
        """Transfer these files, then the next ones."""
        waiting = list(ready)
        try:
            while self._ended is None:
                pending = waiting.pop(0) if waiting else self._take()
                if pending is None:
                    return
                self._move(*pending)
        except BaseException as error:
            self._ended = self._ended or error

    def _move(self, place: int, task: Task) -> None:
        def moved(count: int) -> None:
            self._tell(lambda: self._watcher.moved(task, count))

        self._tell(lambda: self._watcher.began(task))
        error: Optional[Exception] = None
        try:
            task.run(moved)
        except _Cancelled:
            return
        except Exception as reason:
            if self._ended is not None:
                return
            if not self._any_done and _concerns_all(reason):
                self._ended = reason
                return
            error = self._failed[place] = reason
        else:
            self._any_done = True
        self._tell(lambda: self._watcher.ended(task, error))

    def _tell(self, say: Callable[[], None]) -> None:
        with self._telling:
            if self._ended is not None:
                raise _Cancelled
            try:
                say()
            except BaseException as error:
                self._ended = error
                raise _Cancelled from None


def _concerns_all(error: Exception) -> bool:
    """Return True if all other requests of the call would be refused as well."""
    code = getattr(error, "error_code", None)
    return isinstance(error, AuthenticationFailed) or code == "NoSuchBucket"
