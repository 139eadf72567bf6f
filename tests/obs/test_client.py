"""The official client as a session hands it out: keys, connections, TLS, proxies, other servers."""

import base64
import contextlib
import io
import logging
import os
import random
import socket
import ssl
import subprocess
import sys
import threading

import pytest

from modelarts.errors import ConfigurationError, TransportError
from modelarts.obs.checksums import combined, md5_of, same
from modelarts.obs.esdk.connections import make_context
from modelarts.obs.multipart.plan import MAX_PARTS, MIN_PART_S3, SIZES, Layout, Part, Sizes, layout
from modelarts.obs.stores.base import ObjectInfo
from modelarts.obs.stores.obs import ObsStore
from modelarts.session import Session
from tests.servers.buckets import Buckets
from tests.servers.certificates import a_certificate
from tests.servers.cloud import with_keys
from tests.support.clocks import FakeClock
from tests.support.transfers import SK, a_file, settings, store_of

pytestmark = pytest.mark.obs


def test_it_is_the_official_client(server):
    from obs import ObsClient

    client = Session(**settings(server)).get_obs_client()
    assert isinstance(client, ObsClient)
    answer = client.putContent("b", "k", "content")
    assert (answer.status, server.buckets["b"]["k"][0]) == (200, b"content")
    assert client.getObject("b", "k", loadStreamInMemory=True).body.buffer == b"content"
    assert server.connections == 1
    client.close()
    assert client.headBucket("b").status == 200
    client.close()


def test_refresh_gives_it_other_keys_as_documented(server):
    client = Session(**settings(server)).get_obs_client()
    server.keys = {"OTHER": (SK, "token")}
    assert client.headBucket("b").status == 403
    client.refresh("OTHER", SK, "token")
    assert client.headBucket("b").status == 200
    client.close()


def test_its_own_settings_win(server):
    session = Session(**settings(server))
    client = session.get_obs_client(max_retry_count=7, signature="v2", timeout=5)
    assert (client.max_retry_count, client.signature, client.timeout) == (7, "v2", 5)


def test_its_own_keys_win(server):
    server.keys = {"OTHER": ("other-secret", "token")}
    own = {"access_key_id": "OTHER", "secret_access_key": "other-secret", "security_token": "token"}
    client = Session(**settings(server)).get_obs_client(**own)
    assert client.headBucket("b").status == 200
    client.close()


@pytest.mark.parametrize("login", [(None, None), ("ann", "p@ss:word/1")])
def test_its_own_proxy_leads_there(server, login):
    session = Session(**settings(server, obs_endpoint="http://obs.test.example"))
    host, port = server.url[len("http://") :].split(":")
    own = {"proxy_host": host, "proxy_port": port}
    if login[0]:
        own.update(proxy_username=login[0], proxy_password=login[1])
    client = session.get_obs_client(max_retry_count=0, **own)
    assert client.headBucket("b").status == client.headBucket("b").status == 200
    (first, _) = server.calls
    assert first.by_proxy
    pair = first.headers.get("Proxy-Authorization", "Basic ")[len("Basic ") :]
    assert base64.b64decode(pair).decode() == ":".join(filter(None, login))
    client.close()


def test_dotted_bucket_uses_certified_host(server, tmp_path):
    """As OBS has it: ``*`` in a certificate stands for a name without dots."""
    bundle, server.tls = tls_for(tmp_path, "*.obs.test.example", "obs.test.example")
    server.buckets["my.logs"] = {}
    proxies, url = {"https": server.url}, "https://obs.test.example"
    path, back = a_file(tmp_path, 1000), tmp_path / "back"
    with Session(**settings(server, obs_endpoint=url, proxies=proxies, verify=bundle)) as session:
        for bucket in ("b", "my.logs"):
            session.obs.upload_file(path, "obs://%s/x/" % bucket)
            session.obs.download_file("obs://%s/x/file" % bucket, str(back) + "/")
            assert (back / "file").read_bytes() == path.read_bytes()
    assert {call.host for call in server.calls} == {
        "b.obs.test.example",
        "my.logs.obs.test.example",
    }


