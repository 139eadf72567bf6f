"""The life of a service: its lock, its port, ``service.json``, and its end."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import sqlite3
import sys
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, Any

from waitress.server import create_server

from modelarts.clock import Clock
from modelarts.errors import ConfigurationError
from modelarts.local.api import Api
from modelarts.local.app import App
from modelarts.local.authentication import Authentication
from modelarts.local.discovery import PROGRAMS_LOCK, SERVICE_LOCK, STAY, ServiceFile
from modelarts.local.folders import Folders
from modelarts.local.iam import Iam
from modelarts.local.identity import Identity
from modelarts.local.mindinsight import MindInsight
from modelarts.local.operations import Operations
from modelarts.local.pages import MOST_OPEN, Pages
from modelarts.local.store import Store
from modelarts.local.supervisor import Supervisor

if TYPE_CHECKING:
    from modelarts.local.remote import Source

__all__ = ["MOST_RUNNING", "serve"]

_LOG = logging.getLogger("modelarts.local")
#: How many jobs may be active at once, unless told otherwise.
MOST_RUNNING = 100
#: More than the calls of this API ever have; boards' requests pass through too.
_MOST_BODY = 16 * 1024 * 1024


def serve(
    root: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    while_used: bool = False,
    most_running: int = MOST_RUNNING,
    source: Source | None = None,
    most_cached: int | None = None,
    mindinsight: str | None = None,
) -> None:
    """Serve ``root`` until SIGTERM or SIGINT.

    Args:
        port: 0 for the one of last time, or any that is free.
        while_used: end with the last program that uses the service through ``Session.local()``.
        source: the OBS that jobs read; by default, ``obs`` in ``root`` stands for it.
        most_cached: how many bytes of it are kept on this machine at most.
        mindinsight: the path of MindInsight's command; by default it is looked for.

    Raises:
        ConfigurationError: it cannot be served; the message says why.
    """
    # Keys, logs and addresses of boards are nobody else's business.
    os.umask(0o077)
    for folder in (root, root / "obs", root / "logs"):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be made: {error.strerror}") from None
    file = ServiceFile(root)
    lock = _lock(root, file)
    try:
        # Left by one that was killed.
        (root / STAY).unlink(missing_ok=True)
        clock = Clock()
        try:
            identity = Identity.of(root)
            store = Store(root / "jobs.sqlite")
        except (sqlite3.Error, ValueError, OSError) as error:
            raise ConfigurationError(f"{root} cannot be served: {error}") from None
        try:
            listening = _listen(host, port, int(store.setting("port") or 0))
            with listening:
                port = listening.getsockname()[1]
                store.keep_setting("port", str(port))
                base_url = f"http://{host if ':' not in host else f'[{host}]'}:{port}"
                folders = _folders(root, source, most_cached, clock)
                obs_endpoint = source.endpoint if source else (root / "obs").resolve().as_uri()
                other = MindInsight(mindinsight, root / "mindinsight")
                supervisor = Supervisor(store, folders, root / "logs", clock, other)
                authentication = Authentication(identity, clock)
                operations = Operations(store, supervisor, folders, other, base_url, most_running)
                app = App(
                    Api(operations, authentication),
                    Iam(identity, authentication, base_url, clock),
                    Pages(operations, supervisor),
                )
                connection = {**_connection(identity, base_url), "obs_endpoint": obs_endpoint}
                _run(app, supervisor, listening, file, connection, root, while_used)
        finally:
            store.close()
    finally:
        os.close(lock)


def _run(
    app: App,
    supervisor: Supervisor,
    listening: socket.socket,
    file: ServiceFile,
    connection: dict[str, Any],
    root: Path,
    while_used: bool,
) -> None:
    server = create_server(
        app,
        sockets=[listening],
        threads=MOST_OPEN + 8,  # whatever the boards do, some are left for the API
        max_request_body_size=_MOST_BODY,
        ident=None,
        clear_untrusted_proxy_headers=True,
    )

    def leave(number: int, frame: FrameType | None) -> None:
        supervisor.expect_end()
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    try:
        supervisor.open()
        file.write(connection)
        if while_used:
            Thread(target=_end_when_unused, args=(root,), daemon=True).start()
        address = connection["modelarts_endpoint"]
        _LOG.info("serving %s at %s (process %d)", root, address, os.getpid())
        server.run()  # ends by SystemExit or KeyboardInterrupt, which it takes as its end
    except (SystemExit, KeyboardInterrupt):
        pass  # asked to end while it began
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        file.remove()
        (root / STAY).unlink(missing_ok=True)
        supervisor.close()
        server.close()
        _LOG.info("ended; %s keeps its jobs", root)


def _folders(root: Path, source: Source | None, most: int | None, clock: Clock) -> Folders:
    if source is None:
        return Folders(root / "obs")
    from modelarts.local.mirrors import MOST_BYTES, Mirrors

    return Mirrors(source, root / "cache", clock, most or MOST_BYTES)


def _connection(identity: Identity, base_url: str) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "region_name": identity.region_name,
        "project_id": identity.project_id,
        "access_key": identity.access_key,
        "secret_key": identity.secret_key,
        "account": identity.account,
        "username": identity.username,
        "password": identity.password,
        "iam_endpoint": base_url,
        "modelarts_endpoint": base_url,
    }


def _lock(root: Path, file: ServiceFile) -> int:
    """Held as long as this process lives; the system frees it however that ends."""
    try:
        descriptor = os.open(root / SERVICE_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{error.filename} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        found = file.read() or {}
        raise ConfigurationError(
            f"{root} is being served already, by process {found.get('pid', 'unknown')} at "
            f"{found.get('modelarts_endpoint', 'an unknown address')}"
        ) from None
    return descriptor


def _listen(host: str, port: int, last: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The port of last time keeps the addresses of boards as they were.
    for candidate in [port] if port else [last, 0]:
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, candidate))
            listening.listen(256)
            return listening
        except OSError as error:
            listening.close()
            reason = error.strerror
    raise ConfigurationError(f"cannot listen on {host}:{port}: {reason}")


def _end_when_unused(root: Path) -> None:
    """Each program that uses the service holds a shared lock; the exclusive one comes after
    the last of them has ended, in whatever way."""
    descriptor = os.open(root / PROGRAMS_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    if (root / STAY).exists():
        os.close(descriptor)
        return
    # Kept until the end: a program that comes now waits, and then starts a new service.
    _LOG.info("no program uses this service any more")
    os.kill(os.getpid(), signal.SIGTERM)
