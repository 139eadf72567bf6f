"""Ray's part in the service, in a process of its own; nothing else on its machine imports Ray.

It takes orders from :class:`modelarts.local.engine.cluster.Cluster` through a connection, and ends
with it. Each process of the service is a detached actor with a name, in the namespace of the
service. The state of an actor is asked for by a call that it answers when it has another one, and
that Ray sends again to the actor that takes its place.

Sources: *Ray: Named Actors*, *Actor Fault Tolerance*, *Ray token authentication*.
"""

from __future__ import annotations

import enum
import json
import os
import platform
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any

from modelarts.local.engine.host import Host
from modelarts.local.engine.spares import Spares

#: The first with token authentication.
LEAST_RAY = "2.52"
_SECONDS = 10
_THREADS = 8
#: The exit code of a probe that was let in.
_LET_IN = 10
_PROBE = "import sys; del sys.path[0]; from modelarts.local.engine.driver import probe; probe()"


class Problem(enum.Enum):
    """The reason why a cluster cannot be joined."""

    NONE = enum.auto()
    NOT_INSTALLED = enum.auto()
    TOO_OLD = enum.auto()
    OPEN = enum.auto()
    WRONG_TOKEN = enum.auto()
    OTHER_VERSION = enum.auto()
    NO_NODE = enum.auto()
    OTHER = enum.auto()
    SILENT = enum.auto()


