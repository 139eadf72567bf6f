"""The contract of the SDK, on the documented service and on the local one, in both modes of
authentication."""

import re
from uuid import UUID

import pytest

from modelarts.errors import (
    AuthenticationFailed,
    BadRequest,
    JobFailed,
    JobStateError,
    NotFound,
    PermissionDenied,
)
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.models import STOPPED
from modelarts.session import Session

pytestmark = pytest.mark.local

URL = "/bucket/contract/"
FOREIGN = "f" * 32


#: The fixture of the local service, by the parameter.
SERVICES = {
    "local": "service",
    "local-v2": "service",
    "postgres": "postgres_service",
    "ray-postgres": "ray_service",
}


#: Databases and places of boards; both have tests of their own.
EXTENDED = ("postgres", "ray-postgres")


def _param(name):
    return pytest.param(name, marks=pytest.mark.extended) if name in EXTENDED else name


@pytest.fixture(params=map(_param, ["wire", "wire-v2", "fake", "fake-v2", *SERVICES]))
def world(request):
    """How to connect, as keyword arguments of Session."""
    if request.param not in SERVICES:
        fixtures = {"wire": "cloud", "wire-v2": "training_cloud"}
        cloud = request.getfixturevalue(fixtures.get(request.param, "fake_modelarts"))
        clock = request.getfixturevalue("clock")
        api = {}
        if request.param == "fake-v2":  # it has both
            cloud.add_training("obs://bucket/contract/")
            api["api"] = "v2"
        return {
            name: getattr(cloud, name)
            for name in (
                "access_key",
                "secret_key",
                "account",
                "username",
                "password",
                "project_id",
                "region_name",
                "modelarts_endpoint",
                "iam_endpoint",
            )
        } | {"clock": clock, **api}
    found = request.getfixturevalue(SERVICES[request.param]).connection
    del found["pid"], found["obs_endpoint"]
    found.pop("database", None)
    return found | {"proxies": {}, "api": "v2" if request.param == "local-v2" else "v1"}


def _keys(world, **changes):
    without = ("account", "username", "password")
    return Session(**{**{k: v for k, v in world.items() if k not in without}, **changes})


def _password(world, **changes):
    without = ("access_key", "secret_key")
    return Session(**{**{k: v for k, v in world.items() if k not in without}, **changes})


@pytest.fixture(scope="module")
def kept():
    """Sessions with services: to log in takes as long as a guess of a password is to take."""
    sessions = {}
    yield sessions
    for session in sessions.values():
        session.close()


@pytest.fixture(params=[_keys, _password], ids=["keys", "password"])
def session(request, world, kept):
    """A session of this mode."""
    name = request.node.callspec.params["world"]
    if name in SERVICES:
        if (name, request.param) not in kept:
            kept[name, request.param] = request.param(world)
        yield kept[name, request.param]
    else:
        with request.param(world) as session:
            yield session


@pytest.fixture
def job(session):
    job = VisualizationJob.create(URL, job_desc="made by a test", session=session)
    yield job
    if VisualizationJob.get_visualization_job_list(session)["jobs"]:
        for left in VisualizationJob.iter(session):
            if left.status == JobStatus.KILLING:
                left.wait(until=JobStatus.KILLED)
            left.delete()


def _number(job):
    """The id as documented dicts have it: a number with v1, a UUID with v2."""
    return int(job.job_id) if job.job_id.isdigit() else str(UUID(job.job_id))


def _missing(session):
    """The documented code for a job that is not there."""
    return "ModelArts.2775" if session.api == "v2" else "ModelArts.0015"


def test_create_answers_an_object_with_the_documented_attributes(session, job):
    made = VisualizationJob(modelarts_session=session).create_visualization_job(
        train_url="obs://bucket/contract", job_name="visualization_job", job_desc="my job"
    )
    assert made.job_name == "visualization_job"
    assert made.visualization_id == made.job_id == str(_number(made))
    assert isinstance(made.create_time, int)
    assert made.status == JobStatus.INIT == 1
    assert made.is_success is True
    assert made.train_url == URL
    assert made.job_desc == "my job"
    assert made.visualization_id != job.visualization_id


def test_a_name_that_is_not_given_is_made_up(job):
    assert re.match(r"job[0-9a-f]{8}\Z", job.job_name)


def test_wait_answers_the_job_running(job):
    assert job.wait() is job
    assert job.status is JobStatus.RUNNING
    assert job.service_url.startswith("http")


def test_info_has_the_documented_keys_and_numbers_as_numbers(session, job):
    info = VisualizationJob(session, job.visualization_id).get_visualization_job_info()
    assert info["is_success"] is True
    assert info["job_id"] == _number(job)
    # The cloud of today names the trainings, and not their folder.
    assert info["train_url"] == URL or job.raw["sources"]
    assert info["job_desc"] == "made by a test"
    assert type(info["status"]) is int
    for key in ("create_time", "duration"):
        assert isinstance(info[key], int), key
    assert {"service_url", "resource_id", "job_name"} <= set(info)
    assert not {"error_code", "error_msg", "error_message"} & set(info)


