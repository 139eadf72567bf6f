"""The Estimator of V1 where the service has the v2 API only: what is sent, and what is read."""

import json

import pytest
import requests

from modelarts.errors import InvalidArgument
from modelarts.estimator import JOB_STATE, Estimator, JobStatus
from tests.servers.cloud import connect, installed
from tests.servers.training_cloud import TrainingCloud
from tests.support.clocks import FakeClock
from tests.support.v1_samples import SAMPLES, set_environment


class Cloud(TrainingCloud):
    """The engine of the documented samples is there, and answers to creates may be lost."""

    engine_versions = (("PyTorch", "PyTorch-1.0.0-python3.6"),)
    lost = 0
    returns_variables = True

    def _shown(self, job):
        shown = super()._shown(job)
        variables = job["algorithm"].get("environments", {})
        if self.returns_variables:
            # The documented form: a list of maps.
            shown["algorithm"]["environments"] = [{name: variables[name]} for name in variables]
        return shown

    def _create_training(self, body):
        answer = super()._create_training(body)
        if self.lost:
            self.lost -= 1
            raise requests.exceptions.ReadTimeout("lost")
        return answer


@pytest.fixture
def cloud():
    with installed(Cloud()) as cloud:
        yield cloud


@pytest.fixture(params=["auto", "v1", "v2"])
def session(request, cloud):
    """``api`` is about boards; trainings are found to be v2 in any case."""
    return connect(cloud, api=request.param, retries=0, clock=FakeClock())


def define(session, **changes):
    settings = {
        "train_instance_type": "modelarts.vm.cpu.2u",
        "framework_type": "PyTorch",
        "framework_version": "PyTorch-1.0.0-python3.6",
        "code_dir": "/bucket/src/",
        "boot_file": "/bucket/src/boot.py",
        "output_path": "/bucket/output/",
        "log_url": "/bucket/log/",
        "hyperparameters": [{"label": "lr", "value": "0.001"}],
    }
    return Estimator(session, **{**settings, **changes})


def sent(cloud):
    """The bodies of the creates."""
    return [
        json.loads(call.body)
        for call in cloud.calls
        if call.method == "POST" and call.url.endswith("/v2/%s/training-jobs" % cloud.project_id)
    ]


@pytest.fixture
def notebook(cloud, monkeypatch):
    """The environment in which the samples' ``Session()`` finds this cloud."""
    set_environment(monkeypatch, cloud)
    return {}


@pytest.mark.parametrize("name", ["obs", "image"])
def test_documented_sample_creates_a_training(cloud, notebook, name):
    exec(SAMPLES[name], notebook)
    job = notebook["job_instance"]
    assert job.job_id == job.version_id
    body = sent(cloud)[0]
    assert body["metadata"] == {
        "name": "my_training_job",
        "description": "pytorch-sentiment with ModelArts SDK",
    }
    algorithm = body["algorithm"]
    assert algorithm["inputs"] == [
        {"name": "data_url", "remote": {"obs": {"obs_url": "/bucket/data/train/"}}}
    ]
    assert algorithm["outputs"] == [
        {"name": "train_url", "remote": {"obs": {"obs_url": "/bucket/output/"}}}
    ]
    values = {"classes": "10", "lr": "0.001"}
    if name == "image":
        assert algorithm["engine"] == {"image_url": "100.125.5.235:20202/jobmng/cpu-base:1.0"}
        assert algorithm["environments"] == values
        assert algorithm["parameters"] == []
    else:
        parameters = {each["name"]: each["value"] for each in algorithm["parameters"]}
        assert parameters == {**values, "num_gpus": "0"}
        assert algorithm["boot_file"] == "/bucket/src/pytorch_sentiment.py"
    assert body["spec"] == {
        "resource": {"node_count": 1, "flavor_id": "modelarts.vm.cpu.2u"},
        "log_export_path": {"obs_url": "/bucket/log/"},
    }


def test_wait_prints_the_statuses_of_v1(cloud, session, capsys):
    define(session).fit(inputs="/bucket/data/", wait=True, job_name="waited")
    assert capsys.readouterr().out.splitlines() == [
        "JOBSTAT_INIT",
        "JOBSTAT_WAITING",
        "JOBSTAT_RUNNING",
        "JOBSTAT_COMPLETED",
        "Job name: waited, duration: 00:00:01",
    ]


