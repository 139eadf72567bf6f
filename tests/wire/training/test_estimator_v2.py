"""The samples of the SDK reference on the Estimator of v2, unchanged, and a script of a user."""

import os
import pickle

import pytest

from modelarts.errors import InvalidArgument, JobFailed
from modelarts.estimatorV2 import Estimator
from modelarts.session import Session
from modelarts.train_params import InputData, OutputData, TrainingFiles
from modelarts.training.job import TrainingJob
from tests.support.v2_samples import (
    BEGIN,
    BY_ID,
    CALLS,
    CREATE,
    CREATE_IMAGE,
    LIST,
    OFFERS,
    SCRIPT,
    run,
)

pytestmark = pytest.mark.local

MISSING = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def cloud(training_cloud, tmp_path, monkeypatch, no_sleep):
    """The v2 service, which ``Session()`` finds; a folder stands for OBS."""
    training_cloud.jobs.clear()
    for name in ("code_dir/boot_file.py", "input/data.txt"):
        path = tmp_path / "obs" / "bucket_name" / name
        path.parent.mkdir(parents=True)
        path.write_text("content")
    for name, value in {
        "ACCESS_KEY": training_cloud.access_key,
        "SECRET_KEY": training_cloud.secret_key,
        "PROJECT_ID": training_cloud.project_id,
        "REGION_NAME": training_cloud.region_name,
        "ENDPOINT": training_cloud.modelarts_endpoint,
        "IAM_ENDPOINT": training_cloud.iam_endpoint,
        "OBS_ENDPOINT": (tmp_path / "obs").as_uri(),
    }.items():
        monkeypatch.setenv("MODELARTS_" + name, value)
    return training_cloud


def estimator(session=None, **changes):
    files = TrainingFiles("obs://bucket_name/code_dir/", "boot_file.py")
    arguments = {
        "training_files": files,
        "framework_type": "PyTorch",
        "framework_version": "PyTorch-1.4.0-python3.6",
        "train_instance_type": "modelarts.vm.cpu.2u",
    }
    return Estimator(session, **{**arguments, **changes})


@pytest.mark.parametrize("sample", [CREATE, CREATE_IMAGE], ids=["engine", "image"])
def test_documented_creates_run(cloud, sample):
    names, _ = run(sample)
    job = names["job_instance"]
    assert cloud.trainings() == {job.job_id: "job-0"}


def test_create_maps_every_argument(cloud):
    job = run(CREATE)[0]["job_instance"]
    made = cloud.jobs[job.job_id]
    algorithm, spec = made["algorithm"], made["spec"]
    assert algorithm["boot_file"] == "/bucket_name/code_dir/boot_file.py"
    assert algorithm["parameters"][1] == {"name": "epoc_num", "value": "2"}
    assert algorithm["environments"] == {"USER_ENV_VAR": "customize environment variable"}
    assert algorithm["local_code_dir"] == "/home/ma-user/modelarts/user-job-dir"
    assert algorithm["inputs"][0]["remote"]["obs"]["obs_url"] == "/bucket_name/input/"
    assert algorithm["outputs"][0]["remote"]["obs"]["obs_url"] == "/bucket_name/output/"
    assert spec["log_export_path"]["obs_url"] == "/bucket_name/log/"
    assert made["metadata"]["description"] == "This is a image net train job"


def test_documented_list_runs(cloud):
    run(CREATE)
    names, printed = run(BEGIN + LIST)
    page = names["job_list"]
    assert (page["total"], page["count"], page["limit"], page["offset"]) == (1, 1, 5, 0)
    assert page["items"][0]["metadata"]["name"] == "job-0"
    assert "job-0" in printed


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("way", ["by id", "of fit"])
def test_documented_calls_run(cloud, call, way):
    cloud.work = [b"line\n"] * 50
    names, _ = run(CREATE)
    job = names["job_instance"]
    job.wait("Running")
    job.refresh()
    if way == "by id":
        run(BEGIN + BY_ID % job.job_id, names)
        names, _ = run("answer = estimator." + CALLS[call], names)
    else:
        names, _ = run("answer = job_instance." + CALLS[call], names)
    answer = names["answer"]
    assert "error_msg" not in answer
    if call == "info":
        assert answer["metadata"]["id"] == job.job_id
        assert answer["status"]["phase"] == "Running"
    elif call == "log":
        assert set(answer) == {"content", "current_size", "full_size"}
        assert answer["content"].startswith("line\n")
    elif call == "metrics":
        assert answer["metrics"][0]["metric"] == "cpuUsage"
    elif call == "update":
        assert cloud.jobs[job.job_id]["metadata"]["description"] == "a new description"
    else:
        assert answer["status"]["phase"] == "Terminating"


def test_documented_offers_are_listed(cloud):
    names, printed = run(BEGIN + OFFERS)
    assert names["instance_types"] == list(cloud.flavor_ids)
    assert names["frameworks"][0] == {
        "framework_type": "PyTorch",
        "framework_version": "PyTorch-1.4.0-python3.6",
    }
    assert "modelarts.vm.cpu.2u" in printed


def test_script_of_a_user_runs_unchanged(cloud):
    cloud.work = [b"epoch 1\n", b"epoch 2\n"]
    _, printed = run(SCRIPT)
    lines = printed.splitlines()
    assert lines[0].startswith("created train_")
    assert any("phase Running" in line for line in lines)
    assert lines[-3:-1] == ["epoch 1", "epoch 2"]
    assert any(line.startswith("task succeeded, total time 3(s)") for line in lines)
    assert cloud.trainings() == {}