@pytest.mark.parametrize("names", [["*.other.example"], ["*.obs.test.example"]])
def test_bucket_host_needs_its_certificate(server, tmp_path, names):
    """No bucket is at a place that another name is certified for."""
    bundle, server.tls = tls_for(tmp_path, *names)
    other = {"obs_endpoint": "https://obs.test.example", "proxies": {"https": server.url}}
    session = Session(**settings(server, verify=bundle, **other))
    with pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
        session.obs.is_obs_path_exists("obs://my.logs/x")
    session.close()
    assert server.calls == []


def test_cname_addresses_the_bucket():
    """A bucket is addressed by a name of its own where that is asked for."""
    url = "https://b.obs.eu-de.otc.t-systems.com"
    session = with_keys(obs_endpoint=url)
    assert session.get_obs_client(is_cname=True).is_cname


@pytest.mark.parametrize("endpoint", ["http://obs.test.example", "https://obs.test.example"])
@pytest.mark.parametrize("scheme", ["https", "socks5"])
def test_plain_proxy_gets_no_password(server, tmp_path, endpoint, scheme):
    """A proxy that would get the password unencrypted gets nothing."""
    proxy = server.url.replace("http://", scheme + "://ann:the-password@")
    others = {"obs_endpoint": endpoint, "proxies": {endpoint.partition(":")[0]: proxy}}
    session = Session(**settings(server, **others))
    with pytest.raises(ConfigurationError, match="got %s://127.0.0.1" % scheme) as caught:
        session.obs.upload_file(a_file(tmp_path, 10), "obs://b/x/")
    assert "the-password" not in str(caught.value)
    assert server.connections == 0
    session.close()


@pytest.mark.parametrize("endpoint", ["http://obs.test.example", "https://obs.test.example"])
def test_a_proxy_that_is_not_there_is_what_is_named(server, endpoint):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        proxy = "127.0.0.1:%d" % free.getsockname()[1]
        others = {"obs_endpoint": endpoint, "proxies": {"all": "http://ann:secret@" + proxy}}
        session = Session(**settings(server, **others))
        with pytest.raises(TransportError, match="the proxy %s: .*refused" % proxy) as caught:
            session.obs.is_obs_path_exists("obs://b/x")
        assert "secret" not in str(caught.value)
        session.close()


@pytest.mark.parametrize("name", ["verify", "cert"])
@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_file_that_holds_no_certificate_is_named(server, tmp_path, name, content):
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_bytes(content)
    others = {"obs_endpoint": server.url.replace("http:", "https:"), name: str(path)}
    session = Session(**settings(server, **others))
    with pytest.raises(ConfigurationError, match=r"bundle\.pem' .*cannot be used"):
        session.obs.is_obs_path_exists("obs://b/x")
    assert server.calls == []
    session.close()


def test_its_own_certificates_win(server, tmp_path):
    bundle, server.tls = tls_for(tmp_path, "*.obs.test.example")
    other = {"obs_endpoint": "https://obs.test.example", "proxies": {"https": server.url}}
    session = Session(**settings(server, **other))
    client = session.get_obs_client(max_retry_count=0, ssl_verify=bundle)
    assert client.headBucket("b").status == 200
    client.close()
    client = session.get_obs_client(max_retry_count=0)
    with pytest.raises(ssl.SSLCertVerificationError):
        client.headBucket("b")
    client.close()


