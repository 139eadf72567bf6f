"""The options that commands share: the service, the output, and their values."""

import argparse
import sys
from typing import TYPE_CHECKING, Any, Callable, NoReturn, Optional, TypeVar

from modelarts.cli.errors import WRONG_USAGE
from modelarts.cli.values import Commands
from modelarts.errors import InvalidArgument

if TYPE_CHECKING:
    from modelarts.session import Session

__all__ = [
    "Parser",
    "add_command",
    "add_commands",
    "add_common",
    "add_printing",
    "checked",
    "keep_service",
    "session_of",
]

_T = TypeVar("_T")
_Run = Callable[[argparse.Namespace], Optional[int]]


class _Formatter(argparse.HelpFormatter):
    """Keeps the lines of examples, and fills those of sentences."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and takes no option by the beginning of its name."""

    def __init__(self, **given: Any) -> None:
        # Scripts would break by the next option that begins like theirs.
        given.setdefault("allow_abbrev", False)
        given.setdefault("formatter_class", _Formatter)
        super().__init__(**given)

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        self.exit(2, "%s: %s\nSee '%s --help'.\n" % (self.prog, message, self.prog))


def add_common(parser: argparse.ArgumentParser, form: str = "--output") -> None:
    """Add the options that every command has which calls a service.

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
    """Add the options that say how answers and errors are printed."""
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


def session_of(given: argparse.Namespace, **settings: Any) -> "Session":
    """The session that the options say."""
    from modelarts.session import Session

    if given.local or given.root is not None:
        if given.config_file is not None or given.region_name is not None:
            given.refuse("--local and --root go with neither --config-file nor --region-name")
        return Session.local(given.root)
    return Session(config_file=given.config_file, region_name=given.region_name, **settings)


def keep_service(given: argparse.Namespace) -> None:
    """Have a local service outlive this command: there is a job now whose board is to be seen."""
    if given.local or given.root is not None:
        from modelarts.session import Session

        Session.local(given.root, stay=True).close()


def checked(check: Callable[[str], _T]) -> Callable[[str], _T]:
    """An option's type: what the library accepts, refused as wrong usage."""

    def convert(text: str) -> _T:
        try:
            return check(text)
        except InvalidArgument as error:
            raise argparse.ArgumentTypeError(
                "must be %s; got %s" % (error.allowed, error.given)
            ) from None

    return convert


def add_commands(parser: argparse.ArgumentParser) -> Commands:
    """Add a group of commands; without one of them the help is printed, as wrong usage."""

    def usage(given: argparse.Namespace) -> int:
        parser.print_help(sys.stderr)
        return WRONG_USAGE

    parser.set_defaults(run=usage)
    return parser.add_subparsers(metavar="COMMAND", title="commands")


def add_command(
    verbs: Commands, name: str, run: _Run, what: str, examples: str, given: str
) -> argparse.ArgumentParser:
    """Add a command of a group.

    Args:
        run: what it does; returns the exit code.
        what: the same in words.
        examples: for its help.
        given: what its usage shows before the options.
    """
    parser = verbs.add_parser(
        name,
        usage="%%(prog)s %s[OPTION …]" % (given + " " if given else ""),
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog="examples:\n" + examples,
    )
    parser.set_defaults(run=run)
    return parser
