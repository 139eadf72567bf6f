"""TrainingJob against the documented v2 API: what is sent, what is read, and what is refused."""

import json
import pickle

import pytest
import responses

from modelarts import JobStatus
from modelarts.errors import (
    AmbiguousCreate,
    BadRequest,
    InvalidArgument,
    JobFailed,
    JobStateError,
    NotFound,
    WaitTimeout,
)
from modelarts.train_params import InputData, OutputData
from modelarts.training.job import TrainingJob
from tests.servers.cloud import HOST, connect

pytestmark = pytest.mark.local

RUN = {
    "framework_type": "PyTorch",
    "framework_version": "PyTorch-1.8.0-python3.7",
    "train_instance_type": "modelarts.vm.cpu.2u",
}
MISSING = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def session(training_cloud, clock, tmp_path):
    """A session with the v2 service; a folder stands for OBS, with code and data in it."""
    training_cloud.jobs.clear()
    for name in ("code/train.py", "data/part-0.txt", "out/", "logs/"):
        path = tmp_path / "obs" / "bucket" / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("content")
    with connect(
        training_cloud,
        obs_endpoint=(tmp_path / "obs").as_uri(),
        clock=clock,
    ) as session:
        yield session


def create(session, code="obs://bucket/code/", boot="train.py", name=None, **changes):
    return TrainingJob.create(code, boot, name, session=session, **{**RUN, **changes})


def sent(cloud):
    """The body of the last create."""
    creates = [
        call
        for call in cloud.calls
        if call.method == "POST" and call.url.endswith("/training-jobs")
    ]
    return json.loads(creates[-1].body)


# What is sent -------------------------------------------------------------------------------------


def test_create_sends_the_documented_body(session, training_cloud):
    job = create(
        session,
        name="nightly",
        parameters=[{"name": "mod", "value": "gpu"}, {"name": "epoc_num", "value": 2}],
        inputs=[InputData(obs_path="obs://bucket/data/", name="data_url")],
        outputs=[OutputData("obs://bucket/out/", "model", "/model", "env")],
        env_variables={"A": "b"},
        working_dir="/home/ma-user/modelarts/user-job-dir",
        log_url="/bucket/logs/",
        job_description="a job",
        auto_stop=2,
        volumes=[{"pfs": {"pfs_path": "/p/", "local_path": "/mnt"}}],
        tensorboard="obs://bucket/summary",
    )
    body = sent(training_cloud)
    assert body == {
        "kind": "job",
        "metadata": {"name": "nightly", "description": "a job"},
        "algorithm": {
            "code_dir": "/bucket/code/",
            "boot_file": "/bucket/code/train.py",
            "engine": {
                "engine_name": "PyTorch",
                "engine_version": "PyTorch-1.8.0-python3.7",
            },
            "parameters": [{"name": "mod", "value": "gpu"}, {"name": "epoc_num", "value": "2"}],
            "inputs": [{"name": "data_url", "remote": {"obs": {"obs_url": "/bucket/data/"}}}],
            "outputs": [
                {
                    "name": "model",
                    "remote": {"obs": {"obs_url": "/bucket/out/"}},
                    "local_dir": "/model",
                    "access_method": "env",
                }
            ],
            "environments": {"A": "b"},
            "working_dir": "/home/ma-user/modelarts/user-job-dir",
            "summary": {
                "log_type": "tensorboard",
                "log_dir": {"pfs": {"pfs_path": "obs://bucket/summary/"}},
            },
        },
        "spec": {
            "resource": {"node_count": 1, "flavor_id": "modelarts.vm.cpu.2u"},
            "log_export_path": {"obs_url": "/bucket/logs/"},
            "volumes": [{"pfs": {"pfs_path": "/p/", "local_path": "/mnt"}}],
            "auto_stop": {"time_unit": "HOURS", "duration": 2},
        },
    }
    assert (job.job_name, job.phase, job.status) == ("nightly", "Creating", JobStatus.INIT)


