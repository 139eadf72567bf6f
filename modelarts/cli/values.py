"""What the options of the commands can be."""

import argparse
from typing import TYPE_CHECKING

__all__ = ["Commands", "port", "positive"]

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:  # cannot be subscripted before Python 3.9
    Commands = argparse._SubParsersAction


def port(text: str) -> int:
    """A port, or 0."""
    return _number(text, 0, 65535)


def positive(text: str) -> int:
    """A number from 1."""
    return _number(text, 1, 100000)


def _number(text: str, least: int, most: int) -> int:
    if not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError("%r is not a number from %d to %d" % (text, least, most))
    return int(text)
