"""Sources of credentials, and each way that one can be broken."""

import json
import os
import pickle
import warnings

import pytest

from modelarts import auth
from modelarts.auth import AccessKey, CredentialSet, CredentialsUnavailable, Password, Provider
from modelarts.errors import ConfigurationError, CredentialsNotFound, InvalidArgument
from modelarts.session import Session
from tests.servers.http_server import Metadata, served

FLAT = {
    "access_key": "AK",
    "secret_key": "SK-of-the-file",
    "project_id": "p",
    "region": "cn-east-3",
}
CLOUDS = """
clouds:
  otc:
    region_name: eu-de
    auth:
      auth_url: https://iam.eu-de.otc.t-systems.com/v3
      username: ann
      password: secret of the clouds
      project_name: eu-de_research
      user_domain_name: OTC00000000001
"""
KEYS_CLOUD = """
clouds:
  keys: {region_name: eu-de, auth: {ak: AK, sk: SK-of-the-cloud, project_id: p}}
"""
OS_PASSWORD = {
    "OS_AUTH_URL": "https://iam.eu-de.otc.t-systems.com/v3",
    "OS_USERNAME": "ann",
    "OS_PASSWORD": "pw",
}


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home and a working directory with nothing in them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def place(home, monkeypatch):
    """Puts variables and files in place."""

    def put(environ=None, files=None):
        for name, value in (environ or {}).items():
            monkeypatch.setenv(name, value.format(home=home))
        for name, content in (files or {}).items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
            path.chmod(0o600)

    return put


# Each source ------------------------------------------------------------------------------

