"""Helpers for users' tests: the fake, its faults, payloads, clocks."""

import contextlib
import doctest
import os
import threading

import pytest
import requests
import responses

from modelarts._internal.clock import Clock
from modelarts.errors import (
    AmbiguousCreate,
    ApiError,
    AuthenticationFailed,
    BadRequest,
    InvalidArgument,
    JobStateError,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    ServerError,
    TransportError,
)
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.models import JobInfo, JobPage
from modelarts.session import Session
from modelarts.testing import (
    FakeClock,
    FakeModelArts,
    Malformed,
    answer_lost,
    clocks,
    created_payload,
    fake,
    job_payload,
    never_sent,
    no_sleep,
    page_payload,
    payloads,
    quota_exceeded,
    rate_limited,
    refused,
    server_error,
    token_payload,
)

URL = "/bucket/logs/"


# Statuses ---------------------------------------------------------------------------------


def test_each_look_is_a_step_and_the_last_status_stays(fake_modelarts):
    fake_modelarts.statuses = [1, 7, 8, 11]
    job = VisualizationJob.create(URL)
    seen = [job.status, *(job.refresh().status for _ in range(4))]
    assert seen == [1, 7, 8, 11, 11]


def test_a_list_is_no_look(fake_modelarts):
    fake_modelarts.add_job([1, 8])
    assert [VisualizationJob.list()[0].status for _ in range(3)] == [1, 1, 1]


def test_jobs_go_their_own_ways(fake_modelarts):
    first = VisualizationJob.create(URL)
    fake_modelarts.statuses = [1, 5]
    second = VisualizationJob.create(URL)
    assert (first.wait().status, second.refresh().status) == (8, 5)


def test_stop_and_restart_follow_given_statuses(fake_modelarts):
    """A stop and a restart go through the statuses they are told."""
    fake_modelarts.stop_statuses = [9, 9, 13]
    fake_modelarts.restart_statuses = [16]
    job = VisualizationJob(visualization_id=fake_modelarts.add_job())
    job.stop()
    assert [job.refresh().status for _ in range(4)] == [9, 9, 13, 13]
    assert job.restart().refresh().status == 16


def test_no_status_at_all_is_refused(fake_modelarts):
    with pytest.raises(InvalidArgument, match="statuses"):
        fake_modelarts.add_job(statuses=[])


def test_auto_stop_goes_by_the_clock_of_the_fake(fake_modelarts):
    job = VisualizationJob.create(URL, auto_stop=2).wait()
    fake_modelarts.clock.now += 2 * 3600 - 60
    assert job.refresh().status == JobStatus.RUNNING
    fake_modelarts.clock.now += 60
    assert [one.status for one in VisualizationJob.list()] == [JobStatus.KILLED]
    assert job.refresh().status == JobStatus.KILLED


def test_the_quota_counts_active_jobs():
    with FakeModelArts(most_active=1):
        job = VisualizationJob.create(URL)
        with pytest.raises(QuotaExceeded):
            VisualizationJob.create(URL)
        job.stop()
        VisualizationJob.create(URL)
        with pytest.raises(QuotaExceeded):
            job.wait(JobStatus.KILLED).restart()


def test_an_added_job_has_the_fields_and_the_id_it_was_given(fake_modelarts):
    number = fake_modelarts.add_job(job_id=8992, job_name="mine", create_time=5)
    job = VisualizationJob.get(number)
    assert (job.job_id, job.job_name, job.create_time) == ("8992", "mine", 5)
    with pytest.raises(InvalidArgument, match="job_id"):
        fake_modelarts.add_job(job_id=8992)
    with pytest.raises(InvalidArgument, match="job_nmae"):
        fake_modelarts.add_job(job_nmae="mine")


