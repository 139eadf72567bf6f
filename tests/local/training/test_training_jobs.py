"""The v2 API of the service, by the official client and by hand."""

import json
from uuid import UUID

import pytest
import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.http.http_config import HttpConfig

from modelarts.errors import BadRequest, NotFound, PermissionDenied
from modelarts.estimator import JobStatus, VisualizationJob
from tests.support.clocks import wait_until
from tests.support.lazy import Lazy

pytestmark = pytest.mark.local

official = Lazy("huaweicloudsdkmodelarts.v1")

FOLDER = "obs://bucket/logs/"


@pytest.fixture
def client(service):
    """The unmodified client of Huawei Cloud."""
    found = service.connection
    credentials = BasicCredentials(found["access_key"], found["secret_key"], found["project_id"])
    builder = official.ModelArtsClient.new_builder().with_http_config(HttpConfig())
    return (
        builder.with_credentials(credentials).with_endpoints([found["modelarts_endpoint"]]).build()
    )


@pytest.fixture
def session(service):
    with service.session() as session:
        yield session
        for job in VisualizationJob.list(session):
            if job.status == JobStatus.KILLING:
                job.wait(JobStatus.KILLED)
            job.delete()


def _job(name="board", folder=FOLDER, **spec):
    """The body of a create call, in the client's models."""
    directory = official.LogDir(pfs=official.PFSSummary(pfs_path=folder))
    summary = official.Summary(log_type="tensorboard", log_dir=directory)
    return official.Job(
        kind="visualization_job",
        metadata=official.JobMetadata(name=name, description="made by a test"),
        algorithm=official.JobAlgorithm(summary=summary),
        spec=official.Spec(**spec) if spec else None,
    )


def test_official_client_leads_a_board_through_its_life(client, session):
    hours = official.AutoStop(time_unit="HOURS", duration=3)
    body = _job(name="b" * 64, auto_stop=hours)
    made = client.create_training_job(official.CreateTrainingJobRequest(body=body))
    job_id = made.metadata.id
    assert (made.status.phase, made.metadata.name) == ("Creating", "b" * 64)

    def details():
        request = official.ShowTrainingJobDetailsRequest(training_job_id=job_id)
        return client.show_training_job_details(request)

    wait_until(lambda: details().status.phase == "Running")
    shown = details()
    assert shown.algorithm.summary.log_dir.pfs.pfs_path == FOLDER
    assert b"TensorBoard" in requests.get(shown.endpoints.tensorboard.url, timeout=30).content
    client.change_training_job_description(
        official.ChangeTrainingJobDescriptionRequest(
            training_job_id=job_id, body=official.JobUpdateRequestBody(description="new")
        )
    )
    assert details().metadata.description == "new"
    filters = [official.Filter(key="name", operator="like", value=["bb"])]
    body = official.JobSearches(offset=0, limit=10, sort_by="create_time", filters=filters)
    found = client.list_training_jobs(official.ListTrainingJobsRequest(body=body))
    assert (found.total, [job.metadata.id for job in found.items]) == (1, [job_id])
    action = official.JobActionType(action_type="terminate")
    client.stop_training_job(official.StopTrainingJobRequest(training_job_id=job_id, body=action))
    wait_until(lambda: details().status.phase == "Terminated")
    client.delete_training_job(official.DeleteTrainingJobRequest(training_job_id=job_id))
    with pytest.raises(ClientRequestException) as caught:
        details()
    assert (caught.value.status_code, caught.value.error_code) == (400, "ModelArts.2775")


def test_official_client_reads_log_flavors_engines_events(client, session):
    made = client.create_training_job(official.CreateTrainingJobRequest(body=_job()))
    job_id = made.metadata.id
    VisualizationJob.get(UUID(job_id).int, session).wait()
    preview = official.ShowTrainingJobLogsPreviewRequest(training_job_id=job_id, task_id="worker-0")
    shown = client.show_training_job_logs_preview(preview)
    assert shown.full_size == shown.current_size == len(shown.content.encode())
    flavors = client.show_training_job_flavors(official.ShowTrainingJobFlavorsRequest())
    assert [flavor.flavor_id for flavor in flavors.flavors] == ["local"]
    engines = client.show_training_job_engines(official.ShowTrainingJobEnginesRequest())
    assert [engine.engine_name for engine in engines.items] == ["Python"]
    events = official.ListTrainingJobEventsRequest(training_job_id=job_id)
    assert [event.message for event in client.list_training_job_events(events).events] == [
        "The job was created."
    ]


def test_job_of_one_api_is_seen_through_the_other(client, session):
    made = client.create_training_job(official.CreateTrainingJobRequest(body=_job()))
    job = VisualizationJob.get(UUID(made.metadata.id).int, session)
    assert (job.job_name, job.train_url, job.job_desc) == (
        "board",
        "/bucket/logs/",
        "made by a test",
    )
    other = VisualizationJob.create("/bucket/v1/", "by-v1", auto_stop=5, session=session)
    request = official.ShowTrainingJobDetailsRequest(
        training_job_id=str(UUID(int=int(other.job_id)))
    )
    shown = client.show_training_job_details(request)
    assert (shown.metadata.name, shown.kind) == ("by-v1", "visualization_job")
    url = "/v2/%s/training-jobs/%s" % (session.project_id, request.training_job_id)
    assert session.request("GET", url)["spec"]["auto_stop"] == {"time_unit": "HOURS", "duration": 5}


