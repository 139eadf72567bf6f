"""Thousands of calls through a faulty network: a right answer or a typed error, every time.

The seed is printed, and ``MODELARTS_TEST_SEED`` sets it.
"""

import time
from contextlib import contextmanager

import pytest

from modelarts.errors import AmbiguousCreate, ApiError, TransportError
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.training.job import TrainingJob
from tests.servers.cloud import Cloud, connect
from tests.servers.faults import SEED, FaultProxy, Hurried, served_cloud
from tests.servers.training_cloud import TrainingCloud

pytestmark = pytest.mark.local

TRAINING = "11111111-1111-1111-1111-111111111111"
TIMEOUT = 0.25
RETRIES = 3


@pytest.fixture
def documented():
    with served_cloud(Cloud()) as cloud:
        yield cloud


@pytest.fixture
def trainings():
    cloud = TrainingCloud()
    cloud.add_training("obs://b/x", TRAINING)
    cloud.logs[TRAINING] = bytearray()
    with served_cloud(cloud):
        yield cloud


@contextmanager
def _faulty(cloud, share, target=None, **changes):
    """A session with a cloud behind a proxy that spoils this share of the calls; and the proxy."""
    print("seed", SEED)
    proxy = FaultProxy(target or cloud.target, SEED, share)
    settings = {
        "modelarts_endpoint": proxy.url,
        "iam_endpoint": proxy.url,
        "proxies": {},
        "timeout": TIMEOUT,
        "retries": RETRIES,
        "clock": Hurried(),
    }
    try:
        with connect(cloud, **settings, **changes) as session:
            yield session, proxy
    finally:
        proxy.close()


def _timed(call, slowest):
    """Return the answer of a call, or its typed error. Any other error fails the test."""
    began = time.monotonic()
    try:
        return call(), None
    except (TransportError, ApiError) as error:
        return None, error
    finally:
        slowest.append(time.monotonic() - began)


def test_every_call_ends_in_a_right_answer_or_a_typed_error(documented):
    number = documented.add(status=8)
    slowest, right = [], 0
    with _faulty(documented, 0.5) as (session, proxy):
        calls = [
            lambda: VisualizationJob.get(number, session).status,
            lambda: [job.job_id for job in VisualizationJob.iter(session, per_page=1)],
            lambda: VisualizationJob.get_visualization_job_list(session)["is_success"],
            lambda: VisualizationJob(session, number).update("same").job_desc,
        ]
        expected = [JobStatus.RUNNING, [str(number)], True, "same"]
        for turn in range(480):
            which = turn % len(calls)
            answer, error = _timed(calls[which], slowest)
            if error is None and which == 2 and answer is False:
                continue  # the failure dict of a refusal
            if error is None:
                assert answer == expected[which], "seed %d" % SEED
                right += 1
    assert all(proxy.met.values()), proxy.met
    # With half of all attempts failing, four attempts fail together once in sixteen times.
    assert right > 340, (SEED, proxy.met)
    # A lookup of all pages is two calls; each ends within timeout * (retries + 2).
    # Were it not for that, an answer that is late would take half a minute.
    assert max(slowest) < 2 * TIMEOUT * (RETRIES + 2) + 10


def _job(session, name):
    return VisualizationJob.create("/b/x/", name, session=session)


def _board(session, name):
    return VisualizationJob.create(job_name=name, training_jobs=[TRAINING], session=session)


def _training(session, name):
    return TrainingJob.create(
        "obs://bucket/code/",
        "train.py",
        name,
        framework_type="PyTorch",
        framework_version="PyTorch-1.4.0-python3.6",
        train_instance_type="modelarts.vm.cpu.2u",
        check=False,
        session=session,
    )


def _jobs(cloud):
    return {str(number): job["job_name"] for number, job in cloud.jobs.items()}


