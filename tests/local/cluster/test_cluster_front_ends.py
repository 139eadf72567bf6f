"""Two front ends on one PostgreSQL database, with boards and trainings on one Ray cluster."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest
from tensorboardX import SummaryWriter

from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.estimatorV2 import Estimator
from modelarts.train_params import TrainingFiles
from modelarts.training.job import TrainingJob
from tests.crashes.front_end_clients import Client
from tests.servers.ray_cluster import RayCluster
from tests.servers.served import fetch
from tests.servers.service import Service
from tests.support.clocks import wait_until

pytestmark = pytest.mark.local
# What tests/local/database/test_front_ends.py claims, on a cluster.
pytestmark = [pytestmark, pytest.mark.extended]

HOUR = 3600
WAITS = """
    import pathlib, sys, time
    out = pathlib.Path(sys.argv[1].partition("=")[2])
    with open(str(out / "starts"), "a") as file:
        file.write("once ")
    while not (out / "go").exists():
        time.sleep(0.05)
    print("went on")
"""


class World:
    """A cluster, a database, and the folder that all have in common."""

    def __init__(self, folder, postgres):
        self.folder = folder
        self.shared = folder / "shared"
        with SummaryWriter(str(folder / "logs" / "train")) as writer:
            writer.add_scalar("loss", 0.5, 1)
        self.users = folder / "first" / "users.json"
        Service(folder / "first").end()
        self.database = postgres.database()
        self.postgres = postgres
        self.cluster = RayCluster()
        self.fronts = {}

    def front(self, name):
        """A front end of this name, which runs."""
        if name not in self.fronts:
            self.fronts[name] = Front(self, name)
        return self.fronts[name]

    def end(self, front, number=signal.SIGTERM):
        """End a front end; return its exit code."""
        del self.fronts[front.name]
        front.session.close()
        return front.service.end(number)


class Front:
    """A front end, with a session by its own address."""

    def __init__(self, world, name):
        self.name = name
        self.service = Service(
            world.folder / name,
            *("--users", str(world.users), "--test-clock", "--database", world.database),
            *("--ray-address", world.cluster.address, "--shared", str(world.shared)),
            *("--mount", "logs=%s" % (world.folder / "logs")),
            environ=world.cluster.environ,
        )
        self.address = self.service.connection["modelarts_endpoint"]
        self.session = self.service.session(retries=0)

    def create(self):
        return VisualizationJob.create("/logs/", session=self.session).wait()

    def job(self, job):
        """The same job, through this front end."""
        return VisualizationJob.get(job.visualization_id, self.session)

    def shows(self, job):
        """True if the page of a job answers here."""
        path = job.service_url.split("/", 3)[3]
        return fetch("%s/%sdata/runs" % (self.address, path)) == b'["train"]'

    def advance(self, seconds):
        self.session.request("PUT", "/local/clock", body={"advance_seconds": seconds})


@pytest.fixture(scope="module")
def world(postgres, tmp_path_factory):
    world = World(tmp_path_factory.mktemp("fronts"), postgres)
    yield world
    codes = [world.end(front) for front in list(world.fronts.values())]
    world.cluster.end()
    assert codes == [0] * len(codes)


@pytest.fixture
def fronts(world):
    """The first that began leads."""
    pair = world.front("a"), world.front("b")
    yield pair
    for job in list(VisualizationJob.iter(world.front("b").session)):
        job.delete()
    wait_until(lambda: not world.cluster.actors())


def test_board_is_that_of_both_front_ends(world, fronts):
    for creator, other in (fronts, fronts[::-1]):
        job = creator.create()
        assert other.shows(job)
        assert creator.shows(job)
        (actor,) = world.cluster.actors()
        same = other.job(job)
        same.stop().wait(until=JobStatus.KILLED)
        wait_until(lambda: not world.cluster.actors())
        assert job.refresh().status == JobStatus.KILLED
        same.restart().wait()
        assert creator.shows(job)
        assert world.cluster.actors() != [actor]
        same.delete()
        wait_until(lambda: not world.cluster.actors())


def test_board_sleeps_when_nobody_visits_any(world, fronts):
    leader, follower = fronts
    job = leader.create()
    leader.advance(0.9 * HOUR)
    assert follower.shows(job)
    leader.advance(0.9 * HOUR)
    assert follower.shows(job)
    before = world.cluster.actors()
    assert len(before) == 1
    leader.advance(1.1 * HOUR)
    wait_until(lambda: not world.cluster.actors())
    assert leader.job(job).status == JobStatus.RUNNING
    assert follower.shows(job)
    assert leader.shows(job)
    assert len(world.cluster.actors()) == 1


def train(world, front, name):
    """Begin a training; its code is in the common folder."""
    code = world.shared / "obs" / "bucket" / "code"
    code.mkdir(parents=True, exist_ok=True)
    (code / "train.py").write_text(textwrap.dedent(WAITS))
    out = world.shared / "obs" / "bucket" / name
    shutil.rmtree(str(out), ignore_errors=True)
    files = TrainingFiles("obs://bucket/code/", "train.py")
    outputs = "obs://bucket/%s/" % name
    job = Estimator(front.session, training_files=files, outputs=outputs).fit()
    wait_until(lambda: (out / "starts").exists() and (out / "starts").read_text())
    return job, out


def test_training_is_that_of_both_front_ends(world, fronts):
    for front, other in (fronts, fronts[::-1]):
        job, out = train(world, front, "out")
        same = TrainingJob.get(job.job_id, session=other.session)
        wait_until(lambda job=same: job.refresh().phase == "Running")
        same.stop()
        wait_until(lambda job=job: job.refresh().phase == "Terminated")
        assert (out / "starts").read_text() == "once "
        same.delete()
        running, _ = train(world, front, "out")
        TrainingJob.get(running.job_id, session=other.session).delete()
        folder = world.shared / "trainings" / running.job_id
        wait_until(lambda folder=folder: not folder.exists())


def test_killed_leader_loses_nothing(world, fronts):
    """Boards and trainings go on, are not doubled, and the next leader looks after them."""
    leader, follower = fronts
    jobs = [leader.create(), follower.create()]
    training, out = train(world, leader, "kept")
    before = world.cluster.actors()
    # As if it had been deleted by a front end that was killed before it ended the board.
    gone = leader.create()
    world.postgres.execute(
        "DELETE FROM jobs WHERE job_id = %s" % gone.visualization_id, world.database
    )
    world.end(leader, signal.SIGKILL)
    follower.service.said("this front end .* leads")
    assert all(follower.shows(job) for job in jobs)
    wait_until(lambda: world.cluster.actors() == before)
    assert [follower.job(job).status for job in jobs] == [JobStatus.RUNNING] * 2
    # Both are now looked after here: what ends by itself is seen without a visit.
    (out / "go").touch()
    same = TrainingJob.get(training.job_id, session=follower.session)
    assert same.wait().phase == "Completed"
    assert (out / "starts").read_text() == "once "
    assert "went on" in same.logs()
    follower.advance(1.1 * HOUR)
    wait_until(lambda: not world.cluster.actors())
    again = world.front("a")
    assert all(again.shows(job) for job in jobs)
    assert len(world.cluster.actors()) == 2


def test_starts_of_a_killed_front_end_go_on(world, fronts):
    """The other one leads, and starts what was being started."""
    other, leader = fronts
    jobs = [VisualizationJob.create("/logs/", session=other.session) for _ in range(2)]
    world.end(other, signal.SIGKILL)
    wait_until(
        lambda: [leader.job(job).status for job in jobs] == [JobStatus.RUNNING] * 2, seconds=60
    )
    assert all(map(leader.shows, jobs))
    assert len(world.cluster.actors()) == 2


def test_kill_loses_no_acknowledged_call(world, fronts):
    """Clients use both front ends while the leader is killed; errors are clear meanwhile."""
    other, leader = fronts
    clients = [Client("client-%d" % number, list(fronts)) for number in range(8)]
    try:
        for client in clients:
            client.start()
        wait_until(lambda: all(client.acknowledged > 2 for client in clients))
        world.end(leader, signal.SIGKILL)
        other.service.said("this front end .* leads")
        before = [client.acknowledged for client in clients]
        wait_until(
            lambda: all(now.acknowledged > then + 2 for now, then in zip(clients, before)),
        )
    finally:
        for client in clients:
            client.ending.set()
        for client in clients:
            client.join()
    assert [client.errors for client in clients] == [[]] * 8
    jobs = {job.job_name: job for job in VisualizationJob.iter(other.session)}
    assert sorted(jobs) == [client.job_name for client in clients]
    for client in clients:
        job = jobs[client.job_name]
        assert job.visualization_id == client.job.visualization_id
        assert job.job_desc in client.may_be
        assert job.wait().status == JobStatus.RUNNING
    assert len(world.cluster.actors()) == 8


def refused(world, *arguments):
    """The message of a service that does not come up."""
    done = subprocess.run(
        [sys.executable, "-m", "modelarts", "serve", "--root", str(world.folder / "c"), *arguments],
        env={**os.environ, **world.cluster.environ},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


def test_folder_in_common_belongs_to_one_database(world, fronts):
    """A copy of the database, or another one, would remove what it does not know."""
    other = world.postgres.database()
    both = ("--ray-address", world.cluster.address, "--database", other)
    text = refused(world, *both, "--shared", str(world.shared))
    assert "belongs to another database" in text
    assert "remove %s" % (world.shared / "database.json") in text


def test_folder_in_common_is_needed_and_the_same(world, fronts):
    both = ("--ray-address", world.cluster.address, "--database", world.database)
    assert "together need --shared DIR" in refused(world, *both)
    other = world.folder / "other"
    text = refused(world, *both, "--shared", str(other))
    assert "the other front ends of the database have %s" % world.shared in text
    assert "must be neither ROOT" in refused(world, *both, "--shared", str(world.folder))
    assert "needs both" in refused(world, "--shared", str(other))
