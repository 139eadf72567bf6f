"""VisualizationJob on the wire: what is sent, and what is not."""

import json
import pickle

import pytest
import responses

from modelarts.errors import (
    CredentialsNotFound,
    InvalidArgument,
    NotFound,
    TransportError,
    WaitTimeout,
)
from modelarts.estimator import JOB_STATE, JobStatus, VisualizationJob
from tests.servers.cloud import HOST, Cloud, connect

DETAILS = "https://%s/v1/%s/visualization-jobs/197" % (HOST, Cloud.project_id)
LIST = "https://%s/v1/%s/visualization-jobs" % (HOST, Cloud.project_id)


@pytest.fixture
def session(clock):
    return connect(
        Cloud,
        clock=clock,
        retries=0,
        api="v1",
    )


def _create(session, **arguments):
    return VisualizationJob.create(session=session, **{"train_url": "/bucket/logs/", **arguments})


# Nothing is sent for nothing --------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("job_name", "x" * 21),
        ("job_name", "a b"),
        ("job_name", "ü"),
        ("job_name", ""),
        ("job_desc", "x" * 257),
        ("auto_stop", 25),
        ("auto_stop", -1),
        ("auto_stop", "x"),
        ("train_url", "logs/"),
        ("train_url", "/bucket/../../etc/"),
        ("train_url", "https://example.com/"),
        ("job_type", "jupyter"),
        ("flavor", 5),
    ],
)
@pytest.mark.parametrize("documented", [False, True])
def test_invalid_create_argument_sends_nothing(session, cloud, argument, value, documented):
    """A bad argument of create is one clear error before any request."""
    given = {"train_url": "/bucket/logs/", argument: value}
    create = VisualizationJob.create
    if documented:
        create = VisualizationJob(session).create_visualization_job
    else:
        given["session"] = session
    with pytest.raises(InvalidArgument) as caught:
        create(**given)
    assert caught.value.argument == argument
    assert isinstance(caught.value, ValueError)
    assert "got " + repr(value)[:40] in str(caught.value)
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("page", 0),
        ("page", "x"),
        ("per_page", 1001),
        ("order", "up"),
        ("sort_by", "shoe_size"),
        ("search_content", "x" * 101),
        ("status", "running"),
        ("status", True),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        VisualizationJob.get_visualization_job_list,
        VisualizationJob.get_visualization_job_object_list,
    ],
)
def test_a_bad_filter_is_one_clear_error_before_any_request(session, cloud, call, argument, value):
    with pytest.raises(InvalidArgument) as caught:
        call(modelarts_session=session, **{argument: value})
    assert caught.value.argument == argument
    assert cloud.calls == []


def test_iter_checks_filters_when_called(session, cloud):
    """A filter of iter is checked when it is called not when it is read."""
    with pytest.raises(InvalidArgument):
        VisualizationJob.iter(session, per_page=0)


def test_two_names_for_the_sort_key_must_agree(session, cloud):
    with pytest.raises(InvalidArgument, match="sortBy"):
        VisualizationJob.get_visualization_job_list(session, sort_by="status", sortBy="job_name")


def test_a_call_that_needs_a_job_says_so(session, cloud):
    with pytest.raises(InvalidArgument, match="stands for none yet"):
        VisualizationJob(session).stop_visualization_job()
    assert cloud.calls == []


def test_object_fetches_details_once_on_demand(session, cloud):
    """Making an object sends nothing and the first unknown attribute one request."""
    number = cloud.add(status=8)
    job = VisualizationJob(modelarts_session=session, visualization_id=str(number))
    assert cloud.calls == []
    assert job.status == JobStatus.RUNNING
    assert (job.train_url, job.duration, job.schedule) == ("/bucket/logs/", 33000, None)
    assert len(cloud.calls) == 1


def test_what_was_sent_with_a_create_is_known_without_asking(session, cloud):
    job = _create(session, job_desc="d", auto_stop=3)
    assert (job.train_url, job.job_desc, job.schedule.duration) == ("/bucket/logs/", "d", 3)
    assert (job.status, job.job_type) == (JobStatus.INIT, "tensorboard")
    assert len(cloud.calls) == 1
    assert job.service_url.endswith("/101/")
    assert job.resource_id
    assert len(cloud.calls) == 2