SOURCES = {
    "MODELARTS_* keys": (
        {
            "MODELARTS_ACCESS_KEY": "AK",
            "MODELARTS_SECRET_KEY": "SK",
            "MODELARTS_SECURITY_TOKEN": "ST",
            "MODELARTS_PROJECT_ID": "p",
            "MODELARTS_REGION_NAME": "cn-north-4",
        },
        {},
        ("environment MODELARTS_*", "AK/SK", "p", "cn-north-4", None),
    ),
    "MODELARTS_* password": (
        {
            "MODELARTS_USERNAME": "ann",
            "MODELARTS_PASSWORD": "pw",
            "MODELARTS_ACCOUNT": "company",
            "MODELARTS_REGION": "cn-north-4",
        },
        {},
        ("environment MODELARTS_*", "password", None, "cn-north-4", None),
    ),
    "HUAWEICLOUD_SDK_*": (
        {
            "HUAWEICLOUD_SDK_AK": "AK",
            "HUAWEICLOUD_SDK_SK": "SK",
            "HUAWEICLOUD_SDK_PROJECT_ID": "p",
            "REGION_NAME": "cn-north-1",
        },
        {},
        ("environment HUAWEICLOUD_SDK_*", "AK/SK", "p", "cn-north-1", None),
    ),
    "a training container": (
        {
            "S3_ACCESS_KEY_ID": "AK",
            "S3_SECRET_ACCESS_KEY": "SK",
            "S3_ENDPOINT": "https://obs.cn-south-1.myhuaweicloud.com",
            "MA_APIGW_ENDPOINT": "https://modelarts.cn-south-1.myhuaweicloud.com",
            "PROJECT_ID": "p",
        },
        {},
        (
            "environment S3_*",
            "AK/SK",
            "p",
            "cn-south-1",
            "https://modelarts.cn-south-1.myhuaweicloud.com",
        ),
    ),
    "OS_* password": (
        {
            "OS_AUTH_URL": "https://iam.eu-de.otc.t-systems.com/v3",
            "OS_USERNAME": "ann",
            "OS_PASSWORD": "pw",
            "OS_USER_DOMAIN_NAME": "OTC1",
            "OS_PROJECT_NAME": "eu-de_research",
        },
        {},
        ("environment OS_*", "password", None, "eu-de", None),
    ),
    "OS_* token": (
        {"OS_AUTH_URL": "https://iam.example.com:5000/v3", "OS_TOKEN": "t", "OS_PROJECT_ID": "p"},
        {},
        ("environment OS_*", "token", "p", None, None),
    ),
    "OS_* token beside a user's name": (
        {"OS_TOKEN": "t", "OS_USERNAME": "ann", "OS_PROJECT_ID": "p", "OS_REGION_NAME": "eu-de"},
        {},
        ("environment OS_*", "token", "p", "eu-de", None),
    ),
    "OS_* password, the region in the project's name": (
        {"OS_USERNAME": "ann", "OS_PASSWORD": "pw", "OS_PROJECT_NAME": "eu-de_research"},
        {},
        ("environment OS_*", "password", None, "eu-de", None),
    ),
    "OS_* password, the region elsewhere": (
        {"OS_USERNAME": "ann", "OS_PASSWORD": "pw", "MODELARTS_REGION_NAME": "eu-de"},
        {},
        ("environment OS_*", "password", None, "eu-de", None),
    ),
    "config.json, flat": (
        {},
        {".modelarts/config.json": FLAT},
        ("{home}/.modelarts/config.json", "AK/SK", "p", "cn-east-3", None),
    ),
    "config.json, iam_config and the other spellings": (
        {},
        {
            ".modelarts/config.json": {
                "iam_config": {
                    "access_Key": "AK",
                    "access_Key_Secret": "SK",
                    "project_id": "p",
                    "region_name": "r-1",
                },
                "modelarts_endpoint": "modelarts.private.example.com",
            }
        },
        (
            "{home}/.modelarts/config.json",
            "AK/SK",
            "p",
            "r-1",
            "https://modelarts.private.example.com",
        ),
    ),
    "config.json, ak and sk": (
        {},
        {".modelarts/config.json": {"ak": "AK", "sk": "SK", "region": "cn-east-3"}},
        ("{home}/.modelarts/config.json", "AK/SK", None, "cn-east-3", None),
    ),
    "config.json, a password": (
        {},
        {
            ".modelarts/config.json": {
                "account": "company",
                "username": "ann",
                "password": "pw",
                "region_name": "cn-east-3",
            }
        },
        ("{home}/.modelarts/config.json", "password", None, "cn-east-3", None),
    ),
    "MODELARTS_CONFIG": (
        {"MODELARTS_CONFIG": "{home}/mine.json", "HUAWEICLOUD_SDK_AK": "x"},
        {"mine.json": FLAT},
        ("{home}/mine.json", "AK/SK", "p", "cn-east-3", None),
    ),
    "Huawei Cloud's credentials": (
        {"MODELARTS_REGION_NAME": "cn-north-4"},
        {".huaweicloud/credentials": "[basic]\nak = AK\nsk = S%K\nproject_id = p\n"},
        ("{home}/.huaweicloud/credentials", "AK/SK", "p", "cn-north-4", None),
    ),
    "clouds.yaml, the one that OS_CLOUD names": (
        {"OS_CLOUD": "otc"},
        {".config/openstack/clouds.yaml": CLOUDS + "  other: {}\n"},
        ("{home}/.config/openstack/clouds.yaml, cloud otc", "password", None, "eu-de", None),
    ),
    "clouds.yaml, its only one, with keys": (
        {},
        {"clouds.yaml": KEYS_CLOUD},
        ("{home}/clouds.yaml, cloud keys", "AK/SK", "p", "eu-de", None),
    ),
    "clouds.yaml with keys, the region in the address": (
        {},
        {
            "clouds.yaml": "clouds: {a: {auth: {ak: A, sk: S, "
            "auth_url: iam.eu-de.otc.t-systems.com}}}"
        },
        ("{home}/clouds.yaml, cloud a", "AK/SK", None, "eu-de", None),
    ),
    "clouds.yaml with keys, the region in the project's name": (
        {},
        {"clouds.yaml": "clouds: {a: {auth: {ak: A, sk: S, project_name: eu-de_research}}}"},
        ("{home}/clouds.yaml, cloud a", "AK/SK", None, "eu-de", None),
    ),
    "clouds.yaml, the file that OS_CLIENT_CONFIG_FILE names": (
        {"OS_CLIENT_CONFIG_FILE": "~/mine.yaml"},
        {"mine.yaml": KEYS_CLOUD},
        ("{home}/mine.yaml, cloud keys", "AK/SK", "p", "eu-de", None),
    ),
    "clouds.yaml, and secure.yaml in another of the folders": (
        {"OS_CLOUD": "otc"},
        {
            "clouds.yaml": CLOUDS.replace("      password: secret of the clouds\n", ""),
            ".config/openstack/secure.yaml": "clouds: {otc: {auth: {password: hidden}}}",
        },
        ("{home}/clouds.yaml, cloud otc", "password", None, "eu-de", None),
    ),
    "config.json that begins with a byte order mark": (
        {},
        {".modelarts/config.json": "\ufeff" + json.dumps(FLAT)},
        ("{home}/.modelarts/config.json", "AK/SK", "p", "cn-east-3", None),
    ),
    "clouds.yaml and secure.yaml": (
        {"OS_CLOUD": "otc"},
        {
            "clouds.yaml": CLOUDS.replace("      password: secret of the clouds\n", ""),
            "secure.yaml": "clouds: {otc: {auth: {password: hidden}}}",
        },
        ("{home}/clouds.yaml, cloud otc", "password", None, "eu-de", None),
    ),
}


@pytest.mark.parametrize("name", list(SOURCES))
def test_each_source_is_found_and_named(place, home, name):
    environ, files, (source, mode, project_id, region, endpoint) = SOURCES[name]
    place(environ, files)
    session = Session()
    assert session._resolved.sources["credentials"] == source.format(home=home)
    assert (session.mode, session.region_name) == (mode, region)
    assert session._resolved.project_id == project_id
    if endpoint is not None:
        assert session.modelarts_endpoint == endpoint


