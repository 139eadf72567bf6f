"""The signature: step by step, on vectors, and beside Huawei Cloud's own implementation."""

import hashlib
import json
import random
import string
from pathlib import Path

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from modelarts.auth import signer

VECTORS = sorted((Path(__file__).parent / "signer-vectors").glob("*.json"))


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def ours(vector):
    """The Authorization header as this package makes it."""
    return signer.sign(
        vector["method"],
        vector["path"],
        signer.canonical_query([tuple(pair) for pair in vector["query"]]),
        vector["headers"],
        vector["body"].encode("utf-8"),
        vector["access_key"],
        vector["secret_key"],
    )


def theirs(vector):
    """The Authorization header as huaweicloudsdkcore makes it."""
    request = SdkRequest(
        method=vector["method"],
        resource_path=vector["path"],
        query_params=[tuple(pair) for pair in vector["query"]],
        header_params=dict(vector["headers"]),
        body=vector["body"].encode("utf-8"),
    )
    signed = Signer(BasicCredentials(vector["access_key"], vector["secret_key"])).sign(request)
    return signed.header_params["Authorization"]


# Vectors ----------------------------------------------------------------------------------


def test_the_vectors_are_there():
    """The folder holds the published vector and some thirty others."""
    assert {"published", "query-unicode", "path-percent-encoded"} <= {p.stem for p in VECTORS}
    assert len(VECTORS) >= 30


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_has_its_canonical_request(path):
    vector = read(path)
    headers = {name.lower(): value for name, value in vector["headers"].items()}
    canonical = signer.canonical_request(
        vector["method"],
        vector["path"],
        signer.canonical_query([tuple(pair) for pair in vector["query"]]),
        headers,
        sorted(name for name in headers if "_" not in name),
        vector["body"].encode("utf-8"),
    )
    assert hashlib.sha256(canonical.encode("utf-8")).hexdigest() == vector["canonical_request"]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_has_its_signature(path):
    vector = read(path)
    assert ours(vector).endswith(", Signature=" + vector["signature"])


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_is_what_huaweicloudsdkcore_signs(path):
    vector = read(path)
    assert theirs(vector).endswith(", Signature=" + vector["signature"])


# Beside huaweicloudsdkcore, live ----------------------------------------------------------

_ALPHABET = string.ascii_letters + string.digits + "-_.~ %+&=?#:@!$'()*,;|<>\"\\{}[]^`äß日本😀\t"
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "post")
_NAMES = ("X-Project-Id", "x-security-token", "X-Trace", "ACCEPT", "X_Left_Out", "x-a", "X-a-b")


def random_request(seed):
    dice = random.Random(seed)

    def text(most, alphabet=_ALPHABET):
        return "".join(dice.choice(alphabet) for _ in range(dice.randrange(most)))

    names = dice.sample(_NAMES, dice.randrange(len(_NAMES)))
    headers = {name: text(30) for name in names}
    headers[dice.choice(("Host", "host", "HOST"))] = "h%s:%d" % (dice.random(), dice.randrange(9))
    headers[dice.choice(("X-Sdk-Date", "x-sdk-date"))] = "20%02d0228T%02d%02d59Z" % (
        dice.randrange(100),
        dice.randrange(24),
        dice.randrange(60),
    )
    body = dice.choice(("", text(200), json.dumps({"job_desc": text(100)}, ensure_ascii=False)))
    if body:
        headers["Content-Type"] = "application/json"
    parameters = ["page", "status", "search_content", text(8), text(8)]
    return {
        "method": dice.choice(_METHODS),
        "path": "/" + "/".join(text(12) for _ in range(dice.randrange(6))),
        "query": [(dice.choice(parameters), text(12)) for _ in range(dice.randrange(7))],
        "headers": headers,
        "body": body,
        "access_key": "AK" + text(20, string.ascii_uppercase),
        "secret_key": "SK" + text(40, string.ascii_letters + "/+=~%"),
    }


