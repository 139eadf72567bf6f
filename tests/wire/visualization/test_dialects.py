"""Sessions with v1 and with v2: which one is used, and what differs."""

import json
import re
from pathlib import Path

import pytest
import requests
import responses

from modelarts.errors import (
    BadRequest,
    ConfigurationError,
    InvalidArgument,
    JobStateError,
    NotFound,
    PermissionDenied,
    TransportError,
)
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.session import Session
from tests.servers import training_cloud as training_cloud_module
from tests.servers.cloud import with_keys
from tests.support.clocks import FakeClock

PROJECT = "0" * 32
ENDPOINT = "https://modelarts.example.com"
TRAINING = "11111111-1111-1111-1111-111111111111"
BOARD = "22222222-2222-2222-2222-222222222222"
NO_API = {"error_code": "APIG.0101", "error_msg": "The API does not exist."}
TOKEN = "token-of-the-board"


@pytest.fixture
def mock():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def connect(**changes):
    settings = {
        "project_id": PROJECT,
        "modelarts_endpoint": ENDPOINT,
        "retries": 0,
        "clock": FakeClock(),
    }
    return with_keys(**{**settings, **changes})


def board(phase="Running", **changes):
    """A visualization job as documented for v2."""
    return {
        "kind": "visualization_job",
        "metadata": {
            "id": BOARD,
            "name": "board",
            "description": "d",
            "create_time": 1754000000000,
        },
        "status": {"phase": phase, "duration": 5000, "tasks": ["worker-0"]},
        "algorithm": {
            "summary": {"log_type": "tensorboard", "data_sources": [{"job": {"job_id": TRAINING}}]}
        },
        "spec": {"resource": {"flavor_id": "f.1", "node_count": 1}},
        "endpoints": {"tensorboard": {"url": "https://board.example.com/x/", "token": TOKEN}},
        **changes,
    }


def found(*items, **changes):
    return {"total": len(items), "count": len(items), "items": list(items), **changes}


def training(folder):
    summary = {"log_type": "tensorboard", "log_dir": {"pfs": {"pfs_path": folder}}}
    return {"kind": "job", "metadata": {"id": TRAINING}, "algorithm": {"summary": summary}}


def url(path):
    return "%s/v2/%s/%s" % (ENDPOINT, PROJECT, path)


def v1_is_no_api(mock):
    every = re.compile(r"%s/v1/.*" % ENDPOINT)
    for method in ("GET", "POST", "PUT", "DELETE"):
        mock.add(method, every, json=NO_API, status=404)


# The choice -------------------------------------------------------------------------------


@pytest.mark.parametrize("region", ["cn-north-4", "eu-de", "eu-west-101"])
def test_public_regions_use_v2(region):
    assert connect(region_name=region, modelarts_endpoint=None).api == "v2"


@pytest.mark.parametrize(
    ("endpoint", "api"),
    [
        ("https://modelarts.cn-north-4.myhuaweicloud.com", "v2"),
        ("https://modelarts.eu-de.otc.t-systems.com", "v2"),
        (ENDPOINT, "auto"),
    ],
)
def test_address_tells_a_public_region(endpoint, api):
    assert connect(modelarts_endpoint=endpoint).api == api


def test_argument_wins_over_environment_and_region(monkeypatch):
    monkeypatch.setenv("MODELARTS_API", "v2")
    assert connect().api == "v2"
    assert connect(api="v1").api == "v1"
    assert connect(api="v1", modelarts_endpoint=None, region_name="eu-de").api == "v1"


def test_config_file_names_the_api(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"access_key": "AK", "secret_key": "SK", "api": "v2"}))
    session = Session(config_file=str(path), modelarts_endpoint=ENDPOINT, project_id=PROJECT)
    assert (session.api, session.sources["api"]) == ("v2", str(path))


def test_unknown_api_is_one_clear_error(monkeypatch):
    with pytest.raises(InvalidArgument, match="api must be 'auto', 'v1' or 'v2'; got 'v3'"):
        connect(api="v3")
    monkeypatch.setenv("MODELARTS_API", "2")
    with pytest.raises(ConfigurationError, match="environment MODELARTS_API: api must be"):
        connect()


