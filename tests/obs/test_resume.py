"""Transfers that go on: whatever ended the one before, and whoever is at it at the same time."""

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from modelarts.errors import (
    AuthenticationFailed,
    IncompleteTransfer,
    RateLimited,
    ServerError,
    TransferError,
    TransportError,
)
from modelarts.obs.api import Obs
from modelarts.obs.io import Source
from modelarts.obs.multipart.checkpoint import folder as checkpoints_folder
from tests.servers.obs_server import Cut, Refusal
from tests.support.clocks import FakeClock
from tests.support.transfers import (
    SIZE,
    SMALL_SIZES,
    a_file,
    an_object,
    asks_range,
    checkpoints,
    interrupt_download,
    interrupt_upload,
    make_store,
)

pytestmark = pytest.mark.obs

DAMAGES = {
    "no first line": lambda lines: lines[1:],
    "another first line": lambda lines: ["[]", *lines],
    "no object": lambda lines: ["null", *lines],
    "no upload": lambda lines: [json.dumps({**json.loads(lines[0]), "upload": 5}), *lines[1:]],
    "too short": lambda lines: [*lines, "[1]"],
    "too long": lambda lines: [*lines, "[1, 0, 131072, 4, 5, 6, 7, 8]"],
    "a number": lambda lines: [*lines, "262144"],
    "other types": lambda lines: [*lines, '[{}, "0", null, [], 1.5, "x"]'],
    "half a line": lambda lines: [*lines, '[3, 262144, 131072, "0a'],
    "an older form": lambda lines: [
        lines[0],
        *(json.dumps(json.loads(line)[:-1]) for line in lines[1:]),
    ],
    "no text": lambda lines: [*lines, "\x00\udcff"],
    "too deep": lambda lines: [*lines, "[" * 100_000],
}


def damage(kind):
    (path,) = checkpoints()
    lines = [line for line in path.read_text("utf-8").splitlines() if line]
    path.write_text("\n".join(DAMAGES[kind](lines)), "utf-8", errors="surrogateescape")


# What is remembered ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_upload_record_costs_only_time(server, tmp_path, kind):
    """A damaged memory of an upload costs time and nothing else."""
    path = a_file(tmp_path, SIZE)
    interrupt_upload(server, path)
    damage(kind)
    sent = []
    make_store(server).upload(str(path), "b", "k", sent.append)
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert sum(sent) == SIZE
    assert checkpoints() == []


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_download_record_costs_only_time(server, tmp_path, kind):
    """A damaged memory of a download costs time and nothing else."""
    content, target = an_object(server), tmp_path / "target"
    found = make_store(server).head("b", "k")
    with pytest.raises(TransportError):
        interrupt_download(server, found, target)
    damage(kind)
    fetched = []
    make_store(server).download(found, str(target), fetched.append)
    assert target.read_bytes() == content
    assert sum(fetched) == len(content)
    assert checkpoints() == []
    assert os.listdir(tmp_path) == ["target"]


@pytest.mark.parametrize("content", ["[]", "null", "5", '{"server": 5}', "\udcff"])
def test_a_damaged_memory_of_long_ago_disturbs_no_other_upload(store, server, tmp_path, content):
    old = Path(checkpoints_folder()) / "old.jsonl"
    old.parent.mkdir(parents=True)
    old.write_text(content, "utf-8", errors="surrogateescape")
    os.utime(str(old), (1, 1))
    store.upload(str(a_file(tmp_path, SMALL_SIZES.multipart + 1)), "b", "k")
    assert "k" in server.buckets["b"]


def test_what_nobody_came_back_for_is_deleted_at_both_ends(server, tmp_path):
    an_object(server)
    found, target = make_store(server).head("b", "k"), tmp_path / "target"
    with pytest.raises(TransportError):
        interrupt_download(server, found, target)
    interrupt_upload(server, a_file(tmp_path, SIZE))
    assert len(list(tmp_path.glob(".target.*.part"))) == len(server.uploads) == 1
    for each in checkpoints():
        os.utime(str(each), (1, 1))
    make_store(server).upload(str(a_file(tmp_path, SIZE, "other")), "b", "other")
    assert list(tmp_path.glob(".*")) == []
    assert server.uploads == {}
    assert checkpoints() == []


def test_another_file_of_the_same_size_and_time_is_sent_anew(server, tmp_path):
    """As archives make them that have one time for all their files."""
    path = a_file(tmp_path, SIZE)
    os.utime(str(path), (1_000_000_000, 1_000_000_000))
    interrupt_upload(server, path)
    other = a_file(tmp_path, SIZE, "other", seed=2)
    os.utime(str(other), (1_000_000_000, 1_000_000_000))
    os.replace(str(other), str(path))
    make_store(server).upload(str(path), "b", "k")
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert server.uploads == {}


def test_who_may_send_and_not_see_what_arrived_begins_anew(server, tmp_path):
    path = a_file(tmp_path, SIZE)
    interrupt_upload(server, path)

    def refuse(call):
        if call.method == "GET" and "uploadId" in call.query:
            raise Refusal(403, "AccessDenied")

    server.before = refuse
    make_store(server).upload(str(path), "b", "k")
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert server.uploads == {}


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refusal(503, "SlowDown"), RateLimited),
        (Refusal(500, "InternalError"), ServerError),
        (Refusal(403, "InvalidAccessKeyId"), AuthenticationFailed),
    ],
)
def test_a_download_goes_on_after_a_refusal_that_passes(server, tmp_path, refusal, error):
    content, target = an_object(server), tmp_path / "target"
    found = make_store(server).head("b", "k")
    with pytest.raises(error):
        interrupt_download(server, found, target, refusal)
    server.calls.clear()
    make_store(server).download(found, str(target))
    assert target.read_bytes() == content
    assert len([call for call in server.calls if call.method == "GET"]) <= 4
    assert os.listdir(tmp_path) == ["target"]


