"""``modelarts serve``: the service on this machine."""

import argparse
import logging
import math
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Optional, Tuple
from urllib.parse import unquote

from modelarts.cli.obs_source import obs_source, sent_source
from modelarts.cli.options import Commands, local_service, port, positive, text
from modelarts.cli.output import flush, say, show
from modelarts.visualization.display.board_url import board_address

if TYPE_CHECKING:
    from modelarts.local.logs.remote import Source
    from modelarts.local.logs.sent_keys import SentKeys
    from modelarts.local.server.network import Network

_ALLOW_HOST = "MODELARTS_ALLOW_HOST"
_LOAD_LATE = "MODELARTS_LOAD_LATE"
#: The settings that are options of the same name and value.
_AS_GIVEN = (
    *("while_used", "database", "ray_address", "max_running", "rate", "board_memory"),
    *("sleep_after", "stop_after", "max_share_hours", "max_shares", "max_trainings"),
    *("training_memory", "unconfined_boards", "test_clock", "obs_api"),
)


def add_to(commands: Commands) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "serve",
        help="run the service on this machine, in the foreground",
        description="Run the service on this machine until Ctrl-C or SIGTERM. "
        "How to connect is written to ROOT/service.json; '/bucket/path/' is ROOT/obs/bucket/path/.",
        epilog="""examples:
  modelarts serve                          then: modelarts jobs list --local
  modelarts serve --root ./boards --port 8090
  modelarts serve --root ./boards --obs-endpoint https://obs.cn-north-4.myhuaweicloud.com
  modelarts serve --stop""",
    )
    parser.add_argument(
        "--root", metavar="DIR", help="the service's folder (default: ~/.modelarts/local)"
    )
    do = parser.add_mutually_exclusive_group()
    do.add_argument(
        "--status",
        action="store_true",
        help="say whether it is running, and its jobs; exits with 0 if it is, 3 if it is not, "
        "1 if it does not answer",
    )
    do.add_argument("--stop", action="store_true", help="end it, and return when it has ended")
    parser.add_argument(
        "--users",
        metavar="FILE",
        help="the users file, made with 'modelarts users' (default: ROOT/users.json)",
    )
    parser.add_argument(
        "--database",
        type=_database,
        metavar="URL",
        help="keep the jobs in this PostgreSQL database, postgresql://[USER@]HOST/DATABASE, which "
        "several front ends can share; the password is taken from PGPASSWORD or ~/.pgpass "
        "(default: ROOT/jobs.sqlite)",
    )
    parser.add_argument(
        "--mount",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="let boards read the folder DIR of this machine in place, as /NAME/; may be repeated",
    )
    parser.add_argument(
        "--mindinsight",
        metavar="COMMAND",
        help="the path of the command mindinsight (default: that of the Python environment "
        "~/.modelarts/mindinsight, or the one on PATH)",
    )
    parser.add_argument(
        "--while-used",
        action="store_true",
        help="end with the last program that uses the service through Session.local()",
    )
    parser.add_argument(
        "--ray-address",
        type=text,
        metavar="HOST:PORT",
        help="run boards and trainings on the Ray cluster whose head is there; this machine must "
        "be a node of it; see docs/cluster.md",
    )
    parser.add_argument(
        "--shared",
        type=text,
        metavar="DIR",
        help="the folder that several front ends (--database) and the nodes of a Ray cluster "
        "(--ray-address) have at the same path: DIR/obs, logs and trainings are in it and not in "
        "ROOT",
    )
    _add_trainings(parser.add_argument_group("trainings"))
    _add_network(parser.add_argument_group("network"))
    _add_limits(parser.add_argument_group("limits"))
    _add_obs(parser.add_argument_group("OBS"))
    _add_tests(parser.add_argument_group("tests"))
    parser.add_argument(
        "--print-link",
        action="store_true",
        help="print a link that signs in a browser to the console, once, within ten minutes; it is "
        "printed anyway where standard output is a terminal",
    )
    parser.set_defaults(run=_serve, refuse=parser.error)


def _add_network(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--host",
        type=text,
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the address to listen on (%(default)s)",
    )
    group.add_argument(
        "--port",
        type=port,
        default=0,
        help="the port; 0, the default, is the one of last time or any that is free",
    )
    group.add_argument("--tls-cert", metavar="FILE", help="the certificate and its chain, in PEM")
    group.add_argument("--tls-key", metavar="FILE", help="the certificate's key, in PEM")
    group.add_argument(
        "--insecure-http",
        action="store_true",
        help="speak plain HTTP although --host is not this machine alone",
    )
    group.add_argument(
        "--public-url",
        metavar="URL",
        help="https://HOST under which a proxy offers the service; boards' addresses begin so",
    )
    group.add_argument(
        "--board-host",
        metavar="*.NAME",
        help="give each board a host of its own below NAME, so that none can read another; NAME "
        "needs a wildcard in DNS and in the certificate",
    )
    group.add_argument(
        "--allow-host",
        type=text,
        action="append",
        default=[],
        metavar="NAME",
        help="one more name under which requests may ask for the service; may be repeated. "
        "%s has more, with commas between them. '*' allows all" % _ALLOW_HOST,
    )


