"""``modelarts open``: the console of the service on this machine."""

import argparse
import os
from html import escape
from pathlib import Path
from typing import Any, Dict, Tuple

from modelarts.cli.options import Commands, local_service, root_of
from modelarts.cli.output import say, show, show_json
from modelarts.visualization.display.board_url import board_address
from modelarts.visualization.display.notebook import browse

#: In the service's folder; leads the browser to the link, which no list of processes shows then.
_PAGE = "open-console.html"


def add_to(commands: Commands) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "open",
        usage="%(prog)s [OPTION …]",
        help="open the console of the service on this machine in the browser",
        description="Open the console of the service on this machine in the browser, signed in as "
        "the user local. The service is started if none runs. Where there is no browser, the link "
        "is printed: it works once, within ten minutes.",
        epilog="""examples:
  modelarts open
  modelarts open --root ./boards --print""",
    )
    parser.add_argument(
        "--root", metavar="DIR", help="the service's folder (default: ~/.modelarts/local)"
    )
    parser.add_argument(
        "--print", action="store_true", dest="only_print", help="print the link, and open nothing"
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "json"),
        default="table",
        help="for people, the default, or for programs; json opens nothing",
    )
    parser.set_defaults(run=_open, refuse=parser.error)


def _open(args: argparse.Namespace) -> None:
    """Open the console, or print its address."""
    address, signs_in = _link(args)
    address = board_address(address)
    if args.output == "json":
        show_json({"url": address, "signs_in": signs_in})
        return
    if not args.only_print and browse(_page(root_of(args), address)):
        say("the console was opened in the browser")
        return
    show(address)
    if signs_in:
        say("the link works once, within ten minutes")
    else:
        say("sign in with a name and a password; the service has no user named local")


def _link(args: argparse.Namespace) -> Tuple[str, bool]:
    """Return the address of the console, and whether it signs in the user ``local``."""
    from modelarts.session import Session

    with local_service():
        from modelarts.local.server.launcher import running

        root = root_of(args)
        service = running(root)
    if service is not None and "secret_key" not in service:
        return str(service["modelarts_endpoint"]) + "/console/", False
    with Session.local(root, stay=service is None) as session:
        answer: Dict[str, Any] = session.request("POST", "/local/console-links")
    return str(answer["url"]), True


def _page(root: Path, address: str) -> str:
    """Return the address of a page that leads to the console, which only this user can read."""
    if not address.startswith("http"):
        return address
    path = root / _PAGE
    descriptor = os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(
            '<!doctype html><meta charset="utf-8"><title>ModelArts</title>'
            '<meta name="referrer" content="no-referrer">'
            '<meta http-equiv="refresh" content="0; url=%s">' % escape(address)
        )
    return path.as_uri()
