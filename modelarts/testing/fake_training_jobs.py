"""The jobs of the fake through the v2 API: boards as training jobs, and trainings as sources."""

import secrets
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple
from uuid import UUID, uuid4

from modelarts import validation as arguments
from modelarts._status import phases_by_status
from modelarts.errors import InvalidArgument
from modelarts.models import JobStatus
from modelarts.testing.fake_jobs import FakeJobs, Refusal
from modelarts.testing.faults import Fault

_Fields = Dict[str, Any]
_KIND = "visualization_job"
_PHASES = {**phases_by_status(), JobStatus.SUBMIT_FAILED: "Failed"}
#: Status, code and message that v2 has for a code of v1.
_CODES = {
    "ModelArts.0015": (400, "ModelArts.2775", "Training job not found."),
    "ModelArts.0105": (409, "ModelArts.2796", "The job cannot be terminated."),
}
_MOST = 50


class FakeTrainingJobs:
    """The operations of v2 on the jobs of the fake; the id of one is its number as a UUID.

    Args:
        jobs: the jobs, which v1 shows as well.
    """

    def __init__(self, jobs: FakeJobs) -> None:
        self._jobs = jobs
        self._trainings: Dict[str, _Fields] = {}
        self._created: Dict[int, Mapping[str, Any]] = {}
        self._token = secrets.token_hex(16)

    def add_training(self, folder: str, name: str) -> str:
        """Add a training that has ended, and whose summary is in a folder; returns its id."""
        training_id = str(uuid4())
        path = "obs:/" + arguments.train_url(folder)
        self._trainings[training_id] = {
            "kind": "job",
            "metadata": {"id": training_id, "name": name, "description": "", "create_time": 0},
            "status": {"phase": "Completed", "duration": 1000, "tasks": ["worker-0"]},
            "algorithm": {
                "summary": {"log_type": "tensorboard", "log_dir": {"pfs": {"pfs_path": path}}}
            },
            "spec": {"resource": {"node_count": 1}},
        }
        return training_id

    def operate(
        self,
        operation: str,
        job_id: Optional[str],
        body: Any,
        statuses: Iterable[int],
        stop_statuses: Iterable[int],
    ) -> Tuple[int, Any]:
        """Return the HTTP status and the body of the answer to a request.

        Raises:
            Refusal: the service refuses it.
        """
        try:
            if operation == "create":
                return 201, self._create(body, statuses)
            if operation == "list":
                return 200, self._search(body)
            if job_id in self._trainings:
                return self._training(operation, str(job_id))
            number = _number(job_id)
            if operation == "stop":
                self._jobs.stop(number, stop_statuses)
                return 202, self._shown(self._jobs.find(number))
            if operation == "update":
                self._jobs.update(number, {"job_desc": body["description"]})
                return 200, None
            if operation == "delete":
                self._jobs.delete(number)
                return 202, ""
            return 200, self._shown(self._jobs.show(number))
        except Refusal as refusal:
            raise _of_v2(refusal, operation) from None

    def _training(self, operation: str, training_id: str) -> Tuple[int, Any]:
        if operation == "show":
            return 200, self._trainings[training_id]
        if operation == "delete":
            del self._trainings[training_id]
            return 202, ""
        raise _refusal("ModelArts.2796", "The job cannot be terminated.", 409)

    def _create(self, body: Mapping[str, Any], statuses: Iterable[int]) -> _Fields:
        metadata, summary = body.get("metadata", {}), body["algorithm"].get("summary", {})
        spec = body.get("spec", {})
        stop = spec.get("auto_stop", {}).get("duration")
        try:
            fields: _Fields = {
                "job_name": arguments.job_name(metadata.get("name"), "v2"),
                "job_desc": arguments.job_desc(metadata.get("description", "")),
                "job_type": arguments.job_type(summary.get("log_type"), "v2"),
                "train_url": self._folder(summary.get("data_sources")),
            }
            schedule = arguments.auto_stop(stop, "v2")
        except InvalidArgument as error:
            raise _refusal("ModelArts.2788", "Invalid parameter(%s)." % error.argument) from None
        if schedule is not None:
            fields["schedule"] = schedule.to_wire()
        job = self._jobs.admit(statuses, fields)
        self._created[job["job_id"]] = body
        return self._shown(job)

    def _folder(self, sources: Any) -> str:
        """Return what v1 shows as ``train_url``: the folder of the first source."""
        if not isinstance(sources, list) or not sources:
            raise InvalidArgument("data_sources", sources, "a list of trainings or NFS")
        for source in sources:
            training_id = source.get("job", {}).get("job_id")
            if "nfs" not in source and training_id not in self._trainings:
                raise InvalidArgument("data_sources", sources, "trainings that have a summary")
        first = self._trainings.get(sources[0].get("job", {}).get("job_id"))
        if first is None:
            return "/nfs/"
        path = str(first["algorithm"]["summary"]["log_dir"]["pfs"]["pfs_path"])
        return path[len("obs:/") :]

    def _search(self, body: Mapping[str, Any]) -> _Fields:
        limit, offset = body.get("limit", _MOST), body.get("offset", 0)
        if not 1 <= limit <= _MOST or offset < 0:
            raise _refusal("ModelArts.2764", "Invalid query parameter (limit).")
        if body.get("sort_by", "create_time") != "create_time":
            raise _refusal("ModelArts.2790", "Unsupported sorting item.")
        every = [*self._trainings.values(), *map(self._shown, self._jobs.all())]
        matching = [job for job in every if _matches(job, body.get("filters", []))]
        if body.get("order", "desc") == "desc":
            matching.reverse()
        items = matching[offset * limit : (offset + 1) * limit]
        return {
            "total": len(matching),
            "count": len(items),
            "limit": limit,
            "offset": offset,
            "sort_by": "create_time",
            "order": body.get("order", "desc"),
            "group_by": "",
            "workspace_id": "0",
            "ai_project": "default-ai-project",
            "items": items,
        }

    def _shown(self, job: Mapping[str, Any]) -> _Fields:
        """Return a job as documented: without ``auto_stop`` and NFS."""
        created = self._created.get(job["job_id"], {})
        status = JobStatus(job["status"])
        phase = _PHASES.get(status, status.name)
        failed = status == JobStatus.SUBMIT_FAILED
        summary: _Fields = {"log_type": job.get("job_type", "tensorboard")}
        if created:
            sources = created["algorithm"]["summary"]["data_sources"]
            summary["data_sources"] = [source for source in sources if "job" in source]
        else:
            summary["log_dir"] = {"pfs": {"pfs_path": "obs:/" + job["train_url"]}}
        resource = created.get("spec", {}).get("resource", {"node_count": 1})
        shown: _Fields = {
            "kind": _KIND,
            "metadata": {
                "id": str(UUID(int=job["job_id"])),
                "name": job["job_name"],
                "description": job["job_desc"],
                "create_time": job["create_time"],
                "workspace_id": "0",
                "user_name": "fake-user",
            },
            "status": {
                "phase": phase,
                "secondary_phase": "CreateFailed" if failed else phase,
                "duration": job["duration"],
                "tasks": ["worker-0"],
            },
            "algorithm": {"summary": summary, "environments": []},
            "spec": {"resource": resource},
            "endpoints": {},
        }
        if job.get("reason"):
            task = {"task": "worker-0", "exit_code": 1, "message": job["reason"]}
            shown["status"]["task_statuses"] = [task]
        if status == JobStatus.RUNNING:
            board = {"url": job["service_url"], "token": self._token}
            shown["endpoints"]["tensorboard"] = board
        return shown


