"""Checksums of transfers: CRC-64 where the service knows it, MD5 elsewhere."""

import hashlib
import os
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obs import CompletePart, util

from modelarts.errors import TransferError
from modelarts.obs.crc64 import crc64, crc64_of, joined
from tests.servers.obs_server import Refusal
from tests.support.content import noise
from tests.support.places import ObsPlace
from tests.support.transfers import SIZE, SMALL_SIZES, a_file, interrupt_upload, make_store

pytestmark = pytest.mark.local

PARTS = -(-SIZE // SMALL_SIZES.part)


def sent_parts(server):
    """The calls that sent parts, in the order of these."""
    calls = [call for call in server.calls if "partNumber" in call.query]
    return sorted(calls, key=lambda call: int(call.query["partNumber"]))


# The sum -----------------------------------------------------------------------------------


def test_it_is_the_crc_that_the_official_client_sends(tmp_path):
    content = noise(5, 300_000)
    (tmp_path / "file").write_bytes(content)
    assert crc64(b"123456789") == 0x995DC9BBDF1939FA  # of the catalogue of CRCs, CRC-64/XZ
    assert crc64(content) == int(util.calculate_content_crc64(content))
    assert crc64(content[1000:], crc64(content[:1000])) == crc64(content)
    assert crc64_of(str(tmp_path / "file")) == crc64(content)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=8))
def test_sums_of_parts_make_that_of_the_whole(parts):
    assert joined((crc64(part), len(part)) for part in parts) == crc64(b"".join(parts))


def test_parts_are_joined_as_the_official_client_joins_them():
    sizes = [8 * 2**20, 8 * 2**20, 5, 5 * 2**30, 1]
    sums = [random.Random(size).getrandbits(64) for size in sizes]
    parts = [
        CompletePart(number, "e", crc64=value, size=size)
        for number, (value, size) in enumerate(zip(sums, sizes))
    ]
    assert joined(zip(sums, sizes)) == int(util.calc_obj_crc_from_parts(parts))


# Sending -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["store", "by_host"])
def test_each_part_and_the_whole_are_verified_by_their_crc(way, server, request, tmp_path):
    """Under the name that goes with the signature, which includes it; nothing goes twice."""
    path, moved = a_file(tmp_path, SIZE), []
    request.getfixturevalue(way).upload(str(path), "b", "k", moved.append)
    content = path.read_bytes()
    assert server.buckets["b"]["k"][0] == content
    parts = sent_parts(server)
    assert len(parts) == PARTS
    assert joined((int(call.crc64), int(call.headers["Content-Length"])) for call in parts) == (
        crc64(content)
    )
    assert not any(call.headers["Content-MD5"] for call in parts)
    (complete,) = (call for call in server.calls if call.method == "POST" and call.crc64)
    assert int(complete.crc64) == crc64(content)
    assert sum(moved) == SIZE


