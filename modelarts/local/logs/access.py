"""The access of several front ends to the folder of one mirror, on a file system of all of them."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

from modelarts._internal.clock import Clock

#: Seconds; a front end does not ask OBS for what another one has asked for since then. A little
#: less than the shortest pause between two updates.
_FRESH_SECONDS = 4.0


class FolderAccess:
    """Locks of the front ends that use a folder, and of the one that updates it.

    They end with their process.

    Args:
        folder: the folder; the files of the locks are beside it.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._users = folder.with_name(folder.name + ".users")
        self._update = folder.with_name(folder.name + ".update")
        self._clock = clock
        self._descriptor: int | None = None

    def begin(self) -> None:
        """Use the folder, until :meth:`end`. Raises OSError."""
        if self._descriptor is None:
            self._users.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = _open(self._users)
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def end(self, remove: Callable[[], None]) -> bool:
        """Use the folder no more; if no other front end does, call ``remove`` and return True."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        else:
            remove()
            return True
        finally:
            os.close(descriptor)

    @contextmanager
    def updating(self) -> Iterator[bool]:
        """Return a context in which no other front end updates the folder; False: one does."""
        descriptor = _open(self._update)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def is_fresh(self) -> bool:
        """Return True if the folder has just been updated."""
        try:
            updated = float(self._update.read_bytes())
        except ValueError:
            return False  # it was not yet
        return 0 <= self._clock.time() - updated < _FRESH_SECONDS

    def note(self) -> None:
        """Note that the folder was updated."""
        self._update.write_bytes(b"%.3f" % self._clock.time())


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