def _add_trainings(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--engine",
        action="append",
        default=[],
        metavar="NAME=PYTHON",
        help="let trainings ask for the engine NAME (or NAME:VERSION), which is the interpreter "
        "PYTHON; may be repeated",
    )
    group.add_argument(
        "--flavor",
        action="append",
        default=[],
        metavar="NAME",
        help="let trainings ask for this machine as the flavor NAME (NAME=gpu: with one GPU); may "
        "be repeated",
    )
    group.add_argument(
        "--dataset",
        action="append",
        default=[],
        metavar="ID/VERSION=FOLDER",
        help="let trainings read a folder such as /bucket/data/ as this version of the dataset ID; "
        "may be repeated",
    )


def _add_limits(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--max-running",
        type=positive,
        default=200,
        metavar="N",
        help="how many jobs of a project may be active at once (%(default)s)",
    )
    group.add_argument(
        "--rate",
        type=positive,
        default=500,
        metavar="N",
        help="how many calls a user may make a second, on average (%(default)s)",
    )
    group.add_argument(
        "--sleep-after",
        type=_minutes,
        default="60",
        metavar="MINUTES",
        help="a board that nobody looked at for so long sleeps until the next visit; 0: none does "
        "(%(default)s)",
    )
    group.add_argument(
        "--stop-after",
        type=_hours,
        default=0.0,
        metavar="HOURS",
        help="a job whose board had no visit for so long is stopped, and the next visitor may "
        "start it again; 0, the default: none is",
    )
    group.add_argument(
        "--board-memory",
        type=_megabytes,
        default="2048",
        metavar="MB",
        help="the most memory that one board may use, on Linux (%(default)s)",
    )
    group.add_argument(
        "--max-share-hours",
        type=_share_hours,
        default=720,
        metavar="HOURS",
        help="how long a link to a board (modelarts jobs share) may work; 0: there are none "
        "(%(default)s)",
    )
    group.add_argument(
        "--max-shares",
        type=positive,
        default=100,
        metavar="N",
        help="how many such links of a project may work at once (%(default)s)",
    )
    group.add_argument(
        "--max-trainings",
        type=positive,
        metavar="N",
        help="how many trainings run at once; others wait (default: the number of processors)",
    )
    group.add_argument(
        "--training-memory",
        type=_megabytes,
        metavar="MB",
        help="the most memory that one training may use (default: nine tenths of the machine's)",
    )
    group.add_argument(
        "--unconfined-boards",
        action="store_true",
        help="confine boards to the logs of their jobs by their own code only, not by the kernel "
        "(needed for several users where the system has no Landlock; see docs/security.md)",
    )


def _add_obs(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--obs-api",
        type=port,
        nargs="?",
        const=0,
        metavar="PORT",
        help="offer ROOT/obs to OBS clients too, at this port (by default the one of last time or "
        "any that is free)",
    )
    group.add_argument(
        "--obs-endpoint",
        metavar="URL",
        help="read the jobs' files from OBS at this address, with the keys that a Session() made "
        "here would have",
    )
    group.add_argument(
        "--obs-keys-sent",
        action="store_true",
        help="read it with the keys that programs send by Session.local(obs=…); they are kept in "
        "memory only",
    )
    group.add_argument(
        "--obs-cache",
        type=positive,
        default=10,
        metavar="GIB",
        help="how much of it may be kept under ROOT/cache, in GiB (%(default)s)",
    )


def _add_tests(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--test-clock",
        type=_seconds,
        nargs="?",
        const=0.0,
        metavar="AHEAD",
        help="PUT /local/clock moves the service's time; it begins AHEAD seconds ahead",
    )
    group.add_argument(
        "--load-late",
        action="store_true",
        help="load TensorBoard with the first board, which takes a second longer then, and not at "
        "the start; %s=1 does so too" % _LOAD_LATE,
    )


