"""The definition of a training, as the v2 API sends it.

Source: *ModelArts API Reference*, "Creating a Training Job".
"""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence

import attr

from modelarts import validation as arguments
from modelarts.errors import InvalidArgument
from modelarts.local.errors import TrainingFailure

_CODE = "ModelArts.0104"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_HOME = "/home/"
_MAX_ENTRIES = 100
_MAX_TEXT = 4096
_MAX_HOURS = 720


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Data:
    """A folder in OBS that a training reads or writes.

    Attributes:
        name: the name of its parameter, or of its variable.
        folder: ``/bucket/folder/``.
        as_variable: its path is in the variable of that name, not in a parameter.
    """

    name: str
    folder: str
    as_variable: bool = False


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Engine:
    """An engine, as a definition names it."""

    engine_id: str | None = None
    name: str | None = None
    version: str | None = None


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Definition:
    """The program of a training, its inputs and its outputs.

    Attributes:
        boot_file: the path of the boot file in ``code_dir``.
        log_folder: the folder in OBS for its log; None: it has none.
        summary_folder: the folder in OBS with its event files; None: it has none.
        hours: after so many it is stopped.
    """

    name: str
    description: str
    code_dir: str
    boot_file: str
    engine: Engine
    parameters: Sequence[tuple[str, str]]
    inputs: Sequence[Data]
    outputs: Sequence[Data]
    environments: Mapping[str, str]
    local_code_dir: str | None
    working_dir: str | None
    flavor: str | None
    log_folder: str | None
    summary_folder: str | None
    hours: int | None


def illegal(message: str, solution: str) -> TrainingFailure:
    """Return the refusal of a wrong value."""
    return TrainingFailure(400, _CODE, message, solution)


def read(body: Mapping[str, Any]) -> Definition:
    """Return the definition in the body of a request.

    Raises:
        TrainingFailure: a value is wrong, or is nothing that this service has.
    """
    metadata = _part(body, "metadata")
    algorithm = _part(body, "algorithm")
    spec = _part(body, "spec")
    resource = _part(spec, "resource")
    _refuse_what_is_not_here(algorithm, spec, resource)
    try:
        name = arguments.job_name(metadata.get("name"), "v2")
        description = arguments.job_desc(metadata.get("description") or "")
    except InvalidArgument as error:
        raise illegal(str(error), f"It must be {error.allowed}.") from None
    code_dir = _folder(algorithm.get("code_dir"), "algorithm.code_dir")
    outputs = [_data(entry, "outputs") for entry in _entries(algorithm, "outputs")]
    inputs = [_data(entry, "inputs") for entry in _entries(algorithm, "inputs")]
    for kind, data in (("inputs", inputs), ("outputs", outputs)):
        names = [each.name for each in data]
        twice = next((each for each in names if names.count(each) > 1), None)
        if twice is not None:
            raise illegal(f"Two {kind} have the name {twice}.", "Give each a name of its own.")
    log = _part(spec, "log_export_path").get("obs_url")
    summary = _part(algorithm, "summary")
    folder = _part(_part(summary, "log_dir"), "pfs").get("pfs_path")
    if summary and not folder:
        raise illegal(
            "algorithm.summary has no log_dir.pfs.pfs_path.",
            "Give the folder of the event files, such as obs://bucket/summary/.",
        )
    return Definition(
        name=name,
        description=description,
        code_dir=code_dir,
        boot_file=_boot_file(algorithm.get("boot_file"), code_dir),
        engine=_engine(_part(algorithm, "engine")),
        parameters=_parameters(algorithm),
        inputs=inputs,
        outputs=outputs,
        environments=_environments(algorithm),
        local_code_dir=_home(algorithm, "local_code_dir"),
        working_dir=_home(algorithm, "working_dir"),
        flavor=_optional_text(resource.get("flavor_id"), "flavor_id"),
        log_folder=_folder(log, "log_export_path.obs_url") if log else None,
        summary_folder=_folder(folder, "summary.log_dir") if folder else None,
        hours=_hours(_part(spec, "auto_stop")),
    )


def _refuse_what_is_not_here(
    algorithm: Mapping[str, Any], spec: Mapping[str, Any], resource: Mapping[str, Any]
) -> None:
    if algorithm.get("id") or algorithm.get("subscription_id"):
        raise illegal(
            "This service manages no algorithms.", "Give algorithm.code_dir and boot_file."
        )
    if _part(algorithm, "engine").get("image_url") or algorithm.get("command"):
        raise illegal(
            "This service runs no container images, so neither image_url nor command can be used.",
            "Give an engine of GET /training-job-engines, code_dir and boot_file.",
        )
    if resource.get("pool_id"):
        raise illegal("This service has no resource pools.", "Leave pool_id out.")
    if resource.get("node_count", 1) not in (1, "1"):
        raise illegal("This service has one node.", "Give node_count: 1.")
    if spec.get("volumes"):
        raise illegal("This service mounts no volumes.", "Give inputs and outputs instead.")
    if _part(algorithm, "summary").get("data_sources"):
        raise illegal(
            "A training of this service has no board of its own.",
            "Create a visualization_job whose data_sources name the training.",
        )


