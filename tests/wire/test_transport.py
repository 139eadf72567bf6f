"""Requests on the wire, and the reading of answers.

Where ``responses`` is enough it plays the service; where sockets matter, a server on the loopback
does. The clock is the tests' own: waits are counted, not waited for.
"""

import json
import logging
import re
import socket
import threading
import time
import traceback
from email.utils import formatdate
from http.server import ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import responses

from modelarts.auth import signer
from modelarts.errors import (
    ApiError,
    AuthenticationFailed,
    BadRequest,
    ModelArtsError,
    NotFound,
    RateLimited,
    RequestTimeout,
    ServerError,
    TransportError,
)
from modelarts.estimator import VisualizationJob
from modelarts.session import Session
from tests.servers.http_server import Handler

HOST = "modelarts.example.com"
URL = "https://" + HOST
IAM = "https://iam.example.com"
PATH = "/v1/0a1b/visualization-jobs"
ANYTHING = re.compile(r"https://modelarts\.example\.com/.*")
SECRET = "the-secret-key/+="
PASSWORD = "ann's-pass-word"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(name + "_proxy", raising=False)
        monkeypatch.delenv(name.upper() + "_PROXY", raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def wire():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def session(clock):
    """Makes sessions with AK/SK and closes them."""
    made = []

    def make(**changes):
        settings = {
            "access_key": "AK",
            "secret_key": SECRET,
            "project_id": "0a1b",
            "region_name": "region-1",
            "modelarts_endpoint": URL,
            "iam_endpoint": IAM,
            "clock": clock,
        }
        made.append(Session(**{**settings, **changes}))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def password_session(session):
    def make(**changes):
        user = {"username": "ann", "password": PASSWORD, "account": "company"}
        return session(access_key=None, secret_key=None, **{**user, **changes})

    return make


def assert_signed_as_sent(method, url, headers, body, secret=SECRET):
    """The signature is that of the request as it was sent, whatever headers it names."""
    lowered = {name.lower(): value for name, value in headers.items()}
    given = signer.parse_authorization(lowered["authorization"])
    parts = urlsplit(url)
    canonical = signer.canonical_request(
        method,
        parts.path,
        signer.canonical_query(parse_qsl(parts.query, keep_blank_values=True)),
        lowered,
        given.signed,
        body or b"",
    )
    assert given.access_key == "AK"
    assert {"host", "x-sdk-date", "x-project-id"} <= set(given.signed)
    assert signer.signature(secret, lowered["x-sdk-date"], canonical) == given.signature


def assert_sent_and_signed(request):
    assert_signed_as_sent(request.method, request.url, request.headers, request.body)


# Signing and repeating --------------------------------------------------------------------


def test_every_attempt_is_signed_anew(wire, session, clock):
    """A gateway refuses a date that is old, so a repetition must not carry the first one's."""
    clock.now = 1573789015.0
    wire.get(URL + PATH, status=503, headers={"Retry-After": "7"})
    wire.get(URL + PATH, status=503, headers={"Retry-After": "9"})
    wire.get(URL + PATH, json={"jobs": []})
    assert session().request("GET", PATH) == {"jobs": []}
    sent = [call.request for call in wire.calls]
    assert [request.headers["X-Sdk-Date"] for request in sent] == [
        "20191115T033655Z",
        "20191115T033702Z",
        "20191115T033711Z",
    ]
    for request in sent:
        assert_sent_and_signed(request)
    assert len({request.headers["Authorization"] for request in sent}) == 3


@pytest.mark.parametrize(
    ("call", "more"),
    [
        (("GET", PATH), {}),
        (("GET", PATH), {"query": {"status": "3|5", "search_content": "größe +~", "page": ""}}),
        (("GET", "/v1/größe/a b/c%20d/~"), {}),
        (("POST", PATH), {"body": {"job_desc": "größe"}}),
        (("POST", PATH), {"body": "größe"}),
        (("POST", PATH), {"body": b"\x00\xff", "headers": {"Content-Type": "application/bson"}}),
        (("POST", PATH + "/1/stop"), {}),
        (("PUT", PATH + "/1"), {"body": {}}),
        (("DELETE", PATH + "/1"), {}),
        (("GET", PATH), {"headers": {"X-Trace": "  one  two "}}),
        (("GET", PATH), {"headers": {"X_Dropped": "by gateways"}}),
        (("GET", PATH), {"headers": {"Accept": "text/plain"}}),
        (("GET", PATH), {"headers": {"user-agent": "mine"}}),
        (("POST", PATH), {"body": {}, "headers": {"content-type": "application/json;v=2"}}),
        (("GET", PATH), {"headers": {"x-project-id": "other"}}),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_what_is_sent_is_what_is_signed(wire, session, call, more):
    for method in (responses.GET, responses.POST, responses.PUT, responses.DELETE):
        wire.add_callback(method, ANYTHING, callback=lambda request: (200, {}, "{}"))
    session(security_token="the-token").request(*call, **more)
    (sent,) = [each.request for each in wire.calls]
    assert_sent_and_signed(sent)
    signed = signer.parse_authorization(sent.headers["Authorization"]).signed
    assert "x-security-token" in signed
    assert ("content-type" in signed) == bool(more.get("body") is not None)
    for name, value in more.get("headers", {}).items():
        assert sent.headers[name].strip() == value.strip()


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("https://h.example.com", "h.example.com"),
        ("https://h.example.com:443", "h.example.com"),
        ("http://h.example.com:80", "h.example.com"),
        ("https://h.example.com:80", "h.example.com:80"),
        ("http://h.example.com:443", "h.example.com:443"),
        ("https://h.example.com:8443", "h.example.com:8443"),
    ],
)
def test_a_default_port_is_no_part_of_the_signed_host(wire, session, endpoint, host):
    wire.get(endpoint + PATH, json={})
    session(modelarts_endpoint=endpoint).request("GET", PATH)
    (sent,) = [each.request for each in wire.calls]
    assert sent.headers["Host"] == host
    assert_sent_and_signed(sent)


def test_an_endpoints_prefix_is_signed_too(wire, session):
    wire.get(URL + "/prefix" + PATH, json={})
    session(modelarts_endpoint=URL + "/prefix").request("GET", PATH)
    assert_sent_and_signed(wire.calls[0].request)


def test_the_waits_between_attempts_grow_and_end(wire, session, clock):
    wire.get(URL + PATH, status=503, json={"error_msg": "later"})
    with pytest.raises(ServerError, match="later"):
        session(retries=4).request("GET", PATH)
    assert len(wire.calls) == 5
    assert clock.sleeps == pytest.approx([0.1, 0.2, 0.4, 0.8])


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("path", [PATH, PATH + "/1/stop", PATH + "/1/restart"])
def test_a_post_that_may_have_happened_is_not_repeated(wire, session, clock, path, status):
    wire.post(URL + path, status=status)
    with pytest.raises(ServerError):
        session().request("POST", path)
    assert (len(wire.calls), clock.sleeps) == (1, [])


def test_throttled_post_waits_for_retry_after(wire, session, clock):
    """A post that was throttled is repeated when the gateway says."""
    wire.post(URL + PATH, status=429, headers={"Retry-After": "3"})
    wire.post(URL + PATH, json={"job_id": "1"})
    assert session().request("POST", PATH, body={"job_name": "job"}) == {"job_id": "1"}
    assert clock.sleeps == [3.0]
    bodies = [call.request.body for call in wire.calls]
    assert bodies == [b'{"job_name": "job"}'] * 2


def test_throttled_to_the_end_is_its_own_error(wire, session):
    body = {"error_code": "APIG.0308", "error_msg": "throttled", "request_id": "f00d"}
    wire.get(URL + PATH, status=429, json=body)
    with pytest.raises(RateLimited, match="throttled") as caught:
        session(retries=1).request("GET", PATH)
    assert caught.value.request_id == "f00d"
    assert len(wire.calls) == 2


# 401 --------------------------------------------------------------------------------------


class Keystone:
    """IAM: numbers its tokens, which are good for an hour by the tests' clock."""

    def __init__(self, wire, clock):
        self.logins = []
        self.clock = clock
        wire.add_callback(responses.POST, IAM + "/v3/auth/tokens", callback=self.login)

    def login(self, request):
        self.logins.append(json.loads(request.body))
        until = time.gmtime(self.clock.now + 3600)
        expires_at = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", until)
        token = {"expires_at": expires_at, "project": {"id": "0a1b"}}
        return 201, {"X-Subject-Token": "token%d" % len(self.logins)}, json.dumps({"token": token})


def gateway_refusal(wire, **more):
    wire.get(URL + PATH, status=401, json={"error_code": "APIG.0301", "error_msg": "no"}, **more)


def tokens_sent(wire):
    sent = (call.request.headers.get("X-Auth-Token") for call in wire.calls)
    return [token for token in sent if token]


def test_a_refused_token_is_renewed_once(wire, password_session, clock):
    keystone = Keystone(wire, clock)
    gateway_refusal(wire)
    wire.get(URL + PATH, json={"jobs": []})
    session = password_session()
    assert session.request("GET", PATH) == {"jobs": []}
    assert tokens_sent(wire) == ["token1", "token2"]
    assert session.request("GET", PATH) == {"jobs": []}
    assert tokens_sent(wire) == ["token1", "token2", "token2"]
    assert len(keystone.logins) == 2
    assert clock.sleeps == []


def test_a_token_that_is_refused_again_is_the_end(wire, password_session, clock):
    Keystone(wire, clock)
    gateway_refusal(wire)
    with pytest.raises(AuthenticationFailed) as caught:
        password_session().request("GET", PATH)
    assert (caught.value.error_code, caught.value.error_msg) == ("APIG.0301", "no")
    assert tokens_sent(wire) == ["token1", "token2"]
    assert clock.sleeps == []


def test_a_token_is_renewed_for_a_post_too(wire, password_session, clock):
    """A request that was refused did not happen."""
    Keystone(wire, clock)
    wire.post(URL + PATH, status=401)
    wire.post(URL + PATH, json={"job_id": "1"})
    assert password_session().request("POST", PATH, body={}) == {"job_id": "1"}


def test_a_token_is_renewed_even_where_nothing_is_repeated(wire, password_session, clock):
    Keystone(wire, clock)
    gateway_refusal(wire)
    wire.get(URL + PATH, json={})
    assert password_session(retries=0).request("GET", PATH) == {}


def test_a_token_is_fetched_once_and_again_before_it_expires(wire, password_session, clock):
    keystone = Keystone(wire, clock)
    wire.get(URL + PATH, json={})
    session = password_session()
    assert keystone.logins == []
    for seconds in (0, 1, 3600 - 122, 2, 1):
        clock.now += seconds
        session.request("GET", PATH)
    assert tokens_sent(wire) == ["token1", "token1", "token1", "token2", "token2"]


def test_a_token_is_fetched_once_however_many_threads_ask(wire, password_session, clock):
    keystone = Keystone(wire, clock)
    wire.get(URL + PATH, json={})
    session = password_session()
    together = threading.Barrier(8)

    def ask():
        together.wait(timeout=30)
        session.request("GET", PATH)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert tokens_sent(wire) == ["token1"] * 8
    assert len(keystone.logins) == 1


def test_a_wrong_password_is_tried_once(wire, password_session):
    error = {"error": {"code": 401, "title": "Unauthorized", "message": "The password is wrong."}}
    wire.post(IAM + "/v3/auth/tokens", status=401, json=error)
    with pytest.raises(AuthenticationFailed, match=r"log in as ann: .*The password is wrong"):
        password_session().request("GET", PATH)
    assert len(wire.calls) == 1


def test_refused_keys_are_not_tried_again(wire, session, clock):
    gateway_refusal(wire, headers={"Date": formatdate(clock.now + 2, usegmt=True)})
    with pytest.raises(AuthenticationFailed):
        session().request("GET", PATH)
    assert (len(wire.calls), clock.sleeps) == (1, [])


@pytest.mark.parametrize("off", [1200, -1200])
def test_a_clock_that_is_off_is_corrected_by_the_gateways(wire, session, clock, off):
    gateway_refusal(wire, headers={"Date": formatdate(clock.now + off, usegmt=True)})
    wire.get(URL + PATH, json={})
    made = session(retries=0)
    assert made.request("GET", PATH) == {}
    assert made.request("GET", PATH) == {}
    here, there = signer.sdk_date(clock.now), signer.sdk_date(clock.now + off)
    dates = [call.request.headers["X-Sdk-Date"] for call in wire.calls]
    assert dates == [here, there, there]
    for call in wire.calls:
        assert_sent_and_signed(call.request)


def test_a_clock_is_corrected_once_and_no_more(wire, session, clock):
    def refuse(request):
        clock.now -= 5000
        return 401, {"Date": formatdate(clock.now + 10000, usegmt=True)}, "{}"

    wire.add_callback(responses.GET, URL + PATH, callback=refuse)
    with pytest.raises(AuthenticationFailed):
        session().request("GET", PATH)
    assert len(wire.calls) == 2


def test_a_clock_that_is_set_right_later_is_believed_again(wire, session, clock):
    """The warning asks for just that, and a session may live for weeks."""
    true = clock.now + 1200

    def gateway(request):
        dated = request.headers["X-Sdk-Date"]
        right = signer.sdk_date(true - 900) <= dated <= signer.sdk_date(true + 900)
        return 200 if right else 401, {"Date": formatdate(true, usegmt=True)}, "{}"

    wire.add_callback(responses.GET, URL + PATH, callback=gateway)
    made = session()
    assert made.request("GET", PATH) == {}
    clock.now = true
    assert made.request("GET", PATH) == {}
    assert len(wire.calls) == 4


def test_pending_request_uses_corrected_clock(wire, session, clock):
    """Both were dated by the wrong clock; neither may fail for it."""
    made = session()

    def gateway(request):
        right = signer.sdk_date(clock.now + 1200)
        if request.headers["X-Sdk-Date"] == right:
            return 200, {}, "{}"
        if request.url.endswith("/first"):
            assert made.request("GET", PATH + "/second") == {}
        return 401, {"Date": formatdate(clock.now + 1200, usegmt=True)}, "{}"

    wire.add_callback(responses.GET, ANYTHING, callback=gateway)
    assert made.request("GET", PATH + "/first") == {}
    assert len(wire.calls) == 4


@pytest.mark.parametrize("date", ["", "yesterday", "²", "Fri, 15 Nov 99999 03:36:55 GMT"])
def test_an_unreadable_date_is_passed_over(wire, session, date):
    gateway_refusal(wire, headers={"Date": date})
    with pytest.raises(AuthenticationFailed):
        session().request("GET", PATH)
    assert len(wire.calls) == 1


# Answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_reported_and_not_followed(wire, session, status):
    """A signature holds for one address only, and a token must not go to another."""
    wire.get(URL + PATH, status=status, headers={"Location": "https://login.example.com/"})
    elsewhere = wire.get("https://login.example.com/", json={})
    with pytest.raises(ApiError, match=r"redirected to https://login\.example\.com/") as caught:
        session().request("GET", PATH)
    assert type(caught.value) is ApiError
    assert caught.value.status_code == status
    assert caught.value.headers["Location"] == "https://login.example.com/"
    assert elsewhere.call_count == 0
    assert len(wire.calls) == 1


HTML = "<!DOCTYPE html>\n<html><body>Welcome to the hotel's network</body></html>"


def test_html_answer_is_error_naming_address(wire, session):
    """A page instead of an answer says so and names the address."""
    wire.get(URL + PATH, body=HTML, content_type="text/html")
    with pytest.raises(TransportError) as caught:
        session().request("GET", PATH)
    for said in (URL, "text/html", "<!DOCTYPE html>", "GET " + PATH):
        assert said in str(caught.value)
    assert caught.value.address == URL


def test_a_page_with_an_error_status_is_a_refusal(wire, session):
    wire.get(URL + PATH, status=502, body=HTML, content_type="text/html")
    with pytest.raises(ServerError) as caught:
        session(retries=0).request("GET", PATH)
    error = caught.value
    assert (error.status_code, error.error_code, error.error_msg) == (502, None, "Bad Gateway")
    assert error.body == HTML


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "said"),
    [
        (
            400,
            {"is_success": False, "error_code": "ModelArts.0104", "error_message": "Illegal name"},
            BadRequest,
            "ModelArts.0104",
            "Illegal name",
        ),
        (
            400,
            {"is_success": False, "error_code": "ModelArts.0104", "error_msg": "Illegal name"},
            BadRequest,
            "ModelArts.0104",
            "Illegal name",
        ),
        (
            200,
            {"is_success": False, "error_code": "ModelArts.0015", "error_message": "gone"},
            NotFound,
            "ModelArts.0015",
            "gone",
        ),
        (200, {"is_success": False}, BadRequest, None, "OK"),
        (
            401,
            {"error_code": "APIG.0301", "error_msg": "Incorrect", "request_id": "f00d"},
            AuthenticationFailed,
            "APIG.0301",
            "Incorrect",
        ),
        (
            401,
            {"error": {"code": 401, "title": "Unauthorized", "message": "wrong password"}},
            AuthenticationFailed,
            None,
            "wrong password",
        ),
        (
            404,
            {"error": {"code": 404, "title": "Not CredentialSet"}},
            NotFound,
            None,
            "Not CredentialSet",
        ),
        (
            403,
            {"error_code": "IAM.0003", "error_msg": "Policy", "encoded_authorization": ""},
            ApiError,
            "IAM.0003",
            "Policy",
        ),
        (400, {"message": "other"}, BadRequest, None, "other"),
        (400, {}, BadRequest, None, "Bad Request"),
        (400, [], BadRequest, None, "Bad Request"),
        (400, {"error": "text"}, BadRequest, None, "Bad Request"),
        (400, {"error_code": 5, "error_msg": 7}, BadRequest, "5", "7"),
    ],
)
def test_a_refusal_of_any_dialect_is_understood(wire, session, status, body, kind, code, said):
    wire.get(URL + PATH, status=status, json=body)
    with pytest.raises(kind) as caught:
        session().request("GET", PATH)
    error = caught.value
    assert (error.status_code, error.error_code, error.error_msg) == (status, code, said)
    assert error.operation == "GET " + PATH
    assert json.loads(error.body) == body


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({}, {"request_id": "of the body"}, "of the body"),
        ({"X-Request-Id": "of the header"}, {}, "of the header"),
        ({}, {}, None),
    ],
)
def test_a_refusal_has_the_id_to_ask_support_with(wire, session, headers, body, expected):
    wire.get(URL + PATH, status=400, json=body, headers=headers)
    with pytest.raises(BadRequest) as caught:
        session().request("GET", PATH)
    assert caught.value.request_id == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"", None),
        (200, b" \r\n", None),
        (200, b"null", None),
        (200, b"{}", {}),
        (201, b"[1]", [1]),
        (202, b'"\xc3\xbc"', "ü"),
        (204, b"", None),
    ],
)
def test_a_success_is_its_json_and_nothing_is_none(wire, session, status, body, expected):
    wire.get(URL + PATH, status=status, body=body)
    assert session().request("GET", PATH) == expected


