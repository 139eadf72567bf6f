"""The processes of the boards, forked from a parent that has TensorBoard loaded already."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import shutil
import signal
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Callable, Iterable, cast

from werkzeug.wrappers import Response
from werkzeug.wsgi import ClosingIterator

from modelarts.local.boards import parent
from modelarts.local.boards import tensorboard as board
from modelarts.local.boards.confinement import Confinement, Confiner
from modelarts.local.boards.engine import START_SECONDS, Board, BoardEngine, board_of
from modelarts.local.boards.mindinsight import MindInsight
from modelarts.local.engine.base import exit_text
from modelarts.local.files import place_of
from modelarts.local.jobs.store import Job
from modelarts.local.logs.source import Logs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: A killed board ends at once; what takes longer is its parent, which says so.
_KILL_SECONDS = 15.0
#: A file in the temporary folder; says which root folder it belongs to.
_PLACE = "root"
#: What multiprocessing says of a process whose parent cannot say how it ended.
_PARENT_GONE = 255


class BoardProcess(Board):
    """One board's process, on this machine."""

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
        super().__init__(job, confinement, choice)
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
        outcome, detail = (
            "failed",
            f"no answer within {START_SECONDS} seconds; see {self._log.name}",
        )
        try:
            if self._connection.poll(START_SECONDS):
                outcome, detail = self._connection.recv()
        except (EOFError, OSError):
            detail = f"its process {self._how()}; see {self._log.name}"
        if outcome != "ready":
            self.kill()
            raise RuntimeError(detail)
        port, self.reader = cast("tuple[int, str]", detail)
        self._listens(prefix, f"127.0.0.1:{port}", self._key)

    def was_told_to_end(self) -> bool:
        """Return True if an ended process, or the parent of all boards, was sent SIGTERM."""
        with self._lock:
            self._process.join()
            code = self._process.exitcode
            return code == -signal.SIGTERM or (code == _PARENT_GONE and parent.was_told_to_end())

    def was_lost(self) -> bool:
        """Return True if the parent of all boards ended, for example for lack of memory."""
        with self._lock:
            is_lost = self._process.exitcode == _PARENT_GONE
        if is_lost:
            self._connection.close()  # where the kernel does not end a board with its parent
        return is_lost

    def how_it_ended(self) -> str:
        """Of a process that has ended by itself."""
        how = self._how()
        why = None
        try:
            if self._connection.poll():
                _, why = self._connection.recv()
        except (EOFError, OSError):
            pass
        self._connection.close()
        if why is not None:
            return f"{board_of(self.job)} failed: {why}; see {self._log.name}"
        return f"{board_of(self.job)}'s process {self.pid} {how}; see {self._log.name}"

    def _how(self) -> str:
        with self._lock:
            self._process.join(5)  # its connection closes a moment before it has ended
            return exit_text(self._process.exitcode or 0)

    def leave(self) -> None:
        """End it: boards of this machine end with their service."""
        self.kill()

    def kill(self) -> None:
        with self._lock:
            self._process.kill()
        if not wait([self._process.sentinel], _KILL_SECONDS):
            parent.continue_stopped()
            wait([self._process.sentinel])
        with self._lock:
            self._process.join()


class Processes(BoardEngine):
    """Starts the boards of one service on this machine.

    Args:
        logs: where each board's output goes.
        memory: the most that one may allocate, in bytes.
        confiner: decides what each can reach.
        load_late: load the boards' parent with the first board, which then takes a second longer.
    """

    def __init__(
        self, logs: Path, memory: int, confiner: Confiner, load_late: bool = False
    ) -> None:
        super().__init__(logs, memory, confiner)
        self._temporary = logs.parent / "tmp"
        self._load_late = load_late
        # Held around multiprocessing's own bookkeeping, which is not safe for threads. No request
        # waits for it: it is held while the parent of the boards is asked.
        self._lock = RLock()
        self._context = multiprocessing.get_context("forkserver")

    def warm(self) -> None:
        """Begin to load the boards' parent.

        Raises:
            OSError: there is no folder for its socket.
        """
        self._remove_temporary()
        folder = parent.prepare()
        Path(folder, _PLACE).write_text(place_of(self._temporary.parent))
        os.symlink(folder, self._temporary)
        if not self._load_late:
            parent.load()

    def close(self) -> None:
        parent.continue_stopped()
        self._temporary.unlink(missing_ok=True)

    def _remove_temporary(self) -> None:
        """Remove the folder that a killed service has left.

        A copy of a root folder has the link to that of the other service, which may run.
        """
        folder = os.path.realpath(self._temporary)
        if self._temporary.is_symlink():
            try:
                is_own = Path(folder, _PLACE).read_text() == place_of(self._temporary.parent)
            except OSError:
                is_own = False
            if is_own and os.path.basename(folder).startswith("pymp-"):
                shutil.rmtree(folder, ignore_errors=True)
            self._temporary.unlink()

    def end_left(self, jobs: Callable[[], Iterable[Job]]) -> None:
        """Do nothing: no service of this machine leaves any."""

    def end(self, job: Job) -> None:
        """Do nothing: the service that has started a board ends it."""

    def start(self, job: Job, logs: Logs, mindinsight: MindInsight | None = None) -> BoardProcess:
        """Start the board of a job over its logs; it does not answer yet.

        Args:
            mindinsight: what the board runs in place of TensorBoard.
        """
        key = secrets.token_hex(16)
        log = self.log(job.job_id)
        confinement = self.confiner.of(str(logs.folder), logs.links)
        program, choice = self._reader(confinement)
        serve: Callable[..., None] = partial(board.serve, program)
        if mindinsight is not None:
            serve = mindinsight.target()
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=serve, args=(theirs, confinement, key, str(log), self._memory), daemon=True
        )
        parent.continue_stopped()
        try:
            with self._lock:
                process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        choice = None if mindinsight is not None else choice
        return BoardProcess(job, process, ours, key, log, self._lock, confinement, choice)


def visited(enter: Callable[[], Board | None], leave: Callable[[Board], None]) -> WSGIApplication:
    """Return a WSGI application for the board that ``enter`` returns; ``leave`` is called
    afterwards."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        board = enter()
        if board is None:
            text = "The board has just ended, or cannot be started now.\n"
            gone = Response(text, 503, content_type="text/plain", headers={"Retry-After": "2"})
            return gone(environ, start_response)
        try:
            parts = board.page(environ, start_response)
        except BaseException:
            leave(board)
            raise
        return ClosingIterator(parts, lambda: leave(board))

    return answer
