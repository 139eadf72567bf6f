"""The Estimator of V1 over the v1 API of trainings: documented samples, answers and refusals."""

import json
import pickle
import re

import pytest
import requests

from modelarts.errors import AmbiguousCreate, BadRequest, InvalidArgument, NotFound
from modelarts.estimator import JOB_STATE, Estimator, JobStatus
from tests.servers.cloud import connect, installed
from tests.servers.v1_trainings import V1Trainings
from tests.support.clocks import FakeClock
from tests.support.v1_samples import PUBLIC_SCRIPT, SAMPLES, set_environment


@pytest.fixture
def cloud():
    with installed(V1Trainings()) as cloud:
        yield cloud


@pytest.fixture
def session(cloud):
    return connect(cloud, retries=0, clock=FakeClock())


def define(session, **changes):
    """The Estimator of the documented samples."""
    settings = {
        "modelarts_session": session,
        "framework_type": "PyTorch",
        "framework_version": "PyTorch-1.0.0-python3.6",
        "code_dir": "/bucket/src/",
        "boot_file": "/bucket/src/pytorch_sentiment.py",
        "log_url": "/bucket/log/",
        "hyperparameters": [
            {"label": "classes", "value": "10"},
            {"label": "lr", "value": "0.001"},
        ],
        "output_path": "/bucket/output/",
        "train_instance_type": "modelarts.vm.cpu.2u",
        "train_instance_count": 1,
    }
    return Estimator(**{**settings, **changes})


@pytest.fixture
def job(session):
    return define(session).fit(inputs="/bucket/data/train/", job_name="my_training_job")


def config_of(cloud):
    """The config of the only create request."""
    bodies = [json.loads(call.body) for call in cloud.calls if call.method == "POST"]
    assert len(bodies) == 1
    return bodies[0]["config"]


def requests_of(cloud, path):
    return [(c.method, c.url) for c in cloud.calls if re.search(path, c.url)]


# Documented samples -----------------------------------------------------------------------------


@pytest.fixture
def notebook(cloud, monkeypatch):
    """The environment in which the samples' ``Session()`` finds this cloud."""
    set_environment(monkeypatch, cloud)
    return {}


@pytest.mark.parametrize("name", ["obs", "dataset", "image"])
def test_documented_sample_creates_a_job(cloud, notebook, name):
    exec(SAMPLES[name], notebook)
    job = notebook["job_instance"]
    created = cloud.trainings[int(job.job_id)]
    assert (created["job_name"], created["job_desc"]) == (
        "my_training_job",
        "pytorch-sentiment with ModelArts SDK",
    )
    config = config_of(cloud)
    assert config["train_url"] == "/bucket/output/"
    assert config["parameter"] == [
        {"label": "classes", "value": "10"},
        {"label": "lr", "value": "0.001"},
    ]
    assert config["spec_id"] == 2
    data = ("dataset_id", "data_url")[name != "dataset"]
    assert data in config
    assert ("engine_id" in config) == (name != "image")
    assert ("user_image_url" in config) == (name == "image")


@pytest.mark.parametrize("name", ["version_obs", "version_image"])
def test_documented_sample_creates_a_version(cloud, notebook, session, name):
    job = define(session).fit(inputs="/bucket/data/train/")
    sample = SAMPLES[name].replace("182626", job.job_id).replace("278813", job.version_id)
    exec(sample, notebook)
    version = notebook["job_version_instance"]
    assert version.job_id == job.job_id
    shown = cloud.trainings[int(job.job_id)]["versions"][int(version.version_id)]
    assert (shown["version_name"], shown["pre_version_id"]) == ("V0002", int(job.version_id))


def test_public_script_runs_unchanged(cloud, notebook, session, capsys):
    cloud.logs = {cloud.number + 2: ["epoch %d" % i for i in range(3)]}
    notebook["CLOCK"] = FakeClock()
    exec(PUBLIC_SCRIPT, notebook)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("status")] == [
        "status JOBSTAT_INIT",
        "status JOBSTAT_WAITING",
        "status JOBSTAT_RUNNING",
        "status JOBSTAT_COMPLETED",
    ]
    assert "epoch 2" in lines
    assert lines[-1] == "deleted True"
    assert cloud.trainings == {}


