"""Incomplete files: each is locked by one transfer, and can be resumed by the next."""

import os
import stat
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional

#: Attempts if the usual name belongs to another file at the time of locking.
_TRIES = 20
_BINARY = getattr(os, "O_BINARY", 0)


class PartialFile:
    """A file with a temporary name until it is complete.

    All transfers to a target use the same temporary name first, so the file of a killed process is
    reused. If another process is writing to it, or that name is a link for example, another name is
    used.

    Args:
        usual: the name to use if it is not locked by another process.
        other: a function that returns unused names.
        mode: the permissions, before the umask.

    Attributes:
        path: the temporary name in use.
        is_usual: True if the next transfer would find the file.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, usual: str, other: Callable[[], str], mode: int = 0o666) -> None:
        self.path = usual
        self._file = _taken(usual, mode)
        self.is_usual = self._file is not None
        while self._file is None:
            self.path = other()
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY
                self._file = os.open(self.path, flags, mode)
            except FileExistsError:
                pass
        if os.name == "nt":
            self.close()  # Windows does not rename an open file

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return os.path.getsize(self.path)

    def open(self) -> Any:
        """Empty the file and open it for writing without a buffer."""
        flags = os.O_WRONLY | os.O_TRUNC | _BINARY
        return open(os.open(self.path, flags), "wb", buffering=0)

    def become(self, target: str) -> None:
        """Rename the complete file to its target."""
        os.replace(self.path, target)
        self.close()

    def sync(self) -> None:
        """Write what the system still holds of the file to the disk."""
        if self._file is not None:
            os.fsync(self._file)

    def close(self) -> None:
        """Close the file and keep it for the next transfer."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def remove(self) -> None:
        """Remove the file."""
        # While it is still locked.
        if os.name == "nt" or (self._file is not None and is_still(self._file, self.path)):
            remove(self.path)
        self.close()


def discard(path: str) -> None:
    """Remove the file of a killed process under that name, unless another process is writing it."""
    file = _taken(path, 0o600) if os.path.lexists(path) else None
    if file is not None:
        if os.name == "nt":
            os.close(file)  # Windows does not remove an open file
            return remove(path)
        remove(path)
        os.close(file)


def lock(file: int) -> Optional[bool]:
    """Lock a file; return False if another process has, None if the file system has no locks."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None  # a file system without locks
    return True


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Add the path to errors of the file system without one, such as for a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = path
        raise


def is_still(file: int, path: str) -> bool:
    """Return True if a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False


def remove(path: str) -> None:
    """Remove a file, if possible."""
    try:
        os.remove(path)
    except OSError:
        pass


def _taken(path: str, mode: int) -> Optional[int]:
    """Open and lock the file of that name, or a new one; return None if it is in use."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | _BINARY
    for _ in range(_TRIES):
        try:
            file = os.open(path, flags, mode)
        except OSError:
            return None
        state = os.fstat(file)
        is_plain = stat.S_ISREG(state.st_mode) and state.st_nlink < 2
        if is_plain and lock(file) is not False:
            if is_still(file, path):
                return file
            # The process that had locked it has renamed or removed it.
            os.close(file)
            continue
        os.close(file)
        return None
    return None
