"""``modelarts jobs …`` on the wire: what it does, prints and answers."""

import argparse
import io
import json
import os
import pty
import re
import sys
from functools import partial
from pathlib import Path

import pytest
import responses

from modelarts.cli import build, main
from modelarts.cli import errors as failures
from modelarts.cli.completion import complete_jobs
from modelarts.cli.errors import guarded
from modelarts.errors import ModelArtsError
from modelarts.estimator import VisualizationJob
from modelarts.session import Session
from tests.servers.cloud import DOCUMENTED, HOST, Cloud


@pytest.fixture(autouse=True)
def region(cloud, monkeypatch):
    """The environment says where the documented service is."""
    for name in ("access_key", "secret_key", "project_id", "region_name", "iam_endpoint"):
        monkeypatch.setenv("MODELARTS_" + name.upper(), getattr(cloud, name))
    monkeypatch.setenv("MODELARTS_ENDPOINT", cloud.modelarts_endpoint)
    return cloud


@pytest.fixture
def run(run_command):
    return partial(run_command, "jobs")


@pytest.fixture
def answers(monkeypatch):
    """Somebody at a terminal who answers that."""
    ends = []

    def answers(text):
        master, slave = pty.openpty()
        ends.append(master)
        monkeypatch.setattr(sys, "stdin", os.fdopen(slave))
        os.write(master, text.encode())

    yield answers
    for master in ends:
        os.close(master)
    if ends:
        sys.stdin.close()


def changes(cloud):
    """The requests that were to change something."""
    boards = [call for call in cloud.calls if "/visualization-jobs" in call.url]
    paths = [(call.method, call.url.split("/visualization-jobs")[1]) for call in boards]
    return [(method, path) for method, path in paths if method != "GET"]


# Which jobs -------------------------------------------------------------------------------


def test_a_job_may_be_called_by_its_id_or_by_its_name(cloud, run):
    number = cloud.add(job_name="nightly")
    cloud.add(job_name="nightly-2")
    for called in (str(number), "nightly"):
        code, out, _ = run("show", called, "--output", "json")
        assert (code, json.loads(out)["job_id"]) == (0, number)


def test_digits_are_an_id_where_a_job_has_it_and_else_a_name(cloud, run):
    number = cloud.add(job_name="first")
    other = cloud.add(job_name=str(number))
    named = cloud.add(job_name="777")
    assert json.loads(run("show", str(number), "-o", "json")[1])["job_id"] == number
    assert json.loads(run("show", str(other), "-o", "json")[1])["job_id"] == other
    assert json.loads(run("show", "777", "-o", "json")[1])["job_id"] == named


@pytest.mark.parametrize("called", ["absent", "4711", "0", "a/b?c", "x" * 200, ""])
def test_a_job_that_is_not_there_is_code_3(cloud, run, called):
    cloud.add()
    code, out, err = run("show", called)
    assert (code, out) == (3, "")
    assert (
        err
        == "modelarts: no job has the id or the name %r; 'modelarts jobs list' shows all\n"
        % (called)
    )


def test_a_name_that_several_jobs_have_is_refused_with_their_ids(cloud, run):
    ids = [cloud.add(job_name="twin", status=8) for _ in range(2)]
    code, out, err = run("stop", "twin")
    assert (code, out, changes(cloud)) == (3, "", [])
    assert "2 jobs have the name 'twin': %d, %d; say which by its id" % tuple(ids) in err
    code, out, err = run("stop", "twin", "-o", "json")
    said = json.loads(err)
    assert (code, said["type"], said["job_ids"]) == (3, "AmbiguousName", ids)


def test_where_one_of_several_is_not_there_nothing_is_done(cloud, run):
    number = cloud.add(status=8)
    assert run("stop", str(number), "absent")[0] == 3
    assert changes(cloud) == []


def test_a_job_that_is_called_twice_is_stopped_once(cloud, run):
    number = cloud.add(job_name="nightly", status=8)
    assert run("stop", str(number), "nightly")[:2] == (0, "job %d (nightly): stopping\n" % number)
    assert changes(cloud) == [("POST", "/%d/stop" % number)]


# Create -----------------------------------------------------------------------------------


