"""One job for a folder: the one that runs, else a stopped one restarted, else a new one.

Others may do the same at the same time, stop the job that was found, or delete it.
"""

from typing import TYPE_CHECKING, Any, Callable, List, Optional, Type

from modelarts._status import FAILED, STOPPED, JobStatus
from modelarts.errors import JobStateError, NotFound

if TYPE_CHECKING:
    from modelarts.estimator import VisualizationJob
    from modelarts.session import Session

__all__ = ["ensure"]

#: On its way to RUNNING, or there.
_ACTIVE = (
    frozenset(JobStatus)
    - FAILED
    - STOPPED
    - {JobStatus.UNKNOWN, JobStatus.DELETE_FAILED, JobStatus.KILLING}
)
_NOT_STOPPING = frozenset(JobStatus) - {JobStatus.KILLING}
#: How often what was found may be taken away by others before a new job is made.
_LOOKS = 3


def ensure(
    kind: "Type[VisualizationJob]",
    session: "Session",
    train_url: str,
    job_type: str,
    create: "Callable[[], VisualizationJob]",
) -> "VisualizationJob":
    """Find, restart or create the job of that folder and type."""

    def look() -> "List[VisualizationJob]":
        found = [job for job in kind.iter(session) if _is_over(job, train_url, job_type)]
        return sorted(found, key=_number, reverse=True)

    for _ in range(_LOOKS):
        found = look()
        active = _first(found, lambda status: status in _ACTIVE)
        if active is not None:
            return active
        ended = _first(found, lambda status: status.is_stopped) or _first(
            found, lambda status: status.is_failed
        )
        stopping = _first(found, lambda status: status == JobStatus.KILLING)
        try:
            if ended is not None:
                return ended.restart()
            if stopping is None:
                break
            stopping.wait(until=[*_NOT_STOPPING])
        except (JobStateError, NotFound):
            pass  # somebody was faster
    made = create()
    # Two programs that find nothing at once both create. Each looks after its create, so at
    # least the later one sees both; the job that was first stays.
    earlier = [job for job in look() if job.status in _ACTIVE and _number(job) < _number(made)]
    if not earlier:
        return made
    made.delete()
    return min(earlier, key=_number)


def _first(
    jobs: "List[VisualizationJob]", wanted: Callable[[JobStatus], Any]
) -> "Optional[VisualizationJob]":
    """The newest job with such a status; rather one that runs already."""
    matching = [job for job in jobs if wanted(job.status or JobStatus.UNKNOWN)]
    matching.sort(key=lambda job: job.status != JobStatus.RUNNING)
    return matching[0] if matching else None


def _is_over(job: "VisualizationJob", train_url: str, job_type: str) -> bool:
    raw = job.raw
    # A service that does not say the type has it in the board's address.
    said = raw.get("job_type")
    if not said:
        said = "mindinsight" if "/mindinsight/" in str(raw.get("service_url")) else "tensorboard"
    return str(said).lower() == job_type and _folder(raw.get("train_url")) == _folder(train_url)


def _folder(url: object) -> str:
    text = str(url)
    return (text[len("obs:/") :] if text.startswith("obs://") else text).strip("/")


def _number(job: "VisualizationJob") -> int:
    return int(job.visualization_id or 0)
