"""The words of the visualization-job API: statuses, jobs, pages, schedules.

Sources: *ModelArts API Reference*, "Visualization Jobs" and "Job Statuses". The
documents contradict each other (numbers as strings, a schedule as an object or as a
list of one); everything here is read leniently and written in one form.
"""

from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Sequence

import attr

from modelarts._fields import documented_job, to_int
from modelarts._status import FAILED, JOB_STATE, STOPPED, JobStatus

__all__ = [
    "FAILED",
    "JOB_STATE",
    "STOPPED",
    "JobInfo",
    "JobPage",
    "JobStatus",
    "Schedule",
    "documented_job",
    "to_int",
]


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Schedule:
    """When a job stops by itself. Source: *API Reference*, "Creating a Visualization Job", table 4.

    Attributes:
        duration: after how many hours, 0 to 24.
        time_unit: always ``"HOURS"``.
        type: always ``"stop"``.
    """

    duration: int
    time_unit: str = "HOURS"
    type: str = "stop"

    @classmethod
    def from_wire(cls, value: object) -> Optional["Schedule"]:
        """Read a schedule: an object or a list of one, ``time_unit`` or ``timeUnit``.

        None where there is none. Raises ValueError where it is no schedule.
        """
        if isinstance(value, (list, tuple)):
            value = value[0] if value else None
        if not value:
            return None
        if not isinstance(value, Mapping):
            raise ValueError("schedule is %r, which is not an object" % (value,))
        duration = to_int(value.get("duration"), "schedule.duration")
        if duration is None:
            raise ValueError("schedule has no duration")
        unit = value.get("time_unit", value.get("timeUnit", "HOURS"))
        return cls(duration, str(unit), str(value.get("type", "stop")))

    def to_wire(self) -> List[Dict[str, Any]]:
        """The form that is sent: a list of one."""
        return [{"type": self.type, "time_unit": self.time_unit, "duration": self.duration}]


@attr.s(frozen=True, slots=True, auto_attribs=True, kw_only=True)
class JobInfo:
    """What is known of a job, with types. Times are milliseconds, as on the wire.

    Attributes:
        create_time: milliseconds since the epoch; see :attr:`created`.
        duration: how long the job has been running, in milliseconds.
        remaining_duration: as the service sends it; None without auto stop.
        extra: fields of the answer that this version does not know.
    """

    job_id: Optional[int] = None
    job_name: Optional[str] = None
    job_desc: Optional[str] = None
    status: Optional[JobStatus] = None
    service_url: Optional[str] = None
    train_url: Optional[str] = None
    create_time: Optional[int] = None
    duration: Optional[int] = None
    resource_id: Optional[str] = None
    remaining_duration: Optional[float] = None
    schedule: Optional[Schedule] = None
    job_type: Optional[str] = None
    extra: Mapping[str, Any] = attr.Factory(dict)

    @classmethod
    def from_wire(cls, raw: Mapping[str, Any]) -> "JobInfo":
        """Read a job of any edition of the API. Raises ValueError where it cannot be read."""
        known = documented_job(raw)
        known.pop("is_success", None)
        if known["status"] is not None:
            known["status"] = JobStatus(known["status"])
        known["schedule"] = Schedule.from_wire(known.get("schedule"))
        fields = {a.name for a in attr.fields(cls)} - {"extra"}
        extra = {key: known.pop(key) for key in list(known) if key not in fields}
        return cls(extra=extra, **known)

    @property
    def created(self) -> Optional[datetime]:
        """``create_time`` as an aware datetime in UTC (a value in seconds is understood)."""
        if self.create_time is None:
            return None
        # Milliseconds have 13 digits until 2286, seconds 10.
        seconds = self.create_time / 1000 if self.create_time >= 10**11 else self.create_time
        try:
            return datetime.fromtimestamp(seconds, timezone.utc)
        except (ValueError, OverflowError, OSError):  # no year that there will be
            return None


@attr.s(frozen=True, slots=True, auto_attribs=True)
class JobPage:
    """One page of a list. Source: *API Reference*, "Querying a Visualization Job List".

    Attributes:
        jobs: the jobs as they came.
        job_total_count: how many jobs match, on all pages; None where not said.
        job_count_limit: how many jobs may still be created; None where not said.
    """

    jobs: Sequence[Dict[str, Any]]
    job_total_count: Optional[int]
    job_count_limit: Optional[int]

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> "JobPage":
        """Read a list answer. Raises ValueError where it cannot be read."""
        jobs = body.get("jobs") or []
        if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
            raise ValueError("jobs is not a list of objects")
        if not all(job.get("job_id") for job in jobs):
            raise ValueError("one of the jobs has no job_id")
        return cls(
            jobs,
            to_int(body.get("job_total_count"), "job_total_count"),
            to_int(body.get("job_count_limit"), "job_count_limit"),
        )
