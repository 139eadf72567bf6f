"""The OBS API of the local service: the official client as it is, and hostile requests."""

import base64
import hashlib
import hmac
import http.client
import os
import resource
import signal
import socket
import sys
import threading
from email.utils import formatdate
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from obs import (
    CompleteMultipartUploadRequest,
    CompletePart,
    DeleteObjectsRequest,
    GetObjectHeader,
    Object,
    ObsClient,
    PutObjectHeader,
)
from tensorboardX import SummaryWriter

from modelarts.errors import ConfigurationError
from modelarts.estimator import VisualizationJob
from modelarts.obs.crc64 import crc64
from modelarts.obs.multipart.plan import Sizes
from modelarts.obs.stores.obs import ObsStore
from modelarts.session import Session
from tests.servers.service import SECRETS, Service
from tests.support.boards import curve

pytestmark = pytest.mark.local

NAMES = ("a b.txt", "100%.txt", "#1.txt", "a+b&c=d?.txt", "训练 日志.txt", "'q\".txt", "x<y>/z.txt")
SECRET = "outside of the root"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A service with ``--obs-api``, and a file beside its root."""
    folder = tmp_path_factory.mktemp("objects")
    (folder / "outside.txt").write_text(SECRET)
    service = Service(folder / "root", "--obs-api")
    yield service
    assert service.end() == 0
    assert not [line for line in service.log if line and "Traceback" in line]
    assert (folder / "outside.txt").read_text() == SECRET
    assert sorted(os.listdir(folder)) == ["outside.txt", "root"]


@pytest.fixture(scope="module")
def url(served):
    return served.connection["obs_http_endpoint"]


@pytest.fixture
def bucket(served):
    name = "b-" + os.urandom(6).hex()
    (served.root / "obs" / name).mkdir(mode=0o700)
    return name


@pytest.fixture
def localhost(monkeypatch):
    """Names below ``localhost`` lead to this machine, as they do in browsers (RFC 6761)."""
    known = socket.getaddrinfo

    def getaddrinfo(host, *arguments, **settings):
        name = "127.0.0.1" if str(host).endswith(".localhost") else host
        return known(name, *arguments, **settings)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture(params=["by address", "by name", "v4", "session"])
def client(request, served, url, localhost):
    """The official client: signed for as V2, as OBS, as V4; and that of a session."""
    found = served.connection
    keys = {
        "access_key_id": found["access_key"],
        "secret_access_key": found["secret_key"],
    }
    if request.param == "by name":
        # Its defaults: it asks which signature is known, and has the bucket in the name.
        client = ObsClient(server="http://localhost:%d" % urlsplit(url).port, **keys)
    elif request.param == "v4":
        client = ObsClient(server=url, signature="v4", region="local-1", **keys)
    elif request.param == "session":
        client = Session.local(served.root).get_obs_client()
    else:
        client = ObsClient(server=url, long_conn_mode=True, **keys)
    yield client
    client.close()


def done(answer, status=200):
    assert answer.status == status, (answer.status, answer.errorCode, answer.errorMessage)
    return answer.body


def content(client, bucket, key, **settings):
    return done(client.getObject(bucket, key, loadStreamInMemory=True, **settings)).buffer


def keys(answer):
    return [one.key for one in done(answer).contents]


# The official client ----------------------------------------------------------------------


def test_a_bucket_is_made_listed_looked_at_and_removed(client, served):
    name = "new-" + os.urandom(4).hex()
    assert client.headBucket(name).status == 404
    done(client.createBucket(name))
    assert (served.root / "obs" / name).stat().st_mode & 0o777 == 0o700
    assert name in [one.name for one in done(client.listBuckets()).buckets]
    done(client.headBucket(name))
    assert client.createBucket(name).errorCode == "BucketAlreadyOwnedByYou"
    done(client.putContent(name, "a/b", "1"))
    assert client.deleteBucket(name).errorCode == "BucketNotEmpty"
    done(client.deleteObject(name, "a/b"), 204)
    done(client.deleteBucket(name), 204)
    assert client.listObjects(name).errorCode == "NoSuchBucket"
    assert client.putContent(name, "a", "1").errorCode == "NoSuchBucket"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_kept_as_it_is(client, served, bucket, name):
    done(client.putContent(bucket, name, name))
    assert (served.root / "obs" / bucket / name).read_text("utf-8") == name
    assert content(client, bucket, name) == name.encode()
    assert keys(client.listObjects(bucket, prefix=name[:2])) == [name]
    assert keys(client.listObjects(bucket, encoding_type="url")) == [name]
    done(client.copyObject(bucket, name, bucket, "copy of " + name))
    assert content(client, bucket, "copy of " + name) == name.encode()
    wanted = DeleteObjectsRequest(objects=[Object(name), Object("copy of " + name)])
    gone = done(client.deleteObjects(bucket, wanted)).deleted
    assert [one.key for one in gone] == [name, "copy of " + name]
    assert keys(client.listObjects(bucket)) == []


def test_a_file_goes_and_comes_and_only_its_owner_can_read_it(client, served, bucket, tmp_path):
    sent = os.urandom(300_000)
    (tmp_path / "sent").write_bytes(sent)
    answer = done(client.putFile(bucket, "runs/events", str(tmp_path / "sent")))
    assert answer.etag.strip('"') == hashlib.md5(sent).hexdigest()
    there = served.root / "obs" / bucket / "runs" / "events"
    assert there.stat().st_mode & 0o777 == 0o600
    assert there.parent.stat().st_mode & 0o777 == 0o700
    found = done(client.getObjectMetadata(bucket, "runs/events"))
    assert (found.contentLength, found.etag) == (300_000, answer.etag)
    done(client.getObject(bucket, "runs/events", downloadPath=str(tmp_path / "back")))
    assert (tmp_path / "back").read_bytes() == sent
    done(client.downloadFile(bucket, "runs/events", str(tmp_path / "parts"), 100_000, taskNum=3))
    assert (tmp_path / "parts").read_bytes() == sent
    assert os.listdir(served.root / "uploads") == []


def test_a_file_is_sent_in_parts(client, served, bucket, tmp_path):
    sent = os.urandom(350_000)
    (tmp_path / "sent").write_bytes(sent)
    done(client.uploadFile(bucket, "big", str(tmp_path / "sent"), 100 * 1024, taskNum=3))
    assert content(client, bucket, "big") == sent
    assert os.listdir(served.root / "uploads") == []


def test_parts_are_listed_replaced_and_forgotten(client, bucket):
    upload = done(client.initiateMultipartUpload(bucket, "x")).uploadId
    for number, part in ((2, b"second"), (1, b"a" * 102400), (1, b"b" * 102400)):
        done(client.uploadPart(bucket, "x", number, upload, part))
    assert [one.uploadId for one in done(client.listMultipartUploads(bucket)).upload] == [upload]
    parts = done(client.listParts(bucket, "x", upload)).parts
    assert [(one.partNumber, one.size) for one in parts] == [(1, 102400), (2, 6)]
    assert client.listParts(bucket, "other", upload).errorCode == "NoSuchUpload"
    assert client.deleteBucket(bucket).errorCode == "BucketNotEmpty"

    def complete(*wanted):
        named = [CompletePart(number, etag) for number, etag in wanted]
        return client.completeMultipartUpload(
            bucket, "x", upload, CompleteMultipartUploadRequest(named)
        )

    one, two = [(part.partNumber, part.etag) for part in parts]
    assert complete(one, (2, "0" * 32)).errorCode == "InvalidPart"
    done(client.uploadPart(bucket, "x", 3, upload, b"third"))
    third = (3, done(client.listParts(bucket, "x", upload)).parts[2].etag)
    assert complete(one, two, third).errorCode == "EntityTooSmall"
    done(complete(one, two))
    assert content(client, bucket, "x") == b"b" * 102400 + b"second"
    assert complete(one, two).errorCode == "NoSuchUpload"
    upload = done(client.initiateMultipartUpload(bucket, "y")).uploadId
    done(client.abortMultipartUpload(bucket, "y", upload), 204)
    assert client.uploadPart(bucket, "y", 1, upload, b"late").errorCode == "NoSuchUpload"
    assert done(client.listMultipartUploads(bucket)).upload == []


def test_a_list_comes_in_pages_and_by_folders(client, served, bucket):
    wanted = ["a", "b/1", "b/2", "b/c/3", "b0", "c"]
    for key in wanted:
        path = served.root / "obs" / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(key)  # by other means than the API
    seen, marker = [], None
    while True:
        page = done(client.listObjects(bucket, max_keys=2, marker=marker))
        seen += [one.key for one in page.contents]
        if not page.is_truncated:
            break
        marker = page.next_marker
    assert seen == wanted
    assert page.contents[0].etag.strip('"') == hashlib.md5(b"b0").hexdigest()
    page = done(client.listObjects(bucket, delimiter="/"))
    assert [one.key for one in page.contents] == ["a", "b0", "c"]
    assert [one.prefix for one in page.commonPrefixs] == ["b/"]
    page = done(client.listObjects(bucket, prefix="b/", delimiter="/", max_keys=2))
    assert ([one.key for one in page.contents], page.is_truncated) == (["b/1", "b/2"], True)
    page = done(client.listObjects(bucket, prefix="b/", delimiter="/", marker=page.next_marker))
    assert [one.prefix for one in page.commonPrefixs] == ["b/c/"]


def test_a_part_of_an_object_and_its_conditions(client, bucket):
    etag = done(client.putContent(bucket, "x", "0123456789")).etag
    other = '"%s"' % ("0" * 32)
    for said, wanted in (("2-4", b"234"), ("7-", b"789"), ("-2", b"89"), ("8-99", b"89")):
        assert done_206(client, bucket, GetObjectHeader(range=said)) == wanted
    bad = client.getObject(bucket, "x", headers=GetObjectHeader(range="10-12"))
    assert (bad.status, bad.errorCode) == (416, "InvalidRange")
    assert client.getObject(bucket, "x", headers=GetObjectHeader(if_match=other)).status == 412
    assert client.getObject(bucket, "x", headers=GetObjectHeader(if_none_match=etag)).status == 304
    found = client.getObject(
        bucket, "x", headers=GetObjectHeader(if_match=etag), loadStreamInMemory=True
    )
    assert done(found).buffer == b"0123456789"
    assert client.getObject(bucket, "nothing").errorCode == "NoSuchKey"
    assert client.getObjectMetadata(bucket, "nothing").status == 404


def done_206(client, bucket, header):
    return done(client.getObject(bucket, "x", headers=header, loadStreamInMemory=True), 206).buffer


def test_an_etag_is_that_of_the_content_of_now(client, served, bucket):
    path = served.root / "obs" / bucket / "events"
    for text in (b"one", b"two", b"three"):
        path.write_bytes(text)
        etag = done(client.getObjectMetadata(bucket, "events")).etag
        assert etag.strip('"') == hashlib.md5(text).hexdigest()


def test_what_a_folder_cannot_hold_is_refused(client, served, bucket):
    done(client.putContent(bucket, "a", "1"))
    for key in ("a/b", "folder/", "x//y", "../../../outside.txt", "n" * 300):
        assert client.putContent(bucket, key, "1").errorCode == "InvalidObjectName", key
    assert keys(client.listObjects(bucket)) == ["a"]
    assert client.createBucket("UPPER_case").errorCode in ("InvalidBucketName", None)
    assert not (served.root / "obs" / "UPPER_case").exists()


def test_what_cannot_be_kept_is_refused_and_not_dropped(client, bucket, monkeypatch):
    # To the official client 501 is an error that may pass, and it waits a second between attempts.
    monkeypatch.setattr(client, "max_retry_count", 0)
    for answer in (
        client.putContent(bucket, "x", "1", metadata={"colour": "blue"}),
        client.setBucketVersioning(bucket, "Enabled"),
        client.getBucketPolicy(bucket),
        client.deleteObjects(bucket, DeleteObjectsRequest(objects=[Object("x", versionId="1")])),
        client.setObjectAcl(bucket, "x", aclControl="private"),
    ):
        assert (answer.status, answer.errorCode) == (501, "NotImplemented")
    assert keys(client.listObjects(bucket)) == []


def test_a_board_shows_what_the_official_client_sent(client, served, bucket, tmp_path):
    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_scalar("loss", 0.25, 7)
    (events,) = (tmp_path / "run").iterdir()
    done(client.putFile(bucket, "logs/" + events.name, str(events)))
    with served.session() as session:
        job = VisualizationJob.create("/%s/logs/" % bucket, session=session).wait()
        try:
            assert curve(job) == [(7, 0.25)]
        finally:
            job.delete()


def test_several_write_at_once_and_each_object_is_whole(client, bucket):
    texts = [bytes([number]) * 200_000 for number in range(6)]
    threads = [
        threading.Thread(target=client.putContent, args=(bucket, "same", text)) for text in texts
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert content(client, bucket, "same") in texts


def test_temporary_keys_are_good_as_well(served, url, bucket):
    with served.password_session() as session:
        found = session.keys()
        SECRETS.update((found.secret_key, found.security_token))
        for signature in ("v2", "v4"):
            client = ObsClient(
                access_key_id=found.access_key,
                secret_access_key=found.secret_key,
                security_token=found.security_token,
                server=url,
                signature=signature,
            )
            done(client.putContent(bucket, signature, "1"))
            client.refresh(found.access_key, found.secret_key, found.security_token[1:])
            wrong = client.putContent(bucket, "no", "1")
            assert wrong.status == 403
            client.refresh(found.access_key, found.secret_key, None)
            assert client.putContent(bucket, "no", "1").errorCode == "InvalidAccessKeyId"


def test_an_s3_client_works_too(served, url, bucket):
    found = served.connection
    s3 = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=found["access_key"],
        aws_secret_access_key=found["secret_key"],
        region_name="local-1",
        config=Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            proxies={},
        ),
    )
    for name in NAMES:
        s3.put_object(Bucket=bucket, Key=name, Body=name.encode())
        assert s3.get_object(Bucket=bucket, Key=name)["Body"].read() == name.encode()
    listed = s3.list_objects(Bucket=bucket)["Contents"]
    assert sorted(one["Key"] for one in listed) == sorted(NAMES)
    with pytest.raises(ClientError, match="NotImplemented"):
        s3.list_objects_v2(Bucket=bucket)


def test_a_service_without_it_says_how_to_have_it(service):
    with pytest.raises(ConfigurationError, match="--obs-api"):
        Session.local(service.root).get_obs_client()


# Who, and what is never done --------------------------------------------------------------


class Signing:
    """Requests that are signed by hand in OBS's own way, so that they can be signed wrongly."""

    def __init__(self, served, url):
        self.found = served.connection
        self.address = urlsplit(url).netloc

    def ask(self, method, path, body=b"", **settings):
        """Status, error code and body of the answer; ``settings`` as :meth:`headers` has them."""
        headers = self.headers(method, path, len(body), **settings)
        return raw(self.address, method, path, headers, body)

    def headers(self, method, path, size, change=str, date=None, resource=None, key=None, **more):
        """Return the headers of a request; ``change`` alters the signature."""
        date = date or formatdate(usegmt=True)
        more = {name.replace("_", "-"): value for name, value in more.items()}
        own = sorted(pair for pair in more.items() if pair[0].startswith("x-obs-"))
        lines = [method, more.get("Content-MD5", ""), "", date]
        lines += ["%s:%s" % pair for pair in own] + [resource or path]
        secret = (key or self.found["secret_key"]).encode()
        digest = hmac.new(secret, "\n".join(lines).encode(), "sha1").digest()
        signature = change(base64.b64encode(digest).decode())
        return {
            "Host": self.address,
            "Date": date,
            "Authorization": "OBS %s:%s" % (self.found["access_key"], signature),
            "Content-Length": str(size),
            **more,
        }

    def head(self, method, path, size, change):
        """The beginning of a request, and where to send it."""
        headers = self.headers(method, path, size, change)
        lines = ["%s %s HTTP/1.1" % (method, path), *("%s: %s" % pair for pair in headers.items())]
        host, _, port = self.address.partition(":")
        return "\r\n".join([*lines, "", ""]).encode(), (host, int(port))