def test_v2_is_used_where_the_gateway_knows_no_v1(mock):
    v1_is_no_api(mock)
    mock.add("GET", url("training-jobs/" + BOARD), json=board())
    session = connect()
    for _ in range(2):
        assert VisualizationJob.get(BOARD, session).status == JobStatus.RUNNING
    assert session.api == "v2"
    paths = [call.request.path_url.split("/")[1] for call in mock.calls]
    assert paths == ["v1", "v2", "v2"]  # once a session, not once a call


def test_create_goes_over_to_v2(mock):
    v1_is_no_api(mock)
    mock.add("POST", url("training-job-searches"), json=found(training("obs://bucket/logs")))
    mock.add("POST", url("training-jobs"), json=board("Creating"), status=201)
    job = VisualizationJob.create("/bucket/logs/", "board", session=connect(), check=False)
    assert (job.job_id, job.status) == (BOARD, JobStatus.INIT)


def test_ensure_finds_out_which_api_it_is(training_cloud):
    session = connect(**_of(training_cloud))
    job = VisualizationJob.ensure("/bucket/contract/", session=session, check=False)
    assert (session.api, job.status) == ("v2", JobStatus.INIT)


def test_missing_job_of_v1_is_no_missing_api(mock):
    body = {"is_success": False, "error_code": "ModelArts.0015", "error_msg": "none"}
    mock.add("GET", re.compile(r"%s/v1/.*" % ENDPOINT), json=body, status=404)
    session = connect()
    with pytest.raises(NotFound):
        VisualizationJob.get("5", session)
    assert len(mock.calls) == 1


def test_explicit_v1_does_not_go_over(mock):
    v1_is_no_api(mock)
    with pytest.raises(NotFound, match="api="):
        VisualizationJob.get("5", connect(api="v1"))


@pytest.mark.parametrize(
    ("api", "answer", "said"),
    [("v1", board(), "v2 API: give api='v2'"), ("v2", {"job_id": 5}, "v1 API: give api='v1'")],
)
def test_answer_of_the_other_api_is_recognised(mock, api, answer, said):
    mock.add("GET", re.compile(ENDPOINT), json=answer)
    job_id = BOARD if api == "v2" else "5"
    with pytest.raises(TransportError, match=said):
        VisualizationJob.get(job_id, connect(api=api))


# What v2 takes ----------------------------------------------------------------------------


def sent(mock):
    return json.loads(mock.calls[-1].request.body)


def test_trainings_are_the_sources_of_a_board(mock):
    mock.add("GET", url("training-jobs/" + TRAINING), json=training("obs://bucket/logs"))
    mock.add("POST", url("training-jobs"), json=board("Creating"), status=201)
    job = VisualizationJob.create(
        training_jobs=[TRAINING],
        job_name="board",
        auto_stop=3,
        flavor="f.1",
        pool_id="pool",
        session=connect(api="v2"),
    )
    assert sent(mock) == {
        "kind": "visualization_job",
        "metadata": {"name": "board", "description": ""},
        "algorithm": {
            "summary": {"log_type": "tensorboard", "data_sources": [{"job": {"job_id": TRAINING}}]}
        },
        "spec": {
            "resource": {"flavor_id": "f.1", "pool_id": "pool", "node_count": 1},
            "auto_stop": {"time_unit": "HOURS", "duration": 3},
        },
    }
    assert job.raw["sources"] == (("job", TRAINING),)


def test_nfs_is_a_source(mock):
    mock.add("POST", url("training-jobs"), json=board("Creating"), status=201)
    VisualizationJob.create("nfs:host.internal:/logs", "board", session=connect(api="v2"))
    summary = sent(mock)["algorithm"]["summary"]
    assert summary["data_sources"] == [{"nfs": {"nfs_path": "host.internal:/logs"}}]


