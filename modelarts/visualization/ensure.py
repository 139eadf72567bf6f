"""One job for a folder: the running one, else a stopped one restarted, else a new one.

Other processes may do the same at the same time, stop the job that was found, or delete it.
"""

from typing import TYPE_CHECKING, Any, Callable, List, Optional, Tuple, Type

from modelarts._status import FAILED, STOPPED, JobStatus
from modelarts.errors import JobStateError, NotFound

if TYPE_CHECKING:
    from modelarts.session import Session
    from modelarts.visualization.job import VisualizationJob
    from modelarts.visualization.request import CreateRequest

__all__ = ["ensure"]

#: Statuses before RUNNING, and RUNNING.
_ACTIVE = (
    frozenset(JobStatus)
    - FAILED
    - STOPPED
    - {JobStatus.UNKNOWN, JobStatus.DELETE_FAILED, JobStatus.KILLING}
)
_NOT_STOPPING = frozenset(JobStatus) - {JobStatus.KILLING}
#: Attempts with existing jobs, which other processes may stop or delete, before a new job is made.
_LOOKS = 3


def ensure(
    kind: "Type[VisualizationJob]",
    session: "Session",
    request: "CreateRequest",
    create: "Callable[[], VisualizationJob]",
) -> "VisualizationJob":
    """Find, restart or create the job of a folder and type.

    Args:
        kind: the class of the jobs.
        session: the session.
        request: the parameters of a new job; its ``train_url`` and ``job_type`` identify the job.
        create: the function that creates the new job.

    Returns:
        The job; it may still be starting.

    Raises:
        ApiError: the service refused a request.
        TransportError: no response, or an unreadable one.
        WaitTimeout: a job is being stopped, and was not stopped in time.
    """

    def look() -> "List[VisualizationJob]":
        jobs = [job for job in kind.iter(session) if _is_over(job, request)]
        return sorted(jobs, key=_age, reverse=True)

    for _ in range(_LOOKS):
        jobs = look()
        active = _first(jobs, lambda status: status in _ACTIVE)
        if active is not None:
            return active
        ended = _first(jobs, lambda status: status.is_stopped) or _first(
            jobs, lambda status: status.is_failed
        )
        stopping = _first(jobs, lambda status: status == JobStatus.KILLING)
        try:
            if ended is not None:
                ended._complete(request)
                return ended.restart()
            if stopping is None:
                break
            stopping.wait(until=[*_NOT_STOPPING])
        except (JobStateError, NotFound):
            pass  # another process was faster
    made = create()
    # Two processes that search at the same time both create a job. Each searches again after
    # its create, so at least the later process finds both jobs; the earlier job is kept.
    earlier = [job for job in look() if job.status in _ACTIVE and _age(job) < _age(made)]
    if not earlier:
        return made
    made.delete()
    return min(earlier, key=_age)


def _first(
    jobs: "List[VisualizationJob]", wanted: Callable[[JobStatus], Any]
) -> "Optional[VisualizationJob]":
    """Return the newest job with such a status; a running job takes precedence."""
    matching = [job for job in jobs if wanted(job.status or JobStatus.UNKNOWN)]
    matching.sort(key=lambda job: job.status != JobStatus.RUNNING)
    return matching[0] if matching else None


def _is_over(job: "VisualizationJob", request: "CreateRequest") -> bool:
    raw = job.raw
    # If the response has no type, it is in the board's address.
    job_type = raw.get("job_type")
    if not job_type:
        job_type = (
            "mindinsight" if "/mindinsight/" in str(raw.get("service_url")) else "tensorboard"
        )
    if str(job_type).lower() != request.job_type:
        return False
    if request.sources:
        sources = sorted(map(tuple, raw.get("sources") or ()))
        if not sources and raw.get("train_url") is None and not request.has_unique_name:
            # Responses of v2 do not contain NFS: jobs are compared by name.
            is_nfs = all(kind == "nfs" for kind, _ in request.sources)
            return is_nfs and raw.get("job_name") == request.job_name
        return sources == sorted(request.sources)
    return not raw.get("sources") and _folder(raw.get("train_url")) == _folder(request.train_url)


def _folder(url: object) -> str:
    text = str(url)
    return (text[len("obs:/") :] if text.startswith("obs://") else text).strip("/")


def _age(job: "VisualizationJob") -> "Tuple[int, str]":
    """Return the key for the order of creation: the number in v1, the time in v2."""
    job_id = job.visualization_id or ""
    return (int(job_id), "") if job_id.isdigit() else (job.create_time or 0, job_id)
