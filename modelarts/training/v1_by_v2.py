"""The operations of the V1 Estimator by the v2 API, where there is no v1 API of trainings.

A job of v2 has no versions. The first version of a job is a job of v2, and its id is that of both.
A later version is another job of v2, whose variables name the first one. A service that does not
return variables shows such versions as jobs of their own, which can still be used by their ids.
What v2 does not have (parameter configurations, built-in algorithms) is refused.
"""

import re
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Sequence, Tuple

from modelarts._fields import to_int
from modelarts.errors import InvalidArgument, NotFound, api_error
from modelarts.http.client import NO_SUCH_API, ServiceClient
from modelarts.training import v2
from modelarts.training.params import InputData, OutputData
from modelarts.training.request import TrainingRequest
from modelarts.training.v1_definition import (
    DATA,
    NUM_GPUS,
    OUTPUT,
    REST,
    Definition,
    part_of,
    wanted,
)
from modelarts.visualization import once
from modelarts.visualization.v2 import job_filter, part, sortable

Body = Dict[str, Any]

#: The variables of a later version: the id of the job, and that of the version before it.
_JOB, _BEFORE = "V1_JOB_ID", "V1_PRE_VERSION_ID"
_SUFFIX = r"(.*)-(V[0-9]{4,})\Z"
_LONGEST_NAME = 64
_LOG = "modelarts-job-%s-%s.log"
_ENGINES = {
    "TensorFlow": 1,
    "MXNet": 2,
    "Ray": 3,
    "Caffe": 4,
    "Spark_MLlib": 5,
    "XGBoost-Sklearn": 9,
    "PyTorch": 10,
    "Horovod": 12,
}


# Jobs and versions ------------------------------------------------------------------------------


def create(client: ServiceClient, definition: Definition) -> Body:
    """Create a job, which is its first version as well."""
    request = _request(client, definition, str(definition.job_name), {})
    job = once.create(v2.CALLS, client, request)
    return _created(job, str(job["job_id"]), str(definition.job_name), "V0001")


def create_version(
    client: ServiceClient, definition: Definition, job_id: str, pre_version_id: str
) -> Body:
    """Create a job of the name of another with ``-V0002``, ``-V0003`` and so on behind it."""
    family = _family(client, job_id)
    if all(job["job_id"] != pre_version_id for job in family):
        family.append(_member(client, job_id, pre_version_id, "pre_version_id"))
    first = _first_id(family)
    number = 1 + max(int(_version_name(job, first)[1:]) for job in family)
    version = "V%04d" % max(number, len(family) + 1)
    base = _base_name(family[0])
    name = "%s-%s" % (base[: _LONGEST_NAME - 1 - len(version)], version)
    marks = {_JOB: first, _BEFORE: pre_version_id}
    job = once.create(v2.CALLS, client, _request(client, definition, name, marks))
    return _created(job, first, base, version)


def page(client: ServiceClient, query: Mapping[str, str]) -> Body:
    """Return one page of jobs with their newest versions.

    Versions belong together, so all jobs are read.
    """
    filters: List[Mapping[str, Any]] = []
    if query.get("search_content"):
        filters.append(job_filter("name", [query["search_content"]], "like"))
    families: Dict[str, List[Body]] = {}
    for job in v2.iterate(client, filters, "asc"):
        families.setdefault(_marks(job).get(_JOB) or job["job_id"], []).append(job)
    jobs = []
    for job_id, family in families.items():
        newest = family[-1]
        jobs.append(
            {
                "job_id": job_id,
                "job_name": _base_name(family[0]),
                "version_id": newest["job_id"],
                "status": newest["status"],
                "create_time": family[0]["create_time"],
                "duration": newest["duration"],
                "job_desc": family[0]["job_desc"],
                "version_count": len(family),
                "engine_type": _engine(newest)["engine_type"],
            }
        )
    if query.get("status"):
        jobs = [job for job in jobs if str(job["status"]) in query["status"].split("|")]
    key, order = query.get("sort_by", "job_name"), query.get("order", "desc")
    jobs.sort(key=lambda job: sortable(job.get(key)), reverse=order == "desc")
    per_page, number = int(query.get("per_page", "10")), int(query.get("page", "1"))
    return {
        "job_total_count": len(jobs),
        "job_count_limit": None,
        "quotas": None,
        "jobs": jobs[(number - 1) * per_page : number * per_page],
    }


def details(client: ServiceClient, job_id: str, version_id: Optional[str]) -> Body:
    """Return the details of a version; without an id, of the newest one."""
    if version_id is None:
        job = _family(client, job_id)[-1]
    else:
        job = _member(client, job_id, version_id)
    return {
        "job_id": job_id,
        "job_name": _base_name(job, job_id),
        "job_desc": job["job_desc"],
        **_version(job, job_id),
    }


