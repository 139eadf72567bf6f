"""Stores on the stand-in for OBS, with the sizes of transfers a sixty-fourth of the usual ones."""

import hashlib
from pathlib import Path

import pytest

from modelarts.errors import TransportError
from modelarts.obs.multipart.checkpoint import folder as checkpoints_folder
from modelarts.obs.multipart.plan import SIZES, Sizes
from modelarts.obs.stores.obs import ObsStore
from modelarts.session import Session
from tests.servers.cloud import Cloud
from tests.servers.obs_server import Cut
from tests.support.clocks import FakeClock, wait_until
from tests.support.content import noise

AK, SK = "ACCESSKEY", Cloud.secret_key

#: Of parts and ranges, so that a file of 1 MB goes as one of 60 MB does.
SMALL_SIZES = Sizes(*(size // 64 for size in SIZES))._replace(multipart=32_000)
#: Bytes of a file that is sent in eight parts of such a size, the last of which is smaller.
SIZE = 60_000_000 // 64


def settings(server, **others):
    return {
        "access_key": AK,
        "secret_key": SK,
        "project_id": "0a1b",
        "region_name": "eu-de",
        "obs_endpoint": server.url,
        "proxies": {},
        "clock": FakeClock(),
        **others,
    }


def make_store(server, sizes=SMALL_SIZES, **others):
    session = Session(**settings(server, **others))
    return store_of(server, session, sizes)


def store_of(server, session, sizes=SMALL_SIZES):
    store = ObsStore(session.get_obs_client(max_retry_count=0), session.clock, sizes=sizes)
    server.closing.append(store)
    return store


def a_file(tmp_path, size, name="file", seed=1):
    path = tmp_path / name
    path.write_bytes(noise(seed, size))
    return path


def an_object(server, size=6 * SMALL_SIZES.range - 100):
    """Of six ranges, the last of which is smaller."""
    content = noise(3, size)
    server.buckets["b"]["k"] = (content, '"%s"' % hashlib.md5(content).hexdigest())
    return content


def checkpoints():
    return sorted(Path(checkpoints_folder()).glob("*"))


def interrupt_upload(server, path):
    """Some parts arrive."""

    def cut(call):
        if call.query.get("partNumber") == "5":
            raise Cut

    server.before = cut
    with pytest.raises(TransportError):
        make_store(server).upload(str(path), "b", "k")
    # Parts that were on their way when the upload was given up.
    wait_until(lambda: server.busy == 0)
    server.before = lambda call: None


def asks_range(call, number):
    """Return True for a request for the range of that number, from 0 on."""
    start = "bytes=%d-" % (number * SMALL_SIZES.range)
    return (call.headers.get("Range") or "").startswith(start)


def interrupt_download(server, found, target, refusal=None):
    """The last of six ranges does not arrive; four are fetched at once."""

    def stop(call):
        if asks_range(call, 5):
            raise refusal or Cut

    server.before = stop
    try:
        make_store(server).download(found, str(target))
    finally:
        server.before = lambda call: None
