"""Makes the virtual environment of an ``Environment``, once for each set of dependencies."""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from typing import Callable, Dict, Iterator, Optional, Sequence

from modelarts.environment import Environment
from modelarts.errors import InvalidArgument, ModelArtsError

_PYTHON = ("bin", "python")
#: Runs a command with more environment variables; returns its exit status.
Execute = Callable[[Sequence[str], Dict[str, str]], int]


class EnvironmentNotMade(ModelArtsError):
    """A virtual environment could not be made; the output of the command says why."""


def find_python(environment: Optional[Environment]) -> str:
    """Return the path of the interpreter that an environment is made with.

    Raises:
        InvalidArgument: this machine has no such version.
    """
    conda = None if environment is None else environment.conda
    if conda is None or conda.python in (None, "%d.%d" % sys.version_info[:2]):
        return sys.executable
    path = shutil.which("python%s" % conda.python)
    if path is None:
        raise InvalidArgument(
            "conda_packages",
            "python=%s" % conda.python,
            "a version of which there is an interpreter here, such as python=%d.%d"
            % sys.version_info[:2],
        )
    return path


def make_environment(environment: Optional[Environment], execute: Execute) -> str:
    """Return the path of the Python of an environment, which is made if it is not there yet.

    Args:
        environment: the environment; one without dependencies is this Python itself.
        execute: runs the commands.

    Raises:
        InvalidArgument: this machine has no such version of Python.
        EnvironmentNotMade: a command failed; nothing of the environment is left.
        OSError: a file cannot be written.
    """
    base = find_python(environment)
    if environment is None or environment.conda is None:
        return base
    conda = environment.conda
    content = json.dumps([base, conda.pip_packages, conda.channels]).encode()
    name = "%s-%s" % (environment.name, hashlib.sha256(content).hexdigest()[:16])
    parent = os.path.join(_cache(), "modelarts", "environments")
    os.makedirs(parent, exist_ok=True)
    folder = os.path.join(parent, name)
    python = python_of(folder)
    complete = os.path.join(folder, "complete")
    with _locked(folder + ".lock"):
        if os.path.exists(complete) and os.path.exists(python):
            return python
        # That of a program that was killed while it made it.
        shutil.rmtree(folder, ignore_errors=True)
        try:
            _run(execute, [base, "-m", "venv", folder], {})
            if conda.pip_packages:
                with _written(conda.pip_packages) as path:
                    command = [python, "-m", "pip", "install", "--no-input", "-r", path]
                    _run(execute, command, _settings(conda.channels))
            with open(complete, "wb"):
                pass
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return python


def python_of(folder: str) -> str:
    """Return the path of the interpreter in the folder of a virtual environment."""
    return os.path.join(folder, *(("Scripts", "python.exe") if os.name == "nt" else _PYTHON))


@contextmanager
def _written(packages: Sequence[str]) -> Iterator[str]:
    """Write requirements to a file that only this user can read; as arguments all could."""
    number, path = tempfile.mkstemp(prefix="modelarts-packages-", suffix=".txt")
    try:
        with open(number, "w", encoding="utf-8") as file:
            file.write("\n".join(packages))
        yield path
    finally:
        os.remove(path)


def _settings(channels: Sequence[str]) -> Dict[str, str]:
    # Variables, as only this user can read those of its processes; addresses may have passwords.
    settings = {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if channels:
        settings["PIP_INDEX_URL"] = channels[0]
        settings["PIP_EXTRA_INDEX_URL"] = " ".join(channels[1:])
    return settings


def _run(execute: Execute, command: Sequence[str], settings: Dict[str, str]) -> None:
    status = execute(command, settings)
    if status:
        step = "venv" if "venv" in command[:3] else "pip install"
        raise EnvironmentNotMade(
            "the environment could not be made: %s ended with exit status %d" % (step, status)
        )


def _cache() -> str:
    return os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold a lock against other programs, which ends with this one however that ends."""
    with open(path, "ab") as file:
        try:
            import fcntl
        except ImportError:  # Windows: two programs that make the same one at once fail
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
