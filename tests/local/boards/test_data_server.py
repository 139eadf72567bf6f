"""Boards whose event files TensorBoard's data server reads; both readers show the same."""

import os
import resource
import shutil
import signal
import socket
import subprocess

import numpy
import pytest
import requests
from tensorboardX import SummaryWriter

from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.boards import data_server
from modelarts.local.boards.confinement import Confinement
from modelarts.local.boards.sandbox import MOST_FILES
from modelarts.local.identity.users_file import edit
from modelarts.visualization.display.table import facts
from tests.servers.served import descendants
from tests.servers.service import SECRETS, Service
from tests.support.clocks import wait_until

pytestmark = pytest.mark.local

DATA_SERVER = "TensorBoard's data server"
PYTHON = "TensorBoard's Python reader"


@pytest.fixture(params=[PYTHON, DATA_SERVER])
def board(request, service, tmp_path):
    """A folder of logs that one of the readers is chosen for, and a function that shows it."""
    folder = service.root / "obs" / "readers" / tmp_path.name
    folder.mkdir(parents=True)
    if request.param == DATA_SERVER:
        _fill(folder)
    with service.session() as session:
        jobs = []

        def show():
            jobs.append(_show(session, folder))
            assert jobs[-1].raw["reader"] == request.param
            return jobs[-1]

        yield folder, show
        for job in jobs:
            job.delete()


def _show(session, folder):
    url = "/readers/%s/" % folder.name
    return VisualizationJob.create(url, session=session, check=False).wait().refresh()


def _fill(folder):
    """Make more runs than the Python reader is used for."""
    _write(folder / "filler-0", [(0, 0.0)])
    for number in range(1, data_server.MAX_RUNS + 1):
        shutil.copytree(str(folder / "filler-0"), str(folder / ("filler-%d" % number)))


def _write(run, points, suffix=""):
    with SummaryWriter(str(run), filename_suffix=suffix) as writer:
        for step, value in points:
            writer.add_scalar("loss", value, step)


def _get(job, path, **query):
    return requests.get(job.service_url + "data/" + path, params=query, timeout=30)


def _steps(job, run):
    """The steps of a curve, None where there is none."""
    answer = _get(job, "plugin/scalars/scalars", run=run, tag="loss")
    return [point[1] for point in answer.json()] if answer.status_code == 200 else None


def test_new_points_files_and_runs_appear(board):
    """A curve grows, goes on in a new file, steps back after a restart; a new run appears."""
    folder, show = board
    grows = SummaryWriter(str(folder / "grows"))
    grows.add_scalar("loss", 0.5, 0)
    grows.flush()
    for run in ("rotates", "restarts"):
        _write(folder / run, [(step, 0.5) for step in range(4)], ".1")
    job = show()
    wait_until(lambda: _steps(job, "restarts") == [0, 1, 2, 3])
    grows.add_scalar("loss", 0.25, 1)
    grows.close()
    _write(folder / "rotates", [(4, 0.25), (5, 0.125)], ".2")
    _write(folder / "restarts", [(2, 0.25)], ".2")
    _write(folder / "new", [(7, 0.25)])
    wait_until(lambda: _steps(job, "new") == [7])
    wait_until(lambda: _steps(job, "grows") == [0, 1])
    wait_until(lambda: _steps(job, "rotates") == [0, 1, 2, 3, 4, 5])
    wait_until(lambda: _steps(job, "restarts") in ([0, 1, 2, 3, 2], [0, 1, 2]))


def test_incomplete_record_is_shown_once_complete(board):
    folder, show = board
    _write(folder / "run", [(step, 0.5) for step in range(10)])
    (events,) = (folder / "run").iterdir()
    whole = events.read_bytes()
    events.write_bytes(whole[:-30])
    job = show()
    wait_until(lambda: _steps(job, "run") == list(range(9)))
    with open(str(events), "ab") as file:
        file.write(whole[-30:])
    wait_until(lambda: _steps(job, "run") == list(range(10)))


