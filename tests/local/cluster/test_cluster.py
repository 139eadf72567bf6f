"""Boards on a Ray cluster: a real head and nodes, on this machine."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from http.client import IncompleteRead
from pathlib import Path

import pytest
from tensorboardX import SummaryWriter

from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.estimatorV2 import Estimator
from modelarts.testing.environment import variables
from modelarts.train_params import TrainingFiles
from modelarts.training.job import TrainingJob
from tests.local.boards.mindinsight import ENVIRONMENT, SUMMARY, ask, create
from tests.servers.ray_cluster import ROOT, RayCluster
from tests.servers.served import descendants, fetch
from tests.servers.service import Service
from tests.support.clocks import wait_until

pytestmark = pytest.mark.local
# What other tests claim of boards and trainings on one machine, on a cluster.
pytestmark = [pytestmark, pytest.mark.extended]

HOUR = 3600


class World:
    """A service on a cluster, over a folder that stands for a shared file system."""

    def __init__(self, folder):
        self.folder = folder
        self.logs = folder / "logs"
        with SummaryWriter(str(self.logs / "train")) as writer:
            writer.add_scalar("loss", 0.5, 1)
        self.cluster = RayCluster()
        self.start()

    def start(self):
        self.service = Service(
            self.folder / "root",
            *("--ray-address", self.cluster.address, "--mount", "logs=%s" % self.logs),
            *("--test-clock", "--mindinsight", str(ENVIRONMENT / "bin" / "mindinsight")),
            environ=self.cluster.environ,
        )
        self.session = self.service.session()

    def create(self):
        return VisualizationJob.create("/logs/", session=self.session).wait()

    def runs(self, job):
        return fetch(job.service_url + "data/runs")

    def shows(self, job):
        try:
            return self.runs(job) == b'["train"]'
        except IncompleteRead:
            return False  # the board ended while it answered

    def where(self, job, times=1):
        """The actor of a running board."""
        number = job.visualization_id
        return self.service.said(r"job %s: running, actor (\S+) on \S+," % number, times).group(1)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("cluster"))
    yield world
    world.service.end()
    world.cluster.end()


@pytest.fixture
def job(world):
    job = world.create()
    yield job
    job.delete()
    wait_until(lambda: not world.cluster.actors())


def test_board_runs_in_an_actor(world, job):
    assert world.shows(job)
    assert len(world.cluster.actors()) == 1
    assert "tensorboard" not in b"".join(commands(world.service.process.pid)).decode()


def commands(pid):
    return [Path("/proc/%d/cmdline" % each).read_bytes() for each in descendants(pid)]


def test_stopped_job_has_no_actor(world, job):
    job.stop()
    wait_until(lambda: not world.cluster.actors())


def test_board_needs_its_key(world, job):
    """A caller that reaches the port of a node sees nothing."""
    (listening,) = board_ports(world)
    for headers in ({}, {"X-Board-Key": "0" * 32}):
        request = urllib.request.Request("http://%s/data/runs" % listening, headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        assert refused.value.code == 403


def board_ports(world):
    """The addresses that children of the boards' parent listen on."""
    found = set()
    for pid in boards(world):
        inodes = {os.readlink(str(link)) for link in Path("/proc/%d/fd" % pid).iterdir()}
        for line in Path("/proc/%d/net/tcp" % pid).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and "socket:[%s]" % fields[9] in inodes:
                number, port = (int(part, 16) for part in fields[1].split(":"))
                host = socket.inet_ntoa(number.to_bytes(4, sys.byteorder))
                found.add("%s:%d" % (host, port))
    return found


def boards(world):
    """The processes of the boards, children of a parent that is no child of an actor."""
    logs = str(world.folder / "root" / "logs").encode()
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            output = os.readlink("/proc/%s/fd/1" % name).encode()
        except OSError:
            continue
        if output.startswith(logs):
            found.append(int(name))
    return found


def test_killed_actor_is_replaced(world, job):
    """The address of the page stays."""
    (actor,) = world.cluster.actors()
    (board,) = boards(world)
    os.kill(actor, signal.SIGKILL)
    wait_until(lambda: world.shows(job) and boards(world) not in ([], [board]))
    assert actor not in world.cluster.actors()
    assert job.refresh().status == JobStatus.RUNNING