def test_failed_training_is_returned(cloud, session):
    cloud.ends = "Failed"
    job = define(session).fit(inputs="/bucket/data/", wait=True)
    info = job.get_job_info()
    assert JOB_STATE[info["status"]] == "JOBSTAT_FAILED"
    assert "ended with 1" in info["reason"]


def test_versions_are_jobs_of_v2(cloud, session):
    estimator = define(session)
    first = estimator.fit(inputs="/bucket/data/", job_name="n" * 64)
    second = estimator.create_job_version(
        job_id=first.job_id,
        pre_version_id=first.version_id,
        inputs="/bucket/data/",
        job_desc="second",
    )
    third = estimator.create_job_version(second.job_id, second.version_id, inputs="/b/d/")
    assert first.job_id == second.job_id == third.job_id
    names = [job["metadata"]["name"] for job in cloud.jobs.values()]
    assert names == ["n" * 64, "n" * 58 + "-V0002", "n" * 58 + "-V0003"]
    info = second.get_job_info()
    assert (info["job_id"], info["version_id"]) == (first.job_id, second.version_id)
    assert (info["version_name"], info["pre_version_id"]) == ("V0002", first.version_id)
    versions = Estimator(session, job_id=first.job_id).get_job_version_object_list(is_show=False)
    assert [each.version_id for each in versions] == [
        third.version_id,
        second.version_id,
        first.version_id,
    ]


def test_versions_are_used_by_their_ids_without_variables(cloud, session):
    """Versions are known by their ids and names where a service returns no variables."""
    cloud.returns_variables = False
    estimator = define(session)
    first = estimator.fit(inputs="/bucket/data/", job_name="train")
    second = estimator.create_job_version(first.job_id, first.version_id, inputs="/b/d/")
    third = estimator.create_job_version(second.job_id, second.version_id, inputs="/b/d/")
    assert first.job_id == second.job_id == third.job_id
    info = third.get_job_info()
    assert (info["job_name"], info["version_name"]) == ("train", "V0003")
    assert third.stop_job_version() == {"is_success": True}
    with pytest.raises(InvalidArgument, match="version_id"):
        Estimator(session, job_id=third.version_id, version_id=first.version_id).get_job_info()
    assert first.delete_job() == {"is_success": True}
    assert list(cloud.jobs) == [second.version_id, third.version_id]


def test_jobs_of_like_names_are_no_versions(cloud, session):
    """Names alone do not make a job a version, so that no other job is deleted."""
    estimator = define(session)
    job = estimator.fit(inputs="/bucket/data/", job_name="train")
    other = estimator.fit(inputs="/bucket/data/", job_name="train-V0002")
    assert Estimator(session, job_id=job.job_id).get_job_version_info()["version_count"] == 1
    assert job.delete_job() == {"is_success": True}
    assert list(cloud.jobs) == [other.job_id]


def test_version_of_another_job_is_refused(cloud, session):
    estimator = define(session)
    job = estimator.fit(inputs="/bucket/data/")
    other = estimator.fit(inputs="/bucket/data/")
    with pytest.raises(InvalidArgument, match="pre_version_id"):
        estimator.create_job_version(job.job_id, other.version_id, inputs="/bucket/data/")
    mixed = Estimator(session, job_id=job.job_id, version_id=other.version_id)
    with pytest.raises(InvalidArgument, match="version_id"):
        mixed.get_job_info()
    for call in (mixed.stop_job_version, mixed.delete_job_version):
        with pytest.raises(InvalidArgument, match="version_id"):
            call()
    assert len(cloud.jobs) == 2


def test_list_shows_jobs_with_their_newest_version(cloud, session):
    estimator = define(session)
    first = estimator.fit(inputs="/bucket/data/", job_name="job-a")
    second = estimator.create_job_version(first.job_id, first.version_id, inputs="/b/d/")
    estimator.fit(inputs="/bucket/data/", job_name="job-b")
    cloud.add()  # a board, and the training that it shows
    page = Estimator.get_job_list(session, order="asc", search_content="job-")
    assert [(job["job_name"], job["version_count"]) for job in page["jobs"]] == [
        ("job-a", 2),
        ("job-b", 1),
    ]
    assert page["jobs"][0]["version_id"] == second.version_id
    assert page["job_total_count"] == 2
    assert Estimator.get_job_list(session, status=10, search_content="job-")["jobs"] == []
    assert len(Estimator.get_job_list(session, per_page=1, page=2)["jobs"]) == 1
    assert all(job["job_name"] != "board" for job in Estimator.get_job_list(session)["jobs"])


