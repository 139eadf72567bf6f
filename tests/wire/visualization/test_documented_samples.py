"""Each sample of the SDK reference's pages on visualization jobs runs as it is printed there.

Only the bucket's path, the job's id and the session's credentials are other ones. They run with
the local service, and with the two services of the documents: of v1, and of v2.
"""

import warnings

import pytest

from modelarts.errors import NoEventFiles
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.testing import no_sleep

pytestmark = pytest.mark.local

_SESSION = """
from modelarts.session import Session
from modelarts.estimator import VisualizationJob
"""
_ENDPOINT = """
from modelarts.session import Session
# Set endpoint
Session.set_endpoint(iam_endpoint='{iam_endpoint}',
                     obs_endpoint='{obs_endpoint}',
                     modelarts_endpoint='{modelarts_endpoint}',
                     region_name='{region_name}')
"""
_KEYS = (
    "session = Session(access_key='{access_key}',secret_key='{secret_key}', "
    "project_id='{project_id}', region_name='{region_name}')\n"
)
_PASSWORD = (
    "session = Session(account='{account}', username='{username}',  password='{password}', "
    "region_name='{region_name}', project_id='{project_id}')\n"
)
_CREATE = """
job = VisualizationJob(modelarts_session=session)
job_visualization_instance = job.create_visualization_job(train_url='/bucket/train/', job_name='visualization_job', job_desc='my visualization job')
"""  # noqa: E501
_OBJECT_LIST = """
job_visualization_instance_list = VisualizationJob.get_visualization_job_object_list(modelarts_session=session, is_show=True, status=8, per_page=10, page=1, sort_by="create_time", order="asc", search_content="job")
"""  # noqa: E501
_LIST = """
job_list = VisualizationJob.get_visualization_job_list(modelarts_session=session, status=8, per_page=10, page=1, sort_by="create_time", order="asc", search_content="job")
"""  # noqa: E501
_BY_ID = """
job = VisualizationJob(modelarts_session=session, visualization_id='{visualization_id}')
"""
_SETTINGS = (
    "access_key",
    "secret_key",
    "project_id",
    "region_name",
    "account",
    "username",
    "password",
    "modelarts_endpoint",
    "iam_endpoint",
)
_METHODS = ("job", "job_visualization_instance", "job_visualization_instance_list[0]")
_CALLS = {
    "details": "{0}.get_visualization_job_info()",
    "update": "{0}.update_visualization_job(job_desc='update visualization job')",
    "stop": "{0}.stop_visualization_job()",
    "restart": "{0}.restart_visualization_job()",
    "delete": "{0}.delete_visualization_job()",
}


@pytest.fixture(params=["service", "cloud", "training_cloud"])
def connection(request):
    """The settings of a session with each service; the training cloud has the v2 API alone."""
    place = request.getfixturevalue(request.param)
    if request.param == "service":
        yield place.connection
        return
    if request.param == "training_cloud":
        place.add_training("obs://bucket/train")
    place.password = "without-quotes"  # the samples put it between some
    found = {name: getattr(place, name) for name in _SETTINGS}
    obs = request.getfixturevalue("tmp_path").as_uri()
    with no_sleep(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NoEventFiles)
        yield {**found, "obs_endpoint": obs}


@pytest.fixture(params=[_KEYS, _PASSWORD], ids=["keys", "password"])
def notebook(request, connection):
    """The names of a notebook in which a session was made as documented."""
    names = {}
    for code in (_SESSION, _ENDPOINT, request.param):
        exec(code.format(**connection), names)
    yield names
    _clean(names["session"])


def _clean(session):
    for job in VisualizationJob.iter(session):
        if job.status == JobStatus.KILLING:
            job.wait(until=JobStatus.KILLED)
        job.delete()
    session.close()


def test_creating_a_visualization_job(notebook):
    exec(_CREATE, notebook)
    made = notebook["job_visualization_instance"]
    assert (made.job_name, made.is_success) == ("visualization_job", True)
    assert made.wait().get_visualization_job_info()["job_desc"] == "my visualization job"


def test_querying_the_list_of_visualization_job_objects(notebook, capsys):
    exec(_CREATE, notebook)
    notebook["job_visualization_instance"].wait()
    exec(_OBJECT_LIST, notebook)
    (found,) = notebook["job_visualization_instance_list"]
    assert found.job_id == notebook["job_visualization_instance"].job_id
    assert "visualization_job  RUNNING" in capsys.readouterr().out


def test_obtaining_visualization_jobs(notebook):
    exec(_CREATE, notebook)
    notebook["job_visualization_instance"].wait()
    exec(_LIST, notebook)
    listed = notebook["job_list"]
    assert (listed["is_success"], listed["job_total_count"]) == (True, 1)
    assert listed["jobs"][0]["job_name"] == "visualization_job"


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize("call", list(_CALLS))
def test_every_other_page_by_each_of_its_three_methods(notebook, call, method, capsys):
    exec(_CREATE, notebook)
    made = notebook["job_visualization_instance"].wait()
    exec(_OBJECT_LIST, notebook)
    exec(_BY_ID.format(visualization_id=made.visualization_id), notebook)
    if call == "restart":
        made.stop().wait(until=JobStatus.KILLED)
    answer = eval(_CALLS[call].format(method), notebook)
    assert answer["is_success"] is True, answer
    left = VisualizationJob.get_visualization_job_list(notebook["session"])["jobs"]
    if call == "delete":
        assert left == []
    else:
        # A restart over v2 leaves the job that it replaces.
        assert len(left) == (2 if "replaces" in answer else 1)
        expected = {
            "details": answer.get("status") == 8,
            "update": left[-1]["job_desc"] == "update visualization job",
            "stop": left[-1]["status"] in (9, 12),
            "restart": left[-1]["status"] in (1, 7, 8),
        }
        assert expected[call]


def test_training_cloud_is_reached_by_v2(training_cloud):
    """The samples above name no API; the first call shows that v1 is none of this service."""
    training_cloud.add_training("obs://bucket/train")
    with no_sleep(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NoEventFiles)
        names = {}
        found = {name: getattr(training_cloud, name) for name in _SETTINGS}
        for code in (_SESSION, _ENDPOINT, _KEYS, _CREATE):
            exec(code.format(obs_endpoint="file:///nowhere", **found), names)
    assert names["session"].api == "v2"
    assert len(names["job_visualization_instance"].job_id) == 36