def test_create_sends_what_was_said_and_prints_the_job(cloud, run):
    code, out, err = run(
        *("create", "obs://bucket/logs", "--name", "nightly", "--desc", "每晚"),
        *("--auto-stop", "2", "--job-type", "TensorBoard", "--flavor", "small"),
    )
    assert (code, err) == (0, "")
    sent = json.loads(next(call for call in cloud.calls if call.method == "POST").body)
    assert sent == {
        "job_name": "nightly",
        "job_desc": "每晚",
        "train_url": "/bucket/logs/",
        "job_type": "tensorboard",
        "schedule": [{"type": "stop", "time_unit": "HOURS", "duration": 2}],
        "flavor": {"code": "small"},
    }
    assert "name         nightly\n" in out
    assert "description  每晚\n" in out


def test_create_answers_the_documented_dict(cloud, run):
    code, out, _ = run("create", "/bucket/logs/", "--wait", "--output", "json")
    said = json.loads(out)
    assert code == 0
    assert set(said) >= {*DOCUMENTED} | {"status_name", "is_success"}
    assert (said["status"], said["status_name"], said["is_success"]) == (8, "RUNNING", True)
    assert said["service_url"].startswith("https://" + HOST)


def test_created_job_is_printed_when_wait_times_out(cloud, run):
    """A job that was created is printed although it was not waited for long enough."""
    code, out, err = run("create", "/bucket/logs/", "--wait", "--timeout", "0", "-o", "json")
    assert (code, json.loads(out)["job_id"]) == (4, max(cloud.jobs))
    assert json.loads(err)["type"] == "WaitTimeout"


def test_a_refusal_is_code_1_and_says_what_the_service_said(cloud, run):
    with responses.RequestsMock() as mock:
        body = {"error_code": "ModelArts.0118", "error_msg": "exceeds the quota", "request_id": "r"}
        mock.add(responses.POST, url_of(cloud), json=body, status=400)
        assert run("create", "/bucket/logs/")[:2] == (1, "")
        code, out, err = run("create", "/bucket/logs/", "--output", "json")
    said = json.loads(err)
    assert (code, out) == (1, "")
    assert (said["type"], said["error_code"], said["error_msg"], said["status_code"]) == (
        *("QuotaExceeded", "ModelArts.0118", "exceeds the quota"),
        400,
    )
    assert said["is_success"] is False


def url_of(cloud):
    return "%s/v1/%s/visualization-jobs" % (cloud.modelarts_endpoint, cloud.project_id)


# List -------------------------------------------------------------------------------------


def test_a_list_has_the_jobs_of_all_pages(cloud, run):
    ids = [cloud.add() for _ in range(230)]
    code, out, _ = run("list", "--output", "json")
    jobs = json.loads(out)
    assert (code, [job["job_id"] for job in jobs]) == (0, ids)
    assert all(set(job) >= {*DOCUMENTED} | {"status_name"} for job in jobs)
    code, out, _ = run("list")
    assert (code, len(out.splitlines())) == (0, 231)


def test_a_limit_asks_for_no_more_than_that(cloud, run):
    ids = [cloud.add() for _ in range(5)]
    _, out, _ = run("list", "--limit", "2", "--output", "json")
    assert [job["job_id"] for job in json.loads(out)] == ids[:2]
    assert "per_page=2" in cloud.calls[-1].url


@pytest.mark.parametrize(
    ("chosen", "statuses"),
    [
        (["--running"], [8]),
        (["--status", "running"], [8]),
        (["--status", "8,12"], [8, 12]),
        (["--status", "Stopped"], [10, 12, 13]),
        (["--status", "failed"], [11, 14, 22]),
        (["--status", "lost,running"], [8, 14]),
        (["--status", "mount-failed"], [22]),
        ([], [7, 8, 10, 11, 12, 13, 14, 22]),
    ],
)
def test_a_list_may_be_of_some_statuses(cloud, run, chosen, statuses):
    for status in (7, 8, 10, 11, 12, 13, 14, 22):
        cloud.add(status=status)
    _, out, _ = run("list", *chosen, "--output", "json")
    assert [job["status"] for job in json.loads(out)] == statuses


def test_a_list_may_be_searched_and_sorted(cloud, run):
    cloud.add(job_name="night-b")
    cloud.add(job_name="day")
    cloud.add(job_name="night-a")
    _, out, _ = run("list", "--search", "night", "--sort-by", "job_name", "--order", "asc")
    assert [line.split()[1] for line in out.splitlines()] == ["NAME", "night-a", "night-b"]