def test_lost_create_is_adopted(cloud, session):
    cloud.lost = 1
    job = define(session).fit(inputs="/bucket/data/", job_name="once")
    assert list(cloud.jobs) == [job.job_id]


def test_lost_version_is_adopted(cloud, session):
    job = define(session).fit(inputs="/bucket/data/")
    cloud.lost = 1
    version = define(session).create_job_version(job.job_id, job.version_id, inputs="/b/d/")
    assert list(cloud.jobs) == [job.job_id, version.version_id]


@pytest.mark.parametrize("preview", [5 * 1024 * 1024, 100, 0])
def test_log_is_read_in_parts(cloud, session, preview):
    """From the newest part where that has the bytes, and else by the link to the whole log."""
    cloud.preview_size = preview
    text = "".join("line %d: naïve 训练\n" % i for i in range(400))
    cloud.work = [text.encode()]
    job = define(session).fit(inputs="/bucket/data/", wait=True)
    names = job.get_job_log_file_list()["log_file_list"]
    assert names == ["modelarts-job-%s-worker-0.log" % job.job_id]
    whole, position = "", 0
    for _ in range(20):
        part = job.get_job_log(names[0], start_byte=position)
        whole, position = whole + part["content"], int(part["end_line"])
    assert whole == text
    fixed = [job.get_job_log(names[0], start)["content"] for start in range(0, 20000, 2048)]
    assert "".join(fixed) == text
    newest = job.get_job_log(names[0], -1, 20)["content"]
    assert text.endswith(newest)
    assert newest


def test_log_of_another_name_is_refused(cloud, session):
    job = define(session).fit(inputs="/bucket/data/")
    with pytest.raises(InvalidArgument, match="log_file"):
        job.get_job_log("job-other.0")


def test_stop_and_refusals(cloud, session):
    job = define(session).fit(inputs="/bucket/data/")
    assert job.stop_job_version() == {"is_success": True}
    assert job.get_job_info()["status"] == JobStatus.KILLING
    refused = job.stop_job_version()
    assert refused["is_success"] is False
    assert refused["error_code"]
    missing = Estimator(session, job_id="182626", version_id="278813").get_job_info()
    assert missing["is_success"] is False
    assert missing["error_code"].startswith("ModelArts.")


def test_data_source_of_one_path_is_taken(cloud, session):
    source = [{"type": "obs", "data_url": "/bucket/data/"}]
    define(session).fit(data_source=source)
    inputs = sent(cloud)[0]["algorithm"]["inputs"]
    assert inputs[0]["remote"]["obs"]["obs_url"] == "/bucket/data/"


@pytest.mark.parametrize(
    "arguments",
    [
        {"dataset_id": "d1", "dataset_version_id": "v1"},
        {"data_source": [{"type": "dataset", "dataset_id": "d1", "dataset_version": "v1"}]},
    ],
)
def test_dataset_is_an_input_of_v2(cloud, session, arguments):
    info = define(session).fit(**arguments).get_job_info()
    (data,) = sent(cloud)[0]["algorithm"]["inputs"]
    assert data == {"name": "data_url", "remote": {"dataset": {"id": "d1", "version_id": "v1"}}}
    assert (info["dataset_id"], info["dataset_version_id"], info["data_url"]) == ("d1", "v1", None)


@pytest.mark.parametrize(
    ("changes", "arguments", "argument"),
    [
        ({}, {"data_source": [{"type": "obs"}]}, "data_source"),
        ({}, {"data_source": [{"type": "obs", "data_url": "/b/d/"}] * 2}, "data_source"),
        ({"model_name": "ResNet"}, {"inputs": "/b/d/"}, "model_name"),
        ({"train_instance_type": "none"}, {"inputs": "/b/d/"}, "train_instance_type"),
    ],
)
def test_what_v2_does_not_have_is_refused(cloud, session, changes, arguments, argument):
    with pytest.raises(InvalidArgument) as caught:
        define(session, **changes).fit(**arguments)
    assert caught.value.argument == argument
    assert cloud.jobs == {}
