"""The flavors and engines of this machine: what a training can ask for."""

from __future__ import annotations

import glob
import os
import platform
import sys
from typing import Mapping, Sequence

import attr

from modelarts.local.training.definition import Engine, illegal

CPU, GPU = "CPU", "GPU"
#: The number of a GPU that the cluster chooses.
ANY_GPU = "any"


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Flavor:
    """A flavor; ``kind`` is ``CPU`` or ``GPU``, with one GPU."""

    flavor_id: str
    kind: str = CPU


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Interpreter:
    """An engine and its Python; without a version it stands for all versions of its name."""

    name: str
    version: str
    python: str

    @property
    def engine_id(self) -> str:
        """Return the id of the engine."""
        return f"{self.name}:{self.version}" if self.version else self.name


class MachineTypes:
    """The flavors and engines that trainings of this service can ask for.

    Args:
        engines: further engines, as ``NAME=PYTHON`` or ``NAME:VERSION=PYTHON``.
        flavors: further names of this machine, as ``NAME`` or ``NAME=gpu``.
        cluster_gpus: how many GPUs the cluster has on which trainings run; None: they run here.

    Raises:
        ValueError: one has another form, or its Python cannot be run.
    """

    def __init__(
        self,
        engines: Sequence[str] = (),
        flavors: Sequence[str] = (),
        cluster_gpus: int | None = None,
    ) -> None:
        own = Interpreter("Python", "python_%d.%d" % sys.version_info[:2], sys.executable)
        self.engines = [own, *map(_interpreter, engines)]
        self.gpus = _gpus() if cluster_gpus is None else [ANY_GPU] * cluster_gpus
        by_id = {"local": Flavor("local")}
        if self.gpus:
            by_id["local.gpu"] = Flavor("local.gpu", GPU)
        for text in flavors:
            flavor = _flavor(text)
            if flavor.kind == GPU and not self.gpus:
                raise ValueError(f"--flavor {text}: this machine has no GPU")
            by_id[flavor.flavor_id] = flavor
        self.flavors: Mapping[str, Flavor] = by_id

    def flavor(self, flavor_id: str | None) -> Flavor:
        """Return a flavor; by default the first. Raises TrainingFailure for an unknown one."""
        if flavor_id is None:
            return next(iter(self.flavors.values()))
        flavor = self.flavors.get(flavor_id)
        if flavor is None:
            raise illegal(
                f"The flavor {ascii(flavor_id)[:100]} is unknown.",
                f"Give one of: {', '.join(self.flavors)}. The service's owner can add it: "
                "modelarts serve --flavor NAME",
            )
        return flavor

    def interpreter(self, engine: Engine) -> Interpreter:
        """Return the Python of an engine; by default that of the service.

        Raises:
            TrainingFailure: there is no such engine.
        """
        if engine.engine_id is not None:
            matching = [each for each in self.engines if each.engine_id == engine.engine_id]
        elif engine.name is not None:
            matching = [
                each
                for each in self.engines
                if each.name == engine.name and each.version in ("", engine.version or each.version)
            ]
        else:
            matching = self.engines[:1]
        if not matching:
            asked = engine.engine_id or f"{engine.name} {engine.version or ''}".strip()
            known = ", ".join(each.engine_id for each in self.engines)
            raise illegal(
                f"The engine {ascii(asked)[:100]} is unknown.",
                f"Give one of: {known}. The service's owner can add it: "
                "modelarts serve --engine NAME=PYTHON",
            )
        return matching[-1]

    @staticmethod
    def hardware() -> dict[str, object]:
        """Return the processors and the memory of this machine, as flavors tell of them."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**3
        return {
            "max_num": 1,
            "cpu": {"arch": platform.machine(), "core_num": os.cpu_count() or 1},
            "memory": {"size": memory, "unit": "GB"},
        }


def _interpreter(text: str) -> Interpreter:
    identity, equals, python = text.partition("=")
    name, _, version = identity.partition(":")
    path = os.path.abspath(os.path.expanduser(python))
    if not equals or not name or not python:
        raise ValueError(f"--engine {text}: give NAME=PYTHON or NAME:VERSION=PYTHON")
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        raise ValueError(f"--engine {text}: {path} is no program")
    return Interpreter(name, version, path)


def _flavor(text: str) -> Flavor:
    name, equals, kind = text.partition("=")
    if not name or (equals and kind.lower() not in ("cpu", "gpu")):
        raise ValueError(f"--flavor {text}: give NAME, NAME=cpu or NAME=gpu")
    return Flavor(name, kind.upper() or CPU)


def _gpus() -> list[str]:
    """Return the numbers of the NVIDIA GPUs of this machine."""
    prefix = "/dev/nvidia"
    return sorted(
        (path[len(prefix) :] for path in glob.glob(prefix + "[0-9]*")), key=lambda n: int(n)
    )