@pytest.mark.parametrize(
    ("change", "said", "solution"),
    [
        ({"kind": "edge_job"}, "kind is 'edge_job'", "visualization_job"),
        ({"kind": None}, "kind is None", "visualization_job"),
        ({"metadata": {"name": "x" * 65}}, "job_name must be 1 to 64", "letters"),
        ({"metadata": []}, "metadata is not a JSON object", "Send a JSON object"),
        ({"algorithm": {}}, "summary is not a JSON object", "Send a JSON object"),
        ({"algorithm": {"summary": {"data_sources": [{}]}}}, "is no training", "job_id"),
        ({"algorithm": {"summary": {"log_type": "x"}}}, "log_type is 'x'", "tensorboard"),
        ({"spec": {"auto_stop": {"duration": 0}}}, "auto_stop.duration is 0", "from 1 to 720"),
        ({"spec": {"resource": {"pool_id": "p"}}}, "no resource pools", "Leave pool_id out"),
    ],
)
def test_wrong_create_names_what_to_do(session, change, said, solution):
    body = {
        "kind": "visualization_job",
        "metadata": {"name": "board"},
        "algorithm": {"summary": {"log_dir": {"pfs": {"pfs_path": FOLDER}}}},
        **change,
    }
    with pytest.raises(BadRequest) as caught:
        session.request("POST", "/v2/%s/training-jobs" % session.project_id, body=body)
    answer = json.loads(caught.value.body)
    assert set(answer) == {"error_msg", "error_code", "error_solution"}
    assert said in answer["error_msg"]
    assert solution in answer["error_solution"]
    assert VisualizationJob.list(session) == []


@pytest.mark.parametrize("job_id", ["1", "x", str(UUID(int=2**127)), str(UUID(int=99))])
def test_missing_job_has_the_documented_code(session, job_id):
    with pytest.raises(NotFound) as caught:
        session.request("GET", "/v2/%s/training-jobs/%s" % (session.project_id, job_id))
    assert (caught.value.status_code, caught.value.error_code) == (400, "ModelArts.2775")


def test_project_of_another_is_refused(session):
    with pytest.raises(PermissionDenied):
        session.request("POST", "/v2/%s/training-job-searches" % ("f" * 32), body={})


def test_searches_page_filter_and_order(session):
    for number in range(5):
        VisualizationJob.create("/bucket/logs/", "job-%d" % number, session=session)

    def search(**body):
        url = "/v2/%s/training-job-searches" % session.project_id
        found = session.request("POST", url, body=body)
        return found["total"], [job["metadata"]["name"] for job in found["items"]]

    assert search(limit=2, offset=1, order="asc") == (5, ["job-2", "job-3"])
    assert search(limit=2)[1] == ["job-4", "job-3"]
    named = {"key": "name", "value": ["job-1", "job-2"]}
    assert search(filters=[{**named, "operator": "in"}]) == (2, ["job-2", "job-1"])
    assert search(filters=[{**named, "operator": "not"}])[0] == 3
    since = {"key": "create_time", "operator": "between", "value": ["0", "1"]}
    assert search(filters=[since]) == (0, [])
    assert search(filters=[{**named, "operator": "like", "value": ["B-4", "-0"]}])[0] == 2
    assert search(filters=[{**named, "operator": "like", "value": ["B-4"]}]) == (1, ["job-4"])
    assert search(filters=[{**named, "operator": "in", "value": ["JOB-4"]}]) == (0, [])
    boards = {"key": "kind", "operator": "in", "value": ["visualization_job"]}
    assert search(filters=[boards], limit=2, offset=1) == (5, ["job-2", "job-1"])
    assert search(filters=[boards], limit=2, offset=2, order="asc") == (5, ["job-4"])
    assert search(filters=[{**boards, "value": ["job"]}]) == (0, [])
    assert search(filters=[boards, {**boards, "value": ["job"]}]) == (0, [])
    assert search(filters=[{**boards, "operator": "not"}]) == (0, [])
    phases = {"key": "phase", "operator": "in", "value": ["Terminated"]}
    assert search(filters=[phases])[0] == 0
    assert search(filters=[boards, phases])[0] == 0
    assert search(filters=[boards, {**phases, "operator": "not"}])[0] == 5
    assert search(filters=[boards, {**phases, "value": ["no phase"]}]) == (0, [])
    for wrong in ({"key": "x"}, {"key": ["name"]}, {**named, "operator": "is"}, 1):
        with pytest.raises(BadRequest):
            search(filters=[wrong])
    for wrong in ({"limit": 51}, {"limit": 0}, {"offset": -1}, {"sort_by": "x"}):
        with pytest.raises(BadRequest):
            search(**wrong)


def test_batch_delete_tells_the_result_of_each(session):
    job = VisualizationJob.create("/bucket/logs/", session=session)
    ids = [str(UUID(int=int(job.job_id))), str(UUID(int=10**9))]
    url = "/v2/%s/training-jobs/batch-delete" % session.project_id
    body = {"jobs": [{"metadata": {"id": each}} for each in ids]}
    results = session.request("POST", url, body=body)["delete_job_results"]
    assert [result["success"] for result in results] == [True, False]
    assert VisualizationJob.list(session) == []
