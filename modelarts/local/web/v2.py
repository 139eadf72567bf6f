"""``/v2/{project_id}/training-jobs``: trainings, and boards, by the API of today.

Source: *ModelArts API Reference*, "Training Management". The boards are those of the v1 API; the id
of one is its number there, written as a UUID.
"""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from functools import wraps
from typing import Any, Callable, Mapping, Sequence, TypeVar
from uuid import UUID

import attr
from werkzeug.wrappers import Request, Response

from modelarts import validation as arguments
from modelarts.errors import InvalidArgument
from modelarts.local.errors import Failure, NoSuchTraining, TrainingFailure, json_of, json_response
from modelarts.local.jobs.store import Job
from modelarts.local.operations import Operations
from modelarts.local.training.operations import Trainings
from modelarts.local.training.store import Training
from modelarts.local.training.workspace import TASK
from modelarts.local.web import trainings as form
from modelarts.local.web.trainings import PHASES, LogLinks
from modelarts.local.web.v1 import Api
from modelarts.models import FAILED, JobStatus

_KIND = "visualization_job"
_WORKSPACE = "0"
_MAX_ID = 2**63 - 1
_MAX_LIMIT = 50
_MAX_EVENTS = 100
_MAX_HOURS = 720
_MAX_SOURCES = 100
_ILLEGAL = "ModelArts.0104"

_Handler = TypeVar("_Handler", bound=Callable[..., Response])


def _refusing(handler: _Handler) -> _Handler:
    """Give refusals of the operations the form of this API."""

    @wraps(handler)
    def handle(*positional: Any, **named: Any) -> Response:
        try:
            return handler(*positional, **named)
        except TrainingFailure:
            raise
        except Failure as failure:
            if type(failure) is not Failure:
                raise  # of the gateway, or of the store
            solution = _SOLUTIONS.get(failure.code, "Correct the request.")
            if failure.code == "ModelArts.0015":
                raise NoSuchTraining(failure.message) from None
            raise TrainingFailure(failure.status, failure.code, failure.message, solution) from None

    return handle  # type: ignore[return-value]


_SOLUTIONS = {
    "ModelArts.0010": "See the log of the service.",
    "ModelArts.0105": "Wait until the job has another phase.",
    "ModelArts.0108": "Ask the owner of the bucket to share it.",
    "ModelArts.0118": "Terminate jobs that are not needed.",
}