@pytest.mark.parametrize("per_page", [1, 7, 100])
def test_lists_have_pages(fake_modelarts, per_page):
    for _ in range(20):
        fake_modelarts.add_job()
    jobs = VisualizationJob.list(per_page=per_page)
    assert [job.job_id for job in jobs] == [str(number) for number in range(1, 21)]
    assert len(fake_modelarts.requests) == -(-20 // per_page)


# Faults -----------------------------------------------------------------------------------


def test_retry_after_is_what_is_waited(fake_modelarts):
    fake_modelarts.fail("list", rate_limited(retry_after=7))
    fake_modelarts.fail("list", rate_limited())
    VisualizationJob.list()
    told, jitter = fake_modelarts.clock.sleeps
    assert told == 7
    assert 0 <= jitter <= 0.4
    assert fake_modelarts.operations == ["list"] * 3


@pytest.mark.parametrize(
    "fault",
    [
        answer_lost(),
        answer_lost(arrives=False),
        server_error(502, arrives=True),
        requests.ReadTimeout("late"),
        never_sent(),
    ],
)
def test_a_create_that_meets_a_fault_makes_one_job(fake_modelarts, fault):
    fake_modelarts.fail("create", fault)
    VisualizationJob.create(URL)
    assert len(VisualizationJob.list()) == 1


def test_whether_a_lost_create_arrived_is_for_the_test_to_say(fake_modelarts):
    for fault, listed in ((answer_lost(), 1), (answer_lost(arrives=False), 0)):
        fake_modelarts.fail("create", fault)
        fake_modelarts.fail("list", server_error(), times=4)
        with pytest.raises(AmbiguousCreate):
            VisualizationJob.create(URL, "name%d" % listed)
        assert len(VisualizationJob.list(search_content="name%d" % listed)) == listed


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (server_error(), ServerError),
        (refused("ModelArts.0104", "no"), BadRequest),
        (refused("ModelArts.0108", "no", 403), PermissionDenied),
        (never_sent(), TransportError),
    ],
)
def test_a_fault_that_stays_is_the_error_it_is_in_the_cloud(fake_modelarts, fault, error):
    fake_modelarts.fail("list", fault, times=4)
    with pytest.raises(error):
        VisualizationJob.list()


def test_an_operation_that_there_is_not_is_refused(fake_modelarts):
    with pytest.raises(InvalidArgument, match="got 'details'"):
        fake_modelarts.fail("details", server_error())


def test_credentials_that_expired_are_renewed_where_they_can_be(fake_modelarts):
    session = fake_modelarts.password_session()
    temporary = session.keys()
    by_keys = fake_modelarts.session(
        access_key=temporary.access_key,
        secret_key=temporary.secret_key,
        security_token=temporary.security_token,
    )
    VisualizationJob.list(by_keys)
    fake_modelarts.expire_credentials()
    VisualizationJob.list(session)
    assert fake_modelarts.operations[-3:] == ["list", "token", "list"]
    with pytest.raises(AuthenticationFailed):
        VisualizationJob.list(by_keys)


def test_a_day_later_tokens_are_no_good(fake_modelarts):
    session = fake_modelarts.password_session()
    VisualizationJob.list(session)
    fake_modelarts.clock.now += 25 * 3600
    VisualizationJob.list(session)
    assert fake_modelarts.operations == ["token", "list", "token", "list"]


@pytest.mark.parametrize("changes", [{"secret_key": "x"}, {"access_key": "x"}])
def test_wrong_keys_are_refused(fake_modelarts, changes):
    with pytest.raises(AuthenticationFailed):
        VisualizationJob.list(fake_modelarts.session(**changes))


# What is well formed ----------------------------------------------------------------------

CREATE = {"job_name": "mine", "train_url": URL}


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "", {**CREATE, "autostop": 2}, "unknown field autostop"),
        ("POST", "", {"job_name": "mine"}, "no train_url"),
        ("POST", "", {**CREATE, "job_desc": None}, "job_desc is None"),
        ("POST", "", {**CREATE, "schedule": {"duration": 2}}, "schedule is {'duration'"),
        ("POST", "", {**CREATE, "schedule": [{"duration": 25}]}, "0 to 24"),
        ("POST", "", {**CREATE, "schedule": [{"duration": 2}]}, "must have"),
        ("POST", "", "{", "not JSON"),
        ("POST", "", "[]", "not a JSON object"),
        ("PUT", "/1", {"job_desc": "x", "job_name": "y"}, "unknown field job_name"),
        ("POST", "/1/stop", {}, "does not take"),
        ("GET", "?sort=job_id", None, "unknown parameter sort"),
        ("DELETE", "", None, "no such call"),
    ],
)
def test_a_request_that_the_api_does_not_have_fails_the_test(method, path, body, said):
    """Also where the code under test lives on."""
    with pytest.raises(Malformed, match=said):
        _swallow(method, path, body)


def _swallow(method, path, body):
    with FakeModelArts() as fake:
        fake.add_job()
        session = Session()
        url = "/v1/%s/visualization-jobs%s" % (session.project_id, path)
        try:
            session.request(method, url, body=body)
        except Exception:
            fake.requests.clear()  # as code does that catches everything


def test_a_value_that_the_service_refuses_is_refused(fake_modelarts):
    session = Session()
    path = "/v1/%s/visualization-jobs" % session.project_id
    for body in ({**CREATE, "job_name": "a b"}, {**CREATE, "train_url": "bucket"}):
        with pytest.raises(BadRequest, match=r"ModelArts\.0104"):
            session.request("POST", path, body=body)