@pytest.mark.parametrize("body", [b"{", b"ok", b"\xff\xfe", b"[" * 100_000])
def test_a_success_that_is_no_json_is_no_answer(wire, session, body):
    wire.get(URL + PATH, body=body)
    with pytest.raises(TransportError, match="instead of JSON"):
        session().request("GET", PATH)
    assert len(wire.calls) == 4
    with pytest.raises(TransportError, match="instead of JSON"):
        session(retries=0).request("GET", PATH)
    assert len(wire.calls) == 5


def test_an_answer_without_end_is_not_read_to_its_end(wire, session):
    wire.get(URL + PATH, body=b"[" + b" " * (64 * 2**20) + b"]")
    with pytest.raises(TransportError, match="larger than 64 MiB"):
        session(retries=0).request("GET", PATH)


@pytest.mark.parametrize(
    ("answer", "call"),
    [
        ([], lambda session: VisualizationJob.create("/bucket/logs/", session=session)),
        ({}, lambda session: VisualizationJob.create("/bucket/logs/", session=session)),
        ([], lambda session: VisualizationJob.list(session)),
        ({"jobs": "none"}, lambda session: VisualizationJob.list(session)),
        ([], lambda session: VisualizationJob.get("1", session)),
        ({"status": "x"}, lambda session: VisualizationJob.get("1", session).status),
        ([], lambda session: VisualizationJob(session, "1").stop()),
    ],
    ids=["create", "create no id", "list", "list no jobs", "details", "details status", "stop"],
)
def test_undocumented_answer_names_address(wire, session, answer, call):
    """An answer that is not the documented one names its address."""
    for method in (responses.GET, responses.POST):
        wire.add(method, ANYTHING, json=answer)
    made = session()
    with pytest.raises(TransportError) as caught:
        call(made)
    assert caught.value.address == URL
    assert URL in str(caught.value)


