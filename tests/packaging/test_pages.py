"""The code on the pages runs, block after block, and does what the page says.

The tutorial, the README, porting and testing have tests of their own.
"""

import os
import re
import warnings
from pathlib import Path
from unittest.mock import patch

import pytest

from modelarts.errors import NoEventFiles
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.session import Session
from modelarts.testing import FakeClock, FakeModelArts

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


class CtrlC(FakeClock):
    """Somebody interrupts the first pause."""

    def sleep(self, seconds):
        raise KeyboardInterrupt


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name):
    found = BLOCK.findall(page("docs/%s.md" % name))
    assert found
    return [code for code in found if "google.colab" not in code]


def run(name, number, code, names):
    exec(compile(code, "docs/%s.md, block %d" % (name, number), "exec"), names)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """ModelArts, and the folder that a reader has: event files in ``runs``."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "events.out.tfevents.1").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    with patch.dict(os.environ), FakeModelArts(obs=tmp_path / "obs") as fake:
        yield fake


@pytest.fixture
def names(fake):
    """Return the names that the examples of a page can use."""
    session = Session()
    return {
        "JobStatus": JobStatus,
        "Session": Session,
        "VisualizationJob": VisualizationJob,
        "job": VisualizationJob.create("/bucket/logs/", check=False).wait(),
        "session": session,
        "train": lambda: None,
    }


@pytest.mark.parametrize("name", ["jobs", "errors", "network", "notebooks"])
@pytest.mark.filterwarnings("ignore::modelarts.errors.NoEventFiles")
def test_each_block_of_a_page_runs(name, names):
    for number, code in enumerate(blocks(name)):
        run(name, number, code.replace("Session.local()", "Session()"), names)


def test_files_are_where_the_page_on_uploading_says(names, tmp_path):
    home = tmp_path / "ma-user"
    home.mkdir()
    (home / "file1.txt").write_bytes(b"x")
    with warnings.catch_warnings(record=True) as caught:  # the last block leaves a filter
        warnings.simplefilter("always")
        for number, code in enumerate(blocks("uploading")):
            following = "watch=True" in code
            names["session"] = Session(clock=CtrlC() if following else None)
            run("uploading", number, code.replace("/home/ma-user", str(home)), names)
        VisualizationJob.create("/bucket/nothing/")
    assert caught == []
    assert names["NoEventFiles"] is NoEventFiles
    bucket = tmp_path / "obs" / "bucket"
    assert names["job"].train_url == "/bucket/logs/runs/"
    assert (bucket / "logs" / "runs" / "events.out.tfevents.1").read_bytes() == b"x"
    assert (bucket / "dir1" / "file1.txt").exists()
    assert (bucket / "dir1" / "ma-user" / "file1.txt").exists()
    assert (home / "data" / "dir1" / "ma-user" / "file1.txt").exists()


def anchor(heading):
    """As the site of a repository makes it; the HTML is checked when it is built."""
    words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        *sorted("docs/" + path.name for path in (ROOT / "docs").glob("*.md")),
    ],
)
def test_links_between_pages_lead_somewhere(name):
    for path, part in LINK.findall(re.sub(r"^```.*?^```$", "", page(name), flags=re.M | re.S)):
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), path
        if part:
            text = re.sub(r"^```.*?^```$", "", target.read_text("utf-8"), flags=re.M | re.S)
            headings = re.findall(r"^#+ (.*)$", text, re.M)
            assert part in map(anchor, headings), "%s#%s" % (path, part)


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "docs").glob("*.md")))
def test_page_begins_with_its_answer(name):
    """An example, a table, a picture or a list is on the first screen, also on that of a phone."""
    text = page("docs/%s.md" % name)
    answer = re.search(r"^(```|\||!\[|- |\d\. )", text, re.M)
    if name == "glossary":
        answer = re.search(r"^## ", text, re.M)
    assert answer is not None
    assert answer.start() < 800
