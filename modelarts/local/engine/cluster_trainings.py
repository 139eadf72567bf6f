"""The trainings of a service on a Ray cluster, as the service sees them."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from threading import Condition
from typing import Any

import attr

from modelarts import __version__
from modelarts.local.engine.base import (
    Ended,
    EngineAway,
    EngineError,
    Launch,
    Limits,
    TrainingEngine,
    Usage,
)
from modelarts.local.engine.cluster import Cluster, ClusterError, Resources, State
from modelarts.local.engine.training_host import TrainingHost

_LOG = logging.getLogger("modelarts.local")
_GONE: State = {"phase": "ended", "reason": "its actor on the Ray cluster is gone"}

_END_SECONDS = 5.0
_PAUSE = 0.05
#: Those of a training that does not run yet; the first: nothing is known of an actor but its name.
_WAITING = ("found", "placed", "starting")


class ClusterTrainings(TrainingEngine):
    """Starts, finds and ends the trainings of one service on a cluster.

    Each is an actor on some node, which has a keeper run it there. It ends with its actor. The
    folder for its state is on a file system of all nodes.

    Args:
        cluster: where they run.
        memory: the bytes that are set aside for each; 0: none.
    """

    threads = 64
    assigns_gpus = True
    is_shared = True

    def __init__(self, cluster: Cluster, memory: int) -> None:
        self._cluster = cluster
        self._memory = memory
        self._condition = Condition()
        self._states: dict[str, State] = {}
        self._closed = False

    def start(self, folder: Path, launch: Launch, limits: Limits, gpus: int = 0) -> None:
        """Start a training, as soon as a node has room for it. Raises EngineError."""
        name = _name(folder)
        if self._state(folder) is not None:
            return  # an earlier service has
        spec: dict[str, Any] = {
            "version": __version__,
            "folder": str(folder),
            "command": list(launch.command),
            "cwd": str(launch.cwd),
            "environ": dict(launch.environ),
            "log": str(launch.log),
            "key": launch.key,
            "limits": attr.asdict(limits),
            "gpus": gpus,
        }
        self._changed(name, {"phase": "placed"})
        try:
            self._cluster.start(
                name,
                TrainingHost,
                spec,
                Resources(1, self._memory, gpus),
                lambda state: self._changed(name, state),
                restarts=False,
            )
        except ClusterError as error:
            self._forget(name)
            raise EngineAway(str(error)) from None

    def wait_for_start(self, folder: Path) -> bool:
        """Wait until a training runs, or has run. Raises EngineError."""
        name = _name(folder)
        with self._condition:
            self._condition.wait_for(
                lambda: self._closed or self._states.get(name, _GONE)["phase"] not in _WAITING
            )
            state = self._states.get(name, _GONE)
        if state["phase"] == "ended" and not self.has_started(folder):
            self._cluster.stop(name)
            self._forget(name)
            error = EngineAway if state.get("is_lost") else EngineError
            raise error(str(state["reason"]))
        return not self._closed

    def has_started(self, folder: Path) -> bool:
        """Return True if the training of a folder runs, or ran."""
        return (folder / "started.json").exists()

    def is_running(self, folder: Path) -> bool:
        """Return True if the training of a folder runs."""
        state = self._state(folder)
        return state is not None and state["phase"] != "ended"

    def wait(self, folder: Path) -> None:
        """Wait until the training of a folder has ended."""
        if self._state(folder) is None:
            return
        name = _name(folder)
        with self._condition:
            self._condition.wait_for(lambda: self._states.get(name, _GONE)["phase"] == "ended")

    def ended(self, folder: Path, key: str) -> Ended | None:
        """Return the end of a training that does not run; None where it is unknown."""
        name = _name(folder)
        self._cluster.stop(name)
        self._forget(name)
        # One whose actor was killed is being ended by its keeper.
        deadline = time.monotonic() + _END_SECONDS
        while not (folder / "ended.json").exists() and time.monotonic() < deadline:
            if not self.has_started(folder):
                return None
            time.sleep(_PAUSE)
        try:
            content: dict[str, Any] = json.loads((folder / "ended.json").read_bytes())
        except (OSError, ValueError):
            return None
        names = [field.name for field in attr.fields(Ended)]
        return Ended(**{name: content[name] for name in names if name in content})

    def end(self, folder: Path, at_once: bool = False) -> None:
        """Ask a training to end; does nothing where it does not run."""
        name = _name(folder)
        with self._condition:
            state = self._states.get(name)
        if state is not None and state["phase"] == "placed":
            self._cluster.stop(name)
            self._changed(name, {"phase": "ended", "reason": "it was stopped before it ran"})
            return
        try:
            if state is None and name not in self._cluster.names():
                return
            if state is None and at_once:
                # Another front end has started it; it may not run yet, and ends with its actor.
                self._cluster.stop(name)
            else:
                self._cluster.ask(name, "end", at_once)
        except ClusterError as error:
            _LOG.error("training %s cannot be ended: %s", folder.name, error)

    def usage(self, folder: Path) -> Usage | None:
        """Return the resources that a training has used; None where it does not run."""
        name = _name(folder)
        with self._condition:
            state = self._states.get(name, _GONE)
        if state["phase"] != "running":
            return None
        try:
            values = self._cluster.ask(name, "usage")
        except ClusterError as error:
            _LOG.debug("training %s: no metrics: %s", folder.name, error)
            return None
        return None if values is None else Usage(*values)

    def close(self) -> None:
        """Wait for no start any more."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _state(self, folder: Path) -> State | None:
        """Return what is known of a training; None where it has no actor."""
        name = _name(folder)
        with self._condition:
            if name in self._states:
                return self._states[name]
        try:
            if name not in self._cluster.names():
                return None
            with self._condition:
                self._states.setdefault(name, {"phase": "found"})
            self._cluster.watch(name, lambda state: self._changed(name, state))
        except ClusterError as error:
            _LOG.error("training %s: %s", folder.name, error)
            return None
        return {"phase": "found"}

    def _changed(self, name: str, state: State) -> None:
        with self._condition:
            self._states[name] = state
            self._condition.notify_all()

    def _forget(self, name: str) -> None:
        with self._condition:
            self._states.pop(name, None)
            self._condition.notify_all()


def _name(folder: Path) -> str:
    return f"training-{folder.name}"