ORDER = [
    "MODELARTS_CONFIG",
    "MODELARTS_* keys",
    "HUAWEICLOUD_SDK_*",
    "a training container",
    "OS_* password",
    "config.json, flat",
    "Huawei Cloud's credentials",
    "clouds.yaml, its only one, with keys",
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_of_several_sources_the_first_in_order_wins(place, home, first):
    for name in reversed(ORDER[first:]):
        place(*SOURCES[name][:2])
    found = Session()._resolved.sources["credentials"]
    assert found == SOURCES[ORDER[first]][2][0].format(home=home)


def test_an_argument_wins_over_everything(place):
    place(*SOURCES["MODELARTS_* keys"][:2])
    session = Session(access_key="mine", secret_key="mine-too", project_id="q", region="r-2")
    assert (session.access_key, session.security_token) == ("mine", None)
    assert (session.project_id, session.region_name) == ("q", "r-2")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"access_key": "mine"}, ("mine", "SK", "ST")),
        ({"project_id": "q", "region_name": "r-2"}, ("AK", "SK", "ST")),
    ],
)
def test_what_arguments_leave_open_comes_from_the_environment(place, given, expected):
    place(*SOURCES["MODELARTS_* keys"][:2])
    session = Session(**given)
    assert (session.access_key, session.secret_key, session.security_token) == expected
    assert session.project_id == given.get("project_id", "p")


def test_a_password_may_stay_in_the_environment(place):
    place({"MODELARTS_PASSWORD": "pw"})
    session = Session(username="ann", region_name="eu-de")
    assert session._resolved.credential_set.credentials == Password("ann", "pw", "ann")


def test_named_project_wins_over_environment_id(place):
    """A project that was named wins over an id of the environment."""
    place(*SOURCES["MODELARTS_* keys"][:2])
    session = Session(project_name="cn-north-4_team")
    assert session._resolved.project_id is None
    assert session._resolved.project_name == "cn-north-4_team"


@pytest.mark.parametrize(
    ("where", "account"),
    [
        ({"OS_USER_DOMAIN_NAME": "n"}, ("n", None)),
        ({"OS_DOMAIN_NAME": "n"}, ("n", None)),
        ({"OS_USER_DOMAIN_ID": "i"}, ("ann", "i")),
        ({"OS_DOMAIN_ID": "i"}, ("ann", "i")),
        ({"OS_USER_DOMAIN_NAME": "n", "OS_DOMAIN_ID": "i"}, ("n", None)),
        ({"OS_USER_DOMAIN_NAME": "n", "OS_USER_DOMAIN_ID": "i"}, ("ann", "i")),
    ],
)
def test_openstack_account_is_name_or_id(place, where, account):
    """An account of openstack is told by its name or by its id."""
    expected = Password("ann", "pw", account[0], account_id=account[1])
    place({}, {"clouds.yaml": {"clouds": {"one": {"auth": _auth(where)}}}})
    assert Session()._resolved.credential_set.credentials == expected
    place({**OS_PASSWORD, **where})
    assert Session()._resolved.credential_set.credentials == expected


def _auth(where):
    given = {**OS_PASSWORD, **where}
    return {name[3:].lower(): value for name, value in given.items()}


def test_temporary_keys_of_a_cloud_have_their_security_token(place):
    place({}, {"clouds.yaml": KEYS_CLOUD.replace("sk:", "security_token: ST, sk:")})
    assert Session().keys() == AccessKey("AK", "SK-of-the-cloud", "ST")


def test_without_a_way_to_iam_the_error_comes_when_it_is_needed(place):
    place({"OS_USERNAME": "ann", "OS_PASSWORD": "pw"})
    assert Session(iam_endpoint="iam.example.com").iam_endpoint == "https://iam.example.com"
    session = Session()
    with pytest.raises(ConfigurationError, match="give region_name= or iam_endpoint="):
        _ = session.modelarts_endpoint
    Session.set_endpoint(iam_endpoint="https://set.example.com")
    assert Session().iam_endpoint == "https://set.example.com"


def test_a_working_directory_that_was_deleted_is_passed_over(place, home, monkeypatch):
    gone = home / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(CredentialsNotFound):
        Session()
    with pytest.raises(ConfigurationError, match=r"mine\.json: there is no such file"):
        Session(config_file="mine.json")
    place({}, {".config/openstack/clouds.yaml": KEYS_CLOUD})
    assert Session().secret_key == "SK-of-the-cloud"


# Which region and which project -----------------------------------------------------------

KEYS = {"MODELARTS_ACCESS_KEY": "AK", "MODELARTS_SECRET_KEY": "SK"}
SDK_KEYS = {"HUAWEICLOUD_SDK_AK": "AK", "HUAWEICLOUD_SDK_SK": "SK"}
OF_R_1 = {"ak": "AK", "sk": "SK", "region": "r-1", "project_id": "p-file"}
OURS = {"MODELARTS_REGION_NAME": "r-1", "MODELARTS_PROJECT_ID": "p-ours"}
AMBIENT = {"REGION_NAME": "r-1", "PROJECT_ID": "p-ambient"}
HOME_FILE = {".modelarts/config.json": OF_R_1}
NAMED_FILE = {"mine.json": OF_R_1}
CLOUD_FILE = {
    "clouds.yaml": "clouds: {a: {region_name: r-1, auth: {ak: A, sk: S, project_name: team}}}"
}
OURS_OF_R_2 = {"MODELARTS_REGION_NAME": "r-2"}

#: arguments, variables, files; region, project's id, project's name if there is no id.
CHOICES = {
    "the file's own": ({}, {}, HOME_FILE, ("r-1", "p-file", None)),
    "a region as an argument": ({"region_name": "r-2"}, {}, HOME_FILE, ("r-2", None, "r-2")),
    "the same region as an argument": (
        {"region_name": "r-1"},
        {},
        HOME_FILE,
        ("r-1", "p-file", None),
    ),
    "a region and a project as arguments": (
        {"region_name": "r-2", "project_id": "p"},
        {},
        HOME_FILE,
        ("r-2", "p", None),
    ),
    "a region as an argument, ours in the environment": (
        {"region_name": "r-2"},
        {**KEYS, **OURS},
        {},
        ("r-2", None, "r-2"),
    ),
    "a region as an argument, no region in the environment": (
        {"region_name": "r-2"},
        {**KEYS, "MODELARTS_PROJECT_ID": "p-ours"},
        {},
        ("r-2", "p-ours", None),
    ),
    "a region as an argument, ambient variables": (
        {"region_name": "r-2"},
        {**KEYS, **AMBIENT},
        {},
        ("r-2", None, "r-2"),
    ),
    "a region as an argument, an address in the environment": (
        {"region_name": "r-2"},
        {**KEYS, "PROJECT_ID": "p", "S3_ENDPOINT": "obs.cn-south-1.myhuaweicloud.com"},
        {},
        ("r-2", None, "r-2"),
    ),
    "a region as an argument, an ambient project alone": (
        {"region_name": "r-2"},
        {**KEYS, "PROJECT_ID": "p-ambient"},
        {},
        ("r-2", "p-ambient", None),
    ),
    "a region as an argument, a project's name in a cloud": (
        {"region_name": "r-2"},
        {},
        CLOUD_FILE,
        ("r-2", None, "r-2"),
    ),
    "a region as an argument, a project's name without a region": (
        {"region_name": "r-2"},
        {"OS_USERNAME": "ann", "OS_PASSWORD": "pw", "OS_PROJECT_NAME": "team"},
        {},
        ("r-2", None, "team"),
    ),
    "our variables and a file that was not asked for": (
        {},
        OURS,
        {".modelarts/config.json": {**OF_R_1, "region": "r-2"}},
        ("r-1", "p-ours", None),
    ),
    "our region and a file of another one": ({}, OURS_OF_R_2, HOME_FILE, ("r-2", None, "r-2")),
    "our project and a file": (
        {},
        {"MODELARTS_PROJECT_ID": "p-ours"},
        HOME_FILE,
        ("r-1", "p-ours", None),
    ),
    "our variables and others' keys": (
        {},
        {**SDK_KEYS, "HUAWEICLOUD_SDK_PROJECT_ID": "p-sdk", **OURS},
        {},
        ("r-1", "p-ours", None),
    ),
    "our variables and a file that was asked for": (
        {},
        {"MODELARTS_CONFIG": "mine.json", **OURS_OF_R_2, "MODELARTS_PROJECT_ID": "p-ours"},
        NAMED_FILE,
        ("r-1", "p-file", None),
    ),
    "ambient variables and a file": (
        {},
        {"REGION_NAME": "r-2", "PROJECT_ID": "p-ambient"},
        HOME_FILE,
        ("r-1", "p-file", None),
    ),
    "ambient variables of another region and a file without a project": (
        {},
        {"REGION_NAME": "r-2", "PROJECT_ID": "p-ambient"},
        {".modelarts/config.json": {"ak": "AK", "sk": "SK", "region": "r-1"}},
        ("r-1", None, "r-1"),
    ),
    "ambient variables, and keys that say nothing else": (
        {},
        {**SDK_KEYS, **AMBIENT},
        {},
        ("r-1", "p-ambient", None),
    ),
    "keys as arguments beside a file": (
        {"access_key": "a", "secret_key": "s", "config_file": "mine.json"},
        {},
        NAMED_FILE,
        ("r-1", "p-file", None),
    ),
    "keys and a region as arguments beside a file": (
        {"access_key": "a", "secret_key": "s", "config_file": "mine.json", "region": "r-2"},
        {},
        NAMED_FILE,
        ("r-2", None, "r-2"),
    ),
    "keys as arguments beside a file of the environment": (
        {"access_key": "a", "secret_key": "s"},
        {"MODELARTS_CONFIG": "mine.json", **OURS_OF_R_2},
        NAMED_FILE,
        ("r-1", "p-file", None),
    ),
    "a user as an argument beside a file without credentials": (
        {"username": "ann", "password": "pw", "config_file": "mine.json"},
        {},
        {"mine.json": {"region": "r-1", "project_id": "p-file"}},
        ("r-1", "p-file", None),
    ),
}


