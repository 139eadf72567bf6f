"""Many jobs on one machine: boards that sleep, limits that hold, one copy of what all need."""

import contextlib
import gzip
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from urllib.parse import urljoin

import pytest
import requests
import urllib3

from modelarts.errors import QuotaExceeded
from modelarts.estimator import JobStatus, VisualizationJob
from tests.local.web import client
from tests.servers.served import descendants, memory
from tests.servers.service import Service
from tests.support.clocks import wait_until

pytestmark = pytest.mark.local

URL = "/bucket/logs/"
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _advance(session, seconds):
    session.request("PUT", "/local/clock", body={"advance_seconds": seconds})


def _wait_for_exit(pid):
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([descriptor], [], [], 30)[0]
    os.close(descriptor)


SLEEPY = ("--test-clock", "--sleep-after", "10")


@pytest.fixture(scope="module")
def sleepy(tmp_path_factory):
    """A service whose boards sleep after ten minutes, for the tests that do not end it."""
    service = Service(tmp_path_factory.mktemp("sleepy"), *SLEEPY)
    yield service
    assert service.end() == 0


def _asleep(service, session, job, times=1):
    pid = service.board_pid(job)
    _advance(session, 601)
    service.said(r"job %s: its board sleeps" % job.visualization_id, times)
    _wait_for_exit(pid)


# Boards that sleep ------------------------------------------------------------------------


def test_idle_board_sleeps_and_next_visit_wakes_it(sleepy):
    """A board that nobody looks at sleeps and wakes with the next visit."""
    with sleepy.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
        _asleep(sleepy, session, job)
        assert job.refresh().status == JobStatus.RUNNING
        before = job.raw["duration"]
        assert client.get(job.service_url).status_code == 200
        assert job.refresh().status == JobStatus.RUNNING
        assert job.raw["duration"] >= before >= 600_000


def test_a_board_that_is_looked_at_does_not_sleep(sleepy):
    with sleepy.session() as session:
        looked_at = VisualizationJob.create(URL, session=session).wait()
        other = VisualizationJob.create(URL, session=session).wait()
        pid = sleepy.board_pid(looked_at)
        _advance(session, 400)
        assert client.get(looked_at.service_url).status_code == 200
        _advance(session, 400)
        sleepy.said(r"job %s: its board sleeps" % other.visualization_id)
        assert client.get(looked_at.service_url).status_code == 200
        assert pid in descendants(sleepy.process.pid)


def test_many_visits_at_once_wake_a_board_once(sleepy):
    with sleepy.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
        _asleep(sleepy, session, job)
        found = []
        visits = [
            threading.Thread(target=lambda: found.append(client.get(job.service_url).status_code))
            for _ in range(10)
        ]
        for visit in visits:
            visit.start()
        for visit in visits:
            visit.join()
        assert found == [200] * 10
        running = "job %s: running" % job.visualization_id
        sleepy.said(running, times=2)  # the log is read by a thread
        assert len([line for line in sleepy.log if running in line]) == 2


@pytest.mark.parametrize("verb", ["stop", "delete"])
def test_a_job_whose_board_sleeps_can_be_ended(sleepy, verb):
    with sleepy.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
        _asleep(sleepy, session, job)
        getattr(job, verb)()
        if verb == "stop":
            job.wait(until=JobStatus.KILLED)
            assert client.get(job.service_url).status_code == 503
            job.restart().wait()
            assert client.get(job.service_url).status_code == 200
        else:
            assert client.get(job.service_url).status_code == 404


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_sleeping_board_survives_restart_of_service(tmp_path, number):
    """A board that slept when the service ended sleeps on and wakes."""
    service = Service(tmp_path / "root", *SLEEPY)
    with service.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
        _asleep(service, session, job)
    service.end(number)
    again = Service(service.root, *SLEEPY)
    try:
        with again.session() as session:
            back = VisualizationJob.get(job.job_id, session)
            assert back.status == JobStatus.RUNNING
            assert client.get(back.service_url).status_code == 200
            assert not any("tried again" in line for line in again.log)
    finally:
        again.end()