class TrainingJobs:
    """The API of training jobs, of the kinds ``job`` and ``visualization_job``.

    Args:
        api: authorizes requests, and knows the addresses of boards.
        operations: the operations on boards, of both APIs.
        log: returns the path of a board's log.
        trainings: the operations on trainings.
        links: makes links to their logs.
    """

    def __init__(
        self,
        api: Api,
        operations: Operations,
        log: Callable[[int], "os.PathLike[str]"],
        trainings: Trainings,
        links: LogLinks,
    ) -> None:
        self._api = api
        self._operations = operations
        self._log = log
        self._trainings = trainings
        self._links = links

    @_refusing
    def create(self, request: Request, project_id: str) -> Response:
        """Create a training or a board: ``POST /training-jobs``."""
        caller = self._api.authorize(request, project_id)
        body = _object(json_of(request), "The body")
        kind = body.get("kind", "job")
        metadata = _part(body, "metadata")
        workspace = _text(metadata.get("workspace_id", _WORKSPACE), "workspace_id")
        if workspace != _WORKSPACE:
            raise _illegal("The workspace does not exist.", f"Give workspace_id: {_WORKSPACE}.")
        if kind == "job":
            training = self._trainings.create(caller, project_id, workspace, body)
            return json_response(form.shown(self._trainings, training), 201)
        if kind != _KIND:
            raise _illegal(f"kind is {_short(kind)}", f"Give kind: job, or {_KIND}.")
        columns = self._columns(project_id, body)
        job = self._operations.add(caller, project_id, workspace, columns)
        return json_response(self._shown(request, job), 201)

    @_refusing
    def job(self, request: Request, project_id: str, job_id: str) -> Response:
        """Details, description and delete."""
        self._api.authorize(request, project_id)
        number = _number(job_id)
        if number is None:
            return self._training(request, project_id, job_id.lower())
        if request.method == "PUT":
            body = _object(json_of(request), "The body")
            self._operations.update(project_id, number, {"job_desc": body.get("description")})
            return json_response(None)
        if request.method == "DELETE":
            self._operations.delete(project_id, number)
            return Response(status=202)
        return json_response(self._shown(request, self._operations.job(project_id, number)))

    @_refusing
    def action(self, request: Request, project_id: str, job_id: str) -> Response:
        """``POST /training-jobs/{id}/actions``: terminate."""
        self._api.authorize(request, project_id)
        action = _object(json_of(request), "The body").get("action_type")
        if action != "terminate":
            raise _illegal(f"action_type is {_short(action)}", "Give action_type: terminate.")
        number = _number(job_id)
        if number is None:
            training = self._trainings.stop(project_id, job_id.lower())
            return json_response(form.shown(self._trainings, training), 202)
        try:
            self._operations.stop(project_id, number)
        except Failure as failure:
            if failure.code != "ModelArts.0105":
                raise
            solution = _SOLUTIONS[failure.code]
            message = "The job cannot be terminated."
            raise TrainingFailure(409, "ModelArts.2796", message, solution) from None
        job = self._operations.job(project_id, number)
        return json_response(self._shown(request, job), 202)

    @_refusing
    def batch_delete(self, request: Request, project_id: str) -> Response:
        """``POST /training-jobs/batch-delete``; returns the result of each."""
        self._api.authorize(request, project_id)
        jobs = _object(json_of(request), "The body").get("jobs")
        if not isinstance(jobs, list) or not 0 < len(jobs) <= 100:
            raise _illegal("jobs is no list of 1 to 100 jobs", "Give jobs: [{metadata: {id}}].")
        results = []
        for entry in jobs:
            job_id = _text(_part(_object(entry, "A job"), "metadata").get("id"), "metadata.id")
            result = {"job_id": job_id, "success": True}
            try:
                self._delete(project_id, job_id.lower())
            except Failure as failure:
                result.update(success=False, error_code=failure.code, error_msg=failure.message)
            results.append(result)
        return json_response({"delete_job_results": results})

    @_refusing
    def search(self, request: Request, project_id: str) -> Response:
        """List trainings and boards: ``POST /training-job-searches``."""
        self._api.authorize(request, project_id)
        body = _object(json_of(request) if request.get_data() else {}, "The body")
        limit = _whole(body.get("limit", _MAX_LIMIT), "limit", 1, _MAX_LIMIT)
        offset = _whole(body.get("offset", 0), "offset", 0, 2**31)
        order = body.get("order") or "desc"
        sort_by = body.get("sort_by") or "create_time"
        if order not in ("asc", "desc") or sort_by != "create_time":
            raise TrainingFailure(
                400,
                "ModelArts.2790",
                f"sort_by is {_short(sort_by)}, order is {_short(order)}",
                "Give sort_by: create_time, order: asc or desc.",
            )
        workspace = _text(body.get("workspace_id") or _WORKSPACE, "workspace_id")
        filters = _filters(body.get("filters"))
        page, total = self._find(project_id, workspace, filters, order == "desc", limit, offset)
        return json_response(
            {
                "total": total,
                "count": len(page),
                "limit": limit,
                "offset": offset,
                "sort_by": sort_by,
                "order": order,
                "group_by": body.get("group_by") or "",
                "workspace_id": workspace,
                "ai_project": "default-ai-project",
                # Ours: log_dir may be any folder, not only that of a training.
                "log_dir_boards": True,
                "items": [self._item(request, job) for job in page],
            }
        )

    @_refusing
    def flavors(self, request: Request, project_id: str) -> Response:
        """``GET /training-job-flavors``: this machine."""
        self._api.authorize(request, project_id)
        kind = request.args.get("flavor_type")
        flavors = [
            {
                "flavor_id": flavor.flavor_id,
                "flavor_name": flavor.flavor_id,
                "flavor_type": flavor.kind,
                "billing": {"code": "", "unit_num": 0},
                "flavor_info": self._trainings.types.hardware(),
            }
            for flavor in self._trainings.types.flavors.values()
            if kind in (None, "", flavor.kind)
        ]
        return json_response({"total_count": len(flavors), "flavors": flavors})

    @_refusing
    def engines(self, request: Request, project_id: str) -> Response:
        """``GET /training-job-engines``: the Pythons that trainings can ask for."""
        self._api.authorize(request, project_id)
        engines = [
            {
                "engine_id": engine.engine_id,
                "engine_name": engine.name,
                "engine_version": engine.version,
                "v1_compatible": True,
                "run_user": "",
                "image_info": {"cpu_image_url": "", "gpu_image_url": "", "image_version": ""},
            }
            for engine in self._trainings.types.engines
        ]
        return json_response({"total": len(engines), "items": engines})

    @_refusing
    def log(self, request: Request, project_id: str, job_id: str, task_id: str) -> Response:
        """``GET …/tasks/{task_id}/logs/preview``: the newest part of a log."""
        self._api.authorize(request, project_id)
        return form.preview(self._log_of(project_id, job_id, task_id))

    @_refusing
    def log_url(self, request: Request, project_id: str, job_id: str, task_id: str) -> Response:
        """``GET …/logs/url``: a link to the whole log."""
        self._api.authorize(request, project_id)
        path = self._links.make(self._log_of(project_id, job_id, task_id))
        return json_response({"obs_url": self._api.address(request, path)})

    @_refusing
    def metrics(self, request: Request, project_id: str, job_id: str, task_id: str) -> Response:
        """``GET …/metrics/{task_id}``; none are kept for boards."""
        self._api.authorize(request, project_id)
        number = _number(job_id)
        _check_task(task_id)
        if number is not None:
            self._operations.job(project_id, number)
            return json_response({"metrics": []})
        training = self._trainings.get(project_id, job_id.lower())
        return json_response({"metrics": form.metrics_of(self._trainings, training)})

    @_refusing
    def events(self, request: Request, project_id: str, job_id: str) -> Response:
        """``GET …/events``: what happened to a job."""
        self._api.authorize(request, project_id)
        events = self._events(project_id, job_id)
        if request.args.get("order", "desc") == "desc":
            events.reverse()
        limit = _whole(request.args.get("limit", "50"), "limit", 1, _MAX_EVENTS)
        offset = _whole(request.args.get("offset", "0"), "offset", 0, 2**31)
        return json_response(
            {
                "total": len(events),
                "limit": limit,
                "offset": offset,
                "order": request.args.get("order", "desc"),
                "start_time": request.args.get("start_time", ""),
                "end_time": request.args.get("end_time", ""),
                "events": events[offset * limit : (offset + 1) * limit],
            }
        )

    def _training(self, request: Request, project_id: str, job_id: str) -> Response:
        """Details, description and delete of a training."""
        if request.method == "PUT":
            description = _object(json_of(request), "The body").get("description")
            self._trainings.describe(project_id, job_id, description)
            return json_response(None)
        if request.method == "DELETE":
            self._trainings.delete(project_id, job_id)
            return Response(status=202)
        training = self._trainings.get(project_id, job_id)
        return json_response(form.shown(self._trainings, training))

    def _delete(self, project_id: str, job_id: str) -> None:
        number = _number(job_id)
        if number is None:
            self._trainings.delete(project_id, job_id)
        else:
            self._operations.delete(project_id, number)

    def _find(
        self,
        project_id: str,
        workspace: str,
        filters: list[_Filter],
        descending: bool,
        limit: int,
        offset: int,
    ) -> tuple[Sequence[Job | Training], int]:
        """Return a page of the boards and trainings that match, and how many match on all pages.

        Of many boards only those are read that may be on the page, unless a filter needs more.
        """
        phases = [each.values for each in filters if each.of("phase", "in")]
        statuses = [
            status for status, phase in PHASES.items() if all(phase in values for values in phases)
        ]
        kinds = [kind for kind in ("job", _KIND) if all(each.allows_kind(kind) for each in filters)]
        names = [each.values[0] for each in filters if each.needs_text]
        others = [each for each in filters if not (each.of("phase", "in") or each.key == "kind")]
        begin, end = offset * limit, (offset + 1) * limit
        trainings: list[Training] = []
        if "job" in kinds:
            trainings = [
                training
                for training in self._trainings.all(project_id, workspace)
                if all(each.matches(training) for each in filters)
            ]
        if _KIND not in kinds or not statuses:
            boards: list[Job] = []
            total = 0
        elif not others and not trainings:
            return self._operations.jobs(
                project_id,
                workspace,
                statuses=statuses if phases else (),
                descending=descending,
                limit=limit,
                offset=begin,
            )
        else:
            boards, total = self._operations.jobs(
                project_id,
                workspace,
                statuses=statuses if phases else (),
                search=max(names, key=len, default=""),
                descending=descending,
                limit=None if others else end,
            )
            if others:
                boards = [job for job in boards if all(each.matches(job) for each in others)]
                total = len(boards)
        if descending:
            trainings.reverse()
        both: list[Job | Training] = [*boards, *trainings]
        both.sort(key=lambda job: job.create_time, reverse=descending)
        return both[begin:end], total + len(trainings)

    def _item(self, request: Request, job: Job | Training) -> dict[str, Any]:
        if isinstance(job, Training):
            return form.shown(self._trainings, job)
        return self._shown(request, job)

    def _log_of(self, project_id: str, job_id: str, task_id: str) -> "os.PathLike[str]":
        number = _number(job_id)
        _check_task(task_id)
        if number is not None:
            return self._log(self._operations.job(project_id, number).job_id)
        return self._trainings.log(self._trainings.get(project_id, job_id.lower()))

    def _events(self, project_id: str, job_id: str) -> list[dict[str, str]]:
        number = _number(job_id)
        if number is None:
            training = self._trainings.get(project_id, job_id.lower())
            recorded = self._trainings.events(training)
            return [_event(event.time, event.level, event.message) for event in recorded]
        job = self._operations.job(project_id, number)
        events = [_event(job.create_time, "Info", "The job was created.")]
        if job.status in FAILED and job.reason:
            events.append(_event(job.create_time + job.ran_ms, "Error", job.reason))
        return events

    def _columns(self, project_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        sources = _part(_part(body, "algorithm"), "summary").get("data_sources")
        if not sources:
            return _columns(body, None)
        folders = self._sources(project_id, sources)
        folder = self._operations.together(dict(folders.values()))
        return {**_columns(body, folder), "sources": json.dumps(list(folders))}

    def _sources(self, project_id: str, sources: object) -> dict[str, tuple[str, str]]:
        """Return the names and the folders of the trainings of a board, by their ids."""
        if not isinstance(sources, list) or len(sources) > _MAX_SOURCES:
            raise _illegal("data_sources is no list.", "Give data_sources: [{job: {job_id}}].")
        folders: dict[str, tuple[str, str]] = {}
        for source in sources:
            part = _object(source, "A data source")
            if part.get("job") is None:
                raise _illegal(
                    "A data source is no training, and this service has no NFS.",
                    "Give {job: {job_id}}.",
                )
            job_id = _text(_part(part, "job").get("job_id"), "job_id").lower()
            training = self._trainings.get(project_id, job_id)
            folder = self._trainings.summary(training)
            if folder is None:
                raise _illegal(
                    f"The training {job_id} has no summary, so no board can show it.",
                    "Create it with algorithm.summary.log_dir.",
                )
            folders[training.job_id] = (training.name, folder)
        return folders

    def _shown(self, request: Request, job: Job) -> dict[str, Any]:
        """Return a job in the form of this API, with an address that the caller can open."""
        fields = self._api.addressed(request, self._operations.fields(job))
        status: dict[str, Any] = {
            "phase": PHASES[job.status],
            "secondary_phase": PHASES[job.status],
            "duration": fields["duration"],
            "start_time": job.create_time,
            "tasks": [TASK],
            "node_count_metrics": [],
        }
        if fields.get("reason") is not None:
            code = 1 if job.status in FAILED else 0
            status["task_statuses"] = [
                {"task": TASK, "exit_code": code, "message": str(fields["reason"])}
            ]
        resource: dict[str, Any] = {"node_count": 1}
        if job.flavor is not None:
            resource["flavor_id"] = json.loads(job.flavor)["code"]
        spec: dict[str, Any] = {"resource": resource, "volumes": []}
        if job.schedule_hours is not None:
            spec["auto_stop"] = {"time_unit": "HOURS", "duration": job.schedule_hours}
        summary: dict[str, Any] = {
            "log_type": job.job_type,
            "log_dir": {"pfs": {"pfs_path": "obs:/" + job.train_url}},
        }
        if job.sources is not None:
            ids = json.loads(job.sources)
            summary["data_sources"] = [{"job": {"job_id": job_id}} for job_id in ids]
        shown: dict[str, Any] = {
            "kind": _KIND,
            "metadata": {
                "id": str(UUID(int=job.job_id)),
                "name": job.job_name,
                "description": job.job_desc,
                "create_time": job.create_time,
                "workspace_id": job.workspace_id,
                "annotations": {},
            },
            "status": status,
            "algorithm": {"summary": summary},
            "spec": spec,
            "endpoints": {},
        }
        if job.status == JobStatus.RUNNING:
            shown["endpoints"]["tensorboard"] = {"url": fields["service_url"], "token": ""}
        # Ours: what the service tells of a board besides.
        known = {
            name: fields[name] for name in ("reader", "folders", "obs_requests") if name in fields
        }
        return {**shown, "board": known} if known else shown


def _columns(body: Mapping[str, Any], folder: str | None) -> dict[str, Any]:
    """Return the columns of a board; ``folder`` is that of its sources, if it has any."""
    metadata = _part(body, "metadata")
    summary = _part(_part(body, "algorithm"), "summary")
    spec = _part(body, "spec") if body.get("spec") is not None else {}
    resource = _part(spec, "resource") if spec.get("resource") is not None else {}
    if resource.get("pool_id"):
        raise _illegal("This service has no resource pools.", "Leave pool_id out.")
    log_type = summary.get("log_type", "tensorboard")
    if log_type not in arguments.JOB_TYPES:
        allowed = " or ".join(arguments.JOB_TYPES)
        raise _illegal(f"log_type is {_short(summary.get('log_type'))}", f"Give {allowed}.")
    flavor = resource.get("flavor_id")
    try:
        return {
            "job_name": arguments.job_name(metadata.get("name"), "v2"),
            "job_desc": arguments.job_desc(metadata.get("description") or ""),
            "train_url": arguments.train_url(folder or _log_dir(summary)),
            "job_type": log_type,
            "flavor": None if flavor is None else json.dumps(arguments.flavor(flavor)),
            "schedule_hours": _hours(spec.get("auto_stop")),
        }
    except InvalidArgument as error:
        raise _illegal(str(error), f"It must be {error.allowed}.") from None


def _log_dir(summary: Mapping[str, Any]) -> object:
    return _part(_part(summary, "log_dir"), "pfs").get("pfs_path")


def _hours(auto_stop: object) -> int | None:
    if auto_stop is None:
        return None
    schedule = _object(auto_stop, "auto_stop")
    if schedule.get("time_unit", "HOURS") != "HOURS":
        raise _illegal(f"time_unit is {_short(schedule.get('time_unit'))}", "Give HOURS.")
    return _whole(schedule.get("duration"), "auto_stop.duration", 1, _MAX_HOURS)


@attr.s(frozen=True, slots=True, auto_attribs=True)
class _Filter:
    """A filter of a search."""

    key: str
    operator: str
    values: list[str]

    def of(self, key: str, operator: str) -> bool:
        """Return True if it has that key and that operator."""
        return (self.key, self.operator) == (key, operator)

    @property
    def needs_text(self) -> bool:
        """True if the names of all that match have the one text of it."""
        return self.key == "name" and self.operator in ("in", "like") and len(self.values) == 1

    def allows_kind(self, kind: str) -> bool:
        """Return True if it leaves something of a kind."""
        return self.key != "kind" or self._has(kind)

    def matches(self, job: Job | Training) -> bool:
        """Return True if it leaves a job in."""
        if self.operator == "between":
            first, last = (int(text or default) for text, default in zip(self.values, (0, _MAX_ID)))
            return first <= job.create_time <= last
        return self._has(_KEYS[self.key](job))

    def _has(self, text: str) -> bool:
        if self.operator == "like":
            return any(value.lower() in text.lower() for value in self.values)
        return (text in self.values) == (self.operator == "in")


def _filters(filters: object) -> list[_Filter]:
    if filters is None:
        return []
    if not isinstance(filters, list):
        raise _illegal("filters is no list", "Give filters: [{key, operator, value: []}].")
    return [_filter(_object(entry, "A filter")) for entry in filters]


def _filter(entry: Mapping[str, Any]) -> _Filter:
    key, operator, values = entry.get("key"), entry.get("operator"), entry.get("value")
    if str(key) not in _KEYS:
        raise _no_filter(f"the key {_short(key)} is unknown", "Give one of " + ", ".join(_KEYS))
    if not isinstance(values, list) or not all(
        isinstance(value, (str, int)) and not isinstance(value, bool) for value in values
    ):
        raise _illegal("the value of a filter is no list", "Give value: [text, …].")
    checked = _Filter(str(key), str(operator), [str(value) for value in values])
    if checked.of("create_time", "between") and len(values) == 2:
        try:
            for text in checked.values:
                int(text or 0)
        except ValueError:
            raise _illegal("create_time is between two times in ms", "Give numbers.") from None
    elif operator not in ("in", "not", "like"):
        raise _no_filter(
            f"the operator {_short(operator)} does not go with {key}",
            "Give in, not or like; between with create_time and two values.",
        )
    return checked


_KEYS: Mapping[str, Callable[[Any], str]] = {
    "name": lambda job: job.name if isinstance(job, Training) else job.job_name,
    "create_time": lambda job: str(job.create_time),
    "phase": lambda job: PHASES[job.status],
    "kind": lambda job: "job" if isinstance(job, Training) else _KIND,
    "algorithm_name": lambda job: "",
    "user_id": lambda job: "",
    "runtime_type": lambda job: "",
}


def _event(milliseconds: int, level: str, message: str) -> dict[str, str]:
    moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    time = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"time": time, "level": level, "message": message, "source": "modelarts"}


def _number(job_id: str) -> int | None:
    """Return the number of a board; None where the id is that of a training, or of nothing."""
    try:
        number = UUID(job_id).int
    except ValueError:
        return None
    return number if number <= _MAX_ID else None


def _check_task(task_id: str) -> None:
    if task_id != TASK:
        raise TrainingFailure(
            404, "ModelArts.0015", f"The task {task_id[:64]} does not exist.", f"Give {TASK}."
        )


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _illegal(f"{name} is not a JSON object.", "Send a JSON object.")
    return value


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return _object(body.get(name), name)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 64:
        raise _illegal(f"{name} is {_short(value)}", f"Give {name} as a text.")
    return value


def _whole(value: object, name: str, least: int, most: int) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _illegal(f"{name} is {_short(value)}", f"Give a number from {least} to {most}.")
    return value


def _short(value: object) -> str:
    return ascii(value)[:100]


def _no_filter(message: str, solution: str) -> TrainingFailure:
    return TrainingFailure(400, "ModelArts.2789", message, solution)


def _illegal(message: str, solution: str) -> TrainingFailure:
    return TrainingFailure(400, _ILLEGAL, message, solution)