def raw(address, method, path, headers, body=b""):
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    is_xml = answer.headers.get("Content-Type") == "application/xml"
    code = ElementTree.fromstring(text).findtext("Code") if is_xml and text else None
    return answer.status, code, text


@pytest.fixture
def signing(served, url):
    return Signing(served, url)


def flipped(signature):
    """The same but for one bit."""
    digest = bytearray(base64.b64decode(signature))
    digest[7] ^= 1
    return base64.b64encode(digest).decode()


@pytest.mark.parametrize("size", [1, 200_000])
def test_who_signs_wrongly_is_refused_and_told_why(signing, served, bucket, size):
    path, body = "/%s/x" % bucket, b"b" * size
    hour_ago = formatdate(1, usegmt=True)

    def put(**wrong):
        return signing.ask("PUT", path, body, **wrong)[:2]

    assert put(change=flipped) == (403, "SignatureDoesNotMatch")
    assert put(key="another key") == (403, "SignatureDoesNotMatch")
    assert put(resource="/%s/y" % bucket) == (403, "SignatureDoesNotMatch")
    assert put(change=lambda signature: "") == (403, "SignatureDoesNotMatch")
    assert put(date=hour_ago) == (403, "RequestTimeTooSkewed")
    assert put(date="yesterday") == (403, "AccessDenied")
    assert put(Host="evil.example") == (421, "AccessDenied")
    assert put(Origin="http://evil.example") == (403, "AccessDenied")
    assert os.listdir(served.root / "obs" / bucket) == []
    assert os.listdir(served.root / "uploads") == []
    assert put() == (200, None)