@pytest.mark.parametrize(
    ("given", "text"),
    [(0.1, "0.1"), (True, "True"), (3, "3"), ("a b", "a b"), (1e-5, "1e-05"), ("", "")],
)
def test_parameters_are_sent_as_text(session, training_cloud, given, text):
    create(session, parameters={"lr": given})
    assert sent(training_cloud)["algorithm"]["parameters"] == [{"name": "lr", "value": text}]


@pytest.mark.parametrize("boot", ["train.py", "./train.py", "/bucket/code/train.py"])
def test_boot_file_is_sent_whole(session, training_cloud, boot):
    create(session, boot=boot)
    assert sent(training_cloud)["algorithm"]["boot_file"] == "/bucket/code/train.py"


def test_boot_file_may_be_an_obs_url(session, training_cloud):
    create(session, boot="obs://bucket/code/train.py")
    assert sent(training_cloud)["algorithm"]["boot_file"] == "/bucket/code/train.py"


def test_image_is_an_engine(session, training_cloud):
    TrainingJob.create(
        user_image_url="org/image:1",
        user_command="python train.py",
        train_instance_type="modelarts.vm.cpu.2u",
        session=session,
    )
    algorithm = sent(training_cloud)["algorithm"]
    assert (algorithm["engine"], algorithm["command"]) == (
        {"image_url": "org/image:1"},
        "python train.py",
    )
    assert "code_dir" not in algorithm


def test_output_name_is_the_board_folder(session, training_cloud):
    create(session, outputs={"model": "/bucket/out/", "runs": "/bucket/runs"}, tensorboard="runs")
    summary = sent(training_cloud)["algorithm"]["summary"]
    assert summary["log_dir"]["pfs"]["pfs_path"] == "obs://bucket/runs/"


def test_one_path_has_the_documented_name(session, training_cloud):
    create(session, inputs="obs://bucket/data/part-0.txt", outputs="/bucket/out/")
    algorithm = sent(training_cloud)["algorithm"]
    assert [channel["name"] for channel in algorithm["inputs"]] == ["data_url"]
    assert [channel["name"] for channel in algorithm["outputs"]] == ["train_url"]


# Files of this machine ----------------------------------------------------------------------------


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A code folder of this machine, relative to the working folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "src"
    (folder / "lib" / "__pycache__").mkdir(parents=True)
    (folder / ".git").mkdir()
    for name in ("train.py", "lib/net.py", "lib/__pycache__/net.pyc", ".git/config"):
        (folder / name).write_text("# " + name)
    return folder


def test_local_code_is_sent_first(session, training_cloud, code, tmp_path):
    create(session, code="src/")
    algorithm = sent(training_cloud)["algorithm"]
    folder = tmp_path / "obs" / algorithm["code_dir"].strip("/")
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    assert files == ["lib/net.py", "train.py"]
    assert algorithm["boot_file"] == algorithm["code_dir"] + "train.py"


def test_code_of_a_waiting_training_stays(session, training_cloud, code, tmp_path):
    """A training that is queued is to run with the code that it was created with."""
    create(session, code=code)
    first = sent(training_cloud)["algorithm"]["boot_file"]
    (code / "train.py").write_text("# another")
    create(session, code=code)
    second = sent(training_cloud)["algorithm"]["boot_file"]
    assert (tmp_path / "obs" / first.strip("/")).read_text() == "# train.py"
    assert (tmp_path / "obs" / second.strip("/")).read_text() == "# another"


def test_obs_path_is_where_code_is_sent(session, training_cloud, code, tmp_path):
    create(session, code="src", obs_path="obs://bucket/mine/")
    assert sent(training_cloud)["algorithm"]["code_dir"] == "/bucket/mine/src/"
    assert (tmp_path / "obs/bucket/mine/src/lib/net.py").is_file()


