"""Attacks on the service by the network, a browser and a board."""

import http.client
import json
import os
import re
import socket
import ssl
import time
from urllib.parse import urlsplit

import pytest
import requests
from h2.connection import H2Connection
from h2.events import ResponseReceived
from werkzeug.test import EnvironBuilder

from modelarts import __version__
from modelarts.auth import signer
from modelarts.errors import InvalidArgument, RateLimited
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.identity.rate_limit import Replays
from modelarts.local.jobs.store import PAGES
from modelarts.local.server.network import Network
from modelarts.local.web.app import App, document
from modelarts.local.web.headers import for_board, for_visitor
from modelarts.local.web.hosts import Reach, public_url
from modelarts.validation import JOB_TYPES
from tests.servers.certificates import a_certificate
from tests.servers.forkserver import run_forked
from tests.servers.service import Service
from tests.support.clocks import FakeClock

pytestmark = pytest.mark.local

URL = "/bucket/logs/"


@pytest.fixture(scope="module")
def page(service_of_module):
    """The address of a running board."""
    with service_of_module.session() as session:
        job = VisualizationJob.create(URL, session=session).wait()
        yield job.service_url
        job.delete()


@pytest.fixture(scope="module")
def service_of_module(tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("safety"), "--allow-host", "boards.test")
    yield service
    assert service.end() == 0


