"""The command ``modelarts``."""

import argparse
import logging
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from modelarts import __version__
from modelarts.errors import CredentialsNotFound, ModelArtsError

if TYPE_CHECKING:
    from modelarts.session import Session

__all__ = ["main"]


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the command; answers the exit code: 0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="modelarts",
        description="TensorBoard over training logs: ModelArts visualization jobs.",
    )
    parser.add_argument("--version", action="version", version="modelarts " + __version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_whoami(commands)
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given) or 0)
    except ModelArtsError as error:
        print("modelarts: %s" % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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
        type=_port,
        default=0,
        help="the port; 0, the default, is the one of last time or any that is free",
    )
    parser.add_argument(
        "--max-running",
        type=_positive,
        default=100,
        metavar="N",
        help="how many jobs may be active at once (%(default)s)",
    )
    parser.add_argument(
        "--while-used",
        action="store_true",
        help="end with the last program that uses the service through Session.local()",
    )
    parser.set_defaults(run=_serve)


def _serve(given: argparse.Namespace) -> None:
    from modelarts.errors import ConfigurationError

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
    serve(root, given.host, given.port, given.while_used, given.max_running)


def _add_whoami(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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
        _show_json({"works": False, "error": str(error), "tried": _tried(error)})
        return 1
    if given.json:
        _show_json(explanation.as_dict())
    else:
        _show(str(explanation))
    return 0 if explanation.works else 1


def _session_of(given: argparse.Namespace, local: bool) -> "Session":
    from modelarts.session import Session

    if local:
        return Session.local(given.root)
    return Session(config_file=given.config_file, region_name=given.region_name)


def _tried(error: ModelArtsError) -> List[Dict[str, str]]:
    tried = error.tried if isinstance(error, CredentialsNotFound) else ()
    return [{"source": source, "reason": reason} for source, reason in tried]


def _show_json(content: Dict[str, Any]) -> None:
    import json

    print(json.dumps(content, indent=2))


def _show(text: str) -> None:
    """Print, also where the terminal or the pipe takes fewer characters than we have."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("…", "...").encode(encoding, "backslashreplace").decode(encoding)
    print(text)


def _host(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; 127.0.0.1 is this machine alone")
    return text


def _port(text: str) -> int:
    return _number(text, 0, 65535)


def _positive(text: str) -> int:
    return _number(text, 1, 100000)


def _number(text: str, least: int, most: int) -> int:
    if not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError("%r is not a number from %d to %d" % (text, least, most))
    return int(text)