# Create -----------------------------------------------------------------------------------------


def test_names_become_ids(cloud, session):
    define(session, framework_type="TensorFlow", framework_version="TF-1.8.0-python2.7").fit(
        inputs="obs://bucket/data/"
    )
    config = config_of(cloud)
    assert (config["engine_id"], config["spec_id"], config["worker_server_num"]) == (3, 2, 1)
    assert config["app_url"] == "/bucket/src/"
    assert config["boot_file_url"] == "/bucket/src/pytorch_sentiment.py"
    assert config["data_url"] == "/bucket/data/"


def test_built_in_algorithm_needs_no_code(cloud, session):
    estimator = Estimator(
        session,
        model_name="ResNet_v2_50",
        output_path="/b/o/",
        train_instance_type="modelarts.vm.gpu.p100",
    )
    estimator.fit(inputs="/b/d/")
    config = config_of(cloud)
    assert config["model_id"] == 4
    assert "app_url" not in config


def test_pool_is_sent(cloud, session):
    define(session, pool_id="pool55b74902", train_instance_type="of.the.pool").fit(inputs="/b/d/")
    config = config_of(cloud)
    assert config["pool_id"] == "pool55b74902"
    assert "spec_id" not in config


def test_changed_attributes_are_used(cloud, session):
    estimator = define(session)
    job = estimator.fit(inputs="/bucket/data/")
    estimator.output_path = "/bucket/output/1/"
    estimator.hyperparameters = {"seed": 7}
    version = estimator.create_job_version(
        job_id=job.job_id, pre_version_id=job.version_id, inputs="/bucket/data/"
    )
    shown = version.get_job_info()
    assert shown["train_url"] == "/bucket/output/1/"
    assert shown["parameter"] == [{"label": "seed", "value": "7"}]


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"boot_file": "/bucket/other/boot.py"}, "boot_file"),
        ({"boot_file": "/bucket/src/../boot.py"}, "boot_file"),
        ({"boot_file": None}, "boot_file"),
        ({"code_dir": "bucket/src"}, "code_dir"),
        ({"output_path": "out"}, "output_path"),
        ({"hyperparameters": [{"name": "lr", "value": "1"}]}, "hyperparameters"),
        ({"hyperparameters": [{"label": "train_url", "value": "1"}]}, "hyperparameters"),
        ({"hyperparameters": {"lr": object()}}, "hyperparameters"),
        ({"train_instance_count": 0}, "train_instance_count"),
        ({"train_instance_type": None}, "train_instance_type"),
        ({"framework_version": None}, "framework_version"),
        ({"job_description": "x" * 257}, "job_description"),
        ({"job_id": "a/b"}, "job_id"),
    ],
)
def test_wrong_argument_is_refused_at_once(cloud, session, changes, argument):
    with pytest.raises(InvalidArgument) as caught:
        define(session, **changes)
    assert caught.value.argument == argument
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({}, "inputs"),
        ({"inputs": "/b/d/", "dataset_id": "x", "dataset_version_id": "y"}, "inputs"),
        ({"dataset_id": "x"}, "dataset_version_id"),
        ({"inputs": "/b/d/", "job_name": "my job"}, "job_name"),
        ({"inputs": "/b/d/", "job_name": "x" * 65}, "job_name"),
        ({"inputs": "data"}, "inputs"),
    ],
)
def test_wrong_call_sends_nothing(cloud, session, arguments, argument):
    with pytest.raises(InvalidArgument) as caught:
        define(session).fit(**arguments)
    assert caught.value.argument == argument
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"train_instance_type": "modelarts.none"}, "train_instance_type"),
        ({"framework_version": "PyTorch-9"}, "framework_version"),
        (
            {
                "model_name": "none",
                "code_dir": None,
                "boot_file": None,
            },
            "model_name",
        ),
    ],
)
def test_unknown_name_lists_the_known_ones(cloud, session, changes, argument):
    with pytest.raises(InvalidArgument) as caught:
        define(session, **changes).fit(inputs="/b/d/")
    assert caught.value.argument == argument
    assert cloud.trainings == {}


