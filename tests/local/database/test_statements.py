"""The SQL statements of a create: on PostgreSQL each is a round trip, with all others waiting."""

import os
import re

import pytest

from tests.servers.service import Service

pytestmark = pytest.mark.local

#: What the service runs first: each statement goes to a file, after the name of its thread.
TRACE = """
import os, sqlite3, threading

def connect(*arguments, **settings):
    database = open_database(*arguments, **settings)
    database.set_trace_callback(trace)
    return database

def trace(statement):
    log.write("%s: %s\\n" % (threading.current_thread().name, " ".join(statement.split())))

log = open(os.environ["TRACED_STATEMENTS"], "a", buffering=1)
open_database, sqlite3.connect = sqlite3.connect, connect
"""
FOLDER = {"pfs": {"pfs_path": "/bucket/logs/"}}
CREATES = {
    "v1": {"job_name": "board", "train_url": "/bucket/logs/"},
    "v2": {
        "kind": "visualization_job",
        "metadata": {"name": "board"},
        "algorithm": {"summary": {"log_type": "tensorboard", "log_dir": FOLDER}},
    },
    "training": {
        "kind": "job",
        "metadata": {"name": "training"},
        "algorithm": {"code_dir": "/bucket/code/", "boot_file": "/bucket/code/train.py"},
        "spec": {"resource": {"flavor_id": "local", "node_count": 1}},
    },
}


def _create(service, kind):
    code = service.root / "obs" / "bucket" / "code"
    code.mkdir(parents=True, exist_ok=True)
    (code / "train.py").touch()
    path = "/v1/%s/visualization-jobs" if kind == "v1" else "/v2/%s/training-jobs"
    with service.session() as session:
        path %= session.project_id
        created = session.request("POST", path, body=CREATES[kind])
        job_id = created["job_id"] if kind == "v1" else created["metadata"]["id"]
        session.request("DELETE", "%s/%s" % (path, job_id))


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """A service on SQLite, and the file of its statements."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "sitecustomize.py").write_text(TRACE)
    environ = {
        "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "TRACED_STATEMENTS": str(folder / "statements"),
    }
    service = Service(folder / "root", environ=environ, is_forked=False)
    yield service, folder / "statements"
    assert service.end() == 0


@pytest.mark.parametrize("kind", CREATES)
def test_create_sends_sqlite_at_most_two_selects(traced, kind):
    """All statements of the threads that serve requests, up to the end of the transaction."""
    service, log = traced
    before = len(log.read_text())
    _create(service, kind)
    lines = re.findall(r"^waitress-\d+: (.*)$", log.read_text()[before:], re.M)
    statements = lines[: lines.index("COMMIT")]
    assert any(re.match("INSERT INTO (jobs|trainings)", line) for line in statements), lines
    assert len([line for line in statements if line.startswith("SELECT")]) <= 2, statements


@pytest.fixture
def logged(postgres):
    """A function that returns what the server has written to its log since the start."""
    log = postgres.folder / "log"
    postgres.execute("ALTER SYSTEM SET log_statement = 'all'")
    postgres.execute("SELECT pg_reload_conf()")
    before = len(log.read_text())
    yield lambda: log.read_text()[before:]
    postgres.execute("ALTER SYSTEM RESET log_statement")
    postgres.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("kind", CREATES)
def test_create_sends_postgres_at_most_two_selects(postgres_service, logged, kind):
    """The one for the lock, and the one for the quota: what was inserted is not read again."""
    _create(postgres_service, kind)
    lines = re.findall(r"\[(\d+)\] LOG:  (?:statement|execute [^:]*): (.*)$", logged(), re.M)
    table = "trainings" if kind == "training" else "jobs"
    (process,) = {pid for pid, line in lines if line.startswith("INSERT INTO %s " % table)}
    own = [line for pid, line in lines if pid == process]
    inserted = next(at for at, line in enumerate(own) if line.startswith("INSERT INTO " + table))
    began = max(at for at, line in enumerate(own[:inserted]) if line == "BEGIN")
    statements = own[began : own.index("COMMIT", inserted)]
    assert len([line for line in statements if line.startswith("SELECT")]) <= 2, statements
