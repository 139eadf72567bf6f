"""Maps visualization jobs to the v2 API of training jobs, and its responses to the form of v1.

A job is a training job of the kind ``visualization_job``. Its sources are trainings whose
``summary.log_dir`` is a folder of a parallel file system, or NFS. Source: *ModelArts API
Reference*, "Training Management", of 2025 and 2026.
"""

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

from modelarts._fields import documented_job, to_int
from modelarts._status import PHASES, JobStatus
from modelarts.errors import (
    ApiError,
    BadRequest,
    InvalidArgument,
    JobStateError,
    ModelArtsError,
    NotFound,
)
from modelarts.http.hints import hint_of_state
from modelarts.visualization.pages import each
from modelarts.visualization.request import CreateRequest

if TYPE_CHECKING:
    from modelarts.http.client import ServiceClient

Body = Dict[str, Any]

_KIND = "visualization_job"
_STATUSES: Mapping[str, JobStatus] = {**PHASES, "CreateFailed": JobStatus.SUBMIT_FAILED}
_NUMBERS = {phase: int(status) for phase, status in _STATUSES.items()}
#: The phases in which a job can be terminated.
_ACTIVE = ("Creating", "Pending", "Running")
#: The greatest size of a page that the service allows.
PAGE = 50
#: The pages of trainings, newest first, that are searched for the folder of a train_url.
_TRAINING_PAGES = 40
_BOARDS = ("tensorboard", "mindstudio_insight")
_NOTHING: Mapping[str, Any] = {}
#: The fields of a create that documented responses leave out: ``auto_stop``, NFS as a source,
#: and the folder by which trainings were found.
_SILENT = ("train_url", "schedule", "sources", "job_type", "resource_id", "pool_id")


def create(client: "ServiceClient", request: CreateRequest) -> Body:
    """Create a job: ``POST /training-jobs``."""
    summary: Body = {"log_type": request.job_type}
    if request.sources:
        summary["data_sources"] = [_data_source(kind, name) for kind, name in request.sources]
    else:
        path = "obs:/" + str(request.train_url)
        summary["log_dir"] = {"pfs": {"pfs_path": path}}
    body: Body = {
        "kind": _KIND,
        "metadata": {"name": request.job_name, "description": request.job_desc},
        "algorithm": {"summary": summary},
    }
    spec: Body = {}
    resource: Body = {}
    if request.flavor is not None:
        resource["flavor_id"] = request.flavor["code"]
    if request.pool_id is not None:
        resource["pool_id"] = request.pool_id
    if resource:
        spec["resource"] = {**resource, "node_count": 1}
    if request.schedule is not None:
        hours = request.schedule[0]["duration"]
        spec["auto_stop"] = {"time_unit": "HOURS", "duration": hours}
    if spec:
        body["spec"] = spec
    answer = send_create(client, "create visualization job", request.job_name, body)
    return _readable(client, "create visualization job", answer)


def send_create(client: "ServiceClient", operation: str, job_name: str, body: Body) -> Body:
    """Send the request for a new job of any kind, and return the response."""

    def check(answer: Any) -> Optional[str]:
        wrong = no_job(answer)
        if wrong is None and answer["metadata"].get("name", job_name) != job_name:
            return "it is about another job"
        return wrong

    return dict(client.call(operation, "POST", jobs_path(client), body=body, check=check))


def resolve(client: "ServiceClient", request: CreateRequest) -> CreateRequest:
    """Return a request over trainings instead of a folder, where the service shows no folders.

    These are the trainings whose ``summary.log_dir`` is the folder, or lies in it.

    Raises:
        InvalidArgument: there is no such training, and the service shows no other folders; or the
            trainings have another log type.
    """
    if request.sources:
        return request
    wanted = str(request.train_url)
    ids: List[str] = []
    other_types: List[str] = []
    for number in range(_TRAINING_PAGES):
        page = search_jobs(client, [job_filter("kind", ["job"])], number, "desc")
        if page.get("log_dir_boards") is True:
            return request  # the service shows folders, with what no training has written too
        for job in page["items"]:
            summary = part(part(job, "algorithm"), "summary")
            folder = _log_dir(summary)
            if folder is not None and folder.startswith(wanted):
                log_type = summary.get("log_type", request.job_type)
                if log_type != request.job_type:
                    other_types.append(str(log_type))
                else:
                    ids.append(str(part(job, "metadata").get("id")))
        if len(page["items"]) < PAGE:
            break
    if ids:
        return request._replace(sources=tuple(("job", each) for each in sorted(ids)))
    if other_types:
        raise _wrong_type(request.job_type, other_types[0], "the trainings of %s" % wanted)
    raise InvalidArgument(
        "train_url",
        wanted,
        "the folder of a training's summary: the v2 API shows trainings (training_jobs=[…]) and "
        "NFS (train_url='nfs:…'), and none of the %d newest trainings writes there. "
        "Session.local() shows any folder" % (_TRAINING_PAGES * PAGE),
    )


