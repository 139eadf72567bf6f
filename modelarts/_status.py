"""The statuses of visualization jobs. Source: *ModelArts API Reference*, "Job Statuses"."""

from __future__ import annotations

import enum
from typing import Dict, FrozenSet, Mapping, Optional


class JobStatus(enum.IntEnum):
    """The status of a visualization job; also an ``int``.

    A number that is not listed becomes a member too, so a newer service breaks nothing.

    Source: *API Reference*, "Job Statuses".

    Example:
        >>> JobStatus(8)
        <JobStatus.RUNNING: 8>
        >>> JobStatus(99).name
        'UNLISTED_99'
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
    def _missing_(cls, value: object) -> Optional[JobStatus]:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = "UNLISTED_%d" % value
        member._value_ = value
        return member

    @property
    def is_failed(self) -> bool:
        """True if the job ended and was not stopped."""
        return self in FAILED

    @property
    def is_stopped(self) -> bool:
        """True if the job was stopped by a request or by its schedule."""
        return self in STOPPED

    @property
    def is_final(self) -> bool:
        """True if the status stays as it is until the job is restarted."""
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

#: The phases of jobs of the v2 API.
PHASES: Mapping[str, JobStatus] = {
    "Creating": JobStatus.INIT,
    "Pending": JobStatus.WAITING,
    "Running": JobStatus.RUNNING,
    "Completed": JobStatus.COMPLETED,
    "Failed": JobStatus.FAILED,
    "Terminating": JobStatus.KILLING,
    "Terminated": JobStatus.KILLED,
    "Abnormal": JobStatus.LOST,
}


def phases_by_status() -> Dict[int, str]:
    """Return the phase of each status that services in place of the cloud's have."""
    return {**{status: phase for phase, status in PHASES.items()}, JobStatus.CANCELED: "Terminated"}
