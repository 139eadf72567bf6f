"""Jobs that nobody visits are stopped, and the next visitor may start them again."""

import re
import signal
from urllib.parse import urlsplit

import pytest
import requests
from tensorboardX import SummaryWriter

from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.boards.visits import Visits
from modelarts.local.database.sqlite import SqliteDatabase
from modelarts.local.jobs.clock import MovableClock, Timeline
from modelarts.local.jobs.store import Store
from tests.servers.service import Service
from tests.support.browser import chromium
from tests.support.clocks import wait_until

pytestmark = pytest.mark.local

URL = "/bucket/idle/"
HOUR = 3600
HTML = {"Accept": "text/html"}
ACTIVE = (JobStatus.INIT, JobStatus.WAITING, JobStatus.RUNNING)


class Idle:
    """A service that stops jobs after two hours without a visit."""

    options = ("--test-clock", "--stop-after", "2", "--max-running", "5")

    def __init__(self, root):
        self.service = Service(root, *self.options)
        with SummaryWriter(str(root / "obs" / "bucket" / "idle" / "train")) as writer:
            writer.add_scalar("loss", 0.5, 1)
        self.session = self.service.session()

    def create(self):
        return VisualizationJob.create(URL, session=self.session).wait()

    def advance(self, hours):
        body = {"advance_seconds": hours * HOUR}
        self.session.request("PUT", "/local/clock", body=body)

    def end(self):
        self.session.close()
        return self.service.end()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = Idle(tmp_path_factory.mktemp("idle") / "root")
    yield world
    assert world.end() == 0


@pytest.fixture
def job(world):
    job = world.create()
    yield job
    job.delete()


@pytest.fixture(scope="module")
def plain():
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def stopped(world, job):
    """A job that was stopped for lack of visits."""
    world.advance(2)
    return job.wait(until=JobStatus.KILLED)


# The stop -----------------------------------------------------------------------------------


def test_job_without_a_visit_is_stopped(world, job):
    world.advance(1.9)
    assert job.refresh().status == JobStatus.RUNNING
    world.advance(0.1)
    assert job.wait(until=JobStatus.KILLED).raw["reason"] == "no visit for 2 hours"


def test_visit_counts_from_anew_also_of_sleeping_board(world, job, plain):
    """The board sleeps after an hour; each visit gives the job two more hours."""
    for _ in range(3):
        world.advance(1.9)
        assert plain.get(job.service_url + "data/runs", timeout=60).json() == ["train"]
    world.advance(1.9)
    assert job.refresh().status == JobStatus.RUNNING
    world.advance(0.1)
    assert job.wait(until=JobStatus.KILLED).status == JobStatus.KILLED


def test_visit_by_link_counts(world, job, plain):
    share = job.share()
    world.advance(1.9)
    assert plain.get(share.url, timeout=60).status_code == 200
    world.advance(1.9)
    assert job.refresh().status == JobStatus.RUNNING


def test_api_call_is_no_visit(world, job):
    world.advance(1.9)
    job.refresh()
    VisualizationJob.list(world.session)
    world.advance(0.1)
    assert job.refresh().status not in ACTIVE


def test_restart_counts_from_anew(world, stopped):
    stopped.restart().wait()
    assert "reason" not in stopped.refresh().raw
    world.advance(1.9)
    assert stopped.refresh().status == JobStatus.RUNNING


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_time_without_service_does_not_count(tmp_path, number):
    """Nobody can visit a board then. The time before it does count."""
    first = Idle(tmp_path / "root")
    job = first.create()
    first.advance(1.9)
    first.session.close()
    first.service.end(number)
    service = Service(tmp_path / "root", "--stop-after", "2", "--test-clock", str(100 * HOUR))
    try:
        with service.session() as session:
            job = VisualizationJob.get(job.visualization_id, session).wait()
            assert job.status == JobStatus.RUNNING
            session.request("PUT", "/local/clock", body={"advance_seconds": 2 * HOUR})
            assert job.wait(until=JobStatus.KILLED).raw["reason"] == "no visit for 2 hours"
    finally:
        service.end()


