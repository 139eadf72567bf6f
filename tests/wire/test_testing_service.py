"""The fixtures and the documentation of ``modelarts.testing``, in runs of pytest of their own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelarts.errors import InvalidArgument
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.session import Session
from modelarts.testing import faults, service
from modelarts.testing.fake import OPERATIONS
from tests.support.boards import curve

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
URL = "/bucket/logs/"


#: What pytest need not load, which takes it seconds.
_WITHOUT = [
    part
    for plugin in ("cacheprovider", "schemathesis", "hypothesispytest", "_hypothesis_globals")
    for part in ("-p", "no:" + plugin)
]


def run_pytest(folder, *arguments):
    """pytest on a folder, as its user runs it; answers what it prints."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *_WITHOUT, *arguments, str(folder)],
        cwd=str(folder),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout


# The page ---------------------------------------------------------------------------------


def test_every_test_of_the_page_passes(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    assert blocks[0].startswith("# boards.py\n")
    (tmp_path / "boards.py").write_text(blocks[0], encoding="utf-8")
    for number, block in enumerate(blocks[1:]):
        (tmp_path / ("test_%d.py" % number)).write_text(block, encoding="utf-8")
    tests = len(re.findall(r"^ *def test_", PAGE, re.M))
    code, printed = run_pytest(tmp_path)
    assert code == 0, printed
    assert re.search(r"\b%d passed\b(?!.*failed)" % tests, printed)
    assert tests > len(blocks) - 1 > 5


def test_every_fault_and_operation_of_the_page_is_there():
    table = PAGE[PAGE.index("| fault |") :].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)\(", table, re.M)
    assert sorted(rows) == sorted(name for name in faults.__all__ if name != "Fault")
    sentence = re.search(r"The operations are (.*?)\.\n", PAGE, re.S).group(1)
    assert re.findall(r"`(\w+)`", sentence) == list(OPERATIONS)


def test_documented_filter_hides_the_warning(tmp_path):
    """The line of the page filters the warning of a folder without event files."""
    line = re.search(r"`(ignore::\S+)`", PAGE).group(1)
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "from modelarts.estimator import VisualizationJob\n"
        "@pytest.mark.filterwarnings('error')\n"
        "def test_without(fake_modelarts):\n"
        "    VisualizationJob.create('/bucket/logs/')\n"
        "@pytest.mark.filterwarnings('error', '%s')\n"
        "def test_with(fake_modelarts):\n"
        "    VisualizationJob.create('/bucket/logs/')\n" % line
    )
    code, printed = run_pytest(tmp_path, "-rf")
    assert (code, "1 failed, 1 passed" in printed) == (1, True), printed
    assert re.search(r"^FAILED .*::test_without - .*NoEventFiles", printed, re.M), printed


# The plugin -------------------------------------------------------------------------------


def test_pytest_finds_the_fixtures_by_itself(tmp_path):
    code, printed = run_pytest(tmp_path, "--fixtures", "-q")
    for name in ("fake_modelarts", "modelarts_service", "no_sleep"):
        assert re.search(r"^%s\b" % name, printed, re.M), printed
    assert code == 0


def test_the_plugin_can_be_left_out(tmp_path):
    _, printed = run_pytest(tmp_path, "--fixtures", "-q", "-p", "no:modelarts")
    assert "fake_modelarts" not in printed


def test_a_run_that_does_not_use_the_fixtures_imports_none_of_it(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    ours = {name for name in sys.modules if name.split('.')[0] == 'modelarts'}\n"
        "    assert ours == {'modelarts', 'modelarts.testing', 'modelarts.testing.plugin'}\n"
    )
    code, printed = run_pytest(tmp_path)
    assert code == 0, printed


def test_the_plugin_needs_nothing_but_pytest():
    program = "import sys, modelarts.testing.plugin; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, text=True
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not {"attr", "requests", "responses", "tensorboard"} & loaded


# The service ------------------------------------------------------------------------------


def test_a_service_of_a_block_is_gone_after_it():
    before = dict(os.environ)
    with service() as running:
        found = json.loads((running.root / "service.json").read_text())
        running.write_scalars(URL, loss=[0.7, 0.5])
        job = VisualizationJob.create(URL).wait()
        assert [value for _, value in curve(job, 2)] == [0.7, 0.5]
    assert not running.root.exists()
    assert dict(os.environ) == before
    with pytest.raises(ProcessLookupError):
        os.kill(found["pid"], 0)


def test_a_folder_that_was_given_is_kept_and_must_be_empty(tmp_path):
    with service(tmp_path / "root") as running:
        assert VisualizationJob.list(running.session) == []
    assert (tmp_path / "root" / "jobs.sqlite").exists()
    with pytest.raises(InvalidArgument, match="a new or an empty folder"):
        service(tmp_path / "root").__enter__()


def test_a_service_that_ended_by_itself_is_no_trouble(tmp_path):
    with service(tmp_path / "root") as running:
        running.end()
        running.come_back()
        assert VisualizationJob.list(running.session) == []
        running.end()


def test_the_fixture_cleans_up_whatever_a_test_leaves(modelarts_service):
    modelarts_service.write_scalars(URL, loss=[1.0])
    (modelarts_service.obs / "file").write_text("x")
    (modelarts_service.obs / "link").symlink_to(modelarts_service.root)
    running = VisualizationJob.create(URL).wait()
    stopping = VisualizationJob.create(URL).wait().stop()
    modelarts_service.clear()
    assert VisualizationJob.list() == []
    assert list(modelarts_service.obs.iterdir()) == []
    assert (modelarts_service.root / "service.json").exists()
    assert running.job_id != stopping.job_id


def test_session_finds_the_service_of_the_fixture(modelarts_service):
    assert Session().project_id == modelarts_service.session.project_id
    assert VisualizationJob.create(URL).status == JobStatus.INIT


def test_time_passes_for_the_service_when_it_is_told(modelarts_service):
    job = VisualizationJob.create(URL, auto_stop=2).wait()
    modelarts_service.advance(2 * 3600 - 60)
    assert job.refresh().status == JobStatus.RUNNING
    modelarts_service.advance(61)
    assert job.wait(until=JobStatus.KILLED).status == JobStatus.KILLED