def test_present_object_leaves_no_partial_files(server, tmp_path):
    """The folders were moved before, the attempt was interrupted, and the next one compares."""
    obs = Obs(lambda: make_store(server), lambda: server.url, FakeClock())
    source, back = tmp_path / "source", tmp_path / "back"
    source.mkdir()
    path = a_file(source, 9 * SMALL_SIZES.part, "large")

    def move():
        obs.upload_dir(source, "obs://b/")
        return obs.download_dir("obs://b/source/", back)

    def cut_upload(call):
        if call.query.get("partNumber") == "9":
            raise Cut

    def cut_download(call):
        if asks_range(call, 4):
            raise Cut

    move()
    for cut in (cut_upload, cut_download):
        server.before = cut
        with pytest.raises(IncompleteTransfer):
            move()
        assert len(checkpoints()) == 1
        server.before = lambda call: None
        assert move().target == str(back / "source")
        assert (server.uploads, checkpoints()) == ({}, [])
        assert os.listdir(str(back / "source")) == ["large"]
    assert (back / "source" / "large").read_bytes() == path.read_bytes()
    obs.close()


# Files that change -------------------------------------------------------------------------


def test_a_file_that_is_deleted_meanwhile_leaves_no_parts(store, server, tmp_path):
    path = a_file(tmp_path, SIZE)

    def delete(call):
        if call.query.get("partNumber") == "4":
            path.unlink()
            server.before = lambda call: None

    server.before = delete
    with pytest.raises(FileNotFoundError):
        store.upload(str(path), "b", "k")
    assert server.uploads == {}
    assert checkpoints() == []


def test_replaced_file_is_not_resumed(tmp_path):
    """Only the beginning of a longer one would be sent."""
    path = a_file(tmp_path, 1000)
    source = Source.of(str(path))
    os.replace(str(a_file(tmp_path, 5000, "longer")), str(path))
    with pytest.raises(TransferError, match="was replaced while it was being sent"):
        source.read()
    with pytest.raises(TransferError, match="was replaced while it was being sent"):
        source.md5(0, 1000, lambda: None)


# The end -----------------------------------------------------------------------------------


CRCS = ["known", "unknown", "unknown from the fifth part on"]


def knows_crc(server, crc64, call):
    if crc64 == "unknown" or (crc64 != "known" and call.query.get("partNumber") == "5"):
        server.crc64 = None


@pytest.mark.parametrize("crc64", CRCS)
def test_an_older_object_is_not_taken_for_what_was_sent(store, server, tmp_path, crc64):
    """The service failed once, and then the upload was gone."""
    server.buckets["b"]["k"] = (b"old", '"%s"' % hashlib.md5(b"old").hexdigest())

    def fail(call):
        knows_crc(server, crc64, call)
        if call.method == "POST" and server.uploads.pop(call.query.get("uploadId"), None):
            raise Refusal(500, "InternalError")

    server.before = fail
    with pytest.raises(TransferError, match="removed before it was complete; send it again"):
        store.upload(str(a_file(tmp_path, SIZE)), "b", "k")
    assert server.buckets["b"]["k"][0] == b"old"
    assert checkpoints() == []


@pytest.mark.parametrize("crc64", CRCS)
def test_object_of_lost_answer_is_found(store, server, tmp_path, crc64):
    """An object that was made though the answer was lost is found."""
    lost = []

    def lose(call):
        if call.method == "POST" and "uploadId" in call.query and not lost:
            lost.append(call)
            raise Cut

    server.before = lambda call: knows_crc(server, crc64, call)
    server.after = lose
    path = a_file(tmp_path, SIZE)
    store.upload(str(path), "b", "k")
    assert lost
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert checkpoints() == []


# At the same time --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, SIZE])
def test_concurrent_fetches_of_one_object_succeed(server, tmp_path, size):
    """Two that fetch the same at once do not disturb each other."""
    content, target = an_object(server, size), tmp_path / "target"
    found = make_store(server).head("b", "k")
    both, failed = threading.Barrier(2, timeout=30), []
    waited = threading.local()

    def wait(call, part):
        # Until both are in the middle of it.
        if call.method == "GET" and not both.broken and not hasattr(waited, "once"):
            waited.once = True
            try:
                both.wait()
            except threading.BrokenBarrierError:
                pass
            both.abort()

    def fetch():
        try:
            make_store(server).download(found, str(target))
        except Exception as error:
            failed.append(error)

    server.during = wait
    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert target.read_bytes() == content
    assert os.listdir(tmp_path) == ["target"]
    assert checkpoints() == []


def test_concurrent_sends_of_one_file_succeed(server, tmp_path):
    """Two that send the same at once do not disturb each other."""
    path, second = a_file(tmp_path, SIZE), []

    def send_too(call):
        if call.query.get("partNumber") == "3" and not second:
            second.append(call)
            make_store(server).upload(str(path), "b", "k")

    server.before = send_too
    make_store(server).upload(str(path), "b", "k")
    assert second
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert server.uploads == {}
    assert checkpoints() == []
