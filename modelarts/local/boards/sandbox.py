"""Limits of a board's process, and its end together with the service."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import tempfile
import threading
from multiprocessing import forkserver

#: How many files and connections a board may have open.
MOST_FILES = 4096
_STACK = 1024 * 1024
#: The path of a Unix socket has 104 bytes on macOS; multiprocessing adds 31.
_MAX_FOLDER = 60
_SET_PDEATHSIG = 1
#: Of 1000: as if it had half of the memory more than it has.
_OOM_SCORE = 500


def confine(memory: int) -> None:
    """Bind this process, and those that it starts; :func:`limit_files` is called later.

    Args:
        memory: the most that each may allocate, in bytes (Linux only).
    """
    # Ctrl-C in a terminal goes to the whole process group; the service ends its boards itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The parent of the boards ends when no other process holds a pipe that every process it starts
    # inherits.
    alive = getattr(forkserver._forkserver, "_forkserver_alive_fd", None)
    if alive is not None:
        os.close(alive)
    end_with_parent()
    _limit(memory)
    _come_first_for_the_kernel()


def open_output(log: str) -> int:
    """Open a board's log for appending; the service may truncate it."""
    try:
        return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    except OSError:  # a full disk keeps nobody from looking at a board
        return os.open(os.devnull, os.O_WRONLY)


def short_folder() -> str:
    """Return a folder for temporary files whose path is short enough for sockets.

    ``TMPDIR`` can be long, as on macOS, in scratch folders of clusters and under test runners.
    """
    usual = tempfile.gettempdir()
    for folder in (usual, "/tmp", "/var/tmp", "/dev/shm"):
        if len(os.fsencode(folder)) <= _MAX_FOLDER and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise OSError(
        f"no folder for sockets: {usual} is longer than {_MAX_FOLDER} bytes, and /tmp cannot be "
        "written; set TMPDIR to a folder with a shorter path"
    )


def end_with_parent() -> None:
    """Have the kernel end this process with its parent, even when it is stopped (Linux only).

    The thread that waits for the service's end cannot run while another holds the interpreter.
    """
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)


def _come_first_for_the_kernel() -> None:
    """Have the kernel end this process before the service, if the machine has no memory left."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(_OOM_SCORE))
    except OSError:
        pass  # not Linux, or an outer sandbox


def limit_files() -> None:
    """Limit how many files this process may open; a data server, which needs more, runs by then."""
    _limit_to(resource.RLIMIT_NOFILE, MOST_FILES)


def _limit_to(what: int, limit: int) -> None:
    hard = resource.getrlimit(what)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(what, (limit, limit))


def _limit(memory: int) -> None:
    # Stacks count as memory.
    threading.stack_size(_STACK)
    _limit_to(resource.RLIMIT_DATA, memory)
    # What is broken enough to end it is not worth the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