def test_nobody_reads_or_lists_without_a_signature(signing, bucket):
    signing.ask("PUT", "/%s/x" % bucket, b"private")
    for method in ("GET", "HEAD", "PUT", "DELETE", "POST"):
        for path in ("/", "/" + bucket, "/%s/x" % bucket, "/%s?uploads" % bucket):
            status, code, text = raw(signing.address, method, path, {"Host": signing.address})
            assert (status, b"private" in text) == (403, False)
            assert code == ("AccessDenied" if method != "HEAD" else None)


def test_special_headers_of_the_other_dialect_are_not_heeded(signing, bucket):
    """They would not be part of what was signed."""
    signing.ask("PUT", "/%s/x" % bucket, b"private")
    status, _, _ = signing.ask(
        "PUT", "/%s/y" % bucket, b"own", **{"x-amz-copy-source": "/%s/x" % bucket}
    )
    assert (status, signing.ask("GET", "/%s/y" % bucket)[2]) == (200, b"own")


def test_a_body_that_is_not_as_said_is_refused(signing, served, bucket):
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    for given, code in ((wrong, "BadDigest"), ("junk", "InvalidDigest")):
        answer = signing.ask("PUT", "/%s/x" % bucket, b"body", Content_MD5=given)
        assert answer[:2] == (400, code)
    assert os.listdir(served.root / "obs" / bucket) == []


