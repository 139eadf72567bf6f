"""The command ``modelarts``."""

import argparse
import sys
from typing import List, Optional

from modelarts import __version__
from modelarts.cli import serve, users, whoami
from modelarts.errors import ModelArtsError

__all__ = ["main"]


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the command; answers the exit code: 0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="modelarts",
        description="TensorBoard over training logs: ModelArts visualization jobs.",
    )
    parser.add_argument("--version", action="version", version="modelarts " + __version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve.add_to(commands)
    users.add_to(commands)
    whoami.add_to(commands)
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given) or 0)
    except ModelArtsError as error:
        print("modelarts: %s" % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
