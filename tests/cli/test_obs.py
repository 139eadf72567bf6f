"""``modelarts obs …`` on a folder, as with the local service."""

import errno
import io
import json
import os
import pty
import re
import subprocess
import sys
from functools import partial

import pytest


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The environment says that OBS is a folder."""
    place = tmp_path / "obs"
    (place / "bucket").mkdir(parents=True)
    for name, value in {
        "ACCESS_KEY": "AK",
        "SECRET_KEY": "a-secret-key",
        "PROJECT_ID": "p",
        "ENDPOINT": "https://modelarts.example.com",
        "OBS_ENDPOINT": place.as_uri(),
    }.items():
        monkeypatch.setenv("MODELARTS_" + name, value)
    return place


@pytest.fixture
def runs(tmp_path):
    runs = tmp_path / "runs"
    (runs / "a").mkdir(parents=True)
    (runs / "a" / "events").write_text("12345")
    (runs / "notes.txt").write_text("abc")
    return runs


@pytest.fixture
def run(run_command):
    return partial(run_command, "obs")


def test_a_folder_goes_there_and_comes_back(run, runs, place, tmp_path):
    code, out, err = run("upload", runs, "obs://bucket/logs/")
    assert (code, out, err) == (0, "obs://bucket/logs/runs/: 2 files, 8 B\n", "")
    assert (place / "bucket/logs/runs/a/events").read_text() == "12345"
    back = tmp_path / "back"
    assert run("download", "obs://bucket/logs/runs/", back, "--no-progress")[0] == 0
    assert (back / "runs" / "notes.txt").read_text() == "abc"


def test_a_file_goes_there_and_comes_back(run, runs, place, tmp_path):
    code, out, _ = run("upload", runs / "notes.txt", "obs://bucket/logs/", "-o", "json")
    said = json.loads(out)
    assert code == 0
    assert {key: said[key] for key in said if key != "seconds"} == {
        "target": "obs://bucket/logs/notes.txt",
        "files": 1,
        "bytes": 3,
        "unchanged": 0,
        "skipped": [],
        "is_success": True,
    }
    (tmp_path / "back").mkdir()
    assert run("download", "obs://bucket/logs/notes.txt", tmp_path / "back")[0] == 0
    assert (tmp_path / "back" / "notes.txt").read_text() == "abc"


def test_sync_sends_what_has_changed(run, runs, place):
    assert run("sync", runs, "obs://bucket/logs/")[:2] == (
        0,
        "obs://bucket/logs/runs/: 2 files, 8 B\n",
    )
    (runs / "notes.txt").write_text("abcd")
    assert run("sync", runs, "obs://bucket/logs/")[:2] == (
        0,
        "obs://bucket/logs/runs/: 1 file, 4 B; 1 unchanged\n",
    )


def test_what_a_script_ends_by_kill_has_sent_the_rest(runs, place):
    command = [sys.executable, "-m", "modelarts", "obs", "sync", str(runs), "obs://bucket/logs/"]
    with subprocess.Popen(
        [*command, "--watch", "--interval", "3600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr.readline().startswith("following ")
        (runs / "notes.txt").write_text("the last words")
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert (place / "bucket/logs/runs/notes.txt").read_text() == "the last words"


def test_where_files_are_missing_the_command_is_to_be_run_again(run, runs, place):
    (place / "bucket" / "logs").write_text("no folder")
    code, _, err = run("upload", runs, "obs://bucket/logs/")
    assert code == 1
    assert "2 of 2 files are missing; run the command again to go on" in err


def test_ls_lists_all_objects(run, runs):
    run("upload", runs, "obs://bucket/logs/")
    code, out, _ = run("ls", "obs://bucket/logs/")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("5", "B", "obs://bucket/logs/runs/a/events"),
        ("3", "B", "obs://bucket/logs/runs/notes.txt"),
    ]
    _, out, _ = run("ls", "obs://bucket/logs/", "--output", "json")
    assert [(one["url"], one["size"]) for one in json.loads(out)] == [
        ("obs://bucket/logs/runs/a/events", 5),
        ("obs://bucket/logs/runs/notes.txt", 3),
    ]


def test_what_is_not_there_is_code_3(run, tmp_path):
    for arguments in (
        ("ls", "obs://bucket/absent/"),
        ("download", "obs://bucket/absent", tmp_path),
        ("download", "obs://bucket/absent/", tmp_path),
        ("rm", "obs://bucket/absent", "--yes"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (3, ""), arguments
        assert err.startswith("modelarts: ")
        assert "absent" in err
    assert run("ls", "obs://bucket/") == (0, "The bucket is empty.\n", "")


def test_what_to_do_instead_is_said_as_it_is_done_here(run, runs):
    run("upload", runs, "obs://bucket/")
    for arguments, said in (
        (("download", "obs://bucket/runs", "."), "obs://bucket/runs/ is a folder: give it with"),
        (("download", "obs://bucket/runs/notes.txt/", "."), "is an object: give it without the"),
        (("download", "obs://bucket", "."), "a folder, or bucket, ends with a slash"),
        (("sync", runs / "notes.txt", "obs://bucket/"), "is sent by 'modelarts obs upload'"),
        (("rm", "obs://bucket/runs/", "--yes"), "--recursive deletes a folder"),
    ):
        code, out, err = run(*arguments)
        assert (code in (2, 3), out) == (True, "")
        assert said in err
        assert not re.search("(up|down)load_(file|dir) fetches|by upload_", err)


def test_rm_asks_before_it_deletes(run, runs, place, monkeypatch):
    run("upload", runs, "obs://bucket/logs/")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    code, _, err = run("rm", "obs://bucket/logs/runs/notes.txt")
    assert code == 2
    assert "there is no terminal to ask at" in err
    master, slave = pty.openpty()
    with os.fdopen(slave) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        os.write(master, b"n\n")
        code, _, err = run("rm", "obs://bucket/logs/", "--recursive")
        assert err.startswith("Delete all objects below obs://bucket/logs/? [y/N] ")
        assert (code, (place / "bucket/logs/runs/notes.txt").exists()) == (1, True)
        os.write(master, b"y\n")
        code, out, _ = run("rm", "obs://bucket/logs/", "--recursive")
    os.close(master)
    assert (code, out) == (0, "deleted 2 objects\n")
    assert not (place / "bucket/logs/runs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["upload", "absent", "obs://bucket/"], "src_local_file must be"),
        (["upload", ".", "/tmp/"], "dst_obs_dir must be"),
        (["ls", "bucket"], "obs_dir must be a path in OBS"),
        (["rm", "obs://bucket/logs/", "--yes"], "--recursive deletes a folder"),
        (["rm", "obs://bucket/", "-r", "--yes"], "--empty-bucket deletes all objects"),
        (["sync", ".", "obs://bucket/", "--watch", "--interval", "0"], "from 1 to"),
        (["copy"], "invalid choice: 'copy'"),
        ([], "usage: modelarts obs [-h] COMMAND"),
    ],
)
def test_wrong_usage_is_code_2(run, arguments, said):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_a_home_that_no_shell_put_in_is_found(run, runs, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # as Windows names it
    code, out, err = run("upload", "~/runs", "obs://bucket/")
    assert (code, out, err) == (0, "obs://bucket/runs/: 2 files, 8 B\n", "")


@pytest.mark.parametrize("as_json", [False, True])
def test_what_this_machine_refuses_names_the_file(run, runs, as_json):
    run("upload", runs, "obs://bucket/")
    target = str(runs / "notes.txt" / "x") + "/"
    options = ["--output", "json"] if as_json else []
    code, out, err = run("download", "obs://bucket/runs/a/events", target, *options)
    assert (code, out) == (1, "")
    said = "%s: %s" % (target.rstrip("/"), os.strerror(errno.ENOTDIR))
    if as_json:
        failure = json.loads(err)
        assert failure == {"is_success": False, "error": said, "type": "NotADirectoryError"}
    else:
        assert err == "modelarts: %s\n" % said


def test_who_follows_what_is_not_there_is_told_so_at_once(tmp_path):
    command = [sys.executable, "-m", "modelarts", "obs", "sync", "--watch"]
    command += [str(tmp_path / "rnus"), "obs://bucket/"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as following:
        said = following.stderr.readline()
        following.kill()
    assert "rnus, which is not there yet; Ctrl-C" in said


def test_names_are_shown_without_what_a_terminal_would_obey(run, runs):
    folder = runs / "a\nb"
    folder.mkdir()
    (folder / "\x1b[31m红\u3000色").write_text("1")
    code, out, _ = run("upload", folder, "obs://bucket/")
    assert (code, out) == (0, "obs://bucket/a?b/: 1 file, 1 B\n")
    code, out, _ = run("ls", "obs://bucket/")
    assert (code, out.split("  ")[-1]) == (0, "obs://bucket/a?b/?[31m红\u3000色\n")


@pytest.mark.parametrize("command", ["upload", "download", "sync", "ls", "rm"])
def test_each_command_has_help_with_examples(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "examples:\n  modelarts obs " + command in out


def test_what_is_skipped_is_said_in_one_line(run, runs):
    (runs / "link").symlink_to(runs / "notes.txt")
    code, out, err = run("upload", runs, "obs://bucket/logs/")
    assert (code, out) == (0, "obs://bucket/logs/runs/: 2 files, 8 B; 1 skipped\n")
    assert err.startswith("modelarts: warning: ")
    assert "link" in err
    assert ".py:" not in err