def test_damaged_file_hides_no_other_run(board):
    folder, show = board
    for run in ("good", "noise", "empty", "flipped"):
        _write(folder / run, [(step, 0.5) for step in range(10)])
    (noise,), (empty,), (flipped,) = (
        list((folder / run).iterdir()) for run in ("noise", "empty", "flipped")
    )
    noise.write_bytes(os.urandom(5000))
    empty.write_bytes(b"")
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 0xFF
    flipped.write_bytes(content)
    job = show()
    wait_until(lambda: _steps(job, "good") == list(range(10)))
    assert _steps(job, "noise") is None
    assert job.refresh().status == JobStatus.RUNNING


def test_both_readers_show_every_kind_of_data(service):
    few, many = (service.root / "obs" / "readers" / name for name in ("few", "many"))
    _write_every_kind(few / "run")
    shutil.copytree(str(few), str(many))
    _fill(many)
    shown = {}
    with service.session() as session:
        for folder in (few, many):
            job = _show(session, folder)
            wait_until(lambda job=job: _steps(job, "run") == [0, 1, 2])
            shown[job.raw["reader"]] = _everything(job)
            job.delete()
    assert set(shown) == {PYTHON, DATA_SERVER}
    enabled = {kind for kind, found in shown[PYTHON]["plugins"].items() if found["enabled"]}
    assert enabled >= {*TAGS, "custom_scalars", "hparams", "timeseries"}
    assert shown[PYTHON] == shown[DATA_SERVER]


TAGS = ("distributions", "histograms", "images", "mesh", "pr_curves", "scalars", "text")


def _write_every_kind(run):
    random = numpy.random.default_rng(0)
    with SummaryWriter(str(run)) as writer:
        for step in range(3):
            writer.add_scalar("loss", 0.5, step)
            writer.add_histogram("weights", random.normal(size=100), step)
            writer.add_image("image", random.random((3, 8, 8)), step)
            writer.add_text("text", "some **words**", step)
            writer.add_pr_curve("pr", random.integers(0, 2, 20), random.random(20), step)
            writer.add_mesh("mesh", random.random((1, 4, 3)), global_step=step)
        writer.add_custom_scalars({"group": {"chart": ["Multiline", ["loss"]]}})
        writer.add_hparams({"lr": 0.1}, {"accuracy": 0.9}, name="hparams")
        writer.add_embedding(random.random((5, 3)), metadata=list("abcde"), global_step=0)


def _everything(job):
    """The names of all data of the run, by plugin, and one answer of each."""
    found = {"plugins": _get(job, "plugins_listing").json()}
    del found["plugins"]["projector"]  # looks for its data in the background, after it was asked
    for kind in TAGS:
        tags = _get(job, "plugin/%s/tags" % kind).json()
        found[kind] = sorted(tags.get("run", {}))
    found["layout"] = _get(job, "plugin/custom_scalars/layout").json()
    found["projector"] = _get(job, "plugin/projector/info", run="run").json()
    found["text shown"] = _get(job, "plugin/text/text", run="run", tag="text/text_summary").json()
    found["curve"] = _get(job, "plugin/pr_curves/pr_curves", run="run", tag="pr").json()
    images = _get(job, "plugin/images/images", run="run", tag="image", sample=0).json()
    found["image"] = [
        requests.get(
            "%sdata/plugin/images/individualImage?%s" % (job.service_url, image["query"]),
            timeout=30,
        ).content
        for image in images
    ]
    hparams = requests.post(
        job.service_url + "data/plugin/hparams/experiment",
        json={"experimentName": "", "includeMetrics": True},
        timeout=30,
    )
    found["hparams"] = [info["name"] for info in hparams.json()["hparamInfos"]]
    return found


