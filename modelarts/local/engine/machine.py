"""Runs trainings as processes of this machine, each under a keeper that outlives the service."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Lock
from typing import IO, Any

import attr

from modelarts.local.engine.base import (
    Ended,
    EngineError,
    Launch,
    Limits,
    TrainingEngine,
    Usage,
)

__all__ = ["Ended", "EngineError", "Launch", "Limits", "Machine"]

_KEEPER = Path(__file__).with_name("keeper.py")
_PAUSE = 0.005
#: A keeper says that it is ready, and then that its training runs, within milliseconds.
_START_SECONDS = 60.0
#: A variable in the environment of every process of a training, with a random key.
MARK = "MODELARTS_TRAINING_KEY"


class Machine(TrainingEngine):
    """Starts, finds and ends the trainings of this machine.

    A training has a folder for its state. Only one keeper can ever start the training of a folder,
    so to start it twice does no harm.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def start(
        self,
        folder: Path,
        launch: Launch,
        limits: Limits,
        gpus: int = 0,
        ends_with: int | None = None,
    ) -> None:
        """Start a training; return when its program runs.

        Args:
            folder: for its state; it exists.
            gpus: ignored: which it may use is in its environment.
            ends_with: this process, where the training is to end with the thread that calls this.

        Raises:
            EngineError: it cannot be started, or was started before.
        """
        spec = {
            "command": list(launch.command),
            "cwd": str(launch.cwd),
            "environ": {**launch.environ, MARK: launch.key},
            "log": str(launch.log),
            "ends_with": ends_with,
            **attr.asdict(limits),
        }
        path = folder / "spec.json"
        temporary = folder / ".spec.json"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(spec, file)
        os.replace(temporary, path)
        with open(folder / "keeper.log", "ab") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_KEEPER), str(folder)],
                cwd=folder,
                env={"PATH": os.defpath},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        line = _let_go(keeper)
        with self._lock:
            self._children[folder] = keeper
        if line != "started":
            self._reap(folder)
            raise EngineError(line or f"its keeper ended; see {folder / 'keeper.log'}")

    def wait_for_start(self, folder: Path) -> bool:
        """Return at once: a training of this machine runs when it is started."""
        return True

    def close(self) -> None:
        """Do nothing: no start waits."""

    def has_started(self, folder: Path) -> bool:
        """Return True if the training of a folder runs, or ran.

        If not, it does not start by itself: a keeper that an earlier service has left between its
        lock and its start is waited for.
        """
        while self.is_running(folder):
            if (folder / "started.json").exists():
                return True
            self._signal(folder, signal.SIGCONT)  # it may be stopped
            time.sleep(_PAUSE)
        return (folder / "started.json").exists()

    def is_running(self, folder: Path) -> bool:
        """Return True if the training of a folder runs."""
        try:
            descriptor = os.open(folder / "lock", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def wait(self, folder: Path) -> None:
        """Wait until the training of a folder has ended."""
        try:
            descriptor = os.open(folder / "lock", os.O_RDONLY)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)
        self._reap(folder)

    def ended(self, folder: Path, key: str) -> Ended | None:
        """Return the end of a training that does not run; None where it is unknown.

        What is left of one whose keeper was killed is ended first.
        """
        try:
            content: dict[str, Any] = json.loads((folder / "ended.json").read_bytes())
        except (OSError, ValueError):
            end_marked(key)
            return None
        names = [field.name for field in attr.fields(Ended)]
        return Ended(**{name: content[name] for name in names if name in content})

    def end(self, folder: Path, at_once: bool = False) -> None:
        """Ask a training to end; does nothing where it does not run.

        Args:
            at_once: without its grace period.
        """
        self._signal(folder, signal.SIGINT if at_once else signal.SIGTERM)
        self._signal(folder, signal.SIGCONT)  # one that is stopped would not notice

    def _signal(self, folder: Path, number: signal.Signals) -> None:
        """Send a signal to the keeper of a training, if it runs."""
        pid = self.keeper(folder)
        if pid is None:
            return
        if not hasattr(os, "pidfd_open"):
            _kill(pid, number)
            return
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            # Its number may have been given to another process; while it holds the lock, it is it.
            if self.keeper(folder) == pid:
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(descriptor)

    def keeper(self, folder: Path) -> int | None:
        """Return the process id of the keeper of a running training; None where none runs."""
        if not self.is_running(folder):
            return None
        try:
            return int((folder / "lock").read_bytes())
        except (OSError, ValueError):
            return None

    def usage(self, folder: Path) -> Usage | None:
        """Return the resources that a training has used; None where it does not run.

        A keeper that was stopped goes on then, as it keeps the limits.
        """
        import psutil

        pid = self.keeper(folder)
        if pid is None:
            return None
        seconds, resident = 0.0, 0
        try:
            keeper = psutil.Process(pid)
            if keeper.status() == psutil.STATUS_STOPPED:
                self._signal(folder, signal.SIGCONT)
            processes = keeper.children(recursive=True)
        except psutil.Error:
            return None
        for process in processes:
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    resident += process.memory_info().rss
            except psutil.Error:
                continue  # it has just ended
            seconds += times.user + times.system + times.children_user + times.children_system
        return Usage(seconds, resident, psutil.cpu_count() or 1, psutil.virtual_memory().total)

    def _reap(self, folder: Path) -> None:
        with self._lock:
            keeper = self._children.pop(folder, None)
        if keeper is not None:
            keeper.wait()


def _let_go(keeper: subprocess.Popen[bytes]) -> str:
    """Have a keeper start its training; return its last line, which is empty if it ended before.

    One that says nothing, as it is stopped, is killed.
    """
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    with keeper.stdout as output, keeper.stdin as commands:
        line = _read_line(output)
        if line == b"ready\n":
            try:
                commands.write(b"go\n")
                commands.flush()
                line = _read_line(output)
            except BrokenPipeError:
                line = b""
    if line is None:
        keeper.kill()
        return f"its keeper said nothing for {_START_SECONDS:g} seconds"
    return line.decode("utf-8", "replace").strip()


def _read_line(output: IO[bytes]) -> bytes | None:
    """Return the next line, which is written at once; None where none comes."""
    waiting = select.poll()  # select() knows no descriptor beyond 1023
    waiting.register(output, select.POLLIN)
    if not waiting.poll(1000 * _START_SECONDS):
        return None
    return output.readline()


def end_marked(key: str) -> None:
    """Kill all processes that have a training's key in their environment (Linux only)."""
    mark = f"{MARK}={key}".encode()
    while True:
        marked = [pid for pid in _processes() if mark in _environ(pid)]
        for pid in marked:
            _kill(pid, signal.SIGKILL)
        if not marked:
            return


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _environ(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass
