"""Calls that happen once, also when an answer is lost: each case by itself, on the wire."""

import contextlib
import itertools
import json
import pickle
import re
import socket
import threading

import pytest
import requests
import responses

from modelarts.errors import (
    AmbiguousCreate,
    BadRequest,
    JobStateError,
    NotFound,
    RateLimited,
    RequestKind,
    RequestTimeout,
    ServerError,
    TransportError,
)
from modelarts.estimator import VisualizationJob
from modelarts.http.client import ServiceClient
from modelarts.http.models import Request
from modelarts.session import Session
from modelarts.testing import answer_lost, server_error
from tests.servers.cloud import HOST, Cloud, with_keys
from tests.support.clocks import FakeClock

JOBS = "https://%s/v1/%s/visualization-jobs" % (HOST, Cloud.project_id)
LOST = requests.ConnectionError("reset by peer")
LATE = requests.ReadTimeout("too late")
REFUSED = requests.ConnectTimeout("nobody there")
HTML = "<html>Bad Gateway</html>"


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def session(clock):
    return with_keys(
        project_id=Cloud.project_id, modelarts_endpoint=Cloud.modelarts_endpoint, clock=clock
    )


@pytest.fixture
def service(clock):
    """A service whose answers to each kind of request are listed; ``sent`` counts them.

    An answer is an exception, a body, or a pair of status and body. A job that is created while
    its answer is an exception is there all the same, unless the exception is in ``never``.
    """
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Service(mock, clock)


class Service:
    def __init__(self, mock, clock):
        self.clock = clock
        self.sent = []
        self.jobs = []
        self.answers = {"create": [], "stop": [], "restart": [], "delete": [], "list": []}
        self.status = 8
        self.numbers = itertools.count(1)
        for method in (responses.GET, responses.POST, responses.DELETE):
            mock.add_callback(method, re.compile(JOBS + ".*"), callback=self._answer)

    def _answer(self, request):
        path = request.url[len(JOBS) :].split("?")[0]
        kind = {"GET": "details", "POST": "create", "DELETE": "delete"}[request.method]
        if path.endswith(("/stop", "/restart")):
            kind = path.rsplit("/", 1)[1]
        elif request.method == "GET" and not path:
            kind = "list"
        self.sent.append(kind)
        answer = self.answers[kind].pop(0) if self.answers.get(kind) else None
        arrived = not isinstance(answer, Never)
        body = getattr(self, "_" + kind)(request) if arrived else None
        answer = answer.answer if isinstance(answer, Never) else answer
        if isinstance(answer, Exception):
            raise answer
        status, text = answer if answer is not None else body
        date = "Sat, 21 Sep 2026 14:13:20 GMT"  # what the clock begins with
        return status, {"Date": date}, text

    def add(self, **fields):
        job = {
            "job_id": next(self.numbers),
            "create_time": int(self.clock.time() * 1000),
            "status": 1,
            **fields,
        }
        self.jobs.append(job)
        return job

    def _create(self, request):
        return 200, json.dumps({"is_success": True, **self.add(**json.loads(request.body))})

    def _list(self, request):
        return 200, json.dumps({"is_success": True, "jobs": self.jobs})

    def _details(self, request):
        return 200, json.dumps({"job_id": 5, "status": self.status})

    def _stop(self, request):
        if self.status != 8:
            said = "This job can't be stop. job status: %d" % self.status
            return 400, json.dumps({"error_code": "ModelArts.0105", "error_message": said})
        self.status = 9
        return 200, '{"is_success": true}'

    def _restart(self, request):
        self.status = 7
        return 200, '{"is_success": true}'

    def _delete(self, request):
        if not self.jobs:
            return 404, json.dumps({"error_code": "ModelArts.0015", "error_message": "gone"})
        self.jobs.clear()
        return 200, '{"is_success": true}'


class Never:
    """A request that does not arrive."""

    def __init__(self, answer):
        self.answer = answer


# Creates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [LOST, LATE, (502, HTML), (500, "{}"), (200, "{"), (200, "{}")])
@pytest.mark.parametrize("name", [None, "mine"])
def test_lost_create_is_found_and_not_repeated(session, service, answer, name):
    """A create whose answer was lost is found and not sent again."""
    service.answers["create"] = [answer]
    job = VisualizationJob.create("/bucket/logs/", name, session=session)
    assert service.sent == ["create", "list"]
    assert [job.job_id] == [str(found["job_id"]) for found in service.jobs]
    assert job.is_success is True


@pytest.mark.parametrize("answer", [LOST, (502, HTML), (503, "")])
def test_a_create_that_did_not_arrive_is_sent_once_more(session, service, answer):
    service.answers["create"] = [Never(answer)]
    job = VisualizationJob.create("/bucket/logs/", session=session)
    assert service.sent == ["create", "list", "create"]
    assert [job.job_id] == [str(found["job_id"]) for found in service.jobs]


def test_twice_lost_create_names_the_job(session, service):
    """A create that is lost twice and not there names the job to look for."""
    service.answers["create"] = [Never(LOST), Never(LATE)]
    with pytest.raises(AmbiguousCreate, match="Look for a job named 'mine'") as caught:
        VisualizationJob.create("/bucket/logs/", "mine", session=session)
    assert caught.value.job_name == "mine"
    assert isinstance(caught.value.__cause__, RequestTimeout)
    assert service.sent == ["create", "list", "create", "list"]


@pytest.mark.parametrize(
    ("fault", "error"), [(answer_lost(), TransportError), (server_error(503), ServerError)]
)
@pytest.mark.parametrize("before", ["token", "projects"])
def test_what_fails_before_a_create_leaves_none_in_doubt(fake_modelarts, before, fault, error):
    if before == "token":
        session = fake_modelarts.password_session()
    else:
        session = Session(project_id=None, project_name="region-1_mine", region_name="region-1")
    fake_modelarts.fail(before, fault, times=4)
    with pytest.raises(error) as caught:
        VisualizationJob.create("/bucket/logs/", session=session)
    assert not isinstance(caught.value, AmbiguousCreate)
    assert fake_modelarts.operations == [before] * 4


def test_unsearchable_create_names_the_job(session, service):
    """A create that cannot be looked for names the job to look for."""
    service.answers["create"] = [LOST]
    service.answers["list"] = [LOST] * 4
    with pytest.raises(AmbiguousCreate, match="looking for it failed too") as caught:
        VisualizationJob.create("/bucket/logs/", session=session)
    assert caught.value.job_name == service.jobs[0]["job_name"]


def test_earlier_namesake_is_not_adopted(session, service):
    """A job of the same name from before is not taken for the lost one."""
    before = int(service.clock.time() * 1000) - 60_000
    service.add(job_name="mine", train_url="/bucket/logs/", create_time=before)
    service.add(job_name="mine", train_url="/bucket/other/")
    service.answers["create"] = [Never(LOST)]
    job = VisualizationJob.create("/bucket/logs/", "mine", session=session)
    assert service.sent == ["create", "list", "create"]
    assert job.job_id == "3"


@pytest.mark.parametrize("off", [-3600, -200, 200, 3600])
def test_creation_time_uses_service_clock(session, service, clock, off):
    service.answers["create"] = [LOST]
    made_at = int(clock.time() * 1000)
    service.clock = FakeClock(clock.now)
    clock.now += off  # this machine's is the one that is off
    job = VisualizationJob.create("/bucket/logs/", "mine", session=session)
    assert (service.sent, job.create_time) == (["create", "list"], made_at)


def test_several_candidates_are_ambiguous(session, service):
    """Several jobs that may be the lost one are not chosen from."""
    service.add(job_name="mine", train_url="/bucket/logs/")
    service.answers["create"] = [LOST]
    with pytest.raises(AmbiguousCreate, match="2 such jobs were created meanwhile"):
        VisualizationJob.create("/bucket/logs/", "mine", session=session)