@pytest.mark.parametrize("name", list(CHOICES))
def test_project_belongs_to_its_region(place, name):
    """A project is only taken for the region that it was said with."""
    arguments, environ, files, (region, project_id, project_name) = CHOICES[name]
    place(environ, files)
    session = Session(**arguments)
    assert session.region_name == region
    assert session._resolved.project_id == project_id
    if project_id is None:
        assert session._resolved.project_name == project_name


def test_a_region_of_set_endpoint_counts_likewise(place):
    place({}, HOME_FILE)
    Session.set_endpoint(region_name="r-2")
    assert Session()._resolved.project_id is None
    Session.set_endpoint(region_name="r-1")
    assert Session().project_id == "p-file"


def test_keys_as_arguments_win_over_a_file_that_gives_the_rest(place, home):
    address = "modelarts.file.example.com"
    place({}, {"mine.json": {**OF_R_1, "modelarts_endpoint": address, "iam_endpoint": address}})
    session = Session(
        access_key="a", secret_key="s", config_file="mine.json", iam_endpoint="mine.example.com"
    )
    assert session.keys() == AccessKey("a", "s")
    assert session.modelarts_endpoint == "https://" + address
    assert session.iam_endpoint == "https://mine.example.com"
    sources = session._resolved.sources
    assert sources["credentials"] == "arguments"
    assert sources["project"] == sources["modelarts"] == str(home / "mine.json")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, r"mine\.json: there is no such file"),
        ({"mine.json": "{"}, r"mine\.json is not JSON \(line 1\)"),
        ({"mine.json": {"obs_endpoint": "ftp://x"}}, r"mine\.json: obs_endpoint must be an"),
    ],
)
def test_a_file_that_was_asked_for_is_read_beside_keys_too(place, monkeypatch, files, sentence):
    place({}, files)
    with pytest.raises(ConfigurationError, match=sentence):
        Session(access_key="a", secret_key="s", config_file="mine.json")
    monkeypatch.setenv("MODELARTS_CONFIG", "mine.json")
    with pytest.raises(ConfigurationError, match=sentence):
        Session(access_key="a", secret_key="s")


def test_broken_file_is_unread_with_full_arguments(place):
    """A file of the environment does not stand in the way of a session that says all."""
    place({"MODELARTS_CONFIG": "none.json"})
    address = "https://m.example.com"
    session = Session(
        access_key="a",
        secret_key="s",
        project_id="p",
        region_name="r",
        modelarts_endpoint=address,
        iam_endpoint=address,
        obs_endpoint=address,
    )
    assert session.project_id == "p"


def test_a_named_file_is_found_again_from_another_directory(place, home, monkeypatch):
    place({}, NAMED_FILE)
    session = Session(config_file="./mine.json")
    assert session._resolved.credential_set.config_file == str(home / "mine.json")
    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    assert pickle.loads(pickle.dumps(session)).secret_key == "SK"


# Each way that one can be broken ----------------------------------------------------------

