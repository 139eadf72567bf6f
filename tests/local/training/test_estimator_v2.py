"""The Estimator of V2 with the local service: documented samples and a public script."""

import sys

import pytest

from modelarts.errors import InvalidArgument, JobFailed
from modelarts.estimatorV2 import Estimator
from modelarts.session import Session
from modelarts.train_params import TrainingFiles
from modelarts.training.job import TrainingJob
from tests.servers.service import Service
from tests.support.boards import curve
from tests.support.v2_samples import CREATE, LIST, OFFERS, SCRIPT, run

pytestmark = pytest.mark.local

BOOT = """
import os, sys
print(sorted(argument.partition("=")[0] for argument in sys.argv[1:]))
print(os.environ.get("USER_ENV_VAR"), os.getcwd().endswith("/home/ma-user/modelarts/user-job-dir"))
"""
CURVE = """
import argparse, sys
from tensorboardX import SummaryWriter
parser = argparse.ArgumentParser()
parser.add_argument("--train_url")
parser.add_argument("--scale", type=float)
args = parser.parse_args()
with SummaryWriter(args.train_url) as writer:
    for step in range(3):
        writer.add_scalar("loss", args.scale / (1 + step), step)
        print("step", step)
sys.exit(int(args.scale == 0))
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    service = Service(
        tmp_path_factory.mktemp("v2"),
        *("--engine", "PyTorch=" + sys.executable, "--flavor", "modelarts.vm.cpu.2u"),
    )
    bucket = service.root / "obs" / "bucket_name"
    for name, content in (("code_dir/boot_file.py", BOOT), ("input/data.txt", "data")):
        path = bucket / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    yield service
    assert service.end() == 0


@pytest.fixture
def session(service, monkeypatch):
    """A session that the samples' ``Session()`` makes as well."""
    monkeypatch.setenv("MODELARTS_CONFIG", str(service.root / "service.json"))
    with Session() as session:
        yield session
        for job in TrainingJob.iter(session):
            job.delete()


def ended(session, name):
    """Wait for the end of a training; returns it."""
    (job,) = TrainingJob.list(session, search_content=name)
    return job.wait(timeout=60, progress=False)


def test_documented_sample_runs(service, session):
    names, _ = run(CREATE)
    job = ended(session, "job-0")
    assert names["job_instance"].job_id == job.job_id
    log = job.get_job_log()["content"]
    options = ["--data_url", "--epoc_num", "--mod", "--output_dir"]
    assert log == "%s\ncustomize environment variable True\n" % options
    exported = "modelarts-job-%s-worker-0.log" % job.job_id
    assert (service.root / "obs" / "bucket_name" / "log" / exported).read_text() == log
    _, printed = run(LIST, names)
    assert job.job_id in printed
    _, printed = run(OFFERS, names)
    assert "modelarts.vm.cpu.2u" in printed
    assert "PyTorch" in printed


def test_public_script_runs_unchanged(session):
    _, printed = run(SCRIPT)
    assert "task succeeded, total time" in printed
    assert "['--data_url', '--epochs', '--train_url']" in printed
    assert TrainingJob.list(session) == []


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({"train_instance_type": "modelarts.p3"}, "--flavor modelarts.p3"),
        (
            {"framework_type": "MindSpore", "framework_version": "1.7"},
            "--engine MindSpore=PYTHON",
        ),
    ],
)
def test_unknown_name_says_how_to_add_it(session, settings, option):
    """A script names flavors and engines of the cloud, which this machine does not have."""
    code = TrainingFiles("/bucket_name/code_dir/", "boot_file.py")
    with pytest.raises(InvalidArgument, match="'modelarts serve %s' makes this name" % option):
        Estimator(session, training_files=code, **settings).fit()


def test_code_of_this_machine_comes_with_log_and_board(session, tmp_path, capsys):
    (tmp_path / "train.py").write_text(CURVE)
    estimator = Estimator(
        session,
        training_files=TrainingFiles(str(tmp_path), "train.py"),
        parameters={"scale": 2},
        outputs="curves/",
        tensorboard="train_url",
    )
    job = estimator.fit(wait=True, show_log=True)
    assert capsys.readouterr().out.splitlines()[:3] == ["step 0", "step 1", "step 2"]
    board = job.board().wait(progress=False)
    assert curve(board, 3) == [(0, 2), (1, 1), (2, 0.667)]
    assert job.board().job_id == board.job_id
    board.delete()


def test_failure_has_the_last_lines_of_the_log(session, tmp_path):
    (tmp_path / "train.py").write_text(CURVE)
    files = TrainingFiles(str(tmp_path), "train.py")
    estimator = Estimator(session, training_files=files, parameters={"scale": 0}, outputs="zero/")
    with pytest.raises(JobFailed) as caught:
        estimator.fit(wait=True)
    assert "its exit code was 1" in str(caught.value)
    assert "step 2" in str(caught.value)
