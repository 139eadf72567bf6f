"""Jobs whose files are in OBS: a mirror against an S3 server, and the service over it."""

import hashlib
import json
import os
import pickle
import signal
import threading
from types import SimpleNamespace

import pytest
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from modelarts._internal.clock import Clock
from modelarts._obs_keys import KeySender
from modelarts.auth.credentials import AccessKey
from modelarts.errors import BadRequest, ConfigurationError, InvalidArgument
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.logs import wanted
from modelarts.local.logs.mirror import Budget, Mirror
from modelarts.local.logs.obs_source import Mirrors
from modelarts.local.logs.remote import Bucket, Passing, Refused, Source
from modelarts.local.server.control import stop
from modelarts.obs.esdk.client import make_client
from modelarts.session import Session
from modelarts.visualization.display.table import facts
from tests.servers.buckets import Buckets, access_key_of
from tests.servers.forkserver import run_forked
from tests.servers.http_server import Metadata, served
from tests.servers.service import SECRETS, Service
from tests.support.boards import curve
from tests.support.clocks import FakeClock, wait_until

pytestmark = pytest.mark.local

KEYS = SimpleNamespace(
    access_key=Buckets.access_key, secret_key=Buckets.secret_key, security_token=None
)
PREFIX = "logs/"


def source_of(buckets):
    """The OBS, with the client of the SDK."""
    client = make_client(
        buckets.endpoint,
        lambda: KEYS,
        lambda refused: False,
        timeout=20,
        verify=True,
        cert=None,
        proxies=lambda address: {},
    )
    return Source(buckets.endpoint, client, lambda: KEYS, "the test")


@pytest.fixture(scope="module")
def server():
    SECRETS.add(Buckets.secret_key)
    server = Buckets()
    yield server
    server.close()


@pytest.fixture
def buckets(server):
    """A server with a new, empty bucket; its account of requests is empty, too."""
    server.name = "training-%s" % os.urandom(4).hex()
    server.make(server.name)
    server.asked.clear()
    yield server
    server.refuse = lambda request: None


@pytest.fixture
def bucket(buckets):
    """Our reader of it."""
    return Bucket(source_of(buckets), buckets.name)


@pytest.fixture
def mirror(tmp_path):
    mirror = new_mirror(tmp_path)
    assert not mirror.open()
    return mirror


def new_mirror(folder, budget=None, ended=None, origin="origin"):
    budget = Budget(10**9) if budget is None else budget
    return Mirror(folder / "job-1-1", origin, PREFIX, budget, ended or threading.Event())


def content(mirror):
    files = (file for file in mirror.files.rglob("*") if file.is_file())
    return {str(file.relative_to(mirror.files)): file.read_bytes() for file in files}


# What is fetched --------------------------------------------------------------------------


def test_mirror_holds_the_folder_and_nothing_else(buckets, bucket, mirror):
    """A mirror holds what lies under the folder and nothing else."""
    kept = {
        "events.out.tfevents.1": b"one",
        "run 1/ü+&=#%.tfevents.2": b"two",
        "plugins/profile/a/host.xplane.pb": b"three",
        "empty.tfevents": b"",
    }
    for path, data in kept.items():
        buckets.put(buckets.name, PREFIX + path, data)
    for key in ("logs", "logs2/events.out.tfevents.1", "other/x", PREFIX, PREFIX + "folder/"):
        buckets.put(buckets.name, key, b"not this")
    mirror.round(bucket)
    assert content(mirror) == kept


@pytest.fixture
def small_pages(buckets):
    return Bucket(source_of(buckets), buckets.name, per_page=3)


def test_every_page_of_a_list_is_read(buckets, small_pages, mirror):
    bucket = small_pages
    for number in range(4):
        buckets.put(buckets.name, "%sr +%d/x.tfevents" % (PREFIX, number), b"x")
    mirror.round(bucket)
    assert len(content(mirror)) == 4
    buckets.asked.clear()
    assert mirror.round(bucket) == 0
    assert len(buckets.asked) == 2  # two pages, and no object


def test_only_new_bytes_of_grown_object_are_fetched(buckets, bucket, mirror):
    data = os.urandom(100_000)
    key = PREFIX + "x.tfevents"
    for size in (50_000, 50_001, 90_000, 100_000):
        buckets.put(buckets.name, key, data[:size])
        assert mirror.round(bucket) == 1
        assert content(mirror) == {"x.tfevents": data[:size]}
    sizes = [one.size for one in buckets.reads("/%s/%s" % (buckets.name, key))]
    assert sizes == [50_000, 4096 + 1, 4096 + 39_999, 4096 + 10_000]


