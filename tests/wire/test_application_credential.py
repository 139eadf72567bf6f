"""Application credentials of Keystone, in ``clouds.yaml`` and in the environment."""

import io
import json
import logging
import pickle

import pytest

from modelarts.auth import ApplicationCredential
from modelarts.errors import AuthenticationFailed, ConfigurationError
from modelarts.estimator import VisualizationJob
from modelarts.session import Session
from tests.servers.cloud import Cloud

SECRET = Cloud.application["secret"]
BY_ID = {
    "application_credential_id": Cloud.application["id"],
    "application_credential_secret": SECRET,
}
BY_NAME = {
    "application_credential_name": Cloud.application["name"],
    "application_credential_secret": SECRET,
    "username": Cloud.username,
    "user_domain_name": Cloud.account,
}
BY_USER_ID = {
    "application_credential_name": Cloud.application["name"],
    "application_credential_secret": SECRET,
    "user_id": "u" * 32,
}
FORMS = pytest.mark.parametrize("auth", [BY_ID, BY_NAME, BY_USER_ID], ids=["id", "name", "user_id"])


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Writes a ``clouds.yaml`` with one cloud; a test goes on in its folder."""
    pytest.importorskip("yaml")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def put(auth, name="clouds.yaml", **cloud):
        settings = {"auth_type": "v3applicationcredential", "region_name": Cloud.region_name}
        address = {"auth_url": Cloud.iam_endpoint + "/v3"} if name == "clouds.yaml" else {}
        cloud = {**settings, **cloud, "auth": {**address, **auth}}
        path = tmp_path / name  # JSON is YAML
        path.write_text(json.dumps({"clouds": {"otc": cloud}}))
        path.chmod(0o600)

    return put


def _session(cloud, clock, **changes):
    return Session(modelarts_endpoint=cloud.modelarts_endpoint, clock=clock, **changes)


def _logins(cloud):
    return [json.loads(call.body) for call in cloud.calls if call.url.endswith("/auth/tokens")]


@FORMS
def test_clouds_yaml_signs_in(place, cloud, clock, auth):
    place(auth)
    cloud.add(status=8)
    with _session(cloud, clock) as session:
        assert len(VisualizationJob.list(session)) == 1
        # The credential belongs to one project, which the token names.
        assert session.project_id == cloud.project_id
        assert (session.mode, session.sources["project"]) == ("application credential", "the token")
    assert len(_logins(cloud)) == 1


@FORMS
def test_login_is_that_of_keystoneauth(place, cloud, clock, auth):
    """The peer is the unmodified client that OpenStack's own tools sign in with."""
    loading = pytest.importorskip("keystoneauth1.loading")
    peer = pytest.importorskip("keystoneauth1.session")
    place(auth)
    loader = loading.get_plugin_loader("v3applicationcredential")
    plugin = loader.load_from_options(auth_url=cloud.iam_endpoint + "/v3", **auth)
    assert peer.Session(auth=plugin).get_token() in cloud.tokens
    with _session(cloud, clock) as session:
        VisualizationJob.list(session)
    theirs, ours = _logins(cloud)
    assert ours == theirs


def test_environment_signs_in(monkeypatch, cloud, clock):
    for name, value in BY_ID.items():
        monkeypatch.setenv("OS_" + name.upper(), value)
    monkeypatch.setenv("OS_AUTH_TYPE", "v3applicationcredential")
    monkeypatch.setenv("OS_AUTH_URL", cloud.iam_endpoint + "/v3")
    with _session(cloud, clock, region_name=cloud.region_name) as session:
        assert VisualizationJob.list(session) == []
        assert session.sources["credentials"] == "environment OS_*"


def test_secret_may_be_in_secure_yaml(place, cloud, clock):
    place({"application_credential_id": Cloud.application["id"]})
    place({"application_credential_secret": SECRET}, "secure.yaml")
    with _session(cloud, clock) as session:
        assert VisualizationJob.list(session) == []


def test_auth_type_decides_between_two(place, cloud, clock):
    place({**BY_NAME, "password": Cloud.password}, auth_type="password")
    with _session(cloud, clock) as session:
        assert VisualizationJob.list(session) == []
        assert session.mode == "password"


def test_refused_token_is_renewed(place, cloud, clock):
    place(BY_ID)
    with _session(cloud, clock) as session:
        VisualizationJob.list(session)
        cloud.tokens.clear()
        VisualizationJob.list(session)
    assert len(_logins(cloud)) == 2


@pytest.mark.parametrize(
    ("auth", "problem"),
    [
        ({}, "application_credential_secret is missing"),
        ({"application_credential_id": "i"}, "application_credential_secret is missing"),
        ({"application_credential_secret": SECRET}, "application_credential_id must be given"),
        ({**BY_NAME, "username": None}, "user_id must be given, or username and its domain"),
        (
            {**BY_NAME, "user_domain_name": None},
            "user_id must be given, or username and its domain",
        ),
        ({**BY_ID, "application_credential_secret": "two\nlines"}, "secret must be a text"),
        ({**BY_ID, "application_credential_id": 5}, "application_credential_id is not a text"),
    ],
)
def test_half_of_a_credential_is_one_clear_error(place, auth, problem):
    place(auth)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        Session()
    assert SECRET not in str(caught.value)
    assert "two\nlines" not in repr(vars(caught.value))


def test_secret_of_an_application_is_shown_nowhere(place, cloud, clock):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    logging.getLogger("modelarts").setLevel(logging.DEBUG)
    try:
        place(BY_ID)
        with _session(cloud, clock) as session:
            VisualizationJob.list(session)
            found = session._resolved.credential_set
            shown = [repr(session), repr(found), repr(vars(session)), str(session.explain())]
            shown += [repr(pickle.dumps(session)), str(vars(session._wiring))]
            assert pickle.loads(pickle.dumps(session)).mode == session.mode
        with pytest.raises(TypeError, match="holds a secret and is not pickled"):
            pickle.dumps(found.credentials)
        cloud.application = {**cloud.application, "secret": "another"}
        with pytest.raises(AuthenticationFailed) as caught:
            VisualizationJob.list(_session(cloud, clock))
        shown += [str(caught.value), repr(caught.value), str(vars(caught.value))]
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger("modelarts").setLevel(logging.NOTSET)
    assert not [text for text in [*shown, stream.getvalue()] if SECRET in text]
    assert "application credential" in shown[3]


def test_credential_needs_an_id_or_a_user():
    assert repr(ApplicationCredential(SECRET, "i")).startswith("ApplicationCredential(account=None")
    assert SECRET not in repr(ApplicationCredential(SECRET, "i"))
