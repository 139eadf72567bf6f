"""Waits until a job has a status, cannot reach it any more, or the time is over."""

from math import ceil
from typing import TYPE_CHECKING, FrozenSet, Iterable, Optional, Union

from modelarts._internal.clock import Clock
from modelarts._internal.wording import worded
from modelarts._status import STOPPED, JobStatus
from modelarts.errors import InvalidArgument, JobFailed, WaitTimeout
from modelarts.visualization.display.notebook import Line
from modelarts.visualization.display.text import Shown, last_known, span, title

if TYPE_CHECKING:
    from typing_extensions import Protocol
else:
    Protocol = object

Until = Union[int, Iterable[int]]

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
#: Seconds in which a restarted job may still be shown as stopped: a restart is asynchronous.
_SETTLING = 60.0


class Waitable(Shown, Protocol):
    """A job that can be waited for."""

    @property
    def status(self) -> Optional[JobStatus]:
        """The status when it was last fetched."""

    def refresh(self) -> object:
        """Fetch the details of the job."""

    def why_it_ended(self) -> str:
        """Return the reason of the status as the end of a sentence; empty if it is unknown."""


def wait_for(
    job: Waitable,
    until: Until,
    timeout: float,
    clock: Clock,
    restarted: bool,
    line: Optional[Line] = None,
    stopped: FrozenSet[JobStatus] = STOPPED,
) -> None:
    """Refresh ``job`` until its status is (one of) ``until``.

    Args:
        timeout: seconds.
        restarted: True after the request of a restart, so that a stopped status is not final
            yet.
        line: the line that shows the progress.
        stopped: statuses with the same meaning: a wait for one of them ends with any.

    Raises:
        JobFailed: the job has another final status.
        WaitTimeout: the time was over.
    """
    wanted = _wanted(until, stopped)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout >= 0:
        raise InvalidArgument("timeout", timeout, "a number of seconds")
    news = _News(job, clock, line)
    with news:
        pause = _FIRST_PAUSE
        while True:
            job.refresh()
            status = news.status = job.status or JobStatus.UNKNOWN
            waited = news.waited()
            if status in wanted:
                return
            settling = restarted and status.is_final and waited < _SETTLING
            if status.is_final and not settling:
                raise JobFailed(
                    worded(
                        "job %s is %s (%d) and will not become %s%s",
                        job.job_id,
                        status.name,
                        status,
                        _names(wanted),
                        job.why_it_ended(),
                    ),
                    job,
                )
            if waited >= timeout:
                raise WaitTimeout(
                    "job %s is still %s (%d) after %g second%s, not %s"
                    % (
                        job.job_id,
                        status.name,
                        status,
                        timeout,
                        "" if timeout == 1 else "s",
                        _names(wanted),
                    ),
                    job,
                )
            news.sleep(min(pause, max(timeout - waited, 0.0)))
            pause = min(pause * 2, _LONGEST_PAUSE)


class _News:
    """Shows the progress of a wait on a line; without a terminal or notebook it only sleeps."""

    def __init__(self, job: Waitable, clock: Clock, line: Optional[Line]) -> None:
        self.status: Optional[JobStatus] = None
        self._job = job
        self._clock = clock
        self._line = line
        self._began = clock.monotonic()
        self._told = False

    def __enter__(self) -> "_News":
        return self

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        if self._line is not None and self._told:
            interrupted = "; no longer waited for, it goes on" if _is_interrupt(error) else ""
            self._line.end("%s after %s%s" % (self._now(), span(self.waited()), interrupted))

    def waited(self) -> float:
        """Return the seconds since the beginning."""
        return self._clock.monotonic() - self._began

    def sleep(self, seconds: float) -> None:
        """Sleep, and show the remaining seconds in a terminal or notebook."""
        if self._line is None:
            self._clock.sleep(seconds)
            return
        self._told = True
        end = self._clock.monotonic() + seconds
        while True:
            left = end - self._clock.monotonic()
            if left <= 0:
                return
            self._line.say(
                "%s, waited %s, next look in %d s" % (self._now(), span(self.waited()), ceil(left))
            )
            self._clock.sleep(min(1.0, left))

    def _now(self) -> str:
        name = self.status.name if self.status is not None else "not seen"
        return "%s: %s" % (title(last_known(self._job)), name)


def _is_interrupt(error: Optional[BaseException]) -> bool:
    return error is not None and not isinstance(error, Exception)


def _wanted(until: Until, stopped: FrozenSet[JobStatus]) -> FrozenSet[JobStatus]:
    try:
        numbers = (until,) if isinstance(until, int) else tuple(until)
        wanted = frozenset(JobStatus(number) for number in numbers)
    except (TypeError, ValueError):
        wanted = frozenset()
    if not wanted:
        raise InvalidArgument("until", until, "a JobStatus, or several")
    # After a stop the status is KILLED in some services and CANCELED in others.
    return wanted | stopped if wanted & stopped else wanted


def _names(statuses: FrozenSet[JobStatus]) -> str:
    return " or ".join(status.name for status in sorted(statuses))
