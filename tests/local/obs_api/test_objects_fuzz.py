"""Hostile requests to the OBS API, well signed: none is an error of the service, none leads out.

``FUZZ_SEED`` and ``FUZZ_EXAMPLES`` in the environment make a longer or another run.
"""

import base64
import hashlib
import hmac
import os
import re
import socket
import string
import time
from email.utils import formatdate
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from modelarts.local.obs_api.auth import SUBRESOURCES
from tests.servers.service import Service

pytestmark = pytest.mark.local

SEED = int(os.environ.get("FUZZ_SEED", "20261121"))
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
OUTSIDE = "outside-of-the-buckets"
#: What each answer is searched for: what is beside the root, and what is beside the buckets.
PRIVATE = (OUTSIDE.encode(), b"root:x:", b"token_key", b"secret_key", b"SQLite format")
#: What the service itself writes in its root while it runs.
CHANGING = re.compile(r"jobs\.sqlite|service\.log|logs|obs\Z|uploads\Z|tmp\Z|training")
_PART = b"a part"
_ETAG = hashlib.md5(_PART).hexdigest()
#: What the log says of errors in the code.
UNCAUGHT = ("Traceback", "internal error", "uncaptured")


class World:
    """A service with one bucket, in which an upload in parts is open and links lead out."""

    def __init__(self, folder):
        print("seed", SEED)
        self.folder = folder
        (folder / "outside.txt").write_text(OUTSIDE)
        self.service = Service(folder / "root", "--obs-api", "--rate", "100000")
        self.root = self.service.root
        self.found = self.service.connection
        parts = urlsplit(self.found["obs_http_endpoint"])
        self.host, self.address = parts.netloc, (parts.hostname, parts.port)
        bucket = self.root / "obs" / "bucket"
        (bucket / "folder").mkdir(parents=True)
        (bucket / "folder" / "there").write_text("there")
        (bucket / "folder" / "link").symlink_to(folder / "outside.txt")
        (bucket / "folder" / "users").symlink_to(self.root / "users.json")
        (self.root / "obs" / "linked").symlink_to(self.root)
        self.before = self.state()
        self.answers = {}

    def state(self):
        """The content of what no request may change."""
        beside = {path.name: path for path in self.root.iterdir() if not CHANGING.match(path.name)}
        return {
            "beside the root": sorted(os.listdir(self.folder)),
            "outside.txt": (self.folder / "outside.txt").read_bytes(),
            **{name: path.read_bytes() for name, path in beside.items()},
        }

    def upload(self):
        """The id of an upload in parts that is open, and has one."""
        listed = self.ask("GET", "/bucket?uploads")
        found = ElementTree.fromstring(_text(listed)).findtext("Upload/UploadId")
        if found is None:
            begun = self.ask("POST", "/bucket/x?uploads")
            found = ElementTree.fromstring(_text(begun)).findtext("UploadId")
            self.ask("PUT", "/bucket/x?partNumber=1&uploadId=" + found, _PART)
        return found

    def ask(self, method, target, body=b"", more=(), v4=False):
        """The bytes of the answer to a request as it should be."""
        headers = [("Content-Length", str(len(body))), *more]
        return self.exchange(self.signed(method, target, headers, v4) + body)

    def signed(self, method, target, headers, v4):
        """The head of a request, signed for what the service reads in it."""
        if "host" not in [name.lower() for name, _ in headers]:
            headers = [("Host", self.host), *headers]
        sign = self._sign_v4 if v4 else self._sign
        lines = ["%s %s HTTP/1.1" % (method, target), "Connection: close"]
        lines += ["%s: %s" % pair for pair in sign(method, target, headers)]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def _sign(self, method, target, headers):
        headers = [*headers, ("Date", formatdate(usegmt=True))]
        read = _as_read(headers)
        path, pairs = _query(target)
        told = "&".join(
            name if value is None else "%s=%s" % (name, value)
            for name, value in sorted(pairs.items())
            if name in SUBRESOURCES or name.lower().startswith("x-obs-")
        )
        host = read["host"].partition(":")[0]
        if host.lower().endswith(".localhost"):
            path = "/%s%s" % (host[: -len(".localhost")], path)
        lines = [method, read.get("content-md5", ""), read.get("content-type", "")]
        lines.append("" if "x-obs-date" in read else read["date"])
        lines += ["%s:%s" % pair for pair in sorted(read.items()) if pair[0].startswith("x-obs-")]
        lines.append(path + ("?" + told if told else ""))
        secret = self.found["secret_key"].encode()
        digest = hmac.new(secret, "\n".join(lines).encode(), "sha1").digest()
        signature = base64.b64encode(digest).decode()
        value = "OBS %s:%s" % (self.found["access_key"], signature)
        return [*headers, ("Authorization", value)]

    def _sign_v4(self, method, target, headers):
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = [*headers, ("X-Amz-Date", date)]
        read = _as_read(headers)
        path, pairs = _query(target)
        names = sorted({"host", *(name for name in read if name.startswith("x-amz-"))})
        query = sorted((quote(name, "~"), quote(value or "", "~")) for name, value in pairs.items())
        lines = [method, quote(unquote(path), "/~"), "&".join("%s=%s" % pair for pair in query)]
        lines += ["%s:%s" % (name, " ".join(read[name].split())) for name in names]
        lines += ["", ";".join(names), read.get("x-amz-content-sha256") or "UNSIGNED-PAYLOAD"]
        scope = "%s/region/s3/aws4_request" % date[:8]
        canonical = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        key = b"AWS4" + self.found["secret_key"].encode()
        for each in (*scope.split("/"), "AWS4-HMAC-SHA256\n%s\n%s\n%s" % (date, scope, canonical)):
            key = hmac.new(key, each.encode(), "sha256").digest()
        value = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s"
        value %= (self.found["access_key"], scope, ";".join(names), key.hex())
        return [*headers, ("Authorization", value)]

    def exchange(self, sent, is_cut=False):
        """Send these bytes and return the answer."""
        received = b""
        with socket.create_connection(self.address, timeout=30) as connection:
            try:
                connection.sendall(sent)
                if is_cut:
                    connection.shutdown(socket.SHUT_WR)
                while True:
                    part = connection.recv(65536)
                    if not part:
                        break
                    received += part
            except (ConnectionResetError, BrokenPipeError):
                pass  # it ended before it had read all
        return received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")

    def check(self, sent, answer, is_whole):
        """Check an answer, and that the next request is answered, too."""
        status = int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0
        assert status or not is_whole, sent
        assert status < 500 or status == 501, (sent, answer)
        for secret in PRIVATE:
            assert secret not in answer, sent
        head, _, text = answer.partition(b"\r\n\r\n")
        code = None
        if b"Content-Type: application/xml" in head and text:
            code = ElementTree.fromstring(text).findtext("Code")
        assert code != "SignatureDoesNotMatch", (sent, answer)
        self.answers[(status, code)] = self.answers.get((status, code), 0) + 1
        listed = self.ask("GET", "/bucket")
        assert listed.startswith(b"HTTP/1.1 200 "), sent
        keys = [one.text for one in ElementTree.fromstring(_text(listed)).iter("Key")]
        assert not [key for key in keys if ".modelarts-" in key], sent

    def close(self):
        print("answers:", sorted(self.answers.items(), key=str))
        code = self.service.end()
        log = (self.root / "service.log").read_text()
        assert [line for line in log.splitlines() if any(word in line for word in UNCAUGHT)] == []
        assert code == 0
        del self.before["service.json"]
        state = self.state()
        state.pop("buckets.json", None)  # the owners of the buckets that were made meanwhile
        assert state == self.before
        assert list((self.root / "obs").rglob(".modelarts-*")) == []
        assert list((self.root / "uploads").rglob("*.new")) == []


