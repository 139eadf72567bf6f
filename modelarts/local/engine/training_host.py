"""One training on a node of a cluster: an actor that has a keeper run it."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread
from typing import Any, Mapping

import attr

from modelarts import __version__
from modelarts.local.engine.host import Host
from modelarts.local.engine.machine import EngineError, Launch, Limits, Machine


class TrainingHost(Host):
    """The actor of one training, which runs once: the actor is not started again.

    Args:
        name: that of the actor.
        spec: what :class:`modelarts.local.engine.cluster_trainings.ClusterTrainings` says of it.
    """

    def __init__(self, name: str, spec: Mapping[str, Any]) -> None:
        super().__init__(name, {"folder": spec["folder"]})
        self._machine = Machine()
        self._folder = Path(spec["folder"])
        self._launch: Mapping[str, Any] = spec
        Thread(target=self._run, daemon=True).start()

    def end(self, at_once: bool) -> None:
        """Ask the training to end."""
        self._machine.end(self._folder, at_once)

    def usage(self) -> tuple[Any, ...] | None:
        """Return the values of a :class:`Usage`; None where the training does not run."""
        usage = self._machine.usage(self._folder)
        return None if usage is None else attr.astuple(usage)

    def _run(self) -> None:
        try:
            self._serve()
        except EngineError as error:
            self.tell("ended", reason=str(error))
        except Exception as error:
            self.tell("ended", reason=f"{type(error).__name__}: {error}")
        else:
            self.tell("ended", reason=None)

    def _serve(self) -> None:
        import ray

        spec, node = self._launch, ray.util.get_node_ip_address()
        if spec["version"] != __version__:
            raise EngineError(
                f"the node {node} has modelarts {__version__}, the service {spec['version']}"
            )
        if not self._folder.is_dir():
            raise EngineError(
                f"the node {node} has no folder {self._folder}: the service's folder must be on a "
                "file system that all nodes have at the same path"
            )
        environ = dict(spec["environ"])
        if spec["gpus"]:
            ids = ray.get_runtime_context().get_accelerator_ids()["GPU"]
            environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, ids))
            environ["MA_NUM_GPUS"] = str(len(ids))
        launch = Launch(spec["command"], Path(spec["cwd"]), environ, Path(spec["log"]), spec["key"])
        limits = Limits(**spec["limits"])
        self._machine.start(self._folder, launch, limits, ends_with=os.getpid())
        self.tell("running", node=node)
        # This thread has started the keeper, which ends when this thread does.
        self._machine.wait(self._folder)