def test_without_the_option_no_job_is_idle(tmp_path):
    store = Store(SqliteDatabase(tmp_path / "jobs.sqlite"))
    clock = MovableClock()
    timeline = Timeline(store, clock)
    columns = dict.fromkeys(("project_id", "job_name", "job_desc", "train_url", "job_type"), "x")
    job = store.add(1, workspace_id="0", create_time=0, status=JobStatus.RUNNING, **columns)
    store.keep_visits({job.job_id: timeline.running()})
    clock.advance(1000 * HOUR)
    idle = [Visits(store, timeline, hours * HOUR).idle() for hours in (0, 999, 1001)]
    assert [[each.job_id for each in jobs] for jobs in idle] == [[], [job.job_id], []]
    # Where nothing was counted, it is counted from now on.
    Visits(store, timeline, 0).open()
    Visits(store, timeline, 999 * HOUR).open()
    assert Visits(store, timeline, 999 * HOUR).idle() == []
    store.close()


# The next visit -----------------------------------------------------------------------------


def test_next_visit_offers_to_start(stopped, plain):
    page = plain.get(stopped.service_url, headers=HTML, timeout=60)
    assert (page.status_code, page.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert "was stopped: no visit for 2 hours." in page.text
    assert '<form method="post"><button>Start it again</button></form>' in page.text
    assert stopped.refresh().status == JobStatus.KILLED  # to look is not to start
    answer = plain.post(stopped.service_url, timeout=60, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "./")
    assert stopped.wait().status == JobStatus.RUNNING
    assert plain.get(stopped.service_url, headers=HTML, timeout=60).status_code == 200


def test_job_that_its_owner_stopped_is_not_offered(job, plain):
    job.stop().wait(until=JobStatus.KILLED)
    page = plain.get(job.service_url, headers=HTML, timeout=60)
    assert (page.status_code, "<form" in page.text) == (503, False)
    assert plain.post(job.service_url, timeout=60).status_code == 503
    assert job.refresh().status == JobStatus.KILLED


def test_visitor_of_link_starts_nothing(world, job, plain):
    share = job.share()
    world.advance(2)
    job.wait(until=JobStatus.KILLED)
    page = plain.get(share.url, headers=HTML, timeout=60)
    assert (page.status_code, "<form" in page.text, job.job_name in page.text) == (
        503,
        False,
        False,
    )
    assert plain.post(share.url, timeout=60).status_code == 405
    assert job.refresh().status == JobStatus.KILLED


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_foreign_page_starts_nothing(stopped, plain, headers):
    assert plain.post(stopped.service_url, headers=headers, timeout=60).status_code == 403
    assert stopped.refresh().status == JobStatus.KILLED


def test_start_by_visitor_keeps_to_the_limit(world, stopped, plain):
    others = [world.create() for _ in range(5)]
    try:
        answer = plain.post(stopped.service_url, timeout=60)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "ModelArts.0118")
    finally:
        for other in others:
            other.delete()


def test_key_is_needed_to_start(stopped, plain):
    key = urlsplit(stopped.service_url).path.split("/")[-3]
    wrong = stopped.service_url.replace(key, 32 * "0")
    assert plain.post(wrong, timeout=60).status_code == 404


# In a browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.mark.extended
def test_visitor_starts_the_board_with_one_click(browser, stopped):
    page = browser.new_page()
    page.goto(stopped.service_url)
    page.get_by_role("button", name="Start it again").click()
    page.locator("tb-webapp").wait_for(state="attached")
    assert stopped.refresh().status == JobStatus.RUNNING
    page.close()


def test_tab_asks_only_while_it_is_visible(browser, job):
    """TensorBoard reloads every 30 seconds; not in a tab that is behind another one."""
    page = browser.new_page()
    page.clock.install()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(job.service_url)
    page.locator("scalar-card").first.wait_for()

    def reloads():
        asked.clear()
        page.clock.fast_forward(31_000)
        page.clock.run_for(1_000)
        page.evaluate("fetch('data/environment').then(answer => answer.text())")
        return [url for url in asked if re.search(r"data/runs|timeSeries|/tags$", url)]

    wait_until(reloads)
    page.evaluate(
        """() => {
            Object.defineProperty(document, 'visibilityState', {get: () => 'hidden'});
            Object.defineProperty(document, 'hidden', {get: () => true});
            document.dispatchEvent(new Event('visibilitychange'));
        }"""
    )
    reloads()  # what was on its way
    assert [reloads(), reloads()] == [[], []]
    page.close()
