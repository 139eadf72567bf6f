"""``modelarts whoami``: who you are to ModelArts, and whether it works."""

import argparse
from typing import Dict, List

from modelarts.cli.errors import DONE, FAILED
from modelarts.cli.options import Commands, add_common, session_of
from modelarts.cli.output import show, show_json
from modelarts.errors import CredentialsNotFound, ModelArtsError


def add_to(commands: Commands) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "whoami",
        usage="%(prog)s [OPTION …]",
        help="say who you are to ModelArts, how that was found, and whether it works",
        description="Say which credentials, project, region and endpoints a Session() made here "
        "goes by, where each was found, and whether the services answer. Exits with 1 where "
        "ModelArts does not accept them.",
        epilog="""examples:
  modelarts whoami
  modelarts whoami --region-name eu-de
  modelarts whoami --output json | jq .works""",
    )
    add_common(parser)
    parser.add_argument(
        "--json",
        dest="output",
        action="store_const",
        const="json",
        help="the same as --output json",
    )
    parser.set_defaults(run=_whoami)


def _whoami(args: argparse.Namespace) -> int:
    as_json = args.output == "json"
    try:
        with session_of(args) as session:
            explanation = session.explain()
    except ModelArtsError as error:
        if not as_json:
            raise
        show_json({"works": False, "error": str(error), "tried": _tried(error)})
        return FAILED
    if as_json:
        show_json(explanation.as_dict())
    else:
        show(str(explanation))
    return DONE if explanation.works else FAILED


def _tried(error: ModelArtsError) -> List[Dict[str, str]]:
    tried = error.tried if isinstance(error, CredentialsNotFound) else ()
    return [{"source": source, "reason": reason} for source, reason in tried]
