"""The processes of the boards, forked from a parent that has TensorBoard loaded already."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Callable, Iterable

from werkzeug.exceptions import NotFound
from werkzeug.middleware.http_proxy import ProxyMiddleware
from werkzeug.wrappers import Response
from werkzeug.wsgi import ClosingIterator

from modelarts.local.boards import tensorboard as board
from modelarts.local.boards.confinement import Confinement, Confiner
from modelarts.local.jobs.store import Job

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["BoardProcess", "Processes", "board_of", "visited"]

#: TensorBoard is slow on a machine that swaps; past this a start has failed.
_START_SECONDS = 120
#: How long one request to a board may take.
_PAGE_SECONDS = 120
#: What multiprocessing says of a process whose parent cannot say how it ended.
_PARENT_GONE = 255


class BoardProcess:
    """One board's process.

    Attributes:
        job: which it is for, in the run that it is for.
        page: what serves its page; there once it answers.
        visits: how many requests it has to answer.
        seen: when it was last asked something, by the monotonic clock.
        confinement: what its processes can reach.
        links_seen: when the links in its folder were last looked at, by the same clock.
    """

    page: ProxyMiddleware

    def __init__(
        self,
        job: Job,
        process: ForkServerProcess,
        connection: Connection,
        key: str,
        log: Path,
        lock: RLock,
        confinement: Confinement,
    ) -> None:
        self.job = job
        self.confinement = confinement
        self.links_seen = 0.0
        self.visits = 0
        self.seen = 0.0
        self._process = process
        self._connection = connection
        self._key = key
        self._log = log
        self._lock = lock

    @property
    def pid(self) -> int | None:
        """The process."""
        return self._process.pid

    @property
    def sentinel(self) -> int:
        """Can be read from once the process has ended."""
        return self._process.sentinel

    def wait_until_it_answers(self, prefix: str) -> None:
        """``prefix`` is the path of its page.

        Raises:
            RuntimeError: it does not come up; the message says why.
        """
        said, what = "failed", f"no answer within {_START_SECONDS} seconds; see {self._log.name}"
        try:
            if self._connection.poll(_START_SECONDS):
                said, what = self._connection.recv()
        except (EOFError, OSError):
            what = f"its process ended; see {self._log.name}"
        if said != "ready":
            self.kill()
            raise RuntimeError(what)
        target = {
            "target": f"http://127.0.0.1:{what}/",
            "remove_prefix": True,
            "headers": {board.KEY_HEADER: self._key},
        }
        self.page = ProxyMiddleware(NotFound(), {prefix: target}, timeout=_PAGE_SECONDS)

    def was_told_to_end(self) -> bool:
        """Whether one that has ended was sent SIGTERM, it or the parent of all boards."""
        with self._lock:
            self._process.join()
            return self._process.exitcode in (-signal.SIGTERM, _PARENT_GONE)

    def how_it_ended(self) -> str:
        """Of a process that has ended by itself."""
        with self._lock:
            self._process.join()
            code = self._process.exitcode
        why = None
        try:
            if self._connection.poll():
                _, why = self._connection.recv()
        except (EOFError, OSError):
            pass
        self._connection.close()
        if why is not None:
            return f"{board_of(self.job)} failed: {why}; see {self._log.name}"
        how = f"was killed by signal {-code}" if code and code < 0 else f"ended with {code}"
        return f"{board_of(self.job)}'s process {self.pid} {how}; see {self._log.name}"

    def kill(self) -> None:
        """End it. A board keeps nothing that could be lost."""
        with self._lock:
            self._process.kill()
        wait([self._process.sentinel])
        with self._lock:
            self._process.join()


class Processes:
    """Starts the boards of one service.

    Args:
        logs: where each board's output goes.
        memory: the most that one may allocate, in bytes.
        confiner: decides what each can reach.
        lock: held around multiprocessing's own bookkeeping, which is not safe for threads.
    """

    def __init__(self, logs: Path, memory: int, lock: RLock, confiner: Confiner) -> None:
        self.confiner = confiner
        self._logs = logs
        self._memory = memory
        self._lock = lock
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["modelarts.local.boards.preload"])

    def warm(self) -> None:
        """Begin to load the boards' parent."""
        # glibc gives each thread a heap of its own otherwise, and keeps what was freed there.
        os.environ.setdefault("MALLOC_ARENA_MAX", "1")
        forkserver.ensure_running()

    def start(self, job: Job, folder: Path, serve: Callable[..., None]) -> BoardProcess:
        """Start the board of a job over a folder; it does not answer yet.

        Args:
            serve: what its process runs, as :func:`modelarts.local.boards.tensorboard.serve`.
        """
        key = secrets.token_hex(16)
        log = self.log(job.job_id)
        confinement = self.confiner.of(os.path.realpath(folder))
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=serve, args=(theirs, confinement, key, str(log), self._memory), daemon=True
        )
        try:
            with self._lock:
                process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return BoardProcess(job, process, ours, key, log, self._lock, confinement)

    def log(self, job_id: int) -> Path:
        """Where the output of a job's board goes."""
        return self._logs / f"job-{job_id}.log"


def board_of(job: Job) -> str:
    """What a job's board is called."""
    return "MindInsight" if job.job_type == "mindinsight" else "TensorBoard"


def visited(
    enter: Callable[[], BoardProcess | None], leave: Callable[[BoardProcess], None]
) -> WSGIApplication:
    """What serves the page of the board that ``enter`` answers; then ``leave`` is called."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        one = enter()
        if one is None:
            gone = Response("The board has just ended.\n", 503, content_type="text/plain")
            return gone(environ, start_response)
        try:
            parts = one.page(environ, start_response)
        except BaseException:
            leave(one)
            raise
        return ClosingIterator(parts, lambda: leave(one))

    return answer