def test_a_file_that_grows_is_the_same_file(buckets, bucket, mirror):
    """The board may have it open."""
    buckets.put(buckets.name, PREFIX + "x.tfevents", b"one")
    mirror.round(bucket)
    with open(mirror.files / "x.tfevents", "rb") as file:
        assert file.read() == b"one"
        buckets.put(buckets.name, PREFIX + "x.tfevents", b"one two")
        mirror.round(bucket)
        assert file.read() == b" two"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"x" * 10_000, b"y" * 20_000),  # another file of the same name
        (b"x" * 10_000, b"y" + b"x" * 19_999),  # only its beginning differs
        (b"x" * 10_000, b"x" * 10),
        (b"x" * 10_000, b""),
        (b"x" * 10_000, b"y" * 10_000),
        (b"", b"x"),
    ],
)
def test_an_object_that_was_written_anew_is_fetched_anew(buckets, bucket, mirror, before, after):
    buckets.put(buckets.name, PREFIX + "x.tfevents", before)
    mirror.round(bucket)
    buckets.put(buckets.name, PREFIX + "x.tfevents", after)
    mirror.round(bucket)
    assert content(mirror) == {"x.tfevents": after}


def send_in_parts(buckets, content, file):
    """Its ETag is no MD5 of its content then."""
    file.write_bytes(content)
    sent = buckets.client().uploadFile(
        buckets.name, PREFIX + "x.tfevents", str(file), partSize=5 * 1024 * 1024
    )
    assert sent.status == 200


def test_an_object_sent_in_parts_grows_too(buckets, bucket, mirror, tmp_path):
    part = os.urandom(5 * 1024 * 1024)
    for size in (len(part) + 1000, len(part) + 5000):
        send_in_parts(buckets, (part + part)[:size], tmp_path / "big")
        mirror.round(bucket)
        assert content(mirror) == {"x.tfevents": (part + part)[:size]}
    reads = buckets.reads("/%s/%sx.tfevents" % (buckets.name, PREFIX))
    assert [one.size for one in reads] == [len(part) + 1000, 4096 + 4000]


def test_rewritten_multipart_object_is_fetched_anew(buckets, bucket, mirror, tmp_path):
    """An object sent in parts and written anew is fetched anew."""
    for number in (1, 2):
        data = os.urandom(5 * 1024 * 1024 + number)
        send_in_parts(buckets, data, tmp_path / "big")
        mirror.round(bucket)
        assert content(mirror) == {"x.tfevents": data}


def test_deletions_in_obs_are_mirrored(buckets, bucket, mirror):
    buckets.put(buckets.name, PREFIX + "a/b/x.tfevents", b"x")
    buckets.put(buckets.name, PREFIX + "a/y.tfevents", b"y")
    mirror.round(bucket)
    buckets.delete(buckets.name, PREFIX + "a/b/x.tfevents")
    mirror.round(bucket)
    assert content(mirror) == {"a/y.tfevents": b"y"}
    assert not (mirror.files / "a" / "b").exists()


def test_a_list_that_fails_in_the_middle_deletes_nothing(buckets, small_pages, mirror):
    bucket = small_pages
    for number in range(4):
        buckets.put(buckets.name, "%s%d.tfevents" % (PREFIX, number), b"x")
    mirror.round(bucket)
    buckets.refuse = lambda request: (503, "SlowDown") if request.args.get("marker") else None
    with pytest.raises(Passing, match="503 SlowDown"):
        mirror.round(bucket)
    assert len(content(mirror)) == 4


def test_object_changed_after_list_is_read_later(buckets, bucket, mirror):
    """An object that changes between list and read is read next time."""
    key = PREFIX + "x.tfevents"
    buckets.put(buckets.name, key, b"old")

    def change(request):
        if request.method == "GET" and request.path.endswith("x.tfevents"):
            buckets.refuse = lambda request: None
            buckets.put(buckets.name, key, b"newer")

    buckets.refuse = change
    mirror.round(bucket)
    assert content(mirror) == {}
    assert "has changed" in mirror.left_out["x.tfevents"]
    mirror.round(bucket)
    assert content(mirror) == {"x.tfevents": b"newer"}
    assert mirror.left_out == {}


def test_objects_are_fetched_eight_at_once(buckets, bucket, mirror):
    for number in range(8):
        buckets.put(buckets.name, "%s%d.tfevents" % (PREFIX, number), b"x")
    together = threading.Barrier(8)

    def meet(request):
        if request.path.endswith(".tfevents"):
            together.wait(30)

    buckets.refuse = meet
    assert mirror.round(bucket) == 8
    assert not together.broken


def test_first_curve_does_not_wait_for_the_last_object(buckets, tmp_path):
    for name in ("new", "old"):
        buckets.put(buckets.name, PREFIX + name + ".tfevents", b"x")
    released = threading.Event()
    buckets.refuse = lambda r: (
        released.wait(60) and None if r.path.endswith("old.tfevents") else None
    )
    mirrors = Mirrors(source_of(buckets), tmp_path, FakeClock())
    job = SimpleNamespace(job_id=1, run=1, train_url="/%s/%s" % (buckets.name, PREFIX))
    folder = mirrors.open(job, lambda job, reason: None).folder
    assert [file.name for file in folder.iterdir()] == ["new.tfevents"]
    released.set()
    mirrors.close(1)
    wait_until_removed(folder.parent)
    mirrors.shut()


