"""The tutorial works as it is printed: its cells and its commands, in their order."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from modelarts.testing import FakeModelArts

pytestmark = pytest.mark.local

PAGE = (Path(__file__).parent.parent / "docs" / "tutorial.md").read_text(encoding="utf-8")
HERE, CLOUD = PAGE.split("\n## In the cloud\n")
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.M | re.S)


class Reader:
    """Runs cells in one kernel, and commands in a shell, in a folder and a home of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.notebook = nbformat.v4.new_notebook()
        resources = {"metadata": {"path": str(folder)}}
        self.client = NotebookClient(
            self.notebook, timeout=120, kernel_name="python3", resources=resources
        )

    def python(self, code):
        self.notebook.cells.append(nbformat.v4.new_code_cell(code))
        number = len(self.notebook.cells) - 1
        self.client.execute_cell(self.notebook.cells[number], number)
        return "".join(
            output.get("text") or output["data"]["text/plain"] + "\n"
            for output in self.notebook.cells[number].outputs
            if output.get("name") != "stderr"
        )

    def sh(self, commands):
        programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        done = subprocess.run(
            ["sh", "-e", "-c", commands],
            cwd=str(self.folder),
            env={**os.environ, "PATH": programs, "BROWSER": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def test_the_tutorial_on_this_machine(tmp_path):
    reader = Reader(tmp_path)
    with reader.client.setup_kernel():
        said = [getattr(reader, kind)(code) for kind, code in BLOCK.findall(HERE)]
    _, board, again, table, commands, live, short, empty, ended = said
    assert again == "True\n"
    assert table.count("/uploads/") == 1
    assert "(from-terminal): stopped" in commands
    addresses = [re.search("http://127.*", text).group() for text in (board, live, short)]
    assert len(set(addresses)) == 3
    assert empty.endswith("[]\n")
    assert "ended process" in ended
    assert not (Path.home() / ".modelarts" / "local").exists()


def test_the_tutorial_in_the_cloud(tmp_path, monkeypatch, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "events.out.tfevents.1").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    ((_, code),) = BLOCK.findall(CLOUD)
    with FakeModelArts(obs=tmp_path / "obs") as fake:
        exec(compile(code, "docs/tutorial.md", "exec"), {})
        assert fake.operations[0] == "create"
        assert fake.requests[0].body["train_url"] == "/bucket/logs/runs/"
        assert fake.operations[-1] == "stop"
    assert (tmp_path / "obs" / "bucket" / "logs" / "runs" / "events.out.tfevents.1").exists()
    assert capsys.readouterr().out.startswith("https://")


def test_files_and_samples_that_the_tutorial_names_are_there():
    root = Path(__file__).parent.parent
    named = re.findall(r"`(samples/[\w.]+)`", PAGE)
    assert len(named) > 3
    assert [name for name in named if not (root / name).exists()] == []