def test_taken_name_is_a_typed_error(session, job):
    with pytest.raises(BadRequest) as caught:
        define(session).fit(inputs="/bucket/data/", job_name="my_training_job")
    assert caught.value.error_code == "ModelArts.0103"


def lose_creates(cloud, count):
    """Answers to so many creates get lost, after the request was carried out."""
    lost = []

    def lose(request):
        if request.method == "POST" and len(lost) < count:
            lost.append(request)
            raise requests.exceptions.ReadTimeout("lost")

    cloud.lose = lose


def test_lost_create_is_adopted(cloud, session):
    lose_creates(cloud, 1)
    job = define(session).fit(inputs="/bucket/data/", job_name="once")
    assert list(cloud.trainings) == [int(job.job_id)]
    assert job.get_job_info()["job_name"] == "once"


def test_lost_version_is_adopted(cloud, session, job):
    lose_creates(cloud, 1)
    version = define(session).create_job_version(job.job_id, job.version_id, inputs="/bucket/data/")
    assert len(cloud.trainings[int(job.job_id)]["versions"]) == 2
    assert version.version_id != job.version_id


def test_lost_stop_is_not_repeated(cloud, session, job):
    lose_creates(cloud, 1)
    assert job.stop_job_version() == {"is_success": True}
    stops = [call for call in cloud.calls if call.url.endswith("/stop")]
    assert len(stops) == 1


def test_two_lost_creates_are_ambiguous(cloud, session, monkeypatch):
    lose_creates(cloud, 9)
    monkeypatch.setattr(cloud, "get_jobs", lambda query, body: {"jobs": [], "job_total_count": 0})
    monkeypatch.setattr(cloud, "post_jobs", lambda query, body: {})
    with pytest.raises(AmbiguousCreate, match="once"):
        define(session).fit(inputs="/bucket/data/", job_name="once")


# Wait -------------------------------------------------------------------------------------------


def test_wait_prints_each_changed_status(cloud, session, capsys):
    job = define(session).fit(inputs="/bucket/data/", wait=True, job_name="waited")
    assert capsys.readouterr().out.splitlines() == [
        "JOBSTAT_INIT",
        "JOBSTAT_WAITING",
        "JOBSTAT_RUNNING",
        "JOBSTAT_COMPLETED",
        "Job name: waited, duration: 00:03:03",
    ]
    assert job.get_job_info()["status"] == JobStatus.COMPLETED


def test_wait_returns_a_failed_job(cloud, session, capsys):
    cloud.next_status = {1: 8, 8: 11}
    job = define(session).fit(inputs="/bucket/data/", wait=True)
    assert capsys.readouterr().out.splitlines()[2] == "JOBSTAT_FAILED"
    assert job.get_job_info()["status"] == 11


def test_unchanged_status_is_printed_once(cloud, session, capsys):
    looks = iter([1, 1, 1, 8, 8, 8, 10])
    cloud.get_version = lambda number, version, query, body: {"status": str(next(looks))}
    define(session).fit(inputs="/bucket/data/", wait=True)
    assert len(capsys.readouterr().out.splitlines()) == 4


# Details, changes -------------------------------------------------------------------------------


def test_details_have_the_documented_keys(job):
    info = job.get_job_info()
    assert info["is_success"] is True
    assert "error_msg" not in info
    assert (info["job_id"], info["version_id"]) == (int(job.job_id), int(job.version_id))
    assert JOB_STATE[info["status"]] == "JOBSTAT_INIT"
    assert info["data_url"] == "/bucket/data/train/"


def test_details_need_no_version_id(session, job):
    found = Estimator(session, job_id=job.job_id).get_job_info()
    assert found["version_id"] == int(job.version_id)


