"""Trainings of the V1 Estimator as processes of this machine."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from modelarts.errors import InvalidArgument
from modelarts.estimator import JOB_STATE, Estimator, JobStatus
from tests.servers.cloud import with_keys
from tests.support.clocks import wait_until

BOOT = """
import argparse, os, sys
parser = argparse.ArgumentParser()
for name in ("data_url", "train_url", "lr"):
    parser.add_argument("--" + name)
parser.add_argument("--num_gpus", type=int)
args = parser.parse_args()
print("arguments", *[each.partition("=")[0] for each in sys.argv[1:]])
print("lr", args.lr, "gpus", args.num_gpus, flush=True)
with open(os.path.join(args.data_url, "train.csv")) as f:
    rows = f.read().split()
os.makedirs(os.path.join(args.train_url, "model"))
with open(os.path.join(args.train_url, "model", "weights"), "w") as f:
    f.write("%d rows" % len(rows))
print("in", os.getcwd(), "with", sorted(os.listdir(".")), file=sys.stderr)
"""


@pytest.fixture
def bucket(tmp_path):
    """The folder of the bucket, with the code and the data of a training."""
    bucket = tmp_path / "obs" / "bucket"
    for name, content in (("src/boot.py", BOOT), ("src/part.py", ""), ("data/train.csv", "1\n2\n")):
        path = bucket / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return bucket


@pytest.fixture
def session(bucket):
    return with_keys(obs_endpoint=bucket.parent.as_uri())


def define(session, **changes):
    settings = {
        "train_instance_type": "local",
        "train_instance_count": 1,
        "code_dir": "/bucket/src/",
        "boot_file": "/bucket/src/boot.py",
        "output_path": "/bucket/output/",
        "log_url": "/bucket/log/",
        "hyperparameters": [{"label": "lr", "value": "0.1"}],
    }
    return Estimator(session, **{**settings, **changes})


def boot(bucket, program):
    """Another boot file."""
    (bucket / "src" / "boot.py").write_text("import os, signal, sys, time\n" + program)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"  # not reaped yet
    except OSError:
        return os.name != "posix" or not os.path.isdir("/proc/self")


def test_boot_file_gets_the_documented_arguments(bucket, session, capfd, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    job = define(session).fit(inputs="/bucket/data/", wait=True, job_name="here")
    lines = capfd.readouterr().out.splitlines()
    assert lines[:4] == [
        "JOBSTAT_INIT",
        "JOBSTAT_RUNNING",
        "arguments --data_url --lr --num_gpus --train_url",
        "lr 0.1 gpus 2",
    ]
    assert lines[4].endswith("with ['boot.py', 'part.py']")
    assert lines[5] == "JOBSTAT_COMPLETED"
    assert lines[6].startswith("Job name: here, duration: 00:00:")
    info = job.get_job_info()
    assert (info["status"], info["is_success"]) == (JobStatus.COMPLETED, True)
    assert (bucket / "output" / "model" / "weights").read_text() == "2 rows"
    assert (bucket / "log" / "job-here.0").read_text().startswith("arguments --data_url")
    assert not (bucket / "src" / "__pycache__").exists()


def test_folders_of_this_machine_are_used_in_place(bucket, session, capfd, tmp_path):
    here = tmp_path / "project"
    here.mkdir()
    (here / "train.py").write_text("print('at home')\n")
    estimator = define(session, code_dir=str(here), boot_file="train.py", output_path=None)
    job = estimator.fit(inputs=str(bucket / "data"), wait=True)
    assert "at home" in capfd.readouterr().out
    assert job.get_job_info()["data_url"] == str(bucket / "data")


def test_training_runs_in_the_background(bucket, session, capfd):
    boot(
        bucket,
        "print('one')\nwhile not os.path.exists(%r): time.sleep(0.01)\n" % str(bucket / "go"),
    )
    job = define(session).fit(inputs="/bucket/data/")
    wait_until(lambda: job.get_job_info()["status"] == 8)
    (bucket / "go").write_text("")
    wait_until(lambda: job.get_job_info()["status"] == 10)
    names = job.get_job_log_file_list()["log_file_list"]
    assert job.get_job_log(names[0])["content"] == "one\n"
    assert capfd.readouterr().out == ""
    found = Estimator(session, job_id=job.job_id, version_id=job.version_id)
    assert found.get_job_version_info()["version_count"] == 1
    assert found.delete_job() == {"is_success": True}
    assert found.get_job_info()["is_success"] is False


def test_failure_has_a_reason(bucket, session, capfd):
    boot(bucket, "sys.exit(3)\n")
    job = define(session).fit(inputs="/bucket/data/", wait=True)
    info = job.get_job_info()
    assert JOB_STATE[info["status"]] == "JOBSTAT_FAILED"
    assert info["reason"] == "the boot file ended with exit status 3"
    assert "exit status 3" in capfd.readouterr().out


def test_stop_ends_the_process_and_its_children(bucket, session):
    pids = bucket / "pids"
    boot(
        bucket,
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "child = os.fork()\n"
        "if child:\n"
        "    open(%r, 'w').write('%%d %%d ' %% (os.getpid(), child))\n"
        "time.sleep(600)\n" % str(pids),
    )
    job = define(session).fit(inputs="/bucket/data/")
    wait_until(lambda: pids.exists() and pids.read_text().endswith(" "))
    assert job.stop_job_version() == {"is_success": True}
    wait_until(lambda: job.get_job_info()["status"] == JobStatus.KILLED)
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda pid=pid: not is_alive(pid))
    refused = job.stop_job_version()
    assert refused["error_code"] == "ModelArts.0105"


def test_children_end_with_the_boot_file(bucket, session):
    pids = bucket / "pids"
    boot(
        bucket,
        "child = os.fork()\n"
        "if not child:\n"
        "    time.sleep(600)\n"
        "open(%r, 'w').write(str(child))\n" % str(pids),
    )
    job = define(session).fit(inputs="/bucket/data/", wait=True)
    assert job.get_job_info()["status"] == JobStatus.COMPLETED
    wait_until(lambda: not is_alive(int(pids.read_text())))


def test_interrupt_ends_the_training(bucket, session):
    pid = bucket / "pid"
    boot(bucket, "open(%r, 'w').write('%%d ' %% os.getpid())\ntime.sleep(600)\n" % str(pid))

    def interrupt():
        wait_until(lambda: pid.exists() and pid.read_text().endswith(" "))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        define(session).fit(inputs="/bucket/data/", wait=True)
    thread.join()
    assert time.monotonic() - began < 60
    wait_until(lambda: not is_alive(int(pid.read_text())))


def test_training_ends_with_a_killed_program(bucket, tmp_path):
    pid = bucket / "pid"
    boot(bucket, "open(%r, 'w').write('%%d ' %% os.getpid())\ntime.sleep(600)\n" % str(pid))
    script = (
        "from modelarts.estimator import Estimator\n"
        "from modelarts.session import Session\n"
        "session = Session(access_key='AK', secret_key='SK', project_id='p', region_name='r-1',\n"
        "                  obs_endpoint=%r)\n"
        "Estimator(session, train_instance_type='local', code_dir='/bucket/src/',\n"
        "          boot_file='/bucket/src/boot.py').fit(inputs='/bucket/data/')\n"
        % bucket.parent.as_uri()
    )
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    program = subprocess.Popen([sys.executable, "-c", script], env=environ)
    try:
        wait_until(lambda: pid.exists() and pid.read_text().endswith(" "))
        assert is_alive(int(pid.read_text()))
    finally:
        program.kill()
        program.wait()
    wait_until(lambda: not is_alive(int(pid.read_text())))


def test_moxing_is_there(bucket, session, capfd):
    boot(
        bucket,
        "import moxing as mox\n"
        "print(mox.file.list_directory('obs://bucket/data'))\n"
        "mox.file.write('s3://bucket/written', 'by moxing')\n",
    )
    define(session).fit(inputs="/bucket/data/", wait=True)
    assert "['train.csv']" in capfd.readouterr().out
    assert (bucket / "written").read_text() == "by moxing"


def test_missing_input_is_refused_at_once(bucket, session):
    with pytest.raises(InvalidArgument) as caught:
        define(session).fit(inputs="/bucket/none/")
    assert caught.value.argument == "inputs"


def test_missing_boot_file_is_refused_at_once(bucket, session):
    estimator = define(session, boot_file="/bucket/src/none.py")
    with pytest.raises(InvalidArgument) as caught:
        estimator.fit(inputs="/bucket/data/")
    assert caught.value.argument == "boot_file"


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"train_instance_count": 2}, "train_instance_count"),
        ({"code_dir": None, "boot_file": None, "user_image_url": "i"}, "train_instance_type"),
    ],
)
def test_other_than_one_script_is_refused(bucket, session, changes, argument):
    with pytest.raises(InvalidArgument) as caught:
        define(session, **changes).fit(inputs="/bucket/data/")
    assert caught.value.argument == argument


def test_versions_are_refused(bucket, session):
    with pytest.raises(InvalidArgument, match="one version"):
        define(session).create_job_version("local-1", "1", inputs="/bucket/data/")


def test_temporary_folders_are_removed(bucket, session, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    job = define(session).fit(inputs="/bucket/data/", wait=True)
    folders = [str(path) for path in (tmp_path / "tmp").iterdir()]
    assert [os.listdir(folder) for folder in folders] == [["job-%s.0" % job.job_name]]
    job.delete_job()
    assert os.listdir(str(tmp_path / "tmp")) == []


def test_program_ends_after_its_training(bucket, tmp_path):
    """A program that does not wait ends when its training has ended, with the output sent."""
    script = (
        "from modelarts.estimator import Estimator\n"
        "from modelarts.session import Session\n"
        "session = Session(access_key='AK', secret_key='SK', project_id='p', region_name='r-1',\n"
        "                  obs_endpoint=%r)\n"
        "Estimator(session, train_instance_type='local', code_dir='/bucket/src/',\n"
        "          boot_file='/bucket/src/boot.py', output_path='/bucket/output/',\n"
        "          ).fit(inputs='/bucket/data/')\n" % bucket.parent.as_uri()
    )
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environ = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run([sys.executable, "-c", script], env=environ, timeout=60)
    assert done.returncode == 0
    assert (bucket / "output" / "model" / "weights").exists()
    assert os.listdir(str(temporary)) == []