def test_other_paths_and_projects_are_refused_unless_answered(fake_modelarts):
    session = Session()
    with pytest.raises(NotFound, match=r"APIG\.0101"):
        session.request("GET", "/v1/other")
    fake_modelarts.answers["GET", "/v1/other"] = [1]
    assert session.request("GET", "/v1/other") == [1]
    with pytest.raises(PermissionDenied, match=r"ModelArts\.0210"):
        VisualizationJob.list(fake_modelarts.session(project_id="f" * 32))


def test_requests_are_remembered_without_secrets(fake_modelarts):
    session = fake_modelarts.password_session()
    VisualizationJob.create(URL, "mine", "words", session=session)
    token, create = fake_modelarts.requests
    assert (token.operation, token.method, token.body) == ("token", "POST", None)
    assert (create.job_id, create.query) == (None, {})
    assert create.body["job_desc"] == "words"
    assert fake_modelarts.password not in repr(fake_modelarts.requests)


# Where it is ------------------------------------------------------------------------------


def test_the_environment_leads_to_it_and_is_as_before_afterwards(monkeypatch):
    monkeypatch.setenv("MODELARTS_ACCESS_KEY", "mine")
    monkeypatch.setenv("MODELARTS_USERNAME", "me")
    before = dict(os.environ)
    with FakeModelArts() as fake:
        assert Session().access_key == fake.access_key
        assert "MODELARTS_USERNAME" not in os.environ
    assert dict(os.environ) == before


def test_fake_overrides_global_endpoints():
    """Endpoints that were set for all sessions do not hold meanwhile."""
    Session.set_endpoint(modelarts_endpoint="https://cloud.example.com", region_name="r-1")
    with FakeModelArts() as fake:
        assert Session().modelarts_endpoint == fake.modelarts_endpoint
        Session.set_endpoint(modelarts_endpoint="https://another.example.com")
    assert Session(access_key="A", secret_key="S").modelarts_endpoint == "https://cloud.example.com"


def test_no_other_address_is_reached(fake_modelarts):
    with pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.1:9/")


def test_it_works_on_a_mock_that_is_there_already():
    with responses.RequestsMock() as mock:
        mock.get("http://elsewhere.example.com/", body="mine")
        with FakeModelArts(mock=mock):
            assert VisualizationJob.list() == []
            assert requests.get("http://elsewhere.example.com/").text == "mine"
        mock.assert_call_count("http://elsewhere.example.com/", 1)
        mock.reset()


