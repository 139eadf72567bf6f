"""One board: MindInsight over one folder, in processes of its own.

MindInsight is a web application under gunicorn. Its own command would have it listen on a port,
open to every user of the machine, and leave it running. Here the same application listens on a
socket in a folder that only this user can enter; the board's process stands before it as a board
of TensorBoard does, and a reaper ends all of it with the board.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Callable, Iterable

from werkzeug.wsgi import get_input_stream

from modelarts._internal.clock import Clock
from modelarts.local.boards import landlock, reaper
from modelarts.local.boards.audit import sitecustomize
from modelarts.local.boards.confinement import DEVICES, SYSTEM, Confinement
from modelarts.local.boards.sandbox import confine, limit_files, open_output
from modelarts.local.boards.tensorboard import KEY_HEADER, guarded, listen
from modelarts.local.engine.base import exit_text

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

#: In the workspace too, a link to a short path: multiprocessing makes sockets there.
_TEMPORARY = "tmp"
#: The Python environment where MindInsight is looked for; its pins hold other packages back.
ENVIRONMENT = "~/.modelarts/mindinsight"
_SOCKET = "socket"  # in the workspace; a path from the root may be too long for one
#: MindInsight reads summaries in processes of its own, which need the semaphores of POSIX.
_SEMAPHORES = "/dev/shm"
_PAUSE = 0.1
_ANSWER_SECONDS = 120
_CHUNK = 64 * 1024
#: What goes from one connection to the next, and what is between the service and its board.
_OWN_HEADERS = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailers",
    "transfer-encoding",
    "upgrade",
    KEY_HEADER.lower(),
}
#: All that MindInsight is told of the service's environment.
_PASSED_ON = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TZ")
_SHEBANG = re.compile(rb"""#!\s*(\S+python\S*)|#!/bin/sh\s+'''exec'\s+"?([^"\n]+?)"?\s+"\$0\"""")


