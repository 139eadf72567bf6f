"""Tokens, temporary keys, projects and addresses: what is asked of IAM, and how often."""

import json
import multiprocessing
import pickle
import socket
import threading
import time

import pytest
import requests
import responses

from modelarts import constant
from modelarts.auth import AccessKey
from modelarts.config.auth import auth_by_apig
from modelarts.errors import (
    AuthenticationFailed,
    ConfigurationError,
    InvalidArgument,
    NotFound,
    ServerError,
    TransportError,
)
from modelarts.estimator import VisualizationJob
from modelarts.session import Session
from tests.servers.cloud import HOST, IAM, Cloud
from tests.support.clocks import FakeClock

pytestmark = pytest.mark.local

TOKENS = "https://%s/v3/auth/tokens" % IAM
PROJECTS = "https://%s/v3/projects" % IAM
JOBS = "https://%s/v1/%s/visualization-jobs" % (HOST, Cloud.project_id)


def _keys(**changes):
    given = {
        "access_key": Cloud.access_key,
        "secret_key": Cloud.secret_key,
        "region_name": Cloud.region_name,
        "modelarts_endpoint": Cloud.modelarts_endpoint,
        "iam_endpoint": Cloud.iam_endpoint,
        "clock": FakeClock(),
    }
    return Session(**{**given, **changes})


def _password(**changes):
    return _keys(
        access_key=None,
        secret_key=None,
        **{
            "account": Cloud.account,
            "username": Cloud.username,
            "password": Cloud.password,
            **changes,
        },
    )


def _token(expires_at="2099-01-01T00:00:00.000000Z", **changes):
    return {
        "token": {
            "expires_at": expires_at,
            "project": {"id": Cloud.project_id},
            "user": {"id": "the-user"},
            "catalog": [],
            **changes,
        }
    }


def _logins(cloud):
    return sum(call.url == TOKENS for call in cloud.calls)


# Tokens -----------------------------------------------------------------------------------


def test_a_token_is_fetched_once_for_many_calls(cloud):
    session = _password()
    for _ in range(5):
        VisualizationJob.list(session)
    assert _logins(cloud) == 1


@pytest.mark.parametrize("name", ["OS_USER_DOMAIN_ID", "OS_DOMAIN_ID"])
def test_an_account_can_be_told_by_its_id(service, monkeypatch, name):
    found = service.connection
    identity = json.loads((service.root / "users.json").read_text())
    monkeypatch.setenv("OS_USERNAME", found["username"])
    monkeypatch.setenv("OS_PASSWORD", found["password"])
    monkeypatch.setenv("OS_AUTH_URL", found["iam_endpoint"] + "/v3")
    monkeypatch.setenv("OS_PROJECT_ID", found["project_id"])
    for account, works in ((identity["account_id"], True), ("0" * 32, False)):
        monkeypatch.setenv(name, account)
        with Session(proxies={}) as session:
            said = session.explain()
            assert said.works is works
            assert said.credentials["account_id"] == account
            assert "account" not in said.credentials


def test_a_token_is_fetched_again_shortly_before_it_expires(cloud):
    session = _password()
    VisualizationJob.list(session)
    session.clock.now = 4070908800.0 + 3 * 86400 + 9 * 3600 + 322 - 600  # its last ten minutes
    VisualizationJob.list(session)
    assert _logins(cloud) == 1
    session.clock.now += 500
    VisualizationJob.list(session)
    assert _logins(cloud) == 2


@pytest.mark.parametrize("expired", [False, True])
def test_fifty_threads_log_in_once(service, expired):
    """On the running service, from nothing and from a token that has just expired."""
    clock = FakeClock(now=time.time())
    sent = []
    session = service.password_session(clock=clock, on_response=sent.append)
    if expired:
        assert session.user_id
        clock.now += 24 * 3600 - 60
        sent.clear()
    start = threading.Barrier(50)
    failed = []

    def work():
        start.wait()
        try:
            VisualizationJob.list(session)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sum(exchange.url.endswith("/v3/auth/tokens") for exchange in sent) == 1
    assert len(sent) == 51
    session.close()