def _serve(args: argparse.Namespace) -> int:
    if (args.tls_cert is None) != (args.tls_key is None):
        args.refuse("--tls-cert and --tls-key go together")
    if args.obs_keys_sent and args.obs_endpoint is None:
        args.refuse("--obs-keys-sent needs --obs-endpoint")
    with local_service():
        from modelarts.local.server.launcher import DEFAULT_ROOT, root_folder

        root = root_folder(args.root or DEFAULT_ROOT)
        if args.status:
            from modelarts.local.server.control import status

            code, report = status(root, args.database)
            show(report)
            return code
        if args.stop:
            from modelarts._internal.clock import Clock
            from modelarts.local.server.control import stop

            show(stop(root, Clock()))
            return 0
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        load_late = args.load_late or _is_set(args, _LOAD_LATE)
        if not load_late and args.ray_address is None:
            _load_boards()
        from modelarts.local.server.main import serve
        from modelarts.local.server.settings import Settings

        source, obs_keys = _source(args)
        is_terminal = sys.stdout is not None and sys.stdout.isatty()
        settings = Settings(
            network=_network(args),
            users=None if args.users is None else root_folder(args.users),
            engines=[_absolute(engine) for engine in args.engine],
            flavors=args.flavor,
            datasets=args.dataset,
            shared=None if args.shared is None else root_folder(args.shared),
            source=source,
            obs_keys=obs_keys,
            max_cached=args.obs_cache * 1024**3,
            mounts=[_absolute(mount) for mount in args.mount],
            mindinsight=args.mindinsight and os.path.abspath(args.mindinsight),
            load_late=load_late,
            show_link=_show_link if args.print_link or is_terminal else None,
            **{name: getattr(args, name) for name in _AS_GIVEN},
        )
        serve(root, settings)
    return 0


def _is_set(args: argparse.Namespace, name: str) -> bool:
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        args.refuse("%s must be 1 or 0, not %r" % (name, value))
    return value == "1"


def _load_boards() -> None:
    """Load what boards share while this process imports the service."""
    from modelarts.local.boards.parent import load

    # Until the service has handlers of its own; its temporary folder is removed at the exit.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with suppress(OSError):  # the service says what is wrong
        load()


def _show_link(address: str, signs_in: bool) -> None:
    """Print the address of the console; not to the log, which is kept."""
    show("console: " + board_address(address))
    if signs_in:
        say("the link works once, within ten minutes; 'modelarts open' makes another")
    flush()


def _source(args: argparse.Namespace) -> "Tuple[Optional[Source], Optional[SentKeys]]":
    if args.obs_endpoint is None:
        return None, None
    return (
        sent_source(args.obs_endpoint)
        if args.obs_keys_sent
        else (
            obs_source(args.obs_endpoint),
            None,
        )
    )


def _absolute(mount: str) -> str:
    name, equals, folder = mount.partition("=")
    return name + equals + (os.path.abspath(os.path.expanduser(folder)) if folder else "")


def _database(text: str) -> str:
    """Return an address of PostgreSQL, which every user of this machine can read: no password."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("postgresql", "postgres"):
        # Without what was given: it may hold a password in another form.
        raise argparse.ArgumentTypeError("it must be postgresql://[USER@]HOST[:PORT]/DATABASE")
    address, _, query = rest.partition("?")
    names = [unquote(pair.partition("=")[0]).lower() for pair in query.split("&")]
    if ":" in address.rpartition("@")[0] or {"password", "sslpassword"} & set(names):
        raise argparse.ArgumentTypeError(
            "a password in an argument can be read by every user of this machine: put it into "
            "PGPASSWORD or ~/.pgpass"
        )
    return text


def _minutes(text: str) -> float:
    return _number(text, 0, 525600) * 60


def _hours(text: str) -> float:
    return _number(text, 0, 87600) * 3600


def _share_hours(text: str) -> int:
    return int(_number(text, 0, 87600))


def _seconds(text: str) -> float:
    return _number(text, 0, 10 * 366 * 86400)


def _megabytes(text: str) -> int:
    return int(_number(text, 128, 1024 * 1024)) * 1024**2


def _number(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise argparse.ArgumentTypeError("it must be from %g to %g; got %s" % (least, most, text))
    return value


def _network(args: argparse.Namespace) -> "Network":
    from modelarts.local.server.network import Network
    from modelarts.local.web.hosts import board_host, public_url

    certificate: Optional[Tuple[str, str]] = None
    if args.tls_cert is not None:
        certificate = (os.path.abspath(args.tls_cert), os.path.abspath(args.tls_key))
    public = None if args.public_url is None else public_url(args.public_url)
    listed = (name.strip() for name in os.environ.get(_ALLOW_HOST, "").split(","))
    return Network(
        host=args.host,
        port=args.port,
        certificate=certificate,
        insecure=args.insecure_http,
        public=public,
        further=(*args.allow_host, *(name for name in listed if name)),
        behind_hub="JUPYTERHUB_SERVICE_PREFIX" in os.environ,
        board_host=None if args.board_host is None else board_host(args.board_host),
    )