@pytest.mark.parametrize("folder", ["obs://bucket/logs", "obs://bucket/logs/run/", "/bucket/logs/"])
def test_folder_is_resolved_to_its_trainings(mock, folder):
    mock.add("POST", url("training-job-searches"), json=found(training(folder)))
    mock.add("POST", url("training-jobs"), json=board("Creating"), status=201)
    job = VisualizationJob.create("/bucket/logs/", "board", session=connect(api="v2"), check=False)
    summary = sent(mock)["algorithm"]["summary"]
    assert summary["data_sources"] == [{"job": {"job_id": TRAINING}}]
    mock.add("GET", url("training-jobs/" + BOARD), json=board())
    assert job.refresh().train_url == "/bucket/logs/"


@pytest.mark.parametrize("folder", ["obs://bucket/logs2", "obs://bucket/", None])
def test_folder_of_no_training_is_one_clear_error(mock, folder):
    mock.add("POST", url("training-job-searches"), json=found(training(folder)))
    with pytest.raises(InvalidArgument, match=r"training_jobs=.*nfs:.*Session.local"):
        VisualizationJob.create("/bucket/logs/", session=connect(api="v2"), check=False)


@pytest.mark.parametrize(
    ("api", "given", "said"),
    [
        ("v2", {"auto_stop": 0}, "auto_stop must be whole hours from 1 to 720"),
        ("v1", {"auto_stop": 25}, "auto_stop must be whole hours from 0 to 24"),
        ("v1", {"job_name": "x" * 21}, "1 to 20 letters"),
        ("v2", {"job_name": "x" * 65}, "1 to 64 letters"),
        ("v1", {"train_url": None, "training_jobs": [TRAINING]}, r"session.with_api\('v2'\)"),
        ("v1", {"train_url": "nfs:h:/x"}, "only v2 shows NFS"),
        ("v1", {"pool_id": "p"}, "pool_id must be left out"),
        ("v2", {"training_jobs": [TRAINING]}, "train_url must be left out with training_jobs"),
        ("v2", {"train_url": None, "training_jobs": []}, "a list of 1 to 100 ids"),
        ("v2", {"train_url": None, "training_jobs": ["5"]}, "a list of 1 to 100 ids"),
        ("v2", {"job_type": "x"}, "'mindstudio-insight'"),
    ],
)
def test_wrong_argument_is_told_in_words_of_the_api(mock, api, given, said):
    given = {"train_url": "/bucket/logs/", **given}
    with pytest.raises(InvalidArgument, match=said):
        VisualizationJob.create(session=connect(api=api), **given)
    assert not mock.calls


def test_name_that_only_one_api_takes_has_it_looked_up(mock):
    v1_is_no_api(mock)
    mock.add("POST", url("training-job-searches"), json=found(training("obs://bucket/logs")))
    mock.add("POST", url("training-jobs"), json=board(), status=201)
    named = dict(board(), metadata={"id": BOARD, "name": "x" * 30})
    mock.replace("POST", url("training-jobs"), json=named, status=201)
    job = VisualizationJob.create("/bucket/logs/", "x" * 30, session=connect(), check=False)
    assert job.job_name == "x" * 30


@pytest.mark.parametrize(("api", "job_id"), [("v1", BOARD), ("v2", "5"), ("v2", 5)])
def test_id_of_the_other_api_is_refused(mock, api, job_id):
    with pytest.raises(InvalidArgument, match="this session uses the %s API" % api):
        VisualizationJob.get(job_id, connect(api=api))
    assert not mock.calls


@pytest.mark.parametrize("api", ["v1", "v2", "auto"])
@pytest.mark.parametrize("job_id", ["x", "1-2", BOARD[:-1], BOARD + "0", 0, -1, None, 1.5, True])
def test_id_that_is_none_is_refused(mock, api, job_id):
    with pytest.raises(InvalidArgument, match="visualization_id must be"):
        VisualizationJob.get(job_id, connect(api=api))
    assert not mock.calls


@pytest.fixture
def sources(training_cloud):
    """Trainings that a board can have as sources, and others."""
    ids = {name: training_cloud.add_training("obs://bucket/" + name) for name in ("a", "b", "none")}
    del training_cloud.jobs[ids["none"]]["algorithm"]["summary"]
    ids["insight"] = training_cloud.add_training("obs://bucket/insight")
    summary = training_cloud.jobs[ids["insight"]]["algorithm"]["summary"]
    summary["log_type"] = "mindstudio-insight"
    return {**ids, "missing": BOARD}