@pytest.mark.parametrize("turns", [60, pytest.param(150, marks=pytest.mark.extended)])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("cloud", "api", "create", "names_of"),
    [
        ("documented", "auto", _job, _jobs),
        ("trainings", "v2", _board, TrainingCloud.boards),
        ("trainings", "auto", _training, TrainingCloud.trainings),
    ],
    ids=["v1", "v2", "trainings"],
)
def test_creates_equal_jobs_exactly(request, cloud, api, create, names_of, named, turns):
    cloud = request.getfixturevalue(cloud)
    before = set(names_of(cloud))
    made, doubtful, slowest = [], [], []
    with _faulty(cloud, 0.4, api=api) as (session, _):
        for turn in range(turns):
            name = "job-%d" % turn if named else None
            job, error = _timed(lambda name=name: create(session, name), slowest)
            if error is None:
                made.append((job.job_id, job.job_name))
            elif isinstance(error, AmbiguousCreate):
                doubtful.append(error.job_name)
    jobs = {key: name for key, name in names_of(cloud).items() if key not in before}
    names = list(jobs.values())
    assert len(names) == len(set(names)), "a job was doubled; seed %d" % SEED
    assert len(made) == len(set(made)), SEED
    for job_id, name in made:
        assert jobs.pop(job_id) == name, SEED
    # What is left was never answered: each is named by the error that said so.
    assert set(jobs.values()) <= set(doubtful), SEED
    # How many come through depends on the seed: of 150 about 123.
    assert len(made) > 0.5 * turns, (SEED, len(doubtful))


def test_stops_of_trainings_are_done_or_refused(trainings):
    done, slowest = 0, []
    with _faulty(trainings, 0.4) as (session, _):
        job = TrainingJob(session, TRAINING)
        for _ in range(120):
            trainings.jobs[TRAINING]["status"]["phase"] = "Running"
            trainings._work[TRAINING] = [b"."] * 100
            _, error = _timed(job.stop, slowest)
            if error is None:
                phase = trainings.jobs[TRAINING]["status"]["phase"]
                assert phase in ("Terminating", "Terminated"), SEED
                done += 1
    assert done > 80, SEED


def test_stops_and_restarts_are_done_once_or_said_to_be_undone(documented):
    number = documented.add(status=8)
    done, slowest = 0, []
    with _faulty(documented, 0.4) as (session, _):
        job = VisualizationJob(session, number)
        for _ in range(120):
            documented.jobs[number]["status"] = 8
            _, error = _timed(job.stop, slowest)
            status = documented.jobs[number]["status"]
            if error is None:
                assert status in (9, 12), SEED
                done += 1
            documented.jobs[number]["status"] = 12
            _, error = _timed(job.restart, slowest)
            status = documented.jobs[number]["status"]
            if error is None:
                assert status in (7, 8), SEED
                done += 1
    assert done > 180, SEED


@pytest.mark.parametrize("turns", [10, pytest.param(30, marks=pytest.mark.extended)])
def test_the_running_service_behind_a_faulty_network(service, turns):
    found = service.connection
    cloud = type("CredentialSet", (), found)
    made, doubtful, slowest = [], [], []
    target = found["modelarts_endpoint"][len("http://") :]
    with _faulty(cloud, 0.4, target) as (session, _):
        for _ in range(turns):
            job, error = _timed(
                lambda: VisualizationJob.create("/bucket/faults/", session=session), slowest
            )
            if job is not None:
                made.append(job.job_id)
                _timed(job.wait, slowest)
                _timed(job.stop, slowest)
                _timed(job.refresh, slowest)
            elif isinstance(error, AmbiguousCreate):
                doubtful.append(error.job_name)
    with service.session() as session:
        left = {job.job_id: job.job_name for job in VisualizationJob.iter(session)}
        for job in VisualizationJob.list(session):
            if job.status == JobStatus.KILLING:
                job.wait(JobStatus.KILLED)
            job.delete()
    assert len(left) == len(set(left.values())), SEED
    assert set(made) <= set(left), SEED
    extra = {name for number, name in left.items() if number not in made}
    assert extra <= set(doubtful), SEED
