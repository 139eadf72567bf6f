"""One board: TensorBoard over one folder, in a process of its own."""

from __future__ import annotations

import hmac
import os
import socket
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from threading import Thread
from typing import TYPE_CHECKING, Any, Iterable, Mapping

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from modelarts.local.boards import data_server
from modelarts.local.boards.confinement import Confinement, clear_environment
from modelarts.local.boards.data_server import DataServer
from modelarts.local.boards.namespace import isolate_network
from modelarts.local.boards.sandbox import confine, limit_files, open_output

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: What the service shows its boards. They listen on loopback, where any user of the machine
#: can knock, or on the address of a node of a cluster; without this header they answer nothing.
KEY_HEADER = "X-Board-Key"
#: The thread of TensorBoard that reads event files.
_RELOADER = "Reloader"


def serve(
    program: str | None,
    connection: Connection,
    confinement: Confinement,
    key: str,
    log: str,
    memory: int,
    host: str = "127.0.0.1",
) -> None:
    """Run TensorBoard until the other end of ``connection`` is closed.

    Sends ``("ready", (port, reader))``, or ``("failed", why)`` and ends; it may fail later too.

    Args:
        program: the data server that reads the event files; None: this process reads them itself.
        memory: the most that each process may allocate, in bytes (Linux only).
        host: the address of this machine to listen on.
    """
    confine(memory)
    _write_to(open_output(log))
    clear_environment()
    # Before any thread: the kernel confines the thread that asks, and those that it starts.
    try:
        server = listen(host)
        confinement.begin()
        reader = None if program is None else _start_reader(program, confinement)
        limit_files()
        confinement.apply(connect=[] if reader is None else [reader.port])
    except OSError as error:
        connection.send(("failed", str(error)))
        raise
    # From the beginning: a start may take long, and the service be gone before it is done.
    end = Thread(target=_end_with, args=(connection,), daemon=True)
    end.start()
    _fail_with_threads(connection, memory)
    if reader is not None:
        Thread(target=_fail_with_reader, args=(connection, reader, memory), daemon=True).start()
    try:
        confinement.guard(_report)
        _launch(confinement.folder, key, server, reader)
    except BaseException as error:
        connection.send(("failed", f"{type(error).__name__}: {error}"))
        raise
    name = "TensorBoard's Python reader" if reader is None else "TensorBoard's data server"
    connection.send(("ready", (server.port, name)))
    end.join()


def listen(host: str = "127.0.0.1") -> BaseWSGIServer:
    """Return a server at a port of its own, which a confined process cannot bind.

    It has no application yet.

    Args:
        host: an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, backlog=128) as listening:
        port = listening.getsockname()[1]
        return make_server(
            host, port, _no_app, threaded=True, request_handler=_Quiet, fd=listening.fileno()
        )


def _start_reader(program: str, confinement: Confinement) -> DataServer | None:
    """Return a data server that runs; None where none can, which the output then says."""
    try:
        if not isolate_network():
            print("other users of this machine can ask the data server, on loopback", flush=True)
        return data_server.start(program, confinement)
    except (data_server.Unavailable, OSError) as why:
        print(f"{why}; TensorBoard reads the event files itself, slowly", flush=True)
        return None


def _fail_with_reader(connection: Connection, reader: DataServer, memory: int) -> None:
    """End the board with its data server: without it, it would show what was read until then."""
    try:
        connection.send(("failed", reader.wait(memory)))
    finally:
        os._exit(1)


class _Quiet(WSGIRequestHandler):
    """A request handler that writes no log: addresses of pages are secret."""

    protocol_version = "HTTP/1.1"
    #: Headers and content are sent apart; the latter would wait 40 ms for the former's receipt.
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """Write no log."""


def _no_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [("Content-Length", "0")])
    return []


def guarded(wsgi_app: WSGIApplication, key: str) -> WSGIApplication:
    """An application that answers the service alone."""
    name = "HTTP_" + KEY_HEADER.upper().replace("-", "_")

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not hmac.compare_digest(environ.get(name, "").encode("latin-1"), key.encode()):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"This board is reached through its service.\n"]
        try:
            return wsgi_app(environ, start_response)
        except PermissionError:
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"A board opens nothing but the logs of its job.\n"]

    return answer


def _report(path: str) -> None:
    print(f"refused: {path!r} is not of the logs of this job", file=sys.stderr, flush=True)


def _end_with(connection: Connection) -> None:
    try:
        connection.recv()
    except (EOFError, OSError):
        pass
    # At once: the service is gone, or wants this gone.
    os._exit(0)


def _fail_with_threads(connection: Connection, memory: int) -> None:
    """A thread that ends by an error, such as the one that reads event files, ends the board.

    Without it the board would go on, and show for ever what was read until then.
    """

    def ended(args: threading.ExceptHookArgs) -> None:
        if issubclass(args.exc_type, PermissionError) and _name(args.thread) != _RELOADER:
            # A plugin was refused a file; what reads event files goes on after a refusal.
            return
        why = f"{args.exc_type.__name__}: {args.exc_value}"
        if issubclass(args.exc_type, MemoryError):
            why = f"the event files need more than the {memory >> 20} MB that a board may use"
        try:
            connection.send(("failed", why))
            traceback.print_exception(args.exc_type, args.exc_value, args.exc_traceback)
        finally:
            os._exit(1)

    threading.excepthook = ended


def _name(thread: threading.Thread | None) -> str:
    return "" if thread is None else thread.name


def _launch(folder: str, key: str, server: BaseWSGIServer, reader: DataServer | None) -> None:
    from tensorboard import program

    from modelarts.local.boards import preload as warm

    class Server(program.TensorBoardServer):  # type: ignore[misc] # TensorBoard has no types
        """The server that listens already, as TensorBoard calls it."""

        def __init__(self, wsgi_app: WSGIApplication, flags: Any) -> None:
            server.app = guarded(_with(warm.ASSETS, wsgi_app), key)

        def serve_forever(self) -> None:
            server.serve_forever()

        def get_url(self) -> str:
            return f"http://127.0.0.1:{server.port}/"

    _tolerate_runs_that_go()
    board = program.TensorBoard(warm.PLUGINS, warm.index_only, Server)
    address = "" if reader is None else f"127.0.0.1:{reader.port}"
    board.configure(
        logdir=folder, host="127.0.0.1", port=0, load_fast="false", grpc_data_provider=address
    )
    board.launch()


def _tolerate_runs_that_go() -> None:
    """Have TensorBoard's Python reader go on where a new run goes, or cannot be read.

    It does so for runs that it knows already; an error of one that it has just found ends the
    thread that reads all of them.
    """
    from tensorboard.backend.event_processing.directory_watcher import DirectoryDeletedError
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

    plain = EventMultiplexer.AddRun

    def add_run(self: Any, path: str, name: str | None = None) -> Any:
        try:
            return plain(self, path, name)
        except (DirectoryDeletedError, OSError) as error:
            print(f"{path!r} is read later: {error}", file=sys.stderr, flush=True)
            return self

    EventMultiplexer.AddRun = add_run


def _with(assets: Mapping[str, WSGIApplication], wsgi_app: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answers = assets.get(environ.get("PATH_INFO", ""), wsgi_app)
        return answers(environ, start_response)

    return answer


def _write_to(descriptor: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
