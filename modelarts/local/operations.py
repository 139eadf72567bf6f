"""The operations of the jobs API, and the refusals that they raise.

Source: *API Reference*, "Visualization Jobs" and "Error Codes".
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence

from modelarts import validation as arguments
from modelarts.errors import ConfigurationError, InvalidArgument
from modelarts.local.boards.mindinsight import MindInsight
from modelarts.local.boards.supervisor import Supervisor
from modelarts.local.errors import Failure
from modelarts.local.identity.authentication import Caller
from modelarts.local.identity.buckets import Access, BucketAccess
from modelarts.local.jobs.store import ACTIVE, Job, Store
from modelarts.local.logs.source import LogSource
from modelarts.models import FAILED, STOPPED, JobStatus, Schedule

_LOG = logging.getLogger("modelarts.local")
_WORKSPACE = "0"
_HOUR = 3_600_000
#: The longest schedule of any API, in milliseconds.
_MAX_LEFT = 720 * _HOUR


class Operations:
    """The seven operations on the jobs of one service. A ``service_url`` is a path here.

    Args:
        buckets: decides which buckets a project's jobs may read.
        max_running: how many jobs of a project may be active at once.
    """

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        folders: LogSource,
        mindinsight: MindInsight,
        buckets: BucketAccess,
        max_running: int,
    ) -> None:
        self._store = store
        self._supervisor = supervisor
        self._timeline = supervisor.timeline
        self._folders = folders
        self._mindinsight = mindinsight
        self._buckets = buckets
        self._max_running = max_running

    def create(self, caller: Caller, project_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a job: ``POST /visualization-jobs``."""
        columns = _create_columns(body)
        workspace_id = _workspace(body.get("workspace_id", _WORKSPACE))
        job = self.add(caller, project_id, workspace_id, columns)
        return {
            "is_success": True,
            "job_id": job.job_id,
            "job_name": job.job_name,
            "status": job.status,
            "create_time": job.create_time,
            "service_url": job.page,
        }

    def add(
        self, caller: Caller, project_id: str, workspace_id: str, columns: Mapping[str, Any]
    ) -> Job:
        """Add a job whose columns are valid, and start it.

        Raises:
            Failure: its logs cannot be read, or not by the caller; or the project has too many
                jobs.
        """
        reads_as = self._reader(caller, columns["train_url"], project_id)
        try:
            self._folders.check(columns["train_url"])
            if columns["job_type"] == "mindinsight":
                self._mindinsight.check()
        except ValueError as error:
            raise _illegal(str(error)) from None
        self._claim(columns["train_url"], reads_as)
        job = self._store.add(
            self._max_running,
            project_id=project_id,
            workspace_id=workspace_id,
            create_time=self._timeline.wall(),
            reads_as=reads_as,
            runs_on=self._supervisor.front_end,
            **columns,
        )
        if job is None:
            raise self._quota_exceeded()
        self._supervisor.start(job)
        return job

    def together(self, folders: Mapping[str, str]) -> str:
        """Return the ``train_url`` for several folders, by the names that their runs begin with.

        Raises:
            Failure: they cannot be shown on one board.
        """
        if len(folders) == 1:
            return next(iter(folders.values()))
        try:
            return self._folders.together(folders)
        except ValueError as error:
            raise _illegal(str(error)) from None
        except (OSError, ConfigurationError) as error:
            _LOG.error("%s", error)
            raise Failure(500, "ModelArts.0010", "The folders cannot be shown.") from None

    def job(self, project_id: str, job_id: int) -> Job:
        """Return a job. Raises Failure where the project has none of that id."""
        job = self._store.get(job_id, project_id)
        if job is None:
            raise Failure(404, "ModelArts.0015", f"The visualization job {job_id} does not exist.")
        return job

    def jobs(
        self,
        project_id: str,
        workspace_id: str,
        *,
        statuses: Sequence[int] = (),
        search: str = "",
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[list[Job], int]:
        """Return jobs of a project by the time of their creation, and how many there are in all.

        Args:
            statuses: those that are wanted; by default all.
            search: a text of the name or the description, whatever the case of its letters.
            limit: how many jobs are returned at most; None: all.
            offset: how many are left out before.
        """
        return self._store.page(
            project_id,
            workspace_id,
            statuses=statuses,
            search=search,
            sort_by="create_time",
            descending=descending,
            limit=limit,
            offset=offset,
        )

    def page(self, project_id: str, query: Mapping[str, str]) -> dict[str, Any]:
        """``GET /visualization-jobs``. Reads ``sortBy`` and ``sort_by``."""
        if len(query.get("search_content", "")) > 100:
            raise _illegal("The length of search content should be in [0,100]")
        try:
            checked = arguments.list_query(
                status=query.get("status") or None,
                per_page=query.get("per_page") or 10,
                page=query.get("page") or 1,
                sort_by=query.get("sortBy") or query.get("sort_by") or "job_id",
                order=query.get("order") or "asc",
                search_content=query.get("search_content"),
            )
        except InvalidArgument as error:
            raise _illegal(str(error)) from None
        workspace_id = _workspace(query.get("workspace_id") or _WORKSPACE)
        per_page = int(checked["per_page"])
        jobs, total = self._store.page(
            project_id,
            workspace_id,
            statuses=[int(number) for number in checked.get("status", "").split("|") if number],
            search=checked.get("search_content", ""),
            sort_by=checked["sort_by"],
            descending=checked["order"] == "desc",
            limit=per_page,
            offset=(int(checked["page"]) - 1) * per_page,
            now=self._timeline.running(),
        )
        left = max(0, self._max_running - self._store.count_active(project_id))
        return {
            "is_success": True,
            "quotas": self._max_running,
            "job_total_count": total,
            "job_count_limit": left,
            "jobs": [self.fields(job) for job in jobs],
        }

    def active(self, project_id: str) -> tuple[int, int]:
        """Return how many jobs of a project are active, and how many may be."""
        return self._store.count_active(project_id), self._max_running

    def details(self, project_id: str, job_id: int) -> dict[str, Any]:
        """Return a job's fields: ``GET /visualization-jobs/{job_id}``."""
        return {"is_success": True, **self.fields(self.job(project_id, job_id))}

    def update(self, project_id: str, job_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change a description: ``PUT /visualization-jobs/{job_id}``."""
        job = self.job(project_id, job_id)
        try:
            job_desc = arguments.job_desc(body.get("job_desc"))
        except InvalidArgument as error:
            raise _illegal(str(error)) from None
        self._store.describe(job, job_desc)
        return {"is_success": True}

    def stop(self, project_id: str, job_id: int) -> dict[str, Any]:
        """Stop a job: ``POST /visualization-jobs/{job_id}/stop``."""
        self.job(project_id, job_id)
        if self._supervisor.stop(job_id, "a request") is None:
            raise self._wrong_state(project_id, job_id, "stop")
        return {"is_success": True}

    def restart(self, caller: Caller, project_id: str, job_id: int) -> dict[str, Any]:
        """``POST /visualization-jobs/{job_id}/restart``: from a stopped or failed job only."""
        with self._store.alone():
            job = self.job(project_id, job_id)
            reads_as = self._reader(caller, job.train_url, project_id)
            if job.status not in STOPPED | FAILED:
                raise self._wrong_state(project_id, job_id, "resubmit")
            if self._store.count_active(project_id) >= self._max_running:
                raise self._quota_exceeded()
            again = self._run_again(job, STOPPED | FAILED, reads_as)
        if again is not None:
            self._supervisor.start(again)
        return {"is_success": True}

    def extend(self, project_id: str, job_id: int, hours: object) -> dict[str, Any]:
        """Have a running job stop so many hours later; one without a schedule, so long from now."""
        try:
            schedule = arguments.auto_stop(hours)
            added = 0 if schedule is None else schedule.duration
            if added < 1:
                raise InvalidArgument("hours", hours, "whole hours from 1 to 24")
        except InvalidArgument as error:
            raise _illegal(str(error)) from None
        with self._store.alone():
            job = self.job(project_id, job_id)
            now = self._timeline.passed()
            stop_at = max(job.stop_at or 0, now) + added * _HOUR
            if stop_at > now + _MAX_LEFT:
                raise _illegal("A job can be set to stop at most 720 hours from now.")
            running = [JobStatus.RUNNING]
            if not self._store.change(job_id, running, JobStatus.RUNNING, stop_at=stop_at):
                raise self._wrong_state(project_id, job_id, "extended")
        self._supervisor.wake()
        return {"is_success": True}

    def buckets(self, caller: Caller) -> list[str]:
        """Return the names of the buckets and mounts on this machine that the caller reaches."""
        return [name for name in self._folders.names() if self._is_reached(caller, f"/{name}/")]

    def place(self, caller: Caller, train_url: str) -> Path | None:
        """Return the folder on this machine that a ``train_url`` means; None where it means none.

        Raises:
            Failure: it is no ``train_url``, it leads out of its bucket, or the caller does not
                reach that.
        """
        try:
            folder = arguments.train_url(train_url)
            if self._is_reached(caller, folder):
                return self._folders.place(folder)
        except ValueError as error:  # InvalidArgument is one
            raise _illegal(str(error)) from None
        raise _not_shared(_bucket(folder))

    def _is_reached(self, caller: Caller, train_url: str) -> bool:
        return any(self._reaches(each.project_id, train_url) for each in caller.projects)

    def resume(self, job: Job) -> None:
        """Restart a job that was stopped for lack of visits, for a visitor of its board.

        Raises:
            Failure: the project has too many active jobs.
        """
        with self._store.alone():
            stopped = self._store.get(job.job_id)
            if stopped is None or not stopped.is_idle or stopped.status not in STOPPED:
                return  # another visitor was faster
            if self._store.count_active(stopped.project_id) >= self._max_running:
                raise self._quota_exceeded()
            again = self._run_again(stopped, STOPPED, stopped.reads_as)
        if again is not None:
            self._supervisor.start(again)

    def _run_again(self, job: Job, sources: Iterable[int], reads_as: str) -> Job | None:
        return self._store.move(
            job.job_id,
            sources,
            JobStatus.WAITING,
            run=job.run + 1,
            board_number=0,
            reason=None,
            reads_as=reads_as,
            visited_at=None,
            is_idle=0,
            runs_on=self._supervisor.front_end,
        )

    def delete(self, project_id: str, job_id: int) -> dict[str, Any]:
        """``DELETE /visualization-jobs/{job_id}``: refused while it is being stopped."""
        self.job(project_id, job_id)
        if not self._store.remove(job_id, (*ACTIVE, *STOPPED, *FAILED)):
            raise self._wrong_state(project_id, job_id, "delete")
        self._supervisor.end_now(job_id)
        return {"is_success": True}

    def find(self, job_id: int) -> Job | None:
        """Return a job by its id alone, for its page."""
        return self._store.get(job_id)

    def may_read(self, job: Job) -> bool:
        """Return whether a job may read its bucket, now."""
        return self._reaches(job.reads_as, job.train_url)

    def _reaches(self, project_id: str, train_url: str) -> bool:
        buckets = self._folders.buckets(train_url)
        return all(self._buckets.of([project_id], bucket) > Access.NONE for bucket in buckets)

    def _reader(self, caller: Caller, train_url: str, project_id: str) -> str:
        """Return the id of the project by whose access to the bucket a job is to read its logs.

        It is the project of the job, or another of the caller's.
        """
        bucket = _bucket(train_url)
        others = (project.project_id for project in caller.projects)
        for candidate in (project_id, *others):
            if self._reaches(candidate, train_url):
                return candidate
        if not self._folders.has_bucket(bucket) and self._buckets.owner(bucket) is None:
            return project_id
        raise _not_shared(bucket)

    def _claim(self, train_url: str, project_id: str) -> None:
        """Give a bucket without an owner to the project of the first job over it."""
        bucket = _bucket(train_url)
        access = self._buckets.of([project_id], bucket)
        if self._buckets.owner(bucket) is not None or access in (Access.READ, Access.WRITE):
            return
        try:
            is_own = self._buckets.claim(bucket, project_id)
        except ConfigurationError as error:
            _LOG.error("%s", error)
            raise Failure(
                500,
                "ModelArts.0010",
                "The service cannot record the owner of a bucket; its log says why.",
            ) from None
        if not is_own and access is Access.NONE:
            raise Failure(
                403, "ModelArts.0108", f"The bucket {bucket} was just taken by another project."
            )

    def _wrong_state(self, project_id: str, job_id: int, verb: str) -> Failure:
        status = self.job(project_id, job_id).status
        return Failure(400, "ModelArts.0105", f"This job can't be {verb}. job status: {status}")

    def _quota_exceeded(self) -> Failure:
        return Failure(
            400,
            "ModelArts.0118",
            f"The expected {self._max_running + 1} exceeds the quota limit: "
            f"{self._max_running} jobs are active.",
        )

    def fields(self, job: Job) -> dict[str, Any]:
        """Return the fields of a job as the v1 API has them; its ``service_url`` is a path."""
        left = None if job.stop_at is None else max(0, job.stop_at - self._timeline.passed())
        schedule = Schedule(job.schedule_hours) if job.schedule_hours is not None else None
        fields = {
            "job_id": job.job_id,
            "job_name": job.job_name,
            "job_desc": job.job_desc,
            "job_type": job.job_type,
            "status": job.status,
            "create_time": job.create_time,
            "duration": job.duration(self._timeline.running()),
            "remaining_duration": left,
            "schedule": schedule.to_wire() if schedule is not None else None,
            "service_url": job.page,
            "train_url": job.train_url,
            "resource_id": job.resource_id,
        }
        has_reason = job.status in (*FAILED, JobStatus.WAITING) or job.is_idle
        reason = job.reason if has_reason else self._folders.remark(job.job_id)
        if reason is not None:
            fields["reason"] = reason
        folders = self._folders.folders(job.train_url)
        if folders:
            fields["folders"] = list(folders)
        reader = self._supervisor.reader(job.job_id)
        if reader is not None:
            fields["reader"] = reader
        requests = self._folders.requests(job.job_id)
        if requests is not None:
            fields["obs_requests"] = {
                "list": requests.lists,
                "read": requests.reads,
                "bytes": requests.size,
            }
        return fields


def _not_shared(bucket: str) -> Failure:
    return Failure(
        403,
        "ModelArts.0108",
        f"The bucket {bucket} belongs to another project, and is not shared with the "
        "caller's. Whoever runs the service can share it: modelarts buckets share "
        f"{bucket} --project NAME",
    )


def _bucket(train_url: str) -> str:
    return train_url.strip("/").partition("/")[0]


def _create_columns(body: Mapping[str, Any]) -> dict[str, Any]:
    name = body.get("job_name")
    try:
        arguments.job_name(name)
    except InvalidArgument:
        raise _illegal(f"Illegal name: {str(name)[:100]}") from None
    try:
        flavor = arguments.flavor(body.get("flavor"))
        return {
            "job_name": name,
            "job_desc": arguments.job_desc(body.get("job_desc") or ""),
            "train_url": arguments.train_url(body.get("train_url")),
            "job_type": arguments.job_type(body.get("job_type") or "tensorboard"),
            "flavor": json.dumps(flavor) if flavor is not None else None,
            "schedule_hours": _schedule_hours(body.get("schedule")),
        }
    except ValueError as error:  # InvalidArgument is one
        raise _illegal(str(error)) from None


def _schedule_hours(value: object) -> int | None:
    item = value[0] if isinstance(value, list) and value else value
    schedule = Schedule.from_wire(item)
    if schedule is None or not isinstance(item, dict):
        return None
    if (schedule.type, schedule.time_unit) != ("stop", "HOURS"):
        raise ValueError("schedule: type must be stop and time_unit HOURS")
    arguments.auto_stop(item["duration"])  # as strictly as it is written
    return schedule.duration


def _workspace(value: object) -> str:
    if str(value) != _WORKSPACE:
        raise Failure(400, "ModelArts.0102", "The workspace does not exist.")
    return _WORKSPACE


def _illegal(message: str) -> Failure:
    return Failure(400, "ModelArts.0104", message)
