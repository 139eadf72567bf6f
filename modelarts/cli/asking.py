"""Questions before what is not easily undone."""

import sys
from typing import TYPE_CHECKING, Sequence

from modelarts.cli.failures import FAILED, WRONG_USAGE, Refused
from modelarts.cli.output import say
from modelarts.jobs.display import last_known, title

if TYPE_CHECKING:
    from modelarts.estimator import VisualizationJob

__all__ = ["ask"]

_SHOWN = 20


def ask(verb: str, jobs: "Sequence[VisualizationJob]") -> None:
    """Go on if the answer is yes.

    Raises:
        Refused: it is not, or there is nobody to ask.
    """
    what = title(last_known(jobs[0])) if len(jobs) == 1 else "these %d jobs" % len(jobs)
    if sys.stdin is None or not sys.stdin.isatty():
        raise Refused(
            "nothing was done: there is no terminal to ask at whether to %s %s; --yes does it "
            "without a question" % (verb, what.replace("these ", "")),
            WRONG_USAGE,
            "NotConfirmed",
        )
    if len(jobs) > 1:
        for job in jobs[:_SHOWN]:
            say("  " + title(last_known(job)))
        if len(jobs) > _SHOWN:
            say("  and %d more" % (len(jobs) - _SHOWN))
    # Not by input(): it asks on stdout, which belongs to the answer.
    say("%s %s? [y/N] " % (verb.capitalize(), what), end="")
    answer = sys.stdin.readline()
    if not answer:
        say("")
    if answer.strip().lower() not in ("y", "yes"):
        raise Refused("nothing was done", FAILED, "NotConfirmed")
