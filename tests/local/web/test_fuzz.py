"""Hostile requests on the wire: none is an error of the service, none reads what is another's.

``FUZZ_SEED`` and ``FUZZ_EXAMPLES`` in the environment make a longer or another run.
"""

import os
import re
import socket
import string
import time
from collections import namedtuple
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import urllib3
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from modelarts.auth import signer
from modelarts.estimator import VisualizationJob
from modelarts.local.identity.users_file import edit, prepare
from modelarts.local.web.app import document
from tests.servers.service import Service

pytestmark = pytest.mark.local

SEED = int(os.environ.get("FUZZ_SEED", "20261121"))
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
#: What only its owner may read, and what nobody may.
PRIVATE = "private-to-its-owner"
OUTSIDE = "outside-of-the-root"
OPERATIONS = [
    (path, method.upper())
    for path, item in document()["paths"].items()
    for method in item
    if method != "parameters"
]
OPEN = {"/", "/v3", "/v3/", "/healthz", "/openapi.json"}
Key = namedtuple("Key", "access_key secret_key")


def _settings(examples):
    return settings(
        max_examples=EXAMPLES or examples,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


class World:
    """A service with two users; the first one has a running job."""

    def __init__(self, folder):
        print("seed", SEED)
        (folder / "outside.txt").write_text(OUTSIDE)
        root = folder / "root"
        root.mkdir()
        self.other = edit(prepare(root), lambda users: users.with_user("other")).by_name["other"]
        self.service = Service(root, "--rate", "100000")
        self.found = self.service.connection
        self.url = self.found["modelarts_endpoint"]
        self.address = (urlsplit(self.url).hostname, urlsplit(self.url).port)
        with self.service.session() as session:
            job = VisualizationJob.create("/bucket/logs/", job_desc=PRIVATE, session=session)
            self.page = urlsplit(job.wait().service_url).path
        with self.service.session(api="v2") as session:
            (same,) = VisualizationJob.list(session)
        self.owner = Key(self.found["access_key"], self.found["secret_key"])
        #: By the names in paths of the document.
        self.names = {
            **{"job_id": job.job_id, "board_id": job.job_id, "training_job_id": same.job_id},
            **{"task_id": "worker-0", "key": "0" * 32, "share_id": "1"},
        }
        self.statuses = {}
        # A session of requests takes some milliseconds for each of thousands of requests.
        self.pool = urllib3.HTTPConnectionPool(*self.address, timeout=30, retries=False)

    def count(self, status):
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def close(self):
        print("answers by status:", dict(sorted(self.statuses.items())))
        self.pool.close()
        code = self.service.end()
        log = (self.service.root / "service.log").read_text()
        assert "Traceback" not in log
        assert "Traceback" not in "".join(line for line in self.service.log if line)
        assert "internal error" not in log
        assert code == 0


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("fuzz"))
    yield world
    world.close()


# By the document ----------------------------------------------------------------------------


def _ask(world, method, path, user=None, project_id=None):
    """Send a request about the first user's job, signed by a user or not at all."""
    project_id = project_id or world.found["project_id"]
    path = path.format(**{**world.names, "project_id": project_id})
    body = {} if method in ("POST", "PUT", "PATCH") else None
    prepared = requests.Request(method, world.url + path, json=body).prepare()
    if user is not None:
        _sign(prepared, user.access_key, user.secret_key)
    return _exchange_prepared(world, prepared)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_each_operation_reads_nothing_private(world, path, method):
    """As the test of documented requests below, with one request of each user."""
    other, own = world.other.key, world.other.projects[0].project_id
    unsigned, foreign = _ask(world, method, path), _ask(world, method, path, other)
    assert unsigned.status >= 400 or path in OPEN, unsigned.data
    if path.startswith(("/v1/", "/v2/", "/local/{project_id}")):
        assert unsigned.status == 401, unsigned.data
        assert foreign.status in (400, 403, 404), foreign.data
    for answer in (unsigned, foreign, _ask(world, method, path, other, own)):
        assert answer.status < 500, answer.data
        assert PRIVATE.encode() not in answer.data


@pytest.mark.parametrize("path", list(document()["paths"]))
def test_other_methods_of_a_path_are_refused(world, path):
    # The other calls of an address of this form take its last part for an id.
    same = {path, re.sub("(training-jobs)/batch-delete$", "\\1/{training_job_id}", path)}
    known = {method for each, method in OPERATIONS if each in same}
    others = {"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE"} - known
    answers = {method: _ask(world, method, path, world.owner).status for method in others}
    assert {method: status for method, status in answers.items() if status not in (404, 405)} == {}
    assert known or answers


@pytest.fixture(scope="module")
def cases():
    """Strategies for requests, allowed ones and others, by path and method."""
    import schemathesis  # takes seconds, in each process that collects the tests

    schema = schemathesis.openapi.from_dict(document())
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    return {
        (path, method): st.one_of(
            [schema[path][method].as_strategy(generation_mode=mode) for mode in modes]
        )
        for path, method in OPERATIONS
    }


