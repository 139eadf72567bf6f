"""``modelarts buckets``: the owners of the buckets of a service on this machine."""

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from modelarts.cli.options import (
    Commands,
    add_command,
    add_commands,
    add_printing,
    local_service,
    root_of,
    text,
)
from modelarts.cli.output import show, show_json, show_table
from modelarts.errors import InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path

    from modelarts.local.identity.buckets import Buckets
    from modelarts.local.identity.users import Users


def add_to(commands: Commands) -> None:
    """Add the commands to the others."""
    group = commands.add_parser(
        "buckets",
        help="show and change which projects reach which buckets of the service on this machine",
        description="In a service with several users, a bucket is reached by the project that it "
        "belongs to, which is the one that made it, and by those it is shared with. In a service "
        "with one user, that user reaches every bucket. A running service notices changes by "
        "itself.",
        epilog="""examples:
  modelarts buckets list
  modelarts buckets share datasets --everyone
  modelarts buckets give training --project team-a""",
    )
    verbs = add_commands(group)
    _add_verb(
        verbs,
        "list",
        _list,
        "list the buckets, their owners, and with whom they are shared",
        """  modelarts buckets list
  modelarts buckets list --output json | jq -r '.[].name'""",
        takes_bucket=False,
    )
    give = _add_verb(
        verbs,
        "give",
        partial(_change, access=None),
        "give a bucket to a project, whoever had it before",
        """  modelarts buckets give training --project team-a
  modelarts buckets give scratch --user ann""",
    )
    _add_target(give)
    share = _add_verb(
        verbs,
        "share",
        _share,
        "let more users read a bucket and show boards over it",
        """  modelarts buckets share datasets --everyone
  modelarts buckets share training --project team-a --write""",
    )
    _add_target(share, everyone=True)
    share.add_argument("--write", action="store_true", help="they may also write and delete")
    unshare = _add_verb(
        verbs,
        "unshare",
        partial(_change, access="NONE"),
        "take that back",
        "  modelarts buckets unshare datasets --everyone",
    )
    _add_target(unshare, everyone=True)


def _add_verb(
    verbs: Commands, name: str, run: Any, what: str, examples: str, takes_bucket: bool = True
) -> argparse.ArgumentParser:
    parser = add_command(verbs, name, run, what, examples, "BUCKET" if takes_bucket else "")
    if takes_bucket:
        parser.add_argument("bucket", type=_bucket, metavar="BUCKET", help="the bucket's name")
    where = parser.add_argument_group("which service")
    where.add_argument(
        "--root", metavar="DIR", help="the service's folder (default: ~/.modelarts/local)"
    )
    where.add_argument(
        "--users", metavar="FILE", help="its users file (default: users.json in its folder)"
    )
    add_printing(parser)
    return parser


def _add_target(parser: argparse.ArgumentParser, everyone: bool = False) -> None:
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--project", metavar="NAME", type=text, help="a shared project")
    target.add_argument("--user", metavar="NAME", type=text, help="the own project of a user")
    if everyone:
        target.add_argument("--everyone", action="store_true", help="all users of the service")


def _bucket(text: str) -> str:
    import re

    name = text[len("obs://") :] if text.startswith("obs://") else text
    if not re.match(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}\Z", name.strip("/")):
        raise argparse.ArgumentTypeError("%r is not the name of a bucket" % text)
    return name.strip("/")


def _list(args: argparse.Namespace) -> None:
    with local_service():
        from modelarts.local.identity.buckets import BucketsFile

        users, root = _users(args), root_of(args)
        buckets = BucketsFile(root).current()
    facts = [_facts(users, buckets, name) for name in _names(root, buckets)]
    if args.output == "json":
        show_json(facts)
        return
    rows = [("BUCKET", "OWNER", "SHARED WITH")]
    for bucket in facts:
        shares = ("%s (%s)" % (share["with"], share["access"]) for share in bucket["shared"])
        rows.append((bucket["name"], bucket["owner"] or "none", ", ".join(shares)))
    show_table(rows)


def _share(args: argparse.Namespace) -> None:
    _change(args, "WRITE" if args.write else "READ")


def _change(args: argparse.Namespace, access: Optional[str]) -> None:
    """Give the bucket to the project, or let the project have that access to it."""
    with local_service():
        from modelarts.local.identity.buckets import Access, BucketsFile

        users = _users(args)
        project_id = _project_id(users, args)

        def change(buckets: "Buckets") -> "Buckets":
            if access is None:
                return buckets.given(args.bucket, project_id)
            return buckets.shared(args.bucket, project_id, Access[access])

        buckets = BucketsFile(root_of(args)).edit(change)
    _show(users, buckets, args)


def _show(users: "Users", buckets: "Buckets", args: argparse.Namespace) -> None:
    facts = _facts(users, buckets, args.bucket)
    if args.output == "json":
        show_json({**facts, "is_success": True})
        return
    show("bucket   %s" % facts["name"])
    show("owner    %s" % (facts["owner"] or "none"))
    for share in facts["shared"]:
        show("shared   with %s (%s)" % (share["with"], share["access"]))


def _facts(users: "Users", buckets: "Buckets", name: str) -> Dict[str, Any]:
    from modelarts.local.identity.buckets import Bucket

    bucket = buckets.get(name) or Bucket()
    owner = bucket.owner or _first_project_id(users)
    return {
        "name": name,
        "owner": None if owner is None else _name_of(users, owner),
        "project_id": owner,
        "shared": [
            {"with": _name_of(users, key), "access": access.name.lower()}
            for key, access in sorted(bucket.shared.items())
        ],
    }


def _names(root: "Path", buckets: "Buckets") -> List[str]:
    """Return the names of the buckets that are recorded, and of those in the service's folder."""
    from modelarts.local.identity.buckets import key_of

    folder = root / "obs"
    names = [each.name for each in folder.iterdir() if each.is_dir()] if folder.is_dir() else []
    keys = {key_of(name) for name in names}
    return sorted([*names, *(key for key in buckets.by_name if key not in keys)])


def _first_project_id(users: "Users") -> Optional[str]:
    from modelarts.local.identity.users import OWNER

    owner = users.by_name.get(OWNER)
    return None if owner is None else owner.projects[0].project_id


def _name_of(users: "Users", key: str) -> str:
    from modelarts.local.identity.buckets import EVERYONE

    if key == EVERYONE:
        return "everyone"
    for user in users.by_name.values():
        if user.projects[0].project_id == key:
            return "user %s" % user.name
    for name, project_id in users.shared.items():
        if project_id == key:
            return "project %s" % name
    return "project %s of no user" % key


def _project_id(users: "Users", args: argparse.Namespace) -> str:
    from modelarts.local.identity.buckets import EVERYONE

    if getattr(args, "everyone", False):
        return EVERYONE
    if args.user is not None:
        if args.user not in users.by_name:
            known = ", ".join(users.by_name) or "none"
            raise InvalidArgument("user", args.user, "the name of a user; there are: " + known)
        return users.by_name[args.user].projects[0].project_id
    prefix = users.region_name + "_"
    name = args.project[len(prefix) :] if args.project.startswith(prefix) else args.project
    if name not in users.shared:
        known = ", ".join(users.shared) or "none"
        raise InvalidArgument(
            "project", args.project, "the name of a shared project; there are: " + known
        )
    return users.shared[name]


def _users(args: argparse.Namespace) -> "Users":
    from modelarts.local.identity.users_file import read, users_file
    from modelarts.local.server.launcher import root_folder

    return read(users_file(root_of(args)) if args.users is None else root_folder(args.users))