def versions(client: ServiceClient, job_id: str) -> Body:
    """Return a job with all its versions, the newest first."""
    family = _family(client, job_id)
    return {
        "job_id": _first_id(family),
        "job_name": _base_name(family[0]),
        "job_desc": family[0]["job_desc"],
        "version_count": len(family),
        "versions": [_version(job, None) for job in reversed(family)],
    }


def stop(client: ServiceClient, job_id: str, version_id: str) -> Body:
    """Stop a version; where the answer was lost, its status shows if that has to be repeated."""
    _member(client, job_id, version_id)
    once.stop(v2.CALLS, client, version_id)
    return {}


def delete_version(client: ServiceClient, job_id: str, version_id: str) -> Body:
    """Delete a version."""
    _member(client, job_id, version_id)
    v2.delete(client, version_id)
    return {}


def delete(client: ServiceClient, job_id: str) -> Body:
    """Delete a job with all its versions."""
    for job in reversed(_family(client, job_id)):
        v2.delete(client, job["job_id"])
    return {}


def update(client: ServiceClient, job_id: str, description: str) -> Body:
    """Change the description of a job."""
    v2.update(client, _family(client, job_id)[0]["job_id"], description)
    return {}


# Logs -------------------------------------------------------------------------------------------


def log_names(client: ServiceClient, job_id: str, version_id: Optional[str]) -> Body:
    """Return the names of the log objects, one for each node."""
    version = version_id or _family(client, job_id)[-1]["job_id"]
    job = v2.details(client, version)
    names = [_LOG % (version, task) for task in job["tasks"] or [v2.TASK]]
    return {"log_file_list": names}


def log(
    client: ServiceClient,
    job_id: str,
    version_id: Optional[str],
    name: str,
    start: int,
    length: int,
) -> Body:
    """Return bytes of a log: of its newest part, or by the link to it."""
    version = version_id or _family(client, job_id)[-1]["job_id"]
    match = re.match(re.escape(_LOG % (version, "\n")).replace("\\\n", r"([\w.-]+)") + r"\Z", name)
    if match is None:
        raise InvalidArgument("log_file", name, "one of get_job_log_file_list()")
    task = match.group(1)
    preview = v2.log_preview(client, version, task)
    content, size = _newest_part(preview)
    first = size - len(content)
    begin, end = wanted(size, start, length)
    if begin < first and begin < end:
        link = v2.log_link(client, version, task)
        operation = "show the log of training job %s" % version
        first, content = begin, client.read_link(link, begin, end - begin + REST, operation) or b""
    return part_of(content, first, size, start, length)


def _newest_part(preview: Mapping[str, Any]) -> Tuple[bytes, int]:
    """Return the last bytes of a log as far as they are known, and the size of the log."""
    text = str(preview.get("content") or "").lstrip("\ufffd")  # a character that was cut
    content = text.encode("utf-8", "surrogatepass")
    size = to_int(preview.get("current_size"))
    if size is not None and not 0 <= size - len(content) <= REST:
        content = b""  # bytes that are no text were replaced, and cannot be counted
    return content, max(to_int(preview["full_size"]) or 0, len(content))


# Resources --------------------------------------------------------------------------------------


def flavors(client: ServiceClient) -> List[str]:
    """Return the ids of the flavors."""
    return [str(flavor.get("flavor_id")) for flavor in v2.flavors(client)]


def engines(client: ServiceClient) -> List[Body]:
    """Return the names and versions of the engines."""
    return [
        {
            "framework_type": engine.get("engine_name"),
            "framework_version": engine.get("engine_version"),
        }
        for engine in v2.engines(client)
    ]


def algorithms(client: ServiceClient) -> NoReturn:
    """Raise NotFound: v2 has no built-in algorithms."""
    raise _missing(
        "list built-in algorithms",
        "The v2 API has no built-in algorithms. Subscribe to one in AI Gallery, or give code_dir "
        "and boot_file, or user_image_url",
    )


def no_configs(client: ServiceClient, *arguments: object) -> NoReturn:
    """Raise NotFound: v2 has no parameter configurations."""
    raise _missing(
        "use parameter configurations",
        "The v2 API has no parameter configurations. Keep the arguments in your program, and give "
        "them to Estimator(…) and fit(…)",
    )


create_config = configs = config = update_config = delete_config = no_configs


def _missing(operation: str, message: str) -> Exception:
    return api_error(message, status_code=404, error_code=NO_SUCH_API, operation=operation)