def _send(world, case, access_key=None, secret_key=None):
    """Send what schemathesis made up, signed with these keys."""
    prepared = requests.Request(**_request_of(world, case)).prepare()
    if access_key is not None:
        _sign(prepared, access_key, secret_key)
    return prepared, _exchange_prepared(world, prepared)


def _exchange_prepared(world, prepared):
    answer = world.pool.urlopen(
        prepared.method,
        prepared.path_url,
        body=prepared.body,
        headers=prepared.headers,
        redirect=False,
    )
    world.count(answer.status)
    return answer


def _request_of(world, case):
    arguments = case.as_transport_kwargs(base_url=world.url)
    names = ("method", "url", "params", "headers", "json", "data", "cookies")
    return {name: value for name, value in arguments.items() if name in names}


def _sign(prepared, access_key, secret_key):
    parts = urlsplit(prepared.url)
    headers = {"host": parts.netloc, "x-sdk-date": signer.sdk_date(time.time())}
    body = prepared.body or b""
    body = body.encode() if isinstance(body, str) else body
    # As the service reads it.
    query = signer.canonical_query(
        parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
    )
    for name in ("Authorization", "X-Auth-Token", "X-Security-Token", "X-Sdk-Date"):
        prepared.headers.pop(name, None)
    prepared.headers["X-Sdk-Date"] = headers["x-sdk-date"]
    prepared.headers["Authorization"] = signer.sign(
        prepared.method, parts.path, query, headers, body, access_key, secret_key
    )


@pytest.mark.extended
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@given(data=st.data())
@seed(SEED)
@_settings(12)
def test_documented_requests_read_nothing_private(world, cases, path, method, data):
    """By who does not sign, by another user in the owner's project, and in that user's own."""
    case = data.draw(cases[path, method])
    asked, unsigned = _send(world, case)
    assert unsigned.status >= 400 or urlsplit(asked.url).path in OPEN, unsigned.data
    key = world.other.key
    answers = [(asked, unsigned)]
    for project_id in (world.found["project_id"], world.other.projects[0].project_id):
        if "project_id" in case.path_parameters:
            case.path_parameters["project_id"] = project_id
        answers.append(_send(world, case, key.access_key, key.secret_key))
    if case.path.startswith(("/v1/", "/v2/", "/local/{project_id}")):
        _, answer = answers[1]
        assert answer.status in (400, 403, 404, 405), answer.data
    for asked, answer in answers:
        assert answer.status < 500, (asked.method, asked.url, answer.data)
        assert PRIVATE.encode() not in answer.data
        assert OUTSIDE.encode() not in answer.data


# By the byte --------------------------------------------------------------------------------

_JUNK = st.one_of(
    st.text(string.printable, max_size=30),
    st.binary(max_size=30).map(lambda value: value.decode("latin-1")),
    st.sampled_from(
        ["..", "../" * 9, "%2e%2e/", "..%2f", "%00", "//", "\\", "%252e", "*", ";", "#"]
    ),
)
_TARGETS = st.one_of(
    st.sampled_from(
        [
            "/v1/{project}/visualization-jobs",
            "/v1/{project}/visualization-jobs/1",
            "/v1/{project}/visualization-jobs/1/stop",
            "/v3/projects",
            "/v3/auth/tokens",
            "/healthz",
            "{page}",
            "{page}data/logdir",
            "{page}data/runs",
            "/modelarts/tensorboard/" + "0" * 32 + "/1/",
        ]
    ),
    st.sampled_from(
        [
            "{page}../../../../outside.txt",
            "{page}%2e%2e/%2e%2e/outside.txt",
            "{page}..%2f..%2foutside.txt",
            "{page}data/plugin/text/../../../outside.txt",
            "{page}/etc/passwd",
            "{page}experiment/../../outside.txt",
            "http://127.0.0.1:22/",
            "http://{host}/v3",
            "//127.0.0.1:22/",
            "127.0.0.1:22",
            "/obs/bucket/logs/",
            "/users.json",
            "file:///etc/passwd",
        ]
    ),
    _JUNK,
)
_HEADERS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                ("Host", "evil.example"),
                ("Host", "127.0.0.1"),
                ("Host", "localhost:1\t"),
                ("X-Board-Key", "0" * 32),
                ("X_Board_Key", "0" * 32),
                ("Content-Length", "-1"),
                ("Content-Length", "5"),
                ("Content-Length", "99999999999"),
                ("Transfer-Encoding", "chunked"),
                ("Transfer-Encoding", "gzip, chunked"),
                ("Connection", "Upgrade"),
                ("Upgrade", "websocket"),
                ("Expect", "100-continue"),
                ("Origin", "https://evil.example"),
                ("Origin", "null"),
                ("Sec-Fetch-Site", "cross-site"),
                ("Range", "bytes=0-"),
                ("Cookie", "a=b"),
                ("X-Forwarded-For", "1.2.3.4, x"),
                ("X-HTTP-Method-Override", "DELETE"),
                ("X-Auth-Token", "e30=.00"),
                ("X-Auth-Token", "a.b.c"),
                ("Authorization", "Basic eDp5"),
                (
                    "Authorization",
                    "SDK-HMAC-SHA256 Access=a, SignedHeaders=host, Signature=" + "0" * 64,
                ),
            ]
        ),
        st.tuples(st.text(string.ascii_letters + "-_", min_size=1, max_size=12), _JUNK),
    ),
    max_size=4,
)
_METHODS = st.one_of(
    st.sampled_from(["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE"]),
    st.text(string.ascii_uppercase, min_size=1, max_size=9),
)
_BODIES = st.one_of(
    st.just(b""),
    st.binary(max_size=60),
    st.sampled_from(
        [b"{}", b"[]", b"5\r\nabcde\r\n0\r\n\r\n", b"GET /v3/projects HTTP/1.1\r\n\r\n"]
    ),
)