BROKEN = {
    "half of the variables": (
        {"MODELARTS_ACCESS_KEY": "AK"},
        {},
        "environment: MODELARTS_ACCESS_KEY is set and MODELARTS_SECRET_KEY is not; "
        "set both or neither",
    ),
    "the other half": (
        {"HUAWEICLOUD_SDK_SK": "SK"},
        {},
        "environment: HUAWEICLOUD_SDK_SK is set and HUAWEICLOUD_SDK_AK is not; set both or neither",
    ),
    "half of S3": (
        {"S3_ACCESS_KEY_ID": "AK"},
        {},
        "environment: S3_ACCESS_KEY_ID is set and S3_SECRET_ACCESS_KEY is not; set both or neither",
    ),
    "half of OS": (
        {"OS_USERNAME": "ann", "OS_AUTH_URL": "https://iam.example.com"},
        {},
        "environment: OS_USERNAME is set and OS_PASSWORD is not; set both or neither",
    ),
    "a line break in a password of OS": (
        {**OS_PASSWORD, "OS_PASSWORD": "secret!\n"},
        {},
        "environment: OS_PASSWORD: password must be a text without line breaks; "
        "its value is not shown",
    ),
    "a blank in a token of OS": (
        {"OS_AUTH_TOKEN": "secret! "},
        {},
        "environment: OS_AUTH_TOKEN: token must be a text of printable ASCII characters without "
        "blanks or line breaks; its value is not shown",
    ),
    "an address of OS that is none": (
        {**OS_PASSWORD, "OS_AUTH_URL": "ftp://x"},
        {},
        "environment: OS_AUTH_URL: iam_endpoint must be an address such as "
        "'https://iam.eu-de.otc.t-systems.com'; got 'ftp://x'",
    ),
    "a line break in a key": (
        {"MODELARTS_ACCESS_KEY": "AK", "MODELARTS_SECRET_KEY": "secret!\n"},
        {},
        "environment MODELARTS_*: secret_key must be a text of printable ASCII characters without "
        "blanks or line breaks; its value is not shown",
    ),
    "no such config file": (
        {"MODELARTS_CONFIG": "{home}/none.json"},
        {},
        "{home}/none.json: there is no such file",
    ),
    "a config file that says nothing": (
        {"MODELARTS_CONFIG": "{home}/mine.json"},
        {"mine.json": {"project_id": "p"}},
        "{home}/mine.json: it has neither access_key nor username",
    ),
    "no JSON": (
        {},
        {".modelarts/config.json": '{\n"secret_key": "secret!"'},
        "{home}/.modelarts/config.json is not JSON (line 2)",
    ),
    "no JSON object": (
        {},
        {".modelarts/config.json": '["secret!"]'},
        "{home}/.modelarts/config.json is not a JSON object",
    ),
    "a number for a key": (
        {},
        {".modelarts/config.json": {"access_key": "AK", "secret_key": 5}},
        "{home}/.modelarts/config.json: secret_key is not a text",
    ),
    "half of a file": (
        {},
        {".modelarts/config.json": {"access_key": "AK"}},
        "{home}/.modelarts/config.json: access_key is set and secret_key is not; "
        "set both or neither",
    ),
    "no INI": (
        {},
        {".huaweicloud/credentials": "ak = secret!"},
        "{home}/.huaweicloud/credentials is not an INI file (MissingSectionHeaderError)",
    ),
    "half of an INI": (
        {},
        {".huaweicloud/credentials": "[basic]\nsk = secret!"},
        "{home}/.huaweicloud/credentials: sk is set and ak is not; set both or neither",
    ),
    "no YAML": (
        {},
        {"clouds.yaml": "clouds:\n  a: [secret!"},
        "{home}/clouds.yaml is not YAML at line 2",
    ),
    "a cloud that is not there": (
        {"OS_CLOUD": "otc"},
        {"clouds.yaml": KEYS_CLOUD},
        "OS_CLOUD is otc; {home}/clouds.yaml has keys",
    ),
    "half of a cloud": (
        {},
        {"clouds.yaml": "clouds: {otc: {auth: {username: ann}}}"},
        "{home}/clouds.yaml, cloud otc: username is set and password is not; set both or neither",
    ),
    "a password of a cloud that YAML takes for a number": (
        {},
        {"clouds.yaml": "clouds: {otc: {auth: {username: ann, password: 0123}}}"},
        "{home}/clouds.yaml, cloud otc: auth.password is not a text; write it in quotes",
    ),
    "a key of a cloud that YAML takes for a number": (
        {},
        {
            "clouds.yaml": "clouds: {otc: {auth: {ak: AK}}}",
            "secure.yaml": "clouds: {otc: {auth: {sk: 0}}}",
        },
        "{home}/secure.yaml, cloud otc: auth.sk is not a text; write it in quotes",
    ),
    "a region of a cloud that is a list": (
        {},
        {"clouds.yaml": "clouds: {otc: {region_name: [eu-de], auth: {ak: AK, sk: SK}}}"},
        "{home}/clouds.yaml, cloud otc: region_name is not a text",
    ),
    "a cloud that was asked for and says nothing": (
        {"OS_CLOUD": "otc"},
        {"clouds.yaml": "clouds: {otc: {auth: {project_name: eu-de}}}"},
        "{home}/clouds.yaml, cloud otc has no ak, no username and no token",
    ),
    "no file that OS_CLIENT_CONFIG_FILE names": (
        {"OS_CLIENT_CONFIG_FILE": "~/none.yaml"},
        {"clouds.yaml": KEYS_CLOUD},
        "OS_CLIENT_CONFIG_FILE is ~/none.yaml; there is no such file",
    ),
    "an address in a file that is none": (
        {"MODELARTS_CONFIG": "{home}/mine.json"},
        {"mine.json": {**FLAT, "iam_endpoint": "ftp://x"}},
        "{home}/mine.json: iam_endpoint must be an address such as "
        "'https://iam.eu-de.otc.t-systems.com'; got 'ftp://x'",
    ),
    "no clouds": (
        {"OS_CLOUD": "otc"},
        {},
        "OS_CLOUD is otc, and there is no clouds.yaml",
    ),
    "a wrong endpoint": (
        {"MODELARTS_ENDPOINT": "ftp://x", "HUAWEICLOUD_SDK_AK": "a", "HUAWEICLOUD_SDK_SK": "s"},
        {},
        "environment: MODELARTS_ENDPOINT: modelarts_endpoint must be an address such as "
        "'https://modelarts.eu-de.otc.t-systems.com'; "
        "got 'ftp://x'",
    ),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_broken_source_error_shows_no_secret(place, home, name):
    """A broken source is an error that names it and shows no secret."""
    environ, files, sentence = BROKEN[name]
    place(environ, files)
    # What comes later would do, and must not be fallen through to.
    if "clouds.yaml" not in files and "OS_CLOUD" not in environ:
        place({}, {"clouds.yaml": KEYS_CLOUD})
    with pytest.raises((ConfigurationError, InvalidArgument)) as caught:
        Session()
    assert str(caught.value) == sentence.format(home=home)
    assert "secret!" not in repr(caught.value)


def test_a_file_that_cannot_be_read_is_an_error(place, home):
    (home / ".modelarts" / "config.json").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"config\.json cannot be read: Is a directory"):
        Session()


