"""Finds the service of a folder, or starts one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any, Sequence
from urllib.parse import urlsplit

from modelarts._internal.clock import Clock
from modelarts._internal.disk import make_folder
from modelarts.errors import ConfigurationError, InvalidArgument
from modelarts.local.files import write_private

DEFAULT_ROOT = "~/.modelarts/local"
#: Locked by each program that uses a service, for as long as it lives.
PROGRAMS_LOCK = "programs.lock"
#: Locked by the service, for as long as it lives.
SERVICE_LOCK = "service.lock"
#: There while a service that a program started is to outlive it.
STAY = "stay"
_START_SECONDS = 120.0
_PAUSE = 0.05
#: Where this package is, which may be a folder that only this program knows.
_PACKAGES = Path(__file__).resolve().parents[3]
#: ``-c`` puts the current folder first; this puts it nowhere, and the package last; first only
#: where another package of that name would be found, as in ModelArts notebooks.
_PROGRAM = """
import sys
from importlib.util import find_spec
if sys.path[:1] == [""]:
    del sys.path[0]
packages = sys.argv.pop(1)
sys.path.append(packages)
if not (find_spec("modelarts").origin or "").startswith(packages):
    sys.path.insert(0, packages)
from modelarts.cli import main
sys.exit(main())
"""
_leases: dict[Path, int] = {}


class ServiceFile:
    """``service.json``: how to connect, while the service runs. Only its user can read it."""

    def __init__(self, root: Path) -> None:
        self._path = root / "service.json"

    def write(self, connection: dict[str, Any]) -> None:
        """Say that the service is there."""
        write_private(self._path, connection)

    def read(self) -> dict[str, Any] | None:
        """Return the content of the file; None where there is none."""
        try:
            connection = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return connection if isinstance(connection, dict) else None

    def remove(self) -> None:
        """Say no more."""
        self._path.unlink(missing_ok=True)


def connect(
    root: str | os.PathLike[str] | None,
    stay: bool,
    options: Sequence[str] = (),
    obs_endpoint: str | None = None,
) -> dict[str, Any]:
    """How to connect to the service of ``root``, which is started if none runs there.

    Args:
        root: by default ``~/.modelarts/local``, or a folder of its own for each ``obs_endpoint``.
        options: further ones of ``modelarts serve``, where it is started.
        obs_endpoint: the OBS that the service reads, with keys that are sent to it; by default its
            own folder stands for OBS.

    Raises:
        ConfigurationError: it cannot be started, does not come up, or reads something else.
    """
    if root is not None and (not isinstance(root, (str, os.PathLike)) or not str(root)):
        raise InvalidArgument("root", root, "a folder")
    usual = DEFAULT_ROOT
    if obs_endpoint is None:
        options = ("--obs-api", *options)
    else:
        usual += "-" + (urlsplit(obs_endpoint).netloc.replace(":", "-") or "obs")
        options = ("--obs-endpoint", obs_endpoint, "--obs-keys-sent", *options)
    folder = root_folder(usual if root is None else root)
    try:
        make_folder(str(folder))
        _hold_lease(folder)
        connection = running(folder) or _start(folder, options)
        if stay:
            # Not before: a service that begins knows nothing of what was wanted of others.
            (folder / STAY).touch()
    except OSError as error:
        what = error.filename or folder
        raise ConfigurationError(f"{what} cannot be used: {error.strerror}") from None
    reads = connection.get("obs_endpoint")
    if obs_endpoint is not None and (reads != obs_endpoint or not connection.get("obs_keys_sent")):
        raise ConfigurationError(
            f"the service of {folder} runs already, and does not read {obs_endpoint} with keys "
            "that are sent to it: give Session.local(root, obs=…) another root, or end that "
            f"service with: modelarts serve --stop --root {folder}"
        )
    if "secret_key" not in connection:
        raise ConfigurationError(
            f"the service of {folder} has users of its own, and none is named 'local': sign in "
            "with access_key, secret_key and region_name as 'modelarts users add' printed them, "
            f"and '{connection.get('modelarts_endpoint')}' as modelarts_endpoint and iam_endpoint. "
            "Each is an argument of Session(…), or a variable such as MODELARTS_ACCESS_KEY"
        )
    return connection


def root_folder(root: str | os.PathLike[str]) -> Path:
    """Return the folder that is meant, as an absolute path.

    Raises:
        ConfigurationError: there can be no such folder.
    """
    try:
        return Path(root).expanduser().resolve()
    except (RuntimeError, ValueError, OSError) as error:  # no such home; a NUL; links in a ring
        raise ConfigurationError(f"{os.fspath(root)!r} cannot be used: {error}") from None


def _start(folder: Path, options: Sequence[str]) -> dict[str, Any]:
    log = folder / "service.log"
    clock = Clock()
    deadline = clock.monotonic() + _START_SECONDS
    process, began = _spawn(folder, log, options)
    while clock.monotonic() < deadline:
        ended = process.poll()
        connection = running(folder)
        if connection is not None:
            # However it ends, it does not stay a zombie of this program's.
            Thread(target=process.wait, name="local service", daemon=True).start()
            return connection
        if ended is not None:
            if "served already" not in _tail(log, began):
                break
            # By one that begins, and will answer; or by one that ends, and is to be followed.
            if not is_served(folder):
                process, began = _spawn(folder, log, options)
        clock.sleep(_PAUSE)
    raise ConfigurationError(
        f"the local service of {folder} did not start; {log} ends:\n{_tail(log, began)}"
    )


def _spawn(folder: Path, log: Path, options: Sequence[str]) -> tuple[subprocess.Popen[bytes], int]:
    """Begin a service; returns its process, and where in the log it begins to write."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with open(descriptor, "ab") as output:
        began = output.seek(0, os.SEEK_END)
        arguments = ["serve", "--root", str(folder), "--while-used", *options]
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(_PACKAGES), *arguments],
            # Not in the program's folder: files there are not the service's modules.
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C in the program's terminal is not meant for the service.
            start_new_session=True,
        )
    return process, began