@pytest.mark.parametrize(
    ("answers", "sent"),
    [
        ([Never(REFUSED)] * 3, ["create"] * 4),
        ([Never((429, "{}"))] * 3, ["create"] * 4),
    ],
)
def test_unsent_create_is_repeated(session, service, answers, sent):
    """A create that certainly did not arrive is simply sent again."""
    service.answers["create"] = list(answers)
    VisualizationJob.create("/bucket/logs/", session=session)
    assert service.sent == sent
    assert len(service.jobs) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Never((400, '{"error_code": "ModelArts.0104", "error_message": "no"}')), BadRequest),
        (Never((429, "{}")), RateLimited),
        (Never(REFUSED), TransportError),
    ],
)
def test_a_create_that_was_refused_is_not_looked_for(session, service, answer, error):
    service.answers["create"] = [answer] * 9
    with pytest.raises(error) as caught:
        VisualizationJob.create("/bucket/logs/", session=session)
    assert not isinstance(caught.value, AmbiguousCreate)
    assert set(service.sent) == {"create"}


# Independence from the wording ------------------------------------------------------------


@pytest.fixture(params=["", "x", "log in as visualization job"])
def reworded(request, monkeypatch):
    """Gives every request and every unreadable answer the same, misleading operation."""
    make, unreadable = Request.__init__, ServiceClient.unreadable

    def make_reworded(self, *args, **kwargs):
        make(self, *args, **kwargs)
        self.operation = request.param

    monkeypatch.setattr(Request, "__init__", make_reworded)
    monkeypatch.setattr(
        ServiceClient, "unreadable", lambda self, _, why: unreadable(self, request.param, why)
    )
    return request.param


@pytest.mark.parametrize("answer", [LOST, LATE, (502, HTML), (200, "{"), (200, "{}")])
@pytest.mark.usefixtures("reworded")
def test_lost_create_is_found_whatever_its_operation(session, service, answer):
    service.answers["create"] = [answer]
    job = VisualizationJob.create("/bucket/logs/", session=session)
    assert service.sent == ["create", "list"]
    assert [job.job_id] == [str(found["job_id"]) for found in service.jobs]


@pytest.mark.parametrize("call", ["stop", "restart"])
@pytest.mark.parametrize("answer", [LOST, (502, HTML), (200, "[")])
@pytest.mark.usefixtures("reworded")
def test_lost_action_is_not_repeated_whatever_its_operation(session, service, answer, call):
    service.status = 8 if call == "stop" else 12
    service.answers[call] = [answer]
    getattr(VisualizationJob(session, 5), call)()
    assert service.sent == [call, "details"]


@pytest.mark.parametrize("fault", [answer_lost(), server_error(503)])
@pytest.mark.parametrize("before", ["token", "projects"])
def test_failed_login_is_no_doubt_whatever_its_operation(fake_modelarts, reworded, before, fault):
    if before == "token":
        session = fake_modelarts.password_session()
    else:
        session = Session(project_id=None, project_name="region-1_mine", region_name="region-1")
    fake_modelarts.fail(before, fault, times=4)
    with pytest.raises((TransportError, ServerError)) as caught:
        VisualizationJob.create("/bucket/logs/", session=session)
    assert not isinstance(caught.value, AmbiguousCreate)
    assert caught.value.operation == reworded
    assert fake_modelarts.operations == [before] * 4
    assert caught.value.request_kind is RequestKind.AUTHENTICATION
    assert pickle.loads(pickle.dumps(caught.value)).request_kind is RequestKind.AUTHENTICATION


# Stops, restarts, deletes -----------------------------------------------------------------


@pytest.mark.parametrize("answer", [LOST, (502, HTML), (200, "[")])
@pytest.mark.parametrize("call", ["stop", "restart"])
def test_an_action_whose_answer_was_lost_is_not_sent_again(session, service, answer, call):
    service.status = 8 if call == "stop" else 12
    service.answers[call] = [answer]
    getattr(VisualizationJob(session, 5), call)()
    assert service.sent == [call, "details"]


@pytest.mark.parametrize("call", ["stop", "restart"])
def test_an_action_that_did_not_arrive_is_sent_once_more(session, service, call):
    service.status = 8 if call == "stop" else 12
    service.answers[call] = [Never(LOST)]
    getattr(VisualizationJob(session, 5), call)()
    assert service.sent == [call, "details", call]


