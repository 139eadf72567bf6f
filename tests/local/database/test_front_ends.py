"""Two front ends on one PostgreSQL database."""

import os
import re
import signal
import time

import pytest
import requests

from modelarts.auth import signer
from modelarts.errors import AuthenticationFailed, RateLimited
from modelarts.estimator import JobStatus, VisualizationJob
from tests.crashes.front_end_clients import URL, Client
from tests.servers.service import PASSWORD, Service
from tests.support.clocks import wait_until
from tests.support.console import Browser, link_of

pytestmark = pytest.mark.local

HOUR = 3600
#: A name under which both may be asked.
NAME = "boards.test"


class Front:
    """A front end, with a session by its own address."""

    def __init__(self, root, users, url):
        options = ("--test-clock", "--stop-after", "100", "--allow-host", NAME, "--database", url)
        self.service = Service(root, "--users", str(users), *options)
        self.address = self.service.connection["modelarts_endpoint"]
        self.session = self.service.session(retries=0)

    def job(self, job):
        """The same job, through this front end."""
        return VisualizationJob.get(job.visualization_id, self.session)

    def advance(self, seconds):
        """Move the clock; return how far ahead it is."""
        answer = self.session.request("PUT", "/local/clock", body={"advance_seconds": seconds})
        return answer["ahead_seconds"]

    def ahead(self):
        """Return how far ahead the clock is."""
        return self.session.request("GET", "/local/clock")["ahead_seconds"]

    def end(self, number=signal.SIGTERM):
        """End this front end; return its exit code."""
        self.session.close()
        return self.service.end(number)


@pytest.fixture(scope="module")
def place(postgres, tmp_path_factory):
    """The users file and the database that front ends have in common."""
    folder = tmp_path_factory.mktemp("fronts")
    first = folder / "users"
    Service(first).end()
    return folder, first / "users.json", postgres.database()


def _front(place, name):
    folder, users, url = place
    return Front(folder / name, users, url)


@pytest.fixture(scope="module")
def fronts(place):
    """Two front ends that no test harms."""
    pair = _front(place, "a"), _front(place, "b")
    yield pair
    for front in pair:
        assert front.end() == 0


@pytest.fixture
def plain():
    with requests.Session() as session:
        session.trust_env = False
        yield session


def _path(url):
    return re.sub(r"\Ahttps?://[^/]+", "", url)


def test_job_of_one_front_end_is_seen_and_stopped_by_another(fronts, plain):
    here, there = fronts
    job = VisualizationJob.create(URL, session=here.session).wait()
    same = there.job(job)
    assert (same.status, same.job_name) == (JobStatus.RUNNING, job.job_name)
    # A visitor of either gets a page.
    for front in fronts:
        page = plain.get(front.address + _path(job.service_url), timeout=60)
        assert (page.status_code, "TensorBoard" in page.text) == (200, True)
    pids = [front.service.board_pid(job) for front in fronts]
    same.stop().wait(until=JobStatus.KILLED)
    assert job.refresh().status == JobStatus.KILLED
    assert plain.get(here.address + _path(job.service_url), timeout=60).status_code == 503
    wait_until(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in pids))
    same.restart().wait()
    assert job.refresh().status == JobStatus.RUNNING
    same.delete()
    assert plain.get(here.address + _path(job.service_url), timeout=60).status_code == 404


def test_shared_link_works_through_both_until_it_is_revoked(fronts, plain):
    here, there = fronts
    job = VisualizationJob.create(URL, session=here.session).wait()
    share = job.share(hours=1)
    addresses = [front.address + _path(share.url) for front in fronts]
    assert [plain.get(url, timeout=60).status_code for url in addresses] == [200, 200]
    same = there.job(job)
    same.unshare(same.shares()[0])
    assert [plain.get(url, timeout=60).status_code for url in addresses] == [404, 404]
    job.delete()


def test_clock_and_schedules_are_those_of_all(fronts):
    here, there = fronts
    job = VisualizationJob.create(URL, auto_stop=1, session=there.session).wait()
    before = there.ahead()
    assert here.advance(0.5 * HOUR) == before + 0.5 * HOUR == there.ahead()
    left = [front.job(job).raw["remaining_duration"] for front in fronts]
    assert all(0.49 * HOUR < each / 1000 < 0.51 * HOUR for each in left), left
    spent = [front.job(job).duration / 1000 for front in fronts]
    assert all(0.49 * HOUR < each < 0.51 * HOUR for each in spent), spent
    here.advance(0.5 * HOUR)
    assert there.job(job).wait(until=JobStatus.KILLED).status == JobStatus.KILLED
    job.delete()


