"""Attacks by somebody who knows the repository; ``docs/reliability.md`` has the table."""

import fcntl
import hashlib
import io
import json
import os
import re
import resource
import select
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import requests
from waitress.server import create_server

from modelarts._internal.clock import Clock
from modelarts.errors import ApiError, PermissionDenied
from modelarts.estimator import VisualizationJob
from modelarts.local.engine import machine
from modelarts.local.identity.buckets import Access, BucketAccess, BucketsFile
from modelarts.local.identity.users import Users
from modelarts.local.identity.users_file import Accounts, edit, read
from modelarts.local.obs_api.auth import Refusal
from modelarts.local.obs_api.storage import Objects
from modelarts.local.web.waitress import Channel
from modelarts.models import JobStatus
from modelarts.session import Session
from tests.servers.forkserver import run_forked
from tests.servers.service import PASSWORD, SECRETS, Service
from tests.support.clocks import wait_until
from tests.support.console import Browser, loopback

pytestmark = pytest.mark.local

LINKS = "/local/console-links"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A service of local and ann, who are in team-a, with the OBS API."""
    folder = tmp_path_factory.mktemp("attacks")
    path = folder / "users.json"

    def change(users):
        users = users.with_user("local", ("team-a",)).with_user("ann", ("team-a",))
        return users.with_password("local", PASSWORD)

    users = edit(path, change)
    SECRETS.update((users.token_key, *(user.key.secret_key for user in users.by_name.values())))
    service = Service(folder / "root", "--users", str(path), "--obs-api")
    service.users = path
    yield service
    assert service.end() == 0
    assert not [line for line in service.log if line and "Traceback" in line]


@pytest.fixture
def connect(shared):
    """Makes sessions that are closed after the test."""
    made = []

    def make(**settings):
        made.append(Session(**{"region_name": "local-1", **shared.endpoints(), **settings}))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture
def team(connect):
    """A session of the user local with a token for the shared project."""
    login = {"username": "local", "password": PASSWORD, "account": "local"}
    return connect(project_name="local-1_team-a", **login)


def keys_of(service, name):
    """Return the permanent keys of a user, for a session."""
    key = read(service.users).by_name[name].key
    SECRETS.add(key.secret_key)
    return {"access_key": key.access_key, "secret_key": key.secret_key}


# Privilege ----------------------------------------------------------------------------------


def test_link_to_console_needs_permanent_keys(shared, connect, team):
    """A token, or keys for one project, make no session for all projects and the users."""
    with pytest.raises(PermissionDenied, match="permanent keys"):
        team.request("POST", LINKS)
    keys = team.keys()
    SECRETS.update((keys.secret_key, keys.security_token))
    temporary = connect(
        access_key=keys.access_key,
        secret_key=keys.secret_key,
        security_token=keys.security_token,
        project_id=team.project_id,
    )
    with pytest.raises(PermissionDenied, match="permanent keys"):
        temporary.request("POST", LINKS)
    assert connect(**keys_of(shared, "local")).request("POST", LINKS)["url"]


def test_new_keys_end_sessions_and_links(shared, connect):
    """They may be of somebody who had the old keys."""
    ann = connect(**keys_of(shared, "ann"))
    used, unused = (
        loopback(ann.request("POST", LINKS)["url"], shared.connection["modelarts_endpoint"])
        for _ in range(2)
    )
    browser = Browser(shared)
    assert browser.open(used).url.endswith("/jobs")
    edit(shared.users, lambda users: users.with_new_key("ann"))
    assert browser.get("").url.endswith("/sign-in")
    assert requests.get(unused, timeout=30).status_code == 403
    browser.close()


def test_last_user_gets_nothing_from_removed_ones(tmp_path):
    """Removing users gives none of those who stay the files and the machine."""
    path = tmp_path / "users.json"
    edit(path, lambda users: users.with_user("ann").with_user("bob"))
    edit(path, lambda users: users.without_user("ann"))
    access = BucketAccess(Accounts(path), BucketsFile(tmp_path))
    own = read(path).by_name["bob"].projects[0].project_id
    assert not access.is_open  # no trainings
    assert access.of([own], "left-by-ann") is Access.NONE


def test_administrator_who_is_alone_reaches_all():
    users = Users.new().with_user("local")
    assert not users.is_shared
    assert users.with_user("ann").is_shared
    assert users.with_user("ann").without_user("local").is_shared
    assert not users.with_user("ann").without_user("ann").is_shared


def test_removed_user_is_nobody(shared):
    """Nor is somebody of the same name later; a session and a token of before end."""

    def change(users):
        return users.with_user("bob").with_password("bob", PASSWORD)

    edit(shared.users, change)
    address = shared.connection["modelarts_endpoint"]
    user = {"name": "bob", "password": PASSWORD, "domain": {"name": "local"}}
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"name": "local-1"}}
    body = {"auth": {"identity": identity, "scope": scope}}
    made = requests.post(address + "/v3/auth/tokens", json=body, timeout=60)
    token = made.headers["X-Subject-Token"]
    SECRETS.add(token)
    browser = Browser(shared)
    assert browser.sign_in("bob", PASSWORD).url.endswith("/jobs")
    project_id = made.json()["token"]["project"]["id"]
    path = "%s/v1/%s/visualization-jobs" % (address, project_id)

    def status():
        return requests.get(path, headers={"X-Auth-Token": token}, timeout=30).status_code

    assert status() == 200
    edit(shared.users, lambda users: users.without_user("bob"))
    assert status() == 401
    assert browser.get("").url.endswith("/sign-in")
    edit(shared.users, change)
    assert status() == 401
    assert browser.get("").url.endswith("/sign-in")
    browser.close()
    edit(shared.users, lambda users: users.without_user("bob"))


def test_jobs_of_others_are_not_deleted_by_their_ids(shared, connect):
    """Named in a body, and in the path in upper case."""
    local, ann = (connect(**keys_of(shared, name)) for name in ("local", "ann"))
    job = VisualizationJob.create("/ids/logs/", session=local)
    job_id = "00000000-0000-0000-0000-%012x" % int(job.job_id)
    path = "/v2/%s/training-jobs/batch-delete"
    body = {"jobs": [{"metadata": {"id": each}} for each in (job_id, job_id[:-12] + "f" * 12)]}
    results = ann.request("POST", path % ann.project_id, body=body)["delete_job_results"]
    answers = [(each["success"], each["error_code"]) for each in results]
    assert answers == [(False, answers[0][1])] * 2  # as if there were no such job
    for project in (local.project_id, local.project_id.upper()):
        with pytest.raises(ApiError):
            ann.request("POST", path % project, body=body)
    assert [each.job_id for each in VisualizationJob.list(local)] == [job.job_id]
    job.delete()


# HTTP ---------------------------------------------------------------------------------------


def exchange(service, head, api="modelarts_endpoint"):
    """Send text as it is, with HOST in it replaced, and return all that is answered."""
    place = urlsplit(service.connection[api])
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        connection.sendall(head.replace("HOST", "Host: %s" % place.netloc).encode("latin-1"))
        parts = iter(lambda: connection.recv(65536), b"")
        return b"".join(parts).decode("latin-1")


@pytest.mark.parametrize("api", ["modelarts_endpoint", "obs_http_endpoint"])
@pytest.mark.parametrize(
    "fields",
    [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \x0bchunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "X: a\r\n\tContent-Length: 5",
    ],
)
def test_request_that_proxies_read_otherwise_is_refused(shared, fields, api):
    """No part of it is taken for another request."""
    smuggled = "0\r\n\r\nGET /healthz HTTP/1.1\r\nHOST\r\n\r\n"
    answer = exchange(shared, "POST / HTTP/1.1\r\nHOST\r\n%s\r\n\r\n%s" % (fields, smuggled), api)
    assert answer.startswith(("HTTP/1.1 400", "HTTP/1.0 400"))
    assert answer.count("Content-Length:") == 1


@pytest.mark.parametrize("version", ["1.0", "3.7"])
def test_encoding_of_other_version_is_refused(shared, version):
    head = "POST / HTTP/%s\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert " 400 " in exchange(shared, head % version)[:20]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("GET /healthz HTTP/1.1\r\nHost: other.example.com\r\n", "421"),
        ("GET /healthz HTTP/1.1\r\nHOST\r\nHost: other.example.com\r\n", "4"),
        ("GET /healthz HTTP/1.1\r\n", "4"),
        ("GET /healthz HTTP/1.1\r\nHost: a_b\r\n", "421"),
        ("CONNECT other.example.com:443 HTTP/1.1\r\nHOST\r\n", "4"),
        ("OPTIONS * HTTP/1.1\r\nHOST\r\n", "4"),
        ("PRI * HTTP/2.0\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHOST\r\nUpgrade: websocket\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\nHOST\r\nUpgrade: h2c\r\n", "200"),
        ("GET /v1/%0d%0a/visualization-jobs HTTP/1.1\r\nHOST\r\n", "4"),
        ("GET http://other.example.com/healthz HTTP/1.1\r\nHOST\r\n", "4"),
        ("GET /healthz/../healthz HTTP/1.1\r\nHOST\r\n", "4"),
        ("GET /console/..%2fhealthz HTTP/1.1\r\nHOST\r\n", "4"),
        ("GET /healthz%00 HTTP/1.1\r\nHOST\r\n", "4"),
        ("GET /healthz;x HTTP/1.1\r\nHOST\r\n", "4"),
        ("GET /\xffhealthz HTTP/1.1\r\nHOST\r\n", "4"),
        ("GET /modelarts/tensorboard/%s/%s/ HTTP/1.1\r\nHOST\r\n" % ("a" * 32, "9" * 6000), "4"),
    ],
)
def test_odd_heads_are_refused_or_answered_as_http_1(shared, head, expected):
    answer = exchange(shared, head + "Connection: close\r\n\r\n")
    assert answer.startswith(("HTTP/1.1 " + expected, "HTTP/1.0 " + expected))
    assert len(re.findall(r"HTTP/1\.[01] \d", answer)) == 1


def test_requests_of_a_connection_are_answered_in_order(shared):
    """Each once, also with bodies where none belongs, and with Expect."""
    head = "GET /%s HTTP/1.1\r\nHOST\r\nContent-Length: 5\r\n\r\nGET /"
    heads = "".join(head % name for name in ["healthz", "nowhere"] * 25)
    last = "GET /healthz HTTP/1.1\r\nHOST\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    answer = exchange(shared, heads + last)
    statuses = re.findall(r"HTTP/1\.1 (\d+)", answer)
    assert statuses == ["200", "404"] * 25 + ["200"]


class Patience(Channel):
    """A connection that waits less long for its client than those of the service."""

    stall_seconds = 0.2
    look_seconds = 0.2


@pytest.fixture
def stalling():
    """A server with one thread that sends 4 MiB in parts, and a client that reads none of it."""
    ended = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", str(4 * 2**20))])
        try:
            for _ in range(64):
                yield b"x" * 65536
        finally:
            ended.set()

    server = create_server(
        app, port=0, threads=1, outbuf_high_watermark=2**18, asyncore_use_poll=True
    )
    server.channel_class = Patience
    threading.Thread(target=server.run, daemon=True).start()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", int(server.effective_port)))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        yield server, ended
    server.close()


def test_client_that_does_not_read_keeps_no_thread(stalling):
    """Nor its connection."""
    server, ended = stalling
    assert ended.wait(30)
    wait_until(lambda: not server.active_channels)


@pytest.mark.parametrize(
    "head",
    ["GET / HTTP/1.1\r\nX: ", "PUT / HTTP/1.1\r\nContent-Length: 900\r\n\r\n"],
    ids=["head", "body"],
)
def test_request_that_never_ends_keeps_no_connection(head):
    """A byte now and then is not enough."""
    server = create_server(
        lambda *_: [], port=0, threads=1, asyncore_loop_timeout=0.05, asyncore_use_poll=True
    )
    server.channel_class = Patience
    threading.Thread(target=server.run, daemon=True).start()
    with socket.create_connection(("127.0.0.1", int(server.effective_port))) as client:
        client.sendall(head.encode())

        def is_closed():
            try:
                client.sendall(b"x")
                return select.select([client], [], [], 0.1)[0] and client.recv(1) == b""
            except OSError:
                return True

        wait_until(is_closed, 20)
    server.close()


def test_unread_objects_hold_up_nobody(shared, connect):
    """More of them are asked for than the OBS API has threads."""
    session = connect(
        **keys_of(shared, "local"), obs_endpoint=shared.connection["obs_http_endpoint"]
    )
    client = session.get_obs_client()
    client.createBucket("unread")
    client.putContent("unread", "large", b"x" * 8 * 2**20)
    waiting = [client.getObject("unread", "large", loadStreamInMemory=False) for _ in range(12)]
    assert client.getObjectMetadata("unread", "large").status == 200
    for answer in waiting:
        answer.body.response.close()
    client.deleteObject("unread", "large")
    client.deleteBucket("unread")


# Files --------------------------------------------------------------------------------------


def test_copy_of_a_folder_leaves_the_other_service_alone(tmp_path):
    """A copy that is served ends neither trainings nor the parent of boards of the original."""
    original = Service(tmp_path / "root")
    code = tmp_path / "root" / "obs" / "bucket" / "code"
    code.mkdir(parents=True)
    (code / "train.py").write_text("import time; time.sleep(600)")
    algorithm = {"code_dir": "/bucket/code/", "boot_file": "/bucket/code/train.py"}
    with original.session() as session:
        path = "/v2/%s/training-jobs" % session.project_id
        body = {"kind": "job", "metadata": {"name": "long"}, "algorithm": algorithm}
        path += "/" + session.request("POST", path, body=body)["metadata"]["id"]

        def phase(of):
            return of.request("GET", path)["status"]["phase"]

        wait_until(lambda: phase(session) == "Running")
        subprocess.run(["cp", "-a", str(tmp_path / "root"), str(tmp_path / "copy")], check=True)
        copy = Service(tmp_path / "copy")
        copy.said("is a copy of another")
        with copy.session() as other:
            wait_until(lambda: phase(other) == "Abnormal")
        assert copy.end() == 0
        VisualizationJob.create("/bucket/logs/", session=session).wait()
        assert phase(session) == "Running"
        session.request("DELETE", path)
    assert original.end() == 0


@pytest.mark.parametrize("version", [1, 7])
def test_folder_of_another_version_is_left_as_it_is(tmp_path, version):
    """It is refused before anything is written, and the refusal says what to do."""
    with sqlite3.connect(tmp_path / "jobs.sqlite") as database:
        database.execute("PRAGMA user_version = %d" % version)
    database.close()
    content = (tmp_path / "jobs.sqlite").read_bytes()
    ended = run_forked("serve", "--root", str(tmp_path))
    assert ended.returncode == 1
    assert "serve it with the version that wrote it" in ended.stderr
    assert (tmp_path / "jobs.sqlite").read_bytes() == content
    assert not (tmp_path / "users.json").exists()


@pytest.fixture
def writes(monkeypatch):
    """The order in which files are written to the disk, named and removed."""
    order = []
    fsync, replace, unlink = os.fsync, os.replace, os.unlink

    def synced(descriptor):
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda *paths: (order.append("name"), replace(*paths)))
    monkeypatch.setattr(
        os, "unlink", lambda *paths, **more: (order.append("removal"), unlink(*paths, **more))
    )
    return order


def test_objects_survive_a_power_cut(tmp_path, writes):
    """Content is on the disk before its name, and its name before the answer; so are removals."""
    (tmp_path / "obs").mkdir()
    (tmp_path / "uploads").mkdir()
    objects = Objects(tmp_path / "obs", tmp_path / "uploads", Clock())
    objects.create_bucket("bucket")
    assert writes == ["folder"]
    del writes[:]
    objects.put(io.BytesIO(b"content"), "bucket", "folder/key")
    assert writes == ["folder", "file", "name", "folder"]
    del writes[:]
    assert list(objects.delete("bucket", ["folder/key"])) == []
    assert writes[:2] == ["removal", "folder"]
    del writes[:]
    upload = objects.uploads.begin("bucket", "key")
    assert writes == ["file", "folder", "folder"]
    folder = objects.uploads.find("bucket", "key", upload)
    etag = hashlib.md5(b"part", usedforsecurity=False).hexdigest()
    del writes[:]
    objects.uploads.put_part(folder, 1, io.BytesIO(b"part"), etag)
    assert writes == ["file", "name", "folder"]
    del writes[:]
    objects.uploads.complete("bucket", "key", folder, [(1, etag)])
    assert writes[:3] == ["file", "name", "folder"]


# Processes ----------------------------------------------------------------------------------


def test_stopped_parent_of_boards_holds_up_nobody(shared, connect):
    """The service has it go on when it needs it; requests do not wait for it."""
    session = connect(**keys_of(shared, "local"))
    VisualizationJob.create("/stopped/logs/", session=session).wait().delete()
    for each in psutil.Process(shared.process.pid).children():
        each.suspend()  # and the tracker of multiprocessing
    job = VisualizationJob.create("/stopped/logs/", session=session)
    assert [each.job_id for each in VisualizationJob.list(session)] == [job.job_id]
    job.wait().delete()


def test_killed_parent_of_boards_loses_no_board(shared, connect):
    """Its boards end with it, and are started anew; a visitor meanwhile waits."""
    session = connect(**keys_of(shared, "local"))
    job = VisualizationJob.create("/killed/logs/", session=session).wait()
    own = psutil.Process(shared.process.pid).children()
    parent = next(each for each in own if "forkserver" in " ".join(each.cmdline()))
    parent.kill()
    shared.said("job %s: its board was lost" % job.job_id)
    assert requests.get(job.service_url + "data/runs", timeout=60).status_code == 200
    again = shared.board_pid(job, times=2)
    assert psutil.Process(again).parent() != parent
    assert Path("/proc/%d/oom_score_adj" % again).read_text() == "500\n"
    assert job.refresh().status == JobStatus.RUNNING
    job.delete()


def test_keeper_that_says_nothing_is_killed(monkeypatch):
    """A start has an end, also where the keeper is stopped."""
    monkeypatch.setattr(machine, "_START_SECONDS", 0.1)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        assert "said nothing for 0.1 seconds" in machine._let_go(keeper)
    assert keeper.returncode == -9


def test_keeper_is_heard_through_any_descriptor():
    """A service has more of them than select() knows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    reading, writing = os.pipe()
    try:
        with open(fcntl.fcntl(reading, fcntl.F_DUPFD, 1500), "rb") as output:
            os.write(writing, b"ready\n")
            assert machine._read_line(output) == b"ready\n"
            os.close(writing)
            assert machine._read_line(output) == b""
    finally:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_file_that_could_not_be_read_is_read_later(tmp_path):
    """A user whom an edit removes does not stay because there was no descriptor just then."""
    path = tmp_path / "users.json"
    edit(path, lambda users: users.with_user("ann").with_user("bob"))
    accounts = Accounts(path)
    assert "bob" in accounts.users().by_name
    edit(path, lambda users: users.without_user("bob"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        assert "bob" in accounts.users().by_name
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "bob" not in accounts.users().by_name


def test_flood_of_connections_leaves_room(tmp_path):
    """A service with few descriptors answers those who come later, and logs no error for each."""
    limit = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)); "
    limit += "os.execv(sys.executable, [sys.executable, '-m', 'modelarts', *sys.argv[1:]])"
    root = tmp_path / "root"
    command = [sys.executable, "-c", limit, "serve", "--root", str(root)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as service:
        wait_until(lambda: (root / "service.json").exists())
        place = urlsplit(json.loads((root / "service.json").read_text())["modelarts_endpoint"])
        address = place.hostname, place.port
        with ExitStack() as flood:
            for number in range(150):
                connection = flood.enter_context(socket.create_connection(address))
                with suppress(OSError):  # the service has closed it already
                    connection.sendall(b"GET /healthz HTTP/1.1\r\n"[: number % 20])
            for _ in range(3):
                assert requests.get("http://%s:%d/healthz" % address, timeout=10).ok
            assert psutil.Process(service.pid).num_fds() < 100
        service.terminate()
        assert service.wait(60) == 0
    assert "Too many open files" not in (root / "service.log").read_text()


@pytest.mark.parametrize("front_ends", [1, 2])
def test_bucket_is_not_removed_while_it_is_written_to(tmp_path, front_ends):
    """An object of one user does not get into the next bucket of the name."""
    (tmp_path / "obs").mkdir()
    (tmp_path / "uploads").mkdir()
    locks = tmp_path / "locks" if front_ends > 1 else None
    both = [
        Objects(tmp_path / "obs", tmp_path / "uploads", Clock(), locks) for _ in range(front_ends)
    ]
    objects, other = both[0], both[-1]
    objects.create_bucket("bucket")
    with other.locks.writing("bucket"), pytest.raises(Refusal, match="not empty"):
        objects.delete_bucket("bucket")
    upload = objects.uploads.begin("bucket", "key")
    with pytest.raises(Refusal, match="not empty"):
        other.delete_bucket("bucket")
    other.uploads.abort(other.uploads.find("bucket", "key", upload))
    with other.locks.changing():  # the handler holds it while it removes the owner, too
        other.delete_bucket("bucket")
