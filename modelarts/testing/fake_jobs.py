"""The jobs of the fake: a table in memory whose jobs go through the statuses they are told."""

import itertools
from typing import Any, Dict, Iterable, List, Mapping

from modelarts import validation as arguments
from modelarts._internal.clock import Clock
from modelarts.errors import InvalidArgument
from modelarts.models import FAILED, STOPPED, JobStatus, Schedule
from modelarts.testing.faults import Fault, quota_exceeded, refused
from modelarts.testing.payloads import created_payload, job_payload, page_payload

_ACTIVE = (JobStatus.INIT, JobStatus.WAITING, JobStatus.RUNNING)
_ENDED = STOPPED | FAILED
_Fields = Dict[str, Any]


class Refusal(Exception):
    """A refusal of the service in place of an answer."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.body)
        self.fault = fault


class FakeJobs:
    """The seven operations.

    Args:
        service_url: the board's address, with ``%d`` for the job.
        most_active: how many jobs may be active at once.
    """

    def __init__(self, clock: Clock, service_url: str, most_active: int) -> None:
        self._clock = clock
        self._service_url = service_url
        self.most_active = most_active
        self._numbers = itertools.count(1)
        self._jobs: Dict[int, _Fields] = {}
        self._ahead: Dict[int, List[int]] = {}
        self._began: Dict[int, float] = {}

    def add(self, statuses: Iterable[int], **fields: Any) -> int:
        """A job that is there already; returns its id."""
        ahead = [int(JobStatus(status)) for status in statuses]
        if not ahead:
            raise InvalidArgument("statuses", statuses, "one status or more")
        number = int(fields.pop("job_id", 0)) or next(self._numbers)
        if number in self._jobs:
            raise InvalidArgument("job_id", number, "a number that no other job has")
        known = {
            "job_id": number,
            "create_time": int(self._clock.time() * 1000),
            "service_url": self._service_url % number,
            "duration": 0,
        }
        self._jobs[number] = job_payload(**{**known, **fields, "status": ahead[0]})
        self._ahead[number] = ahead
        self._began[number] = self._clock.time()
        return number

    def create(self, body: Mapping[str, Any], statuses: Iterable[int]) -> _Fields:
        """Create a job: ``POST /visualization-jobs``."""
        try:
            arguments.job_name(body["job_name"])
        except InvalidArgument:
            raise _refusal("ModelArts.0104", "Illegal name: %s" % body["job_name"]) from None
        try:
            arguments.train_url(body["train_url"])
            arguments.job_desc(body.get("job_desc", ""))
        except InvalidArgument as error:
            raise _refusal("ModelArts.0104", str(error)) from None
        fields = {key: body[key] for key in body if key not in ("flavor", "workspace_id")}
        job = self.admit(statuses, fields)
        numbers = {key: str(job[key]) for key in ("job_id", "status", "create_time")}
        return created_payload(job_name=job["job_name"], **numbers)

    def admit(self, statuses: Iterable[int], fields: Mapping[str, Any]) -> _Fields:
        """Create a job of valid fields, if the quota allows it."""
        self._make_room()
        job = self._jobs[self.add(statuses, **fields)]
        self._step(job)
        return job

    def all(self) -> List[_Fields]:
        """Return all jobs, the oldest first; that is no step of their statuses."""
        for job in self._jobs.values():
            self._stop_by_itself(job)
        return list(self._jobs.values())

    def page(self, query: Mapping[str, str], sort_by: str) -> _Fields:
        """Return a page of jobs: ``GET /visualization-jobs``."""
        if len(query.get("search_content", "")) > 100:
            raise _refusal("ModelArts.0104", "The length of search content should be in [0,100]")
        jobs = [
            job
            for job in self.all()
            if (not query.get("status") or str(job["status"]) in query["status"].split("|"))
            and query.get("search_content", "") in job["job_name"]
        ]
        key = "train_url" if sort_by == "log_dir" else sort_by
        jobs.sort(key=lambda job: (job[key], job["job_id"]), reverse=query.get("order") == "desc")
        page, per_page = int(query.get("page") or 1), int(query.get("per_page") or 10)
        return page_payload(
            jobs[(page - 1) * per_page : page * per_page],
            job_total_count=len(jobs),
            quotas=self.most_active,
            job_count_limit=max(0, self.most_active - self._count_active()),
        )

    def show(self, number: int) -> _Fields:
        """``GET /visualization-jobs/{job_id}``: each look is a step of its statuses."""
        job = self.find(number)
        self._step(job)
        self._stop_by_itself(job)
        job["duration"] = int((self._clock.time() - self._began[number]) * 1000)
        return dict(job)

    def update(self, number: int, body: Mapping[str, Any]) -> _Fields:
        """Change a description: ``PUT /visualization-jobs/{job_id}``."""
        self.find(number)["job_desc"] = body["job_desc"]
        return {"is_success": True}

    def stop(self, number: int, statuses: Iterable[int]) -> _Fields:
        """Stop a job: ``POST /visualization-jobs/{job_id}/stop``."""
        self._go_on(number, _ACTIVE, "stop", statuses)
        return {"is_success": True}

    def restart(self, number: int, statuses: Iterable[int]) -> _Fields:
        """Restart a job: ``POST /visualization-jobs/{job_id}/restart``."""
        self.find(number)
        self._make_room()
        self._go_on(number, _ENDED, "resubmit", statuses)
        self._began[number] = self._clock.time()
        return {"is_success": True}

    def delete(self, number: int) -> _Fields:
        """Delete a job: ``DELETE /visualization-jobs/{job_id}``."""
        self._allow(self.find(number), (*_ACTIVE, *_ENDED), "delete")
        del self._jobs[number]
        return {"is_success": True}

    def find(self, number: int) -> _Fields:
        """Return a job, which is no step of its statuses. Raises Refusal if there is none."""
        if number not in self._jobs:
            raise _refusal("ModelArts.0015", "The job %d does not exist." % number, 404)
        return self._jobs[number]

    def _step(self, job: _Fields) -> None:
        ahead = self._ahead[job["job_id"]]
        if ahead:
            job["status"] = ahead.pop(0)

    def _go_on(
        self, number: int, allowed: Iterable[int], verb: str, statuses: Iterable[int]
    ) -> None:
        job = self.find(number)
        self._allow(job, allowed, verb)
        ahead = [int(status) for status in statuses]
        job["status"] = ahead[0]
        self._ahead[number] = ahead

    def _allow(self, job: _Fields, statuses: Iterable[int], verb: str) -> None:
        if job["status"] not in tuple(statuses):
            message = "This job can't be %s. job status: %d" % (verb, job["status"])
            raise _refusal("ModelArts.0105", message)

    def _stop_by_itself(self, job: _Fields) -> None:
        schedule = Schedule.from_wire(job.get("schedule"))
        if schedule is None or job["status"] not in _ACTIVE:
            return
        if self._clock.time() >= self._began[job["job_id"]] + schedule.duration * 3600:
            job["status"] = int(JobStatus.KILLED)
            self._ahead[job["job_id"]].clear()

    def _make_room(self) -> None:
        if self._count_active() >= self.most_active:
            raise Refusal(quota_exceeded())

    def _count_active(self) -> int:
        return sum(job["status"] in _ACTIVE for job in self._jobs.values())


def _refusal(code: str, message: str, status: int = 400) -> Refusal:
    return Refusal(refused(code, message, status))