def test_local_input_is_sent_first(session, training_cloud, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt").write_text("data")
    create(session, inputs={"folder": "set/", "file": tmp_path / "set" / "a.txt"})
    urls = [
        channel["remote"]["obs"]["obs_url"]
        for channel in sent(training_cloud)["algorithm"]["inputs"]
    ]
    assert (tmp_path / "obs" / urls[0].strip("/") / "a.txt").read_text() == "data"
    assert (tmp_path / "obs" / urls[1].strip("/")).read_text() == "data"


def test_local_source_goes_to_its_obs_path(session, training_cloud, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt").write_text("data")
    source = InputData("obs://bucket/in/", "data_url", tmp_path / "set", is_local_source=True)
    create(session, inputs=[source])
    channel = sent(training_cloud)["algorithm"]["inputs"][0]
    assert channel == {"name": "data_url", "remote": {"obs": {"obs_url": "/bucket/in/set/"}}}
    assert (tmp_path / "obs/bucket/in/set/a.txt").read_text() == "data"


def test_relative_output_is_a_folder_in_obs(session, training_cloud, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    create(session, outputs="runs/", tensorboard="train_url")
    algorithm = sent(training_cloud)["algorithm"]
    url = algorithm["outputs"][0]["remote"]["obs"]["obs_url"]
    assert url.startswith("/uploads/")
    assert url.endswith("/runs/")
    assert algorithm["summary"]["log_dir"]["pfs"]["pfs_path"] == "obs:/" + url
    assert (tmp_path / "obs" / url.strip("/")).is_dir()


# Bad input ----------------------------------------------------------------------------------------

BAD = {
    "boot outside": ({"boot": "../train.py"}, "boot_file"),
    "boot elsewhere": ({"boot": "/other/code/train.py"}, "boot_file"),
    "boot missing": ({"boot": "none.py"}, "boot_file"),
    "no boot": ({"boot": None}, "boot_file"),
    "no code": ({"code": None, "boot": None}, "code_dir"),
    "no such folder": ({"code": "none/"}, "code_dir"),
    "dots": ({"code": "obs://bucket/a/../b/"}, "code_dir"),
    "long name": ({"name": "n" * 65}, "job_name"),
    "odd name": ({"name": "a b"}, "job_name"),
    "parameter": ({"parameters": {"a": [1]}}, "parameters"),
    "parameter none": ({"parameters": {"a": None}}, "parameters"),
    "parameter name": ({"parameters": {"a=b": "c"}}, "parameters"),
    "parameters text": ({"parameters": "a=b"}, "parameters"),
    "parameter key": ({"parameters": [{"key": "a"}]}, "parameters"),
    "two outputs": (
        {"outputs": [OutputData("/bucket/a/", "o"), OutputData("/bucket/b/", "o")]},
        "outputs",
    ),
    "same folder": ({"outputs": {"a": "/bucket/a/", "b": "obs://bucket/a"}}, "outputs"),
    "names meet": ({"outputs": {"lr": "/bucket/a/"}, "parameters": {"lr": 1}}, "parameters"),
    "input missing": ({"inputs": "obs://bucket/none/"}, "inputs"),
    "input bucket": ({"inputs": "obs://none/data/"}, "inputs"),
    "input here": ({"inputs": "none/"}, "inputs"),
    "output bucket": ({"outputs": "obs://none/out/"}, "outputs"),
    "log bucket": ({"log_url": "obs://none/out/"}, "log_url"),
    "board": ({"tensorboard": "../runs"}, "tensorboard"),
    "flavor": ({"train_instance_type": "none"}, "train_instance_type"),
    "this machine": ({"train_instance_type": "local"}, "train_instance_type"),
    "engine": ({"framework_type": "None"}, "framework_type"),
    "version": ({"framework_version": "0"}, "framework_version"),
    "no version": ({"framework_version": None}, "framework_version"),
    "count": ({"train_instance_count": 0}, "train_instance_count"),
    "count text": ({"train_instance_count": "many"}, "train_instance_count"),
    "hours": ({"auto_stop": 0}, "auto_stop"),
    "description": ({"job_description": "d" * 257}, "job_description"),
    "method": ({"outputs": [OutputData("/bucket/o/", "o", None, "file")]}, "access_method"),
    "variables": ({"env_variables": {"A-B": "c"}}, "env_variables"),
    "volumes": ({"volumes": ["/mnt"]}, "volumes"),
    "image and engine": ({"user_image_url": "a/b:1"}, "user_image_url"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_creates_nothing(session, training_cloud, case):
    changes, argument = BAD[case]
    with pytest.raises(InvalidArgument) as caught:
        create(session, **changes)
    assert caught.value.argument == argument
    assert "modelarts serve" not in str(caught.value)  # that is for services of one's own
    assert training_cloud.trainings() == {}
    assert [call for call in training_cloud.calls if call.method == "POST"] == []


def test_values_of_variables_are_not_shown(session):
    with pytest.raises(InvalidArgument) as caught:
        create(session, env_variables={"TOKEN": ["s3cret"]})
    assert "s3cret" not in str(caught.value)


def test_unchecked_flavor_is_left_to_the_service(session, training_cloud):
    with pytest.raises(BadRequest) as caught:
        create(session, train_instance_type="none", check=False)
    assert caught.value.error_code == "ModelArts.2764"
    assert {call.url.rpartition("/")[2] for call in training_cloud.calls} == {"training-jobs"}


# What is read -------------------------------------------------------------------------------------


def test_training_is_led_to_its_end(session, training_cloud):
    job = create(session, name="n")
    assert job.wait("Running").phase == "Running"
    assert job.wait(progress=False).status == JobStatus.COMPLETED
    assert job.duration == 1000
    assert job.tasks == ["worker-0"]
    again = TrainingJob.get(job.job_id, session)
    assert (again.job_name, again.kind, again.description) == ("n", "job", "")
    assert again.raw["algorithm"]["code_dir"] == "/bucket/code/"


def test_failed_training_says_why(session, training_cloud):
    training_cloud.ends = "Failed"
    training_cloud.work = [b"line %d\n" % number for number in range(30)]
    job = create(session)
    training_cloud.events[job.job_id] = [
        {"time": "2026-01-01T00:00:00Z", "level": "Error", "message": "no memory", "source": "Job"}
    ]
    with pytest.raises(JobFailed) as caught:
        job.wait()
    text = str(caught.value)
    assert "the script ended with 1; no memory" in text
    assert "line 29" in text
    assert "line 9\n" not in text
    assert pickle.loads(pickle.dumps(caught.value)).job.job_id == job.job_id


def test_stopped_training_is_not_complete(session, training_cloud):
    training_cloud.work = [b"."] * 100
    job = create(session)
    job.wait("Running").stop()
    assert job.phase == "Terminating"
    with pytest.raises(JobFailed):
        job.wait()
    assert job.wait(JobStatus.KILLED).status == JobStatus.KILLED


def test_stop_after_the_end_is_refused(session):
    job = create(session).wait()
    with pytest.raises(JobStateError) as caught:
        job.stop()
    assert caught.value.job_status == JobStatus.COMPLETED


def test_wait_ends_in_time(session, training_cloud):
    training_cloud.work = [b"."] * 1000
    with pytest.raises(WaitTimeout):
        create(session).wait(timeout=5)


def test_list_has_trainings_and_no_boards(session, training_cloud):
    board = training_cloud.add("Running")
    for number in range(120):
        training_cloud.add_training("obs://bucket/s/%d" % number)
    job_id = next(iter(training_cloud.jobs))
    training_cloud.jobs[job_id]["kind"] = "hetero_job"
    jobs = TrainingJob.list(session)
    found = [job.job_id for job in jobs]
    assert len(set(found)) == len(found) == len(training_cloud.jobs) - 1
    assert board not in found
    assert job_id in found
    assert len(TrainingJob.list(session, phase=["Failed", "Running"])) == 0


@pytest.mark.parametrize("bad", [{"phase": "Up"}, {"order": "up"}, {"search_content": 1}])
def test_bad_filter_sends_nothing(session, training_cloud, bad):
    with pytest.raises(InvalidArgument):
        TrainingJob.iter(session, **bad)
    assert training_cloud.calls == []


def test_events_and_metrics_are_read(session, training_cloud):
    job = create(session)
    training_cloud.events[job.job_id] = [{"message": str(number)} for number in range(250)]
    messages = [event["message"] for event in job.events()]
    assert messages == [str(number) for number in range(250)]
    assert job.metrics() == {"cpuUsage": [None, 12.5, 80]}


def test_deleted_training_is_gone(session, training_cloud):
    job = create(session).wait()
    job.delete()
    with pytest.raises(NotFound):
        job.refresh()
    assert job.job_name


def test_board_is_found_again(session, training_cloud):
    job = create(session, tensorboard="obs://bucket/summary/").wait()
    board = job.board().wait()
    assert board.raw["sources"] == (("job", job.job_id),)
    assert job.board().job_id == board.job_id
    assert len(training_cloud.boards()) == 1
    assert session.api == "auto"  # as it was


def test_board_needs_a_summary(session):
    job = create(session).wait()
    with pytest.raises(InvalidArgument) as caught:
        job.board()
    assert caught.value.argument == "training_jobs"


# Once ---------------------------------------------------------------------------------------------


def _lost(training_cloud, times, delivered=True):
    """Have the answers to so many creates be lost."""
    original, left = training_cloud._create_training, [times]

    def create_and_lose(body):
        answer = original(body) if delivered else None
        if left[0]:
            left[0] -= 1
            raise responses.ConnectionError("cut")
        return answer if delivered else original(body)

    training_cloud._create_training = create_and_lose


@pytest.mark.parametrize("name", [None, "nightly"])
def test_lost_answer_does_not_double(session, training_cloud, name):
    _lost(training_cloud, 1)
    job = create(session, name=name)
    assert list(training_cloud.trainings()) == [job.job_id]


def test_lost_request_is_sent_again(session, training_cloud):
    _lost(training_cloud, 1, delivered=False)
    job = create(session)
    assert list(training_cloud.trainings()) == [job.job_id]


def test_two_lost_requests_are_ambiguous(session, training_cloud):
    _lost(training_cloud, 2, delivered=False)
    with pytest.raises(AmbiguousCreate) as caught:
        create(session, name="nightly")
    assert caught.value.job_name == "nightly"


def test_other_training_of_the_name_is_not_adopted(session, training_cloud):
    other = create(session, name="nightly").job_id
    training_cloud.jobs[other]["metadata"]["create_time"] = 1
    _lost(training_cloud, 1)
    job = create(session, name="nightly")
    assert job.job_id != other
    assert len(training_cloud.trainings()) == 2


# Shown --------------------------------------------------------------------------------------------


def test_no_secret_is_shown_or_pickled(session, training_cloud):
    job = create(session, name="n", env_variables={"TOKEN": "s3cret"})
    training_cloud.jobs[job.job_id]["endpoints"] = {"ssh": {"url": "u", "token": "t0ken"}}
    job.refresh()
    for shown in (repr(job), job._repr_html_(), str(pickle.dumps(job))):
        assert "s3cret" not in shown
        assert "t0ken" not in shown
    assert "t0ken" not in str(job.raw)
    again = pickle.loads(pickle.dumps(job))
    assert (again.job_id, again.job_name) == (job.job_id, "n")


def test_card_shows_what_is_known(session):
    job = create(session, name="n", job_description="<i>", parameters={"lr": "<b>"})
    html = job._repr_html_()
    for text in ("&lt;i&gt;", "INIT", "/bucket/code/train.py", "lr=&lt;b&gt;", "PyTorch-1.8.0"):
        assert text in html
    assert "<b>" not in html


def test_unsent_job_has_no_id(session):
    job = TrainingJob(session)
    assert (job.job_id, repr(job), job.job_name) == (None, "TrainingJob()", None)
    with pytest.raises(InvalidArgument):
        job.refresh()
    with pytest.raises(InvalidArgument):
        TrainingJob(session, "8992")


def test_unreadable_answers_are_transport_errors(session):
    job = TrainingJob(session, MISSING)
    with responses.RequestsMock() as mock:
        url = "https://%s/v2/%s/training-jobs/%s" % (HOST, session.project_id, MISSING)
        mock.get(url, json={"metadata": {"id": MISSING, "create_time": "soon"}, "status": {}})
        with pytest.raises(ConnectionError, match="create_time"):
            job.refresh()
