"""How a service is started, looked at and ended, and what it writes about itself."""

import fcntl
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from modelarts.cli import main
from modelarts.errors import ConfigurationError
from modelarts.estimator import VisualizationJob
from modelarts.local.server import control
from modelarts.local.server import logs as log
from modelarts.session import Session
from tests.servers.service import Service
from tests.support.clocks import FakeClock

pytestmark = pytest.mark.local

URL = "/bucket/logs/"


def _serve(capsys, root, *arguments):
    code = main(["serve", "--root", str(root), *arguments])
    return code, capsys.readouterr().out


# TensorBoard ---------------------------------------------------------------------------------


@pytest.mark.parametrize("load_late", [False, True])
def test_tensorboard_is_loaded_before_the_first_board(tmp_path, load_late):
    """Unless it is to be loaded with it."""
    service = Service(tmp_path / "root", load_late=load_late)
    try:
        # The socket at which its parent is asked for boards.
        assert len(list((service.root / "tmp").glob("listener-*"))) == (not load_late)
    finally:
        service.end()


def test_wrong_value_of_load_late_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MODELARTS_LOAD_LATE", "yes")
    with pytest.raises(SystemExit):
        _serve(capsys, tmp_path / "root")
    assert "MODELARTS_LOAD_LATE must be 1 or 0, not 'yes'" in capsys.readouterr().err


# --status and --stop ------------------------------------------------------------------------


def test_a_status_tells_boards_that_sleep_from_those_that_run(tmp_path, capsys):
    service = Service(tmp_path / "root", "--test-clock", "--sleep-after", "10")
    try:
        with service.session() as session:
            jobs = [VisualizationJob.create(URL, session=session).wait() for _ in range(2)]
            session.request("PUT", "/local/clock", body={"advance_seconds": 601})
            for job in jobs:
                service.said(r"job %s: its board sleeps" % job.visualization_id)
            VisualizationJob.create(URL, session=session).wait()
        code, said = _serve(capsys, service.root, "--status")
        assert (code, said.splitlines()[2:]) == (
            0,
            [
                "jobs: 3 RUNNING",
                "trainings: none",
                "boards: 1, 2 asleep",
            ],
        )
    finally:
        service.end()


def test_a_status_tells_the_process_the_address_and_the_jobs(own_service, capsys):
    with own_service.session() as session:
        VisualizationJob.create(URL, session=session).wait()
        VisualizationJob.create(URL, session=session).wait().stop().wait(until=12)
    found = own_service.connection
    code, said = _serve(capsys, own_service.root, "--status")
    assert code == 0
    assert said.splitlines() == [
        "running: process %d at %s" % (found["pid"], found["modelarts_endpoint"]),
        "root: %s" % own_service.root,
        "jobs: 1 RUNNING, 1 KILLED",
        "trainings: none",
        "boards: 1, 0 asleep",
    ]
    own_service.end()
    code, said = _serve(capsys, own_service.root, "--status")
    first, _, jobs, *_ = said.splitlines()
    assert (code, first) == (3, "not running")
    again = "those that are RUNNING run again when the service starts"
    assert jobs == "jobs: 1 RUNNING, 1 KILLED; " + again


def test_where_nothing_ever_ran_nothing_is_made(tmp_path, capsys):
    for option, code in (("--status", 3), ("--stop", 0)):
        assert _serve(capsys, tmp_path / "root", option)[0] == code
    assert not (tmp_path / "root").exists()


def test_hung_service_differs_from_missing_one(own_service, capsys):
    """A service that does not answer is told from one that is not there."""
    os.kill(own_service.process.pid, signal.SIGSTOP)
    try:
        code, said = _serve(capsys, own_service.root, "--status")
        assert code == 1
        assert "process %d has the folder, and does not" % own_service.process.pid in said
        with pytest.raises(ConfigurationError, match="has not ended within 60 seconds"):
            control.stop(own_service.root, FakeClock())
    finally:
        os.kill(own_service.process.pid, signal.SIGCONT)


