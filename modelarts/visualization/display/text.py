"""The texts of a job for users: words, times and names."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

import attr

from modelarts.errors import ModelArtsError
from modelarts.models import JobInfo

if TYPE_CHECKING:
    from typing_extensions import Protocol
else:
    Protocol = object


class Shown(Protocol):
    """A job that can be shown: a visualization job, or a training."""

    @property
    def job_id(self) -> Optional[str]:
        """The job's id."""

    @property
    def raw(self) -> Dict[str, Any]:
        """The fields of the service's last response, in the form of v1 or of v2."""

    @property
    def last_seen(self) -> Optional[datetime]:
        """The time of that response."""


def last_known(job: Shown) -> JobInfo:
    """Return the fields of a job that can be read, without a request."""
    try:
        number = job.job_id
    except ModelArtsError:
        number = None
    raw = job.raw
    try:
        if isinstance(raw.get("metadata"), Mapping):
            from modelarts.visualization.v2 import flat

            raw = flat(raw)
        info = JobInfo.from_wire(raw)
    except (ValueError, TypeError):
        info = JobInfo()
    return attr.evolve(info, job_id=number)


def folders(info: JobInfo) -> List[str]:
    """Return the folders of the service's machine that a board reads in place."""
    paths = info.extra.get("folders")
    return [str(folder) for folder in paths] if isinstance(paths, list) else []


def title(info: JobInfo) -> str:
    """Return a job's text for a sentence: its number, and its name if that is known."""
    name = " (%s)" % one_line(info.job_name) if info.job_name else ""
    return "job %s%s" % (info.job_id, name)


def span(seconds: float) -> str:
    """Return a time span in its two largest units: ``1 h 58 min``."""
    left = max(int(seconds), 0)
    parts: List[str] = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append("%d %s" % (count, name))
        elif parts:
            break
    return " ".join(parts[:2])


def clock_time(moment: Optional[datetime]) -> str:
    """Return a time in the time zone of this machine; an empty text for None."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment else ""


def one_line(text: object, most: int = 40) -> str:
    """Return a text without line breaks and control characters, cut to a length.

    Args:
        text: the text; a value of another type is shown by its ``repr``.
        most: the greatest number of characters.
    """
    text = "".join(c if c.isprintable() else " " for c in str(text))
    return text if len(text) <= most else text[: most - 1] + "…"
