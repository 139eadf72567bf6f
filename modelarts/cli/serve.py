"""``modelarts serve``: the service on this machine."""

import argparse
import logging
import sys

from modelarts.cli.obs_source import obs_source
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
        default=100,
        metavar="N",
        help="how many jobs may be active at once (%(default)s)",
    )
    parser.add_argument(
        "--while-used",
        action="store_true",
        help="end with the last program that uses the service through Session.local()",
    )
    parser.add_argument(
        "--obs-endpoint",
        metavar="URL",
        help="read the jobs' files from OBS at this address, with the keys that a Session() made "
        "here would have",
    )
    parser.add_argument(
        "--obs-cache",
        type=positive,
        default=10,
        metavar="GIB",
        help="how much of it may be kept under ROOT/cache, in GiB (%(default)s)",
    )
    parser.add_argument(
        "--mindinsight",
        metavar="COMMAND",
        help="the path of the command mindinsight, where it is installed for another Python "
        "(default: that of this Python, or the one on PATH)",
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
    source = None if given.obs_endpoint is None else obs_source(given.obs_endpoint)
    serve(
        root,
        given.host,
        given.port,
        given.while_used,
        given.max_running,
        source,
        given.obs_cache * 1024**3,
        given.mindinsight,
    )


def _host(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; 127.0.0.1 is this machine alone")
    return text
