"""The processes of one service on a Ray cluster: starts, finds, watches and ends them.

Ray decides where each runs, and starts it again elsewhere when its node is lost. Ray itself is
loaded by a process of its own, :mod:`modelarts.local.engine.driver`: what Ray does to a process
that loses its cluster, which is to end it, does not reach the service.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout  # Python 3.10 has two
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Callable, Mapping

import attr

from modelarts.local.engine.driver import LEAST_RAY, Problem
from modelarts.local.engine.host import Host

_LOG = logging.getLogger("modelarts.local")
_CODE = "import sys; del sys.path[0]; from modelarts.local.engine.driver import main; main()"
_CONNECT_SECONDS = 5.0
_JOIN_SECONDS = 90.0
_CALL_SECONDS = 60.0
_AGAIN_SECONDS = 2.0
_LOOK_SECONDS = 2.0
_TOKEN = "RAY_AUTH_TOKEN"
_TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"

#: What a process tells of itself: its phase, and where it is.
State = Mapping[str, Any]


class ClusterError(Exception):
    """The cluster cannot be used; the message says why, and what to do."""


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Resources:
    """The share of a node that a process needs, by which Ray finds one.

    Args:
        cpus: processors; may be a part of one.
        memory: bytes.
        gpus: whole GPUs.
    """

    cpus: float
    memory: int = 0
    gpus: int = 0


class Cluster:
    """The processes of one service on a Ray cluster.

    Args:
        address: that of Ray's head, as ``HOST:PORT``.
        namespace: the name that no other service of the cluster has.
        log: where the output of Ray's part in the service goes.

    Attributes:
        silence: the sentence that the cluster does not answer.
        returned: is called when the cluster is there again after it was lost.
    """

    def __init__(self, address: str, namespace: str, log: Path) -> None:
        self.address = address
        self.silence = f"the Ray cluster at {address} does not answer"
        self.returned: Callable[[], None] = lambda: None
        self._namespace = namespace
        self._log = log
        self._lock = Lock()
        self._numbers = count()
        self._connection: Connection | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pending: dict[int, Future[Any]] = {}
        self._watched: dict[str, Callable[[State], None]] = {}
        # Actors that are ended as soon as the cluster can be reached.
        self._unwanted: set[str] = set()
        self._closing = Event()
        self._thread = Thread(target=self._keep, name="cluster", daemon=True)

    def open(self) -> None:
        """Join the cluster.

        Raises:
            ClusterError: it is not there, it is of another version, or has no token
                authentication or another token; or Ray is not installed.
        """
        _check_token()
        _check_address(self.address)
        self._join(is_first=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the cluster. What runs there goes on."""
        self._closing.set()
        with self._lock:
            process = self._process
        if process is not None:
            process.kill()
            process.wait()
        if self._thread.is_alive():
            self._thread.join()

    def start(
        self,
        name: str,
        host: type[Host],
        spec: Mapping[str, Any],
        resources: Resources,
        changed: Callable[[State], None],
        *,
        restarts: bool,
    ) -> None:
        """Start a process, or watch the one of this name.

        Returns when the cluster has accepted it, before it runs.

        Args:
            name: the name of one process; of several services that start it at once, one does.
            host: the class that runs it on its node.
            spec: the argument of that class.
            changed: is called with each new state, by another thread.
            restarts: start it again, wherever there is room, if its node or its process is lost.

        Raises:
            ClusterError: the cluster does not answer.
        """
        with self._lock:
            self._watched[name] = changed
        try:
            self._call("start", name, host, dict(spec), attr.asdict(resources), restarts)
        except ClusterError:
            self.forget(name)
            raise

    def watch(self, name: str, changed: Callable[[State], None]) -> None:
        """Watch a process that an earlier service has started. Raises ClusterError."""
        with self._lock:
            self._watched[name] = changed
        self._call("watch", name)

    def ask(self, name: str, method: str, *arguments: Any) -> Any:
        """Call a method of a process and return its result. Raises ClusterError."""
        return self._call("ask", name, method, *arguments)

    def names(self) -> list[str]:
        """Return the names of all processes of the service that have not ended.

        Raises:
            ClusterError: the cluster does not answer.
        """
        return list(self._call("names"))

    def sizes(self) -> tuple[int, int]:
        """Return how many processors and GPUs the cluster has. Raises ClusterError."""
        cpus, gpus = self._call("sizes")
        return int(cpus), int(gpus)

    def is_there(self) -> bool:
        """Return True if the cluster was joined and its head can be reached."""
        if self._connection is None:
            return False
        try:
            _reach(self.address, _LOOK_SECONDS)
        except OSError:
            return False
        return True

    def stop(self, name: str) -> None:
        """End a process at once, if it runs.

        Where the cluster does not answer, it is ended as soon as the cluster does.
        """
        self.forget(name)
        try:
            self._call("stop", name)
        except ClusterError as error:
            _LOG.error("%s is ended later: %s", name, error)
            with self._lock:
                self._unwanted.add(name)

    def forget(self, name: str) -> None:
        """Stop watching a process, which goes on."""
        with self._lock:
            self._watched.pop(name, None)

    def _call(self, do: str, *arguments: Any) -> Any:
        future: Future[Any] = Future()
        with self._lock:
            connection = self._connection
            if connection is None:
                raise ClusterError(self.silence)
            number = next(self._numbers)
            self._pending[number] = future
            try:
                connection.send((number, do, arguments))
            except OSError:
                del self._pending[number]
                raise ClusterError(self.silence) from None
        deadline = time.monotonic() + _CALL_SECONDS
        try:
            while time.monotonic() < deadline:
                try:
                    return future.result(_LOOK_SECONDS)
                except FutureTimeout:
                    # Ray itself tries for a minute to reach a head that is gone.
                    if not self.is_there():
                        raise ClusterError(self.silence) from None
        finally:
            with self._lock:
                self._pending.pop(number, None)
        raise ClusterError(
            f"the Ray cluster at {self.address} did not answer within {_CALL_SECONDS:g} seconds"
        )

    def _join(self, is_first: bool = False) -> None:
        ours, theirs = socket.socketpair()
        with theirs, open(self._log, "ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", _CODE, str(theirs.fileno())),
                    *(self.address, self._namespace, "check" if is_first else "join"),
                ],
                cwd="/",
                env={
                    **os.environ,
                    "RAY_AUTH_MODE": "token",
                    "RAY_USAGE_STATS_ENABLED": "0",
                    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        connection = Connection(ours.detach())
        with self._lock:
            self._process = process  # close() ends it, also before it has joined
            if self._closing.is_set():
                process.kill()
        try:
            problem, text = Problem.SILENT, ""
            if connection.poll(_JOIN_SECONDS):
                problem, text = connection.recv()
        except (EOFError, OSError):
            pass
        with self._lock:
            if problem is Problem.NONE:
                self._connection = connection
                return
            self._process = None
        process.kill()
        process.wait()
        connection.close()
        raise ClusterError(self._sentence(problem, text))

    def _sentence(self, problem: Problem, text: str) -> str:
        where = f"the Ray cluster at {self.address}"
        return {
            Problem.NOT_INSTALLED: "Ray is not installed: pip install 'modelarts[ray]'",
            Problem.TOO_OLD: f"Ray {text} is installed, and {LEAST_RAY} or newer is needed: "
            "pip install 'modelarts[ray]'",
            Problem.OPEN: f"{where} lets anybody in: start it with RAY_AUTH_MODE=token and a token",
            Problem.WRONG_TOKEN: f"{where} refuses the token: give that of the cluster in "
            f"{_TOKEN_PATH} or {_TOKEN}",
            Problem.OTHER_VERSION: f"{where} runs {text}: use the same versions here",
            Problem.NO_NODE: f"this machine is no node of {where[4:]}: run on it ray start "
            f"--address={self.address} --num-cpus=0",
            Problem.SILENT: f"{where} cannot be joined; {self._log} may say why",
        }.get(problem, f"{where} cannot be joined: {text}; {self._log} may say more")

    def _keep(self) -> None:
        """Read what the driver says; start it anew when it has ended."""
        while not self._closing.is_set():
            connection = self._connection
            try:
                if connection is None:
                    self._join()
                    Thread(target=self._resume, name="cluster again", daemon=True).start()
                    continue
                message = connection.recv()
            except (EOFError, OSError):
                self._lost()
                continue
            except ClusterError as error:
                if not self._closing.is_set():
                    _LOG.error("%s. It is tried again.", error)
                self._closing.wait(_AGAIN_SECONDS)
                continue
            self._take(*message)

    def _take(self, kind: str, key: Any, value: Any) -> None:
        if kind == "state":
            with self._lock:
                changed = self._watched.get(key)
            if changed is not None:
                changed(value)
            return
        with self._lock:
            future = self._pending.pop(key, None)
        if future is None:
            return
        if kind == "answer":
            future.set_result(value)
        else:
            future.set_exception(ClusterError(value))

    def _lost(self) -> None:
        with self._lock:
            connection, process = self._connection, self._process
            self._connection = self._process = None
            pending, self._pending = self._pending, {}
        if connection is not None:
            connection.close()
        if process is not None:
            process.kill()
            process.wait()
        for future in pending.values():
            future.set_exception(ClusterError(f"the Ray cluster at {self.address} was lost"))
        if not self._closing.is_set():
            _LOG.error("the Ray cluster at %s was lost; it is joined again", self.address)

    def _resume(self) -> None:
        """Watch again what runs, and end what was to be ended meanwhile."""
        try:
            names = set(self.names())
            with self._lock:
                watched = dict(self._watched)
                unwanted, self._unwanted = self._unwanted, set()
            for name in unwanted - set(watched):
                self.stop(name)
            for name, changed in watched.items():
                if name in names:
                    self.watch(name, changed)
                else:
                    self.forget(name)
                    reason = "it was lost with the cluster"
                    changed({"phase": "ended", "reason": reason, "is_lost": True})
            _LOG.info("the Ray cluster at %s is there again", self.address)
            self.returned()
        except ClusterError as error:
            _LOG.error("%s", error)


def _check_token() -> None:
    """Look for a token where Ray does.

    Source: *Ray token authentication*.
    """
    if os.environ.get(_TOKEN):
        return
    path = os.environ.get(_TOKEN_PATH) or os.path.expanduser("~/.ray/auth_token")
    try:
        with open(path, "rb") as file:
            if file.read(1):
                return
        problem = "is empty"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    raise ClusterError(
        f"there is no token for the Ray cluster: {path} {problem}. Make one with ray "
        f"get-auth-token --generate, or name the file of the cluster's in {_TOKEN_PATH}"
    )


def _check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ClusterError(f"--ray-address {address}: give HOST:PORT, such as 10.0.0.1:6379")
    try:
        _reach(address, _CONNECT_SECONDS)
    except OSError as error:
        raise ClusterError(
            f"there is no Ray cluster at {address}: {error.strerror or error}"
        ) from None


def _reach(address: str, seconds: float) -> None:
    """Raise OSError where nothing listens at an address."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), seconds).close()