def test_it_can_be_used_by_threads(fake_modelarts):
    threads = [threading.Thread(target=VisualizationJob.create, args=(URL,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(job.job_id) for job in VisualizationJob.iter()) == list(range(1, 21))


# Clocks -----------------------------------------------------------------------------------


def test_sessions_that_were_there_before_do_not_sleep_either(fake_modelarts, no_sleep):
    session = fake_modelarts.session()
    began = Clock().monotonic()
    session.clock.sleep(100)
    assert session.clock.monotonic() - began == 100
    assert no_sleep.sleeps == [100]
    assert fake_modelarts.clock.sleeps == []


def test_time_goes_on_as_before_afterwards():
    real = Clock()
    before = real.time()
    with no_sleep() as clock:
        real.sleep(1e6)
        assert real.time() == clock.now > before + 999_000
    assert before <= real.time() < before + 1000


def test_a_clock_of_its_own_is_kept(fake_modelarts):
    own = FakeClock(now=5)
    assert fake_modelarts.session(clock=own).clock.time() == 5


# Payloads ---------------------------------------------------------------------------------


def test_payloads_are_read_by_the_models():
    info = JobInfo.from_wire(job_payload(status=8, schedule=[{"duration": 2}], reason="r"))
    assert (info.status, info.schedule.duration) == (8, 2)
    assert dict(info.extra) == {"reason": "r"}
    page = JobPage.from_wire(page_payload([job_payload()] * 3))
    assert (len(page.jobs), page.job_total_count) == (3, 3)
    assert {type(value) for value in created_payload().values()} == {bool, str}


def test_default_payload_has_documented_fields():
    """A payload without changes has every field of the documents and no other."""
    assert JobInfo.from_wire(job_payload()).extra == {}
    missing = {name for name, value in vars_of(JobInfo.from_wire(job_payload())) if value is None}
    assert missing == {"remaining_duration", "schedule", "job_type"}


def vars_of(info):
    return [(name, getattr(info, name)) for name in info.__slots__ if name != "__weakref__"]


@pytest.mark.parametrize("make", [job_payload, created_payload, page_payload, token_payload])
def test_a_field_that_the_api_does_not_have_is_refused(make):
    with pytest.raises(InvalidArgument, match="got 'job_nmae'"):
        make(job_nmae="x")


def test_a_payload_that_cannot_be_read_is_not_made():
    with pytest.raises(ValueError, match="status"):
        job_payload(status="running")


def test_a_job_that_is_not_there_is_answered_as_documented(fake_modelarts):
    with pytest.raises(ApiError) as refusal:
        VisualizationJob.get(1)
    assert (refusal.value.status_code, refusal.value.error_code) == (404, "ModelArts.0015")


@pytest.mark.parametrize("module", [clocks, fake, payloads])
def test_the_examples_of_docstrings_are_so(module):
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)


# The v2 API -------------------------------------------------------------------------------


def test_the_fake_has_both_apis_over_the_same_jobs(fake_modelarts):
    training = fake_modelarts.add_training("obs://bucket/logs/")
    session = fake_modelarts.session(api="v2")
    job = VisualizationJob.create(
        training_jobs=[training], job_name="x" * 40, auto_stop=2, session=session
    ).wait()
    assert (job.status, job.service_token is None) == (JobStatus.RUNNING, False)
    (same,) = VisualizationJob.list(fake_modelarts.session())
    assert (same.job_name, same.train_url, same.schedule.duration) == ("x" * 40, "/bucket/logs/", 2)
    # Whether the training can be shown is looked up before the create.
    assert fake_modelarts.operations == ["show", "create", "show", "show", "list"]
    create = fake_modelarts.requests[1]
    assert create.body["spec"]["auto_stop"] == {"time_unit": "HOURS", "duration": 2}
    assert fake_modelarts.requests[2].training_id == job.job_id
    fake_modelarts.clock.now += 2 * 3600
    assert job.refresh().status == JobStatus.KILLED


def test_job_of_v1_is_led_through_its_life_over_v2(fake_modelarts):
    fake_modelarts.add_job(job_name="mine", train_url="/bucket/x/", reason="slow")
    session = fake_modelarts.session(api="v2")
    (job,) = VisualizationJob.list(session, search_content="mi", status=8)
    assert (job.train_url, job.raw["reason"]) == ("/bucket/x/", "slow")
    job.update("new").stop().wait(JobStatus.KILLED)
    with pytest.raises(JobStateError) as caught:
        job.stop()
    assert (caught.value.status_code, caught.value.job_status) == (409, 12)
    job.delete()
    with pytest.raises(NotFound):
        job.refresh()


def test_v2_knows_trainings_alone(fake_modelarts):
    session = fake_modelarts.session(api="v2")
    with pytest.raises(InvalidArgument, match="the folder of a training's summary"):
        VisualizationJob.create("/bucket/logs/", session=session, check=False)
    with pytest.raises(NotFound, match="show training job 0"):
        VisualizationJob.create(
            training_jobs=["0" * 8 + "-0000" * 3 + "-" + "0" * 12], session=session
        )
    fake_modelarts.add_training("obs://bucket/logs/run-1/")
    assert VisualizationJob.create("/bucket/logs/", session=session, check=False).job_id


@pytest.mark.parametrize("lost", [answer_lost(), server_error(502, arrives=True)])
def test_faults_meet_v2_too(fake_modelarts, lost):
    fake_modelarts.add_training("obs://bucket/logs/")
    session = fake_modelarts.session(api="v2")
    fake_modelarts.fail("create", lost)
    VisualizationJob.create("/bucket/logs/", session=session, check=False)
    assert len(VisualizationJob.list(session)) == 1
    fake_modelarts.fail("create", quota_exceeded())
    with pytest.raises(QuotaExceeded):
        VisualizationJob.create("/bucket/logs/", session=session, check=False)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "training-jobs", {"kind": "visualization_job", "metadata": {}}),
        ("POST", "training-jobs", {"kind": "visualization_job", "train_url": "/b/"}),
        ("POST", "training-job-searches", {"page": 1}),
        ("GET", "training-jobs", None),
        ("PUT", "training-jobs/" + "0" * 8 + "-0000" * 3 + "-" + "0" * 12, {"job_desc": "x"}),
    ],
)
def test_undocumented_requests_of_v2_fail_the_test(method, path, body):
    def use():
        with FakeModelArts() as fake, contextlib.suppress(Exception):
            path_of_project = "/v2/%s/%s" % (fake.project_id, path)
            fake.session(api="v2").request(method, path_of_project, body=body)

    with pytest.raises(Malformed):
        use()


def test_trainings_are_answered_as_any_other_api(fake_modelarts):
    path = "/v2/%s/training-jobs" % fake_modelarts.project_id
    session = fake_modelarts.session(api="v2")
    with pytest.raises(NotFound, match="No such API"):
        session.request("POST", path, body={"kind": "job"})
    fake_modelarts.answers["POST", path] = {"metadata": {"id": "t"}}
    assert session.request("POST", path, body={"kind": "job"}) == {"metadata": {"id": "t"}}
