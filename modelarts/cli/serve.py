"""``modelarts serve``: the service on this machine."""

import argparse
import logging
import math
import sys

from modelarts.cli.values import Commands, port, positive
from modelarts.errors import ConfigurationError

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "serve",
        help="run the service on this machine, in the foreground",
        description="Run the service on this machine until Ctrl-C or SIGTERM. "
        "How to connect is written to ROOT/service.json; '/bucket/path/' is ROOT/obs/bucket/path/.",
    )
    parser.add_argument(
        "--root", metavar="DIR", help="the service's folder (default: ~/.modelarts/local)"
    )
    parser.add_argument(
        "--host", type=_host, default="127.0.0.1", help="the address to listen on (%(default)s)"
    )
    parser.add_argument(
        "--port",
        type=port,
        default=0,
        help="the port; 0, the default, is the one of last time or any that is free",
    )
    parser.add_argument(
        "--max-running",
        type=positive,
        default=200,
        metavar="N",
        help="how many jobs may be active at once (%(default)s)",
    )
    parser.add_argument(
        "--sleep-after",
        type=_minutes,
        default=60.0,
        metavar="MINUTES",
        help="a board that nobody looked at for so long sleeps until the next visit; 0: none does "
        "(%(default)g)",
    )
    parser.add_argument(
        "--board-memory",
        type=_megabytes,
        default=2048,
        metavar="MB",
        help="the most memory that one board may use (%(default)s)",
    )
    parser.add_argument(
        "--test-clock",
        type=_seconds,
        nargs="?",
        const=0.0,
        metavar="AHEAD",
        help="for tests: PUT /local/clock moves the service's time; it begins AHEAD seconds ahead",
    )
    parser.add_argument(
        "--while-used",
        action="store_true",
        help="end with the last program that uses the service through Session.local()",
    )
    parser.set_defaults(run=_serve)


def _serve(given: argparse.Namespace) -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    try:
        from modelarts.local.discovery import DEFAULT_ROOT, root_folder
        from modelarts.local.server import serve
    except ImportError as error:
        if sys.version_info < (3, 9):
            raise ConfigurationError(
                "the local service needs Python 3.9 or newer; this is %d.%d" % sys.version_info[:2]
            ) from None
        raise ConfigurationError(
            "the local service needs more packages (%s): pip install 'modelarts[local]'" % error
        ) from None
    root = root_folder(given.root or DEFAULT_ROOT)
    serve(
        root,
        given.host,
        given.port,
        given.while_used,
        given.max_running,
        board_memory=given.board_memory * 1024 * 1024,
        sleep_after=given.sleep_after * 60,
        test_clock=given.test_clock,
    )


def _minutes(text: str) -> float:
    return _number(text, 0, 525600)


def _seconds(text: str) -> float:
    return _number(text, 0, 10 * 366 * 86400)


def _megabytes(text: str) -> int:
    return int(_number(text, 128, 1024 * 1024))


def _number(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise argparse.ArgumentTypeError("it must be from %g to %g; got %s" % (least, most, text))
    return value


def _host(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; 127.0.0.1 is this machine alone")
    return text