@pytest.mark.parametrize("crc64", [None, lambda content: "n/a"], ids=["none", "no number"])
def test_a_service_without_crc_is_verified_by_its_etags(store, server, tmp_path, crc64):
    """The first part is read once more here, and sent once only."""
    server.crc64, server.refuses = crc64, False
    path, moved = a_file(tmp_path, 2 * SIZE), []
    store.upload(str(path), "b", "k", moved.append)
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    parts = sent_parts(server)
    assert len(parts) == -(-2 * SIZE // SMALL_SIZES.part)
    assert 1 <= sum(call.crc64 is not None for call in parts) <= 4
    assert sum(moved) == 2 * SIZE
    server.calls.clear()
    store.upload(str(path), "b", "again")
    assert not any(call.crc64 for call in server.calls)


def test_a_server_that_is_not_obs_is_not_told_a_crc(server, tmp_path):
    """Others refuse checksums that they do not know."""
    server.is_obs = False
    path = a_file(tmp_path, SIZE)
    make_store(server).upload(str(path), "b", "k")
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert not any(call.crc64 for call in server.calls)


def test_without_fastcrc_parts_are_verified_by_their_etags(server, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastcrc.crc64", None)
    path, store = a_file(tmp_path, SIZE), make_store(server)
    store.upload(str(path), "b", "k")
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert not any(call.crc64 for call in server.calls)
    store.download(store.head("b", "k"), str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == path.read_bytes()


def test_a_part_that_arrived_damaged_unnoticed_is_sent_once_more(store, server, tmp_path):
    """The answer tells what is there. The second time OBS is told the MD5, too."""
    server.refuses, damaged = False, []

    def damage(call, body):
        if call.query.get("partNumber") != "3" or damaged:
            return body
        damaged.append(call)
        return body[:-1] + bytes([body[-1] ^ 1])

    server.arrived = damage
    path, moved = a_file(tmp_path, SIZE), []
    store.upload(str(path), "b", "k", moved.append)
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert len(sent_parts(server)) == PARTS + 1
    assert sum(moved) == SIZE


def test_where_the_header_is_refused_it_goes_without(store, server, tmp_path):
    def refuse(call):
        if call.crc64 is not None:
            raise Refusal(400, "InvalidRequest")

    server.before = refuse
    path, moved = a_file(tmp_path, 2 * SIZE), []
    store.upload(str(path), "b", "k", moved.append)
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert sum(call.crc64 is not None for call in server.calls) <= 4
    assert sum(moved) == 2 * SIZE


def test_file_changed_after_checksum_is_error(store, server, tmp_path):
    """A file that changes between the sum and the bytes is an error."""
    path = a_file(tmp_path, SIZE)

    def change(call):
        if call.query.get("partNumber") == "1":
            with open(path, "r+b") as file:
                file.write(b"changed")
            os.utime(path, ns=(1, 1))

    server.before = change
    with pytest.raises(TransferError, match="changed while it was being sent"):
        store.upload(str(path), "b", "k")
    assert server.buckets["b"] == {}
    assert server.uploads == {}


def test_an_object_that_became_another_one_is_an_error(store, server, tmp_path):
    server.refuses = False
    server.crc64 = lambda content: crc64(content if len(content) < SIZE else content[::-1])
    with pytest.raises(TransferError, match="CRC-64"):
        store.upload(str(a_file(tmp_path, SIZE)), "b", "k")


def test_who_goes_on_sends_parts_anew_that_are_others_by_now(server, tmp_path):
    path = a_file(tmp_path, SIZE)

    interrupt_upload(server, path)
    ((_, _, parts),) = server.uploads.values()
    number = min(parts)
    parts[number] = bytes(len(parts[number]))
    server.calls.clear()
    make_store(server).upload(str(path), "b", "k")
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert str(number) in [call.query["partNumber"] for call in sent_parts(server)]


def test_with_keys_of_kms_nothing_goes_twice(store, server, tmp_path):
    """Etags are no checksums there, CRCs are."""
    server.etag = lambda part: hashlib.md5(b"key" + part).hexdigest()
    path, moved = a_file(tmp_path, SIZE), []
    store.upload(str(path), "b", "k", moved.append)
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert len(sent_parts(server)) == PARTS
    assert sum(moved) == SIZE


# Fetching ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, SIZE])
def test_opaque_etag_is_verified_by_crc(store, server, tmp_path, size):
    """In one go, and in ranges, whose answers need not have it."""
    content, target = noise(size, size), tmp_path / "target"
    server.buckets["b"]["k"] = (content, '"%s-3"' % ("0" * 32))
    (found,) = store.list("b")
    store.download(found, str(target))
    assert target.read_bytes() == content
    server.crc64 = lambda content: crc64(content) ^ 1
    with pytest.raises(TransferError, match="checksum"):
        store.download(found, str(target))
    assert target.read_bytes() == content
    assert os.listdir(tmp_path) == ["target"]


def test_who_may_not_look_an_object_up_can_fetch_it(store, server, tmp_path):
    def refuse(call):
        if call.method == "HEAD":
            raise Refusal(403, "AccessDenied")

    content = bytes(SIZE)
    server.buckets["b"]["k"] = (content, '"%s"' % hashlib.md5(content).hexdigest())
    (found,) = store.list("b")
    server.before = refuse
    store.download(found, str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == content


# Comparing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("etag", ["0" * 32 + "-3", "0" * 32], ids=["parts", "kms"])
def test_a_file_is_compared_by_crc_where_the_etag_does_not_match(store, server, tmp_path, etag):
    path = a_file(tmp_path, 1000)
    server.buckets["b"]["k"] = (path.read_bytes(), '"%s"' % etag)
    (found,) = store.list("b")
    assert store.same(str(path), found) is True
    a_file(tmp_path, 1000, seed=2)
    assert store.same(str(path), found) is False
    server.crc64 = None
    assert store.same(str(path), found) is not True


def test_another_object_by_now_is_not_compared(store, server, tmp_path):
    path = a_file(tmp_path, 1000)
    server.buckets["b"]["k"] = (bytes(1000), '"%s-3"' % ("0" * 32))
    (found,) = store.list("b")
    server.buckets["b"]["k"] = (path.read_bytes(), '"%s-3"' % ("1" * 32))
    assert store.same(str(path), found) is None


def test_noted_md5_does_not_outweigh_etag(request, tmp_path):
    place = ObsPlace(request, tmp_path)
    client = place.session.get_obs_client()
    noted = {"md5": hashlib.md5(b"as it was before").hexdigest()}
    assert client.putContent(place.bucket, "k", b"content", metadata=noted).status == 200
    client.close()
    place.session.obs.download_file("obs://%s/k" % place.bucket, str(tmp_path) + "/")
    assert (tmp_path / "k").read_bytes() == b"content"
    place.close()