# Inside -----------------------------------------------------------------------------------------


def _request(
    client: ServiceClient, definition: Definition, name: str, marks: Mapping[str, str]
) -> TrainingRequest:
    """Return the request of v2 for a definition.

    Raises:
        InvalidArgument: the definition needs what v2 does not have.
    """
    if definition.model_name is not None:
        raise InvalidArgument(
            "model_name",
            definition.model_name,
            "left out, as the v2 API has no built-in algorithms: give code_dir and boot_file, or "
            "user_image_url",
        )
    parameters = dict(definition.parameters)
    variables = dict(marks)
    if definition.user_image_url is not None:
        # With an image, v1 makes them variables of the container.
        variables.update(parameters)
        parameters = {}
    else:
        count = _gpus(client, definition)
        if count is not None:
            parameters.setdefault(NUM_GPUS, str(count))
    outputs = []
    if definition.output_path is not None:
        outputs.append(OutputData(definition.output_path, OUTPUT))
    return TrainingRequest.validate(
        job_name=name,
        job_description=definition.description,
        code_dir=definition.code_dir,
        boot_file=definition.boot_file,
        framework_type=definition.framework_type,
        framework_version=definition.framework_version,
        user_image_url=definition.user_image_url,
        user_command=definition.user_command,
        parameters=parameters,
        inputs=[_data(definition)],
        outputs=outputs,
        train_instance_type=definition.instance_type,
        train_instance_count=definition.instance_count,
        pool_id=definition.pool_id,
        log_url=definition.log_url,
        env_variables=variables,
        workspace_id=definition.workspace_id,
    )


def _data(definition: Definition) -> InputData:
    """Return the data as an input."""
    if definition.inputs is not None:
        return InputData("obs:/" + definition.inputs, DATA)
    dataset, version = definition.dataset_id, definition.dataset_version_id
    sources = definition.data_source
    if dataset is None and len(sources) == 1:
        url = sources[0].get("data_url")
        if sources[0].get("type") == "obs" and url:
            return InputData("obs:/%s" % url, DATA)
        dataset, version = sources[0].get("dataset_id"), sources[0].get("dataset_version")
    if dataset is None:
        raise InvalidArgument(
            "data_source",
            list(sources),
            "one source, a path in OBS or a dataset: the v2 API has one input for each",
        )
    return InputData(name=DATA, dataset_id=dataset, dataset_version_id=version)


def _gpus(client: ServiceClient, definition: Definition) -> Optional[int]:
    """Return the number of GPUs of a flavor; None if it is not known.

    Raises:
        InvalidArgument: the service has no such flavor.
    """
    known = {str(flavor.get("flavor_id")): flavor for flavor in v2.flavors(client)}
    if definition.instance_type is None:
        return None
    if definition.instance_type not in known:
        if definition.pool_id is not None or not known:
            return None  # a pool has flavors of its own
        raise InvalidArgument(
            "train_instance_type",
            definition.instance_type,
            "one of Estimator.get_train_instance_types(session): %s%s"
            % (
                ", ".join(sorted(known)[:20]),
                v2.name_hint(sorted(known), "--flavor %s" % definition.instance_type),
            ),
        )
    flavor = known[definition.instance_type]
    gpu = part(part(flavor, "flavor_info"), "gpu")
    try:
        return to_int(gpu.get("unit_num"), "unit_num") or 0
    except ValueError:
        return None


def _family(client: ServiceClient, job_id: str) -> List[Body]:
    """Return the versions of a job, the oldest first.

    Raises:
        NotFound: there is none.
    """
    try:
        first = v2.details(client, job_id)
    except NotFound as error:
        # The first version may have been deleted.
        later = [job for job in v2.iterate(client, [], "asc") if _marks(job).get(_JOB) == job_id]
        if not later:
            raise error
        return later
    owner = _marks(first).get(_JOB)
    if owner is not None:
        return _family(client, owner)
    stem = first["job_name"][: _LONGEST_NAME - len("-V0002")]
    named = v2.iterate(client, [job_filter("name", [stem + "-V"], "like")], "asc")
    return [first, *(job for job in named if _marks(job).get(_JOB) == job_id)]


def _member(
    client: ServiceClient, job_id: str, version_id: str, argument: str = "version_id"
) -> Body:
    """Return a version of a job.

    Raises:
        InvalidArgument: it is a version of another job, or another job.
    """
    job = v2.details(client, version_id)
    owner = _marks(job).get(_JOB)
    # Where variables are not returned, a name as versions have it has to do.
    belongs = owner == job_id or (owner is None and _version_name(job, job_id) != "V0001")
    if version_id != job_id and not belongs:
        raise InvalidArgument(argument, version_id, "a version of job %s" % job_id)
    return job


