"""TensorBoard's data server: a program of its own that reads event files and serves their data.

A board's process starts it before it confines itself, and asks it through gRPC. The protocol has
no authentication, so where the kernel allows it both share a network namespace, which no other
process can reach; elsewhere the data server listens on loopback, as that of ``tensorboard`` does.

Source: TensorBoard's ``data/server_ingester.py``, and ``server --help``.
"""

from __future__ import annotations

import os
import re
import resource
import select
import signal
import sys
from typing import NoReturn

import attr

from modelarts.local.boards import landlock
from modelarts.local.boards.confinement import DEVICES, EVENT_FILE, SYSTEM, Confinement, real_path
from modelarts.local.boards.sandbox import end_with_parent
from modelarts.local.engine.base import exit_text

#: What the Python reader is used for at most: so many bytes of event files, and folders with some.
MAX_BYTES = 256 * 1024
MAX_RUNS = 20
#: Links can make a folder endless; so many are looked at.
_MAX_FOLDERS = 10_000
#: It binds its port within microseconds; a busy machine may take longer to start any program.
_START_SECONDS = 30.0
#: Files that a data server may have open: one for each event file.
_MAX_FILES = 1 << 20
#: Those that it needs besides, such as connections.
_OTHER_FILES = 256
#: It begins a line with the time in brackets.
_TIME = re.compile(rb"^\[\d{4}-\d{2}-\d{2}T\S+ ")
#: So many different lines are remembered, each by a number of 8 bytes.
_MAX_LINES = 10_000
#: A longer line, in bytes, is written in parts.
_MAX_LINE = 64 * 1024


_FOLDER, _FILE, _OTHER = range(3)


class Unavailable(Exception):
    """There is no data server here, or it did not start."""


@attr.s(frozen=True, slots=True, auto_attribs=True)
class DataServer:
    """A running data server.

    Args:
        pid: its process, a child of this one.
        port: where it listens on loopback.
        output: the descriptor from which its output is read.
    """

    pid: int
    port: int
    output: int

    def wait(self, memory: int) -> str:
        """Write its output to that of this process until it ends; return how it did.

        A line is written once: at each look at the logs, it names all that it was refused.

        Args:
            memory: the most that it may allocate, in bytes.
        """
        _write_once(self.output, 2)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        how = exit_text(code)
        if code == -signal.SIGABRT:
            how += (
                ", most likely because the event files need more than the "
                f"{memory >> 20} MB that a board may use"
            )
        return f"TensorBoard's data server {how}"


def program() -> str | None:
    """Return the path of the installed data server; None where there is none for this system.

    Source: TensorBoard looks for it in the same places.
    """
    named = os.environ.get("TENSORBOARD_DATA_SERVER_BINARY")
    if named:
        return named
    try:
        import tensorboard_data_server
    except ImportError:
        return None
    path = tensorboard_data_server.server_binary()
    return None if path is None else str(path)


def suits(confinement: Confinement) -> bool:
    """Return True if the data server is the better reader of the event files of a board.

    The Python reader takes about two seconds for a megabyte of scalars; the data server takes 30 MB
    of memory, however little it reads, waits for ever for the writer of a named pipe, and follows
    every link that the kernel does not keep it from. It keeps each event file open, and leaves out
    those that it may not open any more, without an error.
    """
    total = runs = files = 0
    max_files = _max_files() - _OTHER_FILES
    folders = [confinement.folder]
    seen: set[str] = set()
    while folders and len(seen) < _MAX_FOLDERS:
        folder = folders.pop()
        seen.add(folder)
        is_run = False
        for entry in _entries(folder):
            path = entry.path
            is_link = entry.is_symlink()
            if is_link:
                target = real_path(path)
                if target is None or not confinement.follows(target):
                    if not confinement.is_enforced:
                        return False
                    continue
                path = target
            kind = _kind_at(path) if is_link else _kind_of(entry)
            if kind == _FOLDER:
                if path not in seen:
                    folders.append(path)
            elif kind is not None and EVENT_FILE in entry.name:
                if kind != _FILE:
                    return False
                is_run = True
                files += 1
                if files > max_files:
                    return False
                if total <= MAX_BYTES:  # each size takes a call of the system
                    total += _size(path)
        runs += is_run
    return total > MAX_BYTES or runs > MAX_RUNS