def main() -> None:
    """Join the cluster that the command line names, and take orders until nobody gives any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, address, namespace, mode = sys.argv[1:5]
    connection = Connection(int(descriptor))
    problem, text = _check(address) if mode == "check" else (Problem.NONE, "")
    if problem is Problem.NONE:
        problem, text = _join(address, namespace)
    connection.send((problem, text))
    if problem is Problem.NONE:
        _Driver(connection).run()


def probe() -> None:
    """Exit with 10 if the cluster that the command line names lets in who has no token."""
    try:
        _metadata(sys.argv[1])
    except Exception:
        os._exit(0)
    os._exit(_LET_IN)


def _check(address: str) -> tuple[Problem, str]:
    """Look at the cluster before it is joined: Ray takes minutes to fail then."""
    try:
        import ray
    except ImportError:
        return Problem.NOT_INSTALLED, ""
    if _numbers(ray.__version__) < _numbers(LEAST_RAY):
        return Problem.TOO_OLD, ray.__version__
    # Older ones have no such error.
    from ray.exceptions import AuthenticationError

    # Ray reads its mode once for each process, so what a caller without a token is told takes one.
    environ = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, "-c", _PROBE, address]
    asking = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL)
    try:
        versions = _metadata(address)
    except AuthenticationError:
        return Problem.WRONG_TOKEN, ""
    except Exception as error:
        return Problem.OTHER, _line(error)
    finally:
        is_open = asking.wait() == _LET_IN
    if is_open:
        return Problem.OPEN, ""
    theirs = (versions.get("ray_version"), versions.get("python_version"))
    ours = (ray.__version__, platform.python_version())
    if theirs[0] != ours[0] or _numbers(str(theirs[1])) != _numbers(ours[1]):
        return Problem.OTHER_VERSION, "Ray %s with Python %s, not %s with %s" % (theirs + ours)
    return Problem.NONE, ""


def _metadata(address: str) -> dict[str, Any]:
    """Return what the head of a cluster says of it, the versions of Ray and Python among it."""
    from ray import _raylet

    # The types of Ray do not have it.
    client = vars(_raylet)["GcsClient"](address=address)
    content = client.internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=_SECONDS)
    return dict(json.loads(content or b"{}"))


def _numbers(version: str) -> tuple[str, ...]:
    return tuple(part.zfill(6) for part in version.split(".")[:2])


def _join(address: str, namespace: str) -> tuple[Problem, str]:
    try:
        import ray

        ray.init(
            address=address,
            namespace=namespace,
            log_to_driver=False,
            configure_logging=False,
        )
    except ConnectionError:  # the cluster was reached before
        return Problem.NO_NODE, ""
    except Exception as error:
        return Problem.OTHER, _line(error)
    return Problem.NONE, ""


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


class _Driver:
    """Does what the service orders."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(_THREADS)
        # The actors that are watched, and their last states.
        self._actors: dict[str, Any] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._spares = Spares(self._pool)
        self._classes: dict[type[Host], Any] = {}

    def run(self) -> None:
        """Take orders until the service is gone."""
        import ray

        self._spares.open(ray.get_runtime_context().get_node_id())
        while True:
            try:
                number, do, arguments = self._connection.recv()
            except (EOFError, OSError):
                # At once: Ray would wait for calls that are on their way.
                os._exit(0)
            self._pool.submit(self._do, number, do, arguments)

    def _do(self, number: int, do: str, arguments: tuple[Any, ...]) -> None:
        from ray.exceptions import AuthenticationError

        try:
            self._send("answer", number, getattr(self, "_" + do)(*arguments))
        except AuthenticationError:
            # There is another head at the address: it is to be joined anew, by another process.
            os._exit(1)
        except Exception as error:
            self._send("failed", number, _line(error))

    def _send(self, kind: str, key: Any, value: Any) -> None:
        with self._lock:
            self._connection.send((kind, key, value))

    def _start(
        self,
        name: str,
        host: type[Host],
        spec: dict[str, Any],
        resources: dict[str, Any],
        restarts: bool,
    ) -> None:
        import ray

        options: dict[str, Any] = {
            "name": name,
            "get_if_exists": True,
            "lifetime": "detached",
            "num_cpus": resources["cpus"],
            "memory": resources["memory"] or None,
            "num_gpus": resources["gpus"] or None,
            "max_restarts": -1 if restarts else 0,
            "max_task_retries": -1 if restarts else 0,
            "max_concurrency": 8,
            "scheduling_strategy": "SPREAD",
        }
        # Ray keeps what it makes of a class for as long as it runs.
        with self._lock:
            if host not in self._classes:
                self._classes[host] = ray.remote(host)
            remote = self._classes[host]
        if restarts:  # others may wait for long
            self._spares.starts(name)
        try:
            actor = remote.options(**options).remote(name, spec)
        except BaseException:
            self._spares.has_started(name)
            raise
        self._follow(name, actor)

    def _watch(self, name: str) -> None:
        self._follow(name, self._actor(name))

    def _follow(self, name: str, actor: Any) -> None:
        """Send the states of an actor from now on, beginning with the one that it has."""
        with self._lock:
            is_new = name not in self._actors
            self._actors.setdefault(name, actor)
            state = self._states.get(name)
        if is_new:
            self._look(name, actor, "")
        elif state is not None:
            self._spares.has_started(name)
            self._send("state", name, state)

    def _names(self) -> list[str]:
        from ray.util import list_named_actors

        return list(list_named_actors())

    def _sizes(self) -> tuple[int, int]:
        import ray

        resources = ray.cluster_resources()
        return int(resources.get("CPU", 0)), int(resources.get("GPU", 0))

    def _ask(self, name: str, method: str, *arguments: Any) -> Any:
        import ray

        try:
            actor = self._actor(name)
        except ValueError:
            return None  # it has ended
        return ray.get(getattr(actor, method).remote(*arguments), timeout=_SECONDS)

    def _stop(self, name: str) -> None:
        import ray

        try:
            actor = self._forget(name) or ray.get_actor(name)
        except ValueError:
            return  # it has ended
        ray.kill(actor, no_restart=True)

    def _forget(self, name: str) -> Any:
        self._spares.has_started(name)
        with self._lock:
            self._states.pop(name, None)
            return self._actors.pop(name, None)

    def _actor(self, name: str) -> Any:
        import ray

        return self._actors.get(name) or ray.get_actor(name)

    def _look(self, name: str, actor: Any, known: str) -> None:
        """Ask an actor for its state, once that is not the known one."""
        future: Future[Any] = actor.changes.remote(known).future()
        future.add_done_callback(lambda done: self._pool.submit(self._changed, name, known, done))

    def _changed(self, name: str, known: str, done: Future[Any]) -> None:
        actor = self._actors.get(name)
        if actor is None:
            return  # it was stopped
        try:
            state = done.result()
        except Exception as error:
            self._forget(name)
            self._send("state", name, {"phase": "ended", "reason": _line(error)})
            return
        self._spares.has_started(name, state["node_id"])
        if state["id"] != known:
            with self._lock:
                self._states[name] = state
            self._send("state", name, state)
        self._look(name, actor, state["id"])