def test_versions_are_listed(session, job, capsys):
    estimator = define(session)
    second = estimator.create_job_version(job.job_id, job.version_id, inputs="/bucket/data/")
    info = Estimator(session, job_id=job.job_id).get_job_version_info()
    assert (info["version_count"], len(info["versions"])) == (2, 2)
    listed = Estimator(session, job_id=job.job_id).get_job_version_object_list()
    assert [each.version_id for each in listed] == [second.version_id, job.version_id]
    shown = capsys.readouterr().out
    assert "V0002" in shown
    assert "JOBSTAT_INIT" in shown
    assert listed[0].get_job_version_object_list(is_show=False)
    assert capsys.readouterr().out == ""


def test_versions_stop_and_are_deleted(cloud, session, job):
    by_id = Estimator(session, job_id=job.job_id, version_id=job.version_id)
    assert by_id.stop_job_version() == {"is_success": True}
    refused = by_id.stop_job_version()
    assert refused["is_success"] is False
    assert refused["error_code"] == "ModelArts.0105"
    assert refused["error_msg"]
    assert by_id.delete_job_version() == {"is_success": True}
    assert cloud.trainings[int(job.job_id)]["versions"] == {}


def test_description_changes(cloud, job):
    assert job.update_job_description(description="new") == {"is_success": True}
    assert cloud.trainings[int(job.job_id)]["job_desc"] == "new"


def test_jobs_are_deleted_by_id(cloud, session, job):
    assert Estimator.delete_job_by_id(modelarts_session=session, job_id=job.job_id) == {
        "is_success": True
    }
    assert cloud.trainings == {}
    failed = job.delete_job()
    assert (failed["is_success"], failed["error_code"]) == (False, "ModelArts.0015")


@pytest.mark.parametrize("call", ["stop_job_version", "delete_job_version"])
def test_destructive_calls_need_a_version(cloud, session, job, call):
    before = len(cloud.calls)
    with pytest.raises(InvalidArgument, match="version_id"):
        getattr(Estimator(session, job_id=job.job_id), call)()
    assert len(cloud.calls) == before


def test_object_without_id_sends_nothing(cloud, session):
    with pytest.raises(InvalidArgument, match="job_id"):
        Estimator(session).get_job_info()
    assert cloud.calls == []


def test_missing_job_is_the_documented_failure(session):
    found = Estimator(session, job_id="1", version_id="2").get_job_info()
    assert found["is_success"] is False
    assert found["error_code"] == "ModelArts.0015"
    with pytest.raises(NotFound):
        Estimator(session, job_id="1").get_job_version_object_list()


# Lists ------------------------------------------------------------------------------------------


def test_job_list_is_filtered_and_sorted(cloud, session):
    for name in ("job-a", "job-b", "other"):
        define(session).fit(inputs="/bucket/data/", job_name=name)
    page = Estimator.get_job_list(
        modelarts_session=session, status=1, per_page=10, page=1, order="asc", search_content="job"
    )
    assert page["is_success"] is True
    assert [job["job_name"] for job in page["jobs"]] == ["job-a", "job-b"]
    assert page["job_total_count"] == 2
    assert Estimator.get_job_list(session, status=8)["jobs"] == []
    newest = Estimator.get_job_list(session, sortBy="create_time", per_page=1)["jobs"]
    assert len(newest) == 1


def test_sort_key_is_named_by_the_credentials(cloud):
    by_password = connect(
        cloud,
        access_key=None,
        secret_key=None,
        username=cloud.username,
        password=cloud.password,
        account=cloud.account,
    )
    assert Estimator.get_job_list(by_password, sort_by="status")["is_success"]
    assert "sort_by=status" in cloud.calls[-1].url


def test_wrong_list_argument_is_refused(cloud, session):
    for arguments in ({"sort_by": "color"}, {"per_page": 0}, {"order": "up"}):
        with pytest.raises(InvalidArgument):
            Estimator.get_job_list(session, **arguments)
    assert cloud.calls == []


def test_resources_are_listed(session):
    assert Estimator.get_train_instance_types(modelarts_session=session) == [
        "modelarts.vm.cpu.2u",
        "modelarts.vm.gpu.p100",
    ]
    assert Estimator.get_framework_list(modelarts_session=session)[1] == {
        "framework_type": "PyTorch",
        "framework_version": "PyTorch-1.0.0-python3.6",
    }
    models = Estimator.get_built_in_algorithms(modelarts_session=session)
    assert (models["is_success"], models["model_total_count"]) == (True, 1)