def test_list_counts_and_shows_the_jobs(session, job):
    listed = VisualizationJob.get_visualization_job_list(
        modelarts_session=session, search_content=job.job_name
    )
    assert listed["is_success"] is True
    assert listed["job_total_count"] == 1
    # v2 does not tell it.
    assert listed["job_count_limit"] is None if session.api == "v2" else listed["job_count_limit"]
    assert [found["job_id"] for found in listed["jobs"]] == [_number(job)]


def test_object_list_is_printed_unless_told_otherwise(session, job, capsys):
    (found,) = VisualizationJob.get_visualization_job_object_list(session, search_content="job")
    assert isinstance(found, VisualizationJob)
    printed = capsys.readouterr().out
    assert job.job_name in printed
    assert found.status.name in printed
    VisualizationJob.get_visualization_job_object_list(session, is_show=False)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["sort_by", "sortBy"])
def test_both_names_of_the_sort_key_are_taken_in_both_modes(session, job, name):
    second = VisualizationJob.create(URL, job_name="a-first", session=session)
    listed = VisualizationJob.get_visualization_job_list(
        session, order="asc", per_page=2, page=1, **{name: "job_name"}
    )
    assert [one["job_name"] for one in listed["jobs"]] == ["a-first", job.job_name]
    listed = VisualizationJob.get_visualization_job_list(session, order="desc", **{name: "job_id"})
    assert [one["job_id"] for one in listed["jobs"]] == [_number(second), _number(job)]


def test_pages_are_counted_from_one(session, job):
    others = [VisualizationJob.create(URL, session=session).job_id for _ in range(2)]
    pages = [
        VisualizationJob.get_visualization_job_list(session, per_page=2, page=page)["jobs"]
        for page in (1, 2, 3)
    ]
    assert [[str(one["job_id"]) for one in page] for page in pages] == [
        [job.job_id, others[0]],
        [others[1]],
        [],
    ]
    assert [one.job_id for one in VisualizationJob.iter(session, per_page=1)] == [
        job.job_id,
        *others,
    ]


@pytest.mark.parametrize("status", [12, "12", "12|13", JobStatus.KILLED, [12, 13]])
def test_a_list_can_be_of_one_status(session, job, status):
    running = VisualizationJob.create(URL, session=session).wait()
    job.stop().wait(until=JobStatus.KILLED)
    found = VisualizationJob.list(session, status=status)
    assert [one.job_id for one in found] == [job.job_id]
    assert [one.job_id for one in VisualizationJob.list(session, status=8)] == [running.job_id]


def test_the_documented_calls_lead_a_job_through_its_life(session, job):
    done = {"is_success": True}
    job.wait()
    assert job.update_visualization_job(job_desc="ü" * 256) == done
    assert VisualizationJob.get(job.job_id, session).job_desc == "ü" * 256
    assert job.stop_visualization_job() == done
    job.wait(until=JobStatus.KILLED)
    replaced = job.job_id
    restarted = job.restart_visualization_job()
    assert restarted == done if job.job_id == replaced else restarted["replaces"] == replaced
    assert job.wait().status == JobStatus.RUNNING
    assert job.delete_visualization_job() == done
    assert job.get_visualization_job_info()["error_code"] == _missing(session)


def test_the_short_verbs_lead_a_job_through_its_life(session, job):
    assert job.wait().update("new").job_desc == "new"
    assert job.stop().wait(until=JobStatus.CANCELED).status in STOPPED
    assert job.restart().wait().status == JobStatus.RUNNING
    assert job.delete() is job
    with pytest.raises(NotFound):
        job.refresh()


def test_the_status_read_after_a_stop_is_not_the_one_before(job):
    job.wait().stop()
    assert job.status in (JobStatus.KILLING, JobStatus.KILLED)


def test_waiting_for_a_stopped_job_to_run_fails_at_once(job):
    job.wait().stop().wait(until=JobStatus.KILLED)
    with pytest.raises(JobFailed, match=r"is KILLED \(12\) and will not become RUNNING") as caught:
        job.wait()
    assert caught.value.job is job


def test_a_job_with_auto_stop_says_when_it_stops(session, job, world):
    made = VisualizationJob.create(URL, auto_stop=24, session=session)
    assert made.schedule.to_wire() == [{"type": "stop", "time_unit": "HOURS", "duration": 24}]


# Refusals ---------------------------------------------------------------------------------


