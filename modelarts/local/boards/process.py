"""The processes of the boards, forked from a parent that has TensorBoard loaded already."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import shutil
import signal
import tempfile
from functools import partial
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from multiprocessing.util import get_temp_dir
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Callable, Iterable, cast

from werkzeug.exceptions import NotFound
from werkzeug.middleware.http_proxy import ProxyMiddleware
from werkzeug.wrappers import Response
from werkzeug.wsgi import ClosingIterator

from modelarts.local.boards import data_server
from modelarts.local.boards import tensorboard as board
from modelarts.local.boards.confinement import Confinement, Confiner
from modelarts.local.jobs.store import Job
from modelarts.local.logs.source import Logs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["BoardProcess", "Processes", "board_of", "visited"]

#: TensorBoard is slow on a machine that swaps; past this a start has failed.
_START_SECONDS = 120
#: How long one request to a board may take.
_PAGE_SECONDS = 120
#: How often the folder of a board that is visited is looked at.
_LOOK_SECONDS = 5.0
#: The modules that boards use, loaded before the fork, so that their memory is shared; the last one
#: sees to it. What this system does not have is left out.
_PRELOADED = [
    "encodings.cp437",
    "encodings.idna",
    "grpc._channel",
    "grpc._simple_stubs",
    "grpc.experimental",
    "tensorboard_data_server",
    "modelarts.local.boards.tensorboard",
    "modelarts.local.boards.preload",
]
#: What multiprocessing says of a process whose parent cannot say how it ended.
_PARENT_GONE = 255


#: The path of a Unix socket has 104 bytes on macOS; multiprocessing adds 31.
_MAX_FOLDER = 60


class BoardProcess:
    """One board's process.

    Attributes:
        job: which it is for, in the run that it is for.
        page: what serves its page; there once it answers.
        visits: how many requests it has to answer.
        seen: when it was last asked something, by the monotonic clock.
        confinement: what its processes can reach.
        looked: when its folder was last looked at, by the same clock.
        reader: which program reads its event files; there once it answers.
        choice: that the data server was chosen for its event files, or not; None: there was none.
    """

    page: ProxyMiddleware
    reader: str | None = None

    def __init__(
        self,
        job: Job,
        process: ForkServerProcess,
        connection: Connection,
        key: str,
        log: Path,
        lock: RLock,
        confinement: Confinement,
        choice: bool | None,
    ) -> None:
        self.job = job
        self.choice = choice
        self.confinement = confinement
        self.looked = 0.0
        self.visits = 0
        self.seen = 0.0
        self._process = process
        self._connection = connection
        self._key = key
        self._log = log
        self._lock = lock

    @property
    def pid(self) -> int | None:
        """The id of the process."""
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
        port, self.reader = cast("tuple[int, str]", what)
        target = {
            "target": f"http://127.0.0.1:{port}/",
            "remove_prefix": True,
            "headers": {board.KEY_HEADER: self._key},
        }
        self.page = ProxyMiddleware(NotFound(), {prefix: target}, timeout=_PAGE_SECONDS)

    def was_told_to_end(self) -> bool:
        """Return True if an ended process, or the parent of all boards, was sent SIGTERM."""
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
        self._temporary = logs.parent / "tmp"
        self._lock = lock
        self._data_server = data_server.program()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOADED)

    def warm(self) -> None:
        """Begin to load the boards' parent.

        Raises:
            OSError: there is no folder for its socket.
        """
        # glibc gives each thread a heap of its own otherwise, and keeps what was freed there.
        os.environ.setdefault("MALLOC_ARENA_MAX", "1")
        self._remove_temporary()
        usual = tempfile.tempdir
        try:
            # For the socket of the boards' parent; removed when this process ends, unless killed.
            tempfile.tempdir = _short_folder()
            os.symlink(get_temp_dir(), self._temporary)
        finally:
            tempfile.tempdir = usual
        forkserver.ensure_running()

    def close(self) -> None:
        """Note that no board is started any more."""
        self._temporary.unlink(missing_ok=True)

    def _remove_temporary(self) -> None:
        """Remove the folder that a killed service has left."""
        folder = os.path.realpath(self._temporary)
        if self._temporary.is_symlink():
            if os.path.basename(folder).startswith("pymp-"):
                shutil.rmtree(folder, ignore_errors=True)
            self._temporary.unlink()

    def start(
        self, job: Job, logs: Logs, mindinsight: Callable[..., None] | None = None
    ) -> BoardProcess:
        """Start the board of a job over its logs; it does not answer yet.

        Args:
            mindinsight: what the board's process runs in place of TensorBoard.
        """
        key = secrets.token_hex(16)
        log = self.log(job.job_id)
        confinement = self.confiner.of(str(logs.folder), logs.links)
        program = self._data_server if self.confiner.confines_programs else None
        suits = program is not None and data_server.suits(confinement)
        serve = mindinsight or partial(board.serve, program if suits else None)
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
        choice = None if program is None or mindinsight is not None else suits
        return BoardProcess(job, process, ours, key, log, self._lock, confinement, choice)

    def is_current(self, one: BoardProcess, now: float) -> bool:
        """Return True if a board is still the right one for its folder."""
        if one.choice and not self.confiner.confines_programs:
            return False  # there is a second user since it started
        look = now - one.looked >= _LOOK_SECONDS
        if look:
            one.looked = now
            if one.choice is not None and one.choice != data_server.suits(one.confinement):
                return False
        return self.confiner.is_current(one.confinement, links_too=look)

    def log(self, job_id: int) -> Path:
        """Return the path of the output of a job's board."""
        return self._logs / f"job-{job_id}.log"


def _short_folder() -> str:
    """Return a folder for temporary files whose path is short enough for sockets.

    ``TMPDIR`` can be long, as on macOS, in scratch folders of clusters and under test runners.
    """
    usual = tempfile.gettempdir()
    for folder in (usual, "/tmp", "/var/tmp", "/dev/shm"):
        if len(os.fsencode(folder)) <= _MAX_FOLDER and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise OSError(
        f"no folder for sockets: {usual} is longer than {_MAX_FOLDER} bytes, and /tmp cannot be "
        "written; set TMPDIR to a folder with a shorter path"
    )


def board_of(job: Job) -> str:
    """Return the name of the program that is a job's board."""
    return "MindInsight" if job.job_type == "mindinsight" else "TensorBoard"


def visited(
    enter: Callable[[], BoardProcess | None], leave: Callable[[BoardProcess], None]
) -> WSGIApplication:
    """Return a WSGI application for the board that ``enter`` returns; ``leave`` is called
    afterwards."""

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