def test_small_logs_that_grow_get_the_data_server(service, tmp_path):
    folder = service.root / "obs" / "readers" / tmp_path.name
    _write(folder / "run", [(0, 0.5)])
    with service.session() as session:
        job = _show(session, folder)
        assert job.raw["reader"] == PYTHON
        assert "TensorBoard's Python reader" in facts(job)
        _fill(folder)
        wait_until(lambda: _get(job, "runs").ok and job.refresh().raw.get("reader") == DATA_SERVER)
        wait_until(lambda: _steps(job, "run") == [0])
        job.delete()


def test_too_many_files_are_left_to_the_python_reader(tmp_path, monkeypatch):
    """A data server would leave some of them out, and say nothing to whoever looks."""
    _fill(tmp_path)
    confinement = Confinement(str(tmp_path))
    assert data_server.suits(confinement)
    limit = data_server._OTHER_FILES + data_server.MAX_RUNS
    monkeypatch.setattr(data_server, "_max_files", lambda: limit)
    assert not data_server.suits(confinement)
    monkeypatch.setattr(data_server, "_max_files", lambda: limit + 1)
    assert data_server.suits(confinement)


def test_named_pipe_in_the_logs_is_left_to_the_python_reader(service, tmp_path):
    """The data server would wait for its writer, and show nothing that comes after it."""
    folder = service.root / "obs" / "readers" / tmp_path.name
    folder.mkdir(parents=True)
    _fill(folder)
    os.mkfifo(str(folder / "filler-1" / "events.out.tfevents.1"))
    with service.session() as session:
        job = _show(session, folder)
        assert job.raw["reader"] == PYTHON
        wait_until(lambda: len(_get(job, "runs").json()) == data_server.MAX_RUNS + 1)
        job.delete()


def test_shared_service_follows_no_link_with_a_data_server(tmp_path):
    """Event files of another user's bucket are linked to, as a file and as a folder."""
    service = Service(tmp_path / "root")
    users = edit(service.root / "users.json", lambda users: users.with_user("ann"))
    SECRETS.add(users.by_name["ann"].key.secret_key)
    buckets = service.root / "obs"
    _write(buckets / "other" / "secret", [(0, 0.5)])
    folder = buckets / "readers" / "logs"
    folder.mkdir(parents=True)
    _fill(folder)
    (events,) = (buckets / "other" / "secret").iterdir()
    (folder / "folder").symlink_to(buckets / "other" / "secret")
    (folder / "file").mkdir()
    (folder / "file" / events.name).symlink_to(events)
    with service.session() as session:
        job = _show(session, folder)
        assert job.raw["reader"] == DATA_SERVER
        wait_until(lambda: "filler-1" in _get(job, "plugin/scalars/tags").json())
        shown = _get(job, "plugin/scalars/tags").json()
        assert len(shown) == data_server.MAX_RUNS + 1
        for run in ("folder", "file"):
            assert not shown.get(run)
            assert not _steps(job, run)
    assert service.end() == 0


@pytest.mark.parametrize("options", [(), ("--unconfined-boards",)])
def test_data_server_does_not_walk_the_file_system(tmp_path, options):
    """A link to the root is not followed; without the kernel, the Python reader takes over."""
    service = Service(tmp_path / "root", *options)
    folder = service.root / "obs" / "readers" / "logs"
    folder.mkdir(parents=True)
    _fill(folder)
    _write(tmp_path / "elsewhere" / "run", [(0, 0.5)])
    (folder / "elsewhere").symlink_to(tmp_path / "elsewhere")
    with service.session() as session:
        job = _show(session, folder)
        assert job.raw["reader"] == DATA_SERVER
        wait_until(lambda: _steps(job, "elsewhere/run") == [0])
        (folder / "everything").symlink_to("/")
        expected = PYTHON if options else DATA_SERVER
        wait_until(lambda: _get(job, "runs").ok and job.refresh().raw.get("reader") == expected)
        wait_until(lambda: "filler-1" in _get(job, "runs").json())
        assert not [run for run in _get(job, "runs").json() if run.startswith("everything")]
        job.delete()
    assert service.end() == 0


# Its process ------------------------------------------------------------------------------


