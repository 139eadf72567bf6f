"""The v2 API of trainings: turns requests into REST, and responses into fields.

Source: *ModelArts API Reference*, "Training Management", of 2025 and 2026.
"""

import re
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
)

from modelarts._fields import to_int, with_list
from modelarts._internal.wording import Worded, worded
from modelarts._status import PHASES, JobStatus
from modelarts.errors import (
    ApiError,
    InvalidArgument,
    NotFound,
    TransportError,
)
from modelarts.training.request import Channel, Dataset, TrainingRequest
from modelarts.visualization import v2
from modelarts.visualization.pages import each

if TYPE_CHECKING:
    from modelarts.http.client import ServiceClient

Body = Dict[str, Any]
_T = TypeVar("_T")

#: The task of a training on one node.
TASK = "worker-0"
#: The kind of the jobs that are boards; all others are shown as trainings.
_BOARD = "visualization_job"
_KIND = "job"
_ID = r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z"
_TASK = r"[0-9A-Za-z._-]{1,128}\Z"
_EVENTS = 50  # on a page; not every service allows the documented 100
_SHOWN_NAMES = 20
_UNTIL = "a JobStatus or a phase such as 'Completed', or several"
#: Those of a training that was stopped: unlike a board it is not complete then.
STOPPED = frozenset((JobStatus.KILLED, JobStatus.CANCELED))


def checked_id(value: object) -> str:
    """Return the id of a training.

    Raises:
        InvalidArgument: it is no UUID.
    """
    if not isinstance(value, str) or not re.match(_ID, value):
        raise InvalidArgument("job_id", value, "the id of a training, a UUID")
    return value


def checked_task(value: object) -> str:
    """Return the name of a task.

    Raises:
        InvalidArgument: it is no such name.
    """
    if not isinstance(value, str) or not re.match(_TASK, value):
        raise InvalidArgument("task_id", value, "the name of a task, such as 'worker-0'")
    return value


# Requests -----------------------------------------------------------------------------------------


def body_of(request: TrainingRequest) -> Body:
    """Return the body of a create call; what was not given is not sent."""
    metadata: Body = {"name": request.job_name, "description": request.job_description}
    if request.workspace_id is not None:
        metadata["workspace_id"] = request.workspace_id
    algorithm: Body = {}
    if request.code_dir is not None:
        algorithm["code_dir"] = request.code_dir
        if request.boot_file is not None:
            algorithm["boot_file"] = "%s%s" % (request.code_dir, request.boot_file)
    if request.user_command is not None:
        algorithm["command"] = request.user_command
    if request.user_image_url is not None:
        algorithm["engine"] = {"image_url": request.user_image_url}
    elif request.framework_type is not None:
        algorithm["engine"] = {
            "engine_name": request.framework_type,
            "engine_version": request.framework_version,
        }
    algorithm["parameters"] = [{"name": name, "value": value} for name, value in request.parameters]
    algorithm["inputs"] = [_channel(channel) for channel in request.inputs]
    algorithm["outputs"] = [_channel(channel) for channel in request.outputs]
    algorithm["environments"] = dict(request.env_variables)
    for name in ("local_code_dir", "working_dir"):
        if getattr(request, name) is not None:
            algorithm[name] = getattr(request, name)
    if request.tensorboard is not None:
        path = "obs:/" + request.tensorboard
        algorithm["summary"] = {"log_type": "tensorboard", "log_dir": {"pfs": {"pfs_path": path}}}
    resource: Body = {"node_count": request.train_instance_count}
    if request.train_instance_type is not None:
        resource["flavor_id"] = request.train_instance_type
    if request.pool_id is not None:
        resource["pool_id"] = request.pool_id
    spec: Body = {"resource": resource}
    if request.log_url is not None:
        spec["log_export_path"] = {"obs_url": request.log_url}
    if request.volumes:
        spec["volumes"] = [dict(volume) for volume in request.volumes]
    if request.auto_stop is not None:
        spec["auto_stop"] = {"time_unit": "HOURS", "duration": request.auto_stop}
    return {"kind": _KIND, "metadata": metadata, "algorithm": algorithm, "spec": spec}


def _channel(channel: Channel) -> Body:
    if isinstance(channel.url, Dataset):
        dataset = {"id": channel.url.dataset_id}
        if channel.url.version_id is not None:
            dataset["version_id"] = channel.url.version_id
        remote: Body = {"dataset": dataset}
    else:
        remote = {"obs": {"obs_url": channel.url}}
    body: Body = {"name": channel.name, "remote": remote}
    if channel.local_dir is not None:
        body["local_dir"] = channel.local_dir
    if channel.access_method is not None:
        body["access_method"] = channel.access_method
    return body


