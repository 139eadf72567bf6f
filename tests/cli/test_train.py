"""``modelarts train`` and ``modelarts jobs`` with trainings, on the wire."""

import json

import pytest

pytestmark = pytest.mark.local

RUN = ["--engine", "PyTorch", "PyTorch-1.8.0-python3.7", "--flavor", "modelarts.vm.cpu.2u"]


@pytest.fixture(autouse=True)
def cloud(training_cloud, tmp_path, monkeypatch, no_sleep):
    """The v2 service, which the environment names; a folder stands for OBS."""
    training_cloud.jobs.clear()
    for name in ("access_key", "secret_key", "project_id", "region_name", "iam_endpoint"):
        monkeypatch.setenv("MODELARTS_" + name.upper(), getattr(training_cloud, name))
    monkeypatch.setenv("MODELARTS_ENDPOINT", training_cloud.modelarts_endpoint)
    monkeypatch.setenv("MODELARTS_OBS_ENDPOINT", (tmp_path / "obs").as_uri())
    monkeypatch.setenv("MODELARTS_API", "v2")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text("print(1)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.get", lambda: pytest.fail("a browser"))
    return training_cloud


@pytest.fixture
def run(run_command):
    return run_command


def train(run, *arguments):
    return run("train", "src/", "--boot", "train.py", *RUN, *arguments)


def made(cloud):
    (job_id,) = cloud.trainings()
    return job_id, cloud.jobs[job_id]


def test_train_creates_what_the_options_say(cloud, run, monkeypatch):
    monkeypatch.setenv("TOKEN", "s3cret")
    options = ["--set", "lr=0.1", "--set", "text=a=b", "--output", "runs=runs/"]
    options += ["--env", "TOKEN", "--env", "A=b", "--tensorboard", "runs", "--auto-stop", "3"]
    code, out, err = train(run, *options, "--name", "nightly")
    job_id, job = made(cloud)
    assert code == 0
    assert job_id in out
    assert "training %s (nightly) was created" % job_id in err
    assert "s3cret" not in out + err
    algorithm = job["algorithm"]
    assert algorithm["parameters"] == [
        {"name": "lr", "value": "0.1"},
        {"name": "text", "value": "a=b"},
    ]
    assert algorithm["environments"] == {"TOKEN": "s3cret", "A": "b"}
    url = algorithm["outputs"][0]["remote"]["obs"]["obs_url"]
    assert algorithm["summary"]["log_dir"]["pfs"]["pfs_path"] == "obs:/" + url
    assert job["spec"]["auto_stop"]["duration"] == 3


def test_follow_prints_the_log(cloud, run):
    cloud.work = [b"epoch 1\n", b"epoch 2\n"]
    code, out, _ = train(run, "--follow")
    assert (code, out) == (0, "epoch 1\nepoch 2\n")


def test_json_has_the_training_alone(cloud, run):
    cloud.work = [b"epoch 1\n"]
    code, out, err = train(run, "--follow", "-o", "json")
    answer = json.loads(out)
    assert (code, answer["status_name"]) == (0, "COMPLETED")
    assert answer["job_id"] == made(cloud)[0]
    assert "epoch 1" in err


def test_failure_is_code_5_with_the_last_lines(cloud, run):
    cloud.work, cloud.ends = [b"ValueError: nan\n"], "Failed"
    code, _, err = train(run, "--wait")
    assert code == 5
    assert "ValueError: nan" in err


def test_board_is_opened(cloud, run, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.get", lambda: _Browser(opened))
    code, out, _ = train(run, "--output", "runs=runs/", "--board", "--follow")
    assert code == 0
    assert out.startswith("board: https://board.example.com/")
    assert out.split()[1] in opened
    assert len(cloud.boards()) == 1


class _Browser:
    def __init__(self, opened):
        self.open = lambda address: opened.append(address) or True


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--board"], "--board needs --tensorboard"),
        (["--set", "lr"], "'lr' is not NAME=VALUE"),
        (["--set", "lr=1", "--set", "lr=2"], "--set lr is there more than once"),
        (["--env", "NOT_THERE"], "the variable NOT_THERE is not set here"),
        (["--flavor", "none"], "--flavor must be one of"),
        (["--boot", "../train.py"], "--boot must be a script in the code folder"),
        (["--input", "data=none/"], "--input must be paths in OBS"),
        (["--name", "a b"], "must be 1 to 64 letters"),
    ],
)
def test_wrong_usage_is_code_2(cloud, run, options, shown):
    code, out, err = train(run, *options)
    assert (code, out) == (2, "")
    assert shown in err
    assert cloud.trainings() == {}