def test_a_list_of_none_says_so_and_is_no_failure(run):
    assert run("list") == (0, "No visualization jobs.\n", "")
    assert run("list", "--output", "json") == (0, "[]\n", "")


def test_absolute_path_is_obs_with_advice(run, tmp_path, monkeypatch):
    """A folder from the root on is taken for obs and what to type instead is said."""
    monkeypatch.setenv("MODELARTS_OBS_ENDPOINT", tmp_path.as_uri())
    code, _, err = run("create", str(tmp_path))
    assert code == 0
    assert "This machine has a folder %s/: to send that, give its path from here" % tmp_path in err


@pytest.mark.parametrize("chosen", [["--running"], ["--status", "failed"], ["--search", "day"]])
def test_no_selection_is_not_reported_as_no_jobs(cloud, run, chosen):
    cloud.add(job_name="night", status=12)
    assert run("list", *chosen) == (0, "No jobs match.\n", "")


def test_the_documented_list_prints_the_same_table(cloud, run, capsys):
    cloud.add(job_name="nightly", status=8)
    cloud.add(job_desc="a description")
    _, printed, _ = run("list")
    VisualizationJob.get_visualization_job_object_list(Session())
    assert capsys.readouterr().out == printed


# Wait, stop, restart, update, delete ------------------------------------------------------


def test_a_wait_ends_with_0_4_or_5(cloud, run):
    runs = cloud.add(status=7)
    stopped = cloud.add(status=12)
    failed = cloud.add(status=11, reason="the folder is gone")
    code, out, _ = run("wait", str(runs), "-o", "json")
    assert (code, json.loads(out)["status_name"]) == (0, "RUNNING")
    assert run("wait", str(runs), "--until", "stopped", "--timeout", "0")[0] == 4
    assert run("wait", str(stopped))[0] == 5
    code, _, err = run("wait", str(failed), "--timeout", "9.5")
    assert code == 5
    assert "the folder is gone" in err
    assert run("wait", str(failed), "--until", "failed")[0] == 0
    assert run("wait", str(stopped), "--until", "13")[0] == 0


def test_what_one_job_refuses_keeps_the_others_from_nothing(cloud, run):
    first, second, third = (cloud.add(status=status) for status in (8, 12, 8))
    code, out, err = run("stop", str(first), str(second), str(third))
    assert code == 1
    assert out == "job %d (job%d): stopping\njob %d (job%d): stopping\n" % (
        *(first, first, third),
        third,
    )
    assert "This job can't be stop. job status: 12" in err
    assert [cloud.jobs[number]["status"] for number in (first, third)] == [9, 9]


def test_what_was_done_is_told_as_json_for_each(cloud, run):
    first, second = cloud.add(status=8), cloud.add(status=12)
    code, out, err = run("stop", str(first), str(second), "--output", "json")
    done, refused = json.loads(out)
    assert code == 1
    assert done == {"job_id": first, "job_name": "job%d" % first, "is_success": True}
    assert (refused["job_id"], refused["is_success"]) == (second, False)
    assert (refused["type"], refused["error_code"]) == ("JobStateError", "ModelArts.0105")
    assert json.loads(err) == {
        key: value for key, value in refused.items() if key not in ("job_id", "job_name")
    }


def test_a_stop_and_a_restart_may_be_waited_for(cloud, run):
    number = cloud.add(job_name="nightly", status=8)
    code, out, _ = run("stop", "nightly", "--wait")
    assert (code, out) == (0, "job %d (nightly): stopped\n" % number)
    code, out, _ = run("restart", "nightly", "--wait")
    assert out == "job %d (nightly): running: %s\n" % (number, cloud.jobs[number]["service_url"])
    assert run("stop", "nightly")[0] == 0
    code, out, _ = run("stop", "nightly", "-o", "json")
    assert code == 1  # it is being stopped
    run("wait", "nightly", "--until", "stopped")
    code, out, _ = run("restart", "nightly", "--wait", "-o", "json")
    (said,) = json.loads(out)
    assert set(said) >= {*DOCUMENTED}
    assert (said["status_name"], said["is_success"]) == ("RUNNING", True)


