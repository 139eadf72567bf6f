"""One board: TensorBoard over one folder, in a process of its own."""

from __future__ import annotations

import hmac
import os
import signal
import sys
from multiprocessing.connection import Connection
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["KEY_HEADER", "serve"]

#: What the service shows its boards. They listen on loopback, where any user of the machine
#: can knock; without this header they answer nothing.
KEY_HEADER = "X-Board-Key"


def serve(connection: Connection, folder: str, key: str, log: str) -> None:
    """Run TensorBoard until the other end of ``connection`` is closed.

    Sends ``("ready", port)``, or ``("failed", why)`` and ends.
    """
    # Ctrl-C in a terminal goes to the whole process group; the service ends its boards itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # From the beginning: a start may take long, and the service be gone before it is done.
    end = Thread(target=_end_with, args=(connection,), daemon=True)
    end.start()
    _write_to(log)
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


def _launch(folder: str, key: str) -> int:
    from tensorboard import program

    from modelarts.local.warm import PLUGINS

    def guarded_server(wsgi_app: WSGIApplication, flags: Any) -> program.WerkzeugServer:
        return program.WerkzeugServer(_guarded(wsgi_app, key), flags)

    board = program.TensorBoard(PLUGINS, server_class=guarded_server)
    board.configure(logdir=folder, host="127.0.0.1", port=0, load_fast="false")
    return urlsplit(board.launch()).port or 0


def _guarded(wsgi_app: WSGIApplication, key: str) -> WSGIApplication:
    name = "HTTP_" + KEY_HEADER.upper().replace("-", "_")

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        if not hmac.compare_digest(environ.get(name, "").encode("latin-1"), key.encode()):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"This board is reached through its service.\n"]
        return wsgi_app(environ, start_response)

    return guarded


def _write_to(log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