def test_requests_are_counted_as_obs_counts_them(buckets, small_pages, mirror):
    for number in range(4):
        buckets.put(buckets.name, "%s%d.tfevents" % (PREFIX, number), b"x" * 10)
    buckets.asked.clear()
    mirror.round(small_pages)
    buckets.put(buckets.name, PREFIX + "0.tfevents", b"x" * 15)
    mirror.round(small_pages)
    counted = small_pages.requests
    asked = [one.path for one in buckets.asked if one.method == "GET"]
    assert counted.lists == asked.count("/" + buckets.name) == 4
    assert counted.reads == len(asked) - counted.lists == 5
    assert counted.size == 4 * 10 + 15


# What is left out -------------------------------------------------------------------------


def test_checkpoints_and_data_are_left_in_obs(buckets, bucket, mirror):
    for name in ("m.ckpt", "m.ckpt-10.data-00000-of-00001", "m.PTH", "d.tar.gz", "d.tfrecord"):
        buckets.put(buckets.name, PREFIX + name, b"x")
    buckets.put(buckets.name, PREFIX + "events.out.tfevents.1.m.ckpt", b"event file")
    buckets.put(buckets.name, PREFIX + "host.trace.json.gz", b"profile")
    mirror.round(bucket)
    assert set(content(mirror)) == {"events.out.tfevents.1.m.ckpt", "host.trace.json.gz"}
    assert mirror.left_out == {}


def test_event_files_come_first_in_little_room(buckets, bucket, tmp_path):
    budget = Budget(1000)
    mirror = new_mirror(tmp_path, budget)
    mirror.open()
    buckets.put(buckets.name, PREFIX + "a.txt", b"x" * 600)
    buckets.put(buckets.name, PREFIX + "b.tfevents", b"y" * 600)
    mirror.round(bucket)
    assert set(content(mirror)) == {"b.tfevents"}
    assert "the cache is full" in mirror.left_out["a.txt"]
    buckets.delete(buckets.name, PREFIX + "b.tfevents")
    mirror.round(bucket)
    assert set(content(mirror)) == {"a.txt"}
    mirror.remove()
    assert budget.take(1000)


def test_shrunk_and_failed_objects_free_room(buckets, bucket, tmp_path):
    """Room is given back by what shrinks and by what could not be read."""
    budget = Budget(1000)
    mirror = new_mirror(tmp_path, budget)
    mirror.open()
    key = PREFIX + "x.tfevents"
    buckets.put(buckets.name, key, b"x" * 900)
    mirror.round(bucket)
    buckets.put(buckets.name, key, b"y" * 100)
    mirror.round(bucket)
    buckets.put(buckets.name, key, b"z" * 1000)
    buckets.refuse = lambda r: (503, "SlowDown") if r.path.endswith("x.tfevents") else None
    with pytest.raises(Passing):
        mirror.round(bucket)
    assert budget.take(900)
    assert not budget.take(1)


def found(path, size=1, modified="2026/01/01 00:00:00"):
    return SimpleNamespace(key=PREFIX + path, size=size, etag="e", modified=modified)


def test_new_event_files_come_before_old_ones():
    listed = [found("a.tfevents", modified="1"), found("b.txt"), found("c.tfevents", modified="2")]
    chosen = wanted.select(PREFIX, listed).wanted
    assert [path for path, _ in chosen] == ["c.tfevents", "a.tfevents", "b.txt"]


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "a//x", "/etc/x", "./x", "a/.", "x\0y", "x" * 256, "ü" * 128]
)
def test_a_key_that_no_file_can_have_is_left_out(path):
    selection = wanted.select(PREFIX, [found(path)])
    assert (selection.wanted, list(selection.left_out)) == ([], [path])


def test_what_is_too_large_or_too_much_is_left_out_by_name():
    listed = [found("%d.tfevents" % number) for number in range(wanted.MOST_FILES + 2)]
    selection = wanted.select(PREFIX, [*listed, found("big", wanted.MOST_OBJECT + 1)])
    assert len(selection.wanted) == wanted.MOST_FILES
    assert len(selection.left_out) == 3
    assert selection.left_out["big"] == "it is larger than 1024 MiB"


def test_a_key_below_another_key_harms_only_itself(buckets, bucket, mirror):
    buckets.put(buckets.name, PREFIX + "x", b"a file")
    buckets.put(buckets.name, PREFIX + "x/y", b"and a folder")
    buckets.put(buckets.name, PREFIX + "z.tfevents", b"z")
    mirror.round(bucket)
    assert len(content(mirror)) == 2
    (path,) = mirror.left_out
    assert (path[0], mirror.left_out[path]) == ("x", "a folder has the same name")


