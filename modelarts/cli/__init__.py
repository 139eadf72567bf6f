"""The command ``modelarts``."""

import argparse
import os
from typing import List, Optional

from modelarts import __version__
from modelarts.cli import buckets, completion, console, jobs, obs, serve, train, users, whoami
from modelarts.cli.errors import guarded
from modelarts.cli.options import Parser, add_commands

__all__ = ["build", "main"]


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the command; returns the exit code, see :mod:`modelarts.cli.errors`."""
    return guarded(lambda: _run(arguments))


def _run(arguments: Optional[List[str]]) -> int:
    parser = build()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks how the line may go on
        completion.answer(parser)
    args, unknown = parser.parse_known_args(arguments)
    if unknown:  # said by the command, whose help is the one to read
        getattr(args, "refuse", parser.error)("unrecognized arguments: " + " ".join(unknown))
    as_json = getattr(args, "output", None) == "json"
    return guarded(lambda: args.run(args), as_json, getattr(args, "debug", False))


def build() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser: argparse.ArgumentParser = Parser(
        prog="modelarts",
        description="ModelArts from a terminal: trainings, and TensorBoard over their logs.",
        epilog="""examples:
  modelarts whoami                         is anything set up?
  modelarts jobs create /bucket/logs/ --open --auto-stop 2
  modelarts train src/ --boot train.py --set lr=0.1 --output runs=runs/ --follow --board
  modelarts jobs list --running
  modelarts jobs stop --all

'modelarts COMMAND --help' says more of each.""",
    )
    parser.add_argument("--version", action="version", version="modelarts " + __version__)
    commands = add_commands(parser)
    jobs.add_to(commands)
    train.add_to(commands)
    obs.add_to(commands)
    serve.add_to(commands)
    console.add_to(commands)
    users.add_to(commands)
    buckets.add_to(commands)
    whoami.add_to(commands)
    completion.add_to(commands)
    return parser