def test_mindinsight_runs_on_a_node(world):
    """All processes of it end with its actor."""
    shutil.copytree(SUMMARY, world.folder / "root" / "obs" / "bucket" / "logs")
    job = create(world.session).wait()
    (run,) = ask(job, "train-jobs")["train_jobs"]
    assert run["train_id"] == "./run-1"
    (actor,) = world.cluster.actors()
    pids = [pid for board in boards(world) for pid in (board, *descendants(board))]
    assert len(pids) > 3
    os.kill(actor, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids)))
    job.delete()
    wait_until(lambda: not world.cluster.actors())


def test_killed_board_fails_its_job(world, job):
    """As on one machine: the reason says how it ended."""
    (board,) = boards(world)
    os.kill(board, signal.SIGKILL)
    wait_until(lambda: job.refresh().status == JobStatus.FAILED)
    assert "was killed by signal 9" in job.raw["reason"]


def test_sleeping_board_has_no_actor(world, job):
    world.session.request("PUT", "/local/clock", body={"advance_seconds": 2 * HOUR})
    wait_until(lambda: not world.cluster.actors())
    assert world.shows(job)


def test_next_service_finds_its_boards(world, job):
    """Nothing is started twice; a board whose job is gone is ended."""
    kept = boards(world)
    gone = world.create()
    before = boards(world)
    world.service.end(signal.SIGKILL)
    assert boards(world) == before
    database = sqlite3.connect(str(world.folder / "root" / "jobs.sqlite"))
    with database:
        database.execute("DELETE FROM jobs WHERE job_id = ?", (int(gone.visualization_id),))
    database.close()
    world.start()
    job = VisualizationJob.get(job.visualization_id, session=world.session)
    wait_until(lambda: len(boards(world)) == 1)
    assert world.shows(job)
    assert boards(world) == kept


def test_copy_of_the_folder_has_boards_of_its_own(world, job):
    """A copy that is served beside the original leaves its boards alone."""
    before = boards(world)
    copied = world.folder / "copied"
    shutil.copytree(world.folder / "root", copied, symlinks=True)
    copy = Service(
        copied,
        *("--ray-address", world.cluster.address, "--mount", "logs=%s" % world.logs),
        environ=world.cluster.environ,
    )
    try:
        copy.said("is a copy of another")
        with copy.session() as session:
            same = VisualizationJob.get(job.visualization_id, session=session)
            wait_until(lambda: same.refresh().status == JobStatus.RUNNING)
            same.delete()
        wait_until(lambda: len(world.cluster.actors()) == 1)
    finally:
        copy.end()
    assert boards(world) == before
    assert world.shows(job)


def test_boards_outlive_the_service(world, job):
    """A service that is ended as usual leaves them, too."""
    before = boards(world)
    assert world.service.end() == 0
    world.start()
    assert world.shows(VisualizationJob.get(job.visualization_id, session=world.session))
    assert boards(world) == before


def train(world, program):
    """Begin a training; its code is on the shared file system."""
    code = world.folder / "root" / "obs" / "bucket" / "code"
    code.mkdir(parents=True, exist_ok=True)
    (code / "train.py").write_text(textwrap.dedent(program))
    files = TrainingFiles("obs://bucket/code/", "train.py")
    return Estimator(world.session, training_files=files, outputs="obs://bucket/out/").fit()


def keeper(world, job):
    """The process that keeps a training, and that of its actor."""
    pid = int((world.folder / "root" / "trainings" / job.job_id / "lock").read_text())
    (parent,) = re.findall(r"PPid:\s+(\d+)", Path("/proc/%d/status" % pid).read_text())
    return pid, int(parent)


def is_alive(pid):
    """False for one that has ended and that nobody has waited for, as in some containers."""
    try:
        return Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


WAITS = """
    import pathlib, sys, time
    out = pathlib.Path(sys.argv[1].partition("=")[2])
    with open(str(out / "starts"), "a") as file:
        file.write("once ")
    while not (out / "go").exists():
        time.sleep(0.05)
    print("went on")
"""