def test_jobs_of_a_list_know_everything(session, cloud):
    cloud.add(status=8)
    (job,) = VisualizationJob.list(session)
    assert job.service_url
    assert job.schedule is None
    assert len(cloud.calls) == 1


def test_create_sends_documented_fields_only(session, cloud):
    """A create sends what is documented and only what was given."""
    _create(session, job_name="n", job_type="MindInsight", auto_stop=1, flavor="code.1")
    assert json.loads(cloud.calls[0].body) == {
        "job_name": "n",
        "job_desc": "",
        "train_url": "/bucket/logs/",
        "job_type": "mindinsight",
        "schedule": [{"type": "stop", "time_unit": "HOURS", "duration": 1}],
        "flavor": {"code": "code.1"},
    }
    _create(session, job_name="n")
    assert set(json.loads(cloud.calls[1].body)) == {
        "job_name",
        "job_desc",
        "train_url",
        "job_type",
    }


def test_missing_session_is_made_from_environment():
    with pytest.raises(CredentialsNotFound):
        VisualizationJob(visualization_id="5").refresh()
    with pytest.raises(InvalidArgument, match="modelarts_session"):
        VisualizationJob("a session")


# All pages --------------------------------------------------------------------------------


@pytest.mark.parametrize("per_page", [100, 1000])
def test_ten_thousand_jobs_come_once_each(session, cloud, per_page):
    for _ in range(10_000):
        cloud.add()
    found = [job.job_id for job in VisualizationJob.iter(session, per_page=per_page)]
    assert len(found) == len(set(found)) == 10_000
    assert len(cloud.calls) == 10_000 // per_page


def test_iter_reads_a_page_only_when_it_is_needed(session, cloud):
    for _ in range(30):
        cloud.add()
    jobs = VisualizationJob.iter(session, per_page=10)
    assert cloud.calls == []
    for _ in range(10):
        next(jobs)
    assert len(cloud.calls) == 1
    next(jobs)
    assert len(cloud.calls) == 2


@pytest.mark.parametrize("deleted", [1, 10, 25, 40])
def test_jobs_deleted_while_iter_reads_make_it_miss_none(session, cloud, deleted):
    numbers = [cloud.add() for _ in range(100)]
    jobs = VisualizationJob.iter(session, per_page=10)
    found = [next(jobs).job_id for _ in range(41)]
    for number in numbers[:deleted]:
        del cloud.jobs[number]
    found += [job.job_id for job in jobs]
    assert sorted(found, key=int) == [str(number) for number in numbers]


def test_jobs_created_while_iter_reads_come_too(session, cloud):
    for _ in range(20):
        cloud.add()
    jobs = VisualizationJob.iter(session, per_page=10)
    next(jobs)
    late = cloud.add()
    assert [job.job_id for job in jobs][-1] == str(late)


def test_iter_reads_smaller_pages(session):
    """Iter copes with a service that gives smaller pages than asked for."""
    with responses.RequestsMock() as mock:
        for page in ((1, 2), (3, 4), (5,)):
            jobs = [{"job_id": number} for number in page]
            mock.get(LIST, json={"is_success": True, "job_total_count": 5, "jobs": jobs})
        found = [job.job_id for job in VisualizationJob.iter(session, per_page=100)]
    assert found == ["1", "2", "3", "4", "5"]


def test_iter_ends_without_total_or_with_repeats(session):
    """Iter ends with a service that says no total or repeats itself."""
    with responses.RequestsMock() as mock:
        mock.get(LIST, json={"is_success": True, "jobs": [{"job_id": 1}, {"job_id": 2}]})
        assert [job.job_id for job in VisualizationJob.iter(session)] == ["1", "2"]


# Answers of every edition -----------------------------------------------------------------