def test_keys_and_a_password_are_not_given_both():
    with pytest.raises(ConfigurationError, match="not both"):
        Session(access_key="a", secret_key="s", username="ann", password="pw")


def test_a_half_that_is_nowhere_is_an_error():
    with pytest.raises(CredentialsNotFound, match="secret_key is missing; it belongs to"):
        Session(access_key="a")


def test_where_nothing_is_the_error_says_what_was_looked_at(home):
    with pytest.raises(CredentialsNotFound) as caught:
        Session()
    assert dict(caught.value.tried) == {
        "config_file= or MODELARTS_CONFIG": "not given",
        "environment MODELARTS_*": "neither MODELARTS_ACCESS_KEY nor MODELARTS_USERNAME is set",
        "environment HUAWEICLOUD_SDK_*": "HUAWEICLOUD_SDK_AK is not set",
        "environment S3_*": "S3_ACCESS_KEY_ID is not set",
        "environment OS_*": "OS_USERNAME is not set, nor OS_TOKEN",
        "~/.modelarts/config.json": "there is no such file",
        "~/.huaweicloud/credentials": "there is no such file",
        "clouds.yaml": "there is no such file",
        "ECS metadata": "MODELARTS_METADATA_ENDPOINT is off",
    }
    for name, reason in caught.value.tried:
        assert "%s: %s" % (name, reason) in str(caught.value)


def test_readable_secret_file_warns_once(place, home):
    """A file with secrets that others can read draws one warning."""
    place({}, {".modelarts/config.json": FLAT})
    path = home / ".modelarts" / "config.json"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Session()
    path.chmod(0o644)
    expected = "others can read it: chmod 600 " + str(path)
    with pytest.warns(UserWarning, match=expected) as warned:
        Session()
    assert [one.filename for one in warned] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Session()


# ECS metadata -----------------------------------------------------------------------------


@pytest.fixture
def metadata(home, monkeypatch):
    handler = type("Handler", (Metadata,), {})
    with served(handler) as address:
        handler.endpoint = "http://" + address
        monkeypatch.setenv("MODELARTS_METADATA_ENDPOINT", handler.endpoint)
        yield handler


@pytest.mark.parametrize("token", ["metadata-token", None])
def test_agency_gives_temporary_keys(metadata, token):
    """A server with an agency has temporary keys with and without a token."""
    metadata.token = token
    session = Session(region_name="cn-north-4", project_id="p")
    assert session._resolved.sources["credentials"] == "ECS metadata"
    assert (session.access_key, session.security_token) == ("ECS1", "token-of-the-server")


def test_temporary_keys_are_renewed_before_they_expire(metadata, clock):
    clock.now = 4070908000.0  # 800 seconds before 2099
    session = Session(region_name="cn-north-4", project_id="p", clock=clock)
    assert session.access_key == session.access_key == "ECS1"
    clock.now += 750
    metadata.expires_at = "2099-02-01T00:00:00.000000Z"
    assert session.access_key == session.access_key == "ECS2"


def test_failed_renewal_is_error_with_reason(metadata, clock):
    """Keys that cannot be renewed are an error with the reason."""
    clock.now = 4070908000.0
    session = Session(region_name="cn-north-4", project_id="p", clock=clock)
    clock.now += 750
    metadata.status = 404
    with pytest.raises(ConfigurationError) as caught:
        session.request("GET", "/v1")
    reason = "%s returned HTTP 404; does this server have an agency?" % metadata.endpoint
    assert str(caught.value) == "ECS metadata has no fresh keys any more: " + reason


def test_explain_shows_the_keys_in_use_after_they_were_renewed(metadata, clock):
    clock.now = 4070908000.0
    nowhere = dict.fromkeys(("modelarts_endpoint", "iam_endpoint", "obs_endpoint"), "127.0.0.1:9")
    session = Session(region_name="r", project_id="p", clock=clock, **nowhere)
    assert session.explain().credentials["access_key"] == "ECS1"
    clock.now += 750
    metadata.expires_at = "2099-02-01T00:00:00.000000Z"
    said = session.explain()
    assert said.credentials["access_key"] == "ECS2"
    assert said.expires_at == "2099-02-01T00:00:00Z"
    assert session.access_key == "ECS2"