def test_a_token_that_is_refused_in_mid_life_is_replaced_once(cloud):
    session = _password()
    VisualizationJob.list(session)
    cloud.tokens.clear()
    assert VisualizationJob.list(session) == []
    assert _logins(cloud) == 2


def test_where_a_fresh_token_is_refused_too_that_is_the_answer(cloud):
    session = _password()
    cloud.tokens = type("Nothing", (set,), {"add": lambda self, token: None})()
    with pytest.raises(AuthenticationFailed):
        VisualizationJob.list(session)
    assert _logins(cloud) == 2


def test_a_given_token_is_used_as_it_is(service, monkeypatch):
    found = service.connection
    with requests.Session() as plain:
        plain.trust_env = False
        user = {
            "name": found["username"],
            "password": found["password"],
            "domain": {"name": found["account"]},
        }
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"id": found["project_id"]}}
        answer = plain.post(
            found["iam_endpoint"] + "/v3/auth/tokens",
            json={"auth": {"identity": identity, "scope": scope}},
            timeout=30,
        )
    monkeypatch.setenv("OS_TOKEN", answer.headers["X-Subject-Token"])
    monkeypatch.setenv("OS_AUTH_URL", found["iam_endpoint"] + "/v3")
    with Session(proxies={}) as session:
        assert session.mode == "token"
        assert session.project_id == found["project_id"]
        assert session.modelarts_endpoint == found["modelarts_endpoint"]  # from the catalog
        assert VisualizationJob.get_visualization_job_list(session)["is_success"] is True


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        ({"status": 201, "json": {}}, TransportError, "a token that cannot be read"),
        ({"status": 201, "json": {"token": []}}, TransportError, "a token that cannot be read"),
        ({"status": 201, "json": _token()}, TransportError, "a token that cannot be read"),
        ({"status": 201, "body": "<html>"}, TransportError, "instead of JSON"),
        ({"status": 503, "body": "down"}, ServerError, "HTTP 503"),
        (
            {"body": requests.ConnectionError("refused")},
            TransportError,
            "no answer from https://iam",
        ),
    ],
)
def test_an_iam_that_is_broken_is_named_by_the_error(answer, error, sentence):
    session = _password(retries=0)
    with responses.RequestsMock() as mock:
        mock.post(TOKENS, **answer)
        with pytest.raises(error, match=sentence) as caught:
            VisualizationJob.list(session)
    assert Cloud.password not in repr(caught.value)


# Projects and addresses -------------------------------------------------------------------


def test_two_projects_of_one_name_are_an_error_that_names_both():
    with responses.RequestsMock() as mock:
        two = [{"id": "a" * 32, "name": "region-9"}, {"id": "b" * 32, "name": "region-9"}]
        mock.get(PROJECTS, json={"projects": two})
        with pytest.raises(ConfigurationError, match="knows 2 projects named 'region-9'") as caught:
            _ = _keys().project_id
    assert "a" * 32 in str(caught.value)
    assert "give project_id=" in str(caught.value)


def test_a_project_that_is_not_there_is_an_error_that_names_it():
    with responses.RequestsMock() as mock:
        mock.get(PROJECTS, json={"projects": []})
        with pytest.raises(ConfigurationError, match="no project named 'region-9_team'"):
            _ = _keys(project_name="region-9_team").project_id


def test_a_sub_project_is_looked_up_by_its_own_name():
    with responses.RequestsMock() as mock:
        mock.get(
            PROJECTS,
            json={"projects": [{"id": "5" * 32, "name": "region-9_team"}]},
            match=[responses.matchers.query_param_matcher({"name": "region-9_team"})],
        )
        session = _keys(project_name="region-9_team")
        assert session.project_id == session.project_id == "5" * 32
        assert len(mock.calls) == 1


