"""The tutorial, and the way to a board in the README, work as they are printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelarts.testing import FakeModelArts

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
HERE, CLOUD = PAGE.split("\n## In the cloud\n")
WIDGET = "application/vnd.jupyter.widget-view+json"
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.M | re.S)


def sh(commands, folder):
    """Run commands in that folder and return their output."""
    programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["sh", "-e", "-c", commands],
        cwd=str(folder),
        env={**os.environ, "PATH": programs, "BROWSER": "true"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


class Kernel:
    """Runs cells in that folder."""

    def __init__(self, folder):
        # Takes seconds, in each process that collects the tests.
        from nbclient import NotebookClient
        from nbformat import v4

        self._new_cell = v4.new_code_cell
        self.notebook = v4.new_notebook()
        resources = {"metadata": {"path": str(folder)}}
        self.client = NotebookClient(
            self.notebook, timeout=120, kernel_name="python3", resources=resources
        )

    def run(self, code):
        """Return the output of a cell, without progress bars."""
        number = len(self.notebook.cells)
        self.notebook.cells.append(self._new_cell(code))
        self.client.execute_cell(self.notebook.cells[number], number)
        return "".join(
            output.get("text") or output["data"]["text/plain"] + "\n"
            for output in self.notebook.cells[number].outputs
            if output.get("name") != "stderr" and WIDGET not in output.get("data", ())
        )


def test_the_tutorial_on_this_machine(tmp_path):
    kernel = Kernel(tmp_path)
    with kernel.client.setup_kernel():
        *blocks, (_, clean_up) = BLOCK.findall(HERE)
        said = [
            kernel.run(code) if kind == "python" else sh(code, tmp_path) for kind, code in blocks
        ]
        files = (Path.home() / ".modelarts/local/obs/tutorial/runs").glob("*/events*")
        runs = sorted(path.parent.name for path in files)
        ended = sh(clean_up, tmp_path)
    _, board, again, table, commands, live, short, empty = said
    assert runs == ["fast", "faster", "long", "slow"]
    assert again == "True\n"
    assert table.count("%s/runs" % tmp_path.name) == 1
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


def test_readme_leads_to_board_in_ten_lines(tmp_path):
    """The readme leads to a board of ones own logs in ten lines."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "events.out.tfevents.1").write_bytes(b"")
    section, notebook = re.search(
        r"^## Your own logs\n(.*?)^## In a notebook\n(.*?)^## ", README, re.M | re.S
    ).groups()
    (_, command), (_, program) = BLOCK.findall(section)
    assert len(command.splitlines()) == 1
    assert len(program.splitlines()) <= 10
    (_, cell), (_, several) = BLOCK.findall(notebook)
    for name in ("1", "2"):
        (tmp_path / "runs" / name).mkdir()
    (tmp_path / "program.py").write_text(program + cell + several, encoding="utf-8")
    try:
        opened, shown, both = [
            line for line in sh("python program.py", tmp_path).split("\n") if "http" in line
        ]
        # ensure() takes the job that is there.
        assert shown == "board: " + opened
        assert both.startswith("board: http")
        assert both != shown
        assert list((Path.home() / ".modelarts/local/obs").iterdir()) == []
        # It is still there.
        sh("modelarts serve --status && modelarts serve --stop", tmp_path)
        printed = sh(command, tmp_path)
        assert "RUNNING" in printed
        assert re.search("http://127.*", printed).group() != opened
        sh("modelarts serve --status", tmp_path)
    finally:
        sh("modelarts serve --stop", tmp_path)


def test_files_that_these_pages_name_are_there():
    named = re.findall(r"`(samples/[\w.]+)`", PAGE) + re.findall(r"\]\(((?!http)[^)#]+)\)", README)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []
