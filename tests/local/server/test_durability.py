"""State of the local service through kills, full disks, damaged files and other versions."""

import ctypes
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

from modelarts.errors import ServerError
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.database import schema
from modelarts.local.database.sqlite import SqliteDatabase
from modelarts.local.jobs.store import Store
from tests.crashes.kills import kill_repeatedly, kill_under_trainings
from tests.servers.forkserver import run_forked
from tests.servers.service import Service

pytestmark = pytest.mark.local

URL = "/bucket/logs/"
_NO_OVERRIDE = 1
_DROP = 24


def _serve(root, before=None):
    if before is None:
        return run_forked("serve", "--root", str(root))
    return subprocess.run(
        [sys.executable, "-m", "modelarts", "serve", "--root", str(root)],
        capture_output=True,
        text=True,
        preexec_fn=before,
        timeout=120,
    )


def _one_sentence(done):
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("modelarts: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


# Kills ------------------------------------------------------------------------------------


KILLS = pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.extended)])


@KILLS
def test_random_kills_lose_nothing_acknowledged(tmp_path, kills):
    """``python -m benchmarks.kills 200`` does it 200 times."""
    seen = kill_repeatedly(tmp_path, kills, 1, is_forked=True)
    assert seen.wrong == []
    assert seen.acknowledged > 0


@pytest.mark.extended
def test_random_kills_lose_nothing_made_through_v2(tmp_path):
    """``python -m benchmarks.kills 200 --v2`` does it 200 times."""
    seen = kill_repeatedly(tmp_path, 2, 1, api="v2", is_forked=True)
    assert seen.wrong == []
    assert seen.acknowledged > 0


@KILLS
def test_kills_at_random_moments_leave_every_object_whole(tmp_path, kills):
    """``python -m benchmarks.kills 200 --objects`` does it 200 times."""
    seen = kill_repeatedly(tmp_path, kills, 1, objects=True, is_forked=True)
    assert seen.wrong == []
    assert seen.acknowledged > 0


@KILLS
def test_kills_leave_every_training_as_acknowledged(tmp_path, kills):
    """``python -m benchmarks.kills 200 --trainings`` does it 200 times."""
    seen = kill_under_trainings(tmp_path, kills, 1, is_forked=True)
    assert seen.wrong == []
    assert seen.acknowledged > 0


@pytest.mark.extended
def test_random_kills_lose_nothing_in_postgres(tmp_path, postgres):
    seen = kill_repeatedly(
        tmp_path, 2, 1, options=("--database", postgres.database()), is_forked=True
    )
    assert seen.wrong == []
    assert seen.acknowledged > 0


@pytest.mark.extended
def test_kills_leave_every_training_in_postgres(tmp_path, postgres):
    seen = kill_under_trainings(
        tmp_path, 2, 1, options=("--database", postgres.database()), is_forked=True
    )
    assert seen.wrong == []
    assert seen.acknowledged > 0


# Versions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "age"), [(99, "a newer"), (2, "an unreleased")])
def test_file_of_another_version_is_refused(tmp_path, version, age):
    path = tmp_path / "jobs.sqlite"
    Store(SqliteDatabase(path)).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = %d" % version)
    db.close()
    before = path.read_bytes()
    line = _one_sentence(_serve(tmp_path))
    text = "was written by %s version of modelarts (schema %d, known here: %d)"
    assert text % (age, version, schema.VERSION) in line
    assert path.read_bytes() == before


def test_creating_tables_fails_wholly(tmp_path, monkeypatch):
    path = tmp_path / "jobs.sqlite"
    monkeypatch.setattr(schema, "SCHEMA", schema.SCHEMA + "CREATE TABLE jobs (again);")
    with pytest.raises(sqlite3.OperationalError):
        Store(SqliteDatabase(path))
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone()[0] == 0
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == []
    db.close()
    monkeypatch.undo()
    store = Store(SqliteDatabase(path))
    assert store.any_active() is False
    store.close()


# Files that are damaged -------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder with five jobs that no service holds; the last changes are in SQLite's log."""
    root = tmp_path_factory.mktemp("killed")
    service = Service(root)
    with service.session() as session:
        for _ in range(5):
            VisualizationJob.create(URL, session=session).stop().wait(until=JobStatus.KILLED)
    service.end(signal.SIGKILL)
    assert (root / "jobs.sqlite-wal").stat().st_size > 10_000
    return root


@pytest.fixture
def kept(killed, tmp_path):
    """A copy of it for one test."""
    shutil.copytree(killed, tmp_path / "root", symlinks=True)
    return tmp_path / "root"


def _spoil(path, position, length=64):
    content = bytearray(path.read_bytes())
    start = int(position * len(content))
    content[start : start + length] = bytes(byte ^ 0x55 for byte in content[start : start + length])
    path.write_bytes(content)


def _contents(root):
    return {path.name: path.read_bytes() for path in root.glob("jobs.sqlite*")}


