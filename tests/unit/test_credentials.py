"""Credentials: checked when made, never shown, never pickled."""

import copy
import pickle
import traceback

import pytest

from modelarts.auth.credentials import AccessKey, CredentialSet, Password, StaticToken
from modelarts.auth.iam import Token
from modelarts.auth.identity import KeyAuthorizer
from modelarts.errors import ConfigurationError, CredentialsNotFound, InvalidArgument
from modelarts.estimator import VisualizationJob
from modelarts.http.models import Request, Response
from modelarts.session import Session

pytestmark = pytest.mark.local

SECRET = "wJalrXUtnFEMI-the-secret"
TOKEN = "MIIEnQYJKo-the-token"
KEYS = AccessKey("AK", SECRET, TOKEN)
PASSWORD = Password("ann", SECRET, "company")
CREDENTIALS = (
    KEYS,
    PASSWORD,
    StaticToken(TOKEN),
    CredentialSet(credentials=KEYS, source="somewhere"),
)
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def by_keys():
    return Session(access_key="AK", secret_key=SECRET, security_token=TOKEN)


def by_password():
    return Session(username="ann", password=SECRET, account="company")


#: One of each thing that holds a secret, or something that does, and what it may show.
HOLDERS = {
    "keys": (lambda: KEYS, ["AK"]),
    "password": (lambda: PASSWORD, ["ann", "company"]),
    "given token": (lambda: CREDENTIALS[2], []),
    "found": (lambda: CREDENTIALS[3], ["AK", "somewhere"]),
    "token": (lambda: Token(TOKEN, 0.0, "0a1b", "user", [{"secret": SECRET}]), ["0a1b", "user"]),
    "authorizer": (lambda: KeyAuthorizer(lambda: KEYS), []),
    "session by keys": (by_keys, ["AK/SK", "arguments"]),
    "session by password": (by_password, ["password", "arguments"]),
    "job": (lambda: VisualizationJob(by_keys(), "8992"), ["8992"]),
    "request body": (lambda: Request("POST", "https://h", "/v3", body=SECRET.encode()), ["/v3"]),
    "request header": (lambda: Request("GET", "https://h", "/v1", headers={"T": TOKEN}), ["/v1"]),
    "response body": (lambda: Response(200, "OK", {}, SECRET.encode()), ["200"]),
    "response header": (lambda: Response(201, "OK", {"X-Subject-Token": TOKEN}, b""), ["201"]),
}


def ids(holder):
    return type(holder).__name__


@pytest.mark.parametrize("name", HOLDERS)
def test_no_repr_shows_a_secret_but_what_it_is(name):
    make, expected = HOLDERS[name]
    holder = make()
    for shown in (repr(holder), str(holder), "%s" % holder, format(holder), repr([holder])):
        assert [said for said in (type(holder).__name__, *expected) if said not in shown] == []
        assert SECRET not in shown
        assert TOKEN not in shown


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("keys", CREDENTIALS, ids=ids)
def test_credentials_are_not_pickled(keys, protocol):
    """Credentials are not pickled and the refusal does not show them."""
    with pytest.raises(TypeError, match="holds a secret and is not pickled") as caught:
        pickle.dumps(keys, protocol)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("keys", CREDENTIALS[:3], ids=ids)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_credentials_are_not_copied_either(keys, copied):
    with pytest.raises(TypeError, match="holds a secret"):
        copied(keys)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "given",
    [{"access_key": "AK", "secret_key": SECRET}, {"username": "ann", "password": SECRET}],
    ids=["keys", "password"],
)
def test_a_session_that_was_given_its_secret_is_not_pickled(given, protocol):
    with pytest.raises(TypeError, match="secrets are not pickled") as caught:
        pickle.dumps(Session(**given), protocol)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_environment_session_is_pickled_without_secret(monkeypatch, protocol):
    """The environment is read again on unpickling."""
    monkeypatch.setenv("MODELARTS_ACCESS_KEY", "AK")
    monkeypatch.setenv("MODELARTS_SECRET_KEY", SECRET)
    pickled = pickle.dumps(Session(project_id="0a1b"), protocol)
    assert SECRET.encode() not in pickled
    monkeypatch.setenv("MODELARTS_SECRET_KEY", "another")
    again = pickle.loads(pickled)
    assert (again.access_key, again.secret_key, again.project_id) == ("AK", "another", "0a1b")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_job_is_pickled_without_its_sessions_secrets(protocol):
    pickled = pickle.dumps(VisualizationJob(by_keys(), "8992"), protocol)
    assert SECRET.encode() not in pickled
    assert TOKEN.encode() not in pickled
    assert pickle.loads(pickled).visualization_id == "8992"


