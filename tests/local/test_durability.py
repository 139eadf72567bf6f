"""What the local service keeps: through kills, full disks, damaged files and older versions."""

import ctypes
import os
import resource
import signal
import sqlite3
import subprocess
import sys

import pytest

from benchmarks.kills import kill_repeatedly
from modelarts.errors import ServerError
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.jobs import schema
from modelarts.local.jobs.store import Store
from tests.service import Service

pytestmark = pytest.mark.local

URL = "/bucket/logs/"
#: As the first release wrote it. Never to be changed.
FIRST = """
CREATE TABLE jobs (
    job_id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    job_name TEXT NOT NULL,
    job_desc TEXT NOT NULL,
    train_url TEXT NOT NULL,
    job_type TEXT NOT NULL,
    flavor TEXT,
    schedule_hours INTEGER,
    status INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    run INTEGER NOT NULL DEFAULT 1,
    ran_ms INTEGER NOT NULL DEFAULT 0,
    running_since INTEGER,
    stop_at INTEGER,
    page_key TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    reason TEXT
);
CREATE INDEX jobs_of_project ON jobs (project_id, workspace_id);
CREATE INDEX jobs_by_status ON jobs (status);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO settings VALUES ('port', '0');
PRAGMA user_version = 1;
"""
_ROW = (
    "INSERT INTO jobs (project_id, workspace_id, job_name, job_desc, train_url, job_type, status,"
    " create_time, ran_ms, running_since, stop_at, schedule_hours, page_key, resource_id)"
    " VALUES (?, '0', ?, '', '/bucket/logs/', 'tensorboard', ?, ?, ?, ?, ?, ?, ?, 'r')"
)
_NO_OVERRIDE = 1
_DROP = 24


def _serve(root, before=None):
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


def _first_version(path, project="p"):
    db = sqlite3.connect(path)
    db.executescript(FIRST)
    now = schema.wall_ms()
    rows = [
        (project, "ran", int(JobStatus.KILLED), now - 9000, 5000, None, None, None, "a" * 32),
        (project, "runs", int(JobStatus.RUNNING), now, 1000, now - 60_000, None, None, "b" * 32),
        (project, "due", int(JobStatus.RUNNING), now, 0, now - 60_000, now - 1, 1, "c" * 32),
    ]
    db.executemany(_ROW, rows)
    db.commit()
    db.close()


# Kills ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1])
def test_kills_at_random_moments_lose_nothing_that_was_acknowledged(tmp_path, seed):
    """``python -m benchmarks.kills 200`` does it 200 times."""
    seen = kill_repeatedly(tmp_path, 12, seed)
    assert seen.wrong == []
    assert seen.acknowledged > 12


@pytest.mark.parametrize("seed", [1])
def test_kills_at_random_moments_leave_every_object_whole(tmp_path, seed):
    """``python -m benchmarks.kills 200 --objects`` does it 200 times."""
    seen = kill_repeatedly(tmp_path, 8, seed, objects=True)
    assert seen.wrong == []
    assert seen.acknowledged > 8


# Versions ---------------------------------------------------------------------------------


def test_a_folder_of_the_first_version_is_served_with_all_of_its_jobs(tmp_path):
    service = Service(tmp_path)
    project = service.connection["project_id"]
    service.end()
    for left in tmp_path.glob("jobs.sqlite*"):
        left.unlink()
    _first_version(tmp_path / "jobs.sqlite", project)
    service = Service(tmp_path)
    try:
        with service.session() as session:
            ran, runs, due = VisualizationJob.list(session)
            assert (ran.job_name, ran.status, ran.raw["duration"]) == ("ran", 12, 5000)
            assert "b" * 32 in runs.wait().service_url
            # It goes on from what was told last.
            assert 61_000 <= runs.raw["duration"] < 180_000
            assert due.wait(until=JobStatus.KILLED).raw["duration"] >= 60_000
    finally:
        service.end()


def test_a_migration_that_fails_half_way_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "jobs.sqlite"
    _first_version(path)
    db = sqlite3.connect(path)
    # After the new column, in the middle of the second step.
    db.execute("CREATE TRIGGER no BEFORE UPDATE ON jobs BEGIN SELECT raise(ABORT, 'no'); END")
    db.commit()
    before = list(db.iterdump())
    db.close()
    with pytest.raises(sqlite3.IntegrityError):
        Store(path)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone()[0] == 1
    assert list(db.iterdump()) == before
    db.execute("DROP TRIGGER no")
    db.close()
    store = Store(path)
    assert store.get(1).asleep == 0
    store.close()


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "jobs.sqlite"
    _first_version(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    said = _one_sentence(_serve(tmp_path))
    assert "was written by a newer version of modelarts (schema 99, known here: 2)" in said
    assert path.read_bytes() == before


# Files that are damaged -------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path):
    """A folder with five jobs that no service holds; the last changes are in SQLite's log."""
    service = Service(tmp_path)
    with service.session() as session:
        for _ in range(5):
            VisualizationJob.create(URL, session=session).stop().wait(until=JobStatus.KILLED)
    service.end(signal.SIGKILL)
    assert (tmp_path / "jobs.sqlite-wal").stat().st_size > 10_000
    return tmp_path


def _spoil(path, position, length=64):
    content = bytearray(path.read_bytes())
    start = int(position * len(content))
    content[start : start + length] = bytes(byte ^ 0x55 for byte in content[start : start + length])
    path.write_bytes(content)


def _contents(root):
    return {path.name: path.read_bytes() for path in root.glob("jobs.sqlite*")}


@pytest.mark.parametrize("position", [0.0, 0.3])
def test_a_damaged_log_of_the_database_is_one_sentence_and_is_left_as_it_was(kept, position):
    _spoil(kept / "jobs.sqlite-wal", position)
    before = _contents(kept)
    assert "jobs.sqlite-wal is damaged; it was left as it is" in _one_sentence(_serve(kept))
    assert _contents(kept) == before


def test_a_change_that_was_written_in_part_is_as_if_never_made_and_is_kept_aside(kept):
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
def test_a_damaged_database_is_one_sentence_and_is_left_as_it_was(tmp_path, position, said):
    path = tmp_path / "jobs.sqlite"
    store = Store(path)
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


def test_a_full_disk_is_an_error_with_words_and_all_is_well_once_there_is_room(own_service):
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


def test_a_board_that_dies_while_the_disk_is_full_fails_its_job_once_there_is_room(own_service):
    with own_service.session(retries=0) as session:
        job = VisualizationJob.create(URL, session=session).wait()
        _full(own_service)
        os.kill(own_service.board_pid(job), signal.SIGKILL)
        own_service.said(r"job %s: .* It is tried again" % job.visualization_id)
        _full(own_service, False)
        own_service.said(r"job %s: failed: " % job.visualization_id)
        assert job.refresh().status == JobStatus.FAILED
        assert job.restart().wait().status == JobStatus.RUNNING


def test_a_service_that_cannot_write_says_so_in_one_sentence_and_destroys_nothing(kept):
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