def test_broken_folder_of_sleeping_board_fails_job(sleepy, tmp_path):
    """A sleeping board whose folder went bad fails its job on the next visit."""
    with sleepy.session() as session:
        job = VisualizationJob.create("/broken/logs/", session=session).wait()
        _asleep(sleepy, session, job)
        (sleepy.root / "obs" / "broken").symlink_to(tmp_path)
        assert client.get(job.service_url).status_code == 503
        assert job.refresh().status == JobStatus.FAILED
        assert "leads out of its bucket" in job.raw["reason"]


def test_no_board_sleeps_where_none_is_to(tmp_path):
    service = Service(tmp_path / "root", "--test-clock", "--sleep-after", "0")
    try:
        with service.session() as session:
            job = VisualizationJob.create(URL, session=session).wait()
            _advance(session, 1e7)
            _advance(session, 1e7)
            assert client.get(job.service_url).status_code == 200
            assert service.board_pid(job) in descendants(service.process.pid)
            assert not any("its board sleeps" in line for line in service.log)
    finally:
        service.end()


# How many ---------------------------------------------------------------------------------


def test_concurrent_creates_keep_the_quota(tmp_path):
    """No more are active than allowed however many ask at once."""
    service = Service(tmp_path / "root", "--max-running", "4")
    try:
        with service.session() as session:
            stopped = [VisualizationJob.create(URL, session=session).stop() for _ in range(3)]
            for job in stopped:
                job.wait(until=JobStatus.KILLED)
            made, refused = [], []

            def call(act):
                try:
                    made.append(act())
                except QuotaExceeded:
                    refused.append(act)

            acts = [job.restart for job in stopped]
            acts += [lambda: VisualizationJob.create(URL, session=session)] * 9
            threads = [threading.Thread(target=call, args=(act,)) for act in acts]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert (len(made), len(refused)) == (4, 8)
            listed = VisualizationJob.get_visualization_job_list(session)
            assert (listed["job_count_limit"], listed["quotas"]) == (0, 4)
            assert len(VisualizationJob.list(session, status=[1, 7, 8])) == 4
    finally:
        service.end()


def test_dozen_jobs_run_and_share_memory(tmp_path):
    """Jobs by the dozen run and answer and share what they have in common."""
    # One that is forked from a process of the tests would share its memory, too.
    service = Service(tmp_path / "root", is_forked=False)
    with service.session() as session:
        jobs = [VisualizationJob.create(URL, session=session) for _ in range(24)]
        for job in jobs:
            job.wait()
        assert {client.get(job.service_url).status_code for job in jobs} == {200}
        # Of some 80 MB that a TensorBoard alone holds.
        boards = [service.board_pid(job) for job in jobs]
        assert memory(boards) / len(boards) < 30e6
    assert service.end() == 0


def test_board_serves_frontend_files_as_tensorboard_does(service):
    """A board serves the files of the frontend as tensorboard does."""
    with service.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
        asked = urllib.request.Request(
            job.service_url + "index.js?_file_hash=1", headers={"Accept-Encoding": "gzip"}
        )
        with _direct.open(asked, timeout=60) as answer:
            assert "javascript" in answer.headers["Content-Type"]
            assert answer.headers["Content-Encoding"] == "gzip"
            assert "max-age" in answer.headers["Cache-Control"]
            assert answer.read(2) == b"\x1f\x8b"
        for path in ("icon_bundle.svg", "font-roboto/roboto.html", "chart_worker.js"):
            assert client.get(job.service_url + path).status_code == 200
        assert client.get(job.service_url + "no-such-file.js").status_code == 404
        # Relative, or they would be asked for where no board is.
        page = client.get(job.service_url).content.decode()
        fonts = set(re.findall(r"url\((\S*font-roboto/\S+)\)", page))
        assert len(fonts) > 10
        for font in sorted(fonts)[:2]:
            assert client.get(urljoin(job.service_url, font)).status_code == 200
        projector = job.service_url + "data/plugin/projector/projector_binary.html"
        found = re.findall(r"url\((\S*font-roboto/\S+)\)", client.get(projector).content.decode())
        assert len(found) > 10
        assert client.get(urljoin(projector, found[0])).status_code == 200
        job.delete()