@pytest.mark.parametrize(
    ("names", "error", "problem"),
    [
        (["a", "none"], InvalidArgument, "training_jobs must be trainings that can be shown"),
        (["a", "missing"], NotFound, "show training job %s" % BOARD),
        (["a", "insight"], InvalidArgument, "training_jobs must be trainings of one log type"),
        (["insight"], InvalidArgument, "job_type must be 'mindstudio-insight', the log type of"),
    ],
)
def test_training_that_is_no_source_is_one_clear_error(
    training_cloud, session, sources, names, error, problem
):
    jobs = [sources[name] for name in names]
    for call in (VisualizationJob.create, VisualizationJob.ensure):
        with pytest.raises(error, match=problem):
            call(training_jobs=jobs, session=session)
    assert bodies(training_cloud) == []


def test_folder_of_another_log_type_is_one_clear_error(training_cloud, session, sources):
    with pytest.raises(InvalidArgument, match="job_type must be 'mindstudio-insight', the log"):
        VisualizationJob.create("/bucket/insight/", session=session, check=False)
    job = VisualizationJob.create(
        "/bucket/insight/", job_type="mindstudio-insight", session=session, check=False
    )
    assert job.raw["sources"] == (("job", sources["insight"]),)


def test_folder_of_two_log_types_shows_the_wanted_one(training_cloud, session, sources):
    job = VisualizationJob.create("/bucket/", session=session, check=False)
    shown = {source for _, source in job.raw["sources"]}
    assert {sources["a"], sources["b"]} <= shown
    assert sources["insight"] not in shown


CALLS = {
    "create": lambda session, url: VisualizationJob.create(url, session=session),
    "list": lambda session, url: VisualizationJob.list(session),
    "page": lambda session, url: VisualizationJob.get_visualization_job_list(session),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("api", "other", "train_url", "answer"),
    [
        ("v1", "v2", "/bucket/logs/", {**found(), **board()}),
        ("v2", "v1", "nfs:host:/logs", {"job_id": 5, "jobs": []}),
    ],
)
def test_every_answer_of_the_other_api_is_recognised(mock, call, api, other, train_url, answer):
    for method in ("GET", "POST"):
        mock.add(method, re.compile(ENDPOINT), json=answer)
    with pytest.raises(TransportError, match="it is one of the %s API: give api=" % other):
        CALLS[call](connect(api=api), train_url)


# What v2 answers --------------------------------------------------------------------------

PHASES = {
    "Creating": 1,
    "Pending": 7,
    "Running": 8,
    "Completed": 10,
    "Failed": 11,
    "Terminating": 9,
    "Terminated": 12,
    "Abnormal": 14,
    "SomethingNew": 0,
}


@pytest.mark.parametrize(("phase", "number"), PHASES.items())
def test_phase_is_the_documented_number(mock, phase, number):
    mock.add("GET", url("training-jobs/" + BOARD), json=board(phase))
    job = VisualizationJob.get(BOARD, connect(api="v2"))
    assert (job.status, job.raw["phase"]) == (number, phase)


def test_failure_names_its_reason(mock):
    task = {"task": "worker-0", "exit_code": 1, "message": "out of memory"}
    status = {"phase": "Failed", "secondary_phase": "CreateFailed", "task_statuses": [task]}
    mock.add("GET", url("training-jobs/" + BOARD), json=board(status=status))
    job = VisualizationJob.get(BOARD, connect(api="v2"))
    assert (job.status, job.raw["reason"]) == (JobStatus.SUBMIT_FAILED, "out of memory")


def test_token_of_a_board_is_shown_nowhere(mock):
    mock.add("GET", url("training-jobs/" + BOARD), json=board())
    job = VisualizationJob.get(BOARD, connect(api="v2"))
    assert (job.service_url, job.service_token) == ("https://board.example.com/x/", TOKEN)
    shown = (repr(job), str(job.raw), str(job.info), job._repr_html_(), str(job.__getstate__()))
    assert not any(TOKEN in text for text in shown)
    assert TOKEN not in str(job.get_visualization_job_info())


