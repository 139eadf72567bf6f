"""Each sample of the SDK reference's pages on visualization jobs runs as it is printed there.

Only the bucket's path, the job's id and the session's credentials are other ones.
"""

import pytest

from modelarts.estimator import JobStatus, VisualizationJob

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
_METHODS = ("job", "job_visualization_instance", "job_visualization_instance_list[0]")
_CALLS = {
    "details": "{0}.get_visualization_job_info()",
    "update": "{0}.update_visualization_job(job_desc='update visualization job')",
    "stop": "{0}.stop_visualization_job()",
    "restart": "{0}.restart_visualization_job()",
    "delete": "{0}.delete_visualization_job()",
}


@pytest.fixture(params=[_KEYS, _PASSWORD], ids=["keys", "password"])
def notebook(request, service):
    """The names of a notebook in which a session was made as documented."""
    return _fresh(request, service)


def _fresh(request, service):
    names = {}
    found = service.connection
    for code in (_SESSION, _ENDPOINT, request.param):
        exec(code.format(**found), names)
    yield_later = names["session"]
    request.addfinalizer(lambda: _clean(yield_later))
    return names


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
        expected = {
            "details": answer.get("status") == 8,
            "update": left[0]["job_desc"] == "update visualization job",
            "stop": left[0]["status"] in (9, 12),
            "restart": left[0]["status"] in (7, 8),
        }
        assert expected[call]