def test_without_project_and_region_the_error_says_what_to_give():
    with pytest.raises(ConfigurationError, match="give project_id= or region_name="):
        _ = _keys(region_name=None).project_id


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {
                "type": "modelartsv1",
                "name": "modelarts",
                "endpoints": [
                    {"interface": "admin", "url": "https://wrong/v1/p"},
                    {"interface": "public", "region": "other", "url": "https://wrong/v1/p"},
                    {
                        "interface": "public",
                        "region": "eu-de",
                        "url": "https://modelarts.catalog.example.com/v1/%s" % Cloud.project_id,
                    },
                ],
            },
            "https://modelarts.catalog.example.com",
        ),
        ({"type": "object", "name": "obs", "endpoints": []}, None),
        ({"type": "modelarts", "endpoints": [{"url": ""}]}, None),
    ],
)
def test_the_catalog_names_modelarts_or_the_region_does(entry, expected):
    session = _password(modelarts_endpoint=None, region_name="eu-de")
    with responses.RequestsMock() as mock:
        mock.post(
            TOKENS, status=201, json=_token(catalog=[entry]), headers={"X-Subject-Token": "t"}
        )
        found = session.modelarts_endpoint
    assert found == (expected or "https://modelarts.eu-de.otc.t-systems.com")


# Temporary keys ---------------------------------------------------------------------------


def test_password_session_has_temporary_keys(service):
    """A password session has temporary keys that the service accepts."""
    found = service.connection
    with service.password_session() as session:
        assert session.access_key != found["access_key"]
        with service.session(
            access_key=session.access_key,
            secret_key=session.secret_key,
            security_token=session.security_token,
        ) as temporary:
            assert VisualizationJob.get_visualization_job_list(temporary)["is_success"] is True
        with service.session(
            access_key=session.access_key, secret_key=session.secret_key
        ) as without, pytest.raises(AuthenticationFailed):
            VisualizationJob.list(without)


def test_keys_answers_three_that_belong_together(service):
    found = service.connection
    with service.session() as session:
        assert session.keys() == AccessKey(found["access_key"], found["secret_key"])
    clock = FakeClock(now=time.time())
    with service.password_session(clock=clock) as session:
        keys = session.keys()
        assert keys is session.keys()
        assert keys.security_token == session.security_token
        clock.now += 24 * 3600 - 60
        assert session.keys() != keys
        assert keys.secret_key not in repr(keys)


def test_temporary_keys_are_obtained_anew_before_they_expire(service):
    clock = FakeClock(now=time.time())
    with service.password_session(clock=clock) as session:
        first = session.access_key
        assert session.access_key == first
        clock.now += 24 * 3600 - 60
        assert session.access_key != first


# Clocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [-20, 20])
def test_skewed_clock_works_with_one_warning(service, minutes, caplog):
    """A clock that is twenty minutes off works with one warning."""
    clock = FakeClock(now=time.time() + minutes * 60)
    with service.session(clock=clock) as session:
        for _ in range(3):
            assert VisualizationJob.get_visualization_job_list(session)["is_success"] is True
        warned = [entry for entry in caplog.records if entry.levelname == "WARNING"]
        assert len(warned) == 1
        assert "seconds %s" % ("behind" if minutes < 0 else "ahead") in warned[0].getMessage()
        assert session.explain().clock_skew == pytest.approx(-minutes * 60, abs=5)


def test_threads_with_skewed_clock_warn_once(service, caplog):
    """Many threads with a clock that is off all work with one warning."""
    clock = FakeClock(now=time.time() - 1200)
    with service.session(clock=clock) as session:
        answers = []
        threads = [
            threading.Thread(
                target=lambda: answers.append(VisualizationJob.get_visualization_job_list(session))
            )
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [answer["is_success"] for answer in answers] == [True] * 20
    assert sum(entry.levelname == "WARNING" for entry in caplog.records) == 1


def test_a_wrong_key_is_not_blamed_on_the_clock(service, caplog):
    with service.session(secret_key="wrong") as session, pytest.raises(AuthenticationFailed):
        VisualizationJob.list(session)
    assert not [entry for entry in caplog.records if entry.levelname == "WARNING"]


# Elsewhere --------------------------------------------------------------------------------


def _count(session):
    return len(VisualizationJob.list(session))


def test_a_session_goes_on_in_a_forked_process(service):
    with service.session() as session:
        before = _count(session)
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        child = context.Process(target=lambda: theirs.send(_count(session)))
        child.start()
        assert ours.poll(60)
        assert ours.recv() == before
        child.join()
        assert _count(session) == before


def test_lock_held_at_fork_is_free_in_child(service):
    """A lock that was held at a fork does not hold the child up."""
    with service.password_session() as session:
        tokens = session._wiring.parts.identity.authorizer.tokens
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        held, done = threading.Event(), threading.Event()

        def hold():
            with tokens._lock:
                held.set()
                done.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        child = context.Process(target=lambda: theirs.send(_count(session)))
        child.start()
        answered = ours.poll(30)
        done.set()
        holder.join()
        child.kill()
        child.join()
        assert answered


def test_a_pickled_session_finds_its_own_credentials_again(monkeypatch, tmp_path):
    monkeypatch.setenv("MODELARTS_ACCESS_KEY", "AK")
    monkeypatch.setenv("MODELARTS_SECRET_KEY", "the-secret-of-here")
    session = Session(project_id="p", region_name="r-1", modelarts_endpoint="m.example.com")
    pickled = pickle.dumps(session)
    assert b"the-secret-of-here" not in pickled
    monkeypatch.setenv("MODELARTS_SECRET_KEY", "the-secret-of-there")
    again = pickle.loads(pickled)
    assert again.secret_key == "the-secret-of-there"
    assert (again.project_id, again.region_name) == ("p", "r-1")
    assert again.modelarts_endpoint == "https://m.example.com"


def test_a_session_of_a_named_file_finds_that_file_again(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"ak": "AK", "sk": "the-secret", "region": "r-1"}))
    path.chmod(0o600)
    pickled = pickle.dumps(Session(config_file=str(path)))
    assert b"the-secret" not in pickled
    assert pickle.loads(pickled).secret_key == "the-secret"