def check_sources(client: "ServiceClient", request: CreateRequest) -> None:
    """Look up the trainings of a request, before it is sent.

    Raises:
        NotFound: a training does not exist.
        InvalidArgument: a training cannot be shown, or has another log type.
    """
    if request.train_url is not None:
        return  # they were found by their folder
    types: Dict[str, str] = {}
    for kind, job_id in request.sources:
        if kind != "job":
            continue
        training = job_details(client, job_id, "show training job %s" % job_id)
        summary = part(part(training, "algorithm"), "summary")
        if not summary:
            raise InvalidArgument(
                "training_jobs",
                job_id,
                "trainings that can be shown: those that were created with a summary",
            )
        types[str(summary.get("log_type", request.job_type))] = job_id
    if len(types) > 1:
        named = ", ".join("%s (%s)" % pair for pair in sorted(types.items()))
        raise InvalidArgument("training_jobs", named, "trainings of one log type")
    for log_type, job_id in types.items():
        if log_type != request.job_type:
            raise _wrong_type(request.job_type, log_type, "training %s" % job_id)


def _wrong_type(job_type: str, log_type: str, whose: str) -> InvalidArgument:
    return InvalidArgument("job_type", job_type, "%r, the log type of %s" % (log_type, whose))


def find(client: "ServiceClient", request: CreateRequest) -> List[Body]:
    """Return the newest jobs of the name and the sources of a request.

    Responses do not contain NFS: such jobs are compared by name.
    """
    filters = [job_filter("kind", [_KIND]), job_filter("name", [request.job_name])]
    items = search_jobs(client, filters, 0, "desc")["items"]
    jobs = [_readable(client, "list visualization jobs", job) for job in items]
    wanted = _reads(request.sources, request.train_url)
    return [
        job
        for job in jobs
        if job["job_name"] == request.job_name
        and (
            _reads(job["sources"], job["train_url"]) == wanted
            or (_is_nfs(request.sources) and not job["sources"] and job["train_url"] is None)
        )
    ]


