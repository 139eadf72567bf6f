"""The table of jobs: what it shows, and how it fits."""

import pytest

from modelarts.estimator import VisualizationJob
from modelarts.visualization.display.table import facts, table
from tests.servers.cloud import Cloud


@pytest.fixture
def session(cloud):
    from modelarts.session import Session

    names = ("access_key", "secret_key", "project_id", "region_name")
    endpoints = ("modelarts_endpoint", "iam_endpoint")
    return Session(**{name: getattr(Cloud, name) for name in names + endpoints})


@pytest.fixture
def jobs(session, cloud, monkeypatch):
    """Makes jobs as they are in a list."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()

    def jobs(*fields):
        for one in fields:
            cloud.add(create_time=1_790_000_000_000, **one)
        return VisualizationJob.list(session)

    yield jobs
    monkeypatch.undo()
    time.tzset()


def width(line):
    """Columns of a terminal, for the characters used here."""
    return sum(2 if "一" <= character <= "鿿" else 1 for character in line)


def test_chinese_is_two_columns_wide_and_no_line_ends_in_spaces(jobs):
    shown = table(
        jobs(
            {"job_name": "每晚", "status": 8, "job_desc": "学习率 0.1"},
            {"job_name": "nightly", "status": 12},
        )
    )
    assert shown.splitlines() == [
        "ID   NAME     STATUS   CREATED           TRAIN URL      DESCRIPTION",
        "101  每晚     RUNNING  2026-09-21 14:13  /bucket/logs/  学习率 0.1",
        "102  nightly  KILLED   2026-09-21 14:13  /bucket/logs/",
    ]


@pytest.mark.parametrize("columns", [30, 40, 60, 80, 100])
def test_no_line_is_wider_than_the_terminal(jobs, columns):
    shown = table(
        jobs(
            {"train_url": "/bucket/experiments/2026/resnet/run-%d/" % 3, "job_desc": "学习" * 99},
            {"job_name": "a-name-of-20-letters", "status": 16},
        ),
        columns,
    )
    assert max(map(width, shown.splitlines())) <= columns
    assert "101" in shown
    assert not [line for line in shown.splitlines() if line != line.rstrip()]


def test_what_is_long_gives_way_a_folder_at_its_beginning(jobs):
    shown = table(
        jobs({"train_url": "/bucket/experiments/resnet/run-3/", "job_desc": "much too long " * 9}),
        75,
    )
    row = shown.splitlines()[1]
    assert width(row) <= 75
    assert "…nts/resnet/run-3/" in row or "run-3/" in row
    assert row.endswith("…")


def test_wide_room_shows_all(jobs):
    desc = "x" * 256
    assert desc in table(jobs({"job_desc": desc}))
    assert desc in table(VisualizationJob.list(jobs({})[0].session), 400)


def test_a_status_has_its_colour(jobs):
    shown = table(
        jobs({"status": 8}, {"status": 11}, {"status": 12}, {"status": 7}), colour=True
    ).splitlines()
    assert [line.split("\x1b[")[1][:2] for line in shown[1:]] == ["32", "31", "90", "33"]
    assert "\x1b" not in shown[0]


def test_no_jobs_are_words():
    assert table([]) == "No visualization jobs."


def test_facts_omit_unknown_fields_and_word_times(jobs):
    """Facts leave out what is not known and say times in words."""
    schedule = [{"type": "stop", "time_unit": "HOURS", "duration": 2}]
    running, failed = jobs(
        {"status": 8, "duration": 61_000, "schedule": schedule, "remaining_duration": 7_139_000},
        {"status": 11, "reason": "the\nfolder is gone", "resource_id": None},
    )
    assert facts(running).splitlines() == [
        "id           101",
        "name         job101",
        "status       RUNNING",
        "board        " + running.service_url,
        "train url    /bucket/logs/",
        "created      2026-09-21 14:13",
        "run time     1 min 1 s",
        "auto stop    2 hours after its start; 1 h 58 min left",
        "resource     e17dd874-b5e0-4e9b-aaf0-22b045ad8571",
    ]
    assert "status       FAILED: the folder is gone\n" in facts(failed)
    assert "board" not in facts(failed)
    assert "\x1b[31mFAILED\x1b[0m: the" in facts(failed, colour=True)


def test_field_that_is_no_text_is_shown_as_it_is(jobs):
    shown = table(jobs({"job_name": "nightly", "status": 8, "job_desc": True}))
    assert shown.splitlines()[1].endswith("/bucket/logs/  True")