def test_refusal_is_the_documented_failure_dict(mock):
    body = {"error_msg": "no such job", "error_code": "ModelArts.2", "error_solution": "look"}
    mock.add("GET", url("training-jobs/" + BOARD), json=body, status=404)
    answer = VisualizationJob(connect(api="v2"), BOARD).get_visualization_job_info()
    assert answer == {
        "is_success": False,
        "error_code": "ModelArts.2",
        "error_msg": "no such job",
        "error_message": "no such job",
        "error_solution": "look",
    }


def test_restart_makes_a_job_of_the_same_definition(mock):
    mock.add("GET", url("training-jobs/" + BOARD), json=board("Terminated"))
    other = BOARD.replace("2", "3")
    made = board("Creating", metadata={"id": other, "name": "board"})
    mock.add("POST", url("training-jobs"), json=made, status=201)
    job = VisualizationJob(connect(api="v2"), BOARD)
    answer = job.restart_visualization_job()
    assert (answer["job_id"], answer["replaces"]) == (other, BOARD)
    assert job.visualization_id == other
    body = sent(mock)
    assert body["metadata"] == {"name": "board", "description": "d"}
    assert body["algorithm"] == board()["algorithm"]


@pytest.fixture
def session(training_cloud):
    return connect(api="v2", **_of(training_cloud))


def bodies(cloud):
    """The creates that the service has received."""
    return [
        json.loads(call.body)
        for call in cloud.calls
        if call.method == "POST" and call.url.endswith("/training-jobs")
    ]


@pytest.mark.parametrize("refreshed", [False, True])
@pytest.mark.parametrize("source", ["folder", "trainings", "nfs"])
def test_restart_sends_what_the_create_sent(training_cloud, session, source, refreshed):
    """The documented answers have neither auto_stop nor NFS."""
    given = {
        "folder": {"train_url": "/bucket/contract/"},
        "trainings": {"training_jobs": [training_cloud.add_training("obs://bucket/x")]},
        "nfs": {"train_url": "nfs:host:/logs"},
    }[source]
    job = VisualizationJob.create(
        job_name="board",
        job_desc="d",
        auto_stop=3,
        flavor="f",
        pool_id="p",
        session=session,
        **given,
    ).wait()
    job.stop().wait(JobStatus.KILLED)
    if refreshed:
        job.refresh()
    first = job.job_id
    assert job.restart().job_id != first
    created, again = bodies(training_cloud)
    assert again == created
    assert (job.schedule.duration, job.raw["pool_id"], job.resource_id) == (3, "p", "f")
    assert job.refresh().schedule.duration == 3


def test_restart_forgets_the_job_that_it_replaced(training_cloud, session, clock):
    job = VisualizationJob.create("/bucket/contract/", session=session, check=False).wait()
    token, first = job.service_token, dict(job.raw)
    job.stop().wait(JobStatus.KILLED)
    training_cloud.now = lambda: first["create_time"] / 1000 + 60
    job.restart()
    assert (job.status, job.raw["phase"]) == (JobStatus.INIT, "Creating")
    assert job.create_time == first["create_time"] + 60000
    assert job.raw["training_job"]["metadata"]["id"] == job.job_id != first["job_id"]
    assert (token is None, job.service_token) == (False, None)
    assert job.wait().service_url.endswith("/%s/" % job.job_id)


def test_restart_of_a_name_that_may_not_be_twice(training_cloud, session):
    """There is a documented code for that; the old job keeps its name."""
    training_cloud.unique_names = True
    job = VisualizationJob.create("/bucket/contract/", "x" * 64, session=session, check=False)
    job.stop().wait(JobStatus.KILLED)
    first = job.job_id
    job.restart()
    names = training_cloud.boards()
    assert names[first] == "x" * 64
    assert re.match(r"x{55}-[0-9a-f]{8}\Z", names[job.job_id])
    with pytest.raises(BadRequest) as caught:
        VisualizationJob.create("/bucket/contract/", "x" * 64, session=session, check=False)
    assert caught.value.error_code == "ModelArts.2751"


