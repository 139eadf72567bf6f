"""The seven operations on visualization jobs.

Source: *ModelArts API Reference*, "Visualization Jobs". Arguments are checked by the
caller; responses are checked here.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

from modelarts._fields import documented_job, no_confirmation
from modelarts.errors import NotFound
from modelarts.http.client import ServiceClient

if TYPE_CHECKING:
    from modelarts.models import JobPage
    from modelarts.visualization.request import CreateRequest

Body = Dict[str, Any]

#: The newest jobs of a name that are searched after the response to a create was lost.
_FOUND = 100


def create(client: ServiceClient, request: CreateRequest) -> Body:
    """Create a job: ``POST /visualization-jobs``."""

    def check(answer: Any) -> Optional[str]:
        if isinstance(answer, dict) and isinstance(answer.get("metadata"), dict):
            return "it is one of the v2 API: give api='v2'"
        if not isinstance(answer, dict) or not answer.get("job_id"):
            return "it has no job_id"
        name = answer.get("job_name", request.job_name)
        return None if name == request.job_name else "it is about another job"

    answer = client.call(
        "create visualization job", "POST", _path(client), body=request.body(), check=check
    )
    return dict(answer)


def page(client: ServiceClient, query: Mapping[str, str]) -> Body:
    """Return one page as received: ``GET /visualization-jobs``.

    ``sort_by`` is sent under the name that the authorizer uses.
    """
    sent = {client.sort_parameter if k == "sort_by" else k: v for k, v in query.items()}
    answer = client.call(
        "list visualization jobs", "GET", _path(client), query=sent.items(), check=_no_list
    )
    return dict(answer)


def documented_page(client: ServiceClient, query: Mapping[str, str]) -> Body:
    """Return one page as documented: totals as numbers, each job with every documented key."""
    answer = page(client, query)
    read = _job_page(client, answer)
    documented = dict(
        answer, job_total_count=read.job_total_count, job_count_limit=read.job_count_limit
    )
    documented["jobs"] = [_readable(client, job) for job in read.jobs]
    return documented


def iterate(client: ServiceClient, query: Mapping[str, str], per_page: int) -> Iterator[Body]:
    """Yield every job that matches once, page by page; see :func:`pages.each`."""

    from modelarts.visualization.pages import each

    def fetch(number: int) -> Tuple[Sequence[Body], Optional[int]]:
        read = _job_page(
            client, page(client, dict(query, page=str(number), per_page=str(per_page)))
        )
        return read.jobs, read.job_total_count

    return each(fetch, lambda job: job.get("job_id"))


def find(client: ServiceClient, request: CreateRequest) -> List[Body]:
    """Return the newest jobs of the name and the folder of a request."""
    query = {"search_content": request.job_name, "sort_by": "create_time", "order": "desc"}
    jobs = documented_page(client, {**query, "per_page": str(_FOUND)})["jobs"]
    return [
        job
        for job in jobs
        if job["job_name"] == request.job_name
        and _folder(job.get("train_url")) == _folder(request.train_url)
    ]


def resolve(client: ServiceClient, request: CreateRequest) -> CreateRequest:
    """Return the request unchanged: v1 reads any folder."""
    return request


def details(client: ServiceClient, job_id: str) -> Body:
    """Return a job's fields: ``GET /visualization-jobs/{job_id}``."""

    def check(answer: Any) -> Optional[str]:
        if not isinstance(answer, dict):
            return "it is not a JSON object"
        if isinstance(answer.get("metadata"), dict):
            return "it is one of the v2 API: give api='v2'"
        number = answer.get("job_id")
        # The details of this job; some editions leave out the id.
        if str(number or job_id) != job_id:
            return "it is about another job"
        return None if number or "status" in answer else "it is not about a job"

    return dict(_call(client, "show visualization job", job_id, "GET", check=check))


def update(client: ServiceClient, job_id: str, job_desc: str) -> Body:
    """Change a description: ``PUT /visualization-jobs/{job_id}``."""
    body = {"job_desc": job_desc}
    return _done(_call(client, "update visualization job", job_id, "PUT", body=body))


def stop(client: ServiceClient, job_id: str) -> Body:
    """Stop a job: ``POST /visualization-jobs/{job_id}/stop``."""
    return _done(_call(client, "stop visualization job", job_id, "POST", "/stop"))


def restart(client: ServiceClient, job_id: str) -> Body:
    """Restart a job: ``POST /visualization-jobs/{job_id}/restart``."""
    return _done(_call(client, "restart visualization job", job_id, "POST", "/restart"))


def delete(client: ServiceClient, job_id: str) -> Body:
    """Delete a job: ``DELETE /visualization-jobs/{job_id}``."""
    try:
        return _done(_call(client, "delete visualization job", job_id, "DELETE"))
    except NotFound as error:
        # Sent again after a lost response: the first request has deleted the job.
        if error.attempts > 1:
            return {"is_success": True}
        raise


def _folder(train_url: object) -> str:
    return str(train_url).strip("/")


def _path(client: ServiceClient) -> str:
    return "/v1/%s/visualization-jobs" % client.project_id


def _call(
    client: ServiceClient,
    doing: str,
    job_id: str,
    method: str,
    action: str = "",
    body: Any = None,
    check: Optional[Callable[[Any], Optional[str]]] = None,
) -> Any:
    path = "%s/%s%s" % (_path(client), job_id, action)
    return client.call(
        "%s %s" % (doing, job_id), method, path, body=body, check=check or no_confirmation
    )


def _readable(client: ServiceClient, job: Mapping[str, Any]) -> Body:
    try:
        return documented_job(job)
    except ValueError as error:
        raise client.unreadable("list visualization jobs", error) from None


def _job_page(client: ServiceClient, answer: Body) -> JobPage:
    from modelarts.models import JobPage

    try:
        return JobPage.from_wire(answer)
    except ValueError as error:
        raise client.unreadable("list visualization jobs", error) from None


def _no_list(answer: Any) -> Optional[str]:
    if isinstance(answer, dict) and "items" in answer:
        return "it is one of the v2 API: give api='v2'"
    if not isinstance(answer, dict) or "jobs" not in answer:
        return "it is not a list of jobs"
    return None


def _done(answer: Any) -> Body:
    return dict(answer or {}, is_success=True)
