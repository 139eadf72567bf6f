"""The v1 API of trainings, a short function for each operation.

Source: *ModelArts API Reference*, "Training Management (Old Version)". Arguments are checked by the
caller. Ids and other numbers come as numbers or as texts, and are returned as numbers.
"""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from modelarts._fields import no_confirmation, no_object, to_int, with_list
from modelarts.errors import InvalidArgument, NotFound
from modelarts.http.client import ServiceClient
from modelarts.training.v1_definition import Definition, part_of
from modelarts.visualization import once

Body = Dict[str, Any]

_NUMBERS = (
    "job_id",
    "version_id",
    "pre_version_id",
    "status",
    "create_time",
    "duration",
    "start_time",
    "version_count",
    "engine_type",
    "engine_id",
    "spec_id",
    "model_id",
    "gpu_num",
    "worker_server_num",
    "job_total_count",
    "job_count_limit",
    "quotas",
    "config_total_count",
    "model_total_count",
)
#: How many of the newest jobs of a name are looked at where the answer to a create was lost.
_FOUND = 100
#: The most lines of a log in one answer.
_LINES = 500
_PAGE = 100


# Jobs and versions ------------------------------------------------------------------------------


class _Creation(NamedTuple):
    """A create request of a job or version, and how the result is found if its answer is lost."""

    path: str
    body: Mapping[str, Any]
    job_name: str
    has_unique_name: bool
    subject: object
    operation: str
    search: Callable[[ServiceClient], List[Body]]


class _Creator:
    """The create call for :func:`modelarts.visualization.once.create`."""

    @staticmethod
    def create(client: ServiceClient, request: _Creation) -> Body:
        """Send the request once."""
        answer = client.call(
            request.operation, "POST", request.path, body=request.body, check=_no_version
        )
        return _numbers(client, request.operation, answer)

    @staticmethod
    def find(client: ServiceClient, request: _Creation) -> List[Body]:
        """Return the newest jobs or versions that the request may have created."""
        return request.search(client)


def create(client: ServiceClient, definition: Definition) -> Body:
    """Create a job with its first version: ``POST /training-jobs``."""
    name = str(definition.job_name)

    def search(client: ServiceClient) -> List[Body]:
        query = {"search_content": name, "sort_by": "create_time", "order": "desc"}
        jobs = page(client, {**query, "per_page": str(_FOUND)})["jobs"]
        return [job for job in jobs if job.get("job_name") == name]

    body: Body = {
        "job_name": name,
        "job_desc": definition.description,
        "config": _config(client, definition),
    }
    if definition.workspace_id is not None:
        body["workspace_id"] = definition.workspace_id
    request = _Creation(
        _path(client),
        body,
        name,
        definition.has_unique_name,
        definition.code_dir or definition.model_name or definition.user_image_url,
        "create training job",
        search,
    )
    return once.create(_Creator, client, request)


def create_version(
    client: ServiceClient, definition: Definition, job_id: str, pre_version_id: str
) -> Body:
    """Create a version: ``POST /training-jobs/{job_id}/versions``."""

    def search(client: ServiceClient) -> List[Body]:
        answer = versions(client, job_id)
        return [
            {**version, "job_id": answer["job_id"], "job_name": answer.get("job_name")}
            for version in answer["versions"]
            if str(version.get("pre_version_id")) == pre_version_id
        ]

    number = to_int(pre_version_id) if pre_version_id.isdigit() else pre_version_id
    body = {
        "job_desc": definition.description,
        "config": {**_config(client, definition), "pre_version_id": number},
    }
    request = _Creation(
        _path(client, job_id, "versions"),
        body,
        "a version of %s" % job_id,
        False,
        definition.code_dir or definition.model_name or definition.user_image_url,
        "create version of training job %s" % job_id,
        search,
    )
    return {"job_id": to_int(job_id), **once.create(_Creator, client, request)}


def page(client: ServiceClient, query: Mapping[str, str]) -> Body:
    """Return one page of jobs: ``GET /training-jobs``."""
    return _page(client, "list training jobs", _path(client), query, "jobs")


