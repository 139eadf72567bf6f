"""Waits for a job's status: ends when it is there, when it cannot come, or when time is over."""

from typing import TYPE_CHECKING, FrozenSet, Iterable, Union

from modelarts.clock import Clock
from modelarts.errors import InvalidArgument, JobFailed, WaitTimeout
from modelarts.jobs.status import STOPPED, JobStatus

if TYPE_CHECKING:
    from modelarts.estimator import VisualizationJob

__all__ = ["Until", "wait_for"]

Until = Union[int, Iterable[int]]

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
#: How long a restarted job may still be shown as stopped: restart is asynchronous.
_SETTLING = 60.0


def wait_for(
    job: "VisualizationJob", until: Until, timeout: float, clock: Clock, restarted: bool
) -> None:
    """Refresh ``job`` until its status is (one of) ``until``.

    Args:
        timeout: seconds.
        restarted: whether a restart was just asked for, so that a stopped status is
            not yet the last word.

    Raises:
        JobFailed: the job reached another status in which it will stay.
        WaitTimeout: the time was over.
    """
    wanted = _wanted(until)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout >= 0:
        raise InvalidArgument("timeout", timeout, "a number of seconds")
    started = clock.monotonic()
    pause = _FIRST_PAUSE
    while True:
        job.refresh()
        status = job.status or JobStatus.UNKNOWN
        waited = clock.monotonic() - started
        if status in wanted:
            return
        settling = restarted and status.is_final and waited < _SETTLING
        if status.is_final and not settling:
            raise JobFailed(
                "job %s is %s (%d) and will not become %s%s"
                % (job.visualization_id, status.name, status, _names(wanted), _why(job)),
                job,
            )
        if waited >= timeout:
            raise WaitTimeout(
                "job %s is still %s (%d) after %g seconds, not %s"
                % (job.visualization_id, status.name, status, timeout, _names(wanted)),
                job,
            )
        clock.sleep(min(pause, max(timeout - waited, 0.0)))
        pause = min(pause * 2, _LONGEST_PAUSE)


def _wanted(until: Until) -> FrozenSet[JobStatus]:
    try:
        numbers = (until,) if isinstance(until, int) else tuple(until)
        wanted = frozenset(JobStatus(number) for number in numbers)
    except (TypeError, ValueError):
        wanted = frozenset()
    if not wanted:
        raise InvalidArgument("until", until, "a JobStatus, or several")
    # A stop ends as KILLED with one service and as CANCELED with another.
    return wanted | STOPPED if wanted & STOPPED else wanted


def _names(statuses: FrozenSet[JobStatus]) -> str:
    return " or ".join(status.name for status in sorted(statuses))


def _why(job: "VisualizationJob") -> str:
    reason = job.raw.get("reason")
    return ": %s" % reason if reason else ""