def test_refused_list_is_the_documented_failure(cloud, session, monkeypatch):
    monkeypatch.setattr(cloud, "secret_key", "another")
    for call in (Estimator.get_train_instance_types, Estimator.get_framework_list):
        failed = call(session)
        assert failed["is_success"] is False
        assert failed["error_code"] == "APIG.0301"


# Logs -------------------------------------------------------------------------------------------


def test_log_file_names(job):
    assert job.get_job_log_file_list() == {
        "is_success": True,
        "log_file_list": ["job-my_training_job.0"],
    }


def test_log_is_read_in_parts(cloud, job):
    lines = ["line %d: naïve 训练" % i for i in range(1300)]
    cloud.logs[int(job.version_id)] = lines
    whole, position = "", 0
    for _ in range(100):
        part = job.get_job_log("job-my_training_job.0", start_byte=position)
        whole += part["content"]
        position = int(part["end_line"])
        if not part["content"]:
            break
    assert whole == "\n".join(lines)


def test_log_begins_where_it_is_asked_to(cloud, job):
    cloud.logs[int(job.version_id)] = ["0123456789"] * 100
    name = "job-my_training_job.0"
    assert job.get_job_log(log_file=name)["content"].startswith("0123456789\n01")
    assert job.get_job_log(name, 11, 4)["content"] == "0123"
    assert job.get_job_log(name, 15, -4)["content"] == "0123"
    newest = job.get_job_log(name, -1, 10)
    assert (newest["content"], newest["lines"]) == ("0123456789", 1)


def test_empty_log_is_empty(job):
    part = job.get_job_log("job-my_training_job.0")
    assert (part["content"], part["lines"], part["is_success"]) == ("", 0, True)


@pytest.mark.parametrize(
    "arguments", [("",), ("x", -2), ("x", 0, 2049), ("x", 0, -2049), ("x", "0")]
)
def test_wrong_log_argument_is_refused(cloud, job, arguments):
    before = len(cloud.calls)
    with pytest.raises(InvalidArgument):
        job.get_job_log(*arguments)
    assert len(cloud.calls) == before


# Parameter configurations -----------------------------------------------------------------------


def test_configurations_are_made_and_changed(cloud, session, capsys):
    estimator = define(session)
    made = estimator.create_job_configs(
        config_name="my_job_config", inputs="/bucket/data/train/", config_desc="my job config"
    )
    assert made.config_name == "my_job_config"
    info = Estimator(modelarts_session=session, config_name="my_job_config").get_job_configs_info()
    assert (info["is_success"], info["spec_id"]) == (True, 2)
    assert info["data_url"] == "/bucket/data/train/"
    page = Estimator.get_job_configs_list(
        modelarts_session=session,
        per_page=10,
        page=1,
        sort_by="create_time",
        order="asc",
        search_content="config",
    )
    assert page["config_total_count"] == 1
    listed = Estimator.get_job_configs_object_list(modelarts_session=session)
    assert "my_job_config" in capsys.readouterr().out
    changed = estimator.update_job_configs(
        config_name="my_job_config", inputs="/bucket/dataset/", config_desc="update"
    )
    assert changed == {"is_success": True}
    assert cloud.configurations["my_job_config"]["data_url"] == "/bucket/dataset/"
    assert listed[0].delete_job_configs() == {"is_success": True}
    assert listed[0].delete_job_configs()["error_code"] == "ModelArts.0015"


# Objects ----------------------------------------------------------------------------------------


def test_pickles_have_no_session(session, job):
    copied = pickle.loads(pickle.dumps(job))
    assert (copied.job_id, copied.version_id) == (job.job_id, job.version_id)
    assert b"cloud-secret-key" not in pickle.dumps(define(session))


def test_api_is_looked_for_once(cloud, session, job):
    job.get_job_info()
    assert requests_of(cloud, "/v2/") == []
