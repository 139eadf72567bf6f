"""Files that are not whole yet: each is one transfer's while that lasts, then the next one's."""

import os
import stat
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional

__all__ = ["Unfinished", "discard", "is_still", "lock", "naming", "remove"]

#: How often the usual name may lead to another file by the time it is locked.
_TRIES = 20
_BINARY = getattr(os, "O_BINARY", 0)


class Unfinished:
    """A file that has another name until it is whole.

    All that is written to a target has the same name first, so what a killed process left is used
    again and does not stay. Where somebody else is writing at this moment, or where that name
    is a link, say, this is another file.

    Args:
        usual: the name it has if nobody else has it.
        other: answers names that nobody has.
        mode: who may do what with it, before the umask.

    Attributes:
        path: the name it has.
        is_usual: whether the next transfer would find it.

    Raises:
        OSError: it cannot be made.
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
            self.close()  # no file is renamed there while it is open

    @property
    def size(self) -> int:
        """How long it is."""
        return os.path.getsize(self.path)

    def open(self) -> Any:
        """Empty the file and open it for writing without a buffer."""
        flags = os.O_WRONLY | os.O_TRUNC | _BINARY
        return open(os.open(self.path, flags), "wb", buffering=0)

    def become(self, target: str) -> None:
        """It is whole."""
        os.replace(self.path, target)
        self.close()

    def close(self) -> None:
        """Leave it to the next one."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def remove(self) -> None:
        """It is of no use any more."""
        # While nobody else can have it.
        if os.name == "nt" or (self._file is not None and is_still(self._file, self.path)):
            remove(self.path)
        self.close()


def discard(path: str) -> None:
    """Remove what a killed process left under that name, unless somebody is writing it again."""
    file = _taken(path, 0o600) if os.path.lexists(path) else None
    if file is not None:
        if os.name == "nt":
            os.close(file)  # no file is removed there while it is open
            return remove(path)
        remove(path)
        os.close(file)


def lock(file: int) -> Optional[bool]:
    """Keep a file from others; whether that went well, None where it cannot be told."""
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
    """Return True if an error of the file system is about the file's name; a full disk is not."""
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
    """Remove a file, if that can be done."""
    try:
        os.remove(path)
    except OSError:
        pass


def _taken(path: str, mode: int) -> Optional[int]:
    """Return the file of that name, which may be new; None where it is not to be had."""
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
            # Whoever had it has made the target of it, or removed it.
            os.close(file)
            continue
        os.close(file)
        return None
    return None