def _marks(job: Mapping[str, Any]) -> Dict[str, str]:
    """Return the variables of a job: documented as a map in requests, in responses as a list."""
    variables = part(part(job, "raw"), "algorithm").get("environments")
    maps = variables if isinstance(variables, list) else [variables]
    return {name: str(each[name]) for each in maps if isinstance(each, Mapping) for name in each}


def _first_id(family: Sequence[Body]) -> str:
    return str(_marks(family[0]).get(_JOB) or family[0]["job_id"])


def _parts_of_name(job: Body, job_id: Optional[str]) -> Tuple[str, str]:
    """Return the name of the job that a version belongs to, and the name of the version.

    Args:
        job_id: the id of the job, where it is known otherwise than by the variables.
    """
    is_later = _JOB in _marks(job) or job_id not in (None, job["job_id"])
    match = re.match(_SUFFIX, job["job_name"]) if is_later else None
    return (match.group(1), match.group(2)) if match else (str(job["job_name"]), "V0001")


def _version_name(job: Body, job_id: Optional[str] = None) -> str:
    return _parts_of_name(job, job_id)[1]


def _base_name(job: Body, job_id: Optional[str] = None) -> str:
    return _parts_of_name(job, job_id)[0]


def _created(job: Body, job_id: str, name: str, version: str) -> Body:
    return {
        "job_id": job_id,
        "job_name": name,
        "status": job["status"],
        "create_time": job["create_time"],
        "version_id": job["job_id"],
        "version_name": version,
    }


def _engine(job: Body) -> Body:
    engine = part(part(part(job, "raw"), "algorithm"), "engine")
    return {
        "engine_type": _ENGINES.get(str(engine.get("engine_name"))),
        "engine_name": engine.get("engine_name"),
        "engine_id": engine.get("engine_id"),
        "engine_version": engine.get("engine_version"),
    }


def _version(job: Body, job_id: Optional[str]) -> Body:
    """Return a job of v2 in the form of a version of v1; what v2 does not tell is None."""
    algorithm, spec = part(job["raw"], "algorithm"), part(job["raw"], "spec")
    resource, engine = part(spec, "resource"), part(algorithm, "engine")
    parameters = algorithm.get("parameters")
    data = _remote(algorithm.get("inputs"), DATA)
    output = _remote(algorithm.get("outputs"), OUTPUT)
    dataset = part(data, "dataset")
    flavor = part(part(resource, "flavor_detail"), "flavor_info")
    return {
        "version_id": job["job_id"],
        "version_name": _version_name(job, job_id),
        "pre_version_id": _marks(job).get(_BEFORE),
        **_engine(job),
        "status": job["status"],
        "app_url": _path(algorithm.get("code_dir")),
        "boot_file_url": _path(algorithm.get("boot_file")),
        "create_time": job["create_time"],
        "start_time": job["start_time"],
        "parameter": [
            {"label": entry.get("name"), "value": entry.get("value")}
            for entry in (parameters if isinstance(parameters, list) else [])
            if isinstance(entry, dict)
        ],
        "duration": job["duration"],
        "spec_id": None,
        "spec_code": resource.get("flavor_id"),
        "core": part(flavor, "cpu").get("core_num"),
        "cpu": part(flavor, "memory").get("size"),
        "gpu_num": part(flavor, "gpu").get("unit_num"),
        "gpu_type": part(flavor, "gpu").get("product_name"),
        "worker_server_num": resource.get("node_count"),
        "data_url": _path(part(data, "obs").get("obs_url")),
        "train_url": _path(part(output, "obs").get("obs_url")),
        "log_url": _path(part(spec, "log_export_path").get("obs_url")),
        "dataset_version_id": dataset.get("version_id"),
        "dataset_id": dataset.get("id"),
        "data_source": [],
        "model_id": None,
        "model_metric_list": [],
        "system_metric_list": [],
        "user_image_url": engine.get("image_url"),
        "user_command": algorithm.get("command"),
        "pool_id": resource.get("pool_id"),
        "reason": job.get("reason"),
    }


def _remote(channels: object, name: str) -> Mapping[str, Any]:
    """Return where the data of an input or an output is; empty if there is none of the name."""
    for channel in channels if isinstance(channels, list) else ():
        if isinstance(channel, dict) and channel.get("name") == name:
            return part(channel, "remote")
    return {}


def _path(url: object) -> Optional[str]:
    """Return ``/bucket/path`` for a URL."""
    if not isinstance(url, str) or not url:
        return None
    return url[len("obs:/") :] if url.startswith("obs://") else url
