"""The parent of all boards of one node: it has TensorBoard loaded, and forks each from itself.

So a board starts at once and shares most of its memory, as on one machine. The first board of a
node starts it, and it ends soon after the last one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Callable, Mapping, NoReturn

import modelarts
from modelarts.local.boards.sandbox import short_folder
from modelarts.local.engine.keeper import drain

_CODE = (
    "import sys; del sys.path[0]; "
    "from modelarts.local.boards.cluster.parent import main; main(sys.argv[1])"
)
#: Where boards that are MindInsight have their folders, below that of the parent.
_WORKSPACES = "mindinsight"
_PAUSE = 0.01
_COME_UP_SECONDS = 60.0
_IDLE_SECONDS = 10.0
#: How long one that starts waits for another one that is about to end.
_LOCK_SECONDS = 10.0
#: What the parent, and so its boards, have of the environment of a node; nothing in it is a key.
_ENVIRONMENT = (
    *("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "HOME"),
)


def start(spec: Mapping[str, Any]) -> tuple[Connection, socket.socket]:
    """Start a board; return the connection to it, and a socket.

    The board ends when the socket is closed. The exit code comes through it when the board ends by
    itself.

    Raises:
        OSError: the parent cannot be reached.
        RuntimeError: it does not come up.
    """
    folder = _folder()
    ours, theirs = Pipe()
    try:
        with theirs:
            control = _connect(folder)
            socket.send_fds(control, [b"."], [theirs.fileno()])
        ours.send(dict(spec))
    except BaseException:
        ours.close()
        raise
    return ours, control


def main(path: str) -> None:
    """Fork boards until none is wanted for some time."""
    # No child of the first board's process, which Ray would end with it.
    if os.fork():
        os._exit(0)
    os.setsid()
    folder = Path(path)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _is_alone(folder, lock):
        return
    from modelarts.local.boards import data_server, preload, tensorboard  # noqa: F401
    from modelarts.local.boards.mindinsight import MindInsight

    MindInsight(None, folder / _WORKSPACES).prepare()

    with socket.socket(socket.AF_UNIX) as listening:
        (folder / "socket").unlink(missing_ok=True)
        listening.bind(str(folder / "socket"))
        listening.listen(128)
        _Parent(listening, lock, folder / "socket").run()


def _is_alone(folder: Path, lock: int) -> bool:
    """Take the lock; return False if another parent was faster."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if (folder / "socket").exists() or time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        else:
            return True


class _Parent:
    def __init__(self, listening: socket.socket, lock: int, path: Path) -> None:
        self._path = path
        self._listening = listening
        self._lock = lock
        self._boards: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(listening, selectors.EVENT_READ)
        self._woken, wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def run(self) -> None:
        """Return when no board was there for some time."""
        while True:
            ready = self._selector.select(_IDLE_SECONDS)
            if not ready and not self._boards and self._may_end():
                return
            for key, _ in ready:
                if key.fileobj is self._listening:
                    self._accept()
                elif key.fileobj == self._woken:
                    drain(self._woken)
                else:
                    self._hear(key.data)
            self._reap()

    def _may_end(self) -> bool:
        """Let no board be asked for any more; return False if one was at the last moment."""
        aside = self._path.with_name("ended")
        os.replace(self._path, aside)
        if self._selector.select(0):
            os.replace(aside, self._path)
            return False
        aside.unlink()
        return True

    def _accept(self) -> None:
        control, _ = self._listening.accept()
        control.settimeout(5.0)
        try:
            _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except OSError:
            descriptors = []
        if not descriptors:
            control.close()
            return
        pid = os.fork()
        if pid == 0:
            self._become(descriptors[0])
        os.close(descriptors[0])
        control.setblocking(False)
        self._boards[pid] = control
        self._selector.register(control, selectors.EVENT_READ, pid)

    def _hear(self, pid: int) -> None:
        """End a board whose actor is gone: nothing else comes from there."""
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._selector.unregister(self._boards[pid])
        self._boards.pop(pid).close()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            control = self._boards.pop(pid, None)
            if control is not None:
                self._selector.unregister(control)
                with control:
                    try:
                        control.send(b"%d" % os.waitstatus_to_exitcode(status))
                    except OSError:
                        pass

    def _become(self, descriptor: int) -> NoReturn:
        """Turn the forked process into a board."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._selector.close()
            self._listening.close()
            os.close(self._lock)
            for control in self._boards.values():
                control.close()
            _serve(Connection(descriptor))
        except BaseException as error:
            print(f"a board ended: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)


def _serve(connection: Connection) -> None:
    from modelarts.local.boards import data_server, mindinsight, tensorboard
    from modelarts.local.boards.confinement import Confinement

    spec = connection.recv()
    program = data_server.program() if spec["data_server"] else None
    confinement = Confinement(**spec["confinement"])
    serve: Callable[..., None] = partial(tensorboard.serve, program)
    if spec["mindinsight"]:
        folder = os.path.join(_folder(), _WORKSPACES)
        serve = partial(mindinsight.serve, spec["mindinsight"], folder)
    serve(connection, confinement, spec["key"], spec["log"], spec["memory"], spec["host"])


def _folder() -> str:
    """Return the folder of the parent's socket, which only this user can enter.

    Raises:
        OSError: it belongs to another user.
    """
    program = f"{sys.executable}\0{modelarts.__file__}\0{modelarts.__version__}"
    name = hashlib.sha256(program.encode()).hexdigest()[:16]
    folder = os.path.join(short_folder(), f"modelarts-{os.getuid()}-{name}")
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    status = os.lstat(folder)
    if status.st_uid != os.getuid() or status.st_mode & 0o170077 != 0o040000:
        raise PermissionError(f"{folder} is not a folder of this user alone")
    return folder


def _connect(folder: str) -> socket.socket:
    deadline = time.monotonic() + _COME_UP_SECONDS
    is_started = False
    while True:
        control = socket.socket(socket.AF_UNIX)
        try:
            control.connect(os.path.join(folder, "socket"))
            return control
        except (FileNotFoundError, ConnectionRefusedError):
            control.close()
        except BaseException:
            control.close()
            raise
        if not is_started:
            _launch(folder)
            is_started = True
        if time.monotonic() > deadline:
            raise RuntimeError(f"the parent of the boards does not come up; see {folder}/log")
        time.sleep(_PAUSE)


def _launch(folder: str) -> None:
    environ = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    with open(os.path.join(folder, "log"), "wb") as log:
        subprocess.run(
            [sys.executable, "-c", _CODE, folder],
            cwd="/",
            env={**environ, "MALLOC_ARENA_MAX": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
        )