#: Has a second signal arrive while the handler of the first one holds a lock.
IMPATIENT = """
import signal, sys, threading

def notify_all(self, known=threading.Condition.notify_all):
    if sys._getframe(2).f_code.co_name == "expect_end":
        signal.raise_signal(signal.SIGTERM)
    known(self)

threading.Condition.notify_all = notify_all
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_asked_twice_ends_once(tmp_path, number):
    (tmp_path / "sitecustomize.py").write_text(IMPATIENT)
    service = Service(tmp_path / "root", environ={"PYTHONPATH": str(tmp_path)})
    try:
        assert service.end(number) == 0
    finally:
        service.process.kill()
    assert sum("ended; " in line for line in service.log if line) == 1
    assert not (service.root / "service.json").exists()


def test_stop_returns_when_the_service_has_ended(own_service, capsys):
    code, said = _serve(capsys, own_service.root, "--stop")
    assert (code, "ended process %d" % own_service.process.pid in said) == (0, True)
    assert not (own_service.root / "service.json").exists()
    with open(own_service.root / "service.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert own_service.end() == 0


def test_stop_ends_background_service_without_zombie(tmp_path, capsys):
    """Stop ends a service in the background too and no zombie is left."""
    before = set(threading.enumerate())
    with Session.local(tmp_path, stay=True) as session:
        assert VisualizationJob.list(session) == []
    pid = int((tmp_path / "service.lock").read_text())
    started = set(threading.enumerate()) - before
    (reaper,) = [one for one in started if one.name == "local service"]
    assert "ended process %d" % pid in _serve(capsys, tmp_path, "--stop")[1]
    reaper.join(timeout=60)
    assert not os.path.exists("/proc/%d" % pid)
    assert _serve(capsys, tmp_path, "--stop")[1] == "no service of %s is running\n" % tmp_path


# Options ------------------------------------------------------------------------------------


def test_the_table_in_the_docs_has_every_option_and_no_other(capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    offered = set(re.findall(r"--[a-z-]+", capsys.readouterr().out.partition("Run the")[0]))
    page = Path(__file__).resolve().parents[3] / "docs" / "local-service.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| `--")]
    told = {option for row in rows for option in re.findall(r"--[a-z-]+", row.split("|")[1])}
    assert told == offered


def test_service_starts_where_paths_are_long(tmp_path):
    """Paths of Unix sockets are short; TMPDIR and the root need not be."""
    temporary = tmp_path / ("t" * 120)
    temporary.mkdir()
    service = Service(tmp_path / ("r" * 200), environ={"TMPDIR": str(temporary)})
    with service.session() as session:
        VisualizationJob.create("/bucket/logs/", session=session, check=False).wait()
    assert service.end() == 0
    assert list(temporary.iterdir()) == []
    assert not (service.root / "tmp").is_symlink()


def test_temporary_files_of_a_killed_service_are_removed(tmp_path):
    service = Service(tmp_path / "root")
    left = (service.root / "tmp").resolve()
    assert left.is_dir()
    service.end(signal.SIGKILL)
    assert left.is_dir()
    again = Service(tmp_path / "root")
    assert not left.exists()
    new = (service.root / "tmp").resolve()
    assert new.is_dir()
    assert again.end() == 0
    assert not new.exists()


# In the background --------------------------------------------------------------------------

_PROGRAM = """
import sys
sys.path.pop(0)
from modelarts.session import Session
session = Session.local(sys.argv[1])
print(session.request("GET", "/healthz")["status"])
"""


def test_files_beside_the_program_are_no_modules_of_the_service(tmp_path):
    """A ``secrets.py`` of the user's is not the standard library's."""
    for name in ("secrets.py", "socket.py", "random.py", "attr.py", "tensorboard.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')")
    said = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path / "root")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (said.returncode, said.stdout) == (0, "ok\n"), said.stderr


def test_service_finds_package_of_the_program(tmp_path):
    """As in a checkout that is not installed: by a relative PYTHONPATH, or none at all."""
    import modelarts

    checkout = os.path.dirname(os.path.dirname(modelarts.__file__))
    program = "import sys; sys.path.insert(0, %r)\n%s" % (checkout, _PROGRAM)
    said = subprocess.run(
        [sys.executable, "-c", program, "root"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.path.relpath(checkout, tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (said.returncode, said.stdout) == (0, "ok\n"), said.stderr


# The log ------------------------------------------------------------------------------------


def test_the_log_tells_failed_requests_and_no_secret(own_service):
    with own_service.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
        key = job.service_url.split("/")[-3]
        with pytest.raises(Exception, match="404"):
            session.request("GET", "/v1/%s/visualization-jobs/999" % session.project_id)
        with pytest.raises(Exception, match="40"):
            session.request("GET", "/modelarts/tensorboard/%s/1/no-such" % key)
        secret_key = session.secret_key
    assert own_service.end() == 0
    path = own_service.root / "service.log"
    text = path.read_text()
    assert "visualization-jobs/999 from 127.0.0.1: HTTP 404" in text
    assert "/modelarts/tensorboard/.../1/no-such from 127.0.0.1: HTTP 4" in text
    assert not [one for one in (key, secret_key) if one in text]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_of_the_log_is_one_line_whatever_is_asked_for(service):
    import socket
    from urllib.parse import urlsplit

    address = urlsplit(service.connection["modelarts_endpoint"])
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(b"GET /a%0aserving%20%ff%1b[2J HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 4")
    service.said(r"GET /a\\nserving \\ufffd\\x1b\[2J from")


def test_growing_log_is_rotated(tmp_path):
    """A log that grows is turned over and the oldest part goes."""
    program = (
        "import logging, pathlib, sys; from modelarts.local.server import logs as log\n"
        "log.open_log(pathlib.Path(sys.argv[1]), max_bytes=2000)\n"
        "for number in range(500): logging.getLogger('modelarts.local').info('line %d', number)"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "service.log")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(os.listdir(tmp_path)) == [
        "service.log",
        "service.log.1",
        "service.log.2",
        "service.log.3",
        "service.log.4",
    ]
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())
    assert (tmp_path / "service.log").read_text().endswith("line 499\n")
    assert said.stderr.count("\n") == 500  # a terminal sees all of it


def test_redirected_log_has_no_duplicates(tmp_path):
    with Session.local(tmp_path) as session:
        VisualizationJob.create(URL, session=session).wait().delete()
    text = (tmp_path / "service.log").read_text()
    assert text.count("job 1: running") == 1


def test_what_a_board_writes_is_kept_short(tmp_path):
    path = tmp_path / "job-1.log"
    with open(path, "ab", buffering=0) as board:
        for number in range(1000):
            board.write(b"line %d\n" % number)
        log._shorten(path, 4000)
        assert path.stat().st_size <= 1010
        board.write(b"and on\n")
    lines = path.read_text().splitlines()
    assert (lines[0], lines[-2:]) == ("[...]", ["line 999", "and on"])
    size = path.stat().st_size
    log._shorten(path, 4000)
    assert path.stat().st_size == size


def test_log_of_a_board_may_have_one_mebibyte(tmp_path):
    class OneLook:
        looks = iter([False, True])

        def wait(self, seconds):
            return next(self.looks)

    whole, longer = tmp_path / "job-1.log", tmp_path / "job-2.log"
    whole.write_bytes(b"line\n" * (1024 * 1024 // 5))
    longer.write_bytes(b"line\n" * (1024 * 1024 // 5 + 1))
    log._bound(tmp_path, OneLook())
    assert whole.stat().st_size == 1024 * 1024 // 5 * 5
    assert longer.stat().st_size <= 256 * 1024 + len("[...]")
