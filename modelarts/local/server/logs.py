"""The log of the service, ``service.log``, and those of boards: each has a largest size."""

from __future__ import annotations

import logging
import os
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from threading import Event, Thread

_LOG = logging.getLogger("modelarts.local")
_FORMAT = "%(asctime)s %(levelname)s %(message)s"
_MOST_OF_THE_SERVICE = 2 * 1024 * 1024
_KEPT = 4
_MOST_OF_A_BOARD = 1024 * 1024
_PAUSE = 60.0


def open_log(path: Path, max_bytes: int = _MOST_OF_THE_SERVICE) -> None:
    """Log to ``path`` from now on, and to standard error unless that is the same file.

    Args:
        max_bytes: a file that would grow longer is renamed to ``.1``, and so on to ``.4``.
    """
    to_file = RotatingFileHandler(path, maxBytes=max_bytes, backupCount=_KEPT, encoding="utf-8")
    handlers: list[logging.Handler] = [to_file]
    # A service in the background writes there what it has to say before its log is open.
    if not os.path.samestat(os.fstat(sys.stderr.fileno()), os.stat(path)):
        handlers.append(logging.StreamHandler(sys.stderr))
    logging.basicConfig(level=logging.INFO, format=_FORMAT, handlers=handlers, force=True)


def bound_files(folder: Path, ended: Event) -> None:
    """Keep the boards' logs short until ``ended`` is set, in a thread of its own."""
    Thread(target=_bound, args=(folder, ended), name="logs", daemon=True).start()


def _bound(folder: Path, ended: Event) -> None:
    while not ended.wait(_PAUSE):
        for path in folder.glob("*.log"):
            try:
                if path.is_file():
                    _shorten(path, _MOST_OF_A_BOARD)
            except OSError as error:
                _LOG.warning("%s cannot be shortened: %s", path, error.strerror)


def _shorten(path: Path, max_bytes: int) -> None:
    """Leave the last quarter of a file that is too long. Its board appends to it meanwhile."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_NOFOLLOW)
    with open(descriptor, "r+b") as file:
        if os.fstat(descriptor).st_size > max_bytes:
            file.seek(-max_bytes // 4, os.SEEK_END)
            rest = file.read(max_bytes // 4)
            file.truncate(0)
            file.write(b"[...]" + rest[rest.find(b"\n") :])
