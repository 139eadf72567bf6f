"""Each sample does what it says, against the service that it is for."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from modelarts.errors import InvalidArgument
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.identity.users_file import edit
from modelarts.models import STOPPED
from modelarts.testing import FakeModelArts, refused
from tests.servers.service import SECRETS, Service

pytestmark = pytest.mark.local

SAMPLES = Path(__file__).parents[2] / "samples"
URL = "/bucket/logs/"
#: No proxy leads to the local service.
DIRECT = {"NO_PROXY": "127.0.0.1"}


def run(name, *arguments, environ=None):
    """Run a sample as a program of its own; answers what it prints."""
    done = subprocess.run(
        [sys.executable, str(SAMPLES / name), *arguments],
        env={**os.environ, **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def main_of(name):
    return runpy.run_path(str(SAMPLES / name))["main"]


def test_every_sample_is_run_by_a_test():
    tests = "".join(
        path.read_text(encoding="utf-8") for path in Path(__file__).parents[1].rglob("*.py")
    )
    names = [path.name for path in SAMPLES.iterdir() if path.suffix in (".py", ".ipynb")]
    assert "training_to_board.ipynb" in names
    assert [name for name in names if '"%s"' % name not in tests] == []


# Porting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["original_script.py", "port_from_original.py"])
def test_the_script_and_its_port_do_the_same(name, modelarts_service):
    modelarts_service.write_scalars(URL, loss=[0.7, 0.5])
    address, line = run(name, environ=modelarts_service.environ).strip().split("\n")
    (job,) = VisualizationJob.list(modelarts_service.session)
    assert address == job.service_url
    assert line == "%s my_board" % job.job_id
    assert job.wait(until=list(STOPPED)).job_desc == "loss of the first run"


@pytest.mark.parametrize("name", ["original_training.py", "port_training.py"])
def test_training_script_and_its_port_do_the_same(name, modelarts_service):
    files = {
        "code/train.py": "import sys\nprint(*[each for each in sys.argv if '--lr' in each])\n",
        "data/train.csv": "1\n",
    }
    for path, content in files.items():
        file = modelarts_service.obs / "bucket" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    printed = run(name, environ=modelarts_service.environ)
    assert printed.split() == ["JOBSTAT_COMPLETED", "--lr=0.1"]


def test_unchanged_script_runs_without_cloud(modelarts_service, monkeypatch):
    """The unchanged script runs without a cloud as the page says."""
    for name in modelarts_service.environ:
        if name.startswith("MODELARTS_"):
            monkeypatch.delenv(name, raising=False)
    page = (SAMPLES.parent / "docs" / "porting.md").read_text(encoding="utf-8")
    (file,) = re.findall(r"^MODELARTS_CONFIG=(\S+) python your_script.py$", page, re.M)
    file = file.replace("~/.modelarts/local", str(modelarts_service.root))
    modelarts_service.write_scalars(URL, loss=[0.7, 0.5])
    address, line = run("original_script.py", environ={"MODELARTS_CONFIG": file, **DIRECT}).split(
        "\n"
    )[:2]
    (job,) = VisualizationJob.list(modelarts_service.session)
    assert (address, line) == (job.service_url, "%s my_board" % job.job_id)


# The nightly clean-up ---------------------------------------------------------------------


@pytest.fixture
def forgotten(fake_modelarts):
    """A job of 13 hours without auto stop, one with it, and one of an hour."""
    old = VisualizationJob.create(URL, "old").wait()
    scheduled = VisualizationJob.create(URL, "scheduled", auto_stop=24).wait()
    fake_modelarts.clock.now += 12 * 3600
    young = VisualizationJob.create(URL, "young").wait()
    VisualizationJob.create(URL, "ended").wait().stop().wait(JobStatus.KILLED)
    fake_modelarts.clock.now += 3600
    return [old, scheduled, young]


def test_the_cleanup_says_what_it_would_do_and_does_nothing(forgotten, capsys):
    assert main_of("nightly_cleanup.py")(["--older-than", "12"]) == 0
    assert [job.refresh().status.name for job in forgotten] == ["RUNNING"] * 3
    old, scheduled, young = capsys.readouterr().out.strip().split("\n")
    assert "old  13.0 h  /bucket/logs/  would be stopped" in old
    assert "stops by itself after 24 hours" in scheduled
    assert "young  1.0 h" in young
    assert "create it with auto_stop=" in young


def test_the_cleanup_stops_what_was_forgotten_and_nothing_else(forgotten, capsys):
    assert main_of("nightly_cleanup.py")(["--older-than", "12", "--stop"]) == 0
    seen = [job.refresh().status.name for job in forgotten]
    assert seen == ["KILLING", "RUNNING", "RUNNING"]
    assert "/bucket/logs/  stopped" in capsys.readouterr().out


def test_the_cleanup_goes_on_after_a_refusal_and_ends_with_1(fake_modelarts, forgotten, capsys):
    another = VisualizationJob.create(URL, "another").wait()
    fake_modelarts.clock.now += 20 * 3600
    fake_modelarts.fail("stop", refused("ModelArts.0112", "no role", 403))
    assert main_of("nightly_cleanup.py")(["--stop"]) == 1
    assert another.refresh().status == JobStatus.KILLING
    assert "could not be stopped: stop visualization job" in capsys.readouterr().out


def test_the_cleanup_of_a_real_service(modelarts_service):
    job = VisualizationJob.create(URL, "old").wait()
    # Other tests may have moved the service's clock ahead of this machine's.
    older = "--older-than=-1000"
    printed = run("nightly_cleanup.py", older, "--stop", environ=modelarts_service.environ)
    assert printed.endswith("/bucket/logs/  stopped\n")
    assert job.wait(until=list(STOPPED)).status == JobStatus.KILLED


# The shared service -----------------------------------------------------------------------


@pytest.fixture
def team(tmp_path):
    """Runs the sample as a member of a team whose service has users."""
    users = edit(
        tmp_path / "users.json",
        lambda users: users.with_user("ann", ("team-a",)).with_user("bob", ("team-a",)),
    )
    service = Service(tmp_path / "root", "--users", str(tmp_path / "users.json"))
    places = ("modelarts_endpoint", "iam_endpoint", "region_name")
    found = {name: service.connection[name] for name in places}

    def member(name, train_url):
        key = users.by_name[name].key
        SECRETS.add(key.secret_key)
        config = tmp_path / (name + ".json")
        keys = {"access_key": key.access_key, "secret_key": key.secret_key}
        config.write_text(json.dumps({**found, **keys}))
        config.chmod(0o600)
        project = found["region_name"] + "_team-a"
        options = ("--project", project, "--user", name)
        return run("shared_service.py", str(config), train_url, *options, environ=DIRECT)

    yield member
    assert service.end() == 0


def test_a_team_finds_its_boards_again_whoever_created_them(team):
    first = team("ann", "/team/ann/")
    board, line = first.strip().split("\n")
    address = board.split(": ")[1]
    assert line == "  ann  /team/ann/  %s" % address
    assert team("bob", "/team/ann/") == first
    other = team("bob", "/team/bob/").strip().split("\n")
    assert other[1:] == [line, "  bob  /team/bob/  %s" % other[0].split(": ")[1]]
    assert address not in other[0]


def test_a_team_without_room_sees_what_runs(tmp_path, capsys):
    with FakeModelArts(most_active=1) as fake:
        fake.add_job(train_url="/team/ann/", job_name="ann")
        config = tmp_path / "team.json"
        config.write_text(
            json.dumps(
                {
                    "access_key": fake.access_key,
                    "secret_key": fake.secret_key,
                    "project_id": fake.project_id,
                    "region_name": fake.region_name,
                    "modelarts_endpoint": fake.modelarts_endpoint,
                }
            )
        )
        config.chmod(0o600)
        main_of("shared_service.py")([str(config), "/team/bob/", "--user", "bob"])
    no_room, ann = capsys.readouterr().out.strip().split("\n")
    assert no_room == "no room for one more board; these run:"
    assert ann.startswith("  ann  /team/ann/  https://")


# Upload while training --------------------------------------------------------------------


def test_board_shows_steps_during_training(modelarts_service, tmp_path):
    """The board shows steps while training writes them and all at the end."""
    printed = run(
        "upload_while_training.py",
        str(tmp_path / "runs"),
        "obs://bucket/logs/",
        environ=modelarts_service.environ,
    )
    pattern = (
        r"board: (\S+)\nafter 31 of 60 steps the board shows (\d+)\n"
        r"at the end it shows 60, from 0\.6931 to (0\.\d+)\n"
    )
    address, seen, last = re.fullmatch(pattern, printed).groups()
    assert 1 <= int(seen) <= 31
    assert float(last) < 0.5
    (job,) = VisualizationJob.list(modelarts_service.session)
    assert (job.service_url, job.train_url) == (address, "/bucket/logs/runs/")
    assert job.wait(until=list(STOPPED)).status == JobStatus.KILLED


def test_who_uploads_while_training_may_do_so_on_this_machine(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InvalidArgument, match="folder"):
        main_of("upload_while_training.py")([str(tmp_path / "taken"), "bucket/logs", "--local"])


# From training to the board ---------------------------------------------------------------


@pytest.fixture
def notebook():
    import nbformat  # takes seconds, in each process that collects the tests

    return nbformat.read(str(SAMPLES / "training_to_board.ipynb"), as_version=4)


def test_the_notebook_is_kept_without_outputs(notebook):
    import nbformat

    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in cells if cell.outputs or cell.execution_count] == []


def printed(outputs):
    """Return the standard output of a cell; a bar may be there too."""
    return "".join(output["text"] for output in outputs if output.get("name") == "stdout")


def test_the_notebook_leads_from_training_to_the_board(notebook, tmp_path):
    """In a home of its own, so the service is one that nobody else uses."""
    from nbclient import NotebookClient

    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    _, shown, again, card, table, stopped, live = [cell.outputs for cell in code]
    address = re.search(r'<iframe src="([^"]+)"', shown[-1]["data"]["text/html"]).group(1)
    assert printed(again) == "the same job: True\n"
    assert 'href="%s"' % address in card[-1]["data"]["text/html"]
    assert "training-to-board" in table[-1]["data"]["text/plain"]
    assert printed(stopped) == "KILLED\n"
    assert re.fullmatch(r"http://127\.0\.0\.1:\S+\nKILLED\n", printed(live))
    assert "Warning" not in json.dumps(notebook)
    buckets = Path.home() / ".modelarts" / "local" / "obs"
    runs = ["rate-0.1", "rate-0.8", "rate-2.0"]
    assert names_below(tmp_path.glob("runs/*/events*")) == [*runs, "rate-4.0"]
    assert not (buckets / "uploads").exists()
    assert names_below(buckets.glob("live/runs/*/events*")) == [*runs, "rate-4.0"]


def names_below(files):
    return sorted({path.parent.name for path in files})