# Sockets ----------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """Answers on the loopback as it is told, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self):
        self.asked = []
        self.answers = lambda asked: (200, {}, json.dumps(dict(asked.headers.items())))
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = "http://127.0.0.1:%d" % self.server_address[1]


class _Handler(Handler):
    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        asked = SimpleNamespace(
            path=self.path,
            headers=self.headers,
            body=self.rfile.read(length),
            client=self.client_address,
        )
        self.server.asked.append(asked)
        status, headers, body = self.server.answers(asked)
        self.reply(status, body.encode("utf-8"), headers)

    do_GET = do_POST = do_PUT = do_DELETE = answer


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def refusing():
    """The address of a port where nobody listens, held so that nobody can begin to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield "http://127.0.0.1:%d" % held.getsockname()[1]


@pytest.fixture
def scripted():
    """A server that says what it is told to whoever comes, and then waits for them to go."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    ended = threading.Event()
    threads = []

    def script(text, close=False):
        def serve():
            while True:
                connection, _ = listening.accept()
                with connection:
                    if ended.is_set():
                        return
                    connection.recv(65536)
                    connection.sendall(text)
                    while not close and connection.recv(65536):
                        pass

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return "http://127.0.0.1:%d" % listening.getsockname()[1]

    yield script
    ended.set()
    for thread in threads:
        socket.create_connection(listening.getsockname()).close()
        thread.join(timeout=30)
    listening.close()


