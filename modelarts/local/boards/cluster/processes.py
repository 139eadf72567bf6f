"""The boards of a service on a Ray cluster, as the service sees them.

The name of a board's actor says which job it is for, in which run, and which board of that run it
is. So of several front ends that start it one does, and the others find it.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping

import attr
from werkzeug.wrappers import Response

from modelarts import __version__
from modelarts.local.boards.cluster.host import BoardHost
from modelarts.local.boards.confinement import Confinement, Confiner
from modelarts.local.boards.engine import (
    START_SECONDS,
    Board,
    BoardEngine,
    EngineAway,
    board_of,
)
from modelarts.local.boards.mindinsight import MindInsight
from modelarts.local.engine.cluster import Cluster, ClusterError, Resources, State
from modelarts.local.jobs.store import Job
from modelarts.local.logs.source import Logs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_LOG = logging.getLogger("modelarts.local")
_NAME = re.compile(r"board-\d+-\d+-\d+$")
#: A board that is looked at takes little more than its memory.
_CPUS = 0.02
#: The memory that is set aside for a board: few need as much as they may have.
_SHARE = 8


class ClusterBoard(Board):
    """One board on a cluster.

    Args:
        job: which it is for, in the run that it is for.
        cluster: where it runs.
        name: that of its actor.
        log: its output.
    """

    def __init__(self, job: Job, cluster: Cluster, name: str, log: Path) -> None:
        # What it was started with comes with its first state.
        super().__init__(job, Confinement(""), None)
        self.name = name
        self._cluster = cluster
        self._log = log
        self._condition = Condition()
        self._state: State = {"phase": "placed"}
        self._prefix = ""
        # Can be read from once it has ended.
        self._ended, self._end = os.pipe()
        self._is_open = True

    @property
    def pid(self) -> None:
        """None: its process is on another machine."""
        return None

    @property
    def place(self) -> str:
        """The place where it runs, for people."""
        return f"actor {self.name} on {self._state.get('node', 'no node')}"

    @property
    def sentinel(self) -> int:
        """Can be read from once the board has ended."""
        return self._ended

    def changed(self, state: State) -> None:
        """Set the state to one that the actor has sent."""
        with self._condition:
            self._state = state
            if state["phase"] == "ready":
                self._show(state)
            if state["phase"] == "ended" and self._is_open:
                self._is_open = False
                os.close(self._end)
            self._condition.notify_all()

    def wait_until_it_answers(self, prefix: str) -> None:
        """``prefix`` is the path of its page.

        Raises:
            EngineAway: the cluster was lost meanwhile, or does not answer.
            RuntimeError: it does not come up; the message says why.
        """
        with self._condition:
            self._prefix = prefix
            self._condition.wait_for(
                lambda: self._state["phase"] in ("ready", "ended", "left"), START_SECONDS
            )
            state = self._state
            if state["phase"] == "ready":
                self._show(state)
                return
            if state["phase"] == "left":
                raise RuntimeError("the service ends")
        if self.was_lost():
            raise EngineAway("the Ray cluster was lost")
        if state["phase"] != "ended" and not self._cluster.is_there():
            raise EngineAway(self._cluster.silence)
        self.kill()
        if state["phase"] == "ended":
            reason = state.get("reason", "it was ended")  # without one by kill()
            raise RuntimeError(f"{reason}; see {self._log.name}")
        if state["phase"] == "placed":
            raise RuntimeError(
                f"the cluster had no room for it within {START_SECONDS} seconds; add a node, or "
                "stop other jobs"
            )
        raise RuntimeError(f"no answer within {START_SECONDS} seconds; see {self._log.name}")

    def page(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request by the board, wherever it is now."""
        is_lost = False

        def start(status: str, headers: Any, error: Any = None) -> Any:
            nonlocal is_lost
            if status.startswith("502"):
                # Boards do not say so: nothing listens there any more.
                is_lost = True
                return lambda _: None
            return start_response(status, headers, error)

        parts = super().page(environ, start)
        if not is_lost:
            return parts
        text = "The node of this board does not answer. The board is being started on another.\n"
        if not self._cluster.is_there():
            text = "The Ray cluster does not answer. The board is started again when it does.\n"
        away = Response(text, 503, content_type="text/plain", headers={"Retry-After": "2"})
        return away(environ, start_response)

    def was_told_to_end(self) -> bool:
        """Return False: no signal to the service reaches it."""
        return False

    def was_lost(self) -> bool:
        """Return True if the cluster does not know it any more, and it is to be started anew."""
        return bool(self._state.get("is_lost"))

    def how_it_ended(self) -> str:
        """Return the reason of the end of a board that has ended by itself."""
        reason = self._state.get("reason", "it ended")
        self.kill()
        return f"{board_of(self.job)} failed: {reason}; see {self._log.name}"

    def leave(self) -> None:
        """Stop watching the board, which goes on and is adopted by the next service."""
        self._cluster.forget(self.name)
        with self._condition:
            self._state = {**self._state, "phase": "left"}
            self._condition.notify_all()

    def kill(self) -> None:
        """End it. A board keeps nothing that could be lost."""
        self._cluster.stop(self.name)
        with self._condition:
            self._state = {**self._state, "phase": "ended"}
            if self._is_open:
                self._is_open = False
                os.close(self._end)
            self._condition.notify_all()

    def __del__(self) -> None:
        os.close(self._ended)
        if self._is_open:
            os.close(self._end)

    def _show(self, state: State) -> None:
        self._listens(self._prefix, _address(state), state["key"])
        self.reader = state["reader"]
        spec: Mapping[str, Any] = state["spec"]
        self.confinement = Confinement(**spec["confinement"])
        self.choice = spec["choice"]