def test_late_create_under_a_name_in_use_is_found(mock):
    """The first request arrives while the second is on its way, which is refused for its name."""
    body = {"error_msg": "Duplicate.", "error_code": "ModelArts.2751", "error_solution": "Change."}
    mock.add("GET", url("training-jobs/" + TRAINING), json=training("obs://bucket/logs"))
    mock.add("POST", url("training-jobs"), body=requests.ConnectionError("cut"))
    mock.add("POST", url("training-jobs"), json=body, status=400)
    mock.add("POST", url("training-job-searches"), json=found())
    mock.add("POST", url("training-job-searches"), json=found(board()))
    job = VisualizationJob.create(
        training_jobs=[TRAINING], job_name="board", session=connect(api="v2", clock=FakeClock(0.0))
    )
    assert job.job_id == BOARD


def test_ensure_restarts_with_its_own_auto_stop(training_cloud, session):
    """The stopped job does not show with which auto stop it was created."""
    made = VisualizationJob.create("/bucket/contract/", session=session, check=False).wait()
    made.stop().wait(JobStatus.KILLED)
    job = VisualizationJob.ensure("/bucket/contract/", auto_stop=5, session=session, check=False)
    assert job.job_id != made.job_id
    assert bodies(training_cloud)[-1]["spec"]["auto_stop"]["duration"] == 5


def test_ensure_recognises_a_board_over_nfs_by_its_name(training_cloud, session):
    made = VisualizationJob.create("nfs:host:/logs", "board", session=session)
    again = VisualizationJob.ensure("nfs:host:/logs", "board", session=session)
    assert again.job_id == made.job_id
    other = VisualizationJob.ensure("nfs:host:/logs", "another", session=session)
    assert other.job_id != made.job_id


@pytest.mark.parametrize("name", ["board", None])
def test_lost_create_over_nfs_is_found_by_its_name(training_cloud, session, name):
    lost = iter([True])

    def create(body, known=training_cloud._create):
        answer = known(body)
        if next(lost, False):
            raise requests.ConnectionError("cut")
        return answer

    training_cloud._create = create
    job = VisualizationJob.create("nfs:host:/logs", name, session=session)
    assert training_cloud.boards() == {job.job_id: job.job_name}


def test_refused_stop_names_the_status(training_cloud, session):
    job = VisualizationJob(session, training_cloud.add("Terminated"))
    with pytest.raises(JobStateError, match="it does not run") as caught:
        job.stop()
    assert (caught.value.status_code, caught.value.error_code) == (409, "ModelArts.2796")
    assert (caught.value.job_status, caught.value.error_solution) == (12, "Correct the request.")


def test_foreign_project_is_no_missing_job(training_cloud):
    session = connect(**{**_of(training_cloud), "api": "v2", "project_id": "f" * 32})
    with pytest.raises(PermissionDenied, match="check project_id"):
        VisualizationJob.get(BOARD, session)


def test_environments_as_a_list_are_read(mock):
    answer = board()
    answer["algorithm"]["environments"] = [{"KEY": "value"}]
    mock.add("GET", url("training-jobs/" + BOARD), json=answer)
    job = VisualizationJob.get(BOARD, connect(api="v2"))
    assert job.raw["training_job"]["algorithm"]["environments"] == [{"KEY": "value"}]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("key", ["job_id", "job_name", "create_time", "status", "duration"])
def test_every_documented_sort_key_works(training_cloud, session, key, order):
    """The service sorts by the creation alone, and refuses all other keys."""
    for number, name in enumerate("bca"):
        added = training_cloud.add("Running", name=name)
        training_cloud.jobs[added]["status"]["duration"] = (number * 7) % 5
    jobs = VisualizationJob.list(session, sort_by=key, order=order)
    values = [getattr(job, "create_time" if key == "job_id" else key) for job in jobs]
    assert (len(jobs), values) == (3, sorted(values, reverse=order == "desc"))
    path = "/v2/%s/training-job-searches" % session.project_id
    with pytest.raises(BadRequest) as caught:
        session.request("POST", path, body={"sort_by": "job_name"})
    assert caught.value.error_code == "ModelArts.2790"