class MindInsight:
    """The MindInsight that a service has.

    Args:
        command: the path of its command ``mindinsight``; by default that of the environment
            ``~/.modelarts/mindinsight``, or the one on ``PATH``.
        folder: where each board has a folder to write to.
    """

    def __init__(self, command: str | None, folder: Path) -> None:
        self._command = command
        self._folder = folder

    def check(self) -> None:
        """Raise ValueError, which says what to do, where MindInsight cannot be run."""
        self.python()

    def prepare(self) -> None:
        """Remove what the boards of a killed service have left."""
        for link in self._folder.glob("*/" + _TEMPORARY):
            shutil.rmtree(os.path.realpath(link), ignore_errors=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def target(self) -> Callable[..., None]:
        """The function that a board's process runs.

        Raises:
            ValueError: MindInsight is not installed.
        """
        return partial(serve, self.python(), str(self._folder))

    def python(self) -> str:
        """Return the path of the Python that MindInsight is installed for. Raises ValueError."""
        environment = os.path.expanduser(ENVIRONMENT)
        command = self._command
        if command is None:
            own = os.path.join(environment, "bin")
            command = shutil.which("mindinsight", path=own) or shutil.which("mindinsight")
        if command is None:
            raise ValueError(
                "this service has no MindInsight, which needs a Python environment of its own: "
                f"python3 -m venv {ENVIRONMENT} && {ENVIRONMENT}/bin/pip install mindinsight; or "
                "give modelarts serve --mindinsight the path of the command mindinsight"
            )
        try:
            with open(command, "rb") as file:
                first_line = _SHEBANG.match(file.read(4096))
        except OSError as error:
            raise ValueError(f"{command} cannot be used: {error.strerror}") from None
        if first_line is None:
            raise ValueError(f"{command} is not the command of an installed MindInsight")
        return os.fsdecode(first_line.group(1) or first_line.group(2))


def serve(
    python: str,
    workspaces: str,
    connection: Connection,
    confinement: Confinement,
    key: str,
    log: str,
    memory: int,
    host: str = "127.0.0.1",
) -> None:
    """Run MindInsight until the other end of ``connection`` is closed.

    Sends ``("ready", (port, reader))``, or ``("failed", why)`` and ends.

    Args:
        memory: the most that each of its processes may allocate, in bytes (Linux only).
        host: the address of this machine to listen on.
    """
    confine(memory)
    limit_files()
    os.makedirs(workspaces, mode=0o700, exist_ok=True)
    workspace = tempfile.mkdtemp(prefix="board-", dir=workspaces)
    os.chdir(workspace)
    temporary = tempfile.mkdtemp(prefix="modelarts-")
    os.symlink(temporary, _TEMPORARY)
    folders = [workspace, temporary]
    process = _spawn(python, folders, confinement, open_output(log))
    assert process.stdout is not None  # it is a pipe
    group = int(process.stdout.readline() or 0)
    Thread(target=_end_with, args=(connection, group, folders), daemon=True).start()
    try:
        _wait_for_answer(process)
        server = listen(host)
        server.app = guarded(_forward, key)
    except (OSError, RuntimeError) as error:
        connection.send(("failed", f"{error}; see {log}"))
    else:
        Thread(target=server.serve_forever, daemon=True).start()
        connection.send(("ready", (server.port, "MindInsight")))
        process.wait()
    _end(group, folders, 1)


def _spawn(
    python: str, folders: list[str], confinement: Confinement, descriptor: int
) -> subprocess.Popen[bytes]:
    workspace, temporary = folders
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    settings = {"WORKSPACE": workspace, "SUMMARY_BASE_DIR": confinement.folder}
    rules = {
        "logs": confinement.own,
        "read": [*SYSTEM, "/proc/stat"],
        "links": confinement.links,
        "write": [*folders, *DEVICES, _SEMAPHORES],
        "landlock": landlock.__file__ if confinement.is_enforced else None,
    }
    command = [
        *(sys.executable, "-I", reaper.__file__, os.pathsep.join(folders)),
        *(python, "-m", "gunicorn", "--bind", f"unix:{_SOCKET}"),
        *("--config", "python:mindinsight.backend.config.gunicorn_conf"),
        "mindinsight.backend.application:APP",
    ]
    with open(descriptor, "wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            cwd=workspace,
            env={
                **environment,
                "HOME": workspace,
                "TMPDIR": temporary,
                "PYTHONPATH": os.path.dirname(sitecustomize.__file__),
                sitecustomize.RULES: json.dumps(rules),
                **{f"MINDINSIGHT_{name}": value for name, value in settings.items()},
            },
            start_new_session=True,
        )


def _end_with(connection: Connection, group: int, folders: list[str]) -> None:
    try:
        connection.recv()
    except (EOFError, OSError):
        pass
    _end(group, folders, 0)


def _end(group: int, folders: list[str], code: int) -> None:
    # The reaper does so too; it may have been killed.
    if group:
        reaper.end(group, folders)
    os._exit(code)


def _wait_for_answer(process: subprocess.Popen[bytes]) -> None:
    clock = Clock()
    while process.poll() is None:
        connection = _Unix(_SOCKET)
        try:
            connection.request("GET", "/v1/mindinsight/datavisual/train-jobs")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        clock.sleep(_PAUSE)
    raise RuntimeError(f"its process {exit_text(process.returncode)}")


class _Unix(http.client.HTTPConnection):
    """A connection to a socket in the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _forward(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    headers = {
        name[5:].replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and name[5:].replace("_", "-").lower() not in _OWN_HEADERS
    }
    if environ.get("CONTENT_TYPE"):
        headers["Content-Type"] = environ["CONTENT_TYPE"]
    headers["Connection"] = "close"
    body = get_input_stream(environ).read() or None
    connection = _Unix(_SOCKET)
    try:
        connection.request(environ["REQUEST_METHOD"], environ["REQUEST_URI"], body, headers)
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException):
        connection.close()
        start_response("502 Bad Gateway", [("Content-Type", "text/plain")])
        return [b"MindInsight does not answer.\n"]
    passed_on = [(n, v) for n, v in answer.getheaders() if n.lower() not in _OWN_HEADERS]
    start_response(f"{answer.status} {answer.reason}", passed_on)
    return _pieces(connection, answer)


def _pieces(connection: _Unix, answer: http.client.HTTPResponse) -> Iterable[bytes]:
    try:
        while True:
            piece = answer.read(_CHUNK)
            if not piece:
                return
            yield piece
    finally:
        connection.close()