def test_frontend_is_taken_as_the_archive_packs_it():
    """The files of a warm parent are those of TensorBoard, whatever else is installed."""
    program = """
import gzip, json, sys
import boto3
from modelarts.local.boards import frontend, preload
from tensorboard.compat.tensorflow_stub.io import gfile
packed = frontend.from_archive(frontend.names() - {frontend.RELOAD})
same = [gzip.decompress(content) == frontend.text(name) for name, content in packed.items()]
print(json.dumps([len(same), all(same), gfile.S3_ENABLED, sys.modules["boto3"] is boto3]))
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    files, same, knows_s3, boto3_is_back = json.loads(done.stdout)
    assert files > 50
    assert (same, knows_s3, boto3_is_back) == (True, False, True)


def test_boards_share_one_copy_of_the_frontend(service):
    """A browser fetches it once for all boards, and keeps it; each page is small."""
    compressed = {"Accept-Encoding": "gzip"}
    with service.session() as session, requests.Session() as browser:
        browser.trust_env = False
        scripts, sizes = set(), []
        for _ in range(2):
            job = VisualizationJob.create(URL, session=session).wait()
            with browser.get(job.service_url, headers=compressed, stream=True) as page:
                sizes.append(len(page.raw.read(decode_content=False)))
                assert page.headers["Cache-Control"] == "no-cache, must-revalidate"
            text = browser.get(job.service_url).text
            reload, script = re.findall(r'<script src="([^"]+)"', text)
            assert "autoReload" in browser.get(urljoin(job.service_url, reload)).text
            scripts.add(urljoin(job.service_url, script))
            job.delete()
        assert max(sizes) < 30_000
        (script,) = scripts
        with browser.get(script, headers=compressed, stream=True) as answer:
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert answer.headers["Content-Type"].startswith("text/javascript")
            packed = answer.raw.read(decode_content=False)
        plain = browser.get(script, headers={"Accept-Encoding": "identity"})
        assert gzip.decompress(packed) == plain.content
        assert sizes[0] + len(packed) < 2_000_000
        version = script.split("/frontend/")[1].split("/")[0]
        assert browser.get(script.replace(version, "0" * 16)).status_code == 404
        assert browser.get(script.replace("index.js", "../users.json")).status_code == 404
        assert browser.get(script.replace("index.js", "no-such-file.js")).status_code == 404


def test_service_ends_while_a_page_waits(own_service):
    """The service ends at once though a page waits for a board that hangs."""
    with own_service.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
    pid = own_service.board_pid(job)
    os.kill(pid, signal.SIGSTOP)
    visit = threading.Thread(target=_get_or_nothing, args=(job.service_url,))
    visit.start()
    wait_until(lambda: _connections(pid))
    began = time.monotonic()
    assert own_service.end() == 0
    assert time.monotonic() - began < 30  # a page waits for two minutes
    visit.join()
    _wait_for_exit(pid)


def test_stopped_board_ends_with_killed_service(own_service):
    """A board that is stopped by a signal does not outlive a killed service."""
    with own_service.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
    pid = own_service.board_pid(job)
    os.kill(pid, signal.SIGSTOP)
    own_service.end(signal.SIGKILL)
    _wait_for_exit(pid)


def _get_or_nothing(url):
    try:
        client.get(url)
    except urllib3.exceptions.HTTPError:
        pass


def _connections(pid):
    """How many connections wait for a process that listens, or are open."""
    inodes = set()
    for name in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            target = os.readlink("/proc/%d/fd/%s" % (pid, name))
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    (port,) = {row[1].split(":")[1] for row in rows if row[3] == "0A" and row[9] in inodes}
    return [row for row in rows if row[2].endswith(":" + port) and row[3] == "01"]