@pytest.fixture
def waits(world):
    """A training that runs until it is told to go on."""
    out = world.folder / "root" / "obs" / "bucket" / "out"
    shutil.rmtree(str(out), ignore_errors=True)
    job = train(world, WAITS)
    wait_until(lambda: (out / "starts").exists() and (out / "starts").read_text())
    yield job
    job = TrainingJob.get(job.job_id, session=world.session)
    assert (out / "starts").read_text() == "once "
    job.delete()


def go_on(world):
    (world.folder / "root" / "obs" / "bucket" / "out" / "go").touch()


def test_training_runs_in_an_actor(world, waits):
    _, actor = keeper(world, waits)
    assert actor in descendants(world.cluster.nodes[0].pid)
    go_on(world)
    assert waits.wait().phase == "Completed"
    assert "went on" in waits.logs()
    wait_until(lambda: not is_alive(actor))


def test_training_outlives_a_killed_service(world, waits):
    before = keeper(world, waits)
    world.service.end(signal.SIGKILL)
    world.start()
    job = TrainingJob.get(waits.job_id, session=world.session)
    assert keeper(world, job) == before
    go_on(world)
    assert job.wait().phase == "Completed"


def test_terminated_training_ends_on_its_node(world, waits):
    _, actor = keeper(world, waits)
    waits.stop()
    wait_until(lambda: waits.refresh().phase == "Terminated")
    wait_until(lambda: not is_alive(actor))


def test_training_ends_with_its_actor(world, waits):
    """It is not started again, and nothing of it goes on."""
    pid, actor = keeper(world, waits)
    os.kill(actor, signal.SIGKILL)
    wait_until(lambda: waits.refresh().phase == "Failed")
    wait_until(lambda: not is_alive(pid))


def driver(world):
    """The process that has joined the cluster for the service."""
    marks = (b"modelarts.local.engine.driver", b"\0")
    (pid,) = [
        each
        for each in descendants(world.service.process.pid)
        if all(mark in Path("/proc/%d/cmdline" % each).read_bytes() for mark in marks)
    ]
    return pid


def test_service_joins_the_cluster_again(world, job):
    """Ray ends a process that loses its cluster; the service and the boards go on."""
    before = boards(world)
    os.kill(driver(world), signal.SIGKILL)
    assert world.shows(job)
    other = VisualizationJob.create("/logs/", session=world.session)
    training = train(world, "print('trained')")
    world.service.said("job %s: TensorBoard is started later" % other.visualization_id)
    assert other.refresh().status == JobStatus.WAITING
    assert "the Ray cluster at" in other.raw["reason"]
    world.service.said("the Ray cluster at .* is there again")
    other.wait()
    assert world.shows(other)
    assert "reason" not in other.raw
    assert training.wait().phase == "Completed"
    assert set(before) < set(boards(world))
    other.delete()
    wait_until(lambda: boards(world) == before)


def test_service_ends_while_it_joins_a_silent_head(world, job):
    """A stopped head accepts connections and answers none; a create that waits is deleted."""
    before = boards(world)
    (head,) = [
        pid
        for pid in descendants(world.cluster.nodes[0].pid)
        if b"gcs_server" in Path("/proc/%d/cmdline" % pid).read_bytes()
    ]
    os.kill(head, signal.SIGSTOP)
    try:
        os.kill(driver(world), signal.SIGKILL)
        other = VisualizationJob.create("/logs/", session=world.session)
        world.service.said("job %s: TensorBoard is started later" % other.visualization_id)
        other.delete()
        world.service.process.terminate()
        assert world.service.process.wait(timeout=20) == 0
    finally:
        os.kill(head, signal.SIGCONT)
        world.service.end()
        world.start()
    assert world.shows(VisualizationJob.get(job.visualization_id, session=world.session))
    assert boards(world) == before