def test_update_changes_the_description(cloud, run):
    number = cloud.add()
    assert run("update", str(number), "--desc", "new")[0] == 0
    assert cloud.jobs[number]["job_desc"] == "new"
    code, out, _ = run("update", str(number), "--desc", "", "-o", "json")
    assert (code, json.loads(out)["job_desc"], cloud.jobs[number]["job_desc"]) == (0, "", "")


# Questions --------------------------------------------------------------------------------


@pytest.fixture
def two_that_run(cloud):
    numbers = [cloud.add(job_name=name, status=status) for name, status in (("a", 8), ("b", 7))]
    cloud.add(status=9)
    cloud.add(status=12)
    cloud.add(status=11)
    return numbers


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_stop_all_stops_what_runs_or_is_about_to_after_a_yes(
    cloud, run, two_that_run, answers, answer
):
    answers(answer)
    code, out, err = run("stop", "--all")
    first, second = two_that_run
    assert (code, err) == (
        0,
        "  job %d (a)\n  job %d (b)\nStop these 2 jobs? [y/N] " % (first, second),
    )
    assert out == "job %d (a): stopping\njob %d (b): stopping\n" % (first, second)
    assert changes(cloud) == [("POST", "/%d/stop" % number) for number in two_that_run]


@pytest.mark.parametrize("answer", ["n\n", "\n", "yesterday\n", "\x04"])
def test_any_other_answer_leaves_all_as_it_is(cloud, run, two_that_run, answers, answer):
    answers(answer)
    code, out, err = run("stop", "--all")
    assert (code, out, changes(cloud)) == (1, "", [])
    assert err.endswith("modelarts: nothing was done\n")


def test_nobody_is_asked_where_nothing_runs(cloud, run):
    cloud.add(status=12)
    assert run("stop", "--all") == (0, "No job runs.\n", "")
    assert run("stop", "--all", "-o", "json") == (0, "[]\n", "")


@pytest.mark.parametrize("command", [["stop", "--all"], ["delete", "a"]])
def test_without_a_terminal_and_without_yes_nothing_is_done(
    cloud, run, two_that_run, monkeypatch, command
):
    for stdin in (io.StringIO("y\n"), None):
        monkeypatch.setattr(sys, "stdin", stdin)
        code, out, err = run(*command)
        assert (code, out, changes(cloud)) == (2, "", [])
        assert "there is no terminal to ask at" in err
        assert "--yes does it without a question" in err


def test_yes_asks_nothing(cloud, run, two_that_run):
    assert run("stop", "--all", "--yes")[0] == 0
    assert [path for _, path in changes(cloud)] == ["/%d/stop" % n for n in two_that_run]
    code, out, _ = run("delete", "job103", "job104", "-y")
    assert code == 1  # one is just being stopped
    assert out == "job 104 (job104): deleted\n"
    assert 104 not in cloud.jobs


def test_a_delete_asks_and_names_the_job(cloud, run, answers):
    number = cloud.add(job_name="nightly")
    answers("y\n")
    code, out, err = run("delete", "nightly")
    assert (code, out) == (0, "job %d (nightly): deleted\n" % number)
    assert err == "Delete job %d (nightly)? [y/N] " % number
    assert cloud.jobs == {}


# Wrong usage ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "http://bucket/logs/"], "train_url must be a folder in OBS"),
        (["create", "/b/", "--name", "a b"], "argument --name: must be 1 to 64 letters"),
        (["create", "/b/", "--desc", "x" * 257], "argument --desc: must be a text of 0 to 256"),
        (["create", "/b/", "--desc", "\udcff"], "argument --desc: must be a text of 0 to 256"),
        (["create", "/b/", "--auto-stop", "721"], "'721' is not a number from 0 to 720"),
        (["create", "/b/", "--job-type", "x"], "must be 'tensorboard' or 'mindinsight'"),
        (["create", "/b/", "--wait", "--timeout", "soon"], "'soon' is not a number from 0"),
        (["wait", "1", "--timeout", "nan"], "'nan' is not a number from 0"),
        (["wait", "1", "--until", "done"], "'done' is no status; there are stopped, unknown, init"),
        (["list", "--status", "99999"], "'99999' is no status"),
        (["list", "--running", "--status", "8"], "not allowed with argument --running"),
        (["list", "--limit", "0"], "'0' is not a number from 1"),
        (["list", "--sort-by", "age"], "invalid choice: 'age'"),
        (["list", "--runn"], "unrecognized arguments: --runn"),
        (["list", "--search", "x" * 101], "search_content must be a text of 0 to 100"),
        (["list", "-o", "xml"], "invalid choice: 'xml'"),
        (["list", "--local", "--region-name", "r"], "--local and --root go with neither"),
        (["stop"], "give ids or names, or --all"),
        (["stop", "1", "--all"], "give ids or names, or --all, not both"),
        (["update", "1"], "the following arguments are required: --desc"),
        (["delete"], "the following arguments are required: JOB"),
        (["dance"], "invalid choice: 'dance'"),
        ([], "usage: modelarts jobs [-h] COMMAND"),
    ],
)
def test_wrong_usage_is_code_2_and_sends_nothing(cloud, run, arguments, said):
    code, out, err = run(*arguments)
    assert (code, out, cloud.calls) == (2, "", [])
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "command", ["create", "list", "show", "wait", "open", "update", "stop", "restart", "delete"]
)
def test_every_command_has_help_and_common_options(run, command):
    """Each command has help with examples and the common options."""
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "examples:\n  modelarts jobs " + command in out
    for option in ("--output", "--config-file", "--region-name", "--local", "--root", "--debug"):
        assert option in out


