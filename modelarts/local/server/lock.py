"""Single-instance lock of a root folder, and the end of a service that no program uses."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
from pathlib import Path
from typing import Callable

from modelarts._internal.clock import Clock
from modelarts.errors import ConfigurationError
from modelarts.local.server.launcher import PROGRAMS_LOCK, SERVICE_LOCK, STAY, ServiceFile

#: How often to look whether trainings have ended.
_BUSY_SECONDS = 1.0
_LOG = logging.getLogger("modelarts.local")


def take(root: Path, file: ServiceFile) -> int:
    """Take the folder; returns a descriptor that is kept open until the end.

    The system frees it, however this process ends.

    Raises:
        ConfigurationError: another service has it, or it cannot be written.
    """
    try:
        descriptor = os.open(root / SERVICE_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{error.filename} cannot be used: {error.strerror}") from None
    if not _is_locked(descriptor):
        holder = os.read(descriptor, 20).decode() or "unknown"
        os.close(descriptor)
        content = file.read() or {}
        raise ConfigurationError(
            f"{root} is being served already, by process {holder} at "
            f"{content.get('modelarts_endpoint', 'an address not yet known')}"
        )
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
    except OSError as error:
        os.close(descriptor)
        raise ConfigurationError(f"{root} cannot be served: {error.strerror}") from None
    return descriptor


def _is_locked(descriptor: int) -> bool:
    """Lock it, if no other service has. Who looks whether one has holds it for a moment too."""
    for pause in (0.05, 0.05, 0.0):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            Clock().sleep(pause)
    return False


def end_when_unused(root: Path, is_busy: Callable[[], bool]) -> None:
    """Wait until no program uses the service, and end it.

    Each holds a shared lock; the exclusive one comes after the last of them has ended, in
    whatever way.

    Args:
        is_busy: returns True while there are trainings that have not ended.
    """
    descriptor = os.open(root / PROGRAMS_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    while is_busy():
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        Clock().sleep(_BUSY_SECONDS)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    if (root / STAY).exists():
        os.close(descriptor)
        return
    # Kept until the end: a program that comes now waits, and then starts a new service.
    _LOG.info("no program uses this service any more")
    os.kill(os.getpid(), signal.SIGTERM)