def serve(root, *arguments, **environ):
    """The exit code and the message of a service that does not come up."""
    done = subprocess.run(
        [sys.executable, "-m", "modelarts", "serve", "--root", str(root), *arguments],
        cwd=str(ROOT),
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


def test_missing_token_is_an_error(tmp_path):
    token = tmp_path / "token"
    text = serve(tmp_path / "root", "--ray-address", "127.0.0.1:1", RAY_AUTH_TOKEN_PATH=str(token))
    assert "there is no token for the Ray cluster: %s cannot be read" % token in text


def test_missing_cluster_is_an_error(tmp_path):
    text = serve(tmp_path / "root", "--ray-address", "127.0.0.1:1", RAY_AUTH_TOKEN="0" * 64)
    assert "there is no Ray cluster at 127.0.0.1:1: Connection refused" in text


def test_wrong_token_is_an_error(world, tmp_path):
    environ = {**world.cluster.environ, "RAY_AUTH_TOKEN": "0" * 64}
    text = serve(tmp_path / "root", "--ray-address", world.cluster.address, **environ)
    assert "the Ray cluster at %s refuses the token" % world.cluster.address in text
    assert "0000" not in text


def test_old_ray_is_an_error(world, tmp_path):
    """One that has no tokens yet: it stands here for Ray 2.51, which was tried by hand."""
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "__init__.py").write_text("__version__ = '2.51.1'\n")
    path = os.pathsep.join([str(tmp_path), world.cluster.environ["PYTHONPATH"]])
    environ = {**world.cluster.environ, "PYTHONPATH": path}
    text = serve(tmp_path / "root", "--ray-address", world.cluster.address, **environ)
    assert "Ray 2.51.1 is installed, and 2.52 or newer is needed" in text


def test_parent_of_boards_ends_after_the_last(world, job):
    (board,) = boards(world)
    (parent,) = re.findall(r"PPid:\s+(\d+)", Path("/proc/%d/status" % board).read_text())
    job.stop()
    wait_until(lambda: not is_alive(int(parent)))
    assert world.shows(job.restart().wait())


@pytest.fixture(scope="module")
def node(world):
    """A second node, which the last test kills."""
    return world.cluster.add_node()


def test_samples_of_trainings_run_on_two_nodes(world, node):
    """Both have one that waits, so the scripts run beside them wherever there is room."""
    out = world.folder / "root" / "obs" / "bucket" / "out"
    shutil.rmtree(str(out), ignore_errors=True)
    waiting = []
    for number in (1, 2):
        waiting.append(train(world, WAITS))
        # Python has read the program, which is written anew below.
        wait_until(lambda: (out / "starts").exists())
        wait_until(lambda number=number: (out / "starts").read_text() == number * "once ")
    assert all(job.refresh().phase == "Running" for job in waiting)
    actors = [keeper(world, job)[1] for job in waiting]
    assert len(set(actors) & set(descendants(node.pid))) == 1
    code = world.folder / "root" / "obs" / "bucket" / "code"
    (code / "train.py").write_text("import sys\nprint(*[a for a in sys.argv if '--lr' in a])\n")
    data = world.folder / "root" / "obs" / "bucket" / "data"
    data.mkdir()
    (data / "train.csv").write_text("1\n")
    found = world.service.connection
    names = ("access_key", "secret_key", "project_id", "region_name")
    places = ("modelarts_endpoint", "iam_endpoint", "obs_endpoint")
    environ = variables(**{name: found[name] for name in names + places})
    for name in ("original_training.py", "port_training.py"):
        done = subprocess.run(
            [sys.executable, str(ROOT / "samples" / name)],
            env={**os.environ, **environ, "NO_PROXY": "127.0.0.1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.stdout.split() == ["JOBSTAT_COMPLETED", "--lr=0.1"]
    wait_until(lambda: all(any(job.metrics()["memUsage"]) for job in waiting))
    for job in waiting:
        job.delete()


def test_killed_node_loses_no_board(world, node):
    """Its boards are on another one within 30 seconds, under their addresses."""
    jobs = [world.create()]
    while not node.actors():
        assert len(jobs) < 10, "no board is on the second node"
        jobs.append(world.create())
    node.kill()
    world.cluster.nodes.remove(node)
    # A board may answer for a moment after the rest of its node was killed, as it is on this host.
    number = len(jobs)
    wait_until(lambda: number == len(world.cluster.actors()) == len(boards(world)), seconds=30)
    wait_until(lambda: all(map(world.shows, jobs)), seconds=30)
    assert number == len(world.cluster.actors()) == len(boards(world))
    for job in jobs:
        job.delete()
    wait_until(lambda: not boards(world))
