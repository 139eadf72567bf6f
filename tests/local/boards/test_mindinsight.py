"""Jobs of type mindinsight: the real MindInsight over a summary that MindSpore wrote."""

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelarts.errors import BadRequest
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.boards import reaper
from modelarts.local.boards.mindinsight import MindInsight
from modelarts.local.boards.sandbox import MOST_FILES
from modelarts.local.identity.users_file import edit, prepare
from tests.local.boards.mindinsight import SUMMARY, ask, create, home_with_mindinsight
from tests.local.web import client
from tests.servers.service import Service
from tests.support.clocks import wait_until

pytestmark = pytest.mark.local


def start(folder):
    """Start a service of two users whose bucket has the summary, and whose home has MindInsight."""
    shutil.copytree(SUMMARY, folder / "root" / "obs" / "bucket" / "logs")
    edit(prepare(folder / "root"), lambda users: users.with_user("ann"))
    return Service(folder / "root", environ={"HOME": str(home_with_mindinsight(folder))})


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One service for the tests that do not end it."""
    service = start(tmp_path_factory.mktemp("mindinsight"))
    yield service
    assert service.end() == 0


@pytest.fixture
def running(service):
    """The service, and its one job, which runs MindInsight, anew where a test has ended it."""
    with service.session() as session:
        jobs = VisualizationJob.list(session)
        job = jobs[0] if jobs else create(session)
        if job.status in (JobStatus.FAILED, JobStatus.KILLED):
            job.restart()
        yield service, job.wait()


def board_of(service, job):
    """The process of the job's board, whatever boards it had before."""
    pattern = r"job %s: running, process (\d+)" % job.visualization_id

    def running():
        matches = [re.search(pattern, line) for line in list(service.log) if line]
        return {int(match.group(1)) for match in matches if match} & set(processes(service.root))

    wait_until(running)
    (pid,) = running()
    return pid


def processes(root):
    """All processes that work in a service's MindInsight folder."""
    folder = str(root / "mindinsight")
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.readlink("/proc/%s/cwd" % name).startswith(folder):
                    found.append(int(name))
            except OSError:  # it has ended, or is another user's
                pass
    return found


def wait_until_gone(pids):
    """Returns when all of them have ended."""
    wait_until(lambda: not any(map(_is_there, pids)))