def test_script_of_a_user_sees_the_failure(cloud):
    cloud.ends = "Failed"
    with pytest.raises(SystemExit) as caught:
        run(SCRIPT)
    assert caught.value.code == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda session: Estimator(session, job_id=MISSING).get_job_info(),
        lambda session: Estimator(session, job_id=MISSING).control_job(),
        lambda session: Estimator(session, job_id=MISSING).update_job_configs("text"),
        lambda session: Estimator(session, job_id=MISSING).get_job_log(),
        lambda session: Estimator(session, job_id=MISSING).get_job_metrics(),
        lambda session: Estimator(session, job_id=MISSING).delete_job(),
        lambda session: Estimator.control_job_by_id(session=session, job_id=MISSING),
        lambda session: Estimator.delete_job_by_id(session=session, job_id=MISSING),
    ],
)
def test_refusal_is_the_documented_dict(cloud, call):
    with Session() as session:
        answer = call(session)
    assert answer == {
        "error_code": "ModelArts.2775",
        "error_msg": "Training job (ID: %s) not found." % MISSING,
        "error_solution": "Correct the request.",
    }


def test_refused_lists_are_dicts(cloud):
    with Session(project_id="f" * 32) as session:
        for answer in (
            Estimator.get_job_list(session),
            Estimator.get_train_instance_types(session),
            Estimator.get_framework_list(session),
        ):
            assert answer["error_code"] == "ModelArts.2786"
            assert "error_msg" in answer


def test_fit_waits_and_shows_the_log(cloud, capsys):
    cloud.work = [b"epoch 1\nepo", b"ch 2\n", b"", b"done"]
    with Session() as session:
        job = estimator(session).fit(wait=True, show_log=True)
    assert isinstance(job, TrainingJob)
    assert job.phase == "Completed"
    assert capsys.readouterr().out == "epoch 1\nepoch 2\ndone\n"


def test_fit_fails_with_the_last_lines(cloud, capsys):
    cloud.work, cloud.ends = [b"epoch 1\n", b"Traceback\nValueError: nan\n"], "Failed"
    with Session() as session, pytest.raises(JobFailed, match="ValueError: nan") as caught:
        estimator(session).fit(wait=True, show_log=True)
    assert caught.value.job.phase == "Failed"
    assert capsys.readouterr().out.endswith("ValueError: nan\n")


def test_interrupt_leaves_the_training(cloud, capsys, monkeypatch):
    """Ctrl-C ends the following, says so, and stops nothing."""
    cloud.work = [b"epoch\n"] * 5
    looks = []
    original = cloud._run_on

    def interrupted(job_id, job):
        looks.append(job_id)
        if len(looks) == 3:
            raise KeyboardInterrupt
        original(job_id, job)

    monkeypatch.setattr(cloud, "_run_on", interrupted)
    with Session() as session, pytest.raises(KeyboardInterrupt):
        estimator(session).fit(wait=True, show_log=True)
    job_id = looks[0]
    assert "training %s goes on" % job_id in capsys.readouterr().out
    assert cloud.jobs[job_id]["status"]["phase"] == "Running"


def test_estimator_stands_for_its_last_training(cloud):
    with Session() as session:
        made = estimator(session)
        assert made.job_id is None
        first = made.fit()
        second = made.fit(job_name="second")
        assert made.job_id == second.job_id != first.job_id
        assert made.get_job_info()["metadata"]["name"] == "second"


def test_board_of_an_estimator(cloud):
    with Session() as session:
        made = estimator(session, outputs="runs/", tensorboard="train_url")
        job = made.fit(wait=True)
        board = made.board().wait()
        assert board.raw["sources"] == (("job", job.job_id),)


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"training_files": "obs://bucket_name/code_dir/"}, "training_files"),
        ({"parameters": [{"name": "a", "value": None}]}, "parameters"),
        ({"train_instance_count": -1}, "train_instance_count"),
        ({"outputs": [OutputData("obs://b/o/", "a"), OutputData("obs://b/p/", "a")]}, "outputs"),
        ({"job_id": "8992"}, "job_id"),
    ],
)
def test_constructor_refuses_at_once(changes, argument):
    with pytest.raises(InvalidArgument) as caught:
        estimator(**changes)
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    "changes", [{"limit": 0}, {"limit": 51}, {"offset": -1}, {"order": "up"}, {"filters": "name"}]
)
def test_bad_list_argument_sends_nothing(cloud, changes):
    with Session() as session, pytest.raises(InvalidArgument):
        Estimator.get_job_list(session, **changes)
    assert cloud.calls == []


def test_bad_input_of_fit_sends_nothing(cloud):
    with Session() as session, pytest.raises(InvalidArgument):
        estimator(session).fit(inputs=[InputData(name="data_url")])
    assert cloud.calls == []


def test_variables_are_not_shown_or_pickled(cloud):
    made = estimator(env_variables={"TOKEN": "s3cret"})
    assert "s3cret" not in repr(made)
    with pytest.raises(TypeError, match="env_variables"):
        pickle.dumps(made)
    assert repr(pickle.loads(pickle.dumps(estimator()))) == repr(estimator())
    assert os.path.basename(made.session.obs_endpoint) == "obs"