@pytest.mark.parametrize("position", [0.0, 0.3])
def test_damaged_database_log_is_reported_and_kept(kept, position):
    """A damaged log of the database is one sentence and is left as it was."""
    _spoil(kept / "jobs.sqlite-wal", position)
    before = _contents(kept)
    assert "jobs.sqlite-wal is damaged; it was left as it is" in _one_sentence(_serve(kept))
    assert _contents(kept) == before


def test_partial_change_is_ignored_and_kept_aside(kept):
    """A change that was written in part is as if never made and is kept aside."""
    log = kept / "jobs.sqlite-wal"
    os.truncate(log, log.stat().st_size)
    _spoil(log, (log.stat().st_size - 100) / log.stat().st_size)
    damaged = log.read_bytes()
    service = Service(kept)
    try:
        with service.session() as session:
            assert len(VisualizationJob.list(session)) == 5
        assert (kept / "jobs.sqlite-wal.damaged").read_bytes() == damaged
        service.said("the last change in .* is incomplete; the file was kept as")
    finally:
        service.end()


@pytest.mark.parametrize(
    ("position", "said"), [(0.0, "file is not a database"), (0.45, "is damaged")]
)
def test_damaged_database_is_reported_and_kept(tmp_path, position, said):
    """A damaged database is one sentence and is left as it was."""
    path = tmp_path / "jobs.sqlite"
    store = Store(SqliteDatabase(path))
    for number in range(300):
        store.keep_setting("name%d" % number, "value" * 100)
    store.close()
    _spoil(path, position, 8192)
    before = _contents(tmp_path)
    sentence = _one_sentence(_serve(tmp_path))
    assert said in sentence
    assert "it was left as it is" in sentence
    assert {name: _contents(tmp_path)[name] for name in before} == before


# Disks that are full, or cannot be written -------------------------------------------------


def _full(service, full=True):
    """No file of the service can grow beyond where it is, as on a disk that is full."""
    soft = 4096 if full else resource.RLIM_INFINITY
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))


def test_full_disk_is_an_error_until_there_is_room(own_service):
    """A full disk is an error with words and all is well once there is room."""
    with own_service.session(retries=0) as session:
        job = VisualizationJob.create(URL, session=session).wait()
        _full(own_service)
        path = "/v1/%s/visualization-jobs" % session.project_id
        body = {"job_name": "another", "train_url": URL}
        for call in (
            # Without the care of the SDK, which asks whether a create that fails was made.
            lambda: session.request("POST", path, body=body),
            job.stop,
            job.delete,
            lambda: job.update("new words"),
        ):
            with pytest.raises(ServerError, match="Nothing was changed") as caught:
                call()
            assert (caught.value.status_code, caught.value.error_code) == (500, "ModelArts.0010")
        # What needs no room works.
        assert job.refresh().status == JobStatus.RUNNING
        assert len(VisualizationJob.list(session)) == 1
        _full(own_service, False)
        assert job.stop().wait(until=JobStatus.KILLED).job_desc != "new words"
        assert VisualizationJob.create(URL, session=session).wait().status == JobStatus.RUNNING
        assert len(VisualizationJob.list(session)) == 2


def test_board_death_on_full_disk_fails_job_later(own_service):
    """A board that dies while the disk is full fails its job once there is room."""
    with own_service.session(retries=0) as session:
        job = VisualizationJob.create(URL, session=session).wait()
        _full(own_service)
        os.kill(own_service.board_pid(job), signal.SIGKILL)
        own_service.said(r"job %s: .* It is tried again" % job.visualization_id)
        _full(own_service, False)
        own_service.said(r"job %s: failed: " % job.visualization_id)
        assert job.refresh().status == JobStatus.FAILED
        assert job.restart().wait().status == JobStatus.RUNNING


def test_unwritable_root_is_reported_and_kept(kept):
    """A service that cannot write says so in one sentence and destroys nothing."""
    before = _contents(kept)

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    assert "cannot be served: " in _one_sentence(_serve(kept, full))
    service = Service(kept)
    try:
        with service.session() as session:
            assert len(VisualizationJob.list(session)) == 5
    finally:
        service.end()
    assert before["jobs.sqlite-wal"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    root = tmp_path / "root"
    Service(root).end()
    names = ("", "obs", "logs", "service.lock", "jobs.sqlite")
    modes = {name: (root / name).stat().st_mode for name in names}
    for name in names:
        (root / name).chmod(0o500)
    try:
        sentence = _one_sentence(_serve(root, _bound_by_permissions))
    finally:
        for name in names:
            (root / name).chmod(modes[name])
    assert "%s cannot be used: Permission denied" % (root / "service.lock") in sentence


def _bound_by_permissions():
    # The superuser as well: without this capability. Others have none to lose.
    ctypes.CDLL(None).prctl(_DROP, _NO_OVERRIDE, 0, 0, 0)


def test_a_folder_that_cannot_be_made_is_one_sentence():
    assert "/proc/modelarts cannot be made" in _one_sentence(_serve("/proc/modelarts"))