def _text(answer):
    return answer.partition(b"\r\n\r\n")[2]


def _as_read(headers):
    """By name; what comes twice is one with a comma, and what has ``_`` in its name is nothing."""
    read = {}
    for name, value in headers:
        if "_" not in name:
            name, value = name.lower(), value.strip(" \t")
            read[name] = "%s, %s" % (read[name], value) if name in read else value
    return read


def _query(target):
    path, _, text = target.partition("?")
    pairs = {}
    for pair in filter(None, text.split("&")):
        name, is_given, value = pair.partition("=")
        name, value = (unquote(each.replace("+", " ")) for each in (name, value))
        pairs[name] = value if is_given else None
    return path, pairs


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("fuzz"))
    yield world
    world.close()


# What is sent -------------------------------------------------------------------------------

_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F))
_LATIN = "".join(chr(code) for code in (*range(0x20, 0x7F), *range(0xA0, 0x100)))
_NUMBERS = st.sampled_from(
    ["", "0", "1", "-1", "+1", "1e3", "1_0", "²", "0x1", "00000001", "9" * 18, "9" * 20, "9" * 5000]
)
_WORDS = st.text(_LATIN, max_size=20)
_KEYS = st.one_of(
    st.sampled_from(
        [
            "x",
            "folder/there",
            "folder/there/below",
            "folder",
            "folder/",
            "folder/link",
            "folder/users",
            "..",
            "../../users.json",
            "..%2f..%2fservice.json",
            "%2e%2e/%2e%2e/%2e%2e/outside.txt",
            "%2e%2e%2f" * 9 + "etc/passwd",
            "/etc/passwd",
            "%00",
            "%ff",
            "%c3%28",
            "%ed%a0%80",
            "%f0%9f%98%80",
            "%",
            "%zz",
            "a%0d%0ab",
            "a%01b",
            "%EF%BF%BF",
            "a+b",
            "a%5cb",
            "a;b",
            "d/" * 500 + "x",
            "d/" * 900,
            "d/" * 2500 + "x",
            "n" * 255,
            "n" * 256,
            "%E8" * 400,
            ".modelarts-0123456789abcdef.part",
            "folder/.x.01234567.part/y",
            "%252e%252e/x",
        ]
    ),
    st.text(_VISIBLE.replace("?", "").replace("#", ""), max_size=12),
    st.binary(max_size=8).map(lambda each: "".join("%%%02x" % byte for byte in each)),
)
_PATHS = st.one_of(
    _KEYS.map(lambda key: "/bucket/" + key),
    _KEYS.map(lambda key: "/" + key),
    st.sampled_from(
        [
            "/",
            "/bucket",
            "/bucket/",
            "//bucket/x",
            "/linked/users.json",
            "/..%2fobs/x",
            "/uploads/",
            "*",
            "http://[",
            "http://127.0.0.1:1/bucket/x",
            "//[/x",
            "bucket/x",
            "/bucket#x",
            "?",
            "/new-bucket",
            "/new-bucket/x",
        ]
    ),
)
_QUERY_NAMES = st.one_of(
    st.sampled_from(["prefix", "marker", "delimiter", "max-keys", "encoding-type", "list-type"]),
    st.sampled_from(["max-parts", "part-number-marker", "max-uploads", "key-marker"]),
    st.sampled_from(["upload-id-marker", "apiversion", "x-obs-acl", "X-Amz-Signature", "%ff"]),
    st.sampled_from(sorted(SUBRESOURCES)),
)
_QUERY_VALUES = st.one_of(
    _NUMBERS.map(lambda value: quote(value, safe="", encoding="latin-1")),
    _KEYS.map(lambda key: key.replace("&", "")),
    st.sampled_from(["url", "1", "2", "{upload}", "0" * 32, "..%2f..", "%2e", "a=b", "", "%0a"]),
)
_QUERIES = st.one_of(
    st.sampled_from(
        [
            "",
            "",
            "uploads",
            "delete",
            "uploadId={upload}",
            "partNumber=1&uploadId={upload}",
            "partNumber=&uploadId={upload}",
            "uploadId",
            "uploads&prefix=%ff",
            "prefix=folder/&uploads",
        ]
    ),
    st.lists(st.tuples(_QUERY_NAMES, _QUERY_VALUES), max_size=4).map(
        lambda pairs: "&".join("%s=%s" % pair for pair in pairs)
    ),
    st.text(_VISIBLE.replace("#", ""), max_size=12),
)
_RANGES = st.sampled_from(
    [
        "bytes=0-",
        "bytes=-0",
        "bytes=-1",
        "bytes=-99",
        "bytes=4-2",
        "bytes=0-0,2-3",
        "bytes=1_0-",
        "bytes=9999-",
        "bytes=" + "9" * 5000 + "-",
        "bytes=-" + "9" * 5000,
        "bytes=²-",
        "words=1-2",
        "bytes",
        "=",
        "bytes=a-b",
        "bytes=--1",
        "bytes=0-" + "9" * 30,
    ]
)
_DATES = st.sampled_from(
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Mon, 01 Jan 0001 00:00:00 -0000",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Mon, 99 Foo 2000 99:99:99 GMT",
        "Mon, 01 Jan 2000 00:00:00 +99999999999999999999",
        "Mon, 01 Jan 2000 00:00:00 GMT",
        "Mon, 01 Jan 2100 00:00:00 GMT",
        "2000-01-01T00:00:00Z",
        "Mon, , ,",
        ",",
        "0",
        "",
    ]
)
_SOURCES = st.one_of(
    _KEYS.map(lambda key: "/bucket/" + key),
    st.sampled_from(["", "/", "bucket", "/bucket/x?versionId=1", "/linked/users.json", "%ff/%ff"]),
    _WORDS,
)
_OWN = st.sampled_from(["x-obs-", "x-amz-"])
_OWN_NAMES = st.sampled_from(
    [
        "acl",
        "checksum-crc64ecma",
        "content-sha256",
        "copy-source",
        "copy-source-if-match",
        "date",
        "copy-source-range",
        "meta-x",
        "metadata-directive",
        "security-token",
        "storage-class",
        "server-side-encryption",
        "tagging",
        "decoded-content-length",
        "",
        "checksum-crc32",
    ]
)
_HEADER = st.one_of(
    st.tuples(st.just("Range"), _RANGES),
    st.tuples(
        st.sampled_from(["If-Modified-Since", "If-Unmodified-Since", "If-Range", "Expires"]),
        _DATES,
    ),
    st.tuples(
        st.sampled_from(["If-Match", "If-None-Match"]),
        st.one_of(st.sampled_from(["*", '"', "W/", "%22", '"%s"' % ("0" * 32)]), _WORDS),
    ),
    st.tuples(
        st.just("Content-MD5"),
        st.one_of(st.sampled_from(["", "=", "AAAA", "1B2M2Y8AsgTpgAmY7PhCfg=="]), _WORDS),
    ),
    st.tuples(st.just("x-obs-copy-source"), _SOURCES),
    st.tuples(st.just("x-amz-copy-source"), _SOURCES),
    st.tuples(
        st.tuples(_OWN, _OWN_NAMES).map("".join),
        st.one_of(_NUMBERS, _DATES, _WORDS, st.just("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")),
    ),
    st.tuples(
        st.just("Host"),
        st.sampled_from(
            [
                "[",
                "[::1",
                "[::1]",
                "localhost:99999",
                "bucket.localhost",
                "..localhost",
                "%ff.localhost",
                "bucket%2ffolder.localhost",
                "a@localhost",
                "",
                "½",
                ".localhost",
            ]
        ),
    ),
    st.tuples(
        st.sampled_from(["Origin", "Referer", "X-Forwarded-For", "Forwarded"]),
        st.sampled_from(["http://[", "null", "http://[::1", "//", "http://½:²", "a@b"]),
    ),
    st.sampled_from(
        [
            ("Expect", "100-continue"),
            ("Expect", "x"),
            ("Content-Type", "multipart/form-data; boundary="),
            ("Content-Encoding", "aws-chunked"),
            ("X_Obs_Copy_Source", "/bucket/folder/users"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Cookie", "\xff=;;="),
            ("Upgrade", "h2c"),
        ]
    ),
    st.tuples(st.text(string.ascii_letters + "-", min_size=1, max_size=12), _WORDS),
)
_METHODS = st.one_of(
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"]),
    st.text(string.ascii_uppercase, min_size=1, max_size=9),
)
_INNER = st.lists(
    st.one_of(
        st.just("<Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part>" % _ETAG),
        _KEYS.map(lambda key: "<Object><Key>%s</Key></Object>" % _escaped(key)),
        _NUMBERS.map(lambda number: "<Part><PartNumber>%s</PartNumber></Part>" % number),
        st.sampled_from(
            [
                "<Part><PartNumber>1</PartNumber><ETag>&quot;0&quot;</ETag></Part>",
                "<Part/>",
                "<Object/>",
                "<Object><Key>folder/users</Key><VersionId>1</VersionId></Object>",
                "<EncodingType>url</EncodingType>",
                "<Quiet>true</Quiet>",
                "<Key>x</Key>",
                "&#xD800;",
                "&#0;",
                "&amp;",
                "<!-- -->",
                "<?x y?>",
                "<![CDATA[<]]>",
                "<a xmlns:b='c' b:d='e'/>",
                "<b:a/>",
                "<x>" * 200 + "</x>" * 200,
            ]
        ),
    ),
    max_size=6,
).map("".join)
_DOCTYPE = '<!DOCTYPE a [<!ENTITY a "%s"><!ENTITY b SYSTEM "file:///etc/passwd">]>' % ("a" * 99)
_XML = st.tuples(
    st.sampled_from(["", "<?xml version='1.0' encoding='%s'?>", _DOCTYPE]),
    st.sampled_from(["Delete", "CompleteMultipartUpload", "Delete xmlns='x'", "x"]),
    _INNER,
    st.sampled_from(["utf-8", "utf-16", "utf-16-be", "utf-32", "latin-1", "cp037", "utf-7"]),
).map(
    lambda drawn: (
        "%s<%s>%s&b;</%s>" % (drawn[0].replace("%s", drawn[3]), drawn[1], drawn[2], drawn[1][:6])
        if drawn[0] == _DOCTYPE
        else "%s<%s>%s</%s>"
        % (drawn[0].replace("%s", drawn[3]), drawn[1], drawn[2], drawn[1].partition(" ")[0])
    ).encode(drawn[3], "replace")
)
_BODIES = st.one_of(st.just(b""), st.binary(max_size=40), _XML)


def _escaped(key):
    return key.replace("&", "&amp;").replace("<", "&lt;")


_CHUNKED = st.one_of(
    st.sampled_from(
        [
            b"0\r\n\r\n",
            b"5\r\nabcde\r\n0\r\n\r\n",
            b"5;x=y\r\nabcde\r\n0\r\nTrailer: x\r\n\r\n",
            b"-5\r\nabcde\r\n0\r\n\r\n",
            b"5\r\nabcdefg\r\n0\r\n\r\n",
            b"\r\n\r\n0\r\n\r\n",
            b"F" * 40 + b"\r\nabc",
            b"0x5\r\nabcde\r\n0\r\n\r\n",
            b"zz\r\n",
        ]
    ),
    st.binary(max_size=40),
)


def _escaped(key):
    return key.replace("&", "&amp;").replace("<", "&lt;")


_OPERATIONS = st.sampled_from(
    [
        ("GET", "/bucket/{key}", ""),
        ("GET", "/bucket/folder/there", ""),
        ("HEAD", "/bucket/folder/there", ""),
        ("PUT", "/bucket/{key}", ""),
        ("PUT", "/{value}", ""),
        ("DELETE", "/bucket/{key}", ""),
        ("DELETE", "/{value}", ""),
        ("GET", "/", ""),
        ("GET", "/bucket", "prefix={value}&marker={value}"),
        ("GET", "/bucket", "delimiter={value}&max-keys={value}&encoding-type={value}"),
        ("POST", "/bucket", "delete"),
        ("GET", "/bucket", "uploads&prefix={value}&key-marker={value}&max-uploads={value}"),
        ("POST", "/bucket/{key}", "uploads"),
        ("PUT", "/bucket/x", "uploadId={upload}&partNumber={value}"),
        ("PUT", "/bucket/x", "uploadId={value}&partNumber=1"),
        ("GET", "/bucket/x", "uploadId={upload}&max-parts={value}&part-number-marker={value}"),
        ("POST", "/bucket/x", "uploadId={upload}"),
        ("DELETE", "/bucket/x", "uploadId={upload}"),
    ]
)


@st.composite
def calls(draw):
    """A request that the service knows, in which something is odd."""
    method, path, query = draw(_OPERATIONS)
    while "{value}" in path + query:
        value = draw(_QUERY_VALUES)
        path, query = (
            (path.replace("{value}", value, 1), query)
            if "{value}" in path
            else (path, query.replace("{value}", value, 1))
        )
    path = path.replace("{key}", draw(_KEYS)) + ("?" + query if query else "")
    headers = draw(st.lists(_HEADER, max_size=2))
    body = draw(_XML if method == "POST" else _BODIES)
    if draw(st.booleans()):
        headers.append(("Content-MD5", base64.b64encode(hashlib.md5(body).digest()).decode()))
    return method, path, [*headers, ("Content-Length", str(len(body)))], body, True


@st.composite
def requests(draw):
    """Any request, which need not have an end."""
    method, path, query = draw(_METHODS), draw(_PATHS), draw(_QUERIES)
    headers, body = draw(st.lists(_HEADER, max_size=4)), draw(_BODIES)
    framing = draw(st.sampled_from(["right", "right", "chunked", "wrong", "cut"]))
    if framing == "chunked":
        headers.append(("Transfer-Encoding", "chunked"))
        body = draw(_CHUNKED)
    elif framing == "wrong":
        headers.append(("Content-Length", draw(_NUMBERS)))
    else:
        headers.append(("Content-Length", str(len(body) + (framing == "cut"))))
    path += "?" + query if query else ""
    return method, path, headers, body, framing == "right"


def _settings(examples):
    return settings(
        max_examples=EXAMPLES or examples,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


SIGNED = given(request=st.one_of(calls(), calls(), requests()), v4=st.booleans())


@SIGNED
@seed(SEED)
@_settings(80)
def test_signed_requests_neither_fail_nor_lead_out(world, request, v4):
    """No request that is well signed is an error of the service or leads out."""
    _send(world, request, v4)


@pytest.mark.extended
@SIGNED
@seed(SEED)
@_settings(400)
def test_more_signed_requests_neither_fail_nor_lead_out(world, request, v4):
    _send(world, request, v4)


def _send(world, request, v4):
    method, target, headers, body, is_whole = request
    target = target.replace("{upload}", world.upload())
    sent = world.signed(method, target, headers, v4) + body
    world.check(sent, world.exchange(sent, not is_whole), is_whole)