def _environment() -> dict[str, str]:
    """This one's, with the relative parts of PYTHONPATH as they are meant here."""
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    absolute = os.pathsep.join(os.path.abspath(part) for part in path if part)
    return {**os.environ, "PYTHONPATH": absolute} if absolute else dict(os.environ)


def is_served(folder: Path) -> bool:
    """Return True if a process serves the folder: starting, running or ending."""
    import fcntl

    with open(folder / SERVICE_LOCK, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def running(folder: Path) -> dict[str, Any] | None:
    """Return how to connect, if the process that ``service.json`` names answers."""
    connection = ServiceFile(folder).read()
    if connection is None:
        return None
    import http.client

    address = urlsplit(str(connection.get("modelarts_endpoint")))
    try:
        port = address.port
    except ValueError:
        return None
    # Not through urllib: a proxy of the environment has no part in this.
    client = http.client.HTTPConnection(address.hostname or "", port, timeout=5)
    try:
        client.request("GET", "/healthz")
        answer = json.loads(client.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        client.close()
    # Something else may listen there by now.
    same = isinstance(answer, dict) and answer.get("pid") == connection.get("pid")
    return {**connection, "root": str(folder)} if same else None


def _hold_lease(folder: Path) -> None:
    if folder in _leases:
        return
    try:
        import fcntl
    except ImportError:
        raise ConfigurationError(
            "the local service needs a POSIX system (Linux, macOS, or WSL on Windows)"
        ) from None
    descriptor = os.open(folder / PROGRAMS_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    # Waits for a service that is just ending.
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    _leases[folder] = descriptor


def _tail(log: Path, began: int, max_chars: int = 2000) -> str:
    with open(log, "rb") as file:
        file.seek(began)
        return file.read()[-max_chars:].decode("utf-8", "replace").strip()
