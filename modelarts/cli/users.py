"""``modelarts users``: who may call a service of this machine."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from modelarts.cli.output import show
from modelarts.cli.values import Commands, local_service, text
from modelarts.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from modelarts.local.users import Users

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "users",
        help="say who may call the service on this machine",
        description="Make and edit a users file. A running service notices by itself. Passwords "
        "are asked for, or read as one line where standard input is no terminal.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = _action(actions, "add", _add, "add a user and print new keys, once")
    add.add_argument(
        "--project",
        type=text,
        action="append",
        default=[],
        metavar="NAME",
        help="a project shared with whoever else has it, beside the user's own; its full name is "
        "REGION_NAME. May be repeated",
    )
    add.add_argument(
        "--password", action="store_true", help="give a password too, for clients that log in"
    )
    _action(actions, "passwd", _passwd, "give a user a new password; tokens of before end")
    _action(actions, "keys", _keys, "give a user new keys and print them, once; the old ones end")
    _action(actions, "remove", _remove, "remove a user; the jobs stay, and nobody can reach them")
    _action(actions, "list", _list, "list the users")


def _action(actions: Any, name: str, run: Any, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=what)
    if name != "list":
        parser.add_argument("name", type=text, metavar="USER")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--root", metavar="DIR", help="the service's folder (default: ~/.modelarts/local)"
    )
    where.add_argument("--users", metavar="FILE", help="a users file elsewhere")
    parser.set_defaults(run=run)
    return parser


def _add(given: argparse.Namespace) -> None:
    password = _password() if given.password else None
    with local_service():
        from modelarts.local.accounts import edit

        def change(users: "Users") -> "Users":
            users = users.with_user(given.name, tuple(given.project))
            return users if password is None else users.with_password(given.name, password)

        _show_keys(edit(_file(given), change), given.name)


def _passwd(given: argparse.Namespace) -> None:
    password = _password()
    with local_service():
        from modelarts.local.accounts import edit

        edit(_file(given), lambda users: users.with_password(given.name, password))
    show("%s has a new password" % given.name)


def _keys(given: argparse.Namespace) -> None:
    with local_service():
        from modelarts.local.accounts import edit

        _show_keys(edit(_file(given), lambda users: users.with_new_key(given.name)), given.name)


def _remove(given: argparse.Namespace) -> None:
    with local_service():
        from modelarts.local.accounts import edit

        edit(_file(given), lambda users: users.without_user(given.name))
    show("%s is removed" % given.name)


def _list(given: argparse.Namespace) -> None:
    with local_service():
        from modelarts.local.accounts import read

        for user in read(_file(given)).by_name.values():
            names = ", ".join(project.name for project in user.projects)
            password = "with" if user.password is not None else "without"
            show("%s  %s  %s a password  %s" % (user.name, user.key.access_key, password, names))


def _file(given: argparse.Namespace) -> "Path":
    from modelarts.local.accounts import prepare
    from modelarts.local.discovery import DEFAULT_ROOT, root_folder

    if given.users is not None:
        return root_folder(given.users)
    root = root_folder(given.root or DEFAULT_ROOT)
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError("%s cannot be used: %s" % (root, error.strerror)) from None
    return prepare(root)


def _show_keys(users: "Users", name: str) -> None:
    user = users.by_name[name]
    show("username     %s" % user.name)
    show("account      %s" % users.account)
    show("region_name  %s" % users.region_name)
    for project in user.projects:
        show("project      %s  %s" % (project.name, project.project_id))
    show("access_key   %s" % user.key.access_key)
    show("secret_key   %s" % user.key.secret_key)
    print("the secret key is not shown again", file=sys.stderr)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    from getpass import getpass

    password = getpass("New password: ")
    if getpass("Once more: ") != password:
        raise ConfigurationError("the two are not the same; nothing was changed")
    return password
