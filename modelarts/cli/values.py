"""What the options of the commands can be."""

import argparse
from typing import TYPE_CHECKING

__all__ = ["Commands", "at_least_0", "hours", "port", "positive"]

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


def hours(text: str) -> int:
    """Whole hours of a day."""
    return _number(text, 0, 24)


def at_least_0(text: str) -> float:
    """A number from 0, with decimals or without."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("%r is not a number from 0" % text)
    return value


def _number(text: str, least: int, most: int) -> int:
    if not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError("%r is not a number from %d to %d" % (text, least, most))
    return int(text)