@pytest.mark.parametrize("name", ["access_key", "secret_key", "security_token", "source"])
def test_keys_do_not_change(name):
    with pytest.raises(AttributeError):
        setattr(KEYS, name, "other")


# What is refused --------------------------------------------------------------------------

BAD_KEYS = [
    "",
    SECRET + "\n",
    SECRET + "\r\nX-Injected: yes",
    "\n" + SECRET,
    SECRET[:10] + "\n" + SECRET[10:],
    " " + SECRET,
    SECRET + " ",
    SECRET + "\t",
    SECRET + "\x00",
    SECRET + "\x7f",
    SECRET + "ü",
    SECRET + "\u2028",
    SECRET.encode(),
    [SECRET],
    5,
]


@pytest.mark.parametrize("value", BAD_KEYS, ids=ascii)
@pytest.mark.parametrize("name", ["secret_key", "security_token"])
def test_malformed_secret_is_refused_unshown(name, value):
    """A secret with a line break or a blank is refused without being shown."""
    given = {"access_key": "AK", "secret_key": "SK", name: value}
    with pytest.raises(InvalidArgument, match="without blanks or line breaks") as caught:
        AccessKey(**given)
    assert_hidden(caught.value, name, value)


@pytest.mark.parametrize("value", BAD_KEYS, ids=ascii)
def test_an_access_key_with_a_line_break_or_a_blank_is_refused(value):
    with pytest.raises(InvalidArgument, match="without blanks or line breaks") as caught:
        AccessKey(value, "SK")
    assert caught.value.argument == "access_key"


@pytest.mark.parametrize("value", ["", SECRET + "\n", SECRET + "\x00", None, 5, SECRET.encode()])
def test_invalid_password_is_refused_unshown(value):
    """A password that cannot be one is refused without being shown."""
    with pytest.raises(InvalidArgument) as caught:
        Password("ann", value)
    assert_hidden(caught.value, "password", value)


@pytest.mark.parametrize("name", ["username", "account"])
@pytest.mark.parametrize("value", ["", "ann\n", "a\x00", 5])
def test_a_name_that_cannot_be_one_is_refused(name, value):
    with pytest.raises(InvalidArgument) as caught:
        Password(**{"username": "ann", "password": SECRET, "account": "company", name: value})
    assert caught.value.argument == name
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"access_key": "AK", "secret_key": SECRET + "\n"}, InvalidArgument),
        ({"access_key": "AK", "secret_key": "SK", "security_token": SECRET + " "}, InvalidArgument),
        ({"username": "ann", "password": SECRET + "\n"}, InvalidArgument),
        ({"secret_key": SECRET}, CredentialsNotFound),
        ({"security_token": SECRET}, CredentialsNotFound),
        ({"password": SECRET}, CredentialsNotFound),
        ({"access_key": "AK", "secret_key": SECRET, "username": "ann"}, ConfigurationError),
        ({"access_key": "AK", "secret_key": SECRET, "timeout": 0}, InvalidArgument),
        ({"username": "ann", "password": SECRET, "region_name": " x"}, InvalidArgument),
    ],
)
def test_failed_session_shows_no_secret(given, kind):
    """A session that cannot be made does not show what it was given."""
    with pytest.raises(kind) as caught:
        Session(**given)
    assert_hidden(caught.value)


def assert_hidden(error, argument=None, value=SECRET):
    shown = str(error) + repr(error) + repr(vars(error))
    shown += "".join(traceback.format_exception_only(type(error), error))
    assert SECRET[:10] not in shown
    if argument is not None:
        assert error.argument == argument
        assert error.given is None


# What is accepted -------------------------------------------------------------------------


def test_a_key_may_hold_any_printable_sign():
    signs = "".join(chr(number) for number in range(0x21, 0x7F))
    assert AccessKey(signs, signs, signs).secret_key == signs


def test_a_password_may_hold_blanks_and_any_letters():
    assert Password("Anna Müller", " pass wörd 日 ").password == " pass wörd 日 "


def test_without_an_account_the_users_name_is_it():
    assert Password("ann", "pw").account == "ann"
