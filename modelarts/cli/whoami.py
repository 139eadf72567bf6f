"""``modelarts whoami``: who you are to ModelArts, and whether it works."""

import argparse
from typing import TYPE_CHECKING, Dict, List

from modelarts.cli.output import show, show_json
from modelarts.cli.values import Commands
from modelarts.errors import CredentialsNotFound, ModelArtsError

if TYPE_CHECKING:
    from modelarts.session import Session

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "whoami",
        help="say who you are to ModelArts, how that was found, and whether it works",
        description="Say which credentials, project, region and endpoints a Session() made here "
        "goes by, where each was found, and whether the services answer. Exits with 1 where "
        "ModelArts does not accept them.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--config-file", metavar="FILE", help="a config.json to go by")
    parser.add_argument("--region-name", metavar="REGION", help="the region")
    parser.add_argument(
        "--local", action="store_true", help="the session of the local service instead"
    )
    parser.add_argument("--root", metavar="DIR", help="that service's folder")
    parser.set_defaults(run=_whoami, refuse=parser.error)


def _whoami(given: argparse.Namespace) -> int:
    local = given.local or given.root is not None
    if local and (given.config_file is not None or given.region_name is not None):
        given.refuse("--local and --root go with neither --config-file nor --region-name")
    try:
        with _session_of(given, local) as session:
            explanation = session.explain()
    except ModelArtsError as error:
        if not given.json:
            raise
        show_json({"works": False, "error": str(error), "tried": _tried(error)})
        return 1
    if given.json:
        show_json(explanation.as_dict())
    else:
        show(str(explanation))
    return 0 if explanation.works else 1


def _session_of(given: argparse.Namespace, local: bool) -> "Session":
    from modelarts.session import Session

    if local:
        return Session.local(given.root)
    return Session(config_file=given.config_file, region_name=given.region_name)


def _tried(error: ModelArtsError) -> List[Dict[str, str]]:
    tried = error.tried if isinstance(error, CredentialsNotFound) else ()
    return [{"source": source, "reason": reason} for source, reason in tried]