@pytest.fixture
def filled(tmp_path):
    """A service of its own, with a board that has a data server, and both processes."""
    service = Service(tmp_path / "root", environ={"http_proxy": "http://127.0.0.1:9"})
    folder = service.root / "obs" / "readers" / "logs"
    folder.mkdir(parents=True)
    _fill(folder)
    with service.session() as session:
        job = _show(session, folder)
        board = service.board_pid(job)
        _, reader = descendants(board)
        yield service, job, board, reader
    service.end()


def test_data_server_ends_with_its_board(filled):
    """Also one that is stopped, and so does not notice by itself."""
    service, job, board, reader = filled
    os.kill(reader, signal.SIGSTOP)
    os.kill(board, signal.SIGKILL)
    wait_until(lambda: job.refresh().status == JobStatus.FAILED)
    wait_until(lambda: not _running(reader))
    job.restart().wait()
    _, reader = descendants(service.board_pid(job, 2))
    job.stop().wait(until=[JobStatus.KILLED])
    wait_until(lambda: not _running(reader))


def test_data_server_ends_with_its_service(filled):
    """Until then it may open more files than its board, as it keeps each event file open."""
    service, _, board, reader = filled
    hard = resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE)[1]
    assert resource.prlimit(reader, resource.RLIMIT_NOFILE)[0] == hard
    assert resource.prlimit(board, resource.RLIMIT_NOFILE)[1] <= MOST_FILES
    service.end(signal.SIGKILL)
    wait_until(lambda: not _running(board) and not _running(reader))


def test_end_of_the_data_server_fails_the_job(filled):
    _, job, board, reader = filled
    os.kill(reader, signal.SIGKILL)
    wait_until(lambda: job.refresh().status == JobStatus.FAILED)
    assert "data server was killed by signal 9" in job.raw["reason"]
    wait_until(lambda: not _running(board))
    assert job.restart().wait().refresh().raw["reader"] == DATA_SERVER


def test_other_processes_cannot_reach_the_data_server(filled):
    """They are in another network namespace; the board itself does not go through a proxy."""
    service, job, board, reader = filled
    assert len(_get(job, "runs").json()) == data_server.MAX_RUNS + 1
    if subprocess.run(["unshare", "-rn", "true"], stderr=subprocess.DEVNULL).returncode:
        log = (service.root / "logs" / ("job-%s.log" % job.visualization_id)).read_text()
        assert "other users of this machine can ask the data server" in log
        return  # this kernel has no namespaces for its users
    assert os.readlink("/proc/%d/ns/net" % board) == os.readlink("/proc/%d/ns/net" % reader)
    assert os.readlink("/proc/%d/ns/net" % board) != os.readlink("/proc/self/ns/net")
    with open("/proc/%d/net/tcp" % reader) as file:
        listening = [line.split() for line in file if line.split()[3] == "0A"]
    ports = [int(fields[1].split(":")[1], 16) for fields in listening]
    assert len(ports) == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports[0])).close()


def test_board_without_a_working_data_server_reads_by_itself(tmp_path):
    broken = tmp_path / "server"
    broken.write_text("#!/bin/sh\necho 'GLIBC_2.99 not found' >&2\nexit 1\n")
    broken.chmod(0o700)
    environ = {"TENSORBOARD_DATA_SERVER_BINARY": str(broken)}
    service = Service(tmp_path / "root", environ=environ)
    folder = service.root / "obs" / "readers" / "logs"
    folder.mkdir(parents=True)
    _fill(folder)
    with service.session() as session:
        job = _show(session, folder)
        assert job.raw["reader"] == PYTHON
        wait_until(lambda: len(_get(job, "runs").json()) == data_server.MAX_RUNS + 1)
    log = (service.root / "logs" / ("job-%s.log" % job.visualization_id)).read_text()
    assert "did not start" in log
    assert service.end() == 0


def _running(pid):
    """A process and its descendants, as far as they run."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                return []
    except (FileNotFoundError, ProcessLookupError):
        return []
    return descendants(pid)
