"""Proxies by the environment as it was when the session was made."""

import pytest

from modelarts.http.proxies import Proxies

ENDPOINT = "https://modelarts.example.com"
PROXY = "http://proxy.example.com:3128"


def test_nothing_said_is_no_proxy():
    assert Proxies(None, {}).of(ENDPOINT) == {}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HTTPS_PROXY": PROXY}, {"https": PROXY}),
        ({"https_proxy": PROXY}, {"https": PROXY}),
        ({"HTTP_PROXY": PROXY}, {"http": PROXY}),
        ({"http_proxy": PROXY}, {"http": PROXY}),
        ({"ALL_PROXY": PROXY}, {"all": PROXY}),
        ({"all_proxy": PROXY}, {"all": PROXY}),
        ({"HTTPS_PROXY": PROXY, "HTTP_PROXY": "http://p"}, {"https": PROXY, "http": "http://p"}),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://upper"}, {"https": PROXY}),
        ({"HTTPS_PROXY": ""}, {}),
        ({"FTP_PROXY": PROXY, "PROXY": PROXY}, {}),
    ],
)
def test_the_environment_names_the_proxies(environ, expected):
    assert Proxies(None, environ).of(ENDPOINT) == expected


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize(
    ("no_proxy", "endpoint", "direct"),
    [
        ("modelarts.example.com", ENDPOINT, True),
        ("example.com", ENDPOINT, True),
        (".example.com", ENDPOINT, True),
        ("*", ENDPOINT, True),
        ("localhost,example.com", ENDPOINT, True),
        ("localhost, example.com", ENDPOINT, True),
        ("ample.com", ENDPOINT, False),
        ("iam.example.com", ENDPOINT, False),
        ("", ENDPOINT, False),
        ("127.0.0.1", "http://127.0.0.1:8080", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8080", True),
        ("127.0.0.1:8081", "http://127.0.0.1:8080", False),
        ("example.com", "https://MODELARTS.Example.COM", True),
        ("example.com", ENDPOINT + "/prefix", True),
    ],
)
def test_no_proxy_leads_to_what_is_excepted(name, no_proxy, endpoint, direct):
    proxies = Proxies(None, {"ALL_PROXY": PROXY, name: no_proxy})
    assert proxies.of(endpoint) == ({} if direct else {"all": PROXY})


def test_no_proxy_in_small_letters_comes_first():
    environ = {"ALL_PROXY": PROXY, "no_proxy": "other.example", "NO_PROXY": "example.com"}
    assert Proxies(None, environ).of(ENDPOINT) == {"all": PROXY}


def test_given_proxies_replace_environment():
    """Given proxies replace those of the environment and its exceptions."""
    environ = {"HTTPS_PROXY": "http://other.example", "NO_PROXY": "*"}
    assert Proxies({"https": PROXY}, environ).of(ENDPOINT) == {"https": PROXY}


def test_an_empty_dict_is_no_proxy_whatever_the_environment_says():
    assert Proxies({}, {"HTTPS_PROXY": PROXY}).of(ENDPOINT) == {}


def test_later_changes_change_nothing():
    environ = {"HTTPS_PROXY": PROXY, "NO_PROXY": "other.example"}
    given = {"https": PROXY}
    from_environment, from_argument = Proxies(None, environ), Proxies(given, {})
    environ.update(HTTPS_PROXY="http://later.example", NO_PROXY="*")
    given["https"] = "http://later.example"
    assert from_environment.of(ENDPOINT) == {"https": PROXY}
    assert from_argument.of(ENDPOINT) == {"https": PROXY}