def _boot_file(value: object, code_dir: str) -> str:
    path = _text(value, "algorithm.boot_file")
    for prefix in ("obs://", "s3://"):
        if path.startswith(prefix):
            path = "/" + path[len(prefix) :]
    inside = path[len(code_dir) :] if path.startswith(code_dir) else path
    parts = inside.split("/")
    if inside.startswith("/") or ".." in parts or not parts[-1]:
        raise illegal(
            f"The boot file {_short(value)} is not in the code folder {code_dir}.",
            f"Give the path of a file in it, such as {code_dir}train.py.",
        )
    return inside


def _data(entry: object, kind: str) -> Data:
    fields = _object(entry, f"An entry of {kind}")
    name = _text(fields.get("name"), f"The name of an entry of {kind}")
    if not _NAME.match(name):
        raise illegal(
            f"The name {_short(name)} of an entry of {kind} is illegal.",
            "Give 1 to 64 letters, digits, underscores, hyphens or full stops.",
        )
    method = fields.get("access_method") or "parameter"
    if method not in ("parameter", "env"):
        raise illegal(f"access_method is {_short(method)}", "Give parameter or env.")
    if method == "env" and not _VARIABLE.match(name):
        raise illegal(f"{_short(name)} is no name of a variable.", "Give letters, digits and _.")
    remote = _part(fields, "remote")
    url = (_part(remote, "obs") or _part(remote, "dataset")).get("obs_url")
    return Data(name, _folder(url, f"The obs_url of {name}"), method == "env")


def _parameters(algorithm: Mapping[str, Any]) -> list[tuple[str, str]]:
    parameters = []
    for entry in _entries(algorithm, "parameters"):
        fields = _object(entry, "A parameter")
        name = _text(fields.get("name"), "The name of a parameter")
        value = fields.get("value")
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise illegal(f"The value of the parameter {_short(name)} is no text.", "Give a text.")
        text = str(value)
        if "\0" in name + text or len(text) > _MAX_TEXT:
            raise illegal(f"The parameter {_short(name)} is no argument.", "Give a shorter text.")
        parameters.append((name, text))
    return parameters


def _environments(algorithm: Mapping[str, Any]) -> dict[str, str]:
    variables = _part(algorithm, "environments")
    if len(variables) > _MAX_ENTRIES:
        raise illegal("There are too many environments.", f"Give at most {_MAX_ENTRIES}.")
    for name, value in variables.items():
        if not _VARIABLE.match(name):
            raise illegal(f"{_short(name)} is no name of a variable.", "Give letters, digits, _.")
        if not isinstance(value, str) or "\0" in value or len(value) > _MAX_TEXT:
            raise illegal(f"The value of the variable {name} is no text.", "Give a text.")
    return dict(variables)


def _engine(fields: Mapping[str, Any]) -> Engine:
    return Engine(
        _optional_text(fields.get("engine_id"), "engine_id"),
        _optional_text(fields.get("engine_name"), "engine_name"),
        _optional_text(fields.get("engine_version"), "engine_version"),
    )


def _home(algorithm: Mapping[str, Any], name: str) -> str | None:
    path = _optional_text(algorithm.get(name), name)
    if path is None:
        return None
    if not path.startswith(_HOME) or ".." in path.split("/"):
        raise illegal(f"{name} is {_short(path)}", f"Give a folder below {_HOME}.")
    return path


def _hours(auto_stop: Mapping[str, Any]) -> int | None:
    if not auto_stop:
        return None
    if auto_stop.get("time_unit", "HOURS") != "HOURS":
        raise illegal(f"time_unit is {_short(auto_stop.get('time_unit'))}", "Give HOURS.")
    hours = auto_stop.get("duration")
    if not isinstance(hours, int) or isinstance(hours, bool) or not 1 <= hours <= _MAX_HOURS:
        raise illegal(
            f"auto_stop.duration is {_short(hours)}", f"Give a number from 1 to {_MAX_HOURS}."
        )
    return hours


def _folder(value: object, name: str) -> str:
    path = "obs" + value[2:] if isinstance(value, str) and value.startswith("s3://") else value
    try:
        return arguments.train_url(path)
    except InvalidArgument:
        raise illegal(
            f"{name} is {_short(value)}", "Give a folder in OBS, such as obs://bucket/folder/."
        ) from None


def _entries(algorithm: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = algorithm.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > _MAX_ENTRIES:
        raise illegal(f"{name} is no list of at most {_MAX_ENTRIES}.", f"Give {name}: […].")
    return value


def _optional_text(value: object, name: str) -> str | None:
    return None if value in (None, "") else _text(value, name)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT or "\0" in value:
        raise illegal(f"{name} is {_short(value)}", "Give a text.")
    return value


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    return {} if value is None else _object(value, name)


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise illegal(f"{name} is not a JSON object.", "Send a JSON object.")
    return value


def _short(value: object) -> str:
    return ascii(value)[:100]