@pytest.mark.parametrize(
    "path",
    [
        PATH,
        "/",
        "/a b/größe/日",
        "/a%20b/%e6%97%a5/100%25",
        "/a%20b/100%",
        "/~ann/-._/!$&'()*,;=:@+",
        '/"<>^`{|}',
        "/a/./b/../c/",
        "/a//b/",
    ],
)
def test_what_arrives_is_what_was_signed(server, session, path):
    query = {"search_content": "größe +&=~/?#", "status": "3|5", "page": ""}
    session(modelarts_endpoint=server.url).request("POST", path, query=query, body={"a": "ü"})
    (asked,) = server.asked
    assert asked.headers["Host"] == server.url[len("http://") :]
    assert_signed_as_sent("POST", "http://h" + asked.path, asked.headers, asked.body)


def test_a_netrc_does_not_replace_the_signature(server, session, monkeypatch, tmp_path):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login ann password from-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    # What requests does by itself; without this the test would show nothing.
    assert requests.get(server.url).json()["Authorization"].startswith("Basic ")
    echoed = session(modelarts_endpoint=server.url).request("GET", PATH)
    assert echoed["Authorization"].startswith("SDK-HMAC-SHA256 Access=AK, ")


def test_a_netrc_adds_nothing_to_a_token(server, password_session, monkeypatch, tmp_path):
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login ann password from-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    server.answers = iam_and_modelarts
    made = password_session(modelarts_endpoint=server.url, iam_endpoint=server.url)
    made.request("GET", PATH)
    assert [asked.headers["X-Auth-Token"] for asked in server.asked] == [None, TOKEN]
    assert [asked.headers["Authorization"] for asked in server.asked] == [None, None]