@pytest.mark.parametrize("make", [_keys, _password])
def test_session_with_argument_secrets_is_not_pickled(make):
    """A session with secrets from arguments refuses to be pickled."""
    with pytest.raises(TypeError, match=r"secrets are not pickled\. Let the worker make its own"):
        pickle.dumps(make())


def test_a_session_of_the_local_service_finds_it_again(service):
    with Session.local(service.root) as session:
        pickled = pickle.dumps(session)
        assert session.secret_key.encode() not in pickled
        with pickle.loads(pickled) as again:
            assert again.access_key == session.access_key
            assert _count(again) == _count(session)


# The door to every other API --------------------------------------------------------------


@pytest.mark.parametrize("mode", ["session", "password_session"])
def test_auth_by_apig_reaches_any_path_in_both_modes(service, mode):
    with getattr(service, mode)() as session:
        path = "/v1/%s/visualization-jobs" % session.project_id
        listed = auth_by_apig(session, constant.HTTPS_GET, path, query={"per_page": 1, "page": 1})
        assert listed["is_success"] is True
        body = {"job_name": "by-apig", "train_url": "/bucket/logs/"}
        for given in (body, json.dumps(body), json.dumps(body).encode()):
            made = auth_by_apig(session, constant.HTTPS_POST, path, body=given)
            one = "%s/%d" % (path, made["job_id"])
            changed = auth_by_apig(session, constant.HTTPS_PUT, one, body={"job_desc": "ü"})
            assert changed == {"is_success": True}
            found = auth_by_apig(session, "get", path + "?search_content=by-apig&order=desc")
            assert [job["job_desc"] for job in found["jobs"]] == ["ü"]
            auth_by_apig(session, constant.HTTPS_DELETE, one, headers={"X-Language": "en-us"})
            with pytest.raises(NotFound):
                auth_by_apig(session, constant.HTTPS_GET, one)


def test_auth_by_apig_answers_none_for_an_empty_body():
    with responses.RequestsMock() as mock:
        mock.add("PATCH", "https://%s/v2/x" % HOST, status=204)
        assert auth_by_apig(_keys(project_id="p"), "PATCH", "/v2/x") is None


@pytest.mark.parametrize(
    ("argument", "given"),
    [
        ("session", ("a session", "GET", "/v1")),
        ("method", (None, "GET /", "/v1")),
        ("method", (None, 5, "/v1")),
        ("path", (None, "GET", "v1")),
        ("path", (None, "GET", "//v1")),
        ("path", (None, "GET", "https://elsewhere.example.com/v1")),
    ],
)
def test_a_bad_argument_of_auth_by_apig_is_one_clear_error(argument, given):
    session, method, path = given
    with pytest.raises(InvalidArgument) as caught:
        auth_by_apig(session or _keys(project_id="p"), method, path)
    assert caught.value.argument == argument


