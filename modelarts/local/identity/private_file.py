"""Values kept in private JSON files, which an administrator edits while the service runs."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from threading import Lock
from typing import Any, Callable, Generic, TypeVar

from modelarts._internal.disk import make_folder
from modelarts.errors import ConfigurationError
from modelarts.local.files import read_private, write_private

_LOG = logging.getLogger("modelarts.local")
#: Of the form of all such files.
_VERSION = 1
Value = TypeVar("Value")


class PrivateFile(Generic[Value]):
    """A value kept in a private JSON file, which other processes may edit at any time.

    Args:
        path: the file.
        kind: the plural noun for its contents in messages, as in "users".
        parse: makes the value of the file's content. Raises ValueError where it cannot.
        dump: makes the file's content of the value.
        new: makes the value that a new file begins with.
        required: an absent file is an error; otherwise it stands for a new value.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        parse: Callable[[dict[str, Any]], Value],
        dump: Callable[[Value], dict[str, Any]],
        new: Callable[[], Value],
        required: bool,
    ) -> None:
        self.path = path
        self._kind = kind
        self._parse = parse
        self._dump = dump
        self._new = new
        self._required = required
        self._lock = Lock()
        self._seen: tuple[tuple[int, ...], Value] | None = None
        self._logged: tuple[int, ...] | None = None

    def read(self) -> Value:
        """Return the value in the file.

        Raises:
            ConfigurationError: it cannot be read, makes no sense, or others can read it.
        """
        try:
            content = read_private(self.path)
        except OSError as error:
            raise self._unreadable(f"{self.path}: {error.strerror}") from None
        except ValueError as error:
            raise self._unreadable(str(error)) from None
        try:
            if content.get("version") != _VERSION:
                version = content.get("version")
                raise ValueError(f"its version is {version!r}; known here: {_VERSION}")
            return self._parse(content)
        except ValueError as error:
            raise self._unreadable(f"{self.path}: {error}") from None

    def edit(self, change: Callable[[Value], Value]) -> Value:
        """Change the value in the file, which is made if there is none, and return it.

        Raises:
            ConfigurationError: the file cannot be read or written.
            Exception: raised by ``change``; nothing is written then.
        """
        path = self.path.resolve()  # a link stays a link
        try:
            make_folder(str(path.parent))
            folder = os.open(path.parent, os.O_RDONLY)
        except OSError as error:
            raise ConfigurationError(f"{error.filename} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # of two that edit, one waits
            before = self.read() if path.exists() else self._new()
            after = change(before)
            if after is not before:
                write_private(path, {"version": _VERSION, **self._dump(after)})
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
        finally:
            os.close(folder)
        return after

    def current(self) -> Value:
        """Return the value as the file says now; it is read anew when the file has changed.

        A file that cannot be read any more is logged, and changes nothing.

        Raises:
            ConfigurationError: the file cannot be read the first time.
        """
        with self._lock:
            state = self._state()
            if self._seen is None:
                is_read = state or self._required
                self._seen = state, self.read() if is_read else self._new()
            elif state != self._seen[0]:
                try:
                    self._seen = state, self.read()
                    self._logged = None
                    _LOG.info("%s was read", self.path)
                except ConfigurationError as error:
                    # It is read again by the next request: that may have been for lack of
                    # descriptors, and what it takes away must not stay for that.
                    if state != self._logged:
                        _LOG.error("%s; the %s stay as they were", error, self._kind)
                    self._logged = state
            return self._seen[1]

    def _unreadable(self, reason: str) -> ConfigurationError:
        return ConfigurationError(f"the {self._kind} cannot be read: {reason}")

    def _state(self) -> tuple[int, ...]:
        try:
            state = os.stat(self.path)
        except OSError:
            return ()
        return (state.st_mtime_ns, state.st_size, state.st_ino, state.st_mode)