def tls_for(folder, *names):
    """The bundle that a server of these names is verified by, and its own settings."""
    certificate, key = a_certificate(folder, *names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


@pytest.mark.parametrize(
    ("endpoint", "signature", "path_style"),
    [
        ("https://obs.eu-de.otc.t-systems.com", "obs", False),
        ("https://obs.cn-north-4.myhuaweicloud.com", "obs", False),
        ("https://obsv3.region-1.private.example", "obs", False),
        ("http://127.0.0.1:9000", "v4", True),
        ("http://localhost:9000", "v4", True),
        ("https://minio.example.com", "v4", True),
        ("https://minio.obs.example.com", "v4", True),
    ],
)
def test_how_a_server_is_addressed_and_signed_for(endpoint, signature, path_style):
    session = with_keys(obs_endpoint=endpoint)
    client = session.get_obs_client()
    assert (client.signature, client.path_style) == (signature, path_style)
    assert not client.is_signature_negotiation


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("file:///data/obs", "no OBS client for a folder"),
        ("https://example.com/obs", "without a path"),
        ("http://[::1]:9000", "IPv6"),
        ("https://b.obs.cn-north-4.myhuaweicloud.com", "bucket: 'https://obs.cn-north-4.myhuaw"),
        ("https://my.logs.obs.eu-de.otc.t-systems.com:443", "without a bucket"),
    ],
)
def test_an_endpoint_that_it_cannot_use_is_said(endpoint, words):
    session = with_keys(obs_endpoint=endpoint)
    with pytest.raises(ConfigurationError, match=words):
        session.get_obs_client()


def test_no_secret_is_logged_or_shown(server, caplog):
    caplog.set_level(logging.DEBUG)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        client = Session(**settings(server)).get_obs_client(max_retry_count=0)
        client.putContent("b", "k", "content")
        server.keys = {}
        client.putContent("b", "k", "content")
        shown = repr(client) + str(client)
        client.close()
    assert SK not in caplog.text + out.getvalue() + shown


def test_a_connection_that_the_server_has_closed_is_not_used(server, tmp_path):
    clock = FakeClock()
    session = Session(**settings(server, clock=clock))
    client = session.get_obs_client(max_retry_count=0)
    assert client.headBucket("b").status == 200
    (idle,) = client.connections._idle.values()
    idle[0].since -= 10
    idle[0].sock.shutdown(2)
    assert client.headBucket("b").status == 200
    assert server.connections == 2
    client.close()


def test_returned_connection_stays_open(server, tmp_path):
    """It is another thread's by then, maybe."""
    store = store_of(server, Session(**settings(server)))
    store.upload(str(a_file(tmp_path, 1000)), "b", "k")
    found = store.head("b", "k")

    def fail(count):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.download(found, str(tmp_path / "back"), fail)
    assert store.head("b", "k") == found
    assert server.connections == 1


def test_a_forked_child_has_connections_of_its_own(server):
    client = Session(**settings(server)).get_obs_client(max_retry_count=0)
    assert client.headBucket("b").status == 200
    child = os.fork()
    if child == 0:
        os._exit(0 if client.headBucket("b").status == 200 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert client.headBucket("b").status == 200
    assert server.connections == 2
    client.close()


def test_certificates_must_name_the_host():
    """Certificates must name the host as everywhere in the sdk."""
    context = make_context(True, None)
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.get_ca_certs()
    assert make_context(False, None).verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("https://obs.cn-north-4.myhuaweicloud.com", "b.obs.cn-north-4.myhuaweicloud.com"),
        ("http://127.0.0.1:9000", "127.0.0.1"),
        ("http://localhost:9000", "localhost"),
        ("http://minio:9000", "minio"),
    ],
)
def test_bucket_goes_before_the_host_of_obs_only(endpoint, host):
    session = with_keys(obs_endpoint=endpoint, proxies={})
    client = session.get_obs_client()
    assert client.calling_format.get_server(client.server, "b") == host
    client.close()


def test_without_the_extra_the_error_says_how_to_get_it():
    program = """
import sys
sys.modules["obs"] = None  # as if it were not installed
from modelarts.errors import ConfigurationError
from modelarts.session import Session
try:
    Session(access_key="AK", secret_key="SK", region_name="eu-de").get_obs_client()
except ConfigurationError as error:
    print(error)
"""
    said = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert "pip install 'modelarts[obs]'" in said


# Other servers ----------------------------------------------------------------------------


@pytest.fixture
def moto():
    buckets = Buckets()
    yield buckets.endpoint
    buckets.stop()