# whoami -----------------------------------------------------------------------------------


def test_explain_lists_sources_and_services(service):
    """Explain says where each thing came from and that it works."""
    with service.password_session() as session:
        said = session.explain()
    found = service.connection
    assert said.works
    assert said.credentials == {
        "kind": "password",
        "source": "arguments",
        "account": "local",
        "username": "local",
        "password": "…" + found["password"][-4:],
    }
    assert said.project_id == found["project_id"]
    assert said.expires_at.endswith("Z")
    assert said.services["modelarts"].source == "arguments"
    assert "accepts these credentials" in said.services["modelarts"].says
    assert json.loads(json.dumps(said.as_dict()))["works"] is True
    for secret in (found["password"], found["secret_key"]):
        assert secret not in str(said) + repr(said) + json.dumps(said.as_dict())


def test_explain_shares_the_token_of_its_session(service):
    sent = []
    with service.password_session(on_response=sent.append) as session:
        assert session.explain().works
        VisualizationJob.list(session)
        assert session.explain().works
    assert sum(exchange.url.endswith("/v3/auth/tokens") for exchange in sent) == 1


@pytest.mark.parametrize(
    ("jobs", "says"), [(0, "0 visualization jobs ("), (1, "1 visualization job (")]
)
def test_explain_counts_the_jobs(cloud, jobs, says):
    for _ in range(jobs):
        cloud.add()
    session = _keys(iam_endpoint="http://127.0.0.1:9", project_id=Cloud.project_id)
    assert says in session.explain().services["modelarts"].says


@pytest.mark.parametrize("make", [_keys, _password])
def test_explain_does_not_wait_long_for_hosts_that_say_nothing(make, monkeypatch):
    monkeypatch.setattr("modelarts.whoami.PATIENCE", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        address = "http://127.0.0.1:%d" % silent.getsockname()[1]
        where = dict.fromkeys(("modelarts_endpoint", "iam_endpoint", "obs_endpoint"), address)
        where["clock"] = None
        if make is _password:
            where["obs_endpoint"] = where["modelarts_endpoint"] = None
        session = make(timeout=30, retries=3, **where)
        started = time.monotonic()
        said = session.explain()
        assert time.monotonic() - started < 15  # its own timeout would be 30 for each attempt
    assert [service.works for service in said.services.values()] == [False] * 3
    assert all("within 0.2 seconds" in service.says for service in said.services.values())


def test_explain_is_no_more_patient_than_its_session():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        address = "http://127.0.0.1:%d" % silent.getsockname()[1]
        where = dict.fromkeys(("modelarts_endpoint", "iam_endpoint", "obs_endpoint"), address)
        session = _keys(timeout=0.1, clock=None, project_id="p", **where)
        said = session.explain()
    assert all("within 0.1 seconds" in service.says for service in said.services.values())


def test_explain_says_nothing_of_a_project_that_nothing_names():
    said = _keys(region_name=None, iam_endpoint=None, retries=0).explain()
    assert (said.project_id, said.project_source) == (None, None)
    assert "project_id    not known\n" in str(said)


def test_explain_says_that_a_token_named_the_project(monkeypatch):
    monkeypatch.setenv("OS_TOKEN", "the-token-of-somebody")
    with responses.RequestsMock() as mock:
        mock.get(TOKENS, json=_token())
        mock.get(JOBS, json={"job_total_count": 0, "jobs": []})
        said = _keys(access_key=None, secret_key=None, obs_endpoint="http://127.0.0.1:9").explain()
    assert (said.project_id, said.project_source) == (Cloud.project_id, "the token")


def test_explain_tells_why_it_does_not_work(service):
    with service.session(secret_key="wrong-secret-key", iam_endpoint="127.0.0.1:9") as session:
        said = session.explain()
    assert not said.works
    assert "APIG.0301" in said.services["modelarts"].says
    assert not said.services["iam"].works
    assert "127.0.0.1:9" in said.services["iam"].says
    assert not said.services["obs"].works
    assert "FAILS" in str(said)
    assert "wrong-secret-key" not in str(said)
    # Who reads this has asked whoami already.
    assert "Next: check the credentials" in str(said)
    assert "whoami" not in str(said)
