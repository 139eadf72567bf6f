"""The seven operations of visualization jobs, a short function each.

Source: *ModelArts API Reference*, "Visualization Jobs". Arguments are checked by the caller;
what comes back is read here as far as every caller needs it.
"""

from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, Mapping, Optional

from modelarts._fields import documented_job
from modelarts.errors import NotFound
from modelarts.http.client import ServiceClient
from modelarts.visualization.seen import Seen

if TYPE_CHECKING:
    from modelarts.models import JobPage

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

    def check(answer: Any) -> Optional[str]:
        if not isinstance(answer, dict) or not answer.get("job_id"):
            return "it has no job_id"
        named = answer.get("job_name", body["job_name"])
        return None if named == body["job_name"] else "it is about another job"

    answer = client.call("create visualization job", "POST", _path(client), body=body, check=check)
    return dict(answer)


def page(client: ServiceClient, query: Mapping[str, str]) -> Body:
    """``GET /visualization-jobs``: one page as it came.

    ``sort_by`` is sent under the name that this way of authorizing uses.
    """
    sent = {client.sort_parameter if k == "sort_by" else k: v for k, v in query.items()}
    answer = client.call(
        "list visualization jobs", "GET", _path(client), query=sent.items(), check=_no_list
    )
    return dict(answer)


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
    seen = Seen()
    number, size = 1, 1
    total_before = 0
    while True:
        read = _job_page(
            client, page(client, dict(query, page=str(number), per_page=str(per_page)))
        )
        size = max(size, len(read.jobs))  # the service may allow less than was asked for
        total = read.job_total_count
        if total is not None and total < total_before:
            # Read again from where the first job that was not seen may be now; in order.
            number = max(1, number - -(-(total_before - total) // size))
            total_before = total
            continue
        fresh = False
        for job in read.jobs:
            if seen.add(job.get("job_id")):
                fresh = True
                yield job
        if not read.jobs or (number * size >= total if total is not None else not fresh):
            return
        del read  # or this page would be held while the next one is read
        total_before = total or 0
        number += 1


def details(client: ServiceClient, job_id: str) -> Body:
    """``GET /visualization-jobs/{job_id}``."""

    def check(answer: Any) -> Optional[str]:
        if not isinstance(answer, dict):
            return "it is not a JSON object"
        found = answer.get("job_id")
        # Of a job, and of this one; a few editions leave the id out of the details.
        if str(found or job_id) != job_id:
            return "it is about another job"
        return None if found or "status" in answer else "it is not about a job"

    return dict(_call(client, "show visualization job", job_id, "GET", check=check))


def update(client: ServiceClient, job_id: str, job_desc: str) -> Body:
    """``PUT /visualization-jobs/{job_id}``."""
    body = {"job_desc": job_desc}
    return _done(_call(client, "update visualization job", job_id, "PUT", body=body))


def stop(client: ServiceClient, job_id: str) -> Body:
    """``POST /visualization-jobs/{job_id}/stop``."""
    return _done(_call(client, "stop visualization job", job_id, "POST", "/stop"))


def restart(client: ServiceClient, job_id: str) -> Body:
    """``POST /visualization-jobs/{job_id}/restart``."""
    return _done(_call(client, "restart visualization job", job_id, "POST", "/restart"))


def delete(client: ServiceClient, job_id: str) -> Body:
    """``DELETE /visualization-jobs/{job_id}``."""
    try:
        return _done(_call(client, "delete visualization job", job_id, "DELETE"))
    except NotFound as error:
        # Sent again because an answer was lost: the first one did it.
        if error.attempts > 1:
            return {"is_success": True}
        raise


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
        "%s %s" % (doing, job_id), method, path, body=body, check=check or _no_confirmation
    )


def _readable(client: ServiceClient, job: Mapping[str, Any]) -> Body:
    try:
        return documented_job(job)
    except ValueError as error:
        raise client.unreadable("list visualization jobs", error) from None


def _job_page(client: ServiceClient, answer: Body) -> "JobPage":
    from modelarts.models import JobPage

    try:
        return JobPage.from_wire(answer)
    except ValueError as error:
        raise client.unreadable("list visualization jobs", error) from None


def _no_list(answer: Any) -> Optional[str]:
    if not isinstance(answer, dict) or "jobs" not in answer:
        return "it is not a list of jobs"
    return None


def _no_confirmation(answer: Any) -> Optional[str]:
    # Some editions answer an action with nothing but a 2xx.
    return None if answer is None or isinstance(answer, dict) else "it is not a JSON object"


def _done(answer: Any) -> Body:
    return dict(answer or {}, is_success=True)