def _refused(answer, code):
    assert answer["is_success"] is False
    assert answer["error_code"] == code
    assert answer["error_msg"] == answer["error_message"] != ""
    return answer["error_msg"]


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        ("stop", JobStateError, "This job can't be stop. job status: 12"),
        ("restart", JobStateError, "This job can't be resubmit. job status: 8"),
    ],
)
def test_a_wrong_status_is_refused_with_its_sentence(job, call, error, sentence):
    job.wait()
    if call == "stop":
        job.stop().wait(until=JobStatus.KILLED)
    code, said = "ModelArts.0105", sentence
    if job.session.api == "v2" and call == "stop":
        code, said = "ModelArts.2796", "The job cannot be terminated."
    assert _refused(getattr(job, call + "_visualization_job")(), code) == said
    with pytest.raises(error) as caught:
        getattr(job, call)()
    assert (caught.value.error_code, caught.value.error_msg) == (code, said)
    assert caught.value.job_status == int(sentence[-2:])
    assert caught.value.is_success is False


@pytest.mark.parametrize("call", ["get_info", "stop", "restart", "delete", "update"])
def test_a_missing_job_is_a_failure_dict_or_not_found(session, call):
    VisualizationJob.list(session)  # shows which API it is
    job_id = str(UUID(int=999999)) if session.api == "v2" else "999999"
    missing = VisualizationJob(session, visualization_id=job_id)
    given = {"job_desc": "x"} if call == "update" else {}
    documented = {
        "get_info": missing.get_visualization_job_info,
        "stop": missing.stop_visualization_job,
        "restart": missing.restart_visualization_job,
        "delete": missing.delete_visualization_job,
        "update": missing.update_visualization_job,
    }[call]
    _refused(documented(**given), _missing(session))
    with pytest.raises(NotFound):
        getattr(missing, "refresh" if call == "get_info" else call)(**given)


def test_parameters_are_refused_by_the_service_too(session):
    VisualizationJob.list(session)  # shows which API it is
    if session.api == "v2":
        path = "/v2/%s/training-jobs" % session.project_id
        body = {"kind": "visualization_job", "metadata": {"name": "%%123"}, "algorithm": {}}
        with pytest.raises(BadRequest) as caught:
            session.request("POST", path, body=body)
        assert caught.value.error_solution
        return
    path = "/v1/%s/visualization-jobs" % session.project_id
    with pytest.raises(BadRequest) as caught:
        session.request("GET", path, query={"search_content": "x" * 101})
    assert caught.value.error_code == "ModelArts.0104"
    assert caught.value.error_msg == "The length of search content should be in [0,100]"
    with pytest.raises(BadRequest, match="Illegal name: %%123") as caught:
        session.request("POST", path, body={"job_name": "%%123", "train_url": URL})
    assert caught.value.error_code == "ModelArts.0104"


def test_a_foreign_project_is_refused(world):
    session = _keys(world, project_id=FOREIGN)
    answer = VisualizationJob.get_visualization_job_list(session)
    # The local service is one gateway for both APIs.
    by_v2 = "ModelArts.2786" if session.api == "v2" and "clock" in world else "ModelArts.0210"
    _refused(answer, by_v2)
    with pytest.raises(PermissionDenied):
        VisualizationJob.create(URL, session=session)


def test_a_wrong_secret_key_is_refused(world):
    session = _keys(world, secret_key="wrong")
    said = _refused(VisualizationJob.get_visualization_job_list(session), "APIG.0301")
    assert "authentication" in said
    with pytest.raises(AuthenticationFailed) as caught:
        VisualizationJob.create(URL, session=session)
    assert caught.value.status_code == 401
    assert caught.value.request_id


def test_an_unknown_access_key_is_refused(world):
    session = _keys(world, access_key="UNKNOWN")
    with pytest.raises(AuthenticationFailed):
        VisualizationJob.list(session)


def test_an_unknown_token_is_refused(world):
    session = _keys(world)
    path = "/v1/%s/visualization-jobs" % session.project_id
    with pytest.raises(AuthenticationFailed) as caught:
        session.request("GET", path, headers={"X-Auth-Token": "nonsense"})
    assert caught.value.error_code == "APIG.0301"


def test_a_wrong_password_is_refused_by_iam_and_not_shown(world):
    session = _password(world, password="hunter2-wrong")
    with pytest.raises(AuthenticationFailed) as caught:
        VisualizationJob.create(URL, session=session)
    assert caught.value.status_code == 401
    assert "hunter2" not in str(caught.value) + repr(caught.value) + caught.value.body


def test_a_project_that_was_not_given_is_found_by_the_region(world):
    for session in (_keys(world, project_id=None), _password(world, project_id=None)):
        assert session.project_id == world["project_id"]
        assert VisualizationJob.get_visualization_job_list(session)["is_success"] is True
        session.close()
