"""The Estimator of V1 with the local service, which has v2 trainings only."""

import sys
import textwrap

import pytest

from modelarts.errors import BadRequest, InvalidArgument, NotFound
from modelarts.estimator import JOB_STATE, Estimator, JobStatus, VisualizationJob
from modelarts.session import Session
from tests.servers.service import Service
from tests.support.clocks import wait_until
from tests.support.v1_samples import PUBLIC_SCRIPT, SAMPLES

pytestmark = pytest.mark.local

BOOT = """
import argparse
import os
import moxing as mox

parser = argparse.ArgumentParser()
parser.add_argument("--data_url")
parser.add_argument("--train_url")
parser.add_argument("--num_gpus", type=int)
args, others = parser.parse_known_args()
mox.file.copy_parallel(args.data_url, os.path.join(os.environ["TMPDIR"], "data"))
print("rows", len(mox.file.read(os.path.join(args.data_url, "train.csv")).split()))
print("gpus", args.num_gpus, "others", others)
with mox.file.File(os.path.join(args.train_url, "weights"), "w") as f:
    f.write("trained")
print("naïve 训练")
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    service = Service(
        tmp_path_factory.mktemp("v1"),
        "--engine",
        "PyTorch:PyTorch-1.0.0-python3.6=" + sys.executable,
        "--flavor",
        "modelarts.vm.cpu.2u",
        "--dataset",
        "your_dataset_id/your_dataset_version_id=/bucket/data/train/",
    )
    bucket = service.root / "obs" / "bucket"
    for name, content in (("src/pytorch_sentiment.py", BOOT), ("data/train/train.csv", "1\n2\n")):
        path = bucket / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    yield service
    assert service.end() == 0


@pytest.fixture
def notebook(service, monkeypatch):
    """The environment in which the samples' ``Session()`` finds the service."""
    monkeypatch.setenv("MODELARTS_CONFIG", str(service.root / "service.json"))
    return {}


@pytest.fixture
def session(notebook):
    with Session() as session:
        yield session


def define(session, **changes):
    settings = {
        "train_instance_type": "modelarts.vm.cpu.2u",
        "framework_type": "PyTorch",
        "framework_version": "PyTorch-1.0.0-python3.6",
        "code_dir": "/bucket/src/",
        "boot_file": "/bucket/src/pytorch_sentiment.py",
        "output_path": "/bucket/output/",
        "log_url": "/bucket/log/",
        "hyperparameters": [{"label": "lr", "value": "0.001"}],
    }
    return Estimator(session, **{**settings, **changes})


def ended(job):
    """Wait for the end; returns the details."""
    wait_until(lambda: JobStatus(job.get_job_info()["status"]).is_final)
    return job.get_job_info()


def test_documented_sample_runs(service, notebook):
    exec(SAMPLES["obs"], notebook)
    job = notebook["job_instance"]
    info = ended(job)
    name = job.get_job_log_file_list()["log_file_list"][0]
    log = job.get_job_log(log_file=name)["content"]
    assert JOB_STATE[info["status"]] == "JOBSTAT_COMPLETED", log
    assert log.splitlines() == [
        "rows 2",
        "gpus 0 others ['--classes=10', '--lr=0.001']",
        "naïve 训练",
    ]
    assert (service.root / "obs" / "bucket" / "output" / "weights").read_text() == "trained"
    assert (service.root / "obs" / "bucket" / "log" / name).read_text("utf-8") == log
    assert info["parameter"][:2] == [
        {"label": "classes", "value": "10"},
        {"label": "lr", "value": "0.001"},
    ]
    assert (info["app_url"], info["data_url"], info["train_url"]) == (
        "/bucket/src/",
        "/bucket/data/train/",
        "/bucket/output/",
    )
    assert job.delete_job() == {"is_success": True}


def test_documented_dataset_sample_runs(notebook):
    exec(SAMPLES["dataset"], notebook)
    job = notebook["job_instance"]
    info = ended(job)
    assert info["dataset_id"] == "your_dataset_id"
    assert info["dataset_version_id"] == "your_dataset_version_id"
    assert "rows 2" in job.get_job_log(job.get_job_log_file_list()["log_file_list"][0])["content"]
    assert job.delete_job() == {"is_success": True}


def test_unknown_dataset_names_those_that_are_known(session):
    with pytest.raises(BadRequest, match="your_dataset_id/your_dataset_version_id"):
        define(session).fit(dataset_id="your_dataset_id", dataset_version_id="2")


