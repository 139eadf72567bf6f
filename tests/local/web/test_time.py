"""The local service and time: schedules, durations, clocks that are set, machines that sleep."""

import signal

import pytest
import requests

from modelarts.auth import signer
from modelarts.errors import BadRequest
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.database.sqlite import SqliteDatabase
from modelarts.local.jobs.clock import ServiceClock, Timeline
from modelarts.local.jobs.store import Store
from modelarts.models import JobStatus as Status
from tests.servers.service import Service

pytestmark = pytest.mark.local

URL = "/bucket/logs/"
HOUR = 3600
DAY = 24 * HOUR


class Machine(ServiceClock):
    """A machine whose clocks a test moves, in seconds."""

    def __init__(self):
        self.wall, self.awake, self.up, self.booted = 1_790_000_000.0, 500.0, 700.0, "first"

    def time(self):
        return self.wall

    def monotonic(self):
        return self.awake

    def since_boot(self):
        return self.up

    def boot(self):
        return self.booted

    def runs(self, seconds):
        self.wall, self.awake, self.up = (
            self.wall + seconds,
            self.awake + seconds,
            self.up + seconds,
        )

    def sleeps(self, seconds):
        self.wall, self.up = self.wall + seconds, self.up + seconds

    def starts_anew(self, seconds):
        self.wall, self.awake, self.up = self.wall + seconds, 1.0, 1.0
        self.booted += "+"


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def store(tmp_path):
    store = Store(SqliteDatabase(tmp_path / "jobs.sqlite"))
    yield store
    store.close()


def _passed(before, timeline):
    return (
        (timeline.running() - before[0]) / 1000,
        (timeline.passed() - before[1]) / 1000,
    )


# The timeline -----------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-DAY, DAY])
def test_setting_the_clock_moves_neither_durations_nor_schedules(store, machine, seconds):
    timeline = Timeline(store, machine)
    before = timeline.running(), timeline.passed()
    machine.runs(10)
    machine.wall += seconds
    assert _passed(before, timeline) == (10, 10)
    timeline.keep()
    machine.wall += seconds  # while no service runs, too
    assert _passed(before, Timeline(store, machine)) == (10, 10)


def test_suspended_machine_advances_schedules_only(store, machine):
    """A machine that sleeps brings schedules on and no duration."""
    timeline = Timeline(store, machine)
    before = timeline.running(), timeline.passed()
    machine.runs(10)
    machine.sleeps(HOUR)
    assert _passed(before, timeline) == (10, HOUR + 10)


def test_stopped_service_advances_schedules_only(store, machine):
    timeline = Timeline(store, machine)
    before = timeline.running(), timeline.passed()
    machine.runs(10)
    timeline.keep()
    machine.runs(HOUR)
    assert _passed(before, Timeline(store, machine)) == (10, HOUR + 10)


def test_wall_clock_measures_time_of_shutdown(store, machine):
    timeline = Timeline(store, machine)
    before = timeline.running(), timeline.passed()
    timeline.keep()
    machine.starts_anew(HOUR)
    again = Timeline(store, machine)
    assert _passed(before, again) == (0, HOUR)
    again.keep()
    machine.starts_anew(-DAY)  # a machine without a battery: never back
    assert _passed(before, Timeline(store, machine)) == (0, HOUR)


def test_killed_service_loses_little_duration(store, machine):
    """A killed service loses what ran since it last wrote that down and no more."""
    timeline = Timeline(store, machine)
    timeline.keep()
    machine.runs(50)
    started = timeline.running()
    store.add(
        1,
        project_id="p",
        workspace_id="0",
        job_name="job",
        job_desc="",
        train_url=URL,
        job_type="tensorboard",
        create_time=timeline.wall(),
        status=int(Status.RUNNING),
        running_since=started,
    )
    machine.runs(5)
    again = Timeline(store, machine)
    # No job has run for less than nothing.
    assert store.get(1).duration(again.running()) == 0
    assert again.running() == started


# The service ------------------------------------------------------------------------------


class Clock:
    """The clock of a service with ``--test-clock``, as any client moves it."""

    def __init__(self, session):
        self._session = session

    def now(self):
        return self._session.request("GET", "/local/clock")

    def advance(self, seconds):
        return self._session.request("PUT", "/local/clock", body={"advance_seconds": seconds})


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("timed"), "--test-clock")
    yield service
    service.end()