def test_idle_job_is_stopped_by_the_visits_to_all(fronts, plain):
    here, there = fronts
    job = VisualizationJob.create(URL, session=here.session).wait()
    here.advance(99 * HOUR)
    page = there.address + _path(job.service_url)
    assert plain.get(page, timeout=60).status_code == 200
    here.advance(99 * HOUR)
    assert here.job(job).status == JobStatus.RUNNING
    here.advance(1.1 * HOUR)
    assert there.job(job).wait(until=JobStatus.KILLED).raw["reason"] == "no visit for 100 hours"
    job.delete()


def test_request_is_a_replay_at_the_other_front_end(fronts, plain):
    here, there = fronts
    job = VisualizationJob.create(URL, session=here.session)
    keys = here.service.connection
    path = "/v1/%s/visualization-jobs/%s" % (keys["project_id"], job.visualization_id)
    body = b'{"job_desc": "once"}'
    headers = {"Host": NAME, "X-Sdk-Date": signer.sdk_date(time.time())}
    headers["Authorization"] = signer.sign(
        "PUT", path, "", headers, body, keys["access_key"], keys["secret_key"]
    )

    def send(front):
        return plain.put(front.address + path, data=body, headers=headers, timeout=60)

    assert send(here).status_code == 200
    begun = time.monotonic()
    wait_until(
        lambda: send(there).status_code == 401
    )  # after the moment in which it may be an equal call
    assert time.monotonic() - begun > 4
    assert send(here).status_code == 401
    job.delete()


def test_wrong_passwords_count_at_all_front_ends(fronts):
    here, there = fronts

    def log_in(front, password):
        with front.service.password_session(
            username="nobody-%d" % os.getpid(), password=password, retries=0
        ) as session:
            session.request("GET", "/v3/projects")

    for number in range(10):
        with pytest.raises(AuthenticationFailed):
            log_in((here, there)[number % 2], "wrong")
    for front in fronts:
        with pytest.raises(RateLimited):
            log_in(front, "wrong")


def test_token_of_one_front_end_is_good_at_another(fronts, plain):
    here, there = fronts
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": _user(here)}}}}
    answer = plain.post(here.address + "/v3/auth/tokens", json=body, timeout=60)
    headers = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
    assert plain.get(there.address + "/v3/projects", headers=headers, timeout=60).status_code == 200


def _user(front):
    found = front.service.connection
    return {
        "name": found["username"],
        "password": PASSWORD,
        "domain": {"name": found["account"]},
    }


# Front ends that die -------------------------------------------------------------------------


def test_browser_is_signed_in_at_both_front_ends(fronts):
    """As behind one proxy: both look for the same cookie, and one signs out of both."""
    here, there = fronts
    browser, other = Browser(here.service), Browser(there.service)
    assert "<h1>Jobs</h1>" in browser.open(link_of(here.service)).text
    other.session.cookies = browser.session.cookies
    assert "<h1>Jobs</h1>" in other.get("").text
    other.session.post(other.console + "sign-out", data={"token": other.token})
    assert browser.get("").url.endswith("/sign-in")
    browser.close()
    other.close()


def test_kills_lose_no_acknowledged_call(place, postgres):
    """Kills a front end, and all of the database, while clients use both."""
    own = (*place[:2], postgres.database())
    first, second = _front(own, "c"), _front(own, "d")
    clients = [Client("client-%d" % number, [first, second]) for number in range(8)]
    try:
        for client in clients:
            client.start()
        wait_until(lambda: all(client.acknowledged > 2 for client in clients), 60)
        postgres.stop()
        wait_until(lambda: sum(client.refused for client in clients) > 20, 60)
        postgres.start()
        wait_until(lambda: sum(client.acknowledged for client in clients) > 200, 60)
        first.end(signal.SIGKILL)
        second.service.said("this front end .* leads", 1)
        before = [client.acknowledged for client in clients]
        wait_until(
            lambda: all(now.acknowledged > then + 2 for now, then in zip(clients, before)), 60
        )
    finally:
        for client in clients:
            client.ending.set()
        for client in clients:
            client.join()
    try:
        assert [client.errors for client in clients] == [[]] * 8
        jobs = [job for job in VisualizationJob.iter(second.session) if "client" in job.job_name]
        assert sorted(job.job_name for job in jobs) == [client.job_name for client in clients]
        for client in clients:
            assert client.job.visualization_id in [job.visualization_id for job in jobs]
        described = {job.job_name: job.job_desc for job in jobs}
        assert all(described[client.job_name] in client.may_be for client in clients)
        # What the one that was killed has left begins here.
        for job in jobs:
            assert job.wait().status == JobStatus.RUNNING
            job.delete()
    finally:
        assert second.end() == 0


def test_front_end_ends_while_its_database_is_silent(place, postgres):
    front = _front(place, "silent")
    with postgres.silent():
        begin = time.monotonic()
        assert front.end() == 0
        assert time.monotonic() - begin < 30