def test_no_cookie_is_kept(server, session):
    server.answers = lambda asked: (200, {"Set-Cookie": "id=1; Path=/"}, "{}")
    made = session(modelarts_endpoint=server.url)
    made.request("GET", PATH)
    made.request("GET", PATH)
    assert [asked.headers["Cookie"] for asked in server.asked] == [None, None]


def test_proxies_are_read_once_per_session(server, refusing, session, monkeypatch):
    """Proxies are those of the environment when the session was made."""
    monkeypatch.setenv("HTTP_PROXY", server.url)
    through = session(modelarts_endpoint=refusing)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    excepted = session(modelarts_endpoint=refusing, retries=0)
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("HTTP_PROXY")
    through.request("GET", PATH)
    assert [asked.path for asked in server.asked] == [refusing + PATH]
    with pytest.raises(TransportError, match="Connection refused"):
        excepted.request("GET", PATH)


def test_proxies_that_come_later_change_nothing(server, refusing, session, monkeypatch):
    made = session(modelarts_endpoint=server.url)
    monkeypatch.setenv("HTTP_PROXY", refusing)
    made.request("GET", PATH)
    assert [asked.path for asked in server.asked] == [PATH]


def test_proxies_can_be_given(server, refusing, session, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", refusing)
    made = session(modelarts_endpoint=refusing, proxies={"http": server.url})
    made.request("GET", PATH)
    assert [asked.path for asked in server.asked] == [refusing + PATH]


def test_silent_proxy_is_named_without_password(refusing, session):
    """A proxy that does not answer is named as such without its password."""
    proxy = refusing.replace("//", "//ann:s3cret@")
    made = session(modelarts_endpoint="http://127.0.0.1:9", proxies={"http": proxy}, retries=0)
    with pytest.raises(
        TransportError, match=r"the proxy to http://127\.0\.0\.1:9 .* proxies="
    ) as caught:
        made.request("GET", PATH)
    assert "s3cret" not in everything_said(caught.value)


def test_an_answer_that_does_not_come_is_a_timeout(scripted, session, clock):
    url = scripted(b"")
    with pytest.raises(RequestTimeout, match=r"did not answer within 0\.2 seconds") as caught:
        session(modelarts_endpoint=url, timeout=0.2, retries=2).request("GET", PATH)
    error = caught.value
    assert isinstance(error, TimeoutError)
    assert isinstance(error, ConnectionError)
    assert (error.address, error.operation, error.sent) == (url, "GET " + PATH, True)
    assert url in str(error)
    assert len(clock.sleeps) == 2


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ],
)
def test_an_answer_that_stops_coming_is_a_timeout_too(scripted, session, said):
    url = scripted(said)
    with pytest.raises(RequestTimeout, match=r"0\.2 seconds"):
        session(modelarts_endpoint=url, timeout=0.2, retries=0).request("GET", PATH)