def test_a_server_that_speaks_s3_does_as_well(moto, tmp_path):
    """Parts are of 5 MB at least there, names are listed in its way of quoting."""
    session = with_keys(region_name="us-east-1", obs_endpoint=moto, proxies={}, clock=FakeClock())
    # All servers of moto in one process have the same buckets.
    bucket = "bucket-of-a-server-that-speaks-s3"
    client = session.get_obs_client(max_retry_count=0)
    assert client.createBucket(bucket).status == 200
    store = ObsStore(client, session.clock, sizes=Sizes(multipart=6_000_000))
    path, back = a_file(tmp_path, 9_000_000), tmp_path / "back"
    names = ["plain", "with space+plus", "中文/日志", "hash#%2F"]
    for name in names:
        store.upload(str(path), bucket, name)
        found = store.head(bucket, name)
        assert (found.size, same(str(path), found)) == (9_000_000, True)
        store.download(found, str(back))
        assert same(str(back), found)
    assert [found.key for found in store.list(bucket)] == sorted(names)
    assert store.head(bucket, "nothing") is None
    assert not store.has_bucket("nothing")
    assert store.delete(bucket, names) == []
    assert list(store.list(bucket)) == []
    store.close()


def test_a_server_that_is_not_there_is_a_transport_error(tmp_path):
    session = with_keys(obs_endpoint="http://127.0.0.1:1", proxies={}, clock=FakeClock())
    store = ObsStore(session.get_obs_client(max_retry_count=0), session.clock)
    with pytest.raises(TransportError, match=r"127\.0\.0\.1:1"):
        store.head("b", "k")


# Parts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2**20, 10**9, 5 * 2**30 + 1, 48 * 10**12])
def test_ten_thousand_parts_are_enough_for_any_file(size):
    sizes = layout(size)
    assert sum(sizes) == size
    assert len(sizes) <= MAX_PARTS
    assert max(sizes) <= 5 * 2**30


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("smallest", [SIZES.min_part, MIN_PART_S3])
def test_parts_cover_file_through_interruptions(seed, smallest):
    """Parts cover a file whatever fails and whenever it is interrupted."""
    print("seed", seed)
    drawn = random.Random(seed)
    size, done = 3 * 10**9, []
    for _ in range(6):
        plan = Layout(size, SIZES.part, smallest, done)
        for _ in range(100):
            part = plan.take()
            if part is None:
                break
            if drawn.random() < 0.3:
                plan.failed()
            if drawn.random() < 0.8:
                plan.went_through(part)
                done.append(part)
    plan = Layout(size, SIZES.part, smallest, done)
    rest = list(iter(plan.take, None))
    covered = sorted(done + rest)
    place = 0
    for _, offset, length in covered:
        assert offset == place
        place += length
        assert length >= smallest or place == size
    assert place == size
    assert len({part.number for part in covered}) == len(covered) <= MAX_PARTS
    assert isinstance(covered[0], Part)


def test_a_file_is_compared_with_an_object_by_what_is_known(tmp_path):
    path = a_file(tmp_path, 20_000_000)
    etag = combined(md5_of(str(path), layout(20_000_000)))
    whole = next(md5_of(str(path), [20_000_000])).hex()

    def info(size=20_000_000, **known):
        return ObjectInfo("b", "k", size, **known)

    assert same(str(path), info(etag=etag)) is True
    assert same(str(path), info(etag=whole)) is True
    assert same(str(path), info(etag="0" * 32)) is False
    assert same(str(path), info(etag="0" * 32 + "-9")) is None
    assert same(str(path), info(etag="x", md5=whole)) is True
    assert same(str(path), info(size=1, etag=whole)) is False
    assert same(str(path), info()) is None


def test_many_threads_share_one_client(server):
    client = Session(**settings(server)).get_obs_client(max_retry_count=0)
    wrong = []

    def work(number):
        for turn in range(20):
            key = "%d-%d" % (number, turn)
            client.putContent("b", key, key)
            if client.getObject("b", key, loadStreamInMemory=True).body.buffer != key.encode():
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert server.connections <= 8
    client.close()
