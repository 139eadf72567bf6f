"""Numbers and statuses in words, for the templates."""

from __future__ import annotations

from time import gmtime, strftime
from typing import Any, Callable, Mapping

from modelarts.models import FAILED, STOPPED, JobStatus

#: The statuses that a list can be filtered by.
STATUS_GROUPS: Mapping[str, tuple[int, ...]] = {
    "running": (JobStatus.RUNNING,),
    "starting": (JobStatus.INIT, JobStatus.WAITING),
    "stopping": (JobStatus.KILLING,),
    "stopped": tuple(sorted(STOPPED)),
    "failed": tuple(sorted(FAILED)),
}


def group(status: int) -> str:
    """Return the group of a status, which its colour shows."""
    names = (name for name, statuses in STATUS_GROUPS.items() if status in statuses)
    return next(names, "starting")


def _status(status: int) -> str:
    return JobStatus(status).name


def _moment(milliseconds: int) -> str:
    return strftime("%Y-%m-%d %H:%M", gmtime(milliseconds / 1000)) + " UTC"


def _machine_moment(milliseconds: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(milliseconds / 1000))


def duration(milliseconds: int) -> str:
    """Return a duration in its two largest units; it is never longer than it is."""
    seconds = int(milliseconds // 1000)
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def ago(milliseconds: int) -> str:
    """Return how long ago something was; in minutes, so that a page seldom changes."""
    return "just now" if milliseconds < 60_000 else duration(milliseconds) + " ago"


def size(count: int) -> str:
    """Return a number of bytes in words."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


FILTERS: Mapping[str, Callable[..., Any]] = {
    "status": _status,
    "group": group,
    "moment": _moment,
    "machine_moment": _machine_moment,
    "duration": duration,
    "size": size,
}