def documented_page(client: "ServiceClient", query: Mapping[str, str]) -> Body:
    """Return one page in the documented form of v1; ``job_count_limit`` is None, as v2 has none."""
    per_page, number = int(query.get("per_page", "10")), int(query.get("page", "1"))
    first = (number - 1) * per_page
    jobs: List[Body] = []
    if _own_order(query) is not None or _own_filter(query) is not None:
        every = list(iterate(client, query, PAGE))
        total: Optional[int] = len(every)
        jobs = every[first : first + per_page]
    else:
        total = None
        for page in range(first // PAGE, (first + per_page - 1) // PAGE + 1):
            answer = search_jobs(client, _filters(query), page, query.get("order", "asc"))
            total = to_int(answer.get("total"), "total")
            start = max(0, first - page * PAGE)
            items = answer["items"][start : first + per_page - page * PAGE]
            jobs += [_readable(client, "list visualization jobs", job) for job in items]
            if len(answer["items"]) < PAGE:
                break
    return {
        "job_total_count": total,
        "job_count_limit": None,
        "jobs": [documented_job(job) for job in jobs],
    }


def iterate(client: "ServiceClient", query: Mapping[str, str], per_page: int) -> Iterator[Body]:
    """Yield every job that matches once, page by page.

    The service sorts by the time of creation alone. For another order all jobs are read first.
    """
    filters, order = _filters(query), query.get("order", "asc")

    def fetch(number: int) -> Tuple[Sequence[Body], Optional[int]]:
        answer = search_jobs(client, filters, number - 1, order)
        items = [_readable(client, "list visualization jobs", job) for job in answer["items"]]
        return items, to_int(answer.get("total"), "total")

    jobs = each(fetch, lambda job: str(job["job_id"]))
    statuses = _own_filter(query)
    if statuses is not None:
        jobs = (job for job in jobs if str(job["status"]) in statuses)
    key = _own_order(query)
    if key is not None:
        return iter(sorted(jobs, key=lambda job: sortable(job.get(key)), reverse=order == "desc"))
    return jobs


def details(client: "ServiceClient", job_id: str) -> Body:
    """Return a job's fields: ``GET /training-jobs/{id}``."""
    operation = "show visualization job %s" % job_id
    return _readable(client, operation, job_details(client, job_id, operation))


def update(client: "ServiceClient", job_id: str, job_desc: str) -> Body:
    """Change a description: ``PUT /training-jobs/{id}``."""
    operation = "update visualization job %s" % job_id
    client.call(operation, "PUT", jobs_path(client, job_id), body={"description": job_desc})
    return {"is_success": True}


def stop(client: "ServiceClient", job_id: str) -> Body:
    """Stop a job; raises JobStateError if its phase does not allow that."""
    terminate(client, "stop visualization job %s" % job_id, job_id, details)
    return {"is_success": True}


def terminate(
    client: "ServiceClient",
    operation: str,
    job_id: str,
    read: "Callable[[ServiceClient, str], Body]",
) -> Any:
    """Stop a job of any kind: ``POST /training-jobs/{id}/actions``; return the response.

    Args:
        read: returns the fields of the job.

    Raises:
        JobStateError: its phase does not allow that; the phase is requested, as the refusal does
            not contain it.
    """
    path = jobs_path(client, job_id, "actions")
    try:
        return client.call(operation, "POST", path, body={"action_type": "terminate"})
    except (BadRequest, JobStateError) as refusal:
        try:
            job = read(client, job_id)
        except ModelArtsError:
            raise refusal from None
        # Without the code for this (ModelArts.2796) the phase decides.
        if isinstance(refusal, BadRequest) and job["phase"] in _ACTIVE:
            raise
        raise _state_error(refusal, job) from None


def delete(
    client: "ServiceClient", job_id: str, operation: str = "delete visualization job %s"
) -> Body:
    """Delete a job of any kind: ``DELETE /training-jobs/{id}``."""
    try:
        client.call(operation % job_id, "DELETE", jobs_path(client, job_id))
    except NotFound as error:
        # Sent again after a lost response: the first request has deleted the job.
        if error.attempts <= 1:
            raise
    return {"is_success": True}


def sent_fields(request: CreateRequest) -> Body:
    """Return the fields of a request that responses leave out."""
    fields: Body = {"train_url": request.train_url, "schedule": request.schedule}
    fields["sources"] = request.sources
    fields["resource_id"] = None if request.flavor is None else request.flavor["code"]
    fields["pool_id"] = request.pool_id
    return {name: value for name, value in fields.items() if value}


def completed(job: Body, known: Mapping[str, Any]) -> Body:
    """Return the job, with known values for the fields that the response leaves out.

    Args:
        job: the job in the response.
        known: the fields that were known before, or that the create sent.
    """
    for name in _SILENT:
        if not job.get(name) and known.get(name):
            job[name] = known[name]
    return job


def definition(client: "ServiceClient", job_id: str, known: Mapping[str, Any]) -> CreateRequest:
    """Return the request that creates a job like one that has ended.

    Args:
        known: the known fields of the job, for those that the response leaves out.

    Raises:
        JobStateError: the job has not ended.
    """
    operation = "restart visualization job %s" % job_id
    answer = job_details(client, job_id, operation)
    job = completed(_readable(client, operation, answer), known)
    if not JobStatus(job["status"]).is_final:
        # The message and code of v1, in which the service itself refuses.
        error = JobStateError(
            "This job can't be resubmit. job status: %d" % job["status"],
            error_code="ModelArts.0105",
            operation=operation,
            hint=hint_of_state("resubmit", job["status"]),
        )
        error.job_status = job["status"]
        raise error
    flavor, pool_id = job["resource_id"], job.get("pool_id")
    return CreateRequest(
        train_url=job["train_url"],
        job_name=job["job_name"],
        has_unique_name=False,
        job_desc=job["job_desc"],
        job_type=job["job_type"],
        schedule=job["schedule"],
        flavor=None if not flavor else {"code": str(flavor)},
        sources=tuple((str(kind), str(name)) for kind, name in job["sources"]),
        pool_id=None if not pool_id else str(pool_id),
    )


def flat(job: Mapping[str, Any]) -> Body:
    """Return a training job in the form of a visualization job of v1.

    ``service_token`` is the token of its board; no other field has it. ``training_job`` is the job
    as received, without tokens.

    Raises:
        ValueError: a field is not a number.
    """
    # Few function calls, because this is done for each job of a long list.
    metadata, status = part(job, "metadata"), part(job, "status")
    spec, summary = part(job, "spec"), part(part(job, "algorithm"), "summary")
    resource, endpoints = part(spec, "resource"), job.get("endpoints")
    board, shown = _board(endpoints) if type(endpoints) is dict else (_NOTHING, _NOTHING)
    phase = str(status.get("phase") or "")
    secondary_phase = status.get("secondary_phase")
    failed = secondary_phase == "CreateFailed"
    number = _NUMBERS.get("CreateFailed" if failed else phase, 0)
    schedule = None
    if "auto_stop" in spec:
        hours = to_int(part(spec, "auto_stop").get("duration"), "auto_stop.duration")
        if hours is not None:
            schedule = [{"type": "stop", "time_unit": "HOURS", "duration": hours}]
    fields: Body = {
        "job_id": metadata.get("id"),
        "job_name": metadata.get("name"),
        "job_desc": metadata.get("description") or "",
        "status": number,
        "service_url": board.get("url") or None,
        "train_url": _log_dir(summary) if "log_dir" in summary else None,
        "create_time": to_int(metadata.get("create_time"), "create_time"),
        "duration": to_int(status.get("duration"), "duration"),
        "resource_id": resource.get("flavor_id"),
        "pool_id": resource.get("pool_id"),
        "schedule": schedule,
        "job_type": summary.get("log_type"),
        "kind": job.get("kind"),
        "phase": phase,
        "secondary_phase": secondary_phase,
        "workspace_id": metadata.get("workspace_id"),
        "sources": _sources(summary) if "data_sources" in summary else (),
        "service_token": board.get("token") or None,
        "training_job": {**job, "endpoints": shown},
    }
    if "task_statuses" in status:
        reason = _reason(status)
        if reason is not None:
            fields["reason"] = reason
    if "board" in job:  # of the local service
        fields.update(part(job, "board"))
    return fields


def job_details(client: "ServiceClient", job_id: str, operation: str) -> Body:
    """Return a training job of any kind: ``GET /training-jobs/{id}``."""

    def check(answer: Any) -> Optional[str]:
        wrong = no_job(answer)
        if wrong is None and answer["metadata"].get("id", job_id) != job_id:
            return "it is about another job"
        return wrong

    return dict(client.call(operation, "GET", jobs_path(client, job_id), check=check))


def search_jobs(
    client: "ServiceClient",
    filters: Sequence[Mapping[str, Any]],
    page: int,
    order: str,
    operation: str = "list visualization jobs",
) -> Body:
    """Return a page of training jobs of all kinds: ``POST /training-job-searches``.

    Args:
        page: the number of the page, from 0.
        order: ``"asc"`` or ``"desc"``, by the time of creation.
    """
    body = {
        "offset": page,
        "limit": PAGE,
        "sort_by": "create_time",
        "order": order,
        "filters": list(filters),
    }
    path = "/v2/%s/training-job-searches" % client.project_id
    answer = client.call(operation, "POST", path, body=body, check=_no_list)
    return dict(answer)


def _filters(query: Mapping[str, str]) -> List[Mapping[str, Any]]:
    filters = [job_filter("kind", [_KIND])]
    if query.get("search_content"):
        filters.append(job_filter("name", [query["search_content"]], "like"))
    if query.get("status"):
        numbers = {int(number) for number in query["status"].split("|")}
        phases = [phase for phase, status in _STATUSES.items() if status in numbers]
        # A status without a phase: no job has it.
        filters.append(job_filter("phase", phases or ["none"]))
    return filters


def _own_filter(query: Mapping[str, str]) -> Optional[List[str]]:
    """Return the statuses to filter by here, if they have the same phases as others."""
    statuses = query.get("status", "").split("|")
    return statuses if str(int(JobStatus.SUBMIT_FAILED)) in statuses else None


def _own_order(query: Mapping[str, str]) -> Optional[str]:
    """Return the key to sort by here; None if the service sorts."""
    key = query.get("sort_by", "job_id")
    if key in ("job_id", "create_time"):  # ids are not numbers: the older job is first
        return None
    return "train_url" if key == "log_dir" else key


def sortable(value: object) -> Tuple[int, float, str]:
    """Return a key by which fields sort: numbers, then texts, then what is not known."""
    if isinstance(value, (int, float)):
        return 0, value, ""
    return (1, 0.0, str(value)) if value is not None else (2, 0.0, "")


def job_filter(key: str, value: List[str], operator: str = "in") -> Mapping[str, Any]:
    """Return a filter of a search."""
    return {"key": key, "operator": operator, "value": value}


def _data_source(kind: str, name: str) -> Body:
    return {"job": {"job_id": name}} if kind == "job" else {"nfs": {"nfs_path": name}}


def _sources(summary: Mapping[str, Any]) -> Tuple[Tuple[str, str], ...]:
    entries = summary.get("data_sources")
    if not entries or type(entries) is not list:
        return ()
    sources = []
    for source in entries:
        if type(source) is dict:
            job_id = part(source, "job").get("job_id")
            path = part(source, "nfs").get("nfs_path")
            if job_id:
                sources.append(("job", str(job_id)))
            elif path:
                sources.append(("nfs", str(path)))
    return tuple(sorted(sources))


def _is_nfs(sources: Sequence[Sequence[str]]) -> bool:
    return any(kind == "nfs" for kind, _ in sources)


def _reads(sources: Sequence[Sequence[str]], train_url: object) -> object:
    return sorted(map(tuple, sources)) or str(train_url).strip("/")


def _log_dir(summary: Mapping[str, Any]) -> Optional[str]:
    """Return ``/bucket/folder/`` for the folder that a summary is in."""
    path = part(part(summary, "log_dir"), "pfs").get("pfs_path")
    if not isinstance(path, str) or not path:
        return None
    bare = path[len("obs:/") :] if path.startswith("obs://") else path
    return "/%s/" % bare.strip("/")


def _board(endpoints: Mapping[str, Any]) -> Tuple[Mapping[str, Any], Body]:
    """Return the endpoint of the board, and all endpoints without tokens."""
    board, shown = _NOTHING, dict(endpoints)
    for name, value in endpoints.items():
        if type(value) is dict:
            if value and name in _BOARDS and not (board and name != _BOARDS[0]):
                board = value
            if "token" in value:
                shown[name] = {**value}
                del shown[name]["token"]
    return board, shown


def _reason(status: Mapping[str, Any]) -> Optional[str]:
    tasks = status.get("task_statuses")
    for task in tasks if type(tasks) is list else ():
        if type(task) is dict and task.get("message"):
            return str(task["message"])
    return None


def _state_error(refusal: ApiError, job: Body) -> JobStateError:
    """Return a refusal as the error for a job whose phase does not allow the request."""
    error = JobStateError(
        refusal.error_msg,
        status_code=refusal.status_code,
        error_code=refusal.error_code,
        request_id=refusal.request_id,
        operation=refusal.operation,
        reason=refusal.reason,
        body=refusal.body,
        headers=refusal.headers,
        attempts=refusal.attempts,
        error_solution=refusal.error_solution,
        hint=hint_of_state("stop", job["status"]),
    )
    error.job_status = job["status"]
    return error


def part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object in an object; empty if the field is missing or has another type."""
    # Not isinstance(…, Mapping), which takes most of the time of a long list.
    value = body.get(name)
    return value if type(value) is dict else _NOTHING


def _readable(client: "ServiceClient", operation: str, job: Mapping[str, Any]) -> Body:
    try:
        return flat(job)
    except ValueError as error:
        raise client.unreadable(operation, error) from None


def no_job(answer: Any) -> Optional[str]:
    """Return the reason why a response is not a training job; None if it is one."""
    if not isinstance(answer, dict):
        return "it is not a JSON object"
    if not isinstance(answer.get("metadata"), dict):
        if "job_id" in answer:
            return "it is one of the v1 API: give api='v1'"
        return "it is not about a training job"
    return None if answer["metadata"].get("id") else "it has no metadata.id"


def _no_list(answer: Any) -> Optional[str]:
    if isinstance(answer, dict) and "jobs" in answer:
        return "it is one of the v1 API: give api='v1'"
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list):
        return "it is not a list of training jobs"
    if any(no_job(job) is not None for job in items):
        return "one of the jobs is no training job"
    return None


def jobs_path(client: "ServiceClient", *parts: str) -> str:
    """Return the path of the training jobs of a project, or of a single job."""
    return "/".join(("/v2/%s/training-jobs" % client.project_id, *parts))
