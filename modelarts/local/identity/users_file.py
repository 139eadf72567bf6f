"""The users file: read, edited, and read anew when somebody edited it."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from threading import Lock
from typing import Callable

from modelarts.errors import ConfigurationError
from modelarts.local.files import read_private, write_private
from modelarts.local.identity.users import OWNER, Users

__all__ = ["Accounts", "edit", "prepare", "read", "users_file"]

_LOG = logging.getLogger("modelarts.local")


def users_file(root: Path) -> Path:
    """Where a service keeps its users, unless told otherwise."""
    return root / "users.json"


def read(path: Path) -> Users:
    """The users in a file.

    Raises:
        ConfigurationError: it cannot be read, or others can read it.
    """
    try:
        content = read_private(path)
    except (OSError, ValueError) as error:
        reason = f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"the users cannot be read: {reason}") from None
    try:
        return Users.from_json(content)
    except ValueError as error:
        raise ConfigurationError(f"the users cannot be read: {path}: {error}") from None


def edit(path: Path, change: Callable[[Users], Users]) -> Users:
    """Change the users in a file, which is made if there is none.

    Raises:
        ConfigurationError: it cannot be read or written.
        InvalidArgument: by ``change``; nothing is written then.
    """
    path = path.resolve()  # a link stays a link
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise ConfigurationError(f"{error.filename} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # of two that edit, one waits
        users = change(read(path) if path.exists() else Users.new())
        write_private(path, users.to_json())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        os.close(folder)
    return users


def prepare(root: Path) -> Path:
    """The users file of ``root``, with one user if it is new; what an earlier version kept in
    ``identity.json`` is taken over.

    Raises:
        ConfigurationError: as :func:`edit`.
    """
    path, former = users_file(root), root / "identity.json"
    if not path.exists():
        if former.exists():
            try:
                taken_over = Users.from_identity(read_private(former))
            except (OSError, ValueError) as error:
                raise ConfigurationError(
                    f"{former} cannot be read ({error}); remove it to have a new user made"
                ) from None
            edit(path, lambda users: taken_over)
        else:
            edit(path, lambda users: users.with_user(OWNER))
    former.unlink(missing_ok=True)  # it holds the password as it is
    return path


class Accounts:
    """The users of a running service, as the file says at this moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._state = self._look()
        self._users = read(path)

    def users(self) -> Users:
        """The users of now. A file that cannot be read any more changes nothing."""
        with self._lock:
            state = self._look()
            if state != self._state:
                self._state = state
                try:
                    self._users = read(self._path)
                    _LOG.info("%s: %d users", self._path, len(self._users.by_name))
                except ConfigurationError as error:
                    _LOG.error("%s; the users stay as they were", error)
            return self._users

    def _look(self) -> tuple[int, ...]:
        try:
            found = os.stat(self._path)
        except OSError:
            return ()
        return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)
