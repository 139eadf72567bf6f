"""The engines that boards run on: this machine, or a cluster. The supervisor asks both alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping

from werkzeug.exceptions import NotFound
from werkzeug.middleware.http_proxy import ProxyMiddleware

from modelarts.local.boards import data_server
from modelarts.local.boards.confinement import Confinement, Confiner
from modelarts.local.boards.mindinsight import MindInsight
from modelarts.local.boards.tensorboard import KEY_HEADER
from modelarts.local.jobs.store import Job
from modelarts.local.logs.source import Logs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: TensorBoard is slow on a machine that swaps; past this a start has failed.
START_SECONDS = 120
#: How long one request to a board may take.
_PAGE_SECONDS = 120
#: How often the folder of a board that is visited is looked at.
_LOOK_SECONDS = 5.0


class EngineAway(Exception):
    """The engine does not answer at the moment; the message says which."""


class Board(ABC):
    """One board, wherever it runs.

    Attributes:
        job: which it is for, in the run that it is for.
        visits: how many requests it has to answer.
        seen: when it was last asked something, by the monotonic clock.
        confinement: what its processes can reach.
        looked: when its folder was last looked at, by the same clock.
        choice: that the data server was chosen for its event files, or not; None: there was none.
        reader: which program reads its event files; there once it answers.
    """

    reader: str | None = None
    _targets: Mapping[str, dict[str, Any]] | None = None

    def __init__(self, job: Job, confinement: Confinement, choice: bool | None) -> None:
        self.job = job
        self.choice = choice
        self.confinement = confinement
        self.looked = 0.0
        self.visits = 0
        self.seen = 0.0

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """The id of its process; None where that is not on this machine."""

    @property
    def place(self) -> str:
        """The place where it runs, for people."""
        return f"process {self.pid}"

    @property
    @abstractmethod
    def sentinel(self) -> int:
        """Can be read from once the board has ended."""

    def page(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request for its page."""
        return self.proxy(_PAGE_SECONDS)(environ, start_response)

    def proxy(self, timeout: int) -> WSGIApplication:
        """Return what passes requests on to the board, at the paths of its page.

        Args:
            timeout: how many seconds each may take.
        """
        return ProxyMiddleware(NotFound(), self._targets or {}, timeout=timeout)

    def _listens(self, prefix: str, address: str, key: str) -> None:
        """Note the path of the page, where the board listens, and the key that it wants to see."""
        target = {
            "target": f"http://{address}/",
            "remove_prefix": True,
            "headers": {KEY_HEADER: key},
        }
        self._targets = {prefix: target}

    @abstractmethod
    def wait_until_it_answers(self, prefix: str) -> None:
        """``prefix`` is the path of its page.

        Raises:
            RuntimeError: it does not come up; the message says why.
        """

    @abstractmethod
    def was_told_to_end(self) -> bool:
        """Return True if a board that has ended did so by a signal to the service as well."""

    @abstractmethod
    def how_it_ended(self) -> str:
        """Return the reason of the end of a board that has ended by itself."""

    def was_lost(self) -> bool:
        """Return True if a board has ended with its engine, and is to be started anew."""
        return False

    @abstractmethod
    def kill(self) -> None:
        """End it. A board keeps nothing that could be lost."""

    @abstractmethod
    def leave(self) -> None:
        """Do with it what is done when the service ends: end it, or leave it to the next one."""


class BoardEngine(ABC):
    """Starts the boards of one service.

    Args:
        logs: where each board's output goes.
        memory: the most that one may allocate, in bytes.
        confiner: decides what each can reach.

    Attributes:
        threads: how many boards are started at once.
        is_shared: all front ends of a database have the same board for a job.
    """

    threads = 2
    is_shared = False

    def __init__(self, logs: Path, memory: int, confiner: Confiner) -> None:
        self.confiner = confiner
        self._logs = logs
        self._memory = memory
        self._data_server = data_server.program()

    @abstractmethod
    def warm(self) -> None:
        """Prepare for the first board, and find those that an earlier service has left.

        Raises:
            OSError: that is not possible.
        """

    @abstractmethod
    def close(self) -> None:
        """Note that no board is started any more."""

    @abstractmethod
    def start(self, job: Job, logs: Logs, mindinsight: MindInsight | None = None) -> Board:
        """Start the board of a job over its logs, or return the one that was left.

        It does not answer yet.

        Args:
            mindinsight: what the board runs in place of TensorBoard.

        Raises:
            EngineAway: it cannot be started at the moment.
            OSError, RuntimeError or ValueError: it cannot be started.
        """

    def is_left(self, job: Job) -> bool:
        """Return True if an earlier service has left a board for a job."""
        return False

    @abstractmethod
    def end_left(self, jobs: Callable[[], Iterable[Job]]) -> None:
        """End the boards that an earlier service has left, and no job has any more.

        Args:
            jobs: is called for the jobs that may have one.
        """

    @abstractmethod
    def end(self, job: Job) -> None:
        """End the board of a job, whichever front end has started it."""

    def log(self, job_id: int) -> Path:
        """Return the path of the output of a job's board."""
        return self._logs / f"job-{job_id}.log"

    def is_current(self, board: Board, now: float) -> bool:
        """Return True if a board is still the right one for its folder."""
        if board.choice and not self.confiner.confines_programs:
            return False  # there is a second user since it started
        look = now - board.looked >= _LOOK_SECONDS
        if look:
            board.looked = now
            if board.choice is not None and board.choice != data_server.suits(board.confinement):
                return False
        return self.confiner.is_current(board.confinement, links_too=look)

    def _reader(self, confinement: Confinement) -> tuple[str | None, bool | None]:
        """Return the data server that a board is to read with, and that board's ``choice``."""
        program = self._data_server if self.confiner.confines_programs else None
        if program is None:
            return None, None
        suits = data_server.suits(confinement)
        return (program if suits else None), suits


def board_of(job: Job) -> str:
    """Return the name of the program that is a job's board."""
    return "MindInsight" if job.job_type == "mindinsight" else "TensorBoard"
