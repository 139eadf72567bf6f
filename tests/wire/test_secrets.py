"""No secret is ever shown. Each test searches for the actual values."""

import io
import json
import logging
import pickle
import subprocess
import sys
import traceback

import pytest

from modelarts.cli import main
from modelarts.errors import ModelArtsError
from modelarts.estimator import VisualizationJob
from modelarts.session import Session
from tests.servers.service import Service

pytestmark = pytest.mark.local


@pytest.fixture
def secrets(service):
    """The local service's own, and those that IAM gives for them."""
    found = service.connection
    with service.password_session() as session:
        token = session._wiring.parts.identity.token().value
        return [
            found["secret_key"],
            found["password"],
            session.secret_key,
            session.security_token,
            token,
        ]


@pytest.fixture
def log():
    """Everything that is logged at DEBUG, by this package and below it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in ("modelarts", "urllib3"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)
    for name in ("modelarts", "urllib3"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def _use(session):
    """Everything a session does, refusals included; answers all errors."""
    errors = []
    calls = [
        lambda: VisualizationJob.create("/bucket/logs/", session=session).wait().stop(),
        lambda: VisualizationJob.list(session),
        lambda: VisualizationJob(session, 999999).refresh(),
        lambda: session.request("POST", "/v1/nothing"),
        lambda: session.request("GET", "/v1/%s/visualization-jobs" % ("f" * 32)),
        lambda: (session.access_key, session.secret_key, session.security_token),
        session.explain,
    ]
    for call in calls:
        try:
            call()
        except ModelArtsError as error:
            errors.append(error)
    return errors


def _sessions(service):
    found = service.connection
    yield service.session()
    yield service.password_session()
    yield service.password_session(password=found["password"] + "x")
    yield service.session(secret_key=found["secret_key"] + "x")
    yield service.session(modelarts_endpoint="http://127.0.0.1:9", retries=0)
    yield service.password_session(iam_endpoint="http://127.0.0.1:9", retries=0)


def test_not_in_logs_errors_and_what_is_printed(service, secrets, log):
    shown = []
    for session in _sessions(service):
        with session:
            errors = _use(session)
            new = [session.secret_key] if session.mode == "AK/SK" else []
            secrets.extend(new)
            for error in errors:
                shown.extend((str(error), repr(error), repr(vars(error))))
                shown.append("".join(traceback.format_exception(error, error, error.__traceback__)))
                shown.append(repr(pickle.dumps(error)))
            said = session.explain()
            shown.extend((repr(session), str(session), str(said), repr(said)))
            shown.append(json.dumps(said.as_dict()))
            shown.append(repr(vars(session)))
    logged = log.getvalue()
    assert "visualization-jobs" in logged  # it was logged at all
    assert len(shown) > 50
    for secret in secrets:
        assert secret not in logged
        assert not [text for text in shown if secret in text]
    assert "Signature=" not in logged


def test_not_in_pickles_of_jobs_and_sessions(service, secrets):
    with Session.local(service.root) as session:
        job = VisualizationJob.create("/bucket/logs/", session=session)
        for pickled in (pickle.dumps(session), pickle.dumps(job)):
            assert not [secret for secret in secrets if secret.encode() in pickled]
        job.delete()


def test_not_in_the_process_list_nor_in_what_the_service_writes(tmp_path):
    service = Service(tmp_path, is_forked=False)
    try:
        found = service.connection
        with service.password_session() as session:
            job = VisualizationJob.create("/bucket/logs/", session=session).wait()
            page_key = job.service_url.split("/")[-3]
            values = [found["secret_key"], found["password"], session.secret_key, page_key]
            listed = subprocess.run(
                ["ps", "-ewwo", "args="], capture_output=True, text=True, check=True
            ).stdout
            assert str(tmp_path) in listed
            assert not [value for value in values if value in listed]
            job.stop()
    finally:
        service.end()
    logs = [line for line in service.log if line]
    logs += [path.read_text() for path in (tmp_path / "logs").iterdir()]
    assert logs
    for value in values:
        assert not [line for line in logs if value in line]


def test_not_in_whoami(service, secrets):
    for arguments in ([], ["--json"]):
        said = subprocess.run(
            [sys.executable, "-m", "modelarts", "whoami", "--root", str(service.root), *arguments],
            capture_output=True,
            text=True,
        )
        assert said.returncode == 0, said.stderr
        assert "accepts these credentials" in said.stdout
        assert not [secret for secret in secrets if secret in said.stdout + said.stderr]


def test_whoami_without_credentials_lists_sources():
    """Whoami without credentials says what was tried and fails."""
    said = subprocess.run(
        [sys.executable, "-m", "modelarts", "whoami"], capture_output=True, text=True
    )
    assert said.returncode == 1
    assert "environment OS_*: OS_USERNAME is not set" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("option", ["--region-name=r", "--config-file=f"])
@pytest.mark.parametrize("local", ["--local", "--root=."])
def test_whoami_local_with_config_is_wrong_usage(local, option, capsys):
    """Whoami of the local service and of another place is wrong usage."""
    with pytest.raises(SystemExit) as caught:
        main(["whoami", local, option])
    assert caught.value.code == 2
    assert (
        "--local and --root go with neither --config-file nor --region-" in capsys.readouterr().err
    )


def test_whoami_prints_json_where_there_is_no_session_too(capsys, monkeypatch):
    assert main(["whoami", "--json"]) == 1
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert printed.err == ""
    assert said["works"] is False
    assert said["error"].startswith("No credentials found")
    assert {"source": "environment S3_*", "reason": "S3_ACCESS_KEY_ID is not set"} in said["tried"]
    monkeypatch.setenv("S3_ACCESS_KEY_ID", "AK")
    assert main(["whoami", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["works"], said["tried"]) == (False, [])
    assert said["error"].startswith("environment: S3_ACCESS_KEY_ID is set and")


def test_whoami_can_be_printed_where_only_ascii_can(service, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    said = subprocess.run(
        [sys.executable, "-m", "modelarts", "whoami", "--root", str(service.root)],
        capture_output=True,
    )
    assert said.returncode == 0, said.stderr
    shown = service.connection["secret_key"][-4:]
    assert "secret_key  ..." + shown in said.stdout.decode("ascii")


def test_whoami_explains_refused_credentials(service, monkeypatch):
    """Whoami with credentials that are refused says why and fails."""
    found = service.connection
    monkeypatch.setenv("MODELARTS_ACCESS_KEY", found["access_key"])
    monkeypatch.setenv("MODELARTS_SECRET_KEY", "a-wrong-secret-key")
    monkeypatch.setenv("MODELARTS_PROJECT_ID", found["project_id"])
    for service_name in ("modelarts", "iam"):
        name = service_name + "_endpoint"
        variable = {"modelarts": "MODELARTS_ENDPOINT", "iam": "MODELARTS_IAM_ENDPOINT"}
        monkeypatch.setenv(variable[service_name], found[name])
    said = subprocess.run(
        [sys.executable, "-m", "modelarts", "whoami"], capture_output=True, text=True
    )
    assert said.returncode == 1
    assert "(environment MODELARTS_*)" in said.stdout
    assert "FAILS: list visualization jobs: HTTP 401: APIG.0301" in said.stdout
    assert "whoami" not in said.stdout + said.stderr
    assert "a-wrong-secret-key" not in said.stdout + said.stderr