def create(client: "ServiceClient", request: TrainingRequest) -> Body:
    """Create a training: ``POST /training-jobs``."""
    answer = v2.send_create(client, request.operation, request.job_name, body_of(request))
    return fields(client, request.operation, answer)


def find(client: "ServiceClient", request: TrainingRequest) -> List[Body]:
    """Return the newest trainings of the name and the code of a request."""
    operation = "list training jobs"
    chosen = [v2.job_filter("kind", [_KIND]), v2.job_filter("name", [request.job_name])]
    items = v2.search_jobs(client, chosen, 0, "desc", operation)["items"]
    jobs = [fields(client, operation, job) for job in items]
    return [job for job in jobs if job["job_name"] == request.job_name and _alike(job, request)]


def _alike(job: Body, request: TrainingRequest) -> bool:
    algorithm = v2.part(job["raw"], "algorithm")
    code, sent = algorithm.get("code_dir"), request.code_dir
    if code is not None and sent is not None and _bare(code) != _bare(sent):
        return False
    image = v2.part(algorithm, "engine").get("image_url")
    return request.user_image_url is None or image in (None, "", request.user_image_url)


def _bare(url: object) -> str:
    text = str(url)
    return (text[len("obs:/") :] if text.startswith("obs://") else text).strip("/")


def details(client: "ServiceClient", job_id: str) -> Body:
    """Return a training's fields."""
    operation = "show training job %s" % job_id
    return fields(client, operation, raw_details(client, job_id))


def raw_details(client: "ServiceClient", job_id: str) -> Body:
    """Return a training as it came: ``GET /training-jobs/{id}``."""
    return v2.job_details(client, job_id, "show training job %s" % job_id)


def update(client: "ServiceClient", job_id: str, description: str) -> None:
    """Change the description: ``PUT /training-jobs/{id}``."""
    path = v2.jobs_path(client, job_id)
    body = {"description": description}
    client.call("update training job %s" % job_id, "PUT", path, body=body)


def stop(client: "ServiceClient", job_id: str) -> Body:
    """Stop a training, and return its fields; raises JobStateError like the stop of a board."""
    operation = "stop training job %s" % job_id
    answer = v2.terminate(client, operation, job_id, details)
    if v2.no_job(answer) is None and answer["metadata"]["id"] == job_id:
        return fields(client, operation, answer)
    return {}


def delete(client: "ServiceClient", job_id: str) -> None:
    """Delete a training."""
    v2.delete(client, job_id, "delete training job %s")


def page(client: "ServiceClient", body: Mapping[str, Any]) -> Body:
    """Return one page of jobs of all kinds as it came: ``POST /training-job-searches``."""

    path = "/v2/%s/training-job-searches" % client.project_id
    check = with_list("items")
    return dict(client.call("list training jobs", "POST", path, body=dict(body), check=check))


def iterate(
    client: "ServiceClient", chosen: Sequence[Mapping[str, Any]], order: str
) -> Iterator[Body]:
    """Yield the fields of every training that matches, page by page, none twice.

    Boards are left out; kinds of jobs that are not known here are not.
    """
    operation = "list training jobs"
    wanted = [v2.job_filter("kind", [_BOARD], "not"), *chosen]

    def fetch(number: int) -> Tuple[Sequence[Body], Optional[int]]:
        answer = v2.search_jobs(client, wanted, number - 1, order, operation)
        items = [fields(client, operation, job) for job in answer["items"]]
        return items, to_int(answer.get("total"), "total")

    for job in each(fetch, lambda job: str(job["job_id"])):
        if job["kind"] != _BOARD:
            yield job


def metrics(client: "ServiceClient", job_id: str, task_id: str) -> Body:
    """Return the metrics of a task: ``GET …/metrics/{task_id}``."""
    operation = "show the metrics of training job %s" % job_id
    path = v2.jobs_path(client, job_id, "metrics", task_id)
    return dict(client.call(operation, "GET", path, check=with_list("metrics")))


def events(client: "ServiceClient", job_id: str, order: str = "asc") -> Iterator[Body]:
    """Yield the events of a training, page by page: ``GET …/events``."""
    operation = "show the events of training job %s" % job_id
    path = v2.jobs_path(client, job_id, "events")
    offset = 0
    while True:
        query = [("limit", str(_EVENTS)), ("offset", str(offset)), ("order", order)]
        answer = client.call(operation, "GET", path, query, check=with_list("events"))
        entries = [entry for entry in answer["events"] if isinstance(entry, dict)]
        yield from entries
        offset += len(answer["events"])
        total = to_int(answer.get("total"), "total")
        if not answer["events"] or (total is not None and offset >= total):
            return


