"""The commands of the questions and answers, one after the other, as a reader would run them."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tensorboardX import SummaryWriter

from tests.clocks import wait_until

pytestmark = pytest.mark.local

PAGE = (Path(__file__).parents[2] / "docs" / "faq.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.M | re.S)
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
DAY = 24 * 3600


@pytest.fixture
def reader(tmp_path):
    """A folder with two runs, one of them old, and a bucket that is not needed any more."""
    for name in ("a", "b"):
        with SummaryWriter(str(tmp_path / "runs" / name)) as writer:
            writer.add_scalar("loss", 0.5, 1)
    (old,) = (tmp_path / "runs" / "b").iterdir()
    past = old.stat().st_mtime - 31 * DAY
    os.utime(str(old), (past, past))
    bucket = Path.home() / ".modelarts" / "local" / "obs" / "old"
    bucket.mkdir(parents=True)
    (bucket / "events.out.tfevents.1").write_bytes(b"x")
    yield tmp_path
    run("modelarts serve --stop", tmp_path)


def run(code, folder, kind="sh"):
    """Return what a block prints."""
    programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["sh", "-e", "-c", code] if kind == "sh" else [sys.executable, "-c", code],
        cwd=str(folder),
        env={**os.environ, "PATH": programs, "BROWSER": "true"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, code + done.stdout
    return done.stdout


def address(text):
    """Return the one address that is in a text."""
    (found,) = re.findall(r"http://127\S*", text)
    return found


def await_runs(board, names):
    """Wait until a board shows runs of these names, and no others."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def shown():
        with direct.open(board + "data/runs", timeout=30) as answer:
            return set(json.load(answer))

    wait_until(lambda: shown() == names)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_each_command_does_what_the_answer_says(reader):
    printed, seen = {}, {}
    for title, text in SECTIONS.items():
        blocks = BLOCK.findall(text)
        printed[title] = [run(code, reader, kind) for kind, code in blocks]
        if blocks:
            seen[title] = sorted(path.name for path in (reader / "runs").iterdir())
        if title.startswith("Compare"):
            by_program, by_command = map(address, printed[title])
            await_runs(by_program, {"after", "before"})
            await_runs(by_command, {"a", "b"})
    board = address(printed["See a board that runs on a server"][0])
    assert address(printed["Show a board to others"][0]).endswith("/shared/")
    assert len(printed["A board is empty"][0].splitlines()) == 2
    with open(str(reader / "loss.csv"), newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["Step"], row["Value"]) == ("1", "0.5")
    assert "(remote): stopping" in printed["Stop everything"][0]
    assert (seen["Stop everything"], seen["Delete old logs"]) == (["a", "b"], ["a"])
    assert "deleted 1 object" in printed["Delete old logs"][1]
    assert board in printed["A port is taken"][0]
    assert not (Path.home() / ".modelarts").exists()


def test_list_of_questions_leads_to_each_answer():
    targets = re.findall(r"\]\(#([\w-]+)\) \|$", PAGE, re.M)
    assert targets == [title.lower().replace(" ", "-") for title in SECTIONS]
