"""Objects in OBS: what arrives is what was sent, under the name it was sent by, signed."""

import hashlib
import os
import random
import tempfile

import pytest

from modelarts import auth
from modelarts.auth.credentials import AccessKey, CredentialSet
from modelarts.errors import (
    ApiError,
    AuthenticationFailed,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    TransferError,
    TransportError,
)
from modelarts.obs.multipart.plan import SIZES, Sizes
from modelarts.obs.stores.base import ObjectInfo
from modelarts.session import Session
from tests.servers.obs_server import Cut, Refusal
from tests.support.clocks import FakeClock
from tests.support.transfers import (
    SIZE,
    SK,
    SMALL_SIZES,
    a_file,
    an_object,
    asks_range,
    interrupt_upload,
    make_store,
    store_of,
)

pytestmark = pytest.mark.obs

NAMES = [
    "plain.txt",
    "with spaces  two",
    " leading and trailing ",
    "hash#percent%2Fplus+question?and&equals=",
    "中文/日志.log",
    "emoji 🙂/x",
    "a//b///c",
    "./dot/../dots",
    "~tilde!'()*:@$,;",
    'quote"less<more>',
    "back\\slash",
    "/".join("d" for _ in range(500)) + "/end",
]


# Names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["store", "by_host"])
def test_any_name_comes_back_byte_for_byte(way, server, request, tmp_path):
    store = request.getfixturevalue(way)
    path, back = a_file(tmp_path, 1000), tmp_path / "back"
    for name in NAMES:
        store.upload(str(path), "b", name)
    assert set(server.buckets["b"]) == set(NAMES)
    assert [found.key for found in store.list("b")] == sorted(NAMES, key=str.encode)
    for name in NAMES:
        found = store.head("b", name)
        assert (found.key, found.size) == (name, 1000)
        store.download(found, str(back))
        assert back.read_bytes() == path.read_bytes()
    assert store.delete("b", NAMES) == []
    assert server.buckets["b"] == {}


def test_signatures_are_verified_at_all(server, tmp_path):
    store = make_store(server, secret_key="not-that-one")
    with pytest.raises(AuthenticationFailed) as caught:
        store.upload(str(a_file(tmp_path, 10)), "b", "k")
    assert caught.value.error_code == "SignatureDoesNotMatch"
    assert caught.value.request_id == "8DF4"
    assert SK not in caught.value.body


@pytest.mark.parametrize("key", ["", "k" * 1025, "中" * 342, "\udcff"])
def test_a_name_that_obs_cannot_have_is_refused_at_once(store, server, tmp_path, key):
    with pytest.raises(InvalidArgument, match="key"):
        store.upload(str(a_file(tmp_path, 10)), "b", key)
    assert server.calls == []


# Looking ----------------------------------------------------------------------------------


def test_a_list_has_all_pages(store, server, tmp_path):
    server.page = 3
    names = ["logs/%02d +%%" % number for number in range(10)]
    server.buckets["b"] = {name: (b"x", '"%s"' % hashlib.md5(b"x").hexdigest()) for name in names}
    server.buckets["b"]["other"] = (b"", '""')
    assert [found.key for found in store.list("b", "logs/")] == names
    first = next(store.list("b", "logs/"))
    assert first.etag == hashlib.md5(b"x").hexdigest()
    assert first.modified == 1784595723.0


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Shanghai", "America/New_York"])
def test_times_in_a_list_are_right_in_any_zone(store, server, monkeypatch, zone):
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    server.buckets["b"] = {"k": (b"", '""')}
    assert next(store.list("b")).modified == 1784595723.0
    monkeypatch.undo()
    time.tzset()


def test_what_is_not_there_is_none_and_who_may_not_see_is_told(store, server):
    assert store.head("b", "nothing") is None
    assert store.has_bucket("b")
    assert not store.has_bucket("c")

    def refuse(call):
        raise Refusal(403, "AccessDenied")

    server.before = refuse
    with pytest.raises(PermissionDenied):
        store.head("b", "nothing")


def test_a_list_of_no_bucket_says_so(store):
    with pytest.raises(NotFound, match=r"NoSuchBucket.*create the bucket") as caught:
        list(store.list("c"))
    assert caught.value.operation == "list obs://c/"