def log_preview(client: "ServiceClient", job_id: str, task_id: str) -> Body:
    """Return the newest part of a log: ``GET …/tasks/{task_id}/logs/preview``."""
    operation = "show the log of training job %s" % job_id

    def check(answer: Any) -> Optional[str]:
        if not isinstance(answer, dict) or not isinstance(answer.get("content") or "", str):
            return "it is not a part of a log"
        try:
            if to_int(answer.get("full_size"), "full_size") is None:
                return "it has no full_size"
            to_int(answer.get("current_size"), "current_size")
        except ValueError as error:
            return str(error)
        return None

    path = v2.jobs_path(client, job_id, "tasks", task_id, "logs", "preview")
    return dict(client.call(operation, "GET", path, check=check))


def log_link(client: "ServiceClient", job_id: str, task_id: str) -> str:
    """Return the link of a whole log, a secret: ``GET …/tasks/{task_id}/logs/url``.

    Where there is no such call, that of the official client: ``GET …/logs/{task_id}``.
    """
    operation = "get the link of the log of training job %s" % job_id

    def check(answer: Any) -> Optional[str]:
        link = answer.get("obs_url") if isinstance(answer, dict) else None
        return None if isinstance(link, str) and link else "it has no obs_url"

    try:
        path = v2.jobs_path(client, job_id, "tasks", task_id, "logs", "url")
        answer = client.call(operation, "GET", path, check=check)
    except NotFound:
        path = v2.jobs_path(client, job_id, "logs", task_id)
        answer = client.call(operation, "GET", path, check=check)
    return str(answer["obs_url"])


def flavors(client: "ServiceClient", flavor_type: Optional[str] = None) -> List[Body]:
    """Return the flavors: ``GET /training-job-flavors``."""
    path = "/v2/%s/training-job-flavors" % client.project_id
    query = [] if flavor_type is None else [("flavor_type", flavor_type)]
    answer = client.call("list flavors", "GET", path, query, check=with_list("flavors"))
    return [entry for entry in answer["flavors"] if isinstance(entry, dict)]


def engines(client: "ServiceClient") -> List[Body]:
    """Return the preset engines: ``GET /training-job-engines``."""
    path = "/v2/%s/training-job-engines" % client.project_id
    answer = client.call("list engines", "GET", path, check=with_list("items"))
    return [entry for entry in answer["items"] if isinstance(entry, dict)]


# Answers ------------------------------------------------------------------------------------------


def fields(client: "ServiceClient", operation: str, job: Mapping[str, Any]) -> Body:
    """Return what is read of a training.

    Its ``raw`` is the training as it came, without the tokens of its endpoints.

    Raises:
        TransportError: a number is not one.
    """
    try:
        known = v2.flat(job)
        start = to_int(v2.part(job, "status").get("start_time"), "start_time")
    except ValueError as error:
        raise client.unreadable(operation, error) from None
    status = v2.part(job, "status")
    tasks = status.get("tasks")
    return {
        **{name: known[name] for name in _KEPT},
        "start_time": start,
        "tasks": [str(task) for task in tasks] if isinstance(tasks, list) else [],
        "reason": known.get("reason"),
        "raw": {**known["training_job"]},
    }


_KEPT = (
    "job_id",
    "job_name",
    "job_desc",
    "status",
    "create_time",
    "duration",
    "kind",
    "phase",
    "secondary_phase",
)


def documented(call: "Callable[[], _T]") -> "Union[_T, Body]":
    """Return what a call returns; of a refusal ``error_msg`` and ``error_code``."""
    try:
        return call()
    except ApiError as refusal:
        failure = refusal.as_dict()
        del failure["is_success"], failure["error_message"]  # v2 has neither
        return failure


def without_variables(known: Mapping[str, Any]) -> Body:
    """Return the fields of a training without the values of its variables, which may be secret."""
    raw = known.get("raw")
    if not isinstance(raw, Mapping) or not isinstance(raw.get("algorithm"), Mapping):
        return dict(known)
    algorithm = {name: value for name, value in raw["algorithm"].items() if name != "environments"}
    return {**known, "raw": {**raw, "algorithm": algorithm}}