class ClusterProcesses(BoardEngine):
    """Starts the boards of one service on a cluster.

    Args:
        logs: where each board's output goes, on every node.
        memory: the most that one may allocate, in bytes.
        confiner: decides what each can reach.
        cluster: where they run.
    """

    # Each start waits for its node.
    threads = 16
    is_shared = True

    def __init__(self, logs: Path, memory: int, confiner: Confiner, cluster: Cluster) -> None:
        super().__init__(logs, memory, confiner)
        self._cluster = cluster
        self._left: set[str] = set()

    def warm(self) -> None:
        """Find the boards that an earlier service has left.

        Raises:
            OSError: the cluster does not answer.
        """
        try:
            self._left = self._names()
        except ClusterError as error:
            raise OSError(str(error)) from None

    def is_left(self, job: Job) -> bool:
        """Return True if an earlier service has left a board for a job."""
        return _name(job) in self._left

    def end_left(self, jobs: Callable[[], Iterable[Job]]) -> None:
        """End the boards that no job has any more."""
        try:
            # In this order: a board is started after its job was written.
            names = self._names()
        except ClusterError as error:
            _LOG.error("boards that no job has are not ended: %s", error)
            return
        for name in names - set(map(_name, jobs())):
            _LOG.info("%s: ended, as no job has it", name)
            self._cluster.stop(name)

    def end(self, job: Job) -> None:
        """End the board of a job, whichever front end has started it."""
        self._cluster.stop(_name(job))

    def close(self) -> None:
        """Note that no board is started any more."""
        self._cluster.close()

    def start(self, job: Job, logs: Logs, mindinsight: MindInsight | None = None) -> ClusterBoard:
        """Start the board of a job over its logs, or return the one that is there.

        It does not answer yet.

        Raises:
            EngineAway: the cluster does not answer.
            ValueError: it cannot be started.
        """
        name = _name(job)
        board = ClusterBoard(job, self._cluster, name, self.log(job.job_id))
        try:
            self._cluster.start(
                name,
                BoardHost,
                self._spec(job, logs, mindinsight),
                Resources(_CPUS, self._memory // _SHARE),
                board.changed,
                restarts=True,
            )
        except ClusterError as error:
            raise EngineAway(str(error)) from None
        return board

    def _names(self) -> set[str]:
        return {name for name in self._cluster.names() if _NAME.match(name)}

    def _spec(self, job: Job, logs: Logs, mindinsight: MindInsight | None) -> dict[str, Any]:
        confinement = self.confiner.of(str(logs.folder), logs.links)
        program, choice = self._reader(confinement)
        return {
            "version": __version__,
            "confinement": attr.asdict(confinement, recurse=False),
            "enforced": confinement.is_enforced,
            "log": str(self.log(job.job_id)),
            "memory": self._memory,
            "mindinsight": mindinsight and mindinsight.python(),
            "data_server": program is not None,
            "choice": None if mindinsight is not None else choice,
        }


def _name(job: Job) -> str:
    """Return the name of the actor of a job's board."""
    return f"board-{job.job_id}-{job.run}-{job.board_number}"


def _address(state: State) -> str:
    host = str(state["host"])
    return f"[{host}]:{state['port']}" if ":" in host else f"{host}:{state['port']}"