@given(data=st.data())
@seed(SEED)
@_settings(80)
def test_random_bytes_read_nothing_private(world, data):
    """Any bytes are answered or refused and read nothing private."""
    _send_random_bytes(world, data)


@pytest.mark.extended
@given(data=st.data())
@seed(SEED)
@_settings(400)
def test_more_random_bytes_read_nothing_private(world, data):
    _send_random_bytes(world, data)


def _send_random_bytes(world, data):
    method, target = data.draw(_METHODS), data.draw(_TARGETS)
    headers, body = data.draw(_HEADERS), data.draw(_BODIES)
    host = urlsplit(world.url).netloc
    project = world.found["project_id"]
    for name, value in (("project", project), ("page", world.page), ("host", host)):
        target = target.replace("{%s}" % name, value)
    lines = ["%s %s HTTP/1.1" % (method, target)]
    if data.draw(st.booleans()):
        lines.append("Host: " + host)
    lines += ["%s: %s" % pair for pair in headers]
    if data.draw(st.booleans()):
        lines.append("Content-Length: %d" % len(body))
    sent = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body
    answer = _exchange(world, sent)
    status = int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0
    world.count(status)
    assert OUTSIDE.encode() not in answer
    assert PRIVATE.encode() not in answer
    assert b"root:x:" not in answer
    assert b"token_key" not in answer
    if not target.startswith(world.page):
        assert status < 500 or status in (501, 503, 505), (sent, answer)
        # What is open, and nothing else.
        path = target.partition("?")[0]
        assert status not in (200, 201) or path in OPEN, (sent, answer)


def _exchange(world, sent):
    with socket.create_connection(world.address, timeout=30) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while len(received) < 4_000_000:
                part = connection.recv(65536)
                if not part:
                    break
                received += part
        except ConnectionResetError:
            pass
    return received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")


@given(data=st.data())
@seed(SEED)
@_settings(50)
def test_a_signed_call_of_which_one_byte_is_another_is_refused(world, data):
    _change_one_byte(world, data)


@pytest.mark.extended
@given(data=st.data())
@seed(SEED)
@_settings(150)
def test_more_signed_calls_with_another_byte_are_refused(world, data):
    _change_one_byte(world, data)


def _change_one_byte(world, data):
    found = world.found
    host = urlsplit(world.url).netloc
    path = "/v1/%s/visualization-jobs" % found["project_id"]
    headers = {"host": host, "x-sdk-date": signer.sdk_date(time.time())}
    given = signer.sign(
        "GET", path, "per_page=5", headers, b"", found["access_key"], found["secret_key"]
    )
    lines = ["GET %s?per_page=5 HTTP/1.1" % path, "Host: " + host]
    lines += ["X-Sdk-Date: " + headers["x-sdk-date"], "Authorization: " + given]
    good = "\r\n".join(lines).encode() + b"\r\nConnection: close\r\n\r\n"
    signed = len("\r\n".join(lines))
    at = data.draw(st.integers(0, signed - 1))
    byte = data.draw(st.integers(0x21, 0x7E))
    bad = good[:at] + bytes([byte]) + good[at + 1 :]
    answer = _exchange(world, bad)
    status = int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0
    world.count(status)
    # The case of a header's name, and the version of HTTP, are no part of what is signed.
    version = good.index(b"HTTP/") <= at < good.index(b"\r\n")
    if (bad.lower() == good.lower() and bad[:4] == good[:4]) or version:
        return
    if bad.split(b" ")[1].partition(b"?")[0].decode() in OPEN:
        return  # "/?1/...": another call, which needs no signature
    assert status in (0, 400, 401, 403, 404, 405, 414, 421, 431, 501, 505), (bad, answer)
    assert PRIVATE.encode() not in answer
