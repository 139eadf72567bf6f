"""The words: statuses, jobs, pages and schedules, read from every edition of the documents."""

import pickle
from datetime import datetime, timezone

import attr
import pytest

from modelarts.models import (
    FAILED,
    JOB_STATE,
    STOPPED,
    JobInfo,
    JobPage,
    JobStatus,
    Schedule,
    documented_job,
    to_int,
)
from tests.servers.cloud import DOCUMENTED

NAMES = {
    0: "UNKNOWN",
    1: "INIT",
    2: "IMAGE_CREATING",
    3: "IMAGE_FAILED",
    4: "SUBMIT_TRYING",
    5: "SUBMIT_FAILED",
    6: "DELETE_FAILED",
    7: "WAITING",
    8: "RUNNING",
    9: "KILLING",
    10: "COMPLETED",
    11: "FAILED",
    12: "KILLED",
    13: "CANCELED",
    14: "LOST",
    15: "SCALING",
    16: "SUBMIT_MODEL_FAILED",
    17: "DEPLOY_SERVICE_FAILED",
    18: "CHECK_INIT",
    19: "CHECK_RUNNING",
    20: "CHECK_RUNNING_COMPLETED",
    21: "CHECK_FAILED",
    22: "MOUNT_FAILED",
}
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


# Statuses ---------------------------------------------------------------------------------


def test_the_statuses_are_the_documented_ones():
    assert {status.value: status.name for status in JobStatus} == NAMES


@pytest.mark.parametrize("number", NAMES)
def test_a_documented_name_has_its_prefix_but_for_mount_failed(number):
    prefix = "" if number == 22 else "JOBSTAT_"
    assert JOB_STATE[number] == prefix + NAMES[number]


def test_the_documented_names_are_all_there_and_no_others():
    assert list(JOB_STATE) == list(NAMES)


def test_a_status_is_its_number():
    assert JobStatus.RUNNING == 8
    assert JOB_STATE[JobStatus.RUNNING] == "JOBSTAT_RUNNING"


@pytest.mark.parametrize("number", [23, 99, -1])
def test_a_status_that_is_not_listed_breaks_nothing(number):
    status = JobStatus(number)
    assert status == number
    assert status == JobStatus(number)
    assert hash(status) == hash(JobStatus(number))
    assert status.name == "UNLISTED_%d" % number
    assert JOB_STATE[number] == "JOBSTAT_UNLISTED_%d" % number
    assert not status.is_final
    assert number not in list(JobStatus)
    assert number not in JOB_STATE


@pytest.mark.parametrize("value", ["8", "RUNNING", None, 8.5])
def test_what_is_no_number_is_no_status(value):
    with pytest.raises(ValueError, match=repr(value).strip("'")):
        JobStatus(value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("number", [8, 99])
def test_a_status_can_be_pickled(number, protocol):
    status = JobStatus(number)
    again = pickle.loads(pickle.dumps(status, protocol))
    assert (type(again), again.value, again.name) == (JobStatus, number, status.name)


@pytest.mark.parametrize("number", NAMES)
def test_a_status_is_failed_or_stopped_or_neither(number):
    """Final are those in which a job stays; a job that could not be deleted may still run."""
    status = JobStatus(number)
    failed, stopped = number in {3, 5, 11, 14, 16, 17, 21, 22}, number in {10, 12, 13}
    assert (status.is_failed, status.is_stopped) == (failed, stopped)
    assert (status in FAILED, status in STOPPED) == (failed, stopped)
    assert status.is_final == (failed or stopped)


# Numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (8, 8),
        ("8", 8),
        (0, 0),
        ("0", 0),
        (-1, -1),
        ("1565149736000", 1565149736000),
        (8.0, 8),
        ("8.0", 8),
        ("1.5e3", 1500),
        (2**63, 2**63),
        (None, None),
        ("", None),
    ],
)
def test_a_number_is_read_from_what_services_send(value, expected):
    read = to_int(value)
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize("value", ["x", "8x", True, [], {}, b"8", float("inf"), float("nan")])
def test_what_is_no_number_is_refused_by_its_field(value):
    with pytest.raises(ValueError, match=r"create_time is .* which is not a number"):
        to_int(value, "create_time")


# Schedules --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wire",
    [
        {"type": "stop", "time_unit": "HOURS", "duration": 5},
        {"type": "stop", "timeUnit": "HOURS", "duration": "5"},
        [{"type": "stop", "time_unit": "HOURS", "duration": 5}],
        [{"duration": 5}],
        ({"duration": 5.0},),
    ],
)
def test_a_schedule_is_read_from_an_object_or_a_list_of_one(wire):
    assert Schedule.from_wire(wire) == Schedule(5, "HOURS", "stop")


@pytest.mark.parametrize("wire", [None, [], {}, "", [None]])
def test_no_schedule_is_read_as_none(wire):
    assert Schedule.from_wire(wire) is None


def test_a_schedule_keeps_what_it_does_not_know():
    read = Schedule.from_wire([{"type": "restart", "timeUnit": "DAYS", "duration": 2}])
    assert (read.type, read.time_unit, read.duration) == ("restart", "DAYS", 2)


