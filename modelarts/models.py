"""The data types of the visualization-job API: statuses, jobs, pages, schedules.

Sources: *ModelArts API Reference*, "Visualization Jobs" and "Job Statuses". The documents
contradict each other (numbers as strings, a schedule as an object or as a list of one); all these
forms are read, and one form is written.
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
    """The schedule by which the service stops a job.

    Attributes:
        duration: the number of hours after which the job is stopped, 0 to 24.
        time_unit: always ``"HOURS"``.
        type: always ``"stop"``.

    Source: *API Reference*, "Creating a Visualization Job", table 4.
    """

    duration: int
    time_unit: str = "HOURS"
    type: str = "stop"

    @classmethod
    def from_wire(cls, value: object) -> Optional["Schedule"]:
        """Read a schedule: an object or a list of one, with ``time_unit`` or ``timeUnit``.

        Args:
            value: the value of the field ``schedule``, as the service sent it.

        Returns:
            The schedule; None if there is none.

        Raises:
            ValueError: the value is not a schedule.

        Example:
            >>> Schedule.from_wire([{"type": "stop", "timeUnit": "HOURS", "duration": 2}])
            Schedule(duration=2, time_unit='HOURS', type='stop')
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
        """Return the form that is sent.

        Returns:
            A list of one dict, with ``type``, ``time_unit`` and ``duration``.
        """
        return [{"type": self.type, "time_unit": self.time_unit, "duration": self.duration}]


@attr.s(frozen=True, slots=True, auto_attribs=True, kw_only=True)
class JobInfo:
    """The fields of a job, with types.

    A field is None if the service did not send it. Times are milliseconds, as in the API.

    Attributes:
        job_id: the job's id.
        job_name: the job's name.
        job_desc: the job's description.
        status: the status.
        service_url: the address of the board; it opens only while the job is running.
        train_url: the folder in OBS that the job reads.
        create_time: milliseconds since the epoch; see :attr:`created`.
        duration: the time that the job has been running, in milliseconds.
        resource_id: the id of the resource that is billed.
        remaining_duration: the number that the service sends; None without auto stop.
        schedule: the schedule by which the service stops the job.
        job_type: ``"tensorboard"`` or ``"mindinsight"``.
        extra: fields of the response that this version does not know.
    """

    job_id: Optional[str] = None
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
        """Read a job of any edition of the API.

        Args:
            raw: the fields of the job, as the service sent them.

        Returns:
            The job.

        Raises:
            ValueError: a field cannot be read.

        Example:
            >>> JobInfo.from_wire({"job_id": "8992", "status": 8}).status
            <JobStatus.RUNNING: 8>
        """
        known = documented_job(raw)
        known.pop("is_success", None)
        if known["status"] is not None:
            known["status"] = JobStatus(known["status"])
        known["job_id"] = None if known["job_id"] is None else str(known["job_id"])
        known["schedule"] = Schedule.from_wire(known.get("schedule"))
        fields = {a.name for a in attr.fields(cls)} - {"extra"}
        extra = {key: known.pop(key) for key in list(known) if key not in fields}
        return cls(extra=extra, **known)

    @property
    def created(self) -> Optional[datetime]:
        """``create_time`` as a datetime in UTC; a value in seconds is accepted.

        None if there is no ``create_time``, or if it is not a possible time.
        """
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
    """One page of a list.

    Attributes:
        jobs: the jobs as the service sent them.
        job_total_count: the number of jobs that match, on all pages; None if the service does not
            send it.
        job_count_limit: the number of jobs that may still be created; None if the service does not
            send it.

    Source: *API Reference*, "Querying a Visualization Job List".
    """

    jobs: Sequence[Dict[str, Any]]
    job_total_count: Optional[int]
    job_count_limit: Optional[int]

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> "JobPage":
        """Read the response to a list request.

        Args:
            body: the JSON of the response.

        Returns:
            The page.

        Raises:
            ValueError: the body is not a list of jobs, or a number cannot be read.
        """
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
