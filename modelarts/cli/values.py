"""The types of the values of options."""

import argparse
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Iterator

from modelarts.errors import ConfigurationError

__all__ = ["Commands", "at_least_0", "hours", "local_service", "port", "positive", "text"]

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:  # cannot be subscripted before Python 3.9
    Commands = argparse._SubParsersAction


@contextmanager
def local_service() -> Iterator[None]:
    """Within it, what is missing for the local service is one clear error."""
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


def port(given: str) -> int:
    """A port, or 0."""
    return _number(given, 0, 65535)


def positive(given: str) -> int:
    """A number from 1."""
    return _number(given, 1, 100000)


def text(given: str) -> str:
    """Parse a text that is not empty."""
    if not given.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return given


def hours(text: str) -> int:
    """Return whole hours; which API allows how many is known later."""
    return _number(text, 0, 720)


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
