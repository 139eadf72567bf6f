"""wait and its line, show and open outside a notebook, ``with``, and ensure."""

import io
import webbrowser
from contextlib import redirect_stderr

import pytest

from modelarts.errors import (
    InvalidArgument,
    JobFailed,
    JobStateError,
    TransportError,
    WaitTimeout,
)
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.session import Session

URL = "/bucket/logs/"


@pytest.fixture
def session(cloud, clock):
    names = ("access_key", "secret_key", "project_id", "region_name", "modelarts_endpoint")
    return Session(
        **{name: getattr(cloud, name) for name in names}, clock=clock, retries=0, api="v1"
    )


@pytest.fixture
def terminal():
    """A terminal to stand as the standard error, with ``redirect_stderr``."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

        def screen(self):
            """The lines as they look in the end."""
            return [line.split("\r")[-1].rstrip() for line in self.getvalue().split("\n")]

    return Terminal()


def paths(cloud):
    return [request.path_url.split("visualization-jobs")[1] for request in cloud.calls]


# The line of a wait -----------------------------------------------------------------------


def test_a_terminal_sees_one_line_with_status_time_and_next_look(session, cloud, clock, terminal):
    job = VisualizationJob(session, cloud.add(status=15, job_name="slow"))
    with redirect_stderr(terminal), pytest.raises(WaitTimeout):
        job.wait(timeout=60)
    assert terminal.screen() == ["job 101 (slow): SCALING after 1 min", ""]
    shown = terminal.getvalue().split("\r")
    assert "job 101 (slow): SCALING, waited 0 s, next look in 1 s" in [one.strip() for one in shown]
    assert any("next look in 5 s" in one for one in shown)
    assert any("next look in 4 s" in one for one in shown)
    assert max(clock.sleeps) <= 1


def test_the_line_is_no_longer_than_the_terminal(session, cloud, terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    job = VisualizationJob(session, cloud.add(status=15, job_name="x" * 20))
    with redirect_stderr(terminal), pytest.raises(WaitTimeout):
        job.wait(timeout=10)
    assert {len(part) for part in terminal.getvalue().rstrip("\n").split("\r")} == {0, 29}


def test_a_status_that_is_there_already_needs_no_line(session, cloud, terminal):
    with redirect_stderr(terminal):
        VisualizationJob(session, cloud.add(status=8)).wait()
    assert terminal.getvalue() == ""


def test_a_failed_job_ends_the_line_and_the_error_says_why(session, cloud, terminal):
    number = cloud.add(status=7, reason="no such image")
    late = iter([7, 11])
    cloud._get = lambda job, request: {**job, "status": next(late)}
    with redirect_stderr(terminal), pytest.raises(JobFailed) as caught:
        VisualizationJob(session, number).wait()
    assert str(caught.value) == (
        "job 101 is FAILED (11) and will not become RUNNING: no such image; "
        "job.restart() runs it again"
    )
    assert terminal.screen() == ["job 101 (job101): FAILED after 0 s", ""]


def test_an_interrupt_leaves_the_line_whole_and_the_job_alone(session, cloud, clock, terminal):
    number = cloud.add(status=15)
    job = VisualizationJob(session, number)

    def interrupt(seconds):
        raise KeyboardInterrupt

    sleep, clock.sleep = clock.sleep, interrupt
    with redirect_stderr(terminal), pytest.raises(KeyboardInterrupt):
        job.wait()
    assert terminal.screen() == [
        "job 101 (job101): SCALING after 0 s; no longer waited for, it goes on",
        "",
    ]
    clock.sleep = sleep
    cloud.jobs[number]["status"] = 8
    assert job.wait().status == JobStatus.RUNNING
    assert set(paths(cloud)) == {"/101"}


def test_who_wants_no_line_gets_none(session, cloud, terminal):
    job = VisualizationJob(session, cloud.add(status=15))
    with redirect_stderr(terminal), pytest.raises(WaitTimeout):
        job.wait(timeout=9, progress=False)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_wait_writes_no_line_to_logs(session, cloud, clock, stream):
    """A log gets no line and a program without stderr waits too."""
    job = VisualizationJob(session, cloud.add(status=15))
    with redirect_stderr(stream), pytest.raises(WaitTimeout):
        job.wait(timeout=9)
    assert stream is None or stream.getvalue() == ""
    assert max(clock.sleeps) > 1


# Show and open ----------------------------------------------------------------------------


def test_outside_a_notebook_show_prints_the_address(session, cloud, capsys):
    job = VisualizationJob.create(URL, session=session)
    assert job.show() is None
    assert capsys.readouterr().out == "board: %s\n" % job.service_url


@pytest.mark.parametrize("height", [0, -1, True, "800", 1.5])
def test_a_height_is_a_number_of_pixels(session, cloud, height):
    with pytest.raises(InvalidArgument, match="height"):
        VisualizationJob(session, cloud.add(status=8)).show(height=height)
    assert cloud.calls == []


@pytest.mark.parametrize("verb", ["show", "open"])
def test_a_job_that_does_not_come_up_is_not_waited_for_long(session, cloud, clock, verb):
    job = VisualizationJob(session, cloud.add(status=15))
    began = clock.now
    with pytest.raises(WaitTimeout):
        getattr(job, verb)()
    assert clock.now - began == pytest.approx(120)


@pytest.mark.parametrize("said", [None, "", "javascript:alert(1)"])
def test_running_job_without_address_is_unreadable(session, cloud, said):
    """A running job without an address is an answer that cannot be read."""
    job = VisualizationJob(session, cloud.add(status=8, service_url=said))
    with pytest.raises(TransportError, match="service_url"):
        job.open()


def test_open_gives_the_address_to_the_browser_and_answers_it(
    session, cloud, monkeypatch, tmp_path
):
    told = tmp_path / "told"
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "$1" > %s\n' % told)
    browser.chmod(0o700)
    webbrowser.register(
        "here", None, webbrowser.GenericBrowser([str(browser), "%s"]), preferred=True
    )
    monkeypatch.setattr(webbrowser, "_tryorder", ["here"])
    job = VisualizationJob(session, cloud.add(status=8))
    assert job.open() == job.service_url == told.read_text().strip()


@pytest.mark.parametrize("order", [[], ["w3m"]])
def test_open_answers_the_address_where_no_browser_can_show_it(
    session, cloud, monkeypatch, capfd, order
):
    webbrowser.register("w3m", None, webbrowser.GenericBrowser("w3m"))
    webbrowser.get("w3m")
    monkeypatch.setattr(webbrowser, "_tryorder", order)
    job = VisualizationJob(session, cloud.add(status=8))
    assert job.open() == job.service_url
    assert capfd.readouterr() == ("", "")


# with -------------------------------------------------------------------------------------


def test_with_stops_the_job_at_the_end(session, cloud):
    with VisualizationJob.create(URL, session=session) as job:
        assert job.wait().status == JobStatus.RUNNING
    assert cloud.jobs[101]["status"] == 9


def test_with_stops_the_job_when_the_block_fails(session, cloud):
    with pytest.raises(ZeroDivisionError), VisualizationJob.create(URL, session=session):
        raise ZeroDivisionError
    assert cloud.jobs[101]["status"] == 9


@pytest.mark.parametrize("status", [9, 10, 11, 12, 13])
def test_with_is_content_with_a_job_that_has_ended_or_is_ending(session, cloud, status):
    with VisualizationJob.create(URL, session=session):
        cloud.jobs[101]["status"] = status
    assert cloud.jobs[101]["status"] in (status, 12)


def test_with_is_content_with_a_job_that_is_gone(session, cloud):
    with VisualizationJob.create(URL, session=session) as job:
        job.delete()
    with VisualizationJob.create(URL, session=session):
        cloud.jobs.clear()


def test_with_says_that_a_job_cannot_be_stopped(session, cloud):
    with pytest.raises(JobStateError), VisualizationJob.create(URL, session=session):
        cloud.jobs[101]["status"] = 15


def test_failed_stop_keeps_error_of_block(session, cloud, caplog):
    """A stop that fails does not hide what went wrong in the block."""

    def block():
        with VisualizationJob.create(URL, session=session):
            cloud.jobs[101]["status"] = 15
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert "job 101 may run on: stop visualization job 101" in caplog.text


# ensure -----------------------------------------------------------------------------------


def ensure(session, train_url=URL, **arguments):
    return VisualizationJob.ensure(train_url, session=session, **arguments)


@pytest.mark.parametrize("given", ["/bucket/logs/", "/bucket/logs", "obs://bucket/logs"])
@pytest.mark.parametrize("there", ["/bucket/logs/", "/bucket/logs", "obs://bucket/logs/"])
def test_ensure_takes_running_job_in_any_spelling(session, cloud, given, there):
    """Ensure takes the job that runs however its folder is written."""
    cloud.add(status=12)
    cloud.add(status=8, train_url="/bucket/logs/other/")
    number = cloud.add(status=8, train_url=there)
    cloud.add(status=11)
    assert ensure(session, given).job_id == str(number)
    assert {request.method for request in cloud.calls} == {"GET"}


def test_ensure_looks_at_all_pages(session, cloud):
    number = cloud.add(status=8)
    for _ in range(250):
        cloud.add(status=8, train_url="/bucket/other/")
    assert ensure(session).job_id == str(number)


def test_ensure_takes_a_job_that_starts_and_rather_one_that_runs(session, cloud):
    cloud.add(status=8)
    cloud.add(status=7)
    assert ensure(session).job_id == "101"
    cloud.jobs[101]["status"] = 12
    assert ensure(session).job_id == "102"
    assert {request.method for request in cloud.calls} == {"GET"}


@pytest.mark.parametrize(
    ("statuses", "restarted"),
    [((12, 13, 11), 102), ((10,), 101), ((11, 3), 101), ((11, 9, 12), 103)],
)
def test_ensure_restarts_newest_stopped_then_failed(session, cloud, statuses, restarted):
    """Ensure restarts the newest that was stopped else one that failed."""
    for status in statuses:
        cloud.add(status=status)
    if statuses == (11, 3):
        del cloud.jobs[102]
    job = ensure(session)
    assert job.job_id == str(restarted)
    assert paths(cloud)[-1] == "/%d/restart" % restarted
    assert job.wait().status == JobStatus.RUNNING


@pytest.mark.parametrize("status", [0, 6, 99])
def test_ensure_creates_when_restart_is_refused(session, cloud, status):
    """Ensure makes a new job where the others cannot be restarted."""
    cloud.add(status=status)
    job = ensure(session, job_name="new", job_desc="d", auto_stop=3)
    assert (job.job_id, job.job_name, job.job_desc) == ("102", "new", "d")
    assert job.schedule.duration == 3


def test_ensure_keeps_the_types_of_jobs_apart(session, cloud):
    cloud.add(status=8, job_type="mindinsight")
    cloud.add(status=8, job_type="TensorBoard")
    cloud.add(status=8, service_url="https://h/modelarts/mindinsight/0a/103/")
    assert ensure(session).job_id == "102"
    assert ensure(session, job_type="MindInsight").job_id == "103"


def test_ensure_waits_for_stopping_job(session, cloud):
    """Ensure waits for a job that is being stopped and restarts it."""
    cloud.add(status=9)
    assert ensure(session).wait().status == JobStatus.RUNNING
    assert list(cloud.jobs) == [101]


def test_ensure_looks_again_when_another_was_faster(session, cloud):
    cloud.add(status=12)
    restart = cloud._restart

    def too_late(job, request):
        job["status"] = 8
        return restart(job, request)

    cloud._restart = too_late
    assert ensure(session).job_id == "101"
    assert list(cloud.jobs) == [101]


def test_ensure_creates_when_job_is_deleted(session, cloud):
    """Ensure makes a new job when the stopped one is deleted meanwhile."""
    cloud.add(status=12)
    allow = cloud._restart

    def gone(job, request):
        cloud.jobs.clear()
        cloud.add()
        del cloud.jobs[101]
        cloud.add(status=8, train_url="/bucket/other/")
        return allow({**job, "status": 8}, request)

    cloud._restart = gone
    assert ensure(session).train_url == URL
    assert len(cloud.jobs) == 2


def test_concurrent_ensures_get_one_job(session, cloud):
    """Two that ensure the same folder at once get the same job."""
    create = cloud._create

    def behind_another(body):
        cloud.add(status=1)
        return create(body)

    cloud._create = behind_another
    assert ensure(session).job_id == "101"
    assert list(cloud.jobs) == [101]


def test_the_first_of_two_keeps_its_job(session, cloud):
    create = cloud._create

    def before_another(body):
        answer = create(body)
        cloud.add(status=1)
        return answer

    cloud._create = before_another
    assert ensure(session).job_id == "101"
    assert list(cloud.jobs) == [101, 102]


@pytest.mark.parametrize(
    ("argument", "value"), [("train_url", "logs/"), ("job_type", "x"), ("auto_stop", 99)]
)
def test_invalid_ensure_argument_sends_nothing(session, cloud, argument, value):
    """A bad argument of ensure is one clear error before any request."""
    with pytest.raises(InvalidArgument) as caught:
        ensure(session, **{argument: value})
    assert caught.value.argument == argument
    assert cloud.calls == []
