"""The users file of a service."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from modelarts.local.identity.private_file import PrivateFile
from modelarts.local.identity.users import OWNER, Users


class Accounts(PrivateFile[Users]):
    """The users of a service, kept in a file that may be edited while the service runs.

    Args:
        path: the users file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "users", Users.from_json, Users.to_json, Users.new, required=True)

    def users(self) -> Users:
        """Return the users as the file says now."""
        return self.current()


def users_file(root: Path) -> Path:
    """Return the path of a service's users file, unless another one was chosen."""
    return root / "users.json"


def read(path: Path) -> Users:
    """Return the users in a file.

    Raises:
        ConfigurationError: it cannot be read, or others can read it.
    """
    return Accounts(path).read()


def edit(path: Path, change: Callable[[Users], Users]) -> Users:
    """Change the users in a file, which is made if there is none, and return them.

    Raises:
        ConfigurationError: the file cannot be read or written.
        InvalidArgument: raised by ``change``; nothing is written then.
    """
    return Accounts(path).edit(change)


def prepare(root: Path) -> Path:
    """Return the path of the users file in ``root``; a new one has one user.

    Raises:
        ConfigurationError: as :func:`edit`.
    """
    path = users_file(root)
    if not path.exists():
        edit(path, lambda users: users if users.by_name else users.with_user(OWNER))
    return path
