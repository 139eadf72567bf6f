"""Creates, stops and restarts that take effect once, also after a lost response.

Such a request must not simply be sent again, because it may have been received. Its effect is
searched for first.
"""

import os
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Generic,
    List,
    Mapping,
    TypeVar,
    Union,
)

from modelarts._fields import to_int
from modelarts._status import STOPPED, JobStatus
from modelarts.errors import (
    AmbiguousCreate,
    ApiError,
    BadRequest,
    JobStateError,
    ModelArtsError,
    RequestKind,
    ServerError,
    TransportError,
)

if TYPE_CHECKING:
    from typing_extensions import Protocol

    from modelarts.http.client import ServiceClient
    from modelarts.visualization.dialect import Api
else:
    Protocol = object

Body = Dict[str, Any]
_R = TypeVar("_R", bound="Creation")
_C = TypeVar("_C", bound="Creation", contravariant=True)
_Lost = Union[TransportError, ServerError]

_STOPPING = STOPPED | {JobStatus.KILLING}
_STARTING = frozenset((JobStatus.INIT, JobStatus.WAITING, JobStatus.RUNNING))
#: The characters of a job's name that are kept in the name of the job that replaces it.
_BASE = 64 - 9
#: The error code of v2 for a name that a job has already.
_NAME_IN_USE = "ModelArts.2751"
#: Milliseconds that a job may seem to be created before its request, as clocks differ.
_TOLERANCE = 2000


class Creation(Protocol):
    """The fields of a request for a new job that a search for the job needs."""

    @property
    def job_name(self) -> str:
        """The name of the job."""

    @property
    def has_unique_name(self) -> bool:
        """Return True if no other job can have the name."""

    @property
    def subject(self) -> object:
        """The data or the code of the job, for the texts of errors."""

    @property
    def operation(self) -> str:
        """The operation in words."""


class Creator(Generic[_C], Protocol):
    """Creates jobs, and finds those that a request may have created."""

    def create(self, client: "ServiceClient", request: _C) -> Body:
        """Create a job."""

    def find(self, client: "ServiceClient", request: _C) -> List[Body]:
        """Return the newest jobs like that of a request."""


class JobCalls(Protocol):
    """The calls that a stop needs."""

    def details(self, client: "ServiceClient", job_id: str) -> Body:
        """Return the fields of a job, with its ``status``."""

    def stop(self, client: "ServiceClient", job_id: str) -> Body:
        """Stop a job."""


def create(api: "Creator[_R]", client: "ServiceClient", request: _R) -> Body:
    """Create a job, and never create it twice.

    After a lost response, the job is searched for by its name and its folder. If it exists, it is
    returned; otherwise the request is sent once more.

    Raises:
        AmbiguousCreate: it is unknown if the job was created.
    """
    began = client.monotonic()
    lost: _Lost
    for last in (False, True):
        try:
            return api.create(client, request)
        except (TransportError, ServerError) as error:
            if not _in_doubt(error):
                raise
            lost = error
        except BadRequest as error:
            # The first request was delayed, and received in between.
            if not last or error.error_code != _NAME_IN_USE:
                raise
        try:
            jobs = api.find(client, request)
        except ModelArtsError as error:
            raise _ambiguous(request, lost, "looking for it failed too: %s" % error) from lost
        if not request.has_unique_name:
            since = _since(client, began)
            jobs = [job for job in jobs if (job["create_time"] or since) >= since]
        if len(jobs) == 1:
            return {**jobs[0], "is_success": True}
        if jobs:
            raise _ambiguous(request, lost, "%d such jobs were created meanwhile" % len(jobs))
        if last:
            raise _ambiguous(
                request, lost, "it does not exist, but the request may still be received"
            ) from lost
    raise AssertionError("not reached")


def stop(api: JobCalls, client: "ServiceClient", job_id: str) -> Body:
    """Stop a job. After a lost response, the status decides if the request is sent again."""
    return _act(api, client, job_id, api.stop, _STOPPING)


def restart(api: "Api", client: "ServiceClient", job_id: str, known: Mapping[str, Any]) -> Body:
    """Restart a job, likewise. With v2 that creates another job of the same definition.

    Args:
        known: the known fields of the job, for those that responses of v2 leave out.
    """
    if client.dialect.name == "v2":
        from modelarts.visualization import v2

        request = v2.definition(client, job_id, known)
        try:
            answer = create(api, client, request)
        except BadRequest as refusal:
            if refusal.error_code != _NAME_IN_USE:
                raise
            # The job that is replaced keeps its name.
            name = "%s-%s" % (request.job_name[:_BASE], os.urandom(4).hex())
            request = request._replace(job_name=name, has_unique_name=True)
            answer = create(api, client, request)
        return {**v2.completed(answer, v2.sent_fields(request)), "replaces": job_id}
    from modelarts.visualization import v1

    return _act(api, client, job_id, v1.restart, _STARTING)


def _act(
    api: JobCalls,
    client: "ServiceClient",
    job_id: str,
    act: "Callable[[ServiceClient, str], Body]",
    done: "frozenset[JobStatus]",
) -> Body:
    try:
        return act(client, job_id)
    except (TransportError, ServerError) as error:
        if not _in_doubt(error):
            raise
    if _status(api, client, job_id) in done:
        return {"is_success": True}
    try:
        return act(client, job_id)
    except JobStateError as refusal:
        # The first request was delayed, and received in between.
        if refusal.job_status in done:
            return {"is_success": True}
        raise


def _in_doubt(error: _Lost) -> bool:
    """Return True if the request may have had its effect all the same."""
    if error.request_kind is not RequestKind.SERVICE_CALL:
        return False  # the login or the project lookup failed, so the call was never made
    if isinstance(error, ApiError):
        return error.status_code >= 500
    return error.sent


def _status(api: JobCalls, client: "ServiceClient", job_id: str) -> JobStatus:
    try:
        return JobStatus(to_int(api.details(client, job_id).get("status"), "status") or 0)
    except ValueError as error:
        raise client.unreadable("show job %s" % job_id, error) from None


def _since(client: "ServiceClient", began: float) -> float:
    """Return the time of a request by the service's clock, from its latest response."""
    return (client.now() - (client.monotonic() - began)) * 1000 - _TOLERANCE


def _ambiguous(request: Creation, lost: _Lost, why: str) -> AmbiguousCreate:
    return AmbiguousCreate(
        "the response was lost (%s), and %s. Look for a job named %r over %s before you create it "
        "again" % (lost, why, request.job_name, request.subject),
        getattr(lost, "address", ""),
        request.operation,
        request.job_name,
    )
