"""Creates, stops and restarts that happen once, also where an answer is lost.

Such a request may not simply be sent again: it may have arrived. So what it would have brought
about is looked for first.
"""

from typing import Any, Callable, Dict, List, Mapping, Optional, Union

from modelarts._fields import to_int
from modelarts._status import STOPPED, JobStatus
from modelarts.errors import (
    AmbiguousCreate,
    ApiError,
    JobStateError,
    ModelArtsError,
    RequestKind,
    ServerError,
    TransportError,
)
from modelarts.http.client import ServiceClient
from modelarts.visualization import v1 as api

__all__ = ["create", "restart", "stop"]

Body = Dict[str, Any]
_Lost = Union[TransportError, ServerError]

_STOPPING = STOPPED | {JobStatus.KILLING}
_STARTING = frozenset((JobStatus.INIT, JobStatus.WAITING, JobStatus.RUNNING))
#: Milliseconds that a job's creation may seem to come before its request: clocks differ.
_TOLERANCE = 2000
_PER_PAGE = 100


def create(client: ServiceClient, body: Mapping[str, Any], unique: bool) -> Body:
    """Create a job, exactly once as far as that can be told.

    Where the answer was lost, the job is looked for by its name and its ``train_url``: found,
    it is the answer; not found, the request is sent once more.

    Args:
        unique: whether no other job can have that name, since it was just made up.

    Raises:
        AmbiguousCreate: it is still not known whether there is a job.
    """
    began = client.monotonic()
    for last in (False, True):
        try:
            return api.create(client, body)
        except (TransportError, ServerError) as error:
            if not _in_doubt(error):
                raise
            lost: _Lost = error
        try:
            found = _created(client, body, None if unique else began)
        except ModelArtsError as error:
            raise _ambiguous(body, lost, "looking for it failed too: %s" % error) from lost
        if len(found) == 1:
            return {**found[0], "is_success": True}
        if found:
            raise _ambiguous(body, lost, "%d such jobs were created meanwhile" % len(found))
        if last:
            raise _ambiguous(body, lost, "it is not there, but may still be on its way") from lost
    raise AssertionError("not reached")


def stop(client: ServiceClient, job_id: str) -> Body:
    """Stop a job. Where the answer was lost its status tells whether it has to be sent again."""
    return _act(client, job_id, api.stop, _STOPPING)


def restart(client: ServiceClient, job_id: str) -> Body:
    """Restart a job, likewise."""
    return _act(client, job_id, api.restart, _STARTING)


def _act(
    client: ServiceClient,
    job_id: str,
    act: Callable[[ServiceClient, str], Body],
    done: "frozenset[JobStatus]",
) -> Body:
    try:
        return act(client, job_id)
    except (TransportError, ServerError) as error:
        if not _in_doubt(error):
            raise
    if _status(client, job_id) in done:
        return {"is_success": True}
    try:
        return act(client, job_id)
    except JobStateError as refusal:
        # The first request was slow, and arrived in between.
        if refusal.job_status in done:
            return {"is_success": True}
        raise


def _in_doubt(error: _Lost) -> bool:
    """Whether the request may have had its effect all the same."""
    if error.request_kind is not RequestKind.SERVICE_CALL:
        return False  # the login or the project lookup failed, so the call was never made
    if isinstance(error, ApiError):
        return error.status_code >= 500
    return error.sent


def _status(client: ServiceClient, job_id: str) -> JobStatus:
    try:
        return JobStatus(to_int(api.details(client, job_id).get("status"), "status") or 0)
    except ValueError as error:
        raise client.unreadable("show visualization job %s" % job_id, error) from None


def _created(client: ServiceClient, body: Mapping[str, Any], began: Optional[float]) -> List[Body]:
    """The jobs of that name and folder; only those created since ``began``, if that is given."""
    query = {"search_content": body["job_name"], "sort_by": "create_time", "order": "desc"}
    jobs = api.documented_page(client, {**query, "per_page": str(_PER_PAGE)})["jobs"]
    since = 0.0
    if began is not None:
        # By the service's clock, which the answer that just came tells.
        since = (client.now() - (client.monotonic() - began)) * 1000 - _TOLERANCE
    return [
        job
        for job in jobs
        if job["job_name"] == body["job_name"]
        and _folder(job) == _folder(body)
        and (job["create_time"] or since) >= since
    ]


def _folder(job: Mapping[str, Any]) -> str:
    return str(job.get("train_url")).strip("/")


def _ambiguous(body: Mapping[str, Any], lost: _Lost, why: str) -> AmbiguousCreate:
    name = str(body["job_name"])
    return AmbiguousCreate(
        "the answer was lost (%s), and %s. Look for a job named %r over %s before you create it "
        "again" % (lost, why, name, body["train_url"]),
        getattr(lost, "address", ""),
        "create visualization job",
        name,
    )