def test_unknown_flavor_names_the_option(cloud, run):
    assert "--no-check sends it all the same" in train(run, "--flavor", "none")[2]
    code, _, err = train(run, "--flavor", "none", "--no-check")
    assert (code, "ModelArts.2764" in err) == (1, True)


# modelarts jobs -----------------------------------------------------------------------------------


def test_list_has_both_kinds(cloud, run):
    cloud.add("Running", name="my-board")
    code, out, _ = run("jobs", "list")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split()[:4] == ["ID", "NAME", "STATUS", "KIND"]
    assert [line.split()[1:4:2] for line in lines[1:]] == [
        ["my-board", "board"],
        ["training", "training"],
    ]
    for kind in ("board", "training"):
        listed = json.loads(run("jobs", "list", "--kind", kind, "-o", "json")[1])
        assert len(listed) == 1


def test_list_filters_trainings(cloud, run):
    first = cloud.add_training("obs://b/a")
    second = cloud.add_training("obs://b/b")
    cloud.jobs[second]["metadata"]["name"] = "nightly"
    cloud.jobs[second]["status"]["phase"] = "Running"
    for options in (["--running"], ["--search", "night"], ["--status", "running,failed"]):
        listed = json.loads(run("jobs", "list", *options, "-o", "json")[1])
        assert [job["job_id"] for job in listed] == [second]
    listed = json.loads(run("jobs", "list", "--order", "asc", "-o", "json")[1])
    assert [job["job_id"] for job in listed] == [first, second]


@pytest.mark.parametrize("by", ["id", "name"])
def test_logs_are_printed(cloud, run, by):
    train(run, "--name", "nightly")
    job_id, _ = made(cloud)
    cloud.logs[job_id] += b"a\nb\n"
    code, out, _ = run("jobs", "logs", job_id if by == "id" else "nightly")
    assert (code, out) == (0, "a\nb\n")


def test_logs_are_followed(cloud, run):
    cloud.work = [b"epoch 1\n", b"epoch 2\n"]
    train(run, "--name", "nightly")
    assert run("jobs", "logs", "nightly", "--follow")[1] == "epoch 1\nepoch 2\n"


def test_board_has_no_log_of_a_training(cloud, run):
    board = cloud.add("Running")
    code, _, err = run("jobs", "logs", board)
    assert (code, "is a board, not a training" in err) == (2, True)


def test_training_is_led_by_the_verbs(cloud, run):
    cloud.work = [b"."] * 100
    train(run, "--name", "nightly")
    job_id, job = made(cloud)
    assert json.loads(run("jobs", "show", job_id, "-o", "json")[1])["metadata"]["id"] == job_id
    assert run("jobs", "wait", "nightly", "--until", "running")[0] == 0
    assert run("jobs", "update", "nightly", "--desc", "text")[0] == 0
    assert job["metadata"]["description"] == "text"
    code, out, _ = run("jobs", "stop", "nightly", "--wait")
    assert (code, out) == (0, "job %s (nightly): stopped\n" % job_id)
    assert job["status"]["phase"] == "Terminated"
    code, _, err = run("jobs", "restart", "nightly")
    assert (code, "is a training" in err) == (2, True)
    assert run("jobs", "delete", "nightly", "--yes")[0] == 0
    assert cloud.trainings() == {}


def test_stop_all_has_both_kinds(cloud, run):
    board = cloud.add("Running")
    training = cloud.add_training("obs://b/c")
    cloud.jobs[training]["status"]["phase"] = "Running"
    assert run("jobs", "stop", "--all", "--yes")[0] == 0
    assert cloud.jobs[board]["status"]["phase"] == "Terminating"
    assert cloud.jobs[training]["status"]["phase"] == "Terminating"


def test_wait_of_a_training_is_for_its_end(cloud, run):
    train(run, "--name", "nightly")
    code, out, _ = run("jobs", "wait", "nightly")
    assert (code, "COMPLETED" in out) == (0, True)
