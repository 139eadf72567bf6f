"""One board on a node of a cluster: an actor that has the board run, and knows where it is."""

from __future__ import annotations

import os
import secrets
import socket
import time
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, Mapping

from modelarts import __version__
from modelarts.local.boards import landlock
from modelarts.local.boards.cluster import parent
from modelarts.local.engine.base import exit_text
from modelarts.local.engine.host import Host

#: A board that no service asks for its state for so long ends.
_LEASE_SECONDS = 900.0
_START_SECONDS = 120.0


class BoardHost(Host):
    """The actor of one board.

    Args:
        name: that of the actor, by which it ends itself.
        spec: what :class:`modelarts.local.boards.cluster.processes.ClusterProcesses` says of it.
    """

    def __init__(self, name: str, spec: Mapping[str, Any]) -> None:
        super().__init__(name, spec)
        Thread(target=self._run, daemon=True).start()
        Thread(target=self._end_unused, daemon=True).start()

    def _run(self) -> None:
        try:
            self.tell("ended", reason=self._serve())
        except Exception as error:
            self.tell("ended", reason=f"{type(error).__name__}: {error}")

    def _serve(self) -> str:
        """Have the board run until it ends; return the reason."""
        import ray

        spec, node = self.spec, ray.util.get_node_ip_address()
        problem = _problem(spec, node)
        if problem is not None:
            return problem
        key = secrets.token_hex(16)
        connection, control = parent.start({**spec, "key": key, "host": node})
        with connection, control:
            if not connection.poll(_START_SECONDS):
                return f"no answer within {_START_SECONDS:g} seconds"
            try:
                phase, what = connection.recv()
            except (EOFError, OSError):
                return f"its process on {node} {_how(control)}"
            if phase != "ready":
                return str(what)
            port, reader = what
            self.tell("ready", host=node, port=port, key=key, reader=reader, node=node)
            return _wait(connection, control, node)

    def _end_unused(self) -> None:
        """End this actor when every service that could visit the board is gone."""
        import ray

        while True:
            left = _LEASE_SECONDS - (time.monotonic() - self.asked)
            if left <= 0:
                ray.kill(ray.get_runtime_context().current_actor, no_restart=True)
            time.sleep(max(left, 1.0))


def _problem(spec: Mapping[str, Any], node: str) -> str | None:
    """Return the reason why this node cannot run a board; None where it can."""
    if spec["version"] != __version__:
        return f"the node {node} has modelarts {__version__}, the service {spec['version']}"
    if spec["confinement"]["by_kernel"] and spec["enforced"] and not landlock.abi():
        return (
            f"the node {node} cannot confine boards to the logs of their jobs (Landlock), which "
            "the machine of the service can"
        )
    if spec["mindinsight"] and not os.access(spec["mindinsight"], os.X_OK):
        return f"the node {node} has no MindInsight for {spec['mindinsight']}"
    folder = os.path.dirname(spec["log"])
    if not os.path.isdir(folder):
        return (
            f"the node {node} has no folder {folder}: the service's folder, and the logs, must be "
            "on a file system that all nodes have at the same path"
        )
    return None


def _wait(connection: Connection, control: socket.socket, node: str) -> str:
    """Wait for the end of a board; return the reason."""
    how = _how(control)
    try:
        if connection.poll():
            _, why = connection.recv()
            return str(why)
    except (EOFError, OSError):
        pass
    return f"its process on {node} {how}"


def _how(control: socket.socket) -> str:
    """Wait until the parent of the boards says how one ended."""
    try:
        code = int(control.recv(16) or b"")
    except (ValueError, OSError):
        return "ended with the parent of the node's boards"
    return exit_text(code)
