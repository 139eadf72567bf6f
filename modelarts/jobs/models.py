"""The words of the visualization-job API: statuses, jobs, pages, schedules.

Sources: *ModelArts API Reference*, "Visualization Jobs" and "Job Statuses". The
documents contradict each other (numbers as strings, a schedule as an object or as a
list of one); everything here is read leniently and written in one form.
"""

import enum
from datetime import datetime, timezone
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence

import attr

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


class JobStatus(enum.IntEnum):
    """The status of a visualization job; also an ``int``.

    A number that is not listed makes a member too, so a newer service breaks nothing:

    >>> JobStatus(8)
    <JobStatus.RUNNING: 8>
    >>> JobStatus(99).name
    'UNLISTED_99'

    Source: *API Reference*, "Job Statuses".
    """

    UNKNOWN = 0
    INIT = 1
    IMAGE_CREATING = 2
    IMAGE_FAILED = 3
    SUBMIT_TRYING = 4
    SUBMIT_FAILED = 5
    DELETE_FAILED = 6
    WAITING = 7
    RUNNING = 8
    KILLING = 9
    COMPLETED = 10
    FAILED = 11
    KILLED = 12
    CANCELED = 13
    LOST = 14
    SCALING = 15
    SUBMIT_MODEL_FAILED = 16
    DEPLOY_SERVICE_FAILED = 17
    CHECK_INIT = 18
    CHECK_RUNNING = 19
    CHECK_RUNNING_COMPLETED = 20
    CHECK_FAILED = 21
    MOUNT_FAILED = 22

    @classmethod
    def _missing_(cls, value: object) -> Optional["JobStatus"]:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = "UNLISTED_%d" % value
        member._value_ = value
        return member

    @property
    def is_failed(self) -> bool:
        """Whether the job ended, and not because somebody stopped it."""
        return self in FAILED

    @property
    def is_stopped(self) -> bool:
        """Whether the job ended because somebody, or its schedule, stopped it."""
        return self in STOPPED

    @property
    def is_final(self) -> bool:
        """Whether the status stays as it is until somebody restarts the job."""
        return self in FAILED or self in STOPPED


#: Ended, and not by a stop. 6 DELETE_FAILED is not among them: that job may still run.
FAILED: FrozenSet[JobStatus] = frozenset(
    (
        JobStatus.IMAGE_FAILED,
        JobStatus.SUBMIT_FAILED,
        JobStatus.FAILED,
        JobStatus.LOST,
        JobStatus.SUBMIT_MODEL_FAILED,
        JobStatus.DEPLOY_SERVICE_FAILED,
        JobStatus.CHECK_FAILED,
        JobStatus.MOUNT_FAILED,
    )
)
#: Ended by a stop; which of these a service answers after a stop differs.
STOPPED: FrozenSet[JobStatus] = frozenset(
    (JobStatus.COMPLETED, JobStatus.KILLED, JobStatus.CANCELED)
)


class _JobState(Dict[int, str]):
    def __missing__(self, number: int) -> str:
        if not isinstance(number, int):
            raise KeyError(number)
        return "JOBSTAT_%s" % JobStatus(number).name


#: ``JOB_STATE[8]`` is ``"JOBSTAT_RUNNING"``; 22 is documented without the prefix.
JOB_STATE: Mapping[int, str] = _JobState(
    (status.value, ("" if status == JobStatus.MOUNT_FAILED else "JOBSTAT_") + status.name)
    for status in JobStatus
)


def to_int(value: object, field: str = "value") -> Optional[int]:
    """Read a number that may come as a string, a float or null.

    Raises:
        ValueError: it is none of these; the message names the field.
    """
    if value is None or value == "":
        return None
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return int(value)
        except (ValueError, OverflowError):
            try:
                return int(float(value))
            except (ValueError, OverflowError):
                pass
    raise ValueError("%s is %r, which is not a number" % (field, value))


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


_NUMBERS = ("job_id", "status", "create_time", "duration")
#: The keys of the documented details (SDK reference, "Obtaining Details"), in its order.
_DOCUMENTED = (
    "job_id",
    "job_name",
    "job_desc",
    "status",
    "service_url",
    "train_url",
    "create_time",
    "duration",
    "resource_id",
)


def documented_job(raw: Mapping[str, Any]) -> Dict[str, Any]:
    """A job as documented: every documented key there, numbers as numbers, the rest kept.

    Raises:
        ValueError: a number is not one.
    """
    job: Dict[str, Any] = {key: raw.get(key) for key in _DOCUMENTED}
    for key in _NUMBERS:
        job[key] = to_int(job[key], key)
    for key, value in raw.items():
        job.setdefault(key, value)
    return job


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
        return cls(
            jobs,
            to_int(body.get("job_total_count"), "job_total_count"),
            to_int(body.get("job_count_limit"), "job_count_limit"),
        )
