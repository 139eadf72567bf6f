"""Each sample does what it says, against the service that it is for."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.jobs.models import STOPPED
from modelarts.testing import FakeModelArts, refused

pytestmark = pytest.mark.local

SAMPLES = Path(__file__).parent.parent / "samples"
URL = "/bucket/logs/"


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
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py"))
    assert [path.name for path in SAMPLES.glob("*.py") if '"%s"' % path.name not in tests] == []


# Porting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["original_script.py", "port_from_original.py"])
def test_the_script_and_its_port_do_the_same(name, modelarts_service):
    modelarts_service.write_scalars(URL, loss=[0.7, 0.5])
    address, line = run(name, environ=modelarts_service.environ).strip().split("\n")
    (job,) = VisualizationJob.list(modelarts_service.session)
    assert address == job.service_url
    assert line == "%s my_board" % job.job_id
    assert job.wait(until=list(STOPPED)).job_desc == "loss of the first run"


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
    printed = run(
        "nightly_cleanup.py", "--older-than", "0", "--stop", environ=modelarts_service.environ
    )
    assert printed.endswith("/bucket/logs/  stopped\n")
    assert job.wait(until=list(STOPPED)).status == JobStatus.KILLED


# The shared service -----------------------------------------------------------------------


def test_a_team_finds_its_boards_again(modelarts_service, tmp_path):
    connection = json.loads((modelarts_service.root / "service.json").read_text())
    config = tmp_path / "team.json"
    names = ("access_key", "secret_key", "project_id", "region_name")
    places = ("modelarts_endpoint", "iam_endpoint")
    config.write_text(json.dumps({name: connection[name] for name in (*names, *places)}))
    config.chmod(0o600)
    direct = {"NO_PROXY": "127.0.0.1"}
    first = run("shared_service.py", str(config), "/team/ann/", "--user", "ann", environ=direct)
    again = run("shared_service.py", str(config), "/team/ann/", "--user", "ann", environ=direct)
    other = run("shared_service.py", str(config), "/team/bob/", "--user", "b.o.b", environ=direct)
    assert first == again
    ann, bob = VisualizationJob.list(modelarts_service.session)
    assert first.startswith("your board: %s\n" % ann.service_url)
    assert other.startswith("your board: %s\n" % bob.service_url)
    assert "  ann  /team/ann/  %s\n  b-o-b  /team/bob/  " % ann.service_url in other


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