def test_details_allow_unknown_fields(session):
    """Details are read with or without is success and with unknown fields."""
    with responses.RequestsMock() as mock:
        mock.get(DETAILS, json={"job_id": "197", "status": "99", "create_time": "7", "new": [1]})
        info = VisualizationJob(session, 197).get_visualization_job_info()
    assert (info["job_id"], info["status"], info["create_time"]) == (197, 99, 7)
    assert (info["new"], info["service_url"], info["is_success"]) == ([1], None, True)
    assert JOB_STATE[info["status"]] == "JOBSTAT_UNLISTED_99"
    job = VisualizationJob._of(session, info)
    assert job.status == 99
    assert job.info.extra == {"new": [1]}


@pytest.mark.parametrize(
    "answer", ["[]", "null", '"x"', "{", '{"job_id": "x"}', '{"job_id": 197, "status": "up"}']
)
def test_an_answer_that_is_no_job_is_a_transport_error(session, answer):
    with responses.RequestsMock() as mock:
        mock.get(DETAILS, body=answer)
        with pytest.raises(TransportError):
            VisualizationJob(session, 197).get_visualization_job_info()


def test_a_refusal_with_a_2xx_is_a_refusal(session):
    said = {"is_success": False, "error_code": "ModelArts.0103", "error_message": "no"}
    with responses.RequestsMock() as mock:
        mock.get(DETAILS, json=said)
        answer = VisualizationJob(session, 197).get_visualization_job_info()
    assert answer == {**said, "error_msg": "no"}


def test_no_answer_raises_from_the_documented_calls_too(session):
    with responses.RequestsMock(), pytest.raises(TransportError):
        VisualizationJob(session, 197).get_visualization_job_info()


# Waiting ----------------------------------------------------------------------------------


def test_wait_ends_when_its_time_is_over(session, cloud, clock):
    job = _create(session)
    cloud.jobs[101]["status"] = 15
    started = clock.now
    with pytest.raises(WaitTimeout, match=r"still SCALING \(15\) after 60 seconds") as caught:
        job.wait(timeout=60)
    assert isinstance(caught.value, TimeoutError)
    assert clock.now - started == pytest.approx(60)
    assert len(clock.sleeps) < 25


def test_a_restarted_job_may_be_shown_as_stopped_a_while(session, cloud, clock):
    number = cloud.add(status=12)
    job = VisualizationJob(session, number).restart()
    cloud.jobs[number]["status"] = 12
    late = iter([12, 12, 12, 7, 8, 8])
    cloud._get = lambda job, request: {**job, "status": next(late)}
    assert job.wait().status == JobStatus.RUNNING


@pytest.mark.parametrize(("argument", "value"), [("until", "up"), ("until", []), ("timeout", "x")])
def test_a_bad_argument_of_wait_is_a_clear_error(session, cloud, argument, value):
    with pytest.raises(InvalidArgument) as caught:
        _create(session).wait(**{argument: value})
    assert caught.value.argument == argument


# The object -------------------------------------------------------------------------------


def test_a_job_is_shown_without_asking_the_service(session, cloud):
    assert repr(VisualizationJob(session, 5)) == "VisualizationJob(visualization_id='5')"
    assert repr(_create(session, job_name="n")) == (
        "VisualizationJob(visualization_id='101', job_name='n', status='INIT')"
    )


def test_a_pickled_job_knows_what_it_knew_and_holds_no_session(session, cloud):
    job = _create(session, job_name="n")
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        pickled = pickle.dumps(job, protocol)
        assert Cloud.secret_key.encode() not in pickled
        again = pickle.loads(pickled)
        assert (again.job_id, again.job_name, again.status) == ("101", "n", JobStatus.INIT)
        with pytest.raises(CredentialsNotFound):
            again.refresh()


# Links to boards, which clouds do not have ------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [lambda job: job.share(), lambda job: job.shares(), lambda job: job.unshare("5f2c9be0")],
)
def test_cloud_has_no_links(cloud, session, call):
    with pytest.raises(NotFound, match="clouds have no such call") as refused:
        call(VisualizationJob(session, 197))
    assert "Session.local() has them" in str(refused.value)


@pytest.mark.parametrize("hours", [0, -1, 1.5, True, "x", None, 87601])
def test_hours_of_link_are_checked_first(cloud, session, hours):
    with pytest.raises(InvalidArgument, match="hours must be whole hours from 1 to 87600"):
        VisualizationJob(session, 197).share(hours)
    assert len(responses.calls) == 0
