"""One board: TensorBoard over one folder, in a process of its own."""

from __future__ import annotations

import ctypes
import hmac
import os
import resource
import signal
import sys
import threading
import traceback
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from threading import Thread
from typing import TYPE_CHECKING, Any, Mapping
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["KEY_HEADER", "MOST_FILES", "serve"]

#: What the service shows its boards. They listen on loopback, where any user of the machine
#: can knock; without this header they answer nothing.
KEY_HEADER = "X-Board-Key"
#: How many files and connections a board may have open.
MOST_FILES = 4096
_STACK = 1024 * 1024
_SET_PDEATHSIG = 1


def serve(connection: Connection, folder: str, key: str, log: str, memory: int) -> None:
    """Run TensorBoard until the other end of ``connection`` is closed.

    Sends ``("ready", port)``, or ``("failed", why)`` and ends; it may fail later too.

    Args:
        memory: the most that it may allocate, in bytes (Linux only).
    """
    # Ctrl-C in a terminal goes to the whole process group; the service ends its boards itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    _limit(memory)
    # From the beginning: a start may take long, and the service be gone before it is done.
    end = Thread(target=_end_with, args=(connection,), daemon=True)
    end.start()
    _write_to(log)
    _fail_with_threads(connection, memory)
    try:
        port = _launch(folder, key)
    except BaseException as error:
        connection.send(("failed", f"{type(error).__name__}: {error}"))
        raise
    connection.send(("ready", port))
    end.join()


def _end_with(connection: Connection) -> None:
    try:
        connection.recv()
    except (EOFError, OSError):
        pass
    # At once: the service is gone, or wants this gone.
    os._exit(0)


def _end_with_parent() -> None:
    """Whatever it is doing, stopped even; the thread that waits for the service's end cannot run
    while another holds the interpreter. The boards' parent ends when nobody else holds what every
    process is given that it starts."""
    alive = getattr(forkserver._forkserver, "_forkserver_alive_fd", None)
    if alive is not None:
        os.close(alive)
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)


def _limit(memory: int) -> None:
    # Stacks count as memory.
    threading.stack_size(_STACK)
    for what, most in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_NOFILE, MOST_FILES)):
        hard = resource.getrlimit(what)[1]
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(what, (most, most))
    # What is broken enough to end it is not worth the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _fail_with_threads(connection: Connection, memory: int) -> None:
    """A thread that ends by an error, such as the one that reads event files, ends the board.

    Without it the board would go on, and show for ever what was read until then.
    """

    def ended(args: threading.ExceptHookArgs) -> None:
        why = f"{args.exc_type.__name__}: {args.exc_value}"
        if issubclass(args.exc_type, MemoryError):
            why = f"the event files need more than the {memory >> 20} MB that a board may use"
        try:
            connection.send(("failed", why))
            traceback.print_exception(args.exc_type, args.exc_value, args.exc_traceback)
        finally:
            os._exit(1)

    threading.excepthook = ended


def _launch(folder: str, key: str) -> int:
    from tensorboard import program

    from modelarts.local import warm

    def guarded_server(wsgi_app: WSGIApplication, flags: Any) -> program.WerkzeugServer:
        return program.WerkzeugServer(_guarded(wsgi_app, warm.ASSETS, key), flags)

    board = program.TensorBoard(warm.PLUGINS, warm.index_only, guarded_server)
    board.configure(logdir=folder, host="127.0.0.1", port=0, load_fast="false")
    return urlsplit(board.launch()).port or 0


def _guarded(
    wsgi_app: WSGIApplication, assets: Mapping[str, WSGIApplication], key: str
) -> WSGIApplication:
    name = "HTTP_" + KEY_HEADER.upper().replace("-", "_")

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        if not hmac.compare_digest(environ.get(name, "").encode("latin-1"), key.encode()):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"This board is reached through its service.\n"]
        answers = assets.get(environ.get("PATH_INFO", ""), wsgi_app)
        return answers(environ, start_response)

    return guarded


def _write_to(log: str) -> None:
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    except OSError:  # a full disk keeps nobody from looking at a board
        descriptor = os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