def details(client: ServiceClient, job_id: str, version_id: Optional[str]) -> Body:
    """Return the details of a version: ``GET /training-jobs/{job_id}/versions/{version_id}``.

    Without an id, of the newest version.
    """
    if version_id is None:
        version_id = _newest(client, job_id)
    operation = "show training job %s" % job_id
    answer = client.call(
        operation, "GET", _path(client, job_id, "versions", version_id), check=_no_details
    )
    return _numbers(client, operation, answer)


def versions(client: ServiceClient, job_id: str) -> Body:
    """Return a job with all its versions: ``GET /training-jobs/{job_id}/versions``."""
    operation = "list the versions of training job %s" % job_id
    answer = client.call(
        operation, "GET", _path(client, job_id, "versions"), check=with_list("versions")
    )
    shown = _numbers(client, operation, answer)
    shown.setdefault("job_id", to_int(job_id) if job_id.isdigit() else job_id)
    return shown


def stop(client: ServiceClient, job_id: str, version_id: str) -> Body:
    """Stop a version: ``POST /training-jobs/{job_id}/versions/{version_id}/stop``.

    Where the answer was lost its status shows whether it has to be sent again.
    """
    return once.stop(_Version(job_id), client, version_id)


class _Version:
    """The calls of one job's versions that a stop needs."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id

    def details(self, client: ServiceClient, job_id: str) -> Body:
        """Return the details of a version."""
        return details(client, self._job_id, job_id)

    def stop(self, client: ServiceClient, job_id: str) -> Body:
        """Send the request once."""
        path = _path(client, self._job_id, "versions", job_id, "stop")
        return _done(client, "stop training job %s" % self._job_id, "POST", path)


def delete_version(client: ServiceClient, job_id: str, version_id: str) -> Body:
    """Delete a version: ``DELETE /training-jobs/{job_id}/versions/{version_id}``."""
    path = _path(client, job_id, "versions", version_id)
    return _deleted(client, "delete a version of training job %s" % job_id, path)


def delete(client: ServiceClient, job_id: str) -> Body:
    """Delete a job with all its versions: ``DELETE /training-jobs/{job_id}``."""
    return _deleted(client, "delete training job %s" % job_id, _path(client, job_id))


def update(client: ServiceClient, job_id: str, description: str) -> Body:
    """Change the description: ``PUT /training-jobs/{job_id}``."""
    body = {"job_desc": description}
    operation = "update training job %s" % job_id
    return _done(client, operation, "PUT", _path(client, job_id), body)


# Logs -------------------------------------------------------------------------------------------


def log_names(client: ServiceClient, job_id: str, version_id: Optional[str]) -> Body:
    """Return the names of the log files: ``GET …/versions/{version_id}/log/file-names``."""
    version_id = version_id or _newest(client, job_id)
    operation = "list the log files of training job %s" % job_id
    path = _path(client, job_id, "versions", version_id, "log", "file-names")
    answer = dict(client.call(operation, "GET", path, check=no_object))
    names = answer.get("log_file_list")
    if isinstance(names, str):  # the type in the table of the reference
        names = [name for name in names.split(",") if name]
    return {**answer, "log_file_list": list(names or [])}


def log(
    client: ServiceClient,
    job_id: str,
    version_id: Optional[str],
    name: str,
    start: int,
    length: int,
) -> Body:
    """Return bytes of a log: ``GET …/versions/{version_id}/aom-log``.

    That call counts lines, and begins with the newest ones. So older ones are fetched, page by
    page, until the bytes are known.
    """
    version_id = version_id or _newest(client, job_id)
    operation = "show the log of training job %s" % job_id
    path = _path(client, job_id, "versions", version_id, "aom-log")
    content, position = b"", None
    while True:
        query = [("log_file", name), ("lines", str(_LINES))]
        if position is not None:
            query += [("base_line", position), ("order", "asc")]
        answer = client.call(operation, "GET", path, query, check=no_object)
        text = answer.get("content") or ""
        if not isinstance(text, str):
            raise client.unreadable(operation, "its content is no text")
        if text and content and not text.endswith("\n"):
            text += "\n"
        content = text.encode("utf-8", "surrogatepass") + content
        before = str(answer.get("start_line") or "")
        if start == -1 and len(content) >= abs(length):
            break
        if not text or not before or before == position:
            break
        position = before
    return part_of(content, 0, len(content), start, length)


# Resources --------------------------------------------------------------------------------------


def flavors(client: ServiceClient) -> List[str]:
    """Return the codes of the resource flavors: ``GET /job/resource-specs``."""
    return [str(spec.get("spec_code")) for spec in _specs(client)]


def engines(client: ServiceClient) -> List[Body]:
    """Return the names and versions of the engines: ``GET /job/ai-engines``."""
    return [
        {
            "framework_type": engine.get("engine_name"),
            "framework_version": engine.get("engine_version"),
        }
        for engine in _engines(client)
    ]


def algorithms(client: ServiceClient) -> Body:
    """Return all built-in algorithms: ``GET /built-in-algorithms``."""
    path = "/v1/%s/built-in-algorithms" % client.project_id
    models: List[Body] = []
    number, answer = 1, {}
    while True:
        query = {"per_page": str(_PAGE), "page": str(number)}
        answer = _page(client, "list built-in algorithms", path, query, "models")
        models += answer["models"]
        if len(answer["models"]) < _PAGE:
            return {**answer, "models": models, "model_total_count": len(models)}
        number += 1


def _specs(client: ServiceClient) -> List[Body]:
    path = "/v1/%s/job/resource-specs" % client.project_id
    return _listed(client, "list resource flavors", path, "specs")


def _engines(client: ServiceClient) -> List[Body]:
    path = "/v1/%s/job/ai-engines" % client.project_id
    return _listed(client, "list engines", path, "engines")


def _listed(client: ServiceClient, operation: str, path: str, name: str) -> List[Body]:
    query = [("job_type", "train")]
    answer = client.call(operation, "GET", path, query, check=with_list(name))
    return [entry for entry in answer[name] if isinstance(entry, dict)]


# Parameter configurations -----------------------------------------------------------------------


def create_config(
    client: ServiceClient, definition: Definition, name: str, description: str
) -> Body:
    """Create a parameter configuration: ``POST /training-job-configs``."""
    body = {"config_name": name, "config_desc": description, **_config(client, definition)}
    operation = "create parameter configuration %s" % name
    return _done(client, operation, "POST", _configs_path(client), body)


def configs(client: ServiceClient, query: Mapping[str, str]) -> Body:
    """Return one page of parameter configurations: ``GET /training-job-configs``."""
    operation = "list parameter configurations"
    return _page(client, operation, _configs_path(client), query, "configs")


def config(client: ServiceClient, name: str) -> Body:
    """Return a parameter configuration: ``GET /training-job-configs/{config_name}``."""
    operation = "show parameter configuration %s" % name
    answer = client.call(operation, "GET", _configs_path(client, name), check=no_object)
    return _numbers(client, operation, answer)


def update_config(
    client: ServiceClient, definition: Definition, name: str, description: str
) -> Body:
    """Change a parameter configuration: ``PUT /training-job-configs/{config_name}``."""
    body = {"config_desc": description, **_config(client, definition)}
    operation = "update parameter configuration %s" % name
    return _done(client, operation, "PUT", _configs_path(client, name), body)


def delete_config(client: ServiceClient, name: str) -> Body:
    """Delete a parameter configuration: ``DELETE /training-job-configs/{config_name}``."""
    operation = "delete parameter configuration %s" % name
    return _deleted(client, operation, _configs_path(client, name))


# Inside -----------------------------------------------------------------------------------------


def _config(client: ServiceClient, definition: Definition) -> Body:
    """Return the ``config`` of a create request, in which names have become ids."""
    body: Body = {"worker_server_num": definition.instance_count}
    if definition.model_name is not None:
        body["model_id"] = _find(
            "model_name",
            definition.model_name,
            {str(each.get("model_name")): each for each in algorithms(client)["models"]},
            "model_id",
            "Estimator.get_built_in_algorithms(session)",
        )
    elif definition.code_dir is not None:
        body["app_url"] = definition.code_dir
        body["boot_file_url"] = "%s%s" % (definition.code_dir, definition.boot_file)
    if definition.framework_type is not None:
        body["engine_id"] = _find(
            "framework_version",
            "%s %s" % (definition.framework_type, definition.framework_version),
            {
                "%s %s" % (each.get("engine_name"), each.get("engine_version")): each
                for each in _engines(client)
            },
            "engine_id",
            "Estimator.get_framework_list(session)",
        )
    if definition.instance_type is not None:
        specs = {str(each.get("spec_code")): each for each in _specs(client)}
        # A pool may have flavors of its own, which the list does not show.
        if definition.pool_id is None or definition.instance_type in specs:
            body["spec_id"] = _find(
                "train_instance_type",
                definition.instance_type,
                specs,
                "spec_id",
                "Estimator.get_train_instance_types(session)",
            )
    fields: Mapping[str, object] = {
        "parameter": [{"label": label, "value": value} for label, value in definition.parameters],
        "data_url": definition.inputs,
        "dataset_id": definition.dataset_id,
        "dataset_version_id": definition.dataset_version_id,
        "data_source": [dict(source) for source in definition.data_source] or None,
        "train_url": definition.output_path,
        "log_url": definition.log_url,
        "user_image_url": definition.user_image_url,
        "user_command": definition.user_command,
        "pool_id": definition.pool_id,
    }
    body.update((name, value) for name, value in fields.items() if value is not None)
    return body


def _find(argument: str, value: str, known: Mapping[str, Body], field: str, call: str) -> object:
    """Return the id of what has a name.

    Raises:
        InvalidArgument: the service has nothing of that name.
    """
    if value in known:
        return known[value].get(field)
    shown = ", ".join(sorted(known)[:20])
    raise InvalidArgument(argument, value, "one of %s: %s" % (call, shown or "there is none"))


def _newest(client: ServiceClient, job_id: str) -> str:
    entries = versions(client, job_id)["versions"]
    if not entries:
        raise InvalidArgument("version_id", None, "given: job %s shows no versions" % job_id)
    return str(max(entries, key=lambda entry: entry.get("create_time") or 0)["version_id"])


def _page(
    client: ServiceClient, operation: str, path: str, query: Mapping[str, str], name: str
) -> Body:
    sent = {client.sort_parameter if key == "sort_by" else key: query[key] for key in query}
    answer = client.call(operation, "GET", path, sent.items(), check=with_list(name))
    return _numbers(client, operation, answer)


def _numbers(client: ServiceClient, operation: str, answer: Mapping[str, Any]) -> Body:
    """Return an answer whose documented numbers are numbers, in its lists too."""
    shown: Body = dict(answer)
    try:
        for name in _NUMBERS:
            if name in shown:
                shown[name] = to_int(shown[name], name)
    except ValueError as error:
        raise client.unreadable(operation, error) from None
    for name in ("jobs", "versions", "configs", "models"):
        if isinstance(shown.get(name), list):
            entries = [entry for entry in shown[name] if isinstance(entry, dict)]
            shown[name] = [_numbers(client, operation, entry) for entry in entries]
    return shown


def _done(
    client: ServiceClient, operation: str, method: str, path: str, body: Optional[Body] = None
) -> Body:
    answer = client.call(operation, method, path, body=body, check=no_confirmation)
    return dict(answer or {})


def _deleted(client: ServiceClient, operation: str, path: str) -> Body:
    try:
        return _done(client, operation, "DELETE", path)
    except NotFound as error:
        # Sent again because an answer was lost: the first one did it.
        if error.attempts > 1:
            return {}
        raise


def _no_version(answer: Any) -> Optional[str]:
    if not isinstance(answer, dict) or not answer.get("job_id"):
        return "it has no job_id"
    return None if answer.get("version_id") else "it has no version_id"


def _no_details(answer: Any) -> Optional[str]:
    if not isinstance(answer, dict):
        return "it is not a JSON object"
    return None if "status" in answer else "it is not about a version of a training job"


def _path(client: ServiceClient, *parts: str) -> str:
    return "/".join(("/v1/%s/training-jobs" % client.project_id, *parts))


def _configs_path(client: ServiceClient, *parts: str) -> str:
    return "/".join(("/v1/%s/training-job-configs" % client.project_id, *parts))
