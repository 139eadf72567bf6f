"""``modelarts buckets``: the owners of the buckets of a service on this machine."""

import argparse
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from modelarts.cli.options import add_command, add_commands, add_printing
from modelarts.cli.output import show, show_json
from modelarts.cli.values import Commands, local_service, text
from modelarts.errors import InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path

    from modelarts.local.identity.buckets import Buckets
    from modelarts.local.identity.users import Users

__all__ = ["add_to"]


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
        _give,
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
        _unshare,
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


def _bucket(given: str) -> str:
    import re

    name = given[len("obs://") :] if given.startswith("obs://") else given
    if not re.match(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}\Z", name.strip("/")):
        raise argparse.ArgumentTypeError("%r is not the name of a bucket" % given)
    return name.strip("/")


def _list(given: argparse.Namespace) -> None:
    with local_service():
        from modelarts.local.identity.buckets import BucketsFile

        users, root = _users(given), _root(given)
        buckets = BucketsFile(root).current()
    facts = [_facts(users, buckets, name) for name in _names(root, buckets)]
    if given.output == "json":
        show_json(facts)
        return
    rows = [("BUCKET", "OWNER", "SHARED WITH")]
    for bucket in facts:
        shares = ("%s (%s)" % (share["with"], share["access"]) for share in bucket["shared"])
        rows.append((bucket["name"], bucket["owner"] or "none", ", ".join(shares)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        show("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def _give(given: argparse.Namespace) -> None:
    with local_service():
        from modelarts.local.identity.buckets import BucketsFile

        users = _users(given)
        project_id = _project_id(users, given)
        file = BucketsFile(_root(given))
        buckets = file.edit(lambda buckets: buckets.given(given.bucket, project_id))
    _show(users, buckets, given)


def _share(given: argparse.Namespace) -> None:
    with local_service():
        from modelarts.local.identity.buckets import Access, BucketsFile

        users = _users(given)
        project_id = _project_id(users, given)
        access = Access.WRITE if given.write else Access.READ
        file = BucketsFile(_root(given))
        buckets = file.edit(lambda buckets: buckets.shared(given.bucket, project_id, access))
    _show(users, buckets, given)


def _unshare(given: argparse.Namespace) -> None:
    with local_service():
        from modelarts.local.identity.buckets import Access, BucketsFile

        users = _users(given)
        project_id = _project_id(users, given)
        file = BucketsFile(_root(given))
        buckets = file.edit(lambda buckets: buckets.shared(given.bucket, project_id, Access.NONE))
    _show(users, buckets, given)


def _show(users: "Users", buckets: "Buckets", given: argparse.Namespace) -> None:
    facts = _facts(users, buckets, given.bucket)
    if given.output == "json":
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


def _project_id(users: "Users", given: argparse.Namespace) -> str:
    from modelarts.local.identity.buckets import EVERYONE

    if getattr(given, "everyone", False):
        return EVERYONE
    if given.user is not None:
        if given.user not in users.by_name:
            known = ", ".join(users.by_name) or "none"
            raise InvalidArgument("user", given.user, "the name of a user; there are: " + known)
        return users.by_name[given.user].projects[0].project_id
    prefix = users.region_name + "_"
    name = given.project[len(prefix) :] if given.project.startswith(prefix) else given.project
    if name not in users.shared:
        known = ", ".join(users.shared) or "none"
        raise InvalidArgument(
            "project", given.project, "the name of a shared project; there are: " + known
        )
    return users.shared[name]


def _root(given: argparse.Namespace) -> "Path":
    from modelarts.local.server.launcher import DEFAULT_ROOT, root_folder

    return root_folder(given.root or DEFAULT_ROOT)


def _users(given: argparse.Namespace) -> "Users":
    from modelarts.local.identity.users_file import read, users_file
    from modelarts.local.server.launcher import root_folder

    return read(users_file(_root(given)) if given.users is None else root_folder(given.users))