@pytest.mark.parametrize(
    ("wire", "named"),
    [
        ("tomorrow", "schedule"),
        ([5], "schedule"),
        ({"type": "stop"}, "duration"),
        ({"duration": "soon"}, "schedule.duration"),
        ({"duration": True}, "schedule.duration"),
    ],
)
def test_what_is_no_schedule_is_refused_by_its_field(wire, named):
    with pytest.raises(ValueError, match=named):
        Schedule.from_wire(wire)


def test_a_schedule_is_sent_as_a_list_of_one():
    sent = Schedule(0).to_wire()
    assert sent == [{"type": "stop", "time_unit": "HOURS", "duration": 0}]
    assert Schedule.from_wire(sent) == Schedule(0)


# Jobs -------------------------------------------------------------------------------------

WIRE = {
    "job_id": "8992",
    "job_name": "job1f00aa27",
    "job_desc": "",
    "status": "8",
    "service_url": "https://modelarts.example.com/modelarts/tensorboard/04f6/8992/",
    "train_url": "/bucket/logs/",
    "create_time": "1565149736000",
    "duration": 33000,
    "resource_id": "e17dd874",
    "is_success": True,
    "schedule": {"type": "stop", "timeUnit": "HOURS", "duration": 2},
    "remaining_duration": 7100000,
    "job_type": "tensorboard",
    "reason": "none",
}


def test_a_job_is_read_with_types():
    info = JobInfo.from_wire(WIRE)
    assert (info.job_id, info.status, info.duration) == ("8992", JobStatus.RUNNING, 33000)
    assert info.status is JobStatus.RUNNING
    assert info.schedule == Schedule(2)
    assert info.remaining_duration == 7100000
    assert info.created == datetime(2019, 8, 7, 3, 48, 56, tzinfo=timezone.utc)


def test_a_field_that_is_not_known_is_kept():
    """``is_success`` tells of the call and is not a field of the job."""
    assert JobInfo.from_wire(WIRE).extra == {"reason": "none"}


def test_a_job_of_which_nothing_is_said_is_read_as_nothing():
    info = JobInfo.from_wire({})
    assert info == JobInfo()
    assert info.created is None


def test_a_job_that_was_read_does_not_change():
    info = JobInfo.from_wire(WIRE)
    with pytest.raises(attr.exceptions.FrozenInstanceError):
        info.status = JobStatus.KILLED


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("job_id", "x"),
        ("status", "RUNNING"),
        ("status", True),
        ("create_time", []),
        ("duration", "a while"),
        ("schedule", "tomorrow"),
    ],
)
def test_a_job_that_cannot_be_read_is_refused_by_its_field(field, value):
    with pytest.raises(ValueError, match=field):
        JobInfo.from_wire({**WIRE, field: value})


@pytest.mark.parametrize(
    ("create_time", "expected"),
    [
        (1565149736000, datetime(2019, 8, 7, 3, 48, 56, tzinfo=timezone.utc)),
        ("1565149736500", datetime(2019, 8, 7, 3, 48, 56, 500000, tzinfo=timezone.utc)),
        (1565149736, datetime(2019, 8, 7, 3, 48, 56, tzinfo=timezone.utc)),
        (0, datetime(1970, 1, 1, tzinfo=timezone.utc)),
    ],
)
def test_a_time_is_read_from_milliseconds_and_from_seconds(create_time, expected):
    created = JobInfo.from_wire({"create_time": create_time}).created
    assert created == expected
    assert created.tzinfo is timezone.utc


def test_documented_job_converts_numbers_only():
    """A documented job has numbers as numbers and keeps the rest."""
    job = documented_job(WIRE)
    assert list(job)[: len(DOCUMENTED)] == [*DOCUMENTED]
    assert job == {**WIRE, "job_id": 8992, "status": 8, "create_time": 1565149736000}
    assert type(job["status"]) is int


def test_a_documented_job_has_every_documented_key():
    assert documented_job({"job_id": 1}) == {**dict.fromkeys(DOCUMENTED), "job_id": 1}


def test_reading_a_job_leaves_the_answer_as_it_came():
    wire = dict(WIRE)
    documented_job(wire)
    JobInfo.from_wire(wire)
    assert wire == WIRE


# Pages ------------------------------------------------------------------------------------


def test_a_page_is_read_with_its_totals_as_numbers():
    page = JobPage.from_wire(
        {"jobs": [WIRE], "job_total_count": "1", "job_count_limit": 999, "quotas": 100}
    )
    assert (page.jobs, page.job_total_count, page.job_count_limit) == ([WIRE], 1, 999)


@pytest.mark.parametrize("body", [{}, {"jobs": None}, {"jobs": []}])
def test_a_page_may_be_empty_and_its_totals_unsaid(body):
    page = JobPage.from_wire(body)
    assert (list(page.jobs), page.job_total_count, page.job_count_limit) == ([], None, None)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"jobs": "none"}, "jobs"),
        ({"jobs": {"job_id": 1}}, "jobs"),
        ({"jobs": [1]}, "jobs"),
        ({"jobs": [None]}, "jobs"),
        ({"job_total_count": "many"}, "job_total_count"),
        ({"job_count_limit": []}, "job_count_limit"),
    ],
)
def test_a_page_that_cannot_be_read_is_refused_by_its_field(body, named):
    with pytest.raises(ValueError, match=named):
        JobPage.from_wire(body)