def _matches(job: Mapping[str, Any], filters: List[Mapping[str, Any]]) -> bool:
    fields = {
        "kind": job["kind"],
        "name": job["metadata"]["name"],
        "phase": job["status"]["phase"],
        "create_time": str(job["metadata"]["create_time"]),
    }
    for entry in filters:
        operator, values = entry.get("operator"), entry.get("value", [])
        if entry.get("key") not in fields or operator not in ("in", "not", "like", "between"):
            raise _refusal("ModelArts.2789", "Unsupported filtering item.")
        text = fields[entry["key"]]
        if operator == "between":
            first, last = (int(value) if value else None for value in values)
            fits = (first is None or int(text) >= first) and (last is None or int(text) <= last)
        elif operator == "like":
            fits = any(value in text for value in values)
        else:
            fits = (text in values) is (operator == "in")
        if not fits:
            return False
    return True


def _number(job_id: Optional[str]) -> int:
    try:
        return UUID(job_id or "").int
    except ValueError:
        return 0


def _of_v2(refusal: Refusal, operation: str) -> Refusal:
    body = refusal.fault.body
    if "error_solution" in body:
        return refusal
    code, message = body["error_code"], body["error_message"]
    status, code, message = _CODES.get(code, (refusal.fault.status, code, message))
    if operation == "delete" and status == 409:
        # Not documented for a delete, so as in v1.
        status, code = refusal.fault.status, body["error_code"]
    return _refusal(code, message, status)


def _refusal(code: str, message: str, status: int = 400) -> Refusal:
    body = {"error_msg": message, "error_code": code, "error_solution": "Correct the request."}
    return Refusal(Fault(status=status, body=body))
