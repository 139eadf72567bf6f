"""The local service as a process: what it keeps, what it refuses, and how it ends."""

import contextlib
import fcntl
import json
import os
import random
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
import requests

from modelarts.auth import signer
from modelarts.errors import BadRequest, ConfigurationError, JobStateError, QuotaExceeded
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.database.sqlite import SqliteDatabase
from modelarts.local.identity.users import OWNER
from modelarts.local.identity.users_file import edit, prepare
from modelarts.local.jobs.store import Store
from modelarts.session import Session
from tests.local.web import client
from tests.servers.forkserver import run_forked
from tests.servers.service import Service
from tests.support.clocks import wait_until

pytestmark = pytest.mark.local

URL = "/bucket/logs/"
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _wait_for_end(root):
    """Returns when no service holds the folder any more, however it ended."""
    with open(root / "service.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def _gone(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


# Boards -----------------------------------------------------------------------------------


def test_a_running_job_shows_the_real_tensorboard(service):
    with service.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
        page = client.get(job.service_url)
        assert page.status_code == 200
        assert b"<tf-tensorboard" in page.content or b"tb-webapp" in page.content
        answer = client.get(job.service_url + "data/environment")
        assert answer.json()["data_location"] == str(service.root / "obs/bucket/logs")
        job.delete()


def test_page_opens_at_own_address_while_job_runs(service):
    """A page opens only under its own address and while its job runs."""
    with service.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
        base, key, number = job.service_url.rstrip("/").rsplit("/", 2)
        assert client.get("%s/%s/%s/" % (base, "0" * 32, number)).status_code == 404
        assert client.get("%s/%s/%d/" % (base, key, int(number) + 1)).status_code == 404
        with requests.Session() as plain:
            plain.trust_env = False
            redirected = plain.get(job.service_url[:-1], timeout=30)
        assert (redirected.status_code, redirected.url) == (200, job.service_url)
        job.stop().wait(until=JobStatus.KILLED)
        page = client.get(job.service_url)
        assert (page.status_code, b"is KILLED" in page.content) == (503, True)
        job.delete()
        assert client.get(job.service_url).status_code == 404


def test_hung_board_blocks_nothing_else(service):
    """A board that hangs keeps nobody from the service and other boards."""
    with service.session(timeout=20, retries=0) as session:
        hanging = VisualizationJob.create(URL, session=session).wait()
        other = VisualizationJob.create(URL, session=session).wait()
        address = urlsplit(hanging.service_url)
        board = service.board_pid(hanging)
        os.kill(board, signal.SIGSTOP)
        waiting = []
        try:
            for _ in range(60):
                waiting.append(socket.create_connection((address.hostname, address.port)))
                waiting[-1].sendall(
                    b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % address.path.encode()
                )
            # More than may wait: those beyond are answered at once.
            assert select.select(waiting, [], [], 20)[0]
            assert other.refresh().status == JobStatus.RUNNING
            assert client.get(other.service_url).status_code == 200
        finally:
            os.kill(board, signal.SIGCONT)
            for connection in waiting:
                connection.close()
        for job in (hanging, other):
            job.delete()


def test_an_address_that_no_board_can_be_asked_for_is_refused(service):
    job = VisualizationJob.create(URL, session=service.session()).wait()
    address = urlsplit(job.service_url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(
            b"GET %s?\x7f HTTP/1.1\r\nHost: localhost\r\n\r\n" % address.path.encode()
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
    # An error of this kind would be in the log before the next answer.
    assert job.refresh().status == JobStatus.RUNNING
    assert not any("Traceback" in line for line in service.log if line)
    job.delete()


def test_a_board_answers_nobody_but_its_service(service):
    """Boards listen on loopback, where every user of the machine can reach them."""
    with service.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
        port = _listening_port(service.board_pid(job))
        assert client.get("http://127.0.0.1:%d/" % port).status_code == 403
        assert client.get("http://127.0.0.1:%d/data/environment" % port).status_code == 403
        asked = urllib.request.Request(job.service_url, headers={"X-Board-Key": "mine"})
        with _direct.open(asked, timeout=30) as page:
            assert page.status == 200
        job.delete()


def _listening_port(pid):
    inodes = set()
    for name in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            target = os.readlink("/proc/%d/fd/%s" % (pid, name))
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    with open("/proc/net/tcp") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                return int(fields[1].split(":")[1], 16)
    raise AssertionError("it listens on no port")


def test_killed_board_fails_only_its_job(service):
    """Killing a board fails its job with a reason and nothing else."""
    with service.session() as session:
        victim = VisualizationJob.create(URL, session=session).wait()
        other = VisualizationJob.create(URL, session=session).wait()
        pid = service.board_pid(victim)
        os.kill(pid, signal.SIGKILL)
        service.said(
            r"job %s: failed: TensorBoard's process %d was killed by signal 9"
            % (victim.job_id, pid)
        )
        assert victim.refresh().status == JobStatus.FAILED == 11
        assert "killed by signal 9" in victim.raw["reason"]
        assert other.refresh().status == JobStatus.RUNNING
        assert client.get(other.service_url).status_code == 200
        assert victim.restart().wait().status == JobStatus.RUNNING
        assert client.get(victim.service_url).status_code == 200
        for job in (victim, other):
            job.delete()


def test_a_job_that_is_being_stopped_cannot_be_deleted(service):
    with service.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
        # The boards' parent reports how a board ended; while it is held, the stop lasts.
        parent = _parent(service.board_pid(job))
        os.kill(parent, signal.SIGSTOP)
        try:
            job.stop()
            assert job.status == JobStatus.KILLING
            with pytest.raises(JobStateError, match=r"can't be delete\. job status: 9"):
                job.delete()
            said = job.stop_visualization_job()
            assert said["error_msg"] == "This job can't be stop. job status: 9"
        finally:
            os.kill(parent, signal.SIGCONT)
        job.wait(until=JobStatus.KILLED).delete()


def _parent(pid):
    with open("/proc/%d/stat" % pid) as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


@pytest.fixture
def held(own_service):
    """A service whose first job does not come to its end of starting: its log is a pipe that
    nobody reads. Answers the service, the job and the process of its board."""
    pipe = own_service.root / "logs" / "job-1.log"
    os.mkfifo(pipe)
    with own_service.session() as session:
        job = VisualizationJob.create(URL, session=session).wait(until=JobStatus.WAITING)
    wait_until(lambda: any(map(_children, _forkservers(own_service))))
    board = os.pidfd_open(_children(_forkserver(own_service))[0])
    yield own_service, job, board, pipe
    os.close(board)


def _forkserver(service):
    (found,) = _forkservers(service)
    return found


def _forkservers(service):
    """The parent of the boards, once there is one."""
    return [pid for pid in _children(service.process.pid) if "forkserver" in _command_line(pid)]


def _children(parent):
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and _parent(int(name)) == parent:
                found.append(int(name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def _command_line(pid):
    with open("/proc/%d/cmdline" % pid) as file:
        return file.read()


def test_job_stopped_at_start_leaves_no_process(held):
    """A job stopped while it starts has no process left and runs when restarted."""
    _service, job, board, pipe = held
    job.stop().wait(until=JobStatus.KILLED)
    _wait_for_exit(os.dup(board))
    pipe.unlink()
    job.restart().wait()
    assert client.get(job.service_url).status_code == 200


def test_job_deleted_at_start_leaves_nothing(held):
    """A job deleted while it starts leaves no process and no log."""
    service, job, board, _pipe = held
    job.delete()
    _wait_for_exit(os.dup(board))
    assert not list((service.root / "logs").iterdir())


def test_jobs_deleted_at_any_moment_leave_no_logs(service):
    """Also one whose process begins after the delete has removed its log."""
    pauses = random.Random(1)
    deleted = []

    def delete_many(session):
        for _ in range(30):
            job = VisualizationJob.create(URL, session=session, check=False)
            time.sleep(pauses.random() * 0.06)
            job.delete()
            deleted.append(service.root / "logs" / ("job-%s.log" % job.job_id))

    with service.session() as session:
        threads = [threading.Thread(target=delete_many, args=(session,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(deleted) == 120
    wait_until(lambda: not any(log.exists() for log in deleted), 10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_service_that_ends_does_not_wait_for_boards_that_start(held, number):
    service, _job, board, _pipe = held
    began = time.monotonic()
    service.end(number)
    _wait_for_exit(os.dup(board))
    assert time.monotonic() - began < 30


def test_a_schedule_of_no_hours_stops_the_job_as_soon_as_it_runs(service):
    with service.session() as session:
        job = VisualizationJob.create(URL, auto_stop=0, session=session)
        assert job.wait(until=JobStatus.KILLED).status == JobStatus.KILLED
        job.delete()


def test_a_job_that_has_hours_left_says_how_long(service):
    with service.session() as session:
        job = VisualizationJob.create(URL, auto_stop=2, session=session).wait()
        assert 0 < job.raw["remaining_duration"] <= 2 * 3_600_000
        job.delete()


# What is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["/bucket/../../etc/", "/bucket/./", "bucket/", "/", "/../etc/", "/bucket/a\nb/", 5, None],
)
def test_invalid_train_url_is_refused_by_service(service, url):
    """A train url that is no folder of a bucket is refused by the service."""
    _refused(service, {"train_url": url})


def test_train_url_leaving_bucket_by_link_is_refused(service, tmp_path):
    """A train url that links lead out of its bucket is refused."""
    bucket = service.root / "obs" / "links"
    bucket.mkdir(exist_ok=True)
    (bucket / "out").symlink_to(tmp_path)
    (service.root / "obs" / "linked").symlink_to(tmp_path)
    (bucket / "in").symlink_to(bucket / "real")
    for url in ("/links/out/", "/links/out/deeper/", "/linked/", "/linked/logs/"):
        _refused(service, {"train_url": url})
    with service.session() as session:
        VisualizationJob.create("/links/in/", session=session).delete()


@pytest.mark.parametrize(
    "change",
    [
        {"job_name": "x" * 21},
        {"job_name": "a b"},
        {"job_name": "ü"},
        {"job_name": None},
        {"job_desc": "x" * 257},
        {"job_type": "notebook"},
        {"schedule": [{"type": "stop", "time_unit": "HOURS", "duration": 25}]},
        {"schedule": [{"type": "stop", "time_unit": "HOURS", "duration": -1}]},
        {"schedule": [{"type": "stop", "time_unit": "HOURS", "duration": "x"}]},
        {"schedule": [{"type": "stop", "time_unit": "DAYS", "duration": 1}]},
        {"schedule": "tomorrow"},
        {"flavor": {}},
    ],
)
def test_every_field_of_a_create_is_checked_by_the_service(service, change):
    _refused(service, change)


def _refused(service, change):
    with service.session() as session:
        before = [job.job_id for job in VisualizationJob.iter(session)]
        body = {"job_name": "job", "train_url": URL, **change}
        with pytest.raises(BadRequest) as caught:
            session.request("POST", "/v1/%s/visualization-jobs" % session.project_id, body=body)
        assert (caught.value.status_code, caught.value.error_code) == (400, "ModelArts.0104")
        assert [job.job_id for job in VisualizationJob.iter(session)] == before


@pytest.mark.parametrize(
    "query",
    [{"page": 0}, {"per_page": 1001}, {"sortBy": "shoe_size"}, {"order": "up"}, {"status": "x"}],
)
def test_every_parameter_of_a_list_is_checked_by_the_service(service, query):
    with service.session() as session:
        path = "/v1/%s/visualization-jobs" % session.project_id
        with pytest.raises(BadRequest) as caught:
            session.request("GET", path, query=query)
        assert caught.value.error_code == "ModelArts.0104"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_a_body_that_is_no_json_object_is_refused(service, body):
    with service.session() as session:
        path = "/v1/%s/visualization-jobs" % session.project_id
        with pytest.raises(BadRequest) as caught:
            session.request("POST", path, body=body)
        assert caught.value.error_code == "ModelArts.0101"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 400),
        (
            b'{"auth": {"identity": {"methods": ["password"], '
            b'"password": {"user": {"name": "local", "password": "\\ud800"}}}}}',
            401,
        ),
    ],
)
def test_malformed_login_is_refused(service, body, status):
    """A login that makes no sense is refused and no error of the service."""
    url = service.connection["iam_endpoint"] + "/v3/auth/tokens"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as caught, _direct.open(request, timeout=30):
        pass
    with caught.value as answer:
        assert answer.code == status
        assert json.loads(answer.read())["error"]["code"] == status


def test_a_schedule_may_be_an_object_too(service):
    with service.session() as session:
        made = session.request(
            "POST",
            "/v1/%s/visualization-jobs" % session.project_id,
            body={
                "job_name": "job",
                "train_url": URL,
                "schedule": {"type": "stop", "timeUnit": "HOURS", "duration": 3},
            },
        )
        job = VisualizationJob.get(made["job_id"], session)
        assert job.schedule.duration == 3
        job.delete()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/{project}/visualization-jobs"),
        ("POST", "/v1/{project}/visualization-jobs"),
        ("GET", "/v1/{project}/visualization-jobs/1"),
        ("PUT", "/v1/{project}/visualization-jobs/1"),
        ("DELETE", "/v1/{project}/visualization-jobs/1"),
        ("POST", "/v1/{project}/visualization-jobs/1/stop"),
        ("POST", "/v1/{project}/visualization-jobs/1/restart"),
        ("GET", "/v3/projects"),
    ],
)
def test_nothing_is_answered_to_the_unknown(service, method, path):
    found = service.connection
    url = found["modelarts_endpoint"] + path.format(project=found["project_id"])
    answer = client.send(method, url)
    assert (answer.status_code, answer.json()["error_code"]) == (401, "APIG.0301")


@pytest.mark.parametrize(
    ("seconds", "status"), [(-1200, 401), (-600, 200), (600, 200), (1200, 401)]
)
def test_a_signature_is_good_for_fifteen_minutes(service, seconds, status):
    found = service.connection
    path = "/v1/%s/visualization-jobs" % found["project_id"]
    host = found["modelarts_endpoint"][len("http://") :]
    headers = {"Host": host, "X-Sdk-Date": signer.sdk_date(time.time() + seconds)}
    headers["Authorization"] = signer.sign(
        "GET", path, "", headers, b"", found["access_key"], found["secret_key"]
    )
    with requests.Session() as plain:
        plain.trust_env = False
        answer = plain.get(found["modelarts_endpoint"] + path, headers=headers, timeout=30)
    assert answer.status_code == status
    assert ("15 minutes" in answer.text) == (status == 401)


def test_no_more_jobs_run_at_once_than_are_allowed(tmp_path):
    service = Service(tmp_path / "root", "--max-running", "1")
    try:
        with service.session() as session:
            stopped = VisualizationJob.create(URL, session=session)
            listed = VisualizationJob.get_visualization_job_list(session)
            assert (listed["job_count_limit"], listed["quotas"]) == (0, 1)
            with pytest.raises(QuotaExceeded):
                VisualizationJob.create(URL, session=session)
            stopped.stop().wait(until=JobStatus.KILLED)
            assert VisualizationJob.get_visualization_job_list(session)["job_count_limit"] == 1
            running = VisualizationJob.create(URL, session=session).wait()
            # That it runs is the first reason why it cannot be restarted.
            with pytest.raises(JobStateError, match=r"can't be resubmit\. job status: 8"):
                running.restart()
            with pytest.raises(QuotaExceeded):
                stopped.restart()
    finally:
        service.end()


def test_a_search_finds_letters_of_any_alphabet_in_either_case(service):
    with service.session() as session:
        job = VisualizationJob.create(URL, job_desc="Über Ελλάς", session=session)
        for text in ("Über", "über", "ÜBER", "ελλά"):
            (found,) = VisualizationJob.list(session, search_content=text)
            assert found.job_id == job.job_id
        job.delete()


# Many jobs --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2500, pytest.param(10_000, marks=pytest.mark.extended)])
def test_thousands_of_jobs_are_listed_once_each(tmp_path, count):
    users = edit(prepare(tmp_path), lambda users: users)
    project = users.by_name[OWNER].projects[0].project_id
    store = Store(SqliteDatabase(tmp_path / "jobs.sqlite"))
    with store.alone():
        for number in range(count):
            store.add(
                1,
                project_id=project,
                workspace_id="0",
                job_name="job%d" % number,
                job_desc="",
                train_url=URL,
                job_type="tensorboard",
                create_time=number,
                status=int(JobStatus.KILLED),
            )
    store.close()
    service = Service(tmp_path)
    try:
        with service.session() as session:
            names = [job.job_name for job in VisualizationJob.iter(session)]
        assert len(names) == len(set(names)) == count
    finally:
        service.end()


# Its life ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_and_takes_its_boards_along(own_service, number):
    with own_service.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
    pid = own_service.board_pid(job)
    assert own_service.end(number) == 0
    assert _gone(pid)
    assert not (own_service.root / "service.json").exists()
    assert not any("Traceback" in line for line in own_service.log if line)


@pytest.mark.parametrize("board_first", [True, False])
def test_a_signal_to_all_its_processes_fails_no_job(own_service, board_first):
    """As of a service manager or a container that ends: the boards may notice it first."""
    with own_service.session() as session:
        jobs = [VisualizationJob.create(URL, session=session).wait() for _ in range(5)]
    first = own_service.board_pid(jobs[0]) if board_first else _forkserver(own_service)
    gone = os.pidfd_open(first)
    os.kill(first, signal.SIGTERM)
    _wait_for_exit(gone)
    time.sleep(1)  # a busy machine
    os.killpg(own_service.process.pid, signal.SIGTERM)
    assert own_service.end() == 0
    again = Service(own_service.root)
    try:
        with again.session() as session:
            for job in jobs:
                assert VisualizationJob.get(job.job_id, session).wait().status == JobStatus.RUNNING
    finally:
        again.end()


def test_killed_it_leaves_no_board_and_comes_back_with_its_jobs(tmp_path):
    service = Service(tmp_path)
    with service.session() as session:
        running = VisualizationJob.create(URL, session=session).wait()
        stopped = VisualizationJob.create(URL, session=session).wait()
        stopped.stop().wait(until=JobStatus.KILLED)
    pid = service.board_pid(running)
    board = os.pidfd_open(pid)
    service.end(signal.SIGKILL)
    _wait_for_exit(board)
    again = Service(tmp_path)
    try:
        with again.session() as session:
            back = VisualizationJob.get(running.job_id, session).wait()
            assert back.service_url == running.service_url
            assert client.get(back.service_url).status_code == 200
            assert VisualizationJob.get(stopped.job_id, session).status == JobStatus.KILLED
    finally:
        again.end()


def _wait_for_exit(descriptor):
    assert select.select([descriptor], [], [], 30)[0]
    os.close(descriptor)


def test_what_says_how_to_connect_is_for_its_user_alone(service):
    assert stat.S_IMODE(os.stat(service.root / "service.json").st_mode) == 0o600
    said = json.loads((service.root / "service.json").read_text())
    assert set(said) == {
        "pid",
        "region_name",
        "project_id",
        "access_key",
        "secret_key",
        "account",
        "username",
        "iam_endpoint",
        "modelarts_endpoint",
        "obs_endpoint",
    }
    assert service.connection["pid"] == service.process.pid
    assert (service.root / "obs").as_uri() == service.connection["obs_endpoint"]


def test_second_service_of_folder_refuses(service):
    """A second service of the same folder refuses and names the first."""
    second = run_forked("serve", "--root", str(service.root))
    assert second.returncode == 1
    assert "being served already, by process %d" % service.process.pid in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_that_is_taken_is_one_clear_error(service, tmp_path):
    port = service.connection["modelarts_endpoint"].rsplit(":", 1)[1]
    second = run_forked("serve", "--root", str(tmp_path), "--port", port)
    assert second.returncode == 1
    assert second.stderr == "modelarts: cannot listen on 127.0.0.1:%s: Address already in use\n" % (
        port
    )


# Session.local ----------------------------------------------------------------------------

_PROGRAM = """
import json, os, sys
from modelarts.session import Session
session = Session.local(sys.argv[1], stay=len(sys.argv) > 2)
print(json.load(open(sys.argv[1] + "/service.json"))["pid"], flush=True)
sys.stdin.readline()
"""


class Program:
    """A program that uses Session.local until it is told to end."""

    def __init__(self, root, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(root), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def service(self):
        return int(self.process.stdout.readline())

    def end(self):
        self.process.communicate("\n", timeout=60)
        assert self.process.returncode == 0

    def kill(self):
        self.process.kill()
        self.process.communicate(timeout=60)


def test_a_service_ends_with_the_last_program_that_uses_it(tmp_path):
    first, second = Program(tmp_path), Program(tmp_path)
    pid = first.service()
    assert second.service() == pid
    first.end()
    third = Program(tmp_path)
    assert third.service() == pid
    end = os.pidfd_open(pid)
    third.kill()
    second.kill()
    _wait_for_exit(end)
    assert not (tmp_path / "service.json").exists()


def test_a_service_told_to_stay_outlives_its_programs(tmp_path):
    first = Program(tmp_path)
    pid = first.service()
    staying = Program(tmp_path, "stay")
    assert staying.service() == pid
    staying.end()
    first.end()
    later = Program(tmp_path)
    assert later.service() == pid
    later.end()
    os.kill(pid, signal.SIGTERM)
    _wait_for_end(tmp_path)


def test_a_program_joins_a_service_that_somebody_started(service):
    program = Program(service.root)
    assert program.service() == service.process.pid
    program.end()
    with service.session() as session:
        assert VisualizationJob.get_visualization_job_list(session)["is_success"] is True


def test_a_folder_that_cannot_be_one_is_a_clear_error(tmp_path):
    from modelarts.session import Session

    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Session.local(tmp_path / "file" / "root")


def test_a_service_that_cannot_start_says_why(tmp_path):
    from modelarts.session import Session

    (tmp_path / "jobs.sqlite").write_text("this is no database, whatever its name says" * 100)
    with pytest.raises(ConfigurationError, match="file is not a database"):
        Session.local(tmp_path)
    assert (tmp_path / "jobs.sqlite").read_text().startswith("this is no database")


def test_program_during_shutdown_gets_next_service(own_service):
    """A program that comes while a service ends gets the next one."""
    with own_service.session() as session:
        VisualizationJob.create(URL, session=session).wait()
    # The boards' parent reports how a board ended; while it is held, the end lasts.
    parent = _forkserver(own_service)
    os.kill(parent, signal.SIGSTOP)
    try:
        os.kill(own_service.process.pid, signal.SIGTERM)
        wait_until(lambda: not (own_service.root / "service.json").exists())
        program = Program(own_service.root)
        log = own_service.root / "service.log"
        wait_until(lambda: log.exists() and "served already" in log.read_text())
        assert program.process.poll() is None
    finally:
        os.kill(parent, signal.SIGCONT)
    assert program.service() != own_service.process.pid
    program.end()
    _wait_for_end(own_service.root)


def test_a_wish_to_stay_ends_with_the_service_that_it_was_for(tmp_path):
    first = Program(tmp_path, "stay")
    pid = first.service()
    end = os.pidfd_open(pid)
    first.end()
    os.kill(pid, signal.SIGKILL)
    _wait_for_exit(end)
    second = Program(tmp_path)
    end = os.pidfd_open(second.service())
    second.end()
    _wait_for_exit(end)


@pytest.mark.parametrize("said", ["[]", '{"pid": 1}'])
def test_foreign_listener_is_not_taken_for_service(tmp_path, said):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = "http://127.0.0.1:%d" % other.getsockname()[1]
        (tmp_path / "service.json").write_text(
            json.dumps({"pid": 2, "modelarts_endpoint": address})
        )
        answer = "HTTP/1.0 200 OK\r\n\r\n" + said
        thread = threading.Thread(target=_answer_once, args=(other, answer.encode()))
        thread.start()
        program = Program(tmp_path)
        assert program.service() != 2
        thread.join()
        program.end()
        _wait_for_end(tmp_path)


def _answer_once(listening, answer):
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


@pytest.mark.parametrize("root", ["~nobody-of-that-name/x", "a\0b", "ring"])
def test_a_root_that_no_folder_can_be_is_a_clear_error(tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Session.local(root)


@pytest.mark.parametrize("name", ["service.log", "service.lock", "service.json"])
def test_unopenable_service_file_is_clear_error(tmp_path, name):
    """A file of the service that cannot be opened is a clear error."""
    (tmp_path / name).mkdir()
    with pytest.raises(ConfigurationError) as caught:
        Session.local(tmp_path)
    assert "%s cannot be used: Is a directory" % (tmp_path / name) in str(caught.value)
    assert "Traceback" not in str(caught.value)