def test_a_stop_that_arrives_late_is_a_success(session, service):
    """Between the look at the status and the second request the first one arrived."""
    said = '{"error_code": "ModelArts.0105", "error_message": "…can\'t be stop. job status: 9"}'
    service.answers["stop"] = [Never(LOST), Never((400, said))]
    VisualizationJob(session, 5).stop()
    assert service.sent == ["stop", "details", "stop"]


def test_a_stop_that_is_lost_twice_is_an_error(session, service):
    service.answers["stop"] = [Never(LOST), Never((503, ""))]
    with pytest.raises(ServerError):
        VisualizationJob(session, 5).stop()


def test_a_stop_that_is_refused_at_once_is_an_error(session, service):
    service.status = 12
    with pytest.raises(JobStateError, match="there is nothing to stop"):
        VisualizationJob(session, 5).stop()
    assert service.sent == ["stop"]


def test_a_delete_whose_answer_was_lost_is_a_success(session, service):
    service.add()
    service.answers["delete"] = [LOST]
    VisualizationJob(session, 5).delete()
    assert service.sent == ["delete", "delete"]


def test_a_delete_of_a_job_that_is_not_there_is_an_error(session, service):
    with pytest.raises(NotFound):
        VisualizationJob(session, 5).delete()


# Time -------------------------------------------------------------------------------------


def test_call_ends_within_its_limit(clock):
    """A call ends within its time whatever pauses are asked for."""
    began = clock.now
    session = with_keys(
        modelarts_endpoint=Cloud.modelarts_endpoint,
        clock=clock,
        timeout=10,
        retries=5,
    )
    with responses.RequestsMock() as mock:
        mock.get("https://%s/v1/x" % HOST, status=503, headers={"Retry-After": "3600"}, json={})
        with pytest.raises(ServerError) as caught:
            session.request("GET", "/v1/x")
    assert clock.sleeps == [20, 20]
    assert clock.now - began <= 10 * (5 + 1)
    assert caught.value.attempts == 3


def test_an_error_without_an_answer_says_how_often_was_tried(session):
    with responses.RequestsMock() as mock:
        mock.get("https://%s/v1/x" % HOST, body=LOST)
        with pytest.raises(TransportError, match=r"reset by peer\) \(4 attempts\)$") as caught:
            session.request("GET", "/v1/x")
    assert caught.value.attempts == 4
    assert pickle.loads(pickle.dumps(caught.value)).attempts == 4


def test_each_attempt_is_told_of(session, clock):
    told = []
    session = with_keys(
        modelarts_endpoint=Cloud.modelarts_endpoint,
        clock=clock,
        on_response=told.append,
    )
    url = "https://%s/v1/x" % HOST
    with responses.RequestsMock() as mock:
        mock.get(url, body=LOST)
        mock.get(url, status=503, headers={"X-Request-Id": "abc"})
        mock.get(url, json={})
        session.request("GET", "/v1/x")
    assert [(one.attempt, one.status_code) for one in told] == [(1, None), (2, 503), (3, 200)]
    assert isinstance(told[0].error, TransportError)
    assert {one.url for one in told} == {url}
    assert (told[1].request_id, told[2].error) == ("abc", None)


class Hasty(FakeClock):
    """A second goes by each time that somebody looks."""

    def monotonic(self):
        self.now += 1
        return self.now


def test_an_answer_that_only_drips_is_given_up(clock):
    """The server sends byte after byte for ever; no wait for data is ever long."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(1)
    dripped = []

    def drip():
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(b" ")
                    dripped.append(1)

    thread = threading.Thread(target=drip)
    thread.start()
    session = with_keys(
        modelarts_endpoint="http://127.0.0.1:%d" % listening.getsockname()[1],
        clock=Hasty(),
        proxies={},
        timeout=20,
        retries=0,
    )
    with pytest.raises(RequestTimeout, match="did not answer within 20 seconds"):
        session.request("GET", "/v1/x")
    session.close()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert dripped
    listening.close()
