"""Trainings on this machine, by the v2 API on the wire."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig

from modelarts.errors import BadRequest, NotFound
from modelarts.estimator import VisualizationJob
from modelarts.local.database.sqlite import SqliteDatabase
from modelarts.local.engine import keeper as keeper_module
from modelarts.local.engine.base import Limits
from modelarts.local.engine.machine import Machine
from modelarts.local.identity.users_file import edit, prepare
from modelarts.local.jobs.store import Store
from modelarts.local.training.store import TrainingStore
from modelarts.local.web.trainings import preview
from modelarts.session import Session
from tests.servers.served import descendants
from tests.servers.service import Service
from tests.support.clocks import wait_until
from tests.support.console import Browser, link_of
from tests.support.lazy import Lazy

pytestmark = pytest.mark.local

official = Lazy("huaweicloudsdkmodelarts.v1")

ENDED = ("Completed", "Failed", "Terminated", "Abnormal")


class Trainer:
    """The trainings of one service, by raw requests."""

    def __init__(self, service):
        self.service = service
        self.session = service.session()
        self.obs = service.root / "obs"
        (self.obs / "bucket").mkdir(parents=True, exist_ok=True)

    def call(self, method, path, body=None):
        return self.session.request(
            method, "/v2/%s/%s" % (self.session.project_id, path), body=body
        )

    def body(self, program, name, algorithm=None, **spec):
        code = self.obs / "bucket" / "code" / name
        code.mkdir(parents=True, exist_ok=True)
        (code / "train.py").write_text(textwrap.dedent(program))
        folder = "obs://bucket/code/%s/" % name
        return {
            "kind": "job",
            "metadata": {"name": name},
            "algorithm": {
                "code_dir": folder,
                "boot_file": folder + "train.py",
                **(algorithm or {}),
            },
            "spec": {"resource": {"node_count": 1}, **spec},
        }

    def create(self, program, name, algorithm=None, **spec):
        body = self.body(program, name, algorithm, **spec)
        return self.call("POST", "training-jobs", body)["metadata"]["id"]

    def details(self, job_id):
        return self.call("GET", "training-jobs/" + job_id)

    def phase(self, job_id):
        return self.details(job_id)["status"]["phase"]

    def wait(self, job_id, *phases):
        wait_until(lambda: self.phase(job_id) in (phases or ENDED))
        return self.details(job_id)

    def log(self, job_id):
        path = "training-jobs/%s/tasks/worker-0/logs/preview" % job_id
        return self.call("GET", path)["content"]

    def events(self, job_id):
        events = self.call("GET", "training-jobs/%s/events?order=asc" % job_id)["events"]
        return [event["message"] for event in events]

    def terminate(self, job_id):
        action = {"action_type": "terminate"}
        return self.call("POST", "training-jobs/%s/actions" % job_id, action)

    def processes(self, mark):
        """The processes that have a text in their command line."""
        found = []
        for process in psutil.process_iter():
            try:
                if any(mark in part for part in process.cmdline()):
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def trainer(service):
    trainer = Trainer(service)
    with trainer.session:
        yield trainer
        for job in trainer.call("POST", "training-job-searches", {})["items"]:
            trainer.call("DELETE", "training-jobs/" + job["metadata"]["id"])


def test_training_gets_parameters_inputs_and_outputs(trainer):
    """Inputs and outputs come as parameters or variables; outputs are in the bucket at once."""
    (trainer.obs / "bucket" / "data").mkdir()
    (trainer.obs / "bucket" / "data" / "x.txt").write_text("seven")
    program = """
        import os, sys
        print(sorted(arg.partition("=")[0] for arg in sys.argv[1:]))
        arguments = dict(arg[2:].split("=", 1) for arg in sys.argv[1:])
        print(open(arguments["data"] + "/x.txt").read(), arguments["lr"], os.environ["GREETING"])
        open(os.environ["model"] + "/model.bin", "w").write("trained")
        print(os.environ["VC_WORKER_NUM"], os.path.exists("train.py"), os.environ["MA_NUM_GPUS"])
    """
    algorithm = {
        "parameters": [{"name": "lr", "value": "0.1"}],
        "inputs": [{"name": "data", "remote": {"obs": {"obs_url": "/bucket/data/"}}}],
        "outputs": [
            {
                "name": "model",
                "access_method": "env",
                "remote": {"obs": {"obs_url": "/bucket/model/"}},
            }
        ],
        "environments": {"GREETING": "hello"},
    }
    log = {"obs_url": "/bucket/logs/"}
    job_id = trainer.create(program, "all", algorithm, log_export_path=log)
    assert trainer.wait(job_id)["status"]["phase"] == "Completed"
    lines = ["['--data', '--lr']", "seven 0.1 hello", "1 True 0"]
    assert trainer.log(job_id).splitlines() == lines
    assert (trainer.obs / "bucket" / "model" / "model.bin").read_text() == "trained"
    exported = trainer.obs / "bucket" / "logs" / ("modelarts-job-%s-worker-0.log" % job_id)
    assert exported.read_text().splitlines() == lines
    assert trainer.events(job_id) == [
        "The training was created.",
        "The training runs.",
        "The training completed.",
    ]
    # The copy of its code goes with its end.
    assert list((trainer.service.root / "training-work").iterdir()) == []


def test_official_client_runs_a_training_and_a_board(trainer):
    found = trainer.service.connection
    credentials = BasicCredentials(found["access_key"], found["secret_key"], found["project_id"])
    builder = official.ModelArtsClient.new_builder().with_http_config(HttpConfig())
    client = (
        builder.with_credentials(credentials).with_endpoints([found["modelarts_endpoint"]]).build()
    )
    program = """
        import sys
        from tensorboardX import SummaryWriter
        arguments = dict(arg[2:].split("=", 1) for arg in sys.argv[1:])
        with SummaryWriter(arguments["summary"]) as writer:
            for step in range(5):
                writer.add_scalar("loss", float(arguments["scale"]) / (1 + step), step)
                print("step", step)
    """
    trainer.body(program, "official")
    folder = "obs://bucket/official/summary"
    body = official.Job(
        kind="job",
        metadata=official.JobMetadata(name="official", description="by the client"),
        algorithm=official.JobAlgorithm(
            code_dir="obs://bucket/code/official/",
            boot_file="obs://bucket/code/official/train.py",
            engine=official.JobEngine(engine_name="Python"),
            parameters=[official.Parameter(name="scale", value="2")],
            outputs=[
                official.Output(
                    name="summary",
                    remote=official.Remote(obs=official.RemoteObs(obs_url=folder + "/")),
                )
            ],
            summary=official.Summary(
                log_type="tensorboard",
                log_dir=official.LogDir(pfs=official.PFSSummary(pfs_path=folder)),
            ),
        ),
        spec=official.Spec(resource=official.Resource(flavor_id="local", node_count=1)),
    )
    made = client.create_training_job(official.CreateTrainingJobRequest(body=body))
    job_id = made.metadata.id

    def details(job_id):
        request = official.ShowTrainingJobDetailsRequest(training_job_id=job_id)
        return client.show_training_job_details(request)

    wait_until(lambda: details(job_id).status.phase in ENDED)
    assert details(job_id).status.phase == "Completed"
    newest = official.ShowTrainingJobLogsPreviewRequest(training_job_id=job_id, task_id="worker-0")
    content = client.show_training_job_logs_preview(newest).content
    assert content.splitlines() == ["step %d" % step for step in range(5)]
    source = official.DataSource(job=official.JobSummary(job_id=job_id))
    summary = official.Summary(log_type="tensorboard", data_sources=[source])
    board = official.Job(
        kind="visualization_job",
        metadata=official.JobMetadata(name="board"),
        algorithm=official.JobAlgorithm(summary=summary),
    )
    shown = client.create_training_job(official.CreateTrainingJobRequest(body=board))
    wait_until(lambda: details(shown.metadata.id).status.phase == "Running")
    url = details(shown.metadata.id).endpoints.tensorboard.url
    tags = url + "data/plugin/scalars/tags"
    wait_until(lambda: requests.get(tags, timeout=30).json() != {})
    assert requests.get(tags, timeout=30).json() == {
        ".": {"loss": {"displayName": "loss", "description": ""}}
    }


def test_board_over_two_trainings_names_their_runs(trainer):
    program = """
        import os
        from tensorboardX import SummaryWriter
        with SummaryWriter(os.environ["MODELARTS_SUMMARY_DIR"]) as writer:
            writer.add_scalar("loss", 1.0, 1)
    """
    ids = []
    for name in ("first", "second"):
        summary = {"log_dir": {"pfs": {"pfs_path": "obs://bucket/summaries/%s" % name}}}
        ids.append(trainer.create(program, name, {"summary": summary}))
    with trainer.service.session(api="v2") as session:
        board = VisualizationJob.ensure(training_jobs=ids, session=session).wait()
        again = VisualizationJob.ensure(training_jobs=ids, session=session)
        assert again.job_id == board.job_id
        for job_id in ids:
            trainer.wait(job_id)
        runs = board.service_url + "data/runs"
        # TensorBoard lists them by their first event; either training may have begun first.
        wait_until(lambda: sorted(requests.get(runs, timeout=30).json()) == ["first", "second"])


def test_board_over_a_folder_is_not_of_its_trainings(trainer):
    """It also shows runs that no training has written."""
    summary = {"log_dir": {"pfs": {"pfs_path": "obs://bucket/whole/first/"}}}
    trainer.wait(trainer.create("print(1)", "whole", {"summary": summary}))
    with trainer.service.session(api="v2") as session:
        job = VisualizationJob.create("/bucket/whole/", session=session, check=False)
        assert (job.train_url, job.raw["sources"]) == ("/bucket/whole/", ())
        job.delete()


@pytest.mark.parametrize(
    ("program", "phase", "reason"),
    [
        ("print('x' * 10)", "Completed", ""),
        ("raise SystemExit(3)", "Failed", "its exit code was 3"),
        (
            "import os; os.kill(os.getpid(), 9)",
            "Failed",
            "it was killed by signal 9, as Linux does when memory runs out",
        ),
        ("syntax error", "Failed", "its exit code was 1"),
        ("import os; os.close(1); os.close(2)", "Completed", ""),
        ("import os, shutil; shutil.rmtree(os.getcwd())", "Completed", ""),
        ("import os, shutil; shutil.rmtree(os.environ['MA_HOME'])", "Completed", ""),
    ],
)
def test_end_of_a_training_is_its_phase(trainer, program, phase, reason):
    job_id = trainer.create(program, "ends")
    status = trainer.wait(job_id)["status"]
    assert (status["phase"], status["task_statuses"][0]["message"]) == (phase, reason)


@pytest.mark.parametrize("number", [1, 2])
def test_what_a_training_leaves_running_is_ended(trainer, number):
    """A process in another session, and one that ignores SIGTERM, end with the training."""
    mark = "left-behind-%d-%d" % (os.getpid(), number)
    program = """
        import os, subprocess, sys, time
        program = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
        for new_session in (True, False):
            subprocess.Popen([sys.executable, "-c", program, %r], start_new_session=new_session)
        print("started", flush=True)
        time.sleep(%d)
    """ % (mark, 600 if number == 1 else 0)
    job_id = trainer.create(program, "leaves")
    if number == 1:
        wait_until(lambda: "started" in trainer.log(job_id))
        assert trainer.processes(mark)
        trainer.terminate(job_id)
    assert trainer.wait(job_id)["status"]["phase"] == ("Terminated" if number == 1 else "Completed")
    assert trainer.processes(mark) == []


def bomb(counter, most):
    """Return a program that becomes so many processes, each in a session of its own."""
    return textwrap.dedent(
        """
        import os, time
        file = os.open(%r, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        while os.fstat(file).st_size < %d:
            os.write(file, b".")
            if os.fork() == 0:
                os.setsid()
        time.sleep(60)
        """
        % (str(counter), most)
    )


def test_too_many_processes_are_ended(tmp_path):
    """The limit of a training is 2000 processes; here it is 100."""
    program = tmp_path / "bomb.py"
    program.write_text(bomb(tmp_path / "count", 160))
    keeper = start_keeper(tmp_path, [sys.executable, "-S", str(program)], processes=100)
    assert keeper.communicate(b"go\n", timeout=60)[0] == b"ready\nstarted\n"
    ended = json.loads((tmp_path / "ended.json").read_text())
    assert ended["by"] == "processes"
    assert Trainer.processes(None, str(program)) == []
    assert Limits(memory=1).processes == 2000


@pytest.mark.extended
def test_fork_bomb_is_ended(tmp_path):
    """It stops by itself after 2600 processes, should the service not end it."""
    service = Service(tmp_path / "root")
    trainer = Trainer(service)
    with trainer.session:
        job_id = trainer.create(bomb(tmp_path / "count", 2600), "bomb")
        status = trainer.wait(job_id)["status"]
        assert status["phase"] == "Failed"
        # The kernel refuses more of them to other users than root, which ends the program itself.
        message = status["task_statuses"][0]["message"]
        assert "more than 2000 processes" in message or os.getuid() != 0
        assert trainer.processes("code/bomb/train.py") == []
    assert service.end() == 0


def test_memory_of_a_training_is_bounded(tmp_path):
    service = Service(tmp_path / "root", "--training-memory", "256")
    trainer = Trainer(service)
    with trainer.session:
        job_id = trainer.create("x = bytearray(400 * 2**20)", "greedy")
        assert trainer.wait(job_id)["status"]["phase"] == "Failed"
        assert "MemoryError" in trainer.log(job_id)
        program = """
            import os, time
            for number in range(4):
                if os.fork() == 0:
                    x = os.urandom(2**20) * 150
                    time.sleep(60)
            time.sleep(60)
        """
        job_id = trainer.create(program, "greedy-family")
        status = trainer.wait(job_id)["status"]
        assert status["phase"] == "Failed"
        assert "more memory than 256 MB" in status["task_statuses"][0]["message"]
    assert service.end() == 0


def test_trainings_wait_for_their_turn(tmp_path):
    service = Service(tmp_path / "root", "--max-trainings", "1")
    trainer = Trainer(service)
    gate = tmp_path / "gate"
    program = """
        import os, time
        while not os.path.exists(%r):
            time.sleep(0.01)
    """ % str(gate)
    with trainer.session:
        first, second, third = [trainer.create(program, "t%d" % n) for n in range(3)]
        trainer.wait(first, "Running")
        wait_until(lambda: trainer.phase(second) == trainer.phase(third) == "Pending")
        assert trainer.terminate(second)["status"]["phase"] == "Terminated"
        gate.touch()
        assert trainer.wait(first)["status"]["phase"] == "Completed"
        assert trainer.wait(third)["status"]["phase"] == "Completed"
        assert trainer.phase(second) == "Terminated"
        assert "The training waits for its turn." in trainer.events(third)
    assert service.end() == 0


def test_auto_stop_ends_a_training(tmp_path):
    service = Service(tmp_path / "root", "--test-clock")
    trainer = Trainer(service)
    hours = {"time_unit": "HOURS", "duration": 2}
    with trainer.session:
        job_id = trainer.create("import time; time.sleep(600)", "long", auto_stop=hours)
        trainer.wait(job_id, "Running")
        trainer.session.request("PUT", "/local/clock", body={"advance_seconds": 7100})
        assert trainer.phase(job_id) == "Running"
        trainer.session.request("PUT", "/local/clock", body={"advance_seconds": 200})
        status = trainer.wait(job_id)["status"]
        assert status["phase"] == "Terminated"
        assert status["task_statuses"][0]["message"] == "auto_stop after 2 hours"
    assert service.end() == 0


def test_delete_ends_a_running_training(trainer):
    mark = "to-delete-%d" % os.getpid()
    algorithm = {"parameters": [{"name": "mark", "value": mark}]}
    job_id = trainer.create("import time; time.sleep(600)", "deleted", algorithm)
    trainer.wait(job_id, "Running")
    trainer.call("DELETE", "training-jobs/" + job_id)
    with pytest.raises(NotFound):
        trainer.details(job_id)
    wait_until(lambda: trainer.processes(mark) == [])
    wait_until(lambda: not (trainer.service.root / "trainings" / job_id).exists())
    # Its name is free again.
    assert trainer.wait(trainer.create("pass", "deleted"))["status"]["phase"] == "Completed"


@pytest.mark.parametrize("kill", [True, False])
def test_service_finds_its_trainings_again(tmp_path, kill):
    """One that ran on, one that ended meanwhile, and one that waited."""
    gate = tmp_path / "gate"
    program = """
        import os, time
        print("begun", flush=True)
        while not os.path.exists(%r):
            time.sleep(0.01)
        print("ended")
    """
    root = tmp_path / "root"
    service = Service(root, "--max-trainings", "2")
    trainer = Trainer(service)
    with trainer.session:
        ran = trainer.create(program % str(gate), "ran")
        ended = trainer.create(program % str(tmp_path / "first-gate"), "ended")
        waits = trainer.create("print('waited')", "waits")
        for job_id in (ran, ended):
            wait_until(lambda job_id=job_id: trainer.log(job_id) == "begun\n")
    service.end(9 if kill else 15)
    (tmp_path / "first-gate").touch()
    record = root / "trainings" / ended / "ended.json"
    wait_until(record.exists)
    service = Service(root, "--max-trainings", "2")
    trainer = Trainer(service)
    with trainer.session:
        assert trainer.wait(ended)["status"]["phase"] == "Completed"
        assert trainer.log(ended) == "begun\nended\n"
        assert trainer.wait(waits)["status"]["phase"] == "Completed"
        assert trainer.phase(ran) == "Running"
        gate.touch()
        assert trainer.wait(ran)["status"]["phase"] == "Completed"
        assert trainer.log(ran) == "begun\nended\n"
    assert service.end() == 0


def test_deleted_training_is_ended_by_the_next_service(tmp_path):
    """A service that was killed after it had noted the deletion has not ended the training."""
    service = Service(tmp_path / "root")
    trainer = Trainer(service)
    program = "import time; time.sleep(600)"
    with trainer.session:
        job_id = trainer.create(program, "hidden")
        trainer.wait(job_id, "Running")
    state = service.root / "trainings" / job_id
    service.end(signal.SIGKILL)
    store = Store(SqliteDatabase(service.root / "jobs.sqlite"))
    TrainingStore(store).delete_later(job_id)
    store.close()
    keeper = psutil.Process(Machine().keeper(state))
    processes = [keeper, *keeper.children(recursive=True)]
    assert len(processes) == 2
    service = Service(service.root)
    wait_until(lambda: not state.exists())
    assert not any(map(_runs, processes))
    assert service.end() == 0


def _runs(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start_keeper(folder, command, **limits):
    """Start the keeper of a training with these limits; it waits for the word to go."""
    spec = {
        "command": command,
        "cwd": str(folder),
        "environ": {},
        "log": str(folder / "log"),
        "grace": 1.0,
        **{"memory": 2**30, "processes": 10**6, "files": 64, "log_size": 2**20, "disk": 0},
        **limits,
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    return subprocess.Popen(
        [sys.executable, "-I", "-S", keeper_module.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@pytest.mark.parametrize("go", [True, False])
def test_keeper_starts_nothing_after_its_service(tmp_path, go):
    """A service that was killed before it said so left a keeper that had not started yet."""
    mark = tmp_path / "mark"
    keeper = start_keeper(tmp_path, [sys.executable, "-c", "open(%r, 'a').close()" % str(mark)])
    output, _ = keeper.communicate(b"go\n" if go else b"", timeout=60)
    assert output == (b"ready\nstarted\n" if go else b"ready\n")
    assert mark.exists() is go
    assert (tmp_path / "started.json").exists() is go
    assert Machine().has_started(tmp_path) is go


def test_killed_keeper_leaves_nothing_running(trainer):
    mark = "without-keeper-%d" % os.getpid()
    program = (
        """
        import subprocess, sys, time
        command = [sys.executable, "-c", "import time; time.sleep(600)", %r]
        subprocess.Popen(command, start_new_session=True)
        print("started", flush=True)
        time.sleep(600)
    """
        % mark
    )
    job_id = trainer.create(program, "unkept")
    wait_until(lambda: "started" in trainer.log(job_id))
    keeper = int((trainer.service.root / "trainings" / job_id / "lock").read_text())
    os.kill(keeper, 9)
    status = trainer.wait(job_id)["status"]
    assert (status["phase"], "was killed" in status["task_statuses"][0]["message"]) == (
        "Abnormal",
        True,
    )
    wait_until(lambda: trainer.processes(mark) == [])


def test_stopped_keeper_goes_on(trainer):
    """It keeps the limits, so it does not stay stopped; and one that is to end does."""
    program = "import time; print('started', flush=True); time.sleep(600)"
    job_id = trainer.create(program, "stopped")
    wait_until(lambda: "started" in trainer.log(job_id))
    folder = trainer.service.root / "trainings" / job_id
    keeper = psutil.Process(int((folder / "lock").read_text()))
    (training,) = keeper.children()
    assert Path("/proc/%d/oom_score_adj" % training.pid).read_text() == "500\n"
    keeper.suspend()
    wait_until(lambda: keeper.status() == psutil.STATUS_STOPPED)
    Machine().usage(folder)
    wait_until(lambda: keeper.status() != psutil.STATUS_STOPPED, 2)
    keeper.suspend()
    trainer.terminate(job_id)
    assert trainer.wait(job_id)["status"]["phase"] == "Terminated"


def test_stopped_training_is_deleted(trainer):
    program = "import time; print('started', flush=True); time.sleep(600)"
    job_id = trainer.create(program, "suspended")
    wait_until(lambda: "started" in trainer.log(job_id))
    keeper = (trainer.service.root / "trainings" / job_id / "lock").read_text()
    (training,) = psutil.Process(int(keeper)).children()
    training.suspend()
    trainer.call("DELETE", "training-jobs/" + job_id)
    wait_until(lambda: not training.is_running(), 8)  # not only after the grace period


def test_log_link_reads_parts_without_a_signature(trainer):
    job_id = trainer.create("print('0123456789')", "linked")
    trainer.wait(job_id)
    for path in ("training-jobs/%s/tasks/worker-0/logs/url", "training-jobs/%s/logs/worker-0"):
        link = trainer.call("GET", path % job_id)["obs_url"]
        part = requests.get(link, headers={"Range": "bytes=3-5"}, timeout=30)
        assert (part.status_code, part.content) == (206, b"345")
        assert requests.get(link, timeout=30).content == b"0123456789\n"
        wrong = requests.get(link[:-1] + ("A" if link[-1] != "A" else "B"), timeout=30)
        assert wrong.status_code == 403
        assert link.rpartition("/")[2] not in (trainer.service.root / "service.log").read_text()


@pytest.mark.parametrize(
    ("change", "message", "solution"),
    [
        ({"boot_file": "obs://bucket/other/train.py"}, "is not in the code folder", "train.py"),
        ({"boot_file": "../train.py"}, "is not in the code folder", "train.py"),
        ({"boot_file": "none.py"}, "There is no boot file none.py", "boot_file"),
        ({"code_dir": "obs://missing/code/"}, "not in the code folder", "missing"),
        (
            {"code_dir": "obs://missing/code/", "boot_file": "train.py"},
            "a bucket that does not exist",
            "Create the bucket missing",
        ),
        ({"engine": {"engine_name": "PyTorch"}}, "The engine 'PyTorch' is unknown", "--engine"),
        ({"engine": {"image_url": "a/b:c"}}, "runs no container images", "training-job-engines"),
        ({"id": "x"}, "manages no algorithms", "code_dir"),
        ({"parameters": [{"name": "a", "value": None}]}, "is no text", "Give a text"),
        (
            {"inputs": [{"name": "d", "remote": {"obs": {"obs_url": "/bucket/none/"}}}]},
            "The input d, /bucket/none/, does not exist",
            "correct",
        ),
        (
            {
                "outputs": [
                    {"name": "o", "remote": {"obs": {"obs_url": "/bucket/o%d/" % number}}}
                    for number in range(2)
                ]
            },
            "Two outputs have the name o",
            "a name of its own",
        ),
        (
            {"outputs": [{"name": "o", "remote": {"obs": {"obs_url": "/missing/o/"}}}]},
            "a bucket that does not exist",
            "Create the bucket missing",
        ),
        ({"environments": {"a b": "c"}}, "no name of a variable", "letters"),
        ({"local_code_dir": "/etc"}, "local_code_dir is '/etc'", "/home/"),
        ({"summary": {"log_type": "tensorboard"}}, "has no log_dir", "summary"),
    ],
)
def test_wrong_definition_is_refused_at_once(trainer, change, message, solution):
    with pytest.raises(BadRequest) as caught:
        trainer.create("pass", "wrong", change)
    answer = json.loads(caught.value.body)
    assert message in answer["error_msg"]
    assert solution in answer["error_solution"] + answer["error_msg"]
    assert trainer.call("POST", "training-job-searches", {})["total"] == 0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"resource": {"flavor_id": "modelarts.vm.cpu.2u"}}, "'modelarts.vm.cpu.2u' is unknown"),
        ({"resource": {"node_count": 2}}, "one node"),
        ({"resource": {"pool_id": "p"}}, "no resource pools"),
        ({"volumes": [{"nfs": {"nfs_server_path": "a:/b"}}]}, "mounts no volumes"),
        ({"auto_stop": {"duration": 0}}, "auto_stop.duration is 0"),
        ({"log_export_path": {"obs_url": "/missing/"}}, "a bucket that does not exist"),
    ],
)
def test_wrong_spec_is_refused_at_once(trainer, spec, message):
    with pytest.raises(BadRequest, match=message):
        trainer.create("pass", "wrong", **spec)


def test_taken_name_is_refused(trainer):
    trainer.create("pass", "taken")
    with pytest.raises(BadRequest, match="The name taken is taken"):
        trainer.create("pass", "taken")


def test_owner_names_engines_and_flavors(tmp_path):
    service = Service(
        tmp_path / "root",
        *("--engine", "PyTorch=" + sys.executable, "--flavor", "modelarts.vm.cpu.2u"),
    )
    trainer = Trainer(service)
    algorithm = {"engine": {"engine_name": "PyTorch", "engine_version": "PyTorch-1.4.0-python3.6"}}
    resource = {"flavor_id": "modelarts.vm.cpu.2u", "node_count": 1}
    with trainer.session:
        job_id = trainer.create("print('ran')", "named", algorithm, resource=resource)
        shown = trainer.wait(job_id)
        assert shown["status"]["phase"] == "Completed"
        assert shown["spec"]["resource"]["flavor_id"] == "modelarts.vm.cpu.2u"
    assert service.end() == 0


def test_service_of_several_users_runs_no_trainings(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    edit(prepare(root), lambda users: users.with_user("other"))
    service = Service(root)
    trainer = Trainer(service)
    with trainer.session, pytest.raises(BadRequest, match="several users"):
        trainer.create("pass", "shared")
    assert service.end() == 0


def test_trainings_of_another_project_are_no_source(tmp_path):
    """The second user knows the id of a training of the first, and has no board of it."""
    root = tmp_path / "root"
    service = Service(root)
    trainer = Trainer(service)
    summary = {"log_type": "tensorboard", "log_dir": {"pfs": {"pfs_path": "/bucket/summary/"}}}
    with trainer.session:
        job_id = trainer.create("pass", "first", {"summary": summary})
        trainer.wait(job_id)
    key = edit(root / "users.json", lambda users: users.with_user("ann")).by_name["ann"].key
    body = {
        "kind": "visualization_job",
        "metadata": {"name": "stolen"},
        "algorithm": {"summary": {"data_sources": [{"job": {"job_id": job_id}}]}},
        "spec": {"resource": {"node_count": 1}},
    }
    keys = {"access_key": key.access_key, "secret_key": key.secret_key}
    with Session(**keys, region_name="local-1", **service.endpoints()) as ann:
        path = "/v2/%s/training-job" % ann.project_id
        with pytest.raises(NotFound):
            ann.request("POST", path + "s", body=body)
        for rest in ("", "/tasks/worker-0/logs/preview", "/tasks/worker-0/logs/url", "/events"):
            with pytest.raises(NotFound):
                ann.request("GET", "%ss/%s%s" % (path, job_id, rest))
        assert ann.request("POST", path + "-searches", body={})["items"] == []
    assert service.end() == 0


def test_training_sees_no_keys(trainer):
    """Neither the keys of the service nor those of its user are in the environment."""
    job_id = trainer.create("import os; print(dict(os.environ))", "keys")
    trainer.wait(job_id)
    found = trainer.service.connection
    log = trainer.log(job_id)
    assert "MODELARTS_OBS_ENDPOINT" in log
    for name in ("access_key", "secret_key"):
        assert found[name] not in log


def test_secrets_of_a_training_stay_out_of_sight(trainer):
    """Its variables are in no argument, log, event and page; what it writes is no HTML there."""
    address, script = (
        "https://ann:hidden-word@index.example.com/simple",
        "<script>alert(1)</script>",
    )
    program = "print('<script>alert(1)</script>', flush=True); import time; time.sleep(600)"
    job_id = trainer.create(
        program,
        "secret",
        {
            "environments": {"PIP_INDEX_URL": address},
            "parameters": [{"name": "text", "value": script}],
        },
    )
    wait_until(lambda: "script" in trainer.log(job_id))
    keeper = (trainer.service.root / "trainings" / job_id / "lock").read_text()
    for pid in descendants(int(keeper)):
        assert "hidden-word" not in Path("/proc/%d/cmdline" % pid).read_text()
    browser = Browser(trainer.service)
    browser.open(link_of(trainer.service))
    page = browser.page("trainings/" + job_id).text
    browser.close()
    assert "PIP_INDEX_URL" in page
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert") == 2
    shown = [page, *trainer.events(job_id), *filter(None, trainer.service.log)]
    assert not [text for text in shown if "hidden-word" in text]
    assert os.stat(str(trainer.service.root / "trainings" / job_id)).st_mode & 0o077 == 0


def test_metrics_tell_of_processors_and_memory(trainer):
    program = """
        import time
        while True:
            busy = time.process_time() + 0.01
            while time.process_time() < busy:
                pass
            time.sleep(0.03)
    """
    job_id = trainer.create(program, "busy")
    path = "training-jobs/%s/metrics/worker-0" % job_id

    def value(name):
        metrics = trainer.call("GET", path)["metrics"]
        values = next(metric["value"] for metric in metrics if metric["metric"] == name)
        return values[0] if values else 0

    # Two samples make the first mean; a quarter of one processor is used.
    least = 5 / os.cpu_count()
    wait_until(lambda: value("cpuUsage") > least)
    assert 0 < value("memUsage") < 50
    assert value("gpuUtil") == -1
    trainer.terminate(job_id)
    trainer.wait(job_id)
    assert value("cpuUsage") > least


def test_unknown_training_is_not_found(trainer):
    for path in ("", "/events", "/tasks/worker-0/logs/preview", "/metrics/worker-0"):
        with pytest.raises(NotFound):
            trainer.call("GET", "training-jobs/11111111-1111-1111-1111-111111111111" + path)


def test_searches_tell_trainings_from_boards(trainer):
    job_id = trainer.create("pass", "training")
    VisualizationJob.create("/bucket/logs/", "board", session=trainer.session)

    def names(*values):
        filters = [{"key": "kind", "operator": "in", "value": list(values)}]
        found = trainer.call("POST", "training-job-searches", {"filters": filters, "order": "asc"})
        return [job["metadata"]["name"] for job in found["items"]]

    assert names("job") == ["training"]
    assert names("visualization_job") == ["board"]
    assert names("job", "visualization_job") == ["training", "board"]
    trainer.call("PUT", "training-jobs/" + job_id, {"description": "new"})
    assert trainer.details(job_id)["metadata"]["description"] == "new"


def test_folder_of_an_unknown_training_is_removed(tmp_path):
    """Left by a service that was killed while it deleted a training."""
    root = tmp_path / "root"
    folder = root / "trainings" / "11111111-1111-1111-1111-111111111111"
    folder.mkdir(parents=True)
    service = Service(root)
    assert not folder.exists()
    assert service.end() == 0


def test_code_of_links_is_copied_as_links(trainer):
    """A link out of the bucket is no way to have other files copied."""
    body = trainer.body("import os; print(os.path.islink('outside'))", "links")
    os.symlink("/etc", trainer.obs / "bucket" / "code" / "links" / "outside")
    job_id = trainer.call("POST", "training-jobs", body)["metadata"]["id"]
    trainer.wait(job_id)
    assert trainer.log(job_id) == "True\n"
    assert Path("/etc").is_dir()


def test_preview_is_the_end_of_a_log_in_whole_characters(tmp_path):
    """Some of several bytes, in which pieces of the file end, and some bytes that are no UTF-8."""
    log = tmp_path / "worker-0.log"
    for content in (b"", 'a€\n"\x00'.encode(), "x€".encode() * 1_500_000 + b"\xff\xe2\x82"):
        log.write_bytes(content)
        shown = preview(log).get_json(force=True)
        newest = content[-5 * 1024 * 1024 :]
        assert shown["content"] == newest.decode("utf-8", "replace")
        assert (shown["current_size"], shown["full_size"]) == (len(newest), len(content))
    log.unlink()
    assert preview(log).get_json(force=True) == {"content": "", "current_size": 0, "full_size": 0}
