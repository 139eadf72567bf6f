"""The options that commands share: the service, the output, and their values."""

import argparse
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, Iterator, NoReturn, Optional, TypeVar

from modelarts.cli.errors import WRONG_USAGE
from modelarts.errors import ConfigurationError, InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path

    from modelarts.session import Session

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:  # cannot be subscripted before Python 3.9
    Commands = argparse._SubParsersAction

_T = TypeVar("_T")
_Run = Callable[[argparse.Namespace], Optional[int]]


class _Formatter(argparse.HelpFormatter):
    """Help formatter that keeps the lines of examples and wraps sentences."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """Parser with errors of one line, which takes no abbreviated options."""

    def __init__(self, **settings: Any) -> None:
        # Scripts would break by the next option that begins like theirs.
        settings.setdefault("allow_abbrev", False)
        settings.setdefault("formatter_class", _Formatter)
        super().__init__(**settings)

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        self.exit(2, "%s: %s\nSee '%s --help'.\n" % (self.prog, message, self.prog))


def add_common(parser: argparse.ArgumentParser, form: str = "--output") -> None:
    """Add the options of every command that calls a service.

    Args:
        form: the long name of ``-o``.
    """
    group = parser.add_argument_group("which service")
    group.add_argument("--config-file", metavar="FILE", help="a config.json to go by")
    group.add_argument("--region-name", metavar="REGION", help="the region")
    group.add_argument(
        "--local", action="store_true", help="the service on this machine; starts it if need be"
    )
    group.add_argument("--root", metavar="DIR", help="that service's folder; implies --local")
    add_printing(parser, form)


def add_printing(parser: argparse.ArgumentParser, form: str = "--output") -> None:
    """Add the options for the format of results and errors."""
    group = parser.add_argument_group("what is printed")
    group.add_argument(
        "-o",
        form,
        dest="output",
        choices=("table", "json"),
        default="table",
        help="for people, the default, or for programs",
    )
    group.add_argument(
        "--debug", action="store_true", help="show the traceback of an error (or MODELARTS_DEBUG=1)"
    )
    parser.set_defaults(refuse=parser.error)


def session_of(args: argparse.Namespace, **settings: Any) -> "Session":
    """Return the session that the options describe."""
    from modelarts.session import Session

    if args.local or args.root is not None:
        if args.config_file is not None or args.region_name is not None:
            args.refuse("--local and --root go with neither --config-file nor --region-name")
        return Session.local(args.root)
    return Session(config_file=args.config_file, region_name=args.region_name, **settings)


def root_of(args: argparse.Namespace) -> "Path":
    """Return the folder of the service on this machine that ``--root`` names, or the default."""
    from modelarts.local.server.launcher import DEFAULT_ROOT, root_folder

    return root_folder(args.root or DEFAULT_ROOT)


def keep_service(args: argparse.Namespace) -> None:
    """Let a local service outlive this command, for the board of a job."""
    if args.local or args.root is not None:
        from modelarts.session import Session

        Session.local(args.root, stay=True).close()


def checked(check: Callable[[str], _T]) -> Callable[[str], _T]:
    """Return a type of options for which a value that the library refuses is wrong usage."""

    def convert(text: str) -> _T:
        try:
            return check(text)
        except InvalidArgument as error:
            raise argparse.ArgumentTypeError(
                "must be %s; got %s" % (error.allowed, error.given)
            ) from None

    return convert


def add_commands(parser: argparse.ArgumentParser) -> Commands:
    """Add a group of commands; the group alone prints its help, as wrong usage."""

    def usage(args: argparse.Namespace) -> int:
        parser.print_help(sys.stderr)
        return WRONG_USAGE

    parser.set_defaults(run=usage)
    return parser.add_subparsers(metavar="COMMAND", title="commands")


def add_command(
    verbs: Commands, name: str, run: _Run, what: str, examples: str, operands: str
) -> argparse.ArgumentParser:
    """Add a command of a group.

    Args:
        run: the function of the command, which returns the exit code.
        what: its description.
        examples: for its help.
        operands: the operands in its usage, before the options.
    """
    parser = verbs.add_parser(
        name,
        usage="%%(prog)s %s[OPTION …]" % (operands + " " if operands else ""),
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog="examples:\n" + examples,
    )
    parser.set_defaults(run=run)
    return parser


@contextmanager
def local_service() -> Iterator[None]:
    """Turn a failed import of the local service into one clear error."""
    try:
        yield
    except ImportError as error:
        if sys.version_info < (3, 9):
            raise ConfigurationError(
                "the local service needs Python 3.9 or newer; this is %d.%d" % sys.version_info[:2]
            ) from None
        if error.name in ("fcntl", "resource"):
            raise ConfigurationError(
                "the local service needs a POSIX system (Linux, macOS, or WSL on Windows)"
            ) from None
        raise ConfigurationError(
            "the local service needs more packages (%s): pip install 'modelarts[local]'" % error
        ) from None


def port(text: str) -> int:
    """Parse a port, or 0."""
    return _number(text, 0, 65535)


def positive(text: str) -> int:
    """Parse a number from 1 on."""
    return _number(text, 1, 100000)


def text(value: str) -> str:
    """Parse a text that is not empty."""
    if not value.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return value


def hours(text: str) -> int:
    """Parse whole hours; which API allows how many is known later."""
    return _number(text, 0, 720)


def at_least_0(text: str) -> float:
    """Parse a number from 0 on, with decimals or without."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("%r is not a number from 0" % text)
    return value


def _number(text: str, minimum: int, maximum: int) -> int:
    if not text.isdigit() or not minimum <= int(text) <= maximum:
        raise argparse.ArgumentTypeError(
            "%r is not a number from %d to %d" % (text, minimum, maximum)
        )
    return int(text)