def test_a_post_without_an_answer_is_not_repeated(scripted, session, clock):
    url = scripted(b"")
    with pytest.raises(RequestTimeout):
        session(modelarts_endpoint=url, timeout=0.2).request("POST", PATH, body={})
    assert clock.sleeps == []


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"220 mail.example.com ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_broken_answer_is_no_answer_and_names_the_address(scripted, session, clock, said):
    url = scripted(said, close=True)
    with pytest.raises(TransportError, match="answer") as caught:
        session(modelarts_endpoint=url, retries=1).request("GET", PATH)
    assert (caught.value.address, caught.value.sent) == (url, True)
    assert url in str(caught.value)
    assert len(clock.sleeps) == 1


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_refused_connection_is_retried_for_any_method(refusing, session, clock, method):
    """Nothing was sent, so nothing can happen twice."""
    with pytest.raises(TransportError, match="Connection refused") as caught:
        session(modelarts_endpoint=refusing).request(method, PATH)
    assert type(caught.value) is TransportError
    assert (caught.value.address, caught.value.sent) == (refusing, False)
    assert refusing in str(caught.value)
    assert len(clock.sleeps) == 3


def test_https_where_there_is_none_is_no_answer(server, session):
    url = server.url.replace("http:", "https:")
    with pytest.raises(TransportError) as caught:
        session(modelarts_endpoint=url, retries=0).request("GET", PATH)
    assert caught.value.address == url
    assert url in str(caught.value)


