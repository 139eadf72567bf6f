"""The seven operations of visualization jobs, a short function each.

Source: *ModelArts API Reference*, "Visualization Jobs". Arguments are checked by the caller;
what comes back is read here as far as every caller needs it.
"""

from typing import Any, Dict, Iterator, Mapping, Set

from modelarts.errors import NotFound
from modelarts.http.client import ServiceClient
from modelarts.jobs.models import JobPage, documented_job

__all__ = [
    "create",
    "delete",
    "details",
    "documented_page",
    "iterate",
    "page",
    "restart",
    "stop",
    "update",
]

Body = Dict[str, Any]


def create(client: ServiceClient, body: Mapping[str, Any]) -> Body:
    """``POST /visualization-jobs``."""
    operation = "create visualization job"
    answer = client.call(operation, "POST", _path(client), body=body)
    if not _object(client, operation, answer).get("job_id"):
        raise client.unreadable(operation, "it has no job_id")
    return dict(answer)


def page(client: ServiceClient, query: Mapping[str, str]) -> Body:
    """``GET /visualization-jobs``: one page as it came.

    ``sort_by`` is sent under the name that this way of authorizing uses.
    """
    operation = "list visualization jobs"
    sent = {client.sort_parameter if k == "sort_by" else k: v for k, v in query.items()}
    answer = client.call(operation, "GET", _path(client), query=sent.items())
    return _object(client, operation, answer)


def documented_page(client: ServiceClient, query: Mapping[str, str]) -> Body:
    """One page as documented: totals as numbers, each job with every documented key."""
    answer = page(client, query)
    read = _job_page(client, answer)
    documented = dict(
        answer, job_total_count=read.job_total_count, job_count_limit=read.job_count_limit
    )
    documented["jobs"] = [_readable(client, job) for job in read.jobs]
    return documented


def iterate(client: ServiceClient, query: Mapping[str, str], per_page: int) -> Iterator[Body]:
    """Every job that matches, page by page, none twice.

    A page is asked for when its first job is. Jobs that others delete meanwhile move the
    later ones forward, so when the total shrinks the pages they may have moved to are read
    again.
    """
    seen: Set[str] = set()
    number, size = 1, 1
    total_before = 0
    while True:
        read = _job_page(
            client, page(client, dict(query, page=str(number), per_page=str(per_page)))
        )
        size = max(size, len(read.jobs))  # the service may allow less than was asked for
        seen_before = len(seen)
        for job in read.jobs:
            key = str(job.get("job_id"))
            if key not in seen:
                seen.add(key)
                yield job
        total = read.job_total_count
        if total is None:
            if len(seen) == seen_before:
                return
        elif total < total_before:
            moved = -(-(total_before - total) // size)  # pages, rounded up
            number = max(0, number - moved - 1)
        elif not read.jobs or number * size >= total:
            return
        total_before = total or 0
        number += 1


def details(client: ServiceClient, job_id: str) -> Body:
    """``GET /visualization-jobs/{job_id}``."""
    return _object(client, *_call(client, "show visualization job", job_id, "GET"))


def update(client: ServiceClient, job_id: str, job_desc: str) -> Body:
    """``PUT /visualization-jobs/{job_id}``."""
    body = {"job_desc": job_desc}
    return _done(client, *_call(client, "update visualization job", job_id, "PUT", body=body))


def stop(client: ServiceClient, job_id: str) -> Body:
    """``POST /visualization-jobs/{job_id}/stop``."""
    return _done(client, *_call(client, "stop visualization job", job_id, "POST", "/stop"))


def restart(client: ServiceClient, job_id: str) -> Body:
    """``POST /visualization-jobs/{job_id}/restart``."""
    return _done(client, *_call(client, "restart visualization job", job_id, "POST", "/restart"))


def delete(client: ServiceClient, job_id: str) -> Body:
    """``DELETE /visualization-jobs/{job_id}``."""
    try:
        return _done(client, *_call(client, "delete visualization job", job_id, "DELETE"))
    except NotFound as error:
        # Sent again because an answer was lost: the first one did it.
        if error.attempts > 1:
            return {"is_success": True}
        raise


def _path(client: ServiceClient) -> str:
    return "/v1/%s/visualization-jobs" % client.project_id


def _call(
    client: ServiceClient, doing: str, job_id: str, method: str, action: str = "", body: Any = None
) -> Any:
    operation = "%s %s" % (doing, job_id)
    path = "%s/%s%s" % (_path(client), job_id, action)
    return operation, client.call(operation, method, path, body=body)


def _readable(client: ServiceClient, job: Mapping[str, Any]) -> Body:
    try:
        return documented_job(job)
    except ValueError as error:
        raise client.unreadable("list visualization jobs", error) from None


def _job_page(client: ServiceClient, answer: Body) -> JobPage:
    try:
        return JobPage.from_wire(answer)
    except ValueError as error:
        raise client.unreadable("list visualization jobs", error) from None


def _object(client: ServiceClient, operation: str, answer: Any) -> Body:
    if not isinstance(answer, dict):
        raise client.unreadable(operation, "it is not a JSON object")
    return answer


def _done(client: ServiceClient, operation: str, answer: Any) -> Body:
    # Some editions answer an action with nothing but a 2xx.
    return dict(_object(client, operation, {} if answer is None else answer), is_success=True)
