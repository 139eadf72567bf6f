"""``modelarts users``: the users of a service on this machine."""

import argparse
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict

from modelarts.cli.options import (
    Commands,
    add_command,
    add_commands,
    add_printing,
    local_service,
    root_of,
    text,
)
from modelarts.cli.output import say, show, show_json, show_table
from modelarts.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from modelarts.local.identity.users import Users


def add_to(commands: Commands) -> None:
    """Add the commands to the others."""
    group = commands.add_parser(
        "users",
        help="say who may call the service on this machine",
        description="Make and edit a users file. A running service notices by itself; the "
        "buckets that a user reaches are shown by 'modelarts buckets list'. Passwords "
        "are asked for, or read as one line where standard input is no terminal.",
        epilog="""examples:
  modelarts users add ann --project team-a
  modelarts users list
  modelarts users remove ann""",
    )
    verbs = add_commands(group)
    parser = _add_verb(
        verbs,
        "add",
        _add,
        "add a user and print new keys, once",
        """  modelarts users add ann
  modelarts users add ann --project team-a --password
  modelarts users add ann --output json > ann.json""",
    )
    parser.add_argument(
        "--project",
        type=text,
        action="append",
        default=[],
        metavar="NAME",
        help="a project shared with whoever else has it, beside the user's own; its full name is "
        "<region>_NAME. May be repeated",
    )
    parser.add_argument(
        "--password", action="store_true", help="give a password too, for clients that log in"
    )
    for name, run, what in (
        ("passwd", _passwd, "give a user a new password; tokens of before end"),
        ("keys", _keys, "give a user new keys and print them, once; the old ones end"),
        ("remove", _remove, "remove a user; the jobs stay, and nobody can reach them"),
    ):
        _add_verb(verbs, name, run, what, "  modelarts users %s ann" % name)
    _add_verb(
        verbs,
        "list",
        _list,
        "list the users",
        """  modelarts users list
  modelarts users list --output json | jq -r '.[].username'""",
        "",
    )


def _add_verb(
    verbs: Commands, name: str, run: Any, what: str, examples: str, operands: str = "USER"
) -> argparse.ArgumentParser:
    parser = add_command(verbs, name, run, what, examples, operands)
    if operands:
        parser.add_argument("name", type=text, metavar=operands, help="the user's name")
    where = parser.add_argument_group("which users file").add_mutually_exclusive_group()
    where.add_argument(
        "--root", metavar="DIR", help="the service's folder (default: ~/.modelarts/local)"
    )
    where.add_argument("--users", metavar="FILE", help="a users file elsewhere")
    add_printing(parser)
    return parser


def _add(args: argparse.Namespace) -> None:
    password = _password() if args.password else None

    def change(users: "Users") -> "Users":
        users = users.with_user(args.name, tuple(args.project))
        return users if password is None else users.with_password(args.name, password)

    _show_keys(_edit(args, change), args)


def _passwd(args: argparse.Namespace) -> None:
    password = _password()
    _edit(args, lambda users: users.with_password(args.name, password))
    _show_done("%s has a new password", args)


def _keys(args: argparse.Namespace) -> None:
    _show_keys(_edit(args, lambda users: users.with_new_key(args.name)), args)


def _remove(args: argparse.Namespace) -> None:
    _edit(args, lambda users: users.without_user(args.name))
    _show_done("%s is removed", args)


def _list(args: argparse.Namespace) -> None:
    with local_service():
        from modelarts.local.identity.users_file import read

        users = read(_file(args))
    facts = [_facts(users, name) for name in users.by_name]
    if args.output == "json":
        show_json(facts)
        return
    rows = [("NAME", "ACCESS KEY", "PASSWORD", "PROJECTS")]
    for user in facts:
        has = "yes" if user["has_password"] else "no"
        names = ", ".join(project["name"] for project in user["projects"])
        rows.append((user["username"], user["access_key"], has, names))
    show_table(rows)


def _edit(args: argparse.Namespace, change: "Callable[[Users], Users]") -> "Users":
    with local_service():
        from modelarts.local.identity.users_file import edit

        return edit(_file(args), change)


def _file(args: argparse.Namespace) -> "Path":
    from modelarts.local.identity.users_file import prepare
    from modelarts.local.server.launcher import root_folder

    if args.users is not None:
        return root_folder(args.users)
    root = root_of(args)
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError("%s cannot be used: %s" % (root, error.strerror)) from None
    return prepare(root)


def _facts(users: "Users", name: str) -> Dict[str, Any]:
    """Return the facts of a user that are not secret, by the names that a session has for them."""
    user = users.by_name[name]
    return {
        "username": user.name,
        "account": users.account,
        "region_name": users.region_name,
        "projects": [{"name": each.name, "project_id": each.project_id} for each in user.projects],
        "access_key": user.key.access_key,
        "has_password": user.password is not None,
    }


def _show_keys(users: "Users", args: argparse.Namespace) -> None:
    facts = _facts(users, args.name)
    secret_key = users.by_name[args.name].key.secret_key
    if args.output == "json":
        show_json({**facts, "secret_key": secret_key, "is_success": True})
    else:
        for name in ("username", "account", "region_name"):
            show("%-12s %s" % (name, facts[name]))
        for project in facts["projects"]:
            show("project      %s  %s" % (project["name"], project["project_id"]))
        show("access_key   %s" % facts["access_key"])
        show("secret_key   %s" % secret_key)
    say("the secret key is not shown again")


def _show_done(message: str, args: argparse.Namespace) -> None:
    if args.output == "json":
        show_json({"username": args.name, "is_success": True})
    else:
        show(message % args.name)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    from getpass import getpass

    password = getpass("New password: ")
    if getpass("Once more: ") != password:
        raise ConfigurationError("the two are not the same; nothing was changed")
    return password
