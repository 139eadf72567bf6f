"""The output of the commands: results to stdout, all else to stderr."""

import os
import re
import sys
from typing import Any, Optional, Sequence, TextIO

from modelarts._internal.terminal import writable


def show_json(content: Any) -> None:
    """Print a value as JSON."""
    write_json(content, sys.stdout)


def write_json(content: Any, stream: Optional[TextIO], indent: Optional[int] = 2) -> None:
    """Write JSON in ASCII, which every terminal can show."""
    import json

    print(json.dumps(content, indent=indent), file=stream)


def show(text: str) -> None:
    """Print a result."""
    _write(text, sys.stdout)


def show_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns, the first of which is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        show("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def say(text: str, end: str = "\n") -> None:
    """Print a question, an error or other text to stderr."""
    # Names of files and messages of services may hold control characters.
    text = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)
    _write(text, sys.stderr, end)


def on_one_line(name: str) -> str:
    """Return a name with "?" for each control character."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", "?", name)


def flush() -> None:
    """Flush stdout, so that an error is noticed before the program ends."""
    if sys.stdout is not None:
        sys.stdout.flush()


def discard(stream: Optional[TextIO]) -> None:
    """Discard unprinted text; otherwise Python tries again at its end, and prints an error."""
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
