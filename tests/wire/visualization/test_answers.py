"""Any JSON answer gives a typed error or a right object."""

import json
from datetime import datetime

import pytest
import responses
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modelarts.errors import ApiError, ModelArtsError
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.models import JobInfo, Schedule
from tests.servers.cloud import DOCUMENTED, HOST, Cloud, with_keys
from tests.support.clocks import FakeClock

JOBS = "https://%s/v1/%s/visualization-jobs" % (HOST, Cloud.project_id)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**30), max_value=10**30)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["8", "1524189990635", "nan", "1e400", "-1", ""]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = (
    *DOCUMENTED,
    "remaining_duration",
    "schedule",
    "job_type",
    "is_success",
    "error_code",
    "error_msg",
    "error_message",
    "error",
    "reason",
)
jobs = st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=len(FIELDS)) | (
    st.fixed_dictionaries(
        {"job_id": st.sampled_from([197, "197"]), "status": st.integers(-5, 300)},
        optional={field: json_values for field in FIELDS if field not in ("job_id", "status")},
    )
)
pages = st.fixed_dictionaries(
    {"jobs": st.lists(jobs, max_size=4) | json_values},
    optional={"job_total_count": json_values, "job_count_limit": json_values},
)
statuses = st.sampled_from([200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 409, 429, 500, 503])


def _settings(examples):
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )


few, many = _settings(40), _settings(150)


@pytest.fixture(scope="module")
def session():
    return with_keys(
        project_id=Cloud.project_id,
        modelarts_endpoint=Cloud.modelarts_endpoint,
        retries=1,
        clock=FakeClock(),
    )


def _answering(status, body):
    mock = responses.RequestsMock(assert_all_requests_are_fired=False)
    text = body if isinstance(body, (bytes, str)) else json.dumps(body)
    for method in (responses.GET, responses.POST, responses.PUT, responses.DELETE):
        mock.add_callback(method, JOBS, lambda request: (status, {}, text))
        mock.add_callback(method, JOBS + "/197", lambda request: (status, {}, text))
        mock.add_callback(method, JOBS + "/197/stop", lambda request: (status, {}, text))
    return mock


def _is_right(job):
    """Every attribute can be read, and is of its documented type."""
    assert job.job_id == str(int(job.job_id))
    assert job.status is None or isinstance(job.status, JobStatus)
    for number in (job.create_time, job.duration):
        assert number is None or type(number) is int
    for text in (job.job_name, job.job_desc, job.service_url, job.train_url, job.resource_id):
        assert text is None or isinstance(text, str)
    assert job.schedule is None or isinstance(job.schedule, Schedule)
    assert isinstance(job.info, JobInfo)
    assert job.info.created is None or isinstance(job.info.created, datetime)
    assert isinstance(repr(job), str)


def _attempt(call):
    try:
        return call()
    except ModelArtsError as error:
        return error


@few
@given(status=statuses, body=jobs | json_values)
def test_details(session, status, body):
    _look_at_details(session, status, body)


@pytest.mark.extended
@many
@given(status=statuses, body=jobs | json_values)
def test_more_details(session, status, body):
    _look_at_details(session, status, body)


def _look_at_details(session, status, body):
    with _answering(status, body):
        _attempt(lambda: _is_right(VisualizationJob.get(197, session)))
        info = _attempt(VisualizationJob(session, 197).get_visualization_job_info)
        if isinstance(info, dict) and info["is_success"]:
            assert info["job_id"] in (197, None)
            assert info["status"] is None or type(info["status"]) is int


@few
@given(status=statuses, body=pages | json_values)
@example(status=200, body={"jobs": [{"job_id": [None]}]})
def test_lists(session, status, body):
    _look_at_lists(session, status, body)


@pytest.mark.extended
@many
@given(status=statuses, body=pages | json_values)
def test_more_lists(session, status, body):
    _look_at_lists(session, status, body)


def _look_at_lists(session, status, body):
    with _answering(status, body):
        _attempt(lambda: [_is_right(job) for job in VisualizationJob.list(session)])
        _attempt(lambda: VisualizationJob.get_visualization_job_object_list(session))
        listed = _attempt(lambda: VisualizationJob.get_visualization_job_list(session))
        if isinstance(listed, dict) and listed["is_success"]:
            assert all(type(job["status"]) in (int, type(None)) for job in listed["jobs"])


@few
@given(status=statuses, body=jobs | json_values)
def test_creates_and_actions(session, status, body):
    _look_at_actions(session, status, body)


@pytest.mark.extended
@many
@given(status=statuses, body=jobs | json_values)
def test_more_creates_and_actions(session, status, body):
    _look_at_actions(session, status, body)


def _look_at_actions(session, status, body):
    with _answering(status, body):
        _attempt(lambda: _is_right(VisualizationJob.create("/bucket/logs/", session=session)))
        job = VisualizationJob(session, 197)
        for call in (job.stop, job.delete, lambda: job.update("x")):
            _attempt(call)
        stopped = _attempt(job.stop_visualization_job)
        assert isinstance(stopped, (dict, ModelArtsError))


@many
@given(status=statuses, body=st.binary(max_size=200))
def test_bytes_that_are_nothing(session, status, body):
    with _answering(status, body):
        path = "/v1/%s/visualization-jobs" % Cloud.project_id
        answer = _attempt(lambda: session.request("GET", path))
        if status >= 300:
            assert isinstance(answer, ApiError)
            assert answer.status_code == status