# What stays -------------------------------------------------------------------------------


def test_new_service_reuses_whole_files(buckets, bucket, tmp_path):
    """A new service takes over what is whole and fetches the rest."""
    for name in ("a", "b", "c"):
        buckets.put(buckets.name, PREFIX + name + ".tfevents", name.encode() * 9)
    first = new_mirror(tmp_path)
    first.open()
    first.round(bucket)
    (first.files / "a.tfevents").write_bytes(b"a" * 12)  # killed while it grew
    (first.files / "b.tfevents").write_bytes(b"b")  # and a disk that lost some
    (first.files / "left.tfevents").write_bytes(b"never finished")
    second = new_mirror(tmp_path)
    assert second.open()
    buckets.asked.clear()
    second.round(bucket)
    assert content(second) == {"%s.tfevents" % n: n.encode() * 9 for n in ("a", "b", "c")}
    assert [one.path for one in buckets.asked[1:]] == ["/%s/logs/b.tfevents" % buckets.name]


@pytest.mark.parametrize("index", ["", "[]", '{"origin": "origin"', '{"origin": "elsewhere"}'])
def test_an_index_that_cannot_be_used_means_to_begin_anew(buckets, bucket, tmp_path, index):
    buckets.put(buckets.name, PREFIX + "a.tfevents", b"a")
    first = new_mirror(tmp_path)
    first.open()
    first.round(bucket)
    (tmp_path / "job-1-1" / "index.json").write_text(index)
    second = new_mirror(tmp_path)
    assert not second.open()
    assert content(second) == {}
    second.round(bucket)
    assert content(second) == {"a.tfevents": b"a"}


def test_unwanted_round_ends_early(buckets, bucket, tmp_path):
    """A round ends in the middle when it is not wanted any more."""
    ended = threading.Event()
    mirror = new_mirror(tmp_path, ended=ended)
    mirror.open()
    for name in ("a", "b"):
        buckets.put(buckets.name, PREFIX + name + ".tfevents", b"x" * 1000)

    def end(request):
        if request.path.endswith(".tfevents"):
            ended.set()

    buckets.refuse = end
    mirror.round(bucket)
    assert content(mirror) == {}


# Who reads --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((403, "AccessDenied"), "the keys of the test may not read bucket"),
        ((403, "InvalidAccessKeyId"), "does not accept the keys of the test"),
        ((403, "SignatureDoesNotMatch"), "does not accept the keys of the test"),
        ((403, "RequestTimeTooSkewed"), "set its clock"),
        ((404, "NoSuchBucket"), "there is no bucket"),
        ((400, "Whatever"), "HTTP 400 Whatever"),
    ],
)
def test_a_refusal_says_what_to_do(buckets, bucket, refusal, said):
    buckets.refuse = lambda request: refusal
    with pytest.raises(Refused, match=said) as caught:
        list(bucket.list(""))
    assert buckets.endpoint in str(caught.value)
    assert Buckets.secret_key not in str(caught.value)


def test_forbidden_object_is_refused_archived_skipped(buckets, bucket, mirror):
    """An object that may not be read is a refusal and an archived one is left out."""
    buckets.put(buckets.name, PREFIX + "x.tfevents", b"x")
    code = "InvalidObjectState"
    buckets.refuse = lambda request: (403, code) if request.path.endswith("x.tfevents") else None
    mirror.round(bucket)
    assert "InvalidObjectState" in mirror.left_out["x.tfevents"]
    code = "AccessDenied"
    with pytest.raises(Refused, match=r"object 'logs/x\.tfevents' of bucket"):
        mirror.round(bucket)


def test_a_server_that_is_gone_is_asked_again(buckets, bucket, mirror):
    buckets.put(buckets.name, PREFIX + "x.tfevents", b"x")
    mirror.round(bucket)
    buckets.stop()
    with pytest.raises(Passing, match="Connection refused"):
        mirror.round(bucket)
    assert content(mirror) == {"x.tfevents": b"x"}
    buckets.start_again()
    assert mirror.round(bucket) == 0


def wait_until_removed(folder):
    """A round that goes on meanwhile has to end first."""
    wait_until(lambda: not folder.exists())


def test_obs_is_asked_as_often_as_somebody_looks(buckets, tmp_path):
    buckets.put(buckets.name, PREFIX + "x.tfevents", b"x")
    clock = FakeClock()
    mirrors = Mirrors(source_of(buckets), tmp_path, clock)
    job = SimpleNamespace(job_id=1, run=1, train_url="/%s/%s" % (buckets.name, PREFIX))
    folder = mirrors.open(job, lambda job, reason: None).folder
    assert (folder / "x.tfevents").read_bytes() == b"x"
    buckets.put(buckets.name, PREFIX + "x.tfevents", b"xy")
    before = len(buckets.reads("/" + buckets.name))
    mirrors.visited(1)  # too soon
    clock.now += 6
    mirrors.visited(1)
    wait_until(lambda: (folder / "x.tfevents").read_bytes() == b"xy")
    assert len(buckets.reads("/" + buckets.name)) == before + 1
    mirrors.close(1)
    wait_until_removed(folder.parent)
    mirrors.shut()


