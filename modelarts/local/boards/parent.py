"""The parent of this machine's boards, a server for forks of multiprocessing's.

It has TensorBoard loaded, which takes a second. It is begun before the service imports its own
modules, so this module imports few.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.util import get_temp_dir
from typing import Iterator

from modelarts.local.boards.sandbox import short_folder

#: The modules that boards use, loaded before the fork, so that their memory is shared; the last one
#: sees to it. What this system does not have is left out.
_PRELOADED = [
    "encodings.cp437",
    "encodings.idna",
    "grpc._channel",
    "grpc._simple_stubs",
    "grpc.experimental",
    "tensorboard_data_server",
    "modelarts.local.boards.tensorboard",
    "modelarts.local.boards.preload",
]


def prepare() -> str:
    """Return the folder for the socket of the parent, made if need be.

    It is removed when this process ends, unless that is killed.

    Raises:
        OSError: there is no folder for it.
    """
    # glibc gives each thread a heap of its own otherwise, and keeps what was freed there.
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOADED)
    usual = tempfile.tempdir
    try:
        tempfile.tempdir = short_folder()
        return get_temp_dir()
    finally:
        tempfile.tempdir = usual


def load() -> None:
    """Begin to load the parent, unless it runs, and return at once.

    Raises:
        OSError: there is no folder for its socket.
    """
    # Other users of this machine can open neither its socket nor its output.
    os.umask(0o077)
    prepare()
    with _in_root():  # no file of the folder that the service is started in is a module of it
        forkserver.ensure_running()


@contextmanager
def _in_root() -> Iterator[None]:
    before = None
    with suppress(FileNotFoundError):  # it was removed
        before = os.getcwd()
    os.chdir("/")
    try:
        yield
    finally:
        if before is not None:
            os.chdir(before)


def was_told_to_end() -> bool:
    """Return True if the parent of the boards was sent SIGTERM; also where that is not known."""
    pid = getattr(forkserver._forkserver, "_forkserver_pid", None)
    if pid is None or not hasattr(os, "waitid"):
        return True
    try:
        # It is left for multiprocessing to find.
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return ended is None or ended.si_status == signal.SIGTERM


def continue_stopped() -> None:
    """Have the parent of the boards, and multiprocessing's tracker, go on if they were stopped.

    A stopped parent would never say that a board has begun or ended.
    """
    own = (
        getattr(forkserver._forkserver, "_forkserver_pid", None),
        getattr(resource_tracker._resource_tracker, "_pid", None),
    )
    for pid in filter(None, own):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
