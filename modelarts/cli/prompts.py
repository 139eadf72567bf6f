"""Questions before what is not easily undone."""

import sys
from typing import Sequence

from modelarts.cli.errors import FAILED, WRONG_USAGE, Refused
from modelarts.cli.output import say

__all__ = ["ask"]

_SHOWN = 20


def ask(verb: str, what: str, names: Sequence[str] = ()) -> None:
    """Go on if the answer is yes.

    Args:
        names: what is shown above the question.

    Raises:
        Refused: it is not, or there is nobody to ask.
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
    # Not by input(): it asks on stdout, which belongs to the answer.
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