def reader(buckets, job_id):
    """A job over the folder of the test."""
    return SimpleNamespace(job_id=job_id, run=1, train_url="/%s/%s" % (buckets.name, PREFIX))


def ignore(job, reason):
    """Do nothing about a job that cannot be read."""


def test_sleeping_board_sends_no_requests_to_obs(buckets, tmp_path):
    """Nor do two of one folder; while one of them is awake, OBS is asked for both."""
    buckets.put(buckets.name, PREFIX + "x.tfevents", b"x")
    clock = FakeClock()
    mirrors = Mirrors(source_of(buckets), tmp_path, clock)
    job, other = reader(buckets, 1), reader(buckets, 2)
    folder = mirrors.open(job, ignore).folder
    assert mirrors.open(other, ignore).folder == folder
    mirrors.rest(1)
    buckets.put(buckets.name, PREFIX + "x.tfevents", b"xy")
    clock.now += 3600
    mirrors.visited(2)
    wait_until(lambda: (folder / "x.tfevents").read_bytes() == b"xy")
    mirrors.rest(2)
    buckets.put(buckets.name, PREFIX + "x.tfevents", b"xyz")
    before = len(buckets.reads("/" + buckets.name))
    for _ in range(3):
        clock.now += 3600
        mirrors.visited(1)
    assert len(buckets.reads("/" + buckets.name)) == before
    assert mirrors.open(job, ignore).folder == folder
    assert (folder / "x.tfevents").read_bytes() == b"xyz"
    mirrors.shut()


def test_jobs_over_one_folder_share_a_mirror(buckets, tmp_path):
    """Each object is read once; the mirror stays until the last job is closed."""
    for name in "abc":
        buckets.put(buckets.name, PREFIX + name + ".tfevents", b"x")
    mirrors = Mirrors(source_of(buckets), tmp_path, FakeClock())
    folders = {mirrors.open(reader(buckets, number), ignore).folder for number in range(5)}
    (folder,) = folders
    wait_until(lambda: len(list(folder.iterdir())) == 3)
    assert mirrors.requests(0).reads == 3
    assert mirrors.requests(0) is mirrors.requests(4)
    assert [len(buckets.reads("/%s/%s%s.tfevents" % (buckets.name, PREFIX, n))) for n in "abc"] == [
        1,
        1,
        1,
    ]
    for number in range(4):
        mirrors.close(number)
    assert len(list(folder.iterdir())) == 3
    again = SimpleNamespace(**{**vars(reader(buckets, 4)), "run": 2})
    mirrors.open(again, ignore)
    mirrors.close(4, run=1)  # late
    assert len(list(folder.iterdir())) == 3
    mirrors.close(4, run=2)
    wait_until_removed(folder.parent)
    mirrors.shut()


def test_front_ends_share_a_mirror(buckets, tmp_path):
    """The one that is visited updates it; the last that closes it removes it."""
    buckets.put(buckets.name, PREFIX + "x.tfevents", b"x")
    clock = FakeClock()
    here, there = (Mirrors(source_of(buckets), tmp_path, clock, is_shared=True) for _ in range(2))
    folder = here.open(reader(buckets, 1), ignore).folder
    assert there.open(reader(buckets, 1), ignore).folder == folder
    path = "/%s/%sx.tfevents" % (buckets.name, PREFIX)
    for front, data in ((there, b"xy"), (here, b"xyz")):
        buckets.put(buckets.name, PREFIX + "x.tfevents", data)
        clock.now += 6
        front.visited(1)
        wait_until(lambda data=data: (folder / "x.tfevents").read_bytes() == data)
    assert len(buckets.reads(path)) == 3
    lists = len(buckets.reads("/" + buckets.name))
    clock.now += 6
    for front in (here, there):
        front.visited(1)
    wait_until(lambda: len(buckets.reads("/" + buckets.name)) > lists)
    here.close(1)
    assert (folder / "x.tfevents").read_bytes() == b"xyz"
    there.close(1)
    wait_until_removed(folder.parent)
    assert len(buckets.reads("/" + buckets.name)) == lists + 1
    for front in (here, there):
        front.shut()


# The service ------------------------------------------------------------------------------


@pytest.fixture
def serve(buckets, tmp_path, monkeypatch):
    """Starts services that read those buckets, with keys from the environment."""
    monkeypatch.setenv("MODELARTS_ACCESS_KEY", Buckets.access_key)
    monkeypatch.setenv("MODELARTS_SECRET_KEY", Buckets.secret_key)
    started = []

    def serve(*arguments):
        root = tmp_path / "root"
        service = Service(root, "--obs-endpoint", buckets.endpoint, *arguments)
        started.append(service)
        return service

    yield serve
    for service in started:
        service.end()
        assert not any(Buckets.secret_key in line for line in service.log if line)