@pytest.mark.parametrize("group", range(10))
def test_any_request_is_signed_as_huaweicloudsdkcore_signs_it(group):
    """A hundred random requests a group, the same in every run."""
    for seed in range(group * 100, group * 100 + 100):
        request = random_request(seed)
        assert ours(request) == theirs(request), request


# The steps --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (0, "19700101T000000Z"),
        (1573789015, "20191115T033655Z"),
        (1573789015.999, "20191115T033655Z"),
        (1709251199, "20240229T235959Z"),
    ],
)
def test_a_date_is_written_in_utc_to_the_second(now, expected):
    assert signer.sdk_date(now) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("", "/"),
        ("/v1/p", "/v1/p/"),
        ("/v1/p/", "/v1/p/"),
        ("/a b", "/a%20b/"),
        ("/a%20b", "/a%20b/"),
        ("/a+b", "/a%2Bb/"),
        ("/AZaz09-._~", "/AZaz09-._~/"),
        ("/%7e%41", "/~A/"),
        ("/日", "/%E6%97%A5/"),
        ("/%e6%97%a5", "/%E6%97%A5/"),
        ("/100%", "/100%25/"),
        ("/a%2Fb", "/a/b/"),
        ("/a:b@c", "/a%3Ab%40c/"),
        ("/a//b/../c", "/a//b/../c/"),
    ],
)
def test_a_path_is_encoded_by_segments_and_ends_with_a_slash(path, expected):
    assert signer.canonical_path(path) == expected


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], ""),
        ([("a", "")], "a="),
        ([("b", "1"), ("a", "2")], "a=2&b=1"),
        ([("a", "2"), ("a", "10"), ("a", "1")], "a=1&a=10&a=2"),
        ([("b", ""), ("B", ""), ("b1", "")], "B=&b=&b1="),
        ([("a b", "c d")], "a%20b=c%20d"),
        ([("a", "1+1=2&3/4?~")], "a=1%2B1%3D2%263%2F4%3F~"),
        ([("a", "%20")], "a=%2520"),
        ([("status", "3|5")], "status=3%7C5"),
        ([("q", "日")], "q=%E6%97%A5"),
    ],
)
def test_a_query_is_encoded_and_sorted(pairs, expected):
    assert signer.canonical_query(pairs) == expected


def test_a_canonical_request_has_six_parts():
    """Method, path, query, headers with their final line break, signed names, body's hash."""
    canonical = signer.canonical_request(
        "post",
        "/v1/p",
        "a=1",
        {"host": "h", "x-sdk-date": " 19700101T000000Z\t", "x-more": "not named"},
        ["host", "x-sdk-date"],
        b"{}",
    )
    assert canonical == (
        "POST\n"
        "/v1/p/\n"
        "a=1\n"
        "host:h\n"
        "x-sdk-date:19700101T000000Z\n"
        "\n"
        "host;x-sdk-date\n" + hashlib.sha256(b"{}").hexdigest()
    )


def test_an_empty_body_has_the_hash_of_nothing():
    canonical = signer.canonical_request("GET", "/", "", {"host": "h"}, ["host"], b"")
    assert canonical.endswith("\n" + hashlib.sha256(b"").hexdigest())


def test_the_published_example_gives_the_published_signature():
    """The text that is hashed is as the signing guide prints it."""
    canonical = (
        "GET\n"
        "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs/\n"
        "limit=2&marker=13551d6b-755d-4757-b956-536f674975c0\n"
        "content-type:application/json\n"
        "host:service.region.example.com\n"
        "x-sdk-date:20191115T033655Z\n"
        "\n"
        "content-type;host;x-sdk-date\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    made = signer.signature(
        "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc", "20191115T033655Z", canonical
    )
    assert made == "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"


# What the signature depends on ------------------------------------------------------------

REQUEST = {
    "method": "POST",
    "path": "/v1/0a1b/visualization-jobs/8992",
    "query": [("page", "1"), ("status", "8")],
    "headers": {
        "Host": "modelarts.example.com",
        "X-Sdk-Date": "20240229T235959Z",
        "X-Project-Id": "0a1b",
    },
    "body": '{"job_desc": "one"}',
    "access_key": "AK",
    "secret_key": "secret",
}