def series(answer: Mapping[str, Any]) -> Dict[str, List[Optional[float]]]:
    """Return metrics by their names, with None for the -1 of a minute without a value."""
    metrics: Dict[str, List[Optional[float]]] = {}
    for entry in answer["metrics"]:
        values = entry.get("value") if isinstance(entry, Mapping) else None
        if isinstance(values, list):
            metrics[str(entry.get("metric"))] = [
                value if isinstance(value, (int, float)) and value >= 0 else None
                for value in values
            ]
    return metrics


# Arguments ----------------------------------------------------------------------------------------


def filters(phase: object, search_content: object) -> List[Mapping[str, Any]]:
    """Return the filters of a list.

    Raises:
        InvalidArgument: a phase is not known, or the text is too long.
    """
    terms: List[Mapping[str, Any]] = []
    if phase is not None:
        phases = [phase] if isinstance(phase, str) else phase
        if not isinstance(phases, Iterable):
            raise InvalidArgument("phase", phase, "one of " + ", ".join(PHASES))
        names = list(phases)
        if not names or any(name not in PHASES for name in names):
            raise InvalidArgument("phase", phase, "one of " + ", ".join(PHASES))
        terms.append(v2.job_filter("phase", names))
    if search_content is not None:
        if not isinstance(search_content, str) or len(search_content) > 64:
            raise InvalidArgument("search_content", search_content, "a text of 0 to 64 characters")
        if search_content:
            terms.append(v2.job_filter("name", [search_content], "like"))
    return terms


def statuses(until: object) -> List[JobStatus]:
    """Return the statuses to wait for; phases are their words.

    Raises:
        InvalidArgument: one is neither.
    """
    wanted = [until] if isinstance(until, (int, str)) else until
    if not isinstance(wanted, Iterable):
        raise InvalidArgument("until", until, _UNTIL)
    numbers = []
    for entry in wanted:
        status = PHASES.get(entry) if isinstance(entry, str) else entry
        if isinstance(status, bool) or not isinstance(status, int):
            raise InvalidArgument("until", until, _UNTIL)
        numbers.append(JobStatus(status))
    return numbers


def check_offers(client: "ServiceClient", request: TrainingRequest) -> None:
    """Raise InvalidArgument for a flavor or an engine that the service does not offer.

    A resource pool has flavors of its own, so those are left to the service. So is all else where
    the list cannot be had.
    """
    try:
        if request.train_instance_type is not None and request.pool_id is None:
            names = [str(entry.get("flavor_id")) for entry in flavors(client)]
            hint = name_hint(names, "--flavor %s" % request.train_instance_type)
            _check_offer("train_instance_type", request.train_instance_type, names, hint)
        if request.framework_type is not None:
            offered = engines(client)
            names = [str(entry.get("engine_name")) for entry in offered]
            hint = ""
            if request.framework_type not in names:
                known = [str(entry.get("flavor_id")) for entry in flavors(client)]
                hint = name_hint(known, "--engine %s=PYTHON" % request.framework_type)
            _check_offer("framework_type", request.framework_type, names, hint)
            versions = [
                str(entry.get("engine_version") or "")
                for entry in offered
                if entry.get("engine_name") == request.framework_type
            ]
            if "" not in versions:  # an engine of the local service may stand for all versions
                _check_offer("framework_version", str(request.framework_version), versions)
    except (ApiError, TransportError):
        return


def name_hint(flavor_ids: Sequence[str], option: str) -> str:
    """Return how the owner of a local service makes it take a name, with a semicolon before it.

    Args:
        flavor_ids: what the service offers; a cloud has no flavor ``local``, and gets no hint.
        option: the option of ``modelarts serve``.
    """
    if "local" not in flavor_ids:
        return ""
    return "; on a service of your own, 'modelarts serve %s' makes this name known" % option


def _check_offer(argument: str, value: str, offered: Sequence[str], hint: str = "") -> None:
    if offered and value not in offered:
        names = sorted(set(offered))
        more = ", … (%d)" % len(names) if len(names) > _SHOWN_NAMES else ""
        raise InvalidArgument(
            argument,
            value,
            worded(
                "one of %s%s, which this service offers (%s sends it all the same%s)",
                ", ".join(names[:_SHOWN_NAMES]),
                more,
                Worded("check=False", "--no-check"),
                hint,
            ),
        )


class _Calls:
    """The calls of this module, for those that make each of them happen once."""

    create = staticmethod(create)
    find = staticmethod(find)
    details = staticmethod(details)
    stop = staticmethod(stop)


CALLS = _Calls()