@pytest.fixture(scope="module")
def reading(server, tmp_path_factory):
    """A service that reads those buckets, for all tests that do it no harm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELARTS_ACCESS_KEY", Buckets.access_key)
        patch.setenv("MODELARTS_SECRET_KEY", Buckets.secret_key)
        root = tmp_path_factory.mktemp("reading") / "root"
        # In the environment and the command line of a process of its own.
        service = Service(root, "--obs-endpoint", server.endpoint, is_forked=False)
    yield service
    assert service.end() == 0
    assert not any(Buckets.secret_key in line for line in service.log if line)


class Training:
    """Adds to an event file, and uploads it whole after each step."""

    def __init__(self, buckets, folder, key):
        folder.mkdir()
        self._file = folder / "events.out.tfevents.1790000000.host"
        self._buckets = buckets
        self._key = key + self._file.name
        self._add(event_pb2.Event(file_version="brain.Event:2"))

    def step(self, number, value):
        scalar = summary_pb2.Summary.Value(tag="loss", simple_value=value)
        self._add(event_pb2.Event(step=number, summary=summary_pb2.Summary(value=[scalar])))
        sent = self._buckets.client().putFile(self._buckets.name, self._key, str(self._file))
        assert sent.status == 200

    def _add(self, event):
        with open(self._file, "ab") as file:
            RecordWriter(file).write(event.SerializeToString())


def caches(service):
    """Return the folders with copies of what is in OBS."""
    return set((service.root / "cache").glob("*"))


def test_job_shows_objects_and_later_additions(buckets, reading, tmp_path):
    """A job shows what is in obs and what training adds meanwhile."""
    training = Training(buckets, tmp_path / "run", "logs/run/")
    training.step(1, 0.5)
    service = reading
    before = caches(service)
    assert service.connection["obs_endpoint"] == buckets.endpoint
    with service.session() as session:
        job = VisualizationJob.create("/%s/logs/run/" % buckets.name, session=session).wait()
        assert curve(job, 1) == [(1, 0.5)]
        training.step(2, 0.25)
        assert curve(job, 2) == [(1, 0.5), (2, 0.25)]
        assert "reason" not in job.refresh().raw
        (cache,) = caches(service) - before
        job.delete()
        wait_until_removed(cache)


def test_obs_keys_are_in_no_file_log_or_command_line(buckets, reading, tmp_path):
    """The keys for obs are in no file no log and no command line."""
    Training(buckets, tmp_path / "run", "logs/run/").step(1, 0.5)
    service = reading
    with service.session() as session:
        job = VisualizationJob.create("/%s/logs/run/" % buckets.name, session=session).wait()
        board = service.board_pid(job)
        for pid in (service.process.pid, board):
            with open("/proc/%d/cmdline" % pid) as file:
                assert Buckets.secret_key not in file.read()
        job.stop().wait(until=JobStatus.KILLED)
    kept = [file for file in service.root.rglob("*") if file.is_file()]
    assert {"service.log", "jobs.sqlite", "service.json"} <= {file.name for file in kept}
    assert [file for file in kept if Buckets.secret_key.encode() in file.read_bytes()] == []


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (None, r"there is no bucket 'nowhere-at-all' at http://127"),
        ((403, "AccessDenied"), r"the keys of AK/SK from environment MODELARTS_\* may not read"),
    ],
)
def test_a_create_over_a_bucket_that_cannot_be_read_is_refused(buckets, reading, refusal, said):
    buckets.refuse = lambda request: refusal
    with reading.session() as session:
        with pytest.raises(BadRequest, match=said) as caught:
            VisualizationJob.create("/nowhere-at-all/logs/", "refused", session=session)
        assert caught.value.error_code == "ModelArts.0104"
        assert VisualizationJob.list(session, search_content="refused") == []


def test_unreadable_files_fail_job_with_reason(buckets, reading):
    """A job whose files turn out not to be readable fails with the reason."""
    buckets.put(buckets.name, "logs/x.tfevents", b"x")
    buckets.refuse = lambda r: (403, "AccessDenied") if r.path.endswith("x.tfevents") else None
    service = reading
    before = caches(service)
    with service.session() as session:
        job = VisualizationJob.create("/%s/logs/" % buckets.name, session=session)
        service.said(r"job %s: failed" % job.visualization_id)
        job.refresh()
        assert job.status == JobStatus.FAILED
        assert "may not read object 'logs/x.tfevents'" in job.raw["reason"]
        wait_until(lambda: caches(service) <= before)
        buckets.refuse = lambda request: None
        job.restart().wait().delete()


def test_jobs_run_while_obs_is_silent(buckets, reading, tmp_path):
    Training(buckets, tmp_path / "run", "logs/run/").step(1, 0.5)
    service = reading
    buckets.stop()
    with service.session() as session:
        job = VisualizationJob.create("/%s/logs/run/" % buckets.name, session=session).wait()
        service.said(r"job %s: .*Connection refused" % job.visualization_id)
        assert "Connection refused" in job.refresh().raw["reason"]
        buckets.start_again()
        assert curve(job, 1, seconds=120) == [(1, 0.5)]
        job.delete()


def test_killed_service_shows_mirror_and_goes_on(buckets, serve, tmp_path):
    training = Training(buckets, tmp_path / "run", "logs/run/")
    training.step(1, 0.5)
    service = serve()
    with service.session() as session:
        job = VisualizationJob.create("/%s/logs/run/" % buckets.name, session=session).wait()
        assert curve(job, 1) == [(1, 0.5)]
    service.end(signal.SIGKILL)
    buckets.refuse = lambda request: (503, "SlowDown")
    service = serve()
    with service.session() as session:
        job = VisualizationJob.get(job.visualization_id, session).wait()
        assert curve(job, 1) == [(1, 0.5)]
        buckets.refuse = lambda request: None
        training.step(2, 0.25)
        assert curve(job, 2, seconds=120) == [(1, 0.5), (2, 0.25)]


def test_details_and_log_count_requests(buckets, reading, tmp_path):
    Training(buckets, tmp_path / "run", "logs/run/").step(1, 0.5)
    service = reading
    with service.session() as session:
        job = VisualizationJob.create("/%s/logs/run/" % buckets.name, session=session).wait()
        assert curve(job, 1) == [(1, 0.5)]
        counted = job.refresh().raw["obs_requests"]
        assert (counted["list"] >= 1, counted["read"]) == (True, 1)
        shown = facts(job)
        assert "OBS requests %d list, 1 read (0.0 MB)" % counted["list"] in shown
        name = "job %s" % job.visualization_id
        service.said(name + ": up to date: 1 list and 1 read requests to OBS, 0.0 MB")
        job.delete()
        service.said(name + r": in all: \d+ list and 1 read requests to OBS")


# Session.local(obs=…) ---------------------------------------------------------------------


@pytest.fixture
def cloud(buckets):
    """A session whose OBS is that of the test."""
    SECRETS.add(Buckets.secret_key)
    with Session(
        access_key=Buckets.access_key,
        secret_key=Buckets.secret_key,
        project_id="0" * 32,
        region_name="cn-north-4",
        obs_endpoint=buckets.endpoint,
        proxies={},
    ) as session:
        yield session


@pytest.fixture
def root(tmp_path):
    """A folder whose service is ended."""
    root = tmp_path / "root"
    yield root
    if (root / "service.json").exists():
        stop(root, Clock())


def test_one_line_shows_the_logs_of_a_session(buckets, cloud, root, tmp_path):
    Training(buckets, tmp_path / "run", "logs/run/").step(1, 0.5)
    url = "obs://%s/logs/run/" % buckets.name
    job = VisualizationJob.ensure(url, session=Session.local(root, obs=cloud)).wait()
    assert curve(job, 1) == [(1, 0.5)]
    again = VisualizationJob.ensure(url, session=Session.local(root, obs=cloud))
    assert again.visualization_id == job.visualization_id
    assert len(list(again.session.obs.list("obs://%s/logs/" % buckets.name))) == 1
    pid = json.loads((root / "service.json").read_text())["pid"]
    for name in ("cmdline", "environ"):
        with open("/proc/%d/%s" % (pid, name), "rb") as file:
            assert Buckets.secret_key.encode() not in file.read()
    kept = [file for file in root.rglob("*") if file.is_file()]
    assert [file for file in kept if Buckets.secret_key.encode() in file.read_bytes()] == []


def test_renewed_keys_reach_the_service(buckets, cloud, root, tmp_path):
    Training(buckets, tmp_path / "run", "logs/run/").step(1, 0.5)
    local = Session.local(root, obs=cloud)
    keys = [
        AccessKey("FIRST", "first-secret", "t", expires_at=1.0),
        AccessKey("OTHER", "other-secret", "t"),
    ]
    sender = KeySender(local._wiring.parts.client, lambda: keys[0])
    assert [sender.renew(), sender.renew()] == [True, False]
    assert sender.is_temporary
    url = "/%s/logs/run/" % buckets.name
    VisualizationJob.create(url, session=local, check=False)
    assert access_keys(buckets) == ["FIRST"]
    del keys[0]
    assert sender.renew()
    assert not sender.is_temporary
    VisualizationJob.create(url, session=local, check=False)
    assert access_keys(buckets)[-1] == "OTHER"


def test_pickled_session_has_no_keys_of_the_cloud(buckets, root, monkeypatch):
    monkeypatch.setenv("MODELARTS_ACCESS_KEY", Buckets.access_key)
    monkeypatch.setenv("MODELARTS_SECRET_KEY", Buckets.secret_key)
    cloud = Session(project_id="0" * 32, region_name="r", obs_endpoint=buckets.endpoint)
    pickled = pickle.dumps(Session.local(root, obs=cloud))
    assert Buckets.secret_key.encode() not in pickled
    again = pickle.loads(pickled)
    assert list(again.obs.list("obs://%s/" % buckets.name)) == []


def access_keys(buckets):
    """Return the keys that signed requests so far, each once, in their order."""
    return list(
        dict.fromkeys(one.access_key for one in buckets.asked if one.access_key[:3] != "BUC")
    )


def test_service_without_keys_waits_for_them(buckets, root, tmp_path):
    Training(buckets, tmp_path / "run", "logs/run/").step(1, 0.5)
    service = Service(root, "--obs-endpoint", buckets.endpoint, "--obs-keys-sent")
    try:
        with service.session() as session:
            url = "/%s/logs/run/" % buckets.name
            job = VisualizationJob.create(url, session=session).wait()
            service.said("none were sent yet")
            assert "Session.local(obs=…) sends them" in job.refresh().raw["reason"]
            KeySender(session._wiring.parts.client, lambda: AccessKey("AK", "SK")).renew()
            assert curve(job, 1) == [(1, 0.5)]
    finally:
        service.end()


def test_keys_that_are_none_are_refused(buckets, root):
    service = Service(root, "--obs-endpoint", buckets.endpoint, "--obs-keys-sent")
    try:
        with service.session() as session:
            client = session._wiring.parts.client
            for body in ([], {}, {"access_key": "AK"}, {"access_key": 1, "secret_key": "s"}):
                with pytest.raises(BadRequest, match="must be 1 to 16384 ASCII characters"):
                    client.call("send keys", "PUT", "/local/obs-keys", body=json.dumps(body))
    finally:
        service.end()


def test_service_that_reads_another_obs_is_not_joined(buckets, cloud, root):
    service = Service(root)
    try:
        with pytest.raises(ConfigurationError, match=r"does not read http://127.*another root"):
            Session.local(root, obs=cloud)
    finally:
        service.end()


@pytest.mark.parametrize("obs", ["obs://bucket/", 1, True])
def test_obs_that_is_no_session_is_refused(root, obs):
    with pytest.raises(InvalidArgument, match="obs"):
        Session.local(root, obs=obs)
    assert not root.exists()


def test_temporary_keys_are_renewed_from_where_they_came(buckets, serve, tmp_path, monkeypatch):
    training = Training(buckets, tmp_path / "run", "logs/run/")
    training.step(1, 0.5)
    for name in ("MODELARTS_ACCESS_KEY", "MODELARTS_SECRET_KEY"):
        monkeypatch.delenv(name)
    handler = type("Expired", (Metadata,), {"expires_at": "2020-01-01T00:00:00.000000Z"})
    with served(handler) as metadata:
        monkeypatch.setenv("MODELARTS_METADATA_ENDPOINT", "http://" + metadata)
        # Keys that were used twice have ended.
        used = []

        def refuse(request):
            if request.method != "GET":
                return None
            used.append(access_key_of(request))
            return (403, "ExpiredToken") if used.count(used[-1]) > 2 else None

        buckets.refuse = refuse
        service = serve()
        with service.session() as session:
            job = VisualizationJob.create("/%s/logs/run/" % buckets.name, session=session).wait()
            training.step(2, 0.25)
            assert curve(job, 2) == [(1, 0.5), (2, 0.25)]
        service.end()
    tokens = {one.token for one in buckets.asked if one.access_key.startswith("ECS")}
    assert tokens == {"token-of-the-server"}
    assert len(set(used)) > 2


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("file:///tmp", "--obs-endpoint must be an address"),
        ("https://obs.example.com/path", "without a path"),
        ("https://a b", "must be an address"),
    ],
)
def test_an_endpoint_that_is_none_is_refused_at_once(tmp_path, endpoint, said):
    done = _serve(tmp_path, endpoint)
    assert (done.returncode, said in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr


def test_without_keys_the_service_says_where_it_has_looked(tmp_path):
    done = _serve(tmp_path, "https://obs.example.com")
    assert done.returncode == 1
    assert "--obs-endpoint needs keys of that OBS" in done.stderr
    assert "  - MODELARTS_CONFIG: not given\n" in done.stderr
    assert "environment HUAWEICLOUD_SDK_*" in done.stderr
    assert "--local" not in done.stderr  # which this command has not


def _serve(root, endpoint):
    return run_forked("serve", "--root", str(root), "--obs-endpoint", endpoint)


def test_etag_of_test_server_is_md5(buckets, bucket):
    """The etag of the test server is the md5 that is relied on."""
    buckets.put(buckets.name, "x", b"content")
    (found,) = bucket.list("")
    assert found.etag == hashlib.md5(b"content").hexdigest()