@pytest.mark.parametrize(
    "path",
    [
        "/..%2f..%2foutside.txt",
        "/..%2foutside.txt/x",
        "/../outside.txt",
        "/{bucket}/..%2f..%2f..%2foutside.txt",
        "/{bucket}/%2e%2e/%2e%2e/%2e%2e/outside.txt",
        "/{bucket}/a%00b",
        "/{bucket}/%ff",
        "/{bucket}//etc/passwd",
        "/{bucket}/" + "d/" * 3000,
        "/.hidden/x",
        "//{bucket}/x",
        "/{bucket}/link/passwd",
        "/{bucket}/file",
        "/linked/hostname",
        "/{bucket}/x?uploadId=..%2f..&partNumber=1",
        "/{bucket}/x?uploadId=" + "0" * 32 + "&partNumber=99999999999999999999",
        "/{bucket}?max-keys=-1",
        "/{bucket}?acl",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_no_path_leads_out(signing, served, bucket, path, method):
    inside = served.root / "obs" / bucket
    (inside / "link").symlink_to("/etc")
    (inside / "file").symlink_to(served.root.parent / "outside.txt")
    if not (served.root / "obs" / "linked").is_symlink():
        (served.root / "obs" / "linked").symlink_to("/etc")
    target = path.format(bucket=bucket)
    base, _, query = target.partition("?")
    signed = "&".join(sorted(query.replace("%2f", "/").split("&")))
    resource = base + ("?" + signed if query and "max-keys" not in query else "")
    status, code, text = signing.ask(method, target, b"mine", resource=resource)
    if "file" in path and method == "PUT":
        # As with the file: endpoint, the link itself is replaced.
        assert status == 200
        assert not (inside / "file").is_symlink()
    elif method == "DELETE" and status == 204:
        assert sorted(os.listdir(inside)) == ["file", "link"]
    else:
        assert 400 <= status < 502, (status, text)
        assert status != 500
        assert code not in (None, "InternalError", "SignatureDoesNotMatch")
    assert SECRET.encode() not in text
    assert b"root:" not in text


@pytest.mark.parametrize("name", ["..", ".", "..%2fobs", "{bucket}%2fx", ".hidden", "b" * 64])
def test_no_folder_that_cannot_be_a_bucket_is_one(signing, served, bucket, name):
    (served.root / "obs" / bucket / "x").mkdir()
    for method in ("GET", "PUT", "DELETE"):
        path = "/" + name.format(bucket=bucket)
        assert signing.ask(method, path)[:2] == (400, "InvalidBucketName")


def test_on_a_full_disk_nothing_is_kept_and_it_is_said(served, url, tmp_path):
    """A file may not grow beyond a limit here, which writing meets as it meets a full disk."""
    service = Service(tmp_path / "small", "--obs-api")
    try:
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (300_000, 300_000))
        (service.root / "obs" / "bucket").mkdir()
        address = service.connection["obs_http_endpoint"]
        signing = Signing(service, address)
        status, code, text = signing.ask("PUT", "/bucket/x", b"x" * 2_000_000)
        assert (status, code) == (500, "InternalError")
        assert b"File too large" in text
        assert signing.ask("PUT", "/bucket/y", b"small")[0] == 200
        assert os.listdir(service.root / "obs" / "bucket") == ["y"]
    finally:
        assert service.end() == 0
    assert not [line for line in service.log if line and "Traceback" in line]


@pytest.mark.parametrize(
    "line",
    [
        b"\x01\x02\xff /{b}/x HTTP/1.1",
        b"G<E>T /{b}/x HTTP/1.1",
        b"GET /\xff\xfe HTTP/1.1",
        b"GET http://evil.example/{b}/x HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET /{b}/x?%ff=%ff HTTP/1.1",
        b"CONNECT evil.example:80 HTTP/1.1",
        b"GET /%c3%28 HTTP/1.0",
    ],
)
def test_a_line_that_makes_no_sense_is_refused(signing, bucket, line):
    head, host = signing.head("GET", "/", 0, str)
    _, _, rest = head.partition(b"\r\n")
    with socket.create_connection(host, timeout=60) as connection:
        connection.sendall(line.replace(b"{b}", bucket.encode()) + b"\r\n" + rest)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert 400 <= answer.status < 500
        text = answer.read()
        if answer.headers["Content-Type"] == "application/xml":
            assert ElementTree.fromstring(text).findtext("Code")


def test_a_copy_does_not_lead_out_either(signing, bucket):
    for source in ("/../outside.txt", "/%s/../../../outside.txt" % bucket, "/x", "", "/a?b", "%ff"):
        status, code, _ = signing.ask("PUT", "/%s/x" % bucket, x_obs_copy_source=quote(source))
        assert (400 <= status < 500, code == "SignatureDoesNotMatch") == (True, False)


def test_xml_that_harms_is_refused(signing, bucket):
    bomb = b'<!DOCTYPE a [<!ENTITY a "' + b"a" * 1000 + b'">]><Delete>' + b"&a;" * 1000
    path = "/%s/x?uploadId=" % bucket
    _, _, text = signing.ask("POST", "/%s/x?uploads" % bucket)
    upload = ElementTree.fromstring(text).findtext("UploadId")
    for body in (bomb + b"</Delete>", b"<" * 1000, b"", b"\xff\xfe", b"<a>" * 100_000, b"<Other/>"):
        assert signing.ask("POST", path + upload, body)[:2] == (400, "MalformedXML")
    assert signing.ask("POST", path + upload, b" " * (1 << 21))[1] == "EntityTooLarge"
    parts = b"".join(b"<Part><PartNumber>%d</PartNumber></Part>" % number for number in (2, 1))
    body = b"<CompleteMultipartUpload>%s</CompleteMultipartUpload>" % parts
    assert signing.ask("POST", path + upload, body)[:2] == (400, "InvalidPartOrder")
    assert signing.ask("DELETE", path + upload)[0] == 204


def test_what_nobody_signed_is_not_kept_while_it_comes_in(signing, served, bucket):
    """Else whoever can connect could fill the disk."""
    size = 64 << 20  # more than waits between the two
    for change, is_kept in ((str, True), (flipped, False)):
        head, host = signing.head("PUT", "/%s/x" % bucket, 2 * size, change)
        with socket.create_connection(host, timeout=60) as connection:
            connection.sendall(head + bytes(size))
            assert (staged(served) > size // 2) == is_kept
    assert os.listdir(served.root / "uploads") == []


def staged(served):
    """How many bytes the service has in files without a name."""
    folder = "/proc/%d/fd/" % served.process.pid
    found = 0
    for number in os.listdir(folder):
        try:
            if str(served.root / "uploads") in os.readlink(folder + number):
                found += os.stat(folder + number).st_size
        except FileNotFoundError:
            pass  # closed meanwhile
    return found


# Checksums --------------------------------------------------------------------------------


def test_the_crc_of_an_object_is_told_and_verified(client, bucket):
    """As the official client sends it, whole and in parts, and reads it."""
    value = str(crc64(b"content"))
    sent = done(
        client.putContent(bucket, "k", "content", headers=PutObjectHeader(isAttachCrc64=True))
    )
    assert sent.crc64 == value
    assert done(client.getObjectMetadata(bucket, "k")).crc64 == value
    assert content(client, bucket, "k", isAttachCrc64=True) == b"content"
    refused = client.putContent(bucket, "k", "else", headers=PutObjectHeader(crc64=value))
    assert (refused.status, refused.errorCode) == (400, "BadDigest")
    assert content(client, bucket, "k") == b"content"
    odd = client.putContent(bucket, "k", "else", headers=PutObjectHeader(crc64="0x1"))
    assert (odd.status, odd.errorCode) == (400, "InvalidDigest")


def test_parts_and_the_whole_are_verified_by_their_crc(client, bucket):
    upload = done(client.initiateMultipartUpload(bucket, "k")).uploadId
    blocks = [os.urandom(200_000), os.urandom(1000)]
    parts = []
    for number, block in enumerate(blocks, 1):
        refused = client.uploadPart(bucket, "k", number, upload, block[1:], crc64=crc64(block))
        assert (refused.status, refused.errorCode) == (400, "BadDigest")
        answer = client.uploadPart(bucket, "k", number, upload, block, isAttachCrc64=True)
        assert done(answer).crc64 == str(crc64(block))
        parts.append(CompletePart(number, answer.body.etag, answer.body.crc64, len(block)))
    wrong = [parts[0], CompletePart(2, parts[1].etag, "1", 1000)]
    for attempt, status in ((wrong, 400), (parts, 200)):
        request = CompleteMultipartUploadRequest(attempt)
        answer = client.completeMultipartUpload(bucket, "k", upload, request, isAttachCrc64=True)
        assert answer.status == status
    assert answer.body.crc64 == str(crc64(b"".join(blocks)))
    assert content(client, bucket, "k") == b"".join(blocks)


@pytest.mark.parametrize("with_crc", [True, False])
def test_a_session_sends_a_large_file_in_parts(
    served, url, bucket, tmp_path, monkeypatch, with_crc
):
    """Verified by CRCs, or by etags, which are here those of the whole content."""
    if not with_crc:
        monkeypatch.setitem(sys.modules, "fastcrc.crc64", None)
    path, back = tmp_path / "file", tmp_path / "back"
    path.write_bytes(os.urandom(3_000_000))
    session = served.session(obs_endpoint=url)
    client = session.get_obs_client(max_retry_count=0)
    sizes = Sizes(multipart=1_000_000, part=400_000, range=500_000)
    try:
        store = ObsStore(client, sizes=sizes)
        store.upload(str(path), bucket, "k")
        assert (served.root / "obs" / bucket / "k").read_bytes() == path.read_bytes()
        store.download(store.head(bucket, "k"), str(back))
        assert back.read_bytes() == path.read_bytes()
        assert client.connections.takes_crc64
    finally:
        client.close()
        session.close()


# What was not to be expected --------------------------------------------------------------


def test_a_date_of_no_calendar_is_no_condition(signing, bucket):
    signing.ask("PUT", "/%s/x" % bucket, b"body")
    date = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
    for name in ("If-Modified-Since", "If-Unmodified-Since"):
        assert signing.ask("GET", "/%s/x" % bucket, **{name: date}) == (200, None, b"body")


def test_more_of_the_end_than_there_is_is_all(signing, bucket):
    signing.ask("PUT", "/%s/x" % bucket, b"body")
    assert signing.ask("GET", "/%s/x" % bucket, Range="bytes=-9") == (206, None, b"body")
    signing.ask("PUT", "/%s/x" % bucket, b"")
    assert signing.ask("GET", "/%s/x" % bucket, Range="bytes=-9")[:2] == (416, "InvalidRange")


def test_an_object_that_no_list_would_show_is_refused(signing, served, bucket):
    """So are named the copies that are not whole yet."""
    inside = served.root / "obs" / bucket
    for name in (".modelarts-%s.part" % ("0" * 16), ".events.01234567.part"):
        for key in (name, "folder/%s/x" % name):
            path = "/%s/%s" % (bucket, key)
            assert signing.ask("PUT", path, b"1")[:2] == (400, "InvalidObjectName")
            assert signing.ask("POST", path + "?uploads")[:2] == (400, "InvalidObjectName")
        (inside / name).write_text("half of someth")
        assert signing.ask("GET", "/%s/%s" % (bucket, name))[:2] == (404, "NoSuchKey")
        assert signing.ask("DELETE", "/%s/%s" % (bucket, name))[0] == 204
        assert (inside / name).exists()
    assert signing.ask("GET", "/%s?uploads" % bucket)[2].count(b"<Upload>") == 0


def test_a_key_may_have_1024_bytes(signing, served, bucket):
    longest, longer = "d/" * 511 + "xy", "d/" * 512 + "x"
    for key, expected in ((longest, (200, None)), (longer, (400, "InvalidObjectName"))):
        path = "/%s/%s" % (bucket, key)
        assert signing.ask("PUT", path, b"1")[:2] == expected
        copied = signing.ask("PUT", path, x_obs_copy_source="/%s/%s" % (bucket, longest))
        assert copied[:2] == expected
        assert signing.ask("POST", path + "?uploads")[:2] == expected
        assert signing.ask("DELETE", path)[0] == 204
        signing.ask("PUT", "/%s/%s" % (bucket, longest), b"1")


def test_a_bucket_with_folders_in_folders_can_be_removed(signing, served, bucket):
    top = served.root / "obs" / bucket
    folders = [os.path.join(top, *["d"] * depth) for depth in range(1, 1201)]
    for folder in folders:
        os.mkdir(folder)
    try:
        assert signing.ask("DELETE", "/" + bucket)[:2] == (204, None)
        assert not top.exists()
    finally:
        for folder in filter(os.path.isdir, reversed(folders)):
            os.rmdir(folder)  # what pytest would run out of stack with


def test_nothing_is_written_or_removed_on_a_condition(signing, bucket):
    """A condition that was dropped would do harm."""
    path = "/%s/x" % bucket
    upload = ElementTree.fromstring(signing.ask("POST", path + "?uploads")[2]).findtext("UploadId")
    signing.ask("PUT", path, b"first")
    for method, target in (
        ("PUT", path),
        ("DELETE", path),
        ("POST", path + "?uploadId=" + upload),
        ("DELETE", path + "?uploadId=" + upload),
    ):
        for name in ("If-Match", "If-None-Match"):
            refused = signing.ask(method, target, b"second", **{name: "*"})
            assert refused[:2] == (501, "NotImplemented"), (method, target)
    assert signing.ask("GET", path)[2] == b"first"


def test_a_part_has_a_number(signing, bucket):
    path = "/%s/x" % bucket
    upload = ElementTree.fromstring(signing.ask("POST", path + "?uploads")[2]).findtext("UploadId")
    for number in ("", "0", "-1", "10001"):
        target = "%s?partNumber=%s&uploadId=%s" % (path, number, upload)
        assert signing.ask("PUT", target, b"1")[:2] == (400, "InvalidArgument")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-32"])
def test_xml_says_what_it_means_in_any_encoding(signing, served, bucket, encoding):
    """The object ``x`` by way of an entity."""
    signing.ask("PUT", "/%s/x" % bucket, b"1")
    text = '<?xml version="1.0" encoding="%s"?><!DOCTYPE Delete [<!ENTITY a "x">]>' % encoding
    body = (text + "<Delete><Object><Key>&a;</Key></Object></Delete>").encode(encoding)
    given = base64.b64encode(hashlib.md5(body).digest()).decode()
    refused = signing.ask("POST", "/%s?delete" % bucket, body, Content_MD5=given)
    assert refused[:2] == (400, "MalformedXML")
    assert os.listdir(served.root / "obs" / bucket) == ["x"]


# On the wire ------------------------------------------------------------------------------


@pytest.fixture(params=["modelarts_endpoint", "obs_http_endpoint"])
def address(request, served):
    """The address of the service: for its own API, and for OBS's."""
    parts = urlsplit(served.connection[request.param])
    return parts.hostname, parts.port


def answered(address, sent):
    """The status of the answer to these bytes."""
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(sent)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 5000,
        b"GET http://[ HTTP/1.1\r\nHost: localhost",
        b"GET //[/x HTTP/1.1\r\nHost: localhost",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[",
    ],
)
def test_a_head_that_makes_no_sense_is_refused_and_not_an_error(served, address, head):
    assert 400 <= answered(address, head + b"\r\n\r\n") < 500
    assert not [line for line in served.log if "internal error" in line or "uncaptured" in line]


@pytest.mark.parametrize("before", [b"", b"1\r\nx\r\n0\r\n"])
def test_what_surrounds_the_chunks_of_a_body_has_its_limit(address, before):
    """It is kept in memory, also of who did not sign."""
    head = b"PUT /bucket/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert answered(address, head + before + b"1" * 17_000) == 400


def test_a_body_in_chunks_is_kept_as_it_was(signing, bucket):
    body = os.urandom(70_000)
    path = "/%s/x" % bucket
    headers = signing.headers("PUT", path, 0, **{"Transfer-Encoding": "chunked"})
    del headers["Content-Length"]
    for size in (1, 4093, 70_000):
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        sent = b"".join(b"%x;a=b\r\n%s\r\n" % (len(each), each) for each in pieces)
        sent += b"0\r\nTrailer: x\r\n\r\n"
        assert raw(signing.address, "PUT", path, headers, sent)[0] == 200
        assert signing.ask("GET", path)[2] == body


def test_who_waits_to_be_asked_for_an_empty_body_need_not_wait(signing, bucket):
    path = "/%s/x" % bucket
    assert signing.ask("PUT", path, b"", Expect="100-continue")[0] == 200
    assert signing.ask("GET", path)[2] == b""


# What a service that was killed left ------------------------------------------------------


def test_what_was_left_half_done_is_removed_and_the_rest_kept(tmp_path):
    service = Service(tmp_path / "root", "--obs-api")
    bucket, staging = service.root / "obs" / "bucket", service.root / "uploads"
    try:
        (bucket / "folder").mkdir(parents=True)
        signing = Signing(service, service.connection["obs_http_endpoint"])
        signing.ask("PUT", "/bucket/whole", b"whole")
        text = signing.ask("POST", "/bucket/x?uploads")[2]
        upload = ElementTree.fromstring(text).findtext("UploadId")
        path = "/bucket/x?uploadId=" + upload
        signing.ask("PUT", "/bucket/x?partNumber=1&uploadId=" + upload, b"part")
    finally:
        service.end(signal.SIGKILL)
    (bucket / "folder" / (".modelarts-%s.part" % ("0" * 16))).write_text("half of a co")
    (bucket / ".modelarts-mine.part").write_text("no name of ours")
    (staging / upload / "0123456789abcdef.new").write_text("half of a pa")
    (staging / ("0" * 32)).mkdir()  # begun, as earlier versions did
    (staging / ("0" * 32) / "about.json").write_text("")
    (staging / ("1" * 32 + ".new")).mkdir()
    (staging / ("2" * 32 + ".gone")).mkdir()
    (staging / ("2" * 32 + ".gone") / ("00001." + "0" * 32)).write_text("part")
    (staging / "tmpabc_12").write_text("body")
    (staging / "README").write_text("no name of ours")
    # Another version of the part, which came before, and a service was killed before it removed it.
    older = staging / upload / ("00001." + "0" * 32)
    older.write_text("older")
    os.utime(older, (1, 1))
    service = Service(tmp_path / "root", "--obs-api")
    try:
        assert service.said(r"(\d) objects that were never whole").group(1) == "1"
        assert sorted(os.listdir(staging)) == sorted(["README", upload])
        assert os.listdir(bucket / "folder") == []
        signing = Signing(service, service.connection["obs_http_endpoint"])
        assert signing.ask("GET", "/bucket/whole")[2] == b"whole"
        etag = hashlib.md5(b"part").hexdigest()
        listed = ElementTree.fromstring(signing.ask("GET", path)[2])
        assert [one.text for one in listed.iter("ETag")] == ['"%s"' % etag]
        body = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part>"
        body = body % etag.encode() + b"</CompleteMultipartUpload>"
        assert signing.ask("POST", path, body)[0] == 200
        assert signing.ask("GET", "/bucket/x")[2] == b"part"
        assert os.listdir(staging) == ["README"]
    finally:
        assert service.end() == 0


@pytest.mark.parametrize("times", [40, pytest.param(150, marks=pytest.mark.extended)])
def test_who_reads_while_others_write_meets_no_error(signing, served, bucket, times):
    """Buckets, parts and uploads go while they are being listed."""
    text = signing.ask("POST", "/%s/x?uploads" % bucket)[2]
    path = "/%s/x?uploadId=" % bucket + ElementTree.fromstring(text).findtext("UploadId")
    part = path.replace("?", "?partNumber=1&")
    passing = "/passing-" + os.urandom(4).hex()
    ended = threading.Event()

    def write():
        for number in range(times):
            signing.ask("PUT", part, b"%d" % number)
            signing.ask("PUT", passing)
            signing.ask("DELETE", passing)
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not ended.is_set():
        for target in (path, "/", "/%s?uploads" % bucket):
            status, _, text = signing.ask("GET", target)
            seen.add(status)
            assert text.count(b"<PartNumber>") <= 1
    writer.join()
    assert seen == {200}


def test_a_whole_upload_of_parts_is_copied_once(tmp_path):
    """As the system counts what the service writes."""
    service = Service(tmp_path / "root", "--obs-api")
    try:
        (service.root / "obs" / "bucket").mkdir()
        signing = Signing(service, service.connection["obs_http_endpoint"])
        text = signing.ask("POST", "/bucket/x?uploads")[2]
        path = "/bucket/x?uploadId=" + ElementTree.fromstring(text).findtext("UploadId")
        block, inside = os.urandom(8 << 20), b""
        for number in (1, 2, 3):
            assert (
                signing.ask("PUT", path.replace("?", "?partNumber=%d&" % number), block)[0] == 200
            )
            inside += b"<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>" % (
                number,
                hashlib.md5(block).hexdigest().encode(),
            )
        body = b"<CompleteMultipartUpload>%s</CompleteMultipartUpload>" % inside
        before = written(service)
        assert signing.ask("POST", path, body)[0] == 200
        assert written(service) - before < 3 * len(block) + 1_000_000
        there = service.root / "obs" / "bucket" / "x"
        assert there.read_bytes() == 3 * block
        assert there.stat().st_mode & 0o777 == 0o600
        assert os.listdir(there.parent) == ["x"]
    finally:
        assert service.end() == 0


def written(service):
    """How many bytes the service has written."""
    with open("/proc/%d/io" % service.process.pid) as file:
        return int(dict(line.split(": ") for line in file)["wchar"])
