"""The command as a process of its own: codes, pipes, terminals, signals, completion."""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelarts.estimator import VisualizationJob

pytestmark = pytest.mark.local

COMMAND = [sys.executable, "-m", "modelarts"]


def run(*arguments, **given):
    return subprocess.run(
        [*COMMAND, *arguments],
        **{"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, **given},
    )


@pytest.fixture(autouse=True)
def output_is_buffered(monkeypatch):
    """As it is for most: what cannot be printed may show at the end only."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


class Terminal:
    """A command that believes somebody looks, and can be written to."""

    def __init__(self, *arguments, columns=80, **environ):
        self.said = ""
        self._master, slave = pty.openpty()
        environ = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", **environ}
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdin=slave, stdout=slave, stderr=slave, env=environ
        )
        os.close(slave)

    def until(self, pattern):
        """Read until that is said; answers the match."""
        while True:
            found = re.search(pattern, self.said)
            if found:
                return found
            read = self._read()
            assert read, self.said
            self.said += read

    def write(self, text):
        os.write(self._master, text.encode())

    def end(self):
        """The exit code."""
        while True:
            read = self._read()
            if not read:
                break
            self.said += read
        os.close(self._master)
        return self.process.wait(timeout=60)

    def _read(self):
        try:
            return os.read(self._master, 65536).decode()
        except OSError:  # the other end is closed
            return ""


@pytest.fixture(scope="module")
def job(service):
    with service.session() as session:
        job = VisualizationJob.create("/bucket/cli/", session=session).wait()
        yield job
        job.delete()


# Pipes ------------------------------------------------------------------------------------


def to_nobody(*arguments):
    """Run a command whose reader has gone."""
    read, write = os.pipe()
    os.close(read)
    done = run(*arguments, stdout=write, stderr=subprocess.PIPE, capture_output=False)
    os.close(write)
    return done.returncode, done.stderr


def test_a_reader_that_has_seen_enough_is_nothing_to_talk_about(service, job):
    assert to_nobody("jobs", "list", "--root", str(service.root)) == (141, "")
    code, err = to_nobody("jobs", "list", "--help")
    assert code in (0, 141)  # argparse may have noticed first, and said nothing
    assert err == ""


def test_what_cannot_be_printed_is_one_line_and_code_1(service):
    with open("/dev/full", "w") as full:
        done = run(
            "jobs",
            "list",
            "--root",
            str(service.root),
            stdout=full,
            capture_output=False,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 1
    assert done.stderr == "modelarts: cannot print: No space left on device\n"


def test_a_closed_stdout_changes_nothing_else(service, job):
    command = '%s -m modelarts jobs update "$1" --desc done --root "$2" >&-' % sys.executable
    done = subprocess.run(["sh", "-c", command, "sh", job.job_id, str(service.root)])
    assert done.returncode == 0
    assert job.refresh().job_desc == "done"


def test_what_the_terminal_cannot_show_is_escaped(service, job):
    job.update("每晚")
    done = run(
        *("jobs", "show", job.job_id, "--root", str(service.root)),
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "description  \\u6bcf\\u665a\n" in done.stdout


def test_advice_is_for_the_service_that_was_asked(service):
    done = run("jobs", "show", "absent", "--root", str(service.root))
    assert done.returncode == 3
    assert "'modelarts jobs list --root %s' shows all" % service.root in done.stderr


# Terminals --------------------------------------------------------------------------------


def test_stop_all_asks_at_the_terminal(own_service):
    with own_service.session() as session:
        jobs = [VisualizationJob.create("/bucket/a/", name, session=session) for name in "ab"]
        terminal = Terminal("jobs", "stop", "--all", "--wait", "--root", str(own_service.root))
        terminal.until(r"job 1 \(a\)\r\n +job 2 \(b\)\r\nStop these 2 jobs\? \[y/N\] $")
        terminal.write("y\n")
        assert terminal.end() == 0
        assert "job 2 (b): stopped" in terminal.said
        assert all(job.refresh().status.is_stopped for job in jobs)


def test_without_a_terminal_a_question_is_refused(service, job):
    done = run("jobs", "delete", job.job_id, "--root", str(service.root))
    assert done.returncode == 2
    assert "there is no terminal to ask at" in done.stderr
    assert job.refresh().status == 8


def test_a_wait_shows_one_line_and_an_interrupt_does_no_harm(service, job):
    terminal = Terminal(
        *("jobs", "wait", job.job_id, "--until", "stopped", "--root", str(service.root))
    )
    terminal.until(r"job %s \(%s\): RUNNING" % (job.job_id, job.job_name))
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    assert terminal.said.endswith("modelarts: interrupted\r\n")
    assert "Traceback" not in terminal.said
    assert job.refresh().status == 8


# On this machine --------------------------------------------------------------------------


def wait_for_end(root):
    """Until no process serves that folder any more."""
    with open(root / "service.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def test_a_job_outlives_the_command_that_created_it(tmp_path):
    root = ("--root", str(tmp_path))
    created = run("jobs", "create", "/bucket/logs/", "--name", "nightly", *root)
    assert created.returncode == 0, created.stderr
    pid = json.loads((tmp_path / "service.json").read_text())["pid"]
    try:
        waited = run("jobs", "wait", "nightly", "--output", "json", *root)
        assert waited.returncode == 0, waited.stderr
        said = json.loads(waited.stdout)
        assert (said["job_id"], said["status_name"]) == (1, "RUNNING")
        assert json.loads((tmp_path / "service.json").read_text())["pid"] == pid
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(tmp_path)


def test_a_list_leaves_no_service_behind(tmp_path):
    done = run("jobs", "list", "--root", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "No visualization jobs.\n")
    wait_for_end(tmp_path)
    assert not (tmp_path / "service.json").exists()


@pytest.mark.parametrize(
    ("command", "code"), [(("create", "no-such-folder/"), 2), (("open", "nightly"), 3)]
)
def test_nor_does_a_command_that_comes_to_no_job(tmp_path, command, code):
    assert run("jobs", *command, "--root", str(tmp_path)).returncode == code
    wait_for_end(tmp_path)
    assert not (tmp_path / "service.json").exists()


def test_open_gives_the_address_to_the_browser_and_prints_it(service, job, tmp_path):
    seen, browser = tmp_path / "seen", tmp_path / "browser"
    browser.write_text('#!/bin/sh\nprintf %%s "$1" > "%s"\n' % seen)
    browser.chmod(0o700)
    environ = {**os.environ, "BROWSER": str(browser) + " %s"}
    done = run("jobs", "open", job.job_id, "--root", str(service.root), env=environ)
    assert (done.returncode, done.stdout) == (0, job.service_url + "\n"), done.stderr
    assert seen.read_text() == job.service_url


# Completion -------------------------------------------------------------------------------


def completions(line, tmp_path):
    """Return the completions of a shell when Tab is pressed at the end of that line."""
    told = tmp_path / "told"
    environ = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(told),
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    done = run(env=environ)
    assert (done.returncode, done.stdout) == (0, "")
    return [word.strip() for word in told.read_text().splitlines()]


def test_commands_options_and_jobs_are_completed(service, job, tmp_path):
    assert completions("modelarts jobs re", tmp_path) == ["restart"]
    line = "modelarts jobs stop --root %s " % service.root
    assert {job.job_id, job.job_name} <= set(completions(line, tmp_path))


def test_a_completion_starts_no_service(tmp_path):
    root = tmp_path / "root"
    assert completions("modelarts jobs stop --root %s 1" % root, tmp_path) == []
    assert not root.exists()


# Another modelarts in front -----------------------------------------------------------------


@pytest.fixture
def shadowed(tmp_path, monkeypatch):
    """A folder with another ``modelarts`` comes first, as in a ModelArts notebook."""
    other = tmp_path / "modelarts-sdk"
    (other / "modelarts").mkdir(parents=True)
    (other / "modelarts" / "__init__.py").write_text("raise ImportError('the built-in SDK')\n")
    monkeypatch.setenv("PYTHONPATH", str(other))
    return other / "modelarts"


def command(*arguments):
    script = Path(sys.executable).with_name("modelarts")
    return subprocess.run(
        [str(script), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_command_works_behind_another_modelarts(shadowed, tmp_path):
    root = tmp_path / "root"
    done = command("jobs", "list", "--root", root, "--output", "json")
    assert (done.returncode, json.loads(done.stdout)) == (0, []), done.stderr


def test_whoami_names_the_modelarts_that_python_finds(shadowed, service):
    done = command("whoami", "--root", service.root)
    assert "finds another one, which is before it on sys.path: %s\n" % shadowed in done.stdout
    assert done.returncode == 0