def test_documented_version_sample_runs(service, notebook, session):
    job = define(session).fit(inputs="/bucket/data/train/")
    sample = SAMPLES["version_obs"].replace("182626", job.job_id)
    exec(sample.replace("278813", repr(job.version_id)), notebook)
    version = notebook["job_version_instance"]
    assert version.job_id == job.job_id
    assert version.version_id != job.version_id
    assert ended(version)["status"] == ended(job)["status"] == 10
    info = Estimator(session, job_id=job.job_id).get_job_version_info()
    assert [each["version_name"] for each in info["versions"]] == ["V0002", "V0001"]
    assert info["versions"][0]["pre_version_id"] == job.version_id
    assert info["job_name"] == job.job_name
    listed = Estimator.get_job_list(session, search_content=job.job_name)["jobs"]
    assert [(each["job_id"], each["version_count"]) for each in listed] == [(job.job_id, 2)]
    assert Estimator.delete_job_by_id(session, job_id=job.job_id) == {"is_success": True}
    assert Estimator.get_job_list(session, search_content=job.job_name)["jobs"] == []


def test_public_script_runs_unchanged(service, notebook, capsys):
    exec(PUBLIC_SCRIPT, notebook)
    lines = capsys.readouterr().out.splitlines()
    assert "status JOBSTAT_COMPLETED" in lines
    assert "rows 2" in lines
    assert lines[-1] == "deleted True"


def test_wait_prints_the_way_of_a_training(session, capsys):
    job = define(session).fit(inputs="/bucket/data/train/", wait=True, job_name="waited")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "JOBSTAT_COMPLETED"
    assert lines[-1].startswith("Job name: waited, duration: 00:00:")
    assert len(set(lines)) == len(lines)
    assert job.delete_job()["is_success"]


def test_running_training_is_stopped(service, session):
    boot = service.root / "obs" / "bucket" / "long" / "boot.py"
    boot.parent.mkdir(exist_ok=True)
    boot.write_text(textwrap.dedent("import time\nprint('begun')\ntime.sleep(600)\n"))
    job = define(session, code_dir="/bucket/long/", boot_file="/bucket/long/boot.py").fit(
        inputs="/bucket/data/train/"
    )
    wait_until(lambda: job.get_job_info()["status"] == 8)
    assert job.stop_job_version() == {"is_success": True}
    assert JOB_STATE[ended(job)["status"]] == "JOBSTAT_KILLED"
    refused = job.stop_job_version()
    assert (refused["is_success"], bool(refused["error_msg"])) == (False, True)
    assert job.delete_job_version() == {"is_success": True}
    assert job.get_job_info()["is_success"] is False


def test_first_version_may_be_deleted(session):
    estimator = define(session)
    job = estimator.fit(inputs="/bucket/data/train/")
    version = estimator.create_job_version(job.job_id, job.version_id, inputs="/bucket/data/train/")
    ended(job), ended(version)
    assert job.delete_job_version()["is_success"]
    left = Estimator(session, job_id=job.job_id).get_job_version_object_list(is_show=False)
    assert [each.version_id for each in left] == [version.version_id]
    third = estimator.create_job_version(
        job.job_id, version.version_id, inputs="/bucket/data/train/"
    )
    assert ended(third)["version_name"] == "V0003"
    assert job.delete_job()["is_success"]


def test_description_is_that_of_the_job(session):
    job = define(session, job_description="old").fit(inputs="/bucket/data/train/")
    assert job.update_job_description("new") == {"is_success": True}
    assert ended(job)["job_desc"] == "new"
    assert job.delete_job()["is_success"]


def test_resources_are_those_of_v2(session):
    assert "modelarts.vm.cpu.2u" in Estimator.get_train_instance_types(session)
    assert {
        "framework_type": "PyTorch",
        "framework_version": "PyTorch-1.0.0-python3.6",
    } in Estimator.get_framework_list(session)


def test_calls_without_counterpart_say_so(session):
    for call in (Estimator.get_built_in_algorithms, Estimator.get_job_configs_list):
        failed = call(session)
        assert (failed["is_success"], failed["error_code"]) == (False, "APIG.0101")
        assert failed["error_msg"].startswith("The v2 API has no ")
    with pytest.raises(NotFound, match="parameter configurations"):
        define(session).create_job_configs("c", inputs="/bucket/data/train/")


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"train_instance_type": "modelarts.none"}, "train_instance_type"),
        ({"model_name": "ResNet_v2_50"}, "model_name"),
    ],
)
def test_what_v2_does_not_have_is_refused(session, changes, argument):
    with pytest.raises(InvalidArgument) as caught:
        define(session, **changes).fit(inputs="/bucket/data/train/")
    assert caught.value.argument == argument
    assert ("modelarts serve --flavor modelarts.none" in str(caught.value)) == (
        argument == "train_instance_type"
    )


def test_boards_stay_with_their_api(session):
    """Trainings are found to be v2; the session's boards keep the API that they have."""
    assert Estimator.get_train_instance_types(session)
    assert VisualizationJob.get_visualization_job_list(session)["is_success"]
    assert session.api == "v1"