# Sending and fetching ---------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1_000_000, 1_500_000, 2_000_001, 40_000_000])
def test_a_file_comes_back_whole(server, tmp_path, size):
    """The largest goes in parts and comes in ranges of the usual sizes."""
    server.chunk *= 64
    store = make_store(server, Sizes(multipart=2_000_000))
    path, back = a_file(tmp_path, size), tmp_path / "back"
    sent, fetched = [], []
    store.upload(str(path), "b", "k", sent.append)
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    found = store.head("b", "k")
    store.download(found, str(back), fetched.append)
    assert back.read_bytes() == path.read_bytes()
    assert sum(sent) == sum(fetched) == found.size == size
    assert server.uploads == {}
    assert sorted(os.listdir(tmp_path)) == ["back", "file"]


def test_connections_are_used_again(store, server, tmp_path):
    path = a_file(tmp_path, 100)
    for number in range(20):
        store.upload(str(path), "b", "k%d" % number)
    assert server.connections == 1


def test_what_is_appended_meanwhile_is_left_for_the_next_time(store, server, tmp_path):
    path = a_file(tmp_path, SIZE // 2)
    before = path.read_bytes()

    def append(call):
        if "partNumber" in call.query:
            with open(path, "ab") as file:
                file.write(b"more")

    server.before = append
    store.upload(str(path), "b", "k")
    assert server.buckets["b"]["k"][0] == before


@pytest.mark.parametrize("in_parts", [True, False])
@pytest.mark.parametrize("change", ["truncated", "replaced", "rewritten"])
def test_a_file_that_changes_is_an_error_and_leaves_nothing(server, tmp_path, change, in_parts):
    """The file sent in one request is larger than the buffers of its connection."""
    size, sizes = (SIZE, SMALL_SIZES) if in_parts else (20_000_000, SIZES)
    server.chunk = 64 * 1024
    store = make_store(server, sizes)
    path = a_file(tmp_path, size)
    before = path.read_bytes()
    server.buckets["b"]["k"] = (b"earlier", '"x"')
    spoilt = []

    def spoil(call, count):
        if call.method == "PUT" and not spoilt:
            spoilt.append(call)
            if change == "truncated":
                os.truncate(path, 100)
            elif change == "rewritten":
                path.write_bytes(bytes(size))
            else:
                (tmp_path / "new").write_bytes(b"new")
                os.replace(tmp_path / "new", path)

    server.during = spoil
    if in_parts or change != "replaced":
        with pytest.raises(TransferError, match="file"):
            store.upload(str(path), "b", "k")
        assert server.buckets["b"]["k"][0] == b"earlier"
    else:
        # It is read from what the name led to at first.
        store.upload(str(path), "b", "k")
        assert server.buckets["b"]["k"][0] == before
    assert server.uploads == {}


def test_a_download_that_fails_leaves_the_file_as_it_was(store, server, tmp_path):
    server.crc64 = None
    server.buckets["b"]["k"] = (b"content", '"%s"' % ("0" * 32))
    target = tmp_path / "target"
    target.write_bytes(b"before")
    with pytest.raises(TransferError, match="checksum"):
        store.download(store.head("b", "k"), str(target))
    assert target.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["target"]


def test_two_versions_of_an_object_are_not_mixed(store, server, tmp_path):
    size = 3 * SMALL_SIZES.range + 1
    server.buckets["b"]["k"] = (bytes(size), '"one"')
    found = store.head("b", "k")
    ranges = []

    def replace(call):
        ranges.append(call.headers.get("Range"))
        if len(ranges) >= 2:  # two may come at the same moment
            server.buckets["b"]["k"] = (b"1" * size, '"two"')

    server.before = replace
    with pytest.raises(TransferError, match="replaced"):
        store.download(found, str(tmp_path / "target"))
    assert os.listdir(tmp_path) == []


def test_an_error_of_this_disk_is_raised_as_it_is(store, server, tmp_path):
    with pytest.raises(FileNotFoundError):
        store.upload(str(tmp_path / "nothing"), "b", "k")
    server.buckets["b"]["k"] = (b"x", '"x"')
    with pytest.raises(FileNotFoundError):
        store.download(store.head("b", "k"), str(tmp_path / "no folder" / "file"))
    assert len(server.calls) == 1


def test_what_progress_raises_ends_the_transfer(store, server, tmp_path):
    def stop(count):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        store.upload(str(a_file(tmp_path, SIZE // 2)), "b", "k", stop)
    assert server.buckets["b"] == {}


# Failing ----------------------------------------------------------------------------------


def test_no_answer_is_tried_again_and_then_told(server, tmp_path):
    clock = FakeClock()
    store = make_store(server, clock=clock)

    def cut(call):
        raise Cut

    server.before = cut
    with pytest.raises(TransportError, match="4 attempts") as caught:
        store.upload(str(a_file(tmp_path, 10)), "b", "k")
    assert caught.value.address == server.url
    assert len(clock.sleeps) == 3


def test_a_connection_whose_answer_was_cut_off_is_not_used_again(server, tmp_path):
    """So each cut costs one attempt, however many there are."""
    clock = FakeClock()
    store = make_store(server, clock=clock)
    store.upload(str(a_file(tmp_path, SIZE // 20)), "b", "k")
    cuts = []

    def cut(call, content):
        if (
            call.method == "GET"
            and len(cuts) < 5
            and len(content) < (SIZE - SIZE // 7 * len(cuts)) // 20
        ):
            cuts.append(len(content))
            raise Cut

    server.during = cut
    store.download(store.head("b", "k"), str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()
    assert len(cuts) == len(clock.sleeps) == 5


@pytest.mark.parametrize("seed", range(3))
def test_cuts_at_any_moment_do_not_matter(server, tmp_path, seed):
    """Sent in parts and fetched in ranges, over connections that are cut at random."""
    print("seed", seed)
    drawn = random.Random(seed)
    store = make_store(server)
    path, back = a_file(tmp_path, SIZE, seed=seed), tmp_path / "back"

    def maybe_cut(call, count):
        if drawn.random() < 0.005:
            raise Cut

    sent, fetched = [], []
    server.during = maybe_cut
    store.upload(str(path), "b", "k", sent.append)
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    store.download(store.head("b", "k"), str(back), fetched.append)
    assert back.read_bytes() == path.read_bytes()
    assert sum(sent) == sum(fetched) == SIZE
    assert server.uploads == {}


@pytest.mark.parametrize("size", [SMALL_SIZES.memory, SMALL_SIZES.multipart, SIZE])
def test_what_arrives_damaged_is_sent_once_more(store, server, tmp_path, size):
    """A bit that flips on the way, once, in a small file, a larger one, or a part of one."""
    damaged = []

    def damage(call, body):
        if call.method != "PUT" or damaged or call.query.get("partNumber", "2") != "2":
            return body
        damaged.append(call)
        return body[:-1] + bytes([body[-1] ^ 1])

    server.arrived = damage
    path, sent = a_file(tmp_path, size), []
    store.upload(str(path), "b", "k", sent.append)
    assert damaged
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert sum(sent) == size
    assert server.uploads == {}


def test_parts_that_always_arrive_damaged_are_refused(store, server, tmp_path):
    """OBS itself refuses them, since it is told their checksums by then."""
    server.arrived = lambda call, body: body[:-1] + b"!" if "partNumber" in call.query else body
    with pytest.raises(ApiError) as caught:
        store.upload(str(a_file(tmp_path, SIZE // 6)), "b", "k")
    assert caught.value.error_code == "BadDigest"
    assert server.buckets["b"] == {}
    assert server.uploads == {}


def test_server_verifies_parts_without_etags(server, tmp_path):
    """As in buckets that encrypt with keys of KMS; a few are sent twice until that is clear."""
    server.crc64 = None
    server.etag = lambda part: hashlib.md5(b"key" + part).hexdigest()
    store = make_store(server)
    path, sent = a_file(tmp_path, 5 * SIZE // 2), []
    store.upload(str(path), "b", "k", sent.append)
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert sum(sent) == 5 * SIZE // 2
    parts = [call for call in server.calls if "partNumber" in call.query]
    verified = [call.query["partNumber"] for call in parts if call.headers["Content-MD5"]]
    assert sorted(map(int, verified)) == list(range(1, len(verified) + 1))
    assert 0 < len(parts) - len(verified) <= 4


def test_a_lost_answer_to_the_last_request_is_not_a_failure(store, server, tmp_path):
    """The object is there, so the second attempt finds no upload any more."""
    lost = []

    def lose(call):
        if call.method == "POST" and "uploadId" in call.query and not lost:
            lost.append(call)
            raise Cut

    server.after = lose
    path = a_file(tmp_path, SMALL_SIZES.multipart + 1)
    store.upload(str(path), "b", "k")
    assert lost
    assert server.buckets["b"]["k"][0] == path.read_bytes()


def test_an_interrupted_upload_goes_on_in_another_process(server, tmp_path):
    path = a_file(tmp_path, SIZE)
    interrupt_upload(server, path)
    (upload,) = server.uploads
    arrived = sum(len(part) for part in server.uploads[upload][2].values())
    assert arrived > 0
    server.received = 0
    sent = []
    make_store(server).upload(str(path), "b", "k", sent.append)
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert server.received < SIZE - arrived + 10_000
    assert sum(sent) == SIZE
    assert server.uploads == {}


def test_changed_file_replaces_old_parts(server, tmp_path):
    """A changed file is sent anew and the old parts are deleted."""
    path = a_file(tmp_path, SIZE)
    interrupt_upload(server, path)
    a_file(tmp_path, SIZE + 1, seed=2)
    make_store(server).upload(str(path), "b", "k")
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert server.uploads == {}


def test_an_interrupted_download_goes_on(server, tmp_path):
    content, target = an_object(server), tmp_path / "target"
    store = make_store(server)
    found = store.head("b", "k")

    def cut(call):
        if asks_range(call, 4):
            raise Cut

    server.before = cut
    with pytest.raises(TransportError):
        store.download(found, str(target))
    assert [name[:8] for name in os.listdir(tmp_path)] == [".target."]
    server.before = lambda call: None
    server.calls.clear()
    make_store(server).download(found, str(target))
    assert target.read_bytes() == content
    assert len(server.calls) < 6
    assert os.listdir(tmp_path) == ["target"]


def test_what_obs_refuses_leaves_no_parts(store, server, tmp_path):
    def refuse(call):
        if call.query.get("partNumber") == "2":
            raise Refusal(403, "AccessDenied")

    server.before = refuse
    with pytest.raises(PermissionDenied):
        store.upload(str(a_file(tmp_path, SIZE // 2)), "b", "k")
    assert server.uploads == {}


def test_one_that_cannot_be_deleted_is_named(store, server):
    server.buckets["b"] = {"one": (b"", '""'), "two\x01": (b"", '""')}

    def refuse(call):
        if call.method == "DELETE":
            raise Refusal(403, "AccessDenied")

    server.before = refuse
    ((key, error),) = store.delete("b", ["one", "two\x01"])
    assert key == "two\x01"
    assert error.error_code == "AccessDenied"


def test_too_large_file_is_refused_at_once(store, server, tmp_path):
    """A file that no object can be as large as is refused at once."""
    places = [str(tmp_path), "/dev/shm"]  # not each file system takes a file with such a hole
    for place in filter(os.path.isdir, places):
        with tempfile.NamedTemporaryFile(dir=place) as huge:
            try:
                huge.truncate(10_000 * 5 * 2**30 + 1)
            except OSError:
                continue
            with pytest.raises(InvalidArgument, match=r"48\.8 TiB"):
                store.upload(huge.name, "b", "k")
            break
    assert server.calls == []


# Keys that end ----------------------------------------------------------------------------


class Issuer:
    """A place that hands out temporary keys, each good until the server forgets them."""

    name = "issuer"

    def __init__(self, server):
        self.server = server
        self.issued = 0

    def issue(self):
        self.issued += 1
        key = "TEMPORARY%d" % self.issued
        self.server.keys = {key: (SK, "token%d" % self.issued)}
        return AccessKey(key, SK, "token%d" % self.issued, expires_at=4070908800.0)

    def load(self, surroundings):
        return CredentialSet(credentials=self.issue(), source=self.name, renew=self.issue)


@pytest.mark.parametrize("size", [1000, SIZE])
@pytest.mark.parametrize("way", ["address", "host"])
def test_keys_that_end_in_the_middle_of_an_upload_are_renewed(server, tmp_path, size, way):
    """The service does not know them any more, long before they were to end."""
    issuer = Issuer(server)
    auth.add_provider(issuer)
    try:
        where = {"obs_endpoint": server.url, "proxies": {}}
        if way == "host":
            url = "http://obs.test.example"
            where = {"obs_endpoint": url, "proxies": {"http": server.url}}
        session = Session(project_id="p", region_name="eu-de", clock=FakeClock(), **where)
    finally:
        auth.remove_provider(issuer.name)
    store = store_of(server, session)
    path, ended = a_file(tmp_path, size), []

    def end(call):
        if (call.query.get("partNumber") == "3" or size == 1000) and not ended:
            ended.append(server.keys.popitem())

    server.before = end
    store.upload(str(path), "b", "k")
    assert ended
    assert issuer.issued == 2
    assert server.buckets["b"]["k"][0] == path.read_bytes()


def test_an_object_info_is_a_value():
    assert ObjectInfo("b", "k", 1) == ObjectInfo("b", "k", 1)
