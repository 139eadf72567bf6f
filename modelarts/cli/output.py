"""The output of the commands: results to stdout, all else to stderr."""

import os
import re
import sys
from typing import Any, Optional, TextIO

from modelarts._internal.terminal import writable

__all__ = ["discard", "flush", "on_one_line", "say", "show", "show_json", "write_json"]


def show_json(content: Any) -> None:
    """Print a value as JSON."""
    write_json(content, sys.stdout)


def write_json(content: Any, stream: Optional[TextIO], indent: Optional[int] = 2) -> None:
    """Write JSON, in ASCII, whatever the terminal takes."""
    import json

    print(json.dumps(content, indent=indent), file=stream)


def show(text: str) -> None:
    """Print an answer."""
    _write(text, sys.stdout)


def say(text: str, end: str = "\n") -> None:
    """Tell what is no answer: a question, a failure."""
    # Parts of it may be from elsewhere.
    text = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)
    _write(text, sys.stderr, end)


def on_one_line(name: str) -> str:
    """A name of somebody's, without what a terminal would obey."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", "?", name)


def flush() -> None:
    """Have what was printed arrive, or fail, before the program ends."""
    if sys.stdout is not None:
        sys.stdout.flush()


def discard(stream: Optional[TextIO]) -> None:
    """Let what cannot be printed go: at its end Python would try once more, and complain."""
    if stream is None:
        return
    descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(descriptor, stream.fileno())
    except OSError:  # it is no file
        pass
    finally:
        os.close(descriptor)


def _write(text: str, stream: Optional[TextIO], end: str = "\n") -> None:
    if stream is not None:  # as it is where it was closed
        print(writable(text, stream), file=stream, end=end, flush=not end.endswith("\n"))
