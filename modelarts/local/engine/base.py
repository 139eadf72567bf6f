"""The engines that trainings run on: this machine, or a cluster. The supervisor asks both alike."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Mapping, Sequence

import attr


def exit_text(code: int) -> str:
    """Return how a process ended, as the predicate of a sentence.

    Args:
        code: its exit code; the negative number of a signal that ended it.
    """
    if code == -signal.SIGKILL:
        return "was killed by signal 9, as Linux does when memory runs out"
    return f"was killed by signal {-code}" if code < 0 else f"ended with {code}"


class EngineError(Exception):
    """A training cannot be started; the message says why."""


class EngineAway(EngineError):
    """A training cannot be started at the moment, as the engine does not answer."""


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Limits:
    """The limits of one training; one that exceeds them is ended.

    Args:
        memory: bytes, of each process and of all together.
        processes: how many it may have at once.
        files: how many files each process may have open.
        log_size: bytes of output.
        disk: bytes that must stay free on the disk with the output.
        grace: the seconds from SIGTERM to SIGKILL.
    """

    memory: int
    processes: int = 2000
    files: int = 65536
    log_size: int = 20 * 1024**3
    disk: int = 256 * 1024**2
    grace: float = 10.0


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Launch:
    """The program of a training.

    Args:
        command: the program, by its path, and its arguments.
        cwd: the folder in which it runs.
        environ: all of its environment.
        log: where its output goes.
        key: marks its processes.
    """

    command: Sequence[str]
    cwd: Path
    environ: Mapping[str, str] = attr.ib(repr=False)
    log: Path
    key: str = attr.ib(repr=False)


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Ended:
    """The end of a training.

    Attributes:
        code: its exit code; None if a signal ended it, or it could not be started.
        signal: the number of that signal.
        by: ``stop`` or ``kill``, as it was asked to end; ``memory``, ``processes``, ``log`` or
            ``disk``, the limit that it exceeded; None: it ended by itself.
        error: the reason why it could not be started.
        seconds: how long it ran.
    """

    code: int | None = None
    signal: int | None = None
    by: str | None = None
    error: str | None = None
    seconds: float = 0.0


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Usage:
    """The resources of its machine that a training has used.

    Attributes:
        seconds: of processors, since it began.
        resident: bytes of memory, now.
        processors: how many the machine has.
        memory: how many bytes of it the machine has.
    """

    seconds: float
    resident: int
    processors: int
    memory: int


class TrainingEngine(ABC):
    """Starts, finds and ends trainings.

    A training has a folder for its state. It can be started once only, so to start it twice does
    no harm.

    Attributes:
        threads: how many are started at once.
        assigns_gpus: it decides which GPU a training gets.
        is_shared: all front ends of a database reach all trainings.
    """

    threads = 2
    assigns_gpus = False
    is_shared = False

    @abstractmethod
    def start(self, folder: Path, launch: Launch, limits: Limits, gpus: int = 0) -> None:
        """Start a training; it may have to wait for its turn then.

        Args:
            folder: for its state; it exists.
            gpus: how many it needs.

        Raises:
            EngineError: it cannot be started, or was started before.
        """

    @abstractmethod
    def wait_for_start(self, folder: Path) -> bool:
        """Wait until a training runs, or has run; return False if the engine was closed before.

        Raises:
            EngineError: it cannot be started.
        """

    @abstractmethod
    def has_started(self, folder: Path) -> bool:
        """Return True if the training of a folder runs, or ran."""

    @abstractmethod
    def is_running(self, folder: Path) -> bool:
        """Return True if the training of a folder runs."""

    @abstractmethod
    def wait(self, folder: Path) -> None:
        """Wait until the training of a folder has ended."""

    @abstractmethod
    def ended(self, folder: Path, key: str) -> Ended | None:
        """Return the end of a training that does not run; None where it is unknown."""

    @abstractmethod
    def end(self, folder: Path, at_once: bool = False) -> None:
        """Ask a training to end; does nothing where it does not run.

        Args:
            at_once: without its grace period.
        """

    @abstractmethod
    def usage(self, folder: Path) -> Usage | None:
        """Return the resources that a training has used; None where it does not run."""

    @abstractmethod
    def close(self) -> None:
        """Wait for no start any more."""
