"""Confirmation of actions that cannot easily be undone."""

import sys
from typing import Sequence

from modelarts.cli.errors import FAILED, WRONG_USAGE, Refused
from modelarts.cli.output import say

_SHOWN = 20


def ask(verb: str, what: str, names: Sequence[str] = ()) -> None:
    """Ask for confirmation.

    Args:
        names: the lines above the question.

    Raises:
        Refused: the answer is not yes, or there is no terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise Refused(
            "nothing was done: there is no terminal to ask at whether to %s %s; --yes does it "
            "without a question" % (verb, what),
            WRONG_USAGE,
            "NotConfirmed",
        )
    for name in names[:_SHOWN]:
        say("  " + name)
    if len(names) > _SHOWN:
        say("  and %d more" % (len(names) - _SHOWN))
    # Not by input(), which writes the question to stdout.
    say("%s %s? [y/N] " % (verb.capitalize(), what), end="")
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        say("")
        raise
    if not answer:
        say("")
    if answer.strip().lower() not in ("y", "yes"):
        raise Refused("nothing was done", FAILED, "NotConfirmed")