def _ask(url, method="GET", target=None, host=None, **headers):
    """Status, headers and body; exactly what is said is sent."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.putrequest(method, target or parts.path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", host or parts.netloc)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


# Names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "192.0.2.7",
        "",
        "a b",
        "[::1",
    ],
)
def test_foreign_host_is_refused_on_every_path(page, host):
    """DNS rebinding: the page of ``evil.example`` has its own name lead to 127.0.0.1."""
    for path in (urlsplit(page).path, "/healthz", "/v3", "/openapi.json", "/v1/x/y"):
        assert _ask(page, target=path, host=host or " ")[0] == 421


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:1", "LOCALHOST:80", "[::1]:8", "boards.test"]
)
def test_own_and_allowed_hosts_are_answered(page, host):
    """Names of this machine and those that were allowed are answered."""
    assert _ask(page, host=host)[0] == 200


_HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}


def test_behind_a_hub_a_board_has_any_name_and_all_else_its_own(tmp_path):
    """The hub passes on the name that the browser asked for; without the key that is no use."""
    service = Service(tmp_path, environ=_HUB)
    try:
        with service.session() as session:
            url = VisualizationJob.create(URL, session=session).wait().service_url
        path, key = urlsplit(url).path, url.split("/")[-3]
        assert _ask(url, host="hub.example.com")[0] == 200
        assert _ask(url, host="hub.example.com", target=path[:-1])[0] == 308
        assert _ask(url, host="hub.example.com", target=path.replace(key, 32 * "0"))[0] == 404
        assert _ask(url, host="hub.example.com", Origin="https://evil.example")[0] == 403
        assert _ask(url, host="ann@hub.example.com")[0] == 421
        for other in ("/healthz", "/v3", "/openapi.json", "/v1/x/y", "/modelarts/", "/"):
            status, _, body = _ask(url, host="hub.example.com", target=other)
            assert (status, b"--allow-host" in body) == (421, True)
            assert b"MODELARTS_ALLOW_HOST" in body
    finally:
        service.end()


def test_environment_hosts_are_allowed_behind_hub(tmp_path):
    """Names in the environment are allowed and no others behind a hub too."""
    environ = {**_HUB, "MODELARTS_ALLOW_HOST": "hub.example.com, LAB.example.com,,"}
    service = Service(tmp_path, "--allow-host", "boards.test", environ=environ)
    try:
        with service.session() as session:
            url = VisualizationJob.create(URL, session=session).wait().service_url
        for host in ("hub.example.com", "lab.example.com:8000", "boards.test"):
            assert _ask(url, host=host)[0] == 200
            assert _ask(url, host=host, target="/healthz")[0] == 200
        assert _ask(url, host="evil.example")[0] == 421
    finally:
        service.end()


def test_an_asterisk_allows_all_names_and_the_log_warns(tmp_path):
    service = Service(tmp_path, environ={"MODELARTS_ALLOW_HOST": "*"})
    try:
        assert any("nothing is done against DNS rebinding" in line for line in service.log if line)
        url = service.connection["modelarts_endpoint"]
        assert _ask(url, target="/healthz", host="any.example")[0] == 200
        assert _ask(url, target="/healthz", host="ann@any.example")[0] == 421
    finally:
        service.end()


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "0.0.0.0"},
        {"public": "https://boards.test"},
        {"further": ("boards.test",)},
        {"behind_hub": False},
    ],
)
def test_hub_opens_boards_on_loopback_by_default(changes):
    """Only on loopback and where nothing was said a hub opens boards."""
    said = {"behind_hub": True, **changes}
    for network, own in ((Network(behind_hub=True), True), (Network(**said), False)):
        assert network.reach("http://127.0.0.1:1").is_own("hub.example.com", PAGES + "x") is own


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:22/",
        "http://evil.example/v3",
        "127.0.0.1:22",
        "*",
        "/v3/../healthz",
        "/v3/%2e%2e/healthz",
        "/v3%2fprojects",
        "/v3/..%2f",
        "/v3\\healthz",
        "/v3%00",
        "/a%0ab",
        "/#/v3",
    ],
)
def test_a_target_that_is_no_plain_path_is_refused(page, target):
    for method in ("GET", "CONNECT"):
        assert _ask(page, method, target=target)[0] == 400


def test_unspecified_address_is_never_shown(tmp_path):
    """Everywhere is no address to go to and each reader is told its own."""
    service = Service(tmp_path, "--host", "0.0.0.0", "--insecure-http")
    try:
        assert service.connection["modelarts_endpoint"].startswith("http://127.0.0.1:")
        assert any("can be reached from other machines" in line for line in service.log if line)
        with service.session() as session:
            job = VisualizationJob.create(URL, session=session)
            assert job.service_url.startswith("http://127.0.0.1:")
        address = service.connection["modelarts_endpoint"].replace("127.0.0.1", "localhost")
        with service.session(modelarts_endpoint=address, iam_endpoint=address) as session:
            assert VisualizationJob.get(job.job_id, session).service_url.startswith(address)
        status, _, body = _ask(address, target="/v3", host="192.0.2.7:8080")
        assert (status, b"http://192.0.2.7:8080/v3/" in body) == (200, True)
        assert _ask(address, target="/v3", host="evil.example")[0] == 421
    finally:
        service.end()


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--host", "0.0.0.0"], 1, "--tls-cert and --tls-key, or --insecure-http"),
        (["--host", "::"], 1, "--tls-cert and --tls-key, or --insecure-http"),
        (["--host", "192.0.2.1"], 1, "opens the service to a network"),
        (["--host", "my.example"], 1, "opens the service to a network"),
        (["--tls-cert", "no", "--tls-key", "no"], 1, "/no cannot be used: No such file"),
        (["--public-url", "ftp://x"], 2, "public_url must be https://HOST"),
    ],
)
def test_what_is_not_safe_is_refused_and_says_what_would_be(tmp_path, arguments, code, why):
    said = run_forked("serve", "--root", str(tmp_path), *arguments)
    assert said.returncode == code
    assert why in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    "value", ["", "x", "http://", "https://a/b", "https://a?b", "https://u@a", "https://a:x"]
)
def test_a_public_url_is_scheme_host_and_port(value):
    with pytest.raises(InvalidArgument, match="public_url"):
        public_url(value)


def test_proxy_address_is_for_boards_only(tmp_path):
    """Behind a proxy boards have its address and local programs keep theirs."""
    service = Service(tmp_path, "--public-url", "https://boards.example.com")
    try:
        local = service.connection["modelarts_endpoint"]
        assert local.startswith("http://127.0.0.1:")
        with service.session() as session:
            job = VisualizationJob.create(URL, session=session).wait()
        assert job.service_url.startswith("https://boards.example.com/modelarts/tensorboard/")
        for host, said in (("boards.example.com", "https://boards.example.com"), (None, local)):
            assert said + "/v3/" in _ask(local, target="/v3", host=host)[2].decode()
        path = urlsplit(job.service_url).path
        assert _ask(local, target=path, host="boards.example.com")[0] == 200
        status, said, _ = _ask(local, target=path[:-1] + "?a=b", host="boards.example.com")
        assert (status, said["Location"]) == (308, path + "?a=b")
    finally:
        service.end()


# TLS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return a_certificate(tmp_path_factory.mktemp("tls"), "localhost")


def _status_of_http2(port, cert):
    """Begin with HTTP/2, which is not offered, and return the status of the answer."""
    client = H2Connection()
    client.initiate_connection()
    names = (":method", ":path", ":scheme", ":authority")
    client.send_headers(1, list(zip(names, ("GET", "/healthz", "https", "localhost"))), True)
    context = ssl.create_default_context(cafile=cert)
    plain = socket.create_connection(("127.0.0.1", port), timeout=30)
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(client.data_to_send())
        while True:
            for event in client.receive_data(connection.recv(65536)):
                if isinstance(event, ResponseReceived):
                    return dict(event.headers)[b":status"]


def test_certificate_gives_tls_and_local_http(tmp_path, certificate, monkeypatch):
    cert, key = certificate
    monkeypatch.chdir(os.path.dirname(cert))
    cert, key = os.path.basename(cert), os.path.basename(key)  # as docs/self-hosting.md has them
    service = Service(tmp_path, "--host", "0.0.0.0", "--tls-cert", cert, "--tls-key", key)
    try:
        said = service.said(r"TLS is spoken at https://127\.0\.0\.1:(\d+)")
        address = "https://localhost:" + said.group(1)
        secure = {"modelarts_endpoint": address, "iam_endpoint": address, "verify": cert}
        with service.session(**secure) as session:
            job = VisualizationJob.create(URL, session=session).wait()
            assert job.service_url.startswith(address)
        with service.password_session(**secure) as session:
            assert len(VisualizationJob.list(session)) == 1
        with requests.Session() as plain:
            plain.trust_env = False
            answer = plain.get(job.service_url, verify=cert, timeout=30)
            assert (answer.status_code, "tb-webapp" in answer.text) == (200, True)
            assert plain.head(job.service_url, verify=cert, timeout=30).status_code == 200
            # Decoded before it comes here; a slash is then a slash, and the call a call.
            for target, status in (
                ("/v3%2fprojects", 401),
                ("/v3/%2e%2e/v3", 400),
                ("/v3%00", 400),
            ):
                asked = requests.Request("GET", address).prepare()
                asked.url = address + target
                assert plain.send(asked, verify=cert, timeout=30).status_code == status
            foreign = plain.get(address + "/v3", headers={"Host": "evil.example"}, verify=cert)
            assert foreign.status_code == 421
            for length in (2**20 + 1, 2**25):
                large = plain.post(address + "/v3/auth/tokens", data=b"x" * length, verify=cert)
                assert large.status_code == 413
            allowed = plain.post(address + "/v3/auth/tokens", data=b"x" * 2**20, verify=cert)
            assert allowed.status_code == 400
        # The other listener is on loopback, for Session.local() and what else runs here.
        assert service.connection["modelarts_endpoint"].startswith("http://127.0.0.1:")
        with service.session() as session:
            assert session.request("GET", "/healthz")["status"] == "ok"
        silent = [socket.create_connection(("127.0.0.1", int(said.group(1)))) for _ in range(80)]
        began = time.monotonic()
        with service.session(**secure) as session:
            assert len(VisualizationJob.list(session)) == 1
        assert time.monotonic() - began < 10  # so long each may take for its handshake
        for connection in silent:
            connection.close()
        assert _status_of_http2(int(said.group(1)), cert) == b"505"
        with pytest.raises(ssl.SSLError):
            ssl.create_default_context().wrap_socket(
                socket.create_connection(("127.0.0.1", int(said.group(1)))),
                server_hostname="localhost",
            )
    finally:
        assert service.end() == 0
    assert not any("Traceback" in line for line in service.log if line)


# Signatures ---------------------------------------------------------------------------------


def _signed(found, method, path, body=b"", at=0.0):
    parts = urlsplit(found["modelarts_endpoint"])
    headers = {"Host": parts.netloc, "X-Sdk-Date": signer.sdk_date(time.time() + at)}
    headers["Authorization"] = signer.sign(
        method, path, "", headers, body, found["access_key"], found["secret_key"]
    )
    return headers


def test_a_copy_of_a_change_counts_within_a_moment_and_not_later():
    clock = FakeClock()
    replays = Replays(clock, keep_seconds=1800)
    assert not replays.is_replay("ann", "signature")
    clock.sleep(5)
    assert not replays.is_replay("ann", "signature")
    clock.sleep(1)
    assert replays.is_replay("ann", "signature")
    assert not replays.is_replay("bob", "signature")
    clock.sleep(1700)
    assert replays.is_replay("ann", "signature")


def test_remembered_signatures_are_bounded():
    """No more signatures are remembered than are good and than there may be."""
    clock = FakeClock()
    replays = Replays(clock, keep_seconds=1800, max_signatures=100)
    for number in range(300):
        replays.is_replay("ann", str(number))
        clock.sleep(1)
    assert len(replays._seen["ann"]) <= 101
    clock.sleep(1801)
    replays.is_replay("ann", "new")
    assert len(replays._seen["ann"]) == 1


def test_a_read_may_be_repeated_and_a_change_may_not(service_of_module):
    """A signature of 14 minutes ago is as good as a new one, once."""
    found = service_of_module.connection
    path = "/v1/%s/visualization-jobs" % found["project_id"]
    with requests.Session() as plain:
        plain.trust_env = False
        reading = _signed(found, "GET", path, at=-840)
        url = found["modelarts_endpoint"] + path
        began = time.monotonic()
        body = json.dumps({"job_desc": "x"}).encode()
        changing = _signed(found, "PUT", path + "/99", body)
        answers = [plain.put(url + "/99", body, headers=changing).status_code]
        while time.monotonic() - began < 8 and answers[-1] == 404:
            assert plain.get(url, headers=reading, timeout=30).status_code == 200
            time.sleep(0.1)  # leaves the processor to others
            answers.append(plain.put(url + "/99", body, headers=changing).status_code)
        refused = plain.put(url + "/99", body, headers=changing)
        assert plain.get(url, headers=reading, timeout=30).status_code == 200
    assert answers[:2] == [404, 404]  # a client that sends twice is no attacker
    assert time.monotonic() - began > 5
    assert (refused.status_code, refused.json()["error_code"]) == (401, "APIG.0301")
    assert "received before" in refused.text


def test_hand_made_signature_is_accepted(service_of_module):
    """As ``curl`` and ``openssl`` make it; docs/self-hosting.md has the lines."""
    import hashlib
    import hmac

    found = service_of_module.connection
    host = urlsplit(found["modelarts_endpoint"]).netloc
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = "/v1/%s/visualization-jobs" % found["project_id"]
    nothing = hashlib.sha256(b"").hexdigest()
    canonical = "GET\n%s/\nper_page=5\nhost:%s\nx-sdk-date:%s\n\nhost;x-sdk-date\n%s" % (
        path,
        host,
        date,
        nothing,
    )
    to_sign = "SDK-HMAC-SHA256\n%s\n%s" % (date, hashlib.sha256(canonical.encode()).hexdigest())
    key = found["secret_key"].encode()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    status, _, body = _ask(
        found["modelarts_endpoint"],
        target=path + "?per_page=5",
        X_Sdk_Date=date,
        Authorization="SDK-HMAC-SHA256 Access=%s, SignedHeaders=host;x-sdk-date, Signature=%s"
        % (found["access_key"], signature),
    )
    assert (status, json.loads(body)["is_success"]) == (200, True)


# Limits -------------------------------------------------------------------------------------


def test_who_calls_too_often_is_told_when_to_come_again(tmp_path):
    service = Service(tmp_path, "--rate", "1")
    try:
        with service.session(retries=0) as session:
            for _ in range(10):
                VisualizationJob.list(session)
            with pytest.raises(RateLimited) as caught:
                [VisualizationJob.list(session) for _ in range(10)]
        assert (caught.value.status_code, caught.value.error_code) == (429, "APIG.0308")
        # Strangers are counted by themselves, and the SDK comes again by itself.
        url = service.connection["modelarts_endpoint"]
        target = "/v3/projects"
        # As many as it takes: a slow machine earns a call a second meanwhile.
        found = [401]
        while found[-1] == 401 and len(found) < 1000:
            found.append(_ask(url, target=target)[0])
        assert found[1:11] == [401] * 10
        assert found[-1] == 429
        with service.session() as session:
            assert VisualizationJob.list(session) == []
    finally:
        service.end()


def test_a_body_or_headers_beyond_all_measure_are_refused(service_of_module):
    url = service_of_module.connection["iam_endpoint"]
    with requests.Session() as plain:
        plain.trust_env = False
        large = plain.post(url + "/v3/auth/tokens", data=b"x" * (2**20 + 1), timeout=30)
        assert large.status_code == 413
        many = plain.get(url + "/v3", headers={"X-Large": "x" * 40_000}, timeout=30)
        assert many.status_code == 431


def test_clients_that_say_half_a_request_hold_up_nobody(service_of_module):
    url = urlsplit(service_of_module.connection["iam_endpoint"])
    slow = [socket.create_connection((url.hostname, url.port)) for _ in range(300)]
    try:
        for connection in slow:
            connection.sendall(b"POST /v3/auth/tokens HTTP/1.1\r\nHost: localhost\r\nX: ")
        with service_of_module.session(timeout=10, retries=0) as session:
            VisualizationJob.list(session)
    finally:
        for connection in slow:
            connection.close()


# Pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "script"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "object"},
    ],
)
def test_no_page_of_another_origin_reads_a_board(page, headers):
    assert _ask(page, **headers)[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"},
        {
            "Sec_Fetch_Site": "cross-site",
            "Sec_Fetch_Mode": "navigate",
            "Sec_Fetch_Dest": "document",
        },
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
        {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
    ],
)
def test_a_board_opens_in_a_window_and_in_a_frame_of_a_notebook(page, headers):
    status, said, _ = _ask(page, **headers)
    assert status == 200
    assert said["X-Frame-Options"] is None
    assert "frame-ancestors" not in said["Content-Security-Policy"]


def test_every_answer_tells_browsers_to_keep_it_to_itself(page):
    for path in (urlsplit(page).path, "/healthz", "/nothing", urlsplit(page).path + "data/runs"):
        said = _ask(page, target=path)[1]
        assert said["X-Content-Type-Options"] == "nosniff"
        assert said["Referrer-Policy"] == "no-referrer"
        assert said["Cross-Origin-Resource-Policy"] == "same-origin"
        assert [one for one in said if one.lower().startswith("access-control-")] == []


def test_a_board_is_shown_no_cookie_and_no_credentials():
    environ = EnvironBuilder(
        headers={
            "Cookie": "notebook=secret",
            "Authorization": "x",
            "X-Auth-Token": "x",
            "X-Board-Key": "x",
            "Accept": "text/html",
        }
    ).get_environ()
    for_board(environ, "X-Board-Key")
    assert {name for name in environ if name.startswith("HTTP_")} == {"HTTP_ACCEPT", "HTTP_HOST"}


def test_of_a_boards_answer_nothing_passes_that_concerns_others():
    said = [
        ("Content-Type", "text/html"),
        ("Set-Cookie", "a=b"),
        ("Access-Control-Allow-Origin", "*"),
        ("Service-Worker-Allowed", "/"),
        ("Refresh", "0; url=https://evil.example"),
        ("X-Accel-Redirect", "/v3"),
        ("X-Sendfile", "/etc/passwd"),
        ("Strict-Transport-Security", "max-age=1"),
        ("WWW-Authenticate", "Basic realm=x"),
        ("Alt-Svc", 'h3=":1"'),
        ("Speculation-Rules", '"/rules"'),
        ("Link", "</v3>; rel=preload"),
        ("NEL", "{}"),
        ("Use-As-Dictionary", 'match="/*"'),
    ]
    assert dict(for_visitor(said, "/p/")) == {
        "Content-Type": "text/html",
        "Content-Security-Policy": "sandbox allow-scripts; object-src 'none'; base-uri 'none'",
    }


@pytest.mark.parametrize(
    ("location", "passed"),
    [
        ("/experiment/x/", "/p/k/1/experiment/x/"),
        ("http://127.0.0.1:6006/a?b=c", "/p/k/1/a?b=c"),
        ("https://evil.example/a", "/p/k/1/a"),
        ("//evil.example/a", "/p/k/1/a"),
        ("data/", "data/"),
        ("\\\\evil.example/a", "/p/k/1/a"),
        ("https:evil.example", "/p/k/1/evil.example"),
        ("../../../console/", "/p/k/1/console/"),
        ("/a/../../../console/", "/p/k/1/a/console/"),
        ("javascript:alert(1)", "/p/k/1/alert(1)"),
        ("data:text/html,x", "/p/k/1/text/html,x"),
        ("//[", "/p/k/1/"),
    ],
)
def test_a_board_leads_nowhere_but_below_its_own_path(location, passed):
    assert dict(for_visitor([("Location", location)], "/p/k/1/"))["Location"] == passed


def test_experiment_redirect_stays_on_board(page):
    """Tensorboards redirect of an experiment stays with its board."""
    status, said, _ = _ask(page, target=urlsplit(page).path + "experiment/x")
    assert status in (301, 302, 307, 308)
    assert said["Location"].startswith(urlsplit(page).path)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_a_board_is_asked_only_what_tensorboard_answers(page, method):
    assert _ask(page, method)[0] == 405


# The document -------------------------------------------------------------------------------


def test_the_document_tells_every_route_and_no_other():
    app = App(
        *(_Anything() for _ in range(4)),
        Reach("127.0.0.1", "http://127.0.0.1:1"),
        *(_Anything() for _ in range(2)),
        console=_Anything(),
    )
    routes = {
        (
            re.sub("<(?:int:)?(\\w+)>", "{\\1}", path.replace("<job_id>", "<training_job_id>")),
            method,
        )
        for path, methods in app.rules().items()
        if not path.startswith("/modelarts/")
        for method in methods - {"HEAD", "OPTIONS"}
    }
    action = "<any(stop,restart):action>"
    routes = {
        (path.replace(action, one), method)
        for path, method in routes
        for one in (("stop", "restart") if action in path else ("",))
    }
    told = {
        (path, method.upper())
        for path, item in document()["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert told == routes


class _Anything:
    def __getattr__(self, name):
        return lambda request: None


def test_document_has_the_values_of_the_code():
    text = json.dumps(document())
    fields = document()["components"]["schemas"]["Job"]["properties"]
    assert fields["status"]["enum"] == [int(status) for status in JobStatus]
    create = document()["paths"]["/v1/{project_id}/visualization-jobs"]["post"]["requestBody"]
    body = create["content"]["application/json"]["schema"]["properties"]
    assert body["job_type"]["enum"] == list(JOB_TYPES)
    assert document()["info"]["version"] == __version__
    assert set(re.findall(r'"#/components/(\w+/\w+)"', text)) == {
        "%s/%s" % (kind, name)
        for kind, named in document()["components"].items()
        for name in named
        if kind != "securitySchemes"
    }


def test_the_document_is_served_as_it_is(service_of_module):
    url = service_of_module.connection["modelarts_endpoint"]
    assert json.loads(_ask(url, target="/openapi.json")[2]) == document()


def test_what_is_open_to_all_tells_nothing_of_users_and_jobs(service_of_module, page):
    found = service_of_module.connection
    for path in ("/", "/v3", "/healthz", "/openapi.json"):
        body = _ask(found["modelarts_endpoint"], target=path)[2].decode()
        for name in ("project_id", "access_key", "secret_key", "password"):
            assert found[name] not in body
        assert page.split("/")[-3] not in body
    health = json.loads(_ask(found["modelarts_endpoint"], target="/healthz")[2])
    assert set(health) == {"status", "pid", "version"}