def _max_files() -> int:
    """Return how many files a data server that this process, or a child of it, starts may open."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _kind_of(entry: os.DirEntry[str]) -> int | None:
    """Return the kind of what is no link; the entry itself tells, without a look at each."""
    try:
        if entry.is_dir(follow_symlinks=False):
            return _FOLDER
        return _FILE if entry.is_file(follow_symlinks=False) else _OTHER
    except OSError:
        return None


def _kind_at(path: str) -> int | None:
    """Return the kind of the target of a link; None where there is none, as of a circle."""
    if not os.path.exists(path):
        return None
    if os.path.isdir(path):
        return _FOLDER
    return _FILE if os.path.isfile(path) else _OTHER


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def start(path: str, confinement: Confinement) -> DataServer:
    """Start a data server over the folder of a board.

    It ends with this process, however that ends. This process must have no other threads yet.
    ``wait`` has to be called, as nobody else reads its output.

    Raises:
        Unavailable: it did not start; its own message is in the output of this process.
    """
    reading, writing = os.pipe()
    output, written = os.pipe()
    # Nothing is written to it. Its end closes with this process, and the data server ends then.
    alive, held = os.pipe()
    pid = os.fork()
    if pid == 0:
        _run(path, confinement, alive, writing, written)
    for descriptor in (writing, written, alive):
        os.close(descriptor)
    try:
        port = _read_line(reading)
    finally:
        os.close(reading)
    if not port.isdigit():
        os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(held)
        _write_once(output, 2)
        raise Unavailable(f"TensorBoard's data server did not start (it ended with {code})")
    return DataServer(pid, int(port), output)


def _write_once(output: int, log: int) -> None:
    """Write what comes from a descriptor to another one, without lines that were written before.

    Args:
        output: read to its end, then closed.
        log: the descriptor to write to.
    """
    written: set[int] = set()
    with open(output, "rb") as lines:
        for line in iter(lambda: lines.readline(_MAX_LINE), b""):
            key = hash(_TIME.sub(b"", line))
            if key not in written:
                if len(written) == _MAX_LINES:
                    written.clear()
                written.add(key)
                os.write(log, line)


def _run(path: str, confinement: Confinement, alive: int, port: int, output: int) -> NoReturn:
    """Become the data server, in a process that was just forked."""
    try:
        end_with_parent()
        os.dup2(alive, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.set_inheritable(port, True)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (_max_files(), hard))
        if confinement.is_enforced:
            landlock.restrict(
                read=(),
                logs=[*confinement.own, *confinement.links],
                write=DEVICES,
                execute=[path, *SYSTEM],
                listen=[0],
                keep_signals=True,  # that at the end of the board has to reach it
            )
        # Boards have one arena of malloc to be small; with it the threads of this program wait for
        # each other, and 1 GB takes twice as long.
        environ = {name: text for name, text in os.environ.items() if name != "MALLOC_ARENA_MAX"}
        descriptor = f"/proc/self/fd/{port}" if sys.platform == "linux" else f"/dev/fd/{port}"
        os.execve(
            path,
            [
                path,
                f"--logdir={confinement.folder}",
                "--host=127.0.0.1",
                "--port=0",
                f"--port-file={descriptor}",
                "--die-after-stdin",
            ],
            environ,
        )
    except BaseException as error:
        os.write(2, f"the data server cannot be run: {error}\n".encode())
    os._exit(127)


def _read_line(descriptor: int) -> str:
    """Return what a pipe holds until the first end of a line, or until nothing more comes."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([descriptor], [], [], _START_SECONDS)[0]:
            return ""
        part = os.read(descriptor, 64)
        if not part:
            return ""
        line += part
    return line.decode("ascii", "replace").strip()
