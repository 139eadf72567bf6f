"""One program with v1 and v2, on clouds and on the local service; and the command with v2."""

import json
import warnings

import pytest

from modelarts.cli import main
from modelarts.errors import NoEventFiles
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.session import Session
from tests.support.clocks import FakeClock

pytestmark = pytest.mark.local

TRAINING = "11111111-1111-1111-1111-111111111111"
NAMES = ("access_key", "secret_key", "project_id", "region_name", "modelarts_endpoint")

# One program, three services ---------------------------------------------------------------

PROGRAM = """
job = VisualizationJob.create("/bucket/contract/", "board", "mine", auto_stop=2, session=session)
print(job.job_name, job.status.name, job.schedule.duration)
print(job.wait().status.name, bool(job.service_url))
print([found.job_name for found in VisualizationJob.iter(session, search_content="boar")])
print(job.update("other").refresh().job_desc)
print(VisualizationJob.ensure("/bucket/contract/", session=session).job_id == job.job_id)
print(job.stop().wait(JobStatus.KILLED).status.is_stopped)
print(job.restart().wait().status.name, job.train_url)
print(sorted(job.get_visualization_job_info())[:5], job.delete_visualization_job())
"""


@pytest.mark.parametrize("where", ["cloud", "training_cloud", "local-v1", "local-v2"])
def test_same_program_prints_the_same(request, where, capsys):
    if where.startswith("local"):
        service = request.getfixturevalue("service")
        session = service.session(api=where[-2:])
    else:
        cloud = request.getfixturevalue(where)
        session = Session(**{name: getattr(cloud, name) for name in NAMES}, clock=FakeClock())
    with warnings.catch_warnings(), session:
        warnings.simplefilter("ignore", NoEventFiles)
        names = {"JobStatus": JobStatus, "VisualizationJob": VisualizationJob, "session": session}
        exec(PROGRAM, names)
        if where.endswith("v2") or where == "training_cloud":
            assert session.api == "v2"
            for job in VisualizationJob.iter(session):  # that which was replaced
                job.delete()
    assert capsys.readouterr().out.splitlines() == [
        "board INIT 2",
        "RUNNING True",
        "['board']",
        "other",
        "True",
        "True",
        "RUNNING /bucket/contract/",
        "['create_time', 'duration', 'is_success', 'job_desc', 'job_id'] {'is_success': True}",
    ]


def test_command_names_a_training_that_is_not_there(service, capsys, monkeypatch):
    monkeypatch.setenv("MODELARTS_API", "v2")
    arguments = ["jobs", "create", "--training-job", TRAINING, "--name", "x" * 30]
    assert main([*arguments, "--root", str(service.root)]) == 3
    assert "The training job %s does not exist" % TRAINING in capsys.readouterr().err


def test_command_shows_a_job_by_its_uuid(service, capsys, monkeypatch):
    monkeypatch.setenv("MODELARTS_API", "v2")
    root = ["--root", str(service.root)]
    arguments = ["jobs", "create", "/bucket/logs/", "--name", "x" * 30, "--output", "json"]
    assert main([*arguments, *root]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (len(made["job_id"]), made["job_name"]) == (36, "x" * 30)
    assert main(["jobs", "show", made["job_id"], *root]) == 0
    assert made["job_id"] in capsys.readouterr().out
    assert main(["jobs", "delete", "x" * 30, "--yes", *root]) == 0