def _is_there(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# The real one -----------------------------------------------------------------------------


@pytest.mark.extended
def test_what_mindspore_wrote_is_read_back_through_the_page(running):
    _, job = running
    page = client.get(job.service_url)
    assert (page.status_code, b"<title>MindInsight</title>" in page.content) == (200, True)
    (script,) = re.findall(rb'src="(static/js/app[^"]+)"', page.content)
    assert client.get(job.service_url + script.decode()).status_code == 200
    (run,) = ask(job, "train-jobs")["train_jobs"]
    assert run["train_id"] == "./run-1"
    asked = {"train_id": "./run-1", "tag": "loss/scalar"}
    curve = ask(job, "scalar/metadata", **asked)["metadatas"]
    assert [(one["step"], round(one["value"], 4)) for one in curve] == [
        (step, round(1 / step, 4)) for step in range(1, 11)
    ]


@pytest.mark.extended
def test_mindinsight_listens_on_no_port(running):
    """Its own command would, on one that every user of the machine can reach."""
    service, job = running
    board = board_of(service, job)
    listening = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as file:
            fields = [line.split() for line in file.readlines()[1:]]
        listening |= {one[9] for one in fields if one[3] == "0A"}
    ports = {pid: _sockets(pid) & listening for pid in processes(service.root)}
    assert [pid for pid, found in ports.items() if found] == [board]
    (workspace,) = (service.root / "mindinsight").iterdir()
    assert workspace.stat().st_mode & 0o777 == 0o700


def _sockets(pid):
    links = []
    for fd in Path("/proc/%d/fd" % pid).iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(os.readlink(str(fd)))
    return {link[8:-1] for link in links if link.startswith("socket:[")}


@pytest.mark.extended
def test_the_board_answers_nobody_but_its_service(running):
    service, job = running
    inodes = _sockets(board_of(service, job))
    with open("/proc/net/tcp") as table:
        fields = [line.split() for line in table.readlines()[1:]]
    (port,) = {
        int(one[1].split(":")[1], 16) for one in fields if one[3] == "0A" and one[9] in inodes
    }
    assert client.get("http://127.0.0.1:%d/" % port).status_code == 403


@pytest.mark.extended
def test_mindinsight_has_board_limits_and_appends_log(running):
    """Mindinsight has the limits of a board and appends to its log."""
    service, job = running
    pids = processes(service.root)
    assert len(pids) >= 4
    for pid in pids:
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[1] <= MOST_FILES
        assert resource.prlimit(pid, resource.RLIMIT_DATA)[1] <= 2048 * 1024**2
        assert resource.prlimit(pid, resource.RLIMIT_CORE)[1] == 0
    # The service cuts a log short that has grown too long.
    board = board_of(service, job)
    child = next(pid for pid in pids if b"gunicorn" in _command(pid) and pid != board)
    flags = re.search(r"flags:\s+(\d+)", Path("/proc/%d/fdinfo/2" % child).read_text()).group(1)
    assert int(flags, 8) & os.O_APPEND


@pytest.mark.extended
def test_mindinsight_ends_with_its_job_and_runs_again_on_restart(running):
    service, job = running
    pids = processes(service.root)
    assert len(pids) >= 4  # the board, the reaper, gunicorn and its worker
    job.stop().wait(until=JobStatus.KILLED)
    wait_until_gone(pids)
    job.restart().wait()
    assert client.get(job.service_url).status_code == 200


@pytest.mark.extended
def test_mindinsight_restarts_after_killed_service(tmp_path):
    """Mindinsight ends with a service that is killed and is there again."""
    service = start(tmp_path)
    with service.session() as session:
        job = create(session).wait()
    pids = processes(service.root)
    address = job.service_url
    service.end(signal.SIGKILL)
    wait_until_gone(pids)
    again = Service(service.root, environ={"HOME": str(service.root.parent / "home")})
    try:
        with again.session() as session:
            job = VisualizationJob.get(job.visualization_id, session).wait()
            assert job.service_url == address
            assert client.get(address).status_code == 200
            assert len(list((service.root / "mindinsight").iterdir())) == 1
    finally:
        assert again.end() == 0
    assert list((service.root / "mindinsight").iterdir()) == []


@pytest.mark.extended
@pytest.mark.parametrize("which", ["board", "reaper", "gunicorn"])
def test_killing_any_mindinsight_process_fails_the_job(running, which):
    service, job = running
    pids = sorted(processes(service.root))
    board = board_of(service, job)
    guard = next(pid for pid in pids if b"reaper" in _command(pid) and pid != board)
    child = next(pid for pid in pids if _parent(pid) == guard)
    os.kill({"board": board, "reaper": guard, "gunicorn": child}[which], signal.SIGKILL)
    service.said("job %s: failed: MindInsight's process %d " % (job.visualization_id, board))
    wait_until_gone(pids)
    assert job.refresh().status == JobStatus.FAILED
    assert "job-%s.log" % job.visualization_id in job.raw["reason"]


def _command(pid):
    return Path("/proc/%d/cmdline" % pid).read_bytes()


def _parent(pid):
    return int(Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[1])


# Where there is none ----------------------------------------------------------------------


def test_a_command_that_is_not_there_is_refused_at_create(tmp_path):
    service = Service(tmp_path / "root", "--mindinsight", str(tmp_path / "nothing"))
    try:
        with service.session() as session:
            with pytest.raises(BadRequest, match="nothing cannot be used: No such file") as caught:
                create(session)
            assert caught.value.error_code == "ModelArts.0104"
            assert VisualizationJob.list(session) == []
    finally:
        service.end()


def test_mindinsight_that_is_missing_is_refused_with_advice(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ValueError, match=r"python3 -m venv ~/.modelarts/mindinsight && "):
        MindInsight(None, tmp_path).check()


@pytest.mark.parametrize("place", ["home", "path", "option"])
def test_mindinsight_is_found(tmp_path, monkeypatch, place):
    """The option wins over the folder in the home, and that over PATH."""
    places = {name: tmp_path / name for name in ("home", "path", "option")}
    commands = {
        "home": places["home"] / ".modelarts" / "mindinsight" / "bin" / "mindinsight",
        "path": places["path"] / "mindinsight",
        "option": places["option"] / "mindinsight",
    }
    order = ["path", "home", "option"]
    for name in order[: order.index(place) + 1]:
        commands[name].parent.mkdir(parents=True)
        commands[name].write_text("#!/python/of/%s/python\n" % name)
        commands[name].chmod(0o755)
    monkeypatch.setenv("HOME", str(places["home"]))
    monkeypatch.setenv("PATH", str(places["path"]))
    option = str(commands["option"]) if place == "option" else None
    assert MindInsight(option, tmp_path).python() == "/python/of/%s/python" % place


def test_python_without_mindinsight_fails_the_job(tmp_path, monkeypatch):
    """A python without mindinsight fails the job with a reason."""
    monkeypatch.chdir(tmp_path)
    command = tmp_path / "mindinsight"
    broken = tmp_path / "broken" / "python"
    broken.parent.mkdir()
    broken.write_text('#!/bin/sh\necho "no module named mindinsight" >&2\nexit 1\n')
    broken.chmod(0o755)
    command.write_text("#!%s\n" % broken)
    service = Service(tmp_path / "root", "--mindinsight", command.name)
    try:
        with service.session() as session:
            job = create(session)
            service.said("job %s: failed: MindInsight did not start" % job.visualization_id)
            assert "see %s" % (tmp_path / "root/logs") in job.refresh().raw["reason"]
            log = tmp_path / "root" / "logs" / ("job-%s.log" % job.visualization_id)
            assert "no module named mindinsight" in log.read_text()
        assert processes(tmp_path / "root") == []
    finally:
        service.end()


# The reaper -----------------------------------------------------------------------------


def guarded(folder, program):
    return subprocess.Popen(
        [sys.executable, "-I", reaper.__file__, str(folder), sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


#: Says its own process and that of a child which ignores all that it can.
FAMILY = """
import os, signal, subprocess, sys
stubborn = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); input()"
child = subprocess.Popen([sys.executable, "-c", stubborn], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
child.stdout.readline()
print(os.getpid(), child.pid, flush=True)
"""


@pytest.mark.parametrize(("program", "close"), [(FAMILY + "child.wait()", True), (FAMILY, False)])
def test_all_ends_with_the_pipe_or_with_the_command(tmp_path, program, close):
    folder = tmp_path / "folder"
    folder.mkdir()
    with guarded(folder, program) as process:
        group = int(process.stdout.readline())
        pids = [int(word) for word in process.stderr.readline().split()]
        assert (len(pids), pids[0]) == (2, group)
        os.kill(process.pid, signal.SIGTERM)  # which also goes to it when a machine shuts down
        if close:
            process.stdin.close()
        assert process.wait(timeout=30) == 0
        wait_until_gone(pids)
    assert not folder.exists()