@pytest.mark.parametrize("setting", ["verify", "cert"])
def test_missing_certificate_file_is_typed_error(session, refusing, setting):
    """A certificate file that is not there is an error of ours."""
    url = refusing.replace("http:", "https:")
    with pytest.raises(ModelArtsError, match=r"nowhere\.pem"):
        session(modelarts_endpoint=url, retries=0, **{setting: "/nowhere.pem"}).request("GET", PATH)


def test_connections_are_reused_until_close(server, session):
    """Connections are used again and a closed session opens new ones."""
    made = session(modelarts_endpoint=server.url)
    for _ in range(3):
        made.request("GET", PATH)
    made.close()
    made.request("GET", PATH)
    clients = [asked.client for asked in server.asked]
    assert clients[0] == clients[1] == clients[2] != clients[3]


def test_closed_session_keeps_no_connection(session):
    """With the error its frames are kept, and all that they know."""
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve():
            for said in (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", good):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(said)
                    if said is good:
                        connection.recv(65536)  # until its end

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        made = session(
            modelarts_endpoint="http://127.0.0.1:%d" % listening.getsockname()[1], retries=0
        )
        with pytest.raises(TransportError) as caught:
            made.request("GET", PATH)
        made.request("GET", PATH)
        made.close()
        thread.join(timeout=30)
        assert not thread.is_alive()
    assert caught.value.__traceback__ is not None


# Secrets ----------------------------------------------------------------------------------

TOKEN = "MIIEnQYJKo-the-token"
TEMPORARY = "gQpjbi1ub3J0aC00-the-security-token"
SECRETS = (SECRET, PASSWORD, TOKEN, TEMPORARY, "Signature=")


def iam_and_modelarts(asked):
    if asked.path.startswith("/v3/auth/tokens"):
        token = {"expires_at": "2099-01-04T09:05:22.701000Z", "project": {"id": "0a1b"}}
        return 201, {"X-Subject-Token": TOKEN}, json.dumps({"token": token})
    answers = {"/refused": 401, "/broken": 503}
    status = next((s for end, s in answers.items() if asked.path.endswith(end)), 200)
    return status, {"X-Subject-Token": TOKEN, "Set-Cookie": "session=" + TOKEN}, "{}"


def everything_said(error):
    """All that a person, a log or a crash report gets to see of an error."""
    formatted = traceback.format_exception(type(error), error, error.__traceback__)
    return "".join(formatted) + repr(error) + repr(vars(error))


def calls(session):
    for path in (PATH, PATH + "/refused", PATH + "/broken"):
        try:
            session.request("POST", path, body={})
        except ApiError as error:
            yield error


def test_no_secret_reaches_a_log(server, refusing, session, password_session, caplog):
    """Not those of the session, nor those that IAM answers, nor what is made of them."""
    server.answers = iam_and_modelarts
    caplog.set_level(logging.DEBUG)
    by_keys = session(modelarts_endpoint=server.url, security_token=TEMPORARY)
    by_password = password_session(modelarts_endpoint=server.url, iam_endpoint=server.url)
    for made in (by_keys, by_password):
        assert len(list(calls(made))) == 2
    with pytest.raises(TransportError):
        password_session(iam_endpoint=refusing).request("GET", PATH)
    names = {record.name.split(".")[0] for record in caplog.records}
    assert {"modelarts", "urllib3"} <= names
    said = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert "POST %s%s -> 200" % (server.url, PATH) in said
    assert [secret for secret in SECRETS if secret in said] == []


def test_no_secret_reaches_an_error(server, refusing, scripted, session, password_session):
    server.answers = iam_and_modelarts
    errors = list(calls(session(modelarts_endpoint=server.url, security_token=TEMPORARY)))
    errors += calls(password_session(modelarts_endpoint=server.url, iam_endpoint=server.url))
    assert [type(error) for error in errors] == [AuthenticationFailed, ServerError] * 2
    silent = scripted(b"")
    for iam in (refusing, silent):
        with pytest.raises(TransportError) as caught:
            password_session(iam_endpoint=iam, timeout=0.2, retries=0).request("GET", PATH)
        errors.append(caught.value)
    for error in errors:
        said = everything_said(error)
        assert [secret for secret in SECRETS if secret in said] == []


def test_a_token_that_cannot_be_read_is_not_shown(wire, password_session):
    body = {"token": {"expires_at": "soon", "secret": TOKEN}}
    wire.post(IAM + "/v3/auth/tokens", json=body, headers={"X-Subject-Token": TOKEN})
    with pytest.raises(TransportError, match="cannot be read") as caught:
        password_session().request("GET", PATH)
    assert TOKEN not in everything_said(caught.value)
    assert caught.value.address == IAM


def test_a_refusals_headers_are_kept_without_cookies_and_tokens(wire, session):
    headers = {
        "X-Subject-Token": TOKEN,
        "Set-Cookie": "session=" + TOKEN,
        "x-security-token": TOKEN,
        "X-Kept": "yes",
    }
    wire.get(URL + PATH, status=400, json={}, headers=headers)
    with pytest.raises(BadRequest) as caught:
        session().request("GET", PATH)
    assert caught.value.headers["X-Kept"] == "yes"
    assert TOKEN not in everything_said(caught.value)