def parsers(parser, called=""):
    """Each command, with its parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from parsers(below, ("%s %s" % (called, name)).strip())
            return
    yield called, parser


def test_the_page_has_every_command_option_and_exit_code():
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "cli.md").read_text(encoding="utf-8")
    elsewhere = {
        "serve": ("local-service.md", "self-hosting.md", "logs-in-obs.md", "mindinsight.md"),
        "users": ("self-hosting.md",),
    }
    commands = dict(parsers(build()))
    assert {"jobs list", "whoami", "serve", "users add", "completion", "obs sync"} <= set(commands)
    for called, parser in commands.items():
        assert "examples:\n" in parser.format_help(), called  # as the page says
        group, _, verb = called.partition(" ")
        assert re.search(r"\b%s\b" % (verb or group), page), called
        pages = [(docs / name).read_text(encoding="utf-8") for name in elsewhere.get(group, ())]
        text = "\n".join([page, *pages])
        for action in parser._actions:
            options = [one for one in action.option_strings if one.startswith("--")]
            for option in options:
                assert option == "--json" or re.search(r"%s\b" % option, text), (called, option)
    for name in failures.__all__:
        code = getattr(failures, name)
        assert not isinstance(code, int) or "\n| %d | " % code in page


# Terminals --------------------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch):
    """Runs a command at a terminal; answers what it printed."""

    def run(*arguments, columns=80, **environ):
        master, slave = pty.openpty()
        for name, value in {"COLUMNS": str(columns), "TERM": "xterm", **environ}.items():
            monkeypatch.setenv(name, value)
        try:
            with os.fdopen(slave, "w") as stdout, monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", stdout)
                assert main(["jobs", *arguments]) == 0
                # What is there is there at once: a terminal of one's own has no other end.
                return os.read(master, 65536).decode()
        finally:
            os.close(master)

    return run


def test_colours_are_for_terminals_that_want_them(cloud, run, terminal, monkeypatch):
    cloud.add(status=8)
    assert "\x1b" not in run("list")[1]
    assert "\x1b[32mRUNNING\x1b[0m" in terminal("list")
    assert "\x1b[32mRUNNING\x1b[0m" in terminal("show", "101")
    for environ in ({"NO_COLOR": "1"}, {"NO_COLOR": "", "TERM": "dumb"}):
        assert "\x1b" not in terminal("list", **environ)


def test_a_table_fits_the_terminal_and_is_whole_in_a_pipe(cloud, run, terminal):
    desc = ("much wider than any terminal " * 9)[:256]
    cloud.add(job_desc=desc)
    for columns in (40, 80, 120):
        lines = terminal("list", columns=columns, NO_COLOR="1").splitlines()
        assert max(map(len, lines)) <= columns
        assert len(lines) == 2
    assert desc.rstrip() in run("list")[1]


# Completion -------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell, capsys):
    assert main(["completion", shell]) == 0
    printed = capsys.readouterr()
    assert "_ARGCOMPLETE" in printed.out
    assert "modelarts" in printed.out
    assert printed.err == ""


def test_ids_and_names_are_completed_with_what_they_are(cloud):
    given = argparse.Namespace(local=False, root=None, config_file=None, region_name=None)
    cloud.add(job_name="nightly", status=8)
    cloud.add(job_name="1st")
    assert complete_jobs("", given) == {
        "101": "nightly RUNNING",
        "nightly": "101 RUNNING",
        "102": "1st KILLED",
        "1st": "102 KILLED",
    }
    assert sorted(complete_jobs("1", given)) == ["101", "102", "1st"]


def test_where_the_service_does_not_answer_nothing_is_completed(cloud, monkeypatch):
    given = argparse.Namespace(local=False, root=None, config_file=None, region_name=None)
    monkeypatch.setenv("MODELARTS_SECRET_KEY", "wrong")
    assert complete_jobs("", given) == {}
    assert len(cloud.calls) == 1
    given.config_file = "/nowhere/config.json"
    assert complete_jobs("", given) == {}


# Failures ---------------------------------------------------------------------------------


def test_without_credentials_json_says_what_was_tried(run, monkeypatch):
    monkeypatch.delenv("MODELARTS_ACCESS_KEY")
    monkeypatch.delenv("MODELARTS_SECRET_KEY")
    code, out, err = run("list", "-o", "json")
    said = json.loads(err)
    assert (code, out, said["type"]) == (1, "", "CredentialsNotFound")
    assert {"source": "environment S3_*", "reason": "S3_ACCESS_KEY_ID is not set"} in said["tried"]


def test_a_wrong_key_is_said_without_showing_it(run, monkeypatch):
    monkeypatch.setenv("MODELARTS_SECRET_KEY", "a-wrong-secret-key")
    for arguments in (["list"], ["list", "-o", "json"], ["list", "--debug"]):
        code, out, err = run(*arguments)
        assert (code, out) == (1, "")
        assert "APIG.0301" in err
        assert "a-wrong-secret-key" not in err
        assert Cloud.secret_key not in err


def test_only_debug_shows_the_traceback(run, monkeypatch):
    assert "Traceback" not in run("show", "absent")[2]
    assert "Traceback (most recent call last)" in run("show", "absent", "--debug")[2]
    monkeypatch.setenv("MODELARTS_DEBUG", "1")
    assert "Traceback (most recent call last)" in run("show", "absent")[2]


def test_unexpected_error_is_one_line_to_report(capsys):
    """An error that nobody thought of is one line and says where to report it."""

    def surprise():
        raise KeyError("surprise")

    assert guarded(surprise) == 1
    err = capsys.readouterr().err
    assert err.startswith("modelarts: unexpected KeyError: 'surprise'. This is a defect")
    assert "please report it" in err.lower()
    assert err.count("\n") == 1
    assert guarded(surprise, debug=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_code_130(capsys):
    def interrupted():
        raise KeyboardInterrupt

    assert guarded(interrupted) == 130
    assert capsys.readouterr().err == "modelarts: interrupted\n"


def test_what_comes_from_elsewhere_cannot_move_the_cursor(cloud, run, capsys):
    number = cloud.add(job_name="a\x1b[2Jb", job_desc="two\nlines\x07", status=12)
    _, out, _ = run("list")
    assert "a [2Jb" in out
    assert "two lines" in out
    _, out, err = run("restart", str(number))
    _, _, err = run("delete", str(number))
    guarded(lambda: _raise(ModelArtsError("said \x1b[2J")))
    err += capsys.readouterr().err
    assert "\x1b" not in out + err
    assert "\x07" not in out + err


def _raise(error):
    raise error


def test_what_errors_advise_is_said_in_the_words_of_a_terminal(cloud, run, monkeypatch, tmp_path):
    cloud.add(job_name="ending", status=9)
    stopped = cloud.add(status=12)
    _, _, err = run("delete", "ending", "--yes")
    assert "'modelarts jobs wait JOB --until stopped', then delete it" in err
    _, _, err = run("wait", str(stopped))
    assert "'modelarts jobs restart' runs it again" in err
    monkeypatch.setenv("MODELARTS_OBS_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    _, _, err = run("create", "./")
    assert "modelarts: --obs-path must be the folder in OBS that %s is to be sent" % tmp_path in err
    for name in ("access_key", "secret_key"):
        monkeypatch.delenv("MODELARTS_" + name.upper())
    _, _, err = run("list")
    assert "No credentials found. Use --local for the service on this machine" in err
    assert "Session" not in err