def each_character_changed(text):
    for index, character in enumerate(text):
        other = "Q" if character not in "qQ" else "W"
        yield text[:index] + other + text[index + 1 :]


def changes(part):
    if part == "query":
        (name, value), rest = REQUEST["query"][0], REQUEST["query"][1:]
        yield from ([(other, value), *rest] for other in each_character_changed(name))
        yield from ([(name, other), *rest] for other in each_character_changed(value))
    elif part == "headers":
        for name, value in REQUEST["headers"].items():
            for other in each_character_changed(value):
                yield {**REQUEST["headers"], name: other}
        for other in each_character_changed("X-Project-Id"):
            others = dict(REQUEST["headers"])
            others[other] = others.pop("X-Project-Id")
            yield others
    else:
        yield from each_character_changed(REQUEST[part])


@pytest.mark.parametrize("part", ["method", "path", "query", "headers", "body", "secret_key"])
def test_each_changed_character_changes_the_signature(part):
    made = [signer.parse_authorization(ours(REQUEST)).signature]
    for other in changes(part):
        made.append(signer.parse_authorization(ours({**REQUEST, part: other})).signature)
    assert len(made) > len("POST")
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    "same",
    [
        {"method": "post"},
        {"path": REQUEST["path"] + "/"},
        {"query": REQUEST["query"][::-1]},
        {"headers": {k.upper(): v for k, v in reversed(list(REQUEST["headers"].items()))}},
        {"headers": {**REQUEST["headers"], "X_Dropped": "by gateways"}},
        {"headers": {**REQUEST["headers"], "X-Project-Id": " 0a1b\t"}},
    ],
    ids=["method's case", "final slash", "query's order", "names' case", "underscore", "blanks"],
)
def test_the_way_of_writing_does_not_change_the_signature(same):
    assert ours({**REQUEST, **same}) == ours(REQUEST)


def test_a_date_is_needed_to_sign():
    with pytest.raises(KeyError, match="x-sdk-date"):
        signer.sign("GET", "/", "", {"Host": "h"}, b"", "AK", "SK")


# Reading the header -----------------------------------------------------------------------


def test_an_authorization_that_was_made_can_be_read():
    read_back = signer.parse_authorization(ours(REQUEST))
    assert read_back.access_key == "AK"
    assert read_back.signed == ["host", "x-project-id", "x-sdk-date"]
    assert ours(REQUEST).endswith(read_back.signature)


def test_the_blanks_between_the_parts_may_be_missing():
    header = ours(REQUEST)
    assert signer.parse_authorization(header.replace(", ", ",")) == signer.parse_authorization(
        header
    )


GOOD = "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-sdk-date, Signature=" + "0a" * 32


@pytest.mark.parametrize(
    "header",
    [
        "",
        "SDK-HMAC-SHA256",
        "Basic QUs6U0s=",
        GOOD.replace("SHA256", "SM3"),
        GOOD.replace("SDK-HMAC", "sdk-hmac"),
        " " + GOOD,
        GOOD + " ",
        GOOD + "\n",
        GOOD + ", More=1",
        GOOD + "0",
        GOOD[:-1],
        GOOD[:-1] + "g",
        GOOD.replace("0a", "0A"),
        GOOD.replace("Access=AK, ", ""),
        GOOD.replace("Access=AK", "Access="),
        GOOD.replace("Access=AK", "Access=A K"),
        GOOD.replace("host;x-sdk-date", ""),
        GOOD.replace("SignedHeaders=host;x-sdk-date, ", ""),
        GOOD.replace(", ", ",  "),
        GOOD.replace(", ", " "),
        GOOD.replace("Access", "Credential"),
    ],
)
def test_a_malformed_authorization_is_not_read(header):
    assert signer.parse_authorization(GOOD) is not None
    assert signer.parse_authorization(header) is None