def test_a_schedule_stops_its_job_on_its_hour(timed):
    with timed.session() as session:
        job = VisualizationJob.create(URL, auto_stop=2, session=session).wait()
        clock = Clock(session)
        clock.advance(2 * HOUR - 60)
        assert job.refresh().status == JobStatus.RUNNING
        assert 0 < job.raw["remaining_duration"] <= 60_000
        clock.advance(60)
        assert job.wait(until=JobStatus.KILLED).raw["remaining_duration"] is None
        assert 2 * HOUR * 1000 <= job.raw["duration"] < 2 * HOUR * 1000 + 60_000
        stopped = job.raw["duration"]
        clock.advance(HOUR)
        assert job.refresh().raw["duration"] == stopped


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_missed_schedule_stops_job_on_return(tmp_path, number):
    """A schedule that came while no service ran stops its job on return."""
    service = Service(tmp_path, "--test-clock")
    with service.session() as session:
        due = VisualizationJob.create(URL, auto_stop=1, session=session).wait()
        other = VisualizationJob.create(URL, auto_stop=5, session=session).wait()
        created = due.raw["create_time"]
    service.end(number)
    again = Service(tmp_path, "--test-clock", str(3 * HOUR))
    try:
        with again.session() as session:
            stopped = VisualizationJob.get(due.job_id, session).wait(until=JobStatus.KILLED)
            assert stopped.raw["duration"] < 60_000  # none of the hours without a service
            assert stopped.raw["create_time"] == created
            running = VisualizationJob.get(other.job_id, session).wait()
            assert running.raw["duration"] < 60_000
            assert 1.9 < running.raw["remaining_duration"] / HOUR / 1000 <= 2
    finally:
        again.end()


def test_duration_adds_up_over_restarts(timed):
    """A duration counts what ran over stops and restarts of the job."""
    with timed.session() as session:
        clock = Clock(session)
        job = VisualizationJob.create(URL, session=session).wait()
        clock.advance(100)
        job.stop().wait(until=JobStatus.KILLED)
        clock.advance(1000)
        job.restart().wait()
        clock.advance(100)
        assert 200 <= job.refresh().raw["duration"] / 1000 < 260


def test_a_job_is_created_at_the_time_of_the_clock(timed):
    with timed.session() as session:
        clock = Clock(session)
        before = clock.advance(DAY)["time"]
        job = VisualizationJob.create(URL, session=session)
        assert before <= job.raw["create_time"] <= clock.now()["time"]


def test_a_token_expires_by_the_clock_and_is_renewed(timed):
    with timed.password_session() as session, timed.session() as other:
        job = VisualizationJob.create(URL, session=session)
        token = _token(timed)
        assert _details(timed, job, {"X-Auth-Token": token}) == 200
        Clock(other).advance(25 * HOUR)
        assert _details(timed, job, {"X-Auth-Token": token}) == 401
        assert job.refresh().job_id  # the SDK asks for a new one


def test_signatures_ignore_the_test_clock(timed):
    """Signatures go by the clock of clients which nobody moves."""
    with timed.session(retries=0) as session:
        Clock(session).advance(365 * DAY)
        assert VisualizationJob.get_visualization_job_list(session)["is_success"] is True


def _token(service):
    found = service.connection
    user = {
        "name": found["username"],
        "password": found["password"],
        "domain": {"name": found["account"]},
    }
    body = {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"id": found["project_id"]}},
        }
    }
    with requests.Session() as plain:
        plain.trust_env = False
        answer = plain.post(found["iam_endpoint"] + "/v3/auth/tokens", json=body, timeout=30)
    return answer.headers["X-Subject-Token"]


def _details(service, job, headers):
    found = service.connection
    path = "/v1/%s/visualization-jobs/%s" % (found["project_id"], job.visualization_id)
    with requests.Session() as plain:
        plain.trust_env = False
        url = found["modelarts_endpoint"] + path
        return plain.get(url, headers=headers, timeout=30).status_code


# Who may move it --------------------------------------------------------------------------


def test_test_clock_is_off_by_default(service):
    """No service has a clock that can be moved unless it was asked for."""
    with service.session() as session, pytest.raises(Exception, match=r"does not exist") as caught:
        Clock(session).now()
    assert caught.value.status_code == 404


def test_nobody_moves_the_clock_without_credentials(timed):
    found = timed.connection
    with requests.Session() as plain:
        plain.trust_env = False
        url = found["modelarts_endpoint"] + "/local/clock"
        for answer in (
            plain.get(url, timeout=30),
            plain.put(url, json={"advance_seconds": 1}, timeout=30),
            plain.get(url, headers={"X-Sdk-Date": signer.sdk_date(0.0)}, timeout=30),
        ):
            assert answer.status_code == 401


@pytest.mark.parametrize("seconds", [-1, "1", None, True, 1e12, [1]])
def test_a_step_that_makes_no_sense_is_refused(timed, seconds):
    with timed.session() as session:
        before = Clock(session).now()["ahead_seconds"]
        with pytest.raises(BadRequest, match="advance_seconds must be a number from 0 to"):
            Clock(session).advance(seconds)
        assert Clock(session).now()["ahead_seconds"] == before