def test_restart_of_a_running_job_sends_no_create(mock):
    mock.add("GET", url("training-jobs/" + BOARD), json=board())
    answer = VisualizationJob(connect(api="v2"), BOARD).restart_visualization_job()
    assert (answer["is_success"], answer["error_code"]) == (False, "ModelArts.0105")


def test_list_of_v2_reads_pages_of_fifty(mock):
    def search(request):
        body = json.loads(request.body)
        assert body["limit"] == 50
        numbers = range(120)[body["offset"] * 50 : (body["offset"] + 1) * 50]
        items = [board(metadata={"id": "%08d%s" % (n, BOARD[8:]), "name": "n"}) for n in numbers]
        return 200, {}, json.dumps({**found(*items), "total": 120})

    mock.add_callback("POST", url("training-job-searches"), search)
    session = connect(api="v2")
    assert len(VisualizationJob.list(session)) == 120
    page = VisualizationJob.get_visualization_job_list(session, per_page=30, page=2)
    assert page["job_total_count"] == 120
    assert [job["job_id"][:8] for job in page["jobs"]] == ["%08d" % n for n in range(30, 60)]
    page = VisualizationJob.get_visualization_job_list(session, per_page=70, page=2)
    assert [job["job_id"][:8] for job in page["jobs"]] == ["%08d" % n for n in range(70, 120)]


def test_lost_answer_to_a_create_is_looked_for(mock):
    mock.add("GET", url("training-jobs/" + TRAINING), json=training("obs://bucket/logs"))
    mock.add("POST", url("training-jobs"), body=requests.ConnectionError("cut"))
    mock.add("POST", url("training-job-searches"), json=found(board()))
    job = VisualizationJob.create(
        training_jobs=[TRAINING], job_name="board", session=connect(api="v2", clock=FakeClock(0.0))
    )
    assert job.job_id == BOARD
    assert [call.request.url.rsplit("/")[-1] for call in mock.calls] == [
        TRAINING,
        "training-jobs",
        "training-job-searches",
    ]


# The partner of the tests ------------------------------------------------------------------


def test_partner_answers_in_the_models_of_the_official_client(training_cloud):
    official = pytest.importorskip("huaweicloudsdkmodelarts.v1")
    source = training_cloud.add_training("obs://bucket/x")
    session = connect(api="v2", **_of(training_cloud))
    job = VisualizationJob.create(
        training_jobs=[source], job_name="board", auto_stop=2, session=session
    ).wait()
    shown = job.refresh().raw["training_job"]
    assert unknown(shown, official.ShowTrainingJobDetailsResponse) == []
    listed = session.request(
        "POST", "/v2/%s/training-job-searches" % training_cloud.project_id, body={"limit": 1}
    )
    assert unknown(listed, official.ListTrainingJobsResponse) == []


def _of(cloud):
    names = ("access_key", "secret_key", "project_id", "region_name", "modelarts_endpoint")
    return {name: getattr(cloud, name) for name in names}


def unknown(value, model, path=""):
    """The paths of the fields that a model of the official client does not have."""
    official = pytest.importorskip("huaweicloudsdkmodelarts.v1")
    known = dict(zip(model.attribute_map.values(), model.attribute_map))
    missing = []
    for key, content in value.items():
        where = path + key
        if key not in known:
            missing.append(where)
            continue
        kind = getattr(official, re.sub(r"list\[|\]", "", model.openapi_types[known[key]]), None)
        for each in content if isinstance(content, list) else [content]:
            if kind is not None and isinstance(each, dict):
                missing += unknown(each, kind, where + ".")
    return missing


def test_partner_is_written_without_the_package():
    text = Path(training_cloud_module.__file__).read_text()
    assert re.findall(r"^(?:from|import) (\S+)", text, re.M) == [
        "json",
        "re",
        "time",
        "uuid",
        "urllib.parse",
        "tests.servers.cloud",
    ]


def test_configuration_file_is_the_first_argument(tmp_path):
    path = tmp_path / "user.json"
    path.write_text(json.dumps({"access_key": "AK", "secret_key": "SK", "region_name": "eu-de"}))
    session = Session(str(path))
    assert (session.access_key, session.region_name, session.api) == ("AK", "eu-de", "v2")