def test_a_server_without_an_agency_says_so(metadata):
    metadata.status = 404
    with pytest.raises(
        CredentialsNotFound, match="returned HTTP 404; does this server have an agency"
    ):
        Session()


def test_missing_metadata_costs_its_timeout(home, monkeypatch):
    """A metadata service that is not there costs no more than its timeout."""
    monkeypatch.setenv("MODELARTS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CredentialsNotFound, match="did not respond"):
        Session()


# A place of one's own ---------------------------------------------------------------------


class Platform(Provider):
    name = "my platform"

    def __init__(self, answer):
        self.answer = answer

    def load(self, context):
        assert context.environ["HOME"] == os.environ["HOME"]
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def platform():
    yield lambda answer, **where: auth.add_provider(Platform(answer), **where)
    auth.remove_provider("my platform")


PLATFORMS = CredentialSet(credentials=AccessKey("PLATFORM", "secret"), source="my platform")


def test_a_platform_plugs_in_its_own_place(home, platform, place):
    platform(PLATFORMS)
    assert Session().access_key == "PLATFORM"
    place(*SOURCES["config.json, flat"][:2])
    assert Session().access_key == "AK"
    platform(PLATFORMS, before="~/.modelarts/config.json")
    assert Session().access_key == "PLATFORM"
    auth.remove_provider("my platform")
    assert Session().access_key == "AK"


def test_a_platform_that_has_nothing_is_among_what_was_tried(home, platform):
    platform(CredentialsUnavailable("no platform here"))
    with pytest.raises(CredentialsNotFound, match="my platform: no platform here"):
        Session()


def test_the_addresses_of_a_platform_may_be_written_in_any_way(home, platform):
    keys = AccessKey("PLATFORM", "secret")
    named = {"modelarts": "m.example.com/v1", "iam": "https://iam.example.com/v3/"}
    platform(CredentialSet(credentials=keys, source="my platform", endpoints=named))
    session = Session()
    assert session.modelarts_endpoint == "https://m.example.com"
    assert session.iam_endpoint == "https://iam.example.com"
    platform(CredentialSet(credentials=keys, source="my platform", endpoints={"obs": "ftp://x"}))
    with pytest.raises(ConfigurationError, match="my platform: obs_endpoint must be an address"):
        Session()


def test_a_platform_whose_keys_cannot_be_renewed_is_named(home, platform, clock):
    def renew():
        raise CredentialsUnavailable("the platform is gone")

    keys = AccessKey("PLATFORM", "secret", expires_at=clock.now + 60)
    platform(CredentialSet(credentials=keys, source="my platform", renew=renew))
    with pytest.raises(ConfigurationError, match="my platform has no fresh keys any more: the p"):
        Session(clock=clock).keys()


def test_what_is_no_provider_or_no_place_is_refused():
    with pytest.raises(InvalidArgument, match="provider"):
        auth.add_provider(object())
    with pytest.raises(InvalidArgument, match="before must be one of 'config_file= or"):
        auth.add_provider(Platform(PLATFORMS), before="breakfast")


# Where the services are -------------------------------------------------------------------


def test_session_keeps_endpoints_of_its_making(home):
    """A session keeps the endpoints that were set when it was made."""
    keys = {"access_key": "AK", "secret_key": "SK", "project_id": "p"}
    Session.set_endpoint(modelarts_endpoint="one.example.com", region_name="r-1")
    first = Session(**keys)
    Session.set_endpoint(modelarts_endpoint="https://two.example.com:8443/v1")
    second = Session(**keys, iam_endpoint="iam.example.com/v3")
    assert first.modelarts_endpoint == "https://one.example.com"
    assert second.modelarts_endpoint == "https://two.example.com:8443"
    assert (first.region_name, second.region_name) == ("r-1", "r-1")
    assert second.iam_endpoint == "https://iam.example.com"


def test_an_endpoint_comes_from_the_nearest_that_names_it(place):
    keys = {"access_key": "AK", "secret_key": "SK", "region_name": "cn-north-4"}
    assert Session(**keys).modelarts_endpoint == "https://modelarts.cn-north-4.myhuaweicloud.com"
    place({"MA_APIGW_ENDPOINT": "https://container.example.com"})
    assert Session(**keys).modelarts_endpoint == "https://container.example.com"
    place({"MODELARTS_ENDPOINT": "https://environment.example.com"})
    assert Session(**keys).modelarts_endpoint == "https://environment.example.com"
    Session.set_endpoint(modelarts_endpoint="set.example.com")
    assert Session(**keys).modelarts_endpoint == "https://set.example.com"
    argument = Session(**keys, modelarts_endpoint="http://argument.example.com")
    assert argument.modelarts_endpoint == "http://argument.example.com"


def test_a_region_without_a_known_address_says_what_to_give():
    session = Session(access_key="AK", secret_key="SK", region_name="my-cloud")
    with pytest.raises(ConfigurationError, match=r"give modelarts_endpoint= or call Session\.set"):
        _ = session.modelarts_endpoint
