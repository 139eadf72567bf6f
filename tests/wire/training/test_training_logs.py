"""The log of a training is followed without losing or doubling a line, in little memory."""

import logging
import random
import tracemalloc
from itertools import chain

import pytest
import requests

from modelarts.errors import InvalidArgument, NotFound, TransportError, WaitTimeout
from modelarts.http.client import ServiceClient
from modelarts.training.job import TrainingJob
from modelarts.training.logs import LogFollower
from tests.servers.cloud import connect
from tests.servers.faults import FAULTS, SEED, FaultProxy, Hurried, served_cloud
from tests.servers.training_cloud import TrainingCloud

pytestmark = pytest.mark.local

TRAINING = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def cloud(training_cloud):
    """The v2 service with one training, which runs."""
    training_cloud.jobs.clear()
    prepare(training_cloud, [])
    return training_cloud


@pytest.fixture
def session(cloud, clock):
    with connect(
        cloud,
        clock=clock,
    ) as session:
        yield session


def prepare(cloud, pieces):
    """A training that writes these pieces of its log, one each time it is looked at."""
    cloud.add_training("obs://b/s", TRAINING)
    cloud.jobs[TRAINING]["status"]["phase"] = "Running"
    cloud._work[TRAINING] = list(pieces)
    cloud.logs[TRAINING] = bytearray()


def pieces_of(lines, seed=7, sizes=(1, 7, 100, 3000, 40000)):
    """The bytes of lines, cut at random places, some of them in a character."""
    content = "".join(line + "\n" for line in lines).encode()
    chance, pieces, begin = random.Random(seed), [], 0
    while begin < len(content):
        end = begin + chance.choice(sizes)
        pieces.append(content[begin:end])
        begin = end
    return pieces


def calls_of(cloud, part):
    return [call for call in cloud.calls if part in call.url]


LINES = [
    "epoch %d: loss=%.6f, größe 你好 %s" % (n, 1 / (n + 1), "x" * (n % 90)) for n in range(3000)
]


def test_lines_come_once_and_in_order(cloud, session):
    cloud._work[TRAINING] = pieces_of(LINES)
    assert list(TrainingJob(session, TRAINING).logs(follow=True)) == LINES


@pytest.mark.parametrize("size", [100, 1000, 50_000])
def test_what_the_preview_lacks_is_read_by_ranges(cloud, session, size):
    cloud.preview_size = size
    cloud._work[TRAINING] = pieces_of(LINES)
    assert list(TrainingJob(session, TRAINING).logs(follow=True)) == LINES
    assert calls_of(cloud, "/log-links/")


def test_object_may_be_behind_the_log(cloud, session):
    """In a cloud the object gets what was written some time later."""
    cloud.preview_size, cloud.link_lags = 2000, 60_000
    cloud._work[TRAINING] = pieces_of(LINES)
    assert list(TrainingJob(session, TRAINING).logs(follow=True)) == LINES


def test_large_log_is_not_read_again_and_again(cloud, session):
    lines = ["line %d %s" % (number, "x" * 200) for number in range(20_000)]
    cloud._work[TRAINING] = ["".join(line + "\n" for line in lines).encode()] + [b""] * 200
    assert list(TrainingJob(session, TRAINING).logs(follow=True)) == lines
    assert len(calls_of(cloud, "/logs/preview")) < 30


def test_call_of_the_official_client_is_the_fallback(cloud, session):
    cloud.preview_size, cloud.log_calls = 100, ("logs",)
    cloud._work[TRAINING] = pieces_of(LINES[:200])
    assert list(TrainingJob(session, TRAINING).logs(follow=True)) == LINES[:200]
    assert calls_of(cloud, "/logs/worker-0")


def test_expired_link_is_replaced(cloud, session):
    cloud.preview_size = 100
    cloud._work[TRAINING] = pieces_of(LINES[:500])
    found = []
    for line in TrainingJob(session, TRAINING).logs(follow=True):
        found.append(line)
        cloud.links.clear()
    assert found == LINES[:500]
    assert len(calls_of(cloud, "/logs/url")) > 1


def test_bytes_without_a_link_leave_a_line(cloud, session):
    """Bytes that went by too fast are gone where there is no object, and a line says so."""
    cloud.preview_size, cloud.log_calls = 100, ()
    cloud._work[TRAINING] = [b"first\n", b"x" * 5000 + b"\n" + b"y" * 50 + b"\nlast\n"]
    found = list(TrainingJob(session, TRAINING).logs(follow=True))
    assert found[0] == "first"
    assert found[-2:] == ["y" * 50, "last"]
    assert [line for line in found if "bytes of the log are not available" in line]


@pytest.mark.parametrize("preview", [100, 5_000_000])
def test_bytes_that_are_no_text_do_not_shift_lines(cloud, session, preview):
    cloud.preview_size = preview
    cloud._work[TRAINING] = [b"\xff\xfe\xfd bad\n" * 50, b"a\r\nb\n", b"\x80\n", b"end"]
    found = list(TrainingJob(session, TRAINING).logs(follow=True))
    assert found == ["\ufffd\ufffd\ufffd bad"] * 50 + ["a", "b", "\ufffd", "end"]


def test_line_without_an_end_comes_in_pieces(cloud, session):
    cloud._work[TRAINING] = [b"z" * 700_000] * 5
    found = list(TrainingJob(session, TRAINING).logs(follow=True))
    assert "".join(found) == "z" * 3_500_000
    assert len(found) > 1


def test_log_that_is_there_is_returned(cloud, session):
    cloud.logs[TRAINING] += b"a\nb\nunfinished"
    assert list(TrainingJob(session, TRAINING).logs()) == ["a", "b", "unfinished"]


def test_training_without_a_log_has_no_lines(cloud, session):
    del cloud.logs[TRAINING]
    assert list(TrainingJob(session, TRAINING).logs()) == []


def test_following_ends_in_time(cloud, session):
    cloud._work[TRAINING] = [b"x\n"] * 10_000
    with pytest.raises(WaitTimeout):
        list(TrainingJob(session, TRAINING).logs(follow=True, timeout=10))


def test_training_that_is_gone_is_not_found(cloud, session):
    job = TrainingJob(session, TRAINING)
    del cloud.jobs[TRAINING]
    with pytest.raises(NotFound):
        list(job.logs(follow=True))


@pytest.mark.parametrize("bad", [{"task_id": "../x"}, {"task_id": ""}, {"timeout": -1}])
def test_bad_argument_sends_nothing(cloud, session, bad):
    with pytest.raises(InvalidArgument):
        TrainingJob(session, TRAINING).logs(**bad)
    assert cloud.calls == []


# The link is a secret -----------------------------------------------------------------------------


def test_link_is_in_no_log_and_no_exchange(cloud, caplog, clock):
    caplog.set_level(logging.DEBUG)
    seen = []
    with connect(
        cloud,
        clock=clock,
        on_response=seen.append,
    ) as session:
        cloud.preview_size = 100
        cloud._work[TRAINING] = pieces_of(LINES[:300])
        assert list(TrainingJob(session, TRAINING).logs(follow=True)) == LINES[:300]
    assert calls_of(cloud, "Signature=")
    shown = caplog.text + repr(seen)
    assert "signature-" not in shown
    assert "log-links" not in shown
    assert "read the log of training job" in shown


@pytest.mark.parametrize("status", [403, 500, None])
def test_link_is_in_no_error(cloud, session, monkeypatch, status):
    link = "%s/log-links/%s?Signature=signature-s3cret" % (cloud.modelarts_endpoint, TRAINING)

    def refuse(job_id, request):
        if status is None:
            raise requests.ConnectionError("Max retries exceeded with url: " + request.url)
        return status, {}, b"<Error>%s</Error>" % request.url.encode()

    monkeypatch.setattr(cloud, "_object", refuse)
    client = session.client
    assert isinstance(client, ServiceClient)
    with pytest.raises(Exception, match="read") as caught:
        client.read_link(link, 0, 10, "read the log")
    error = caught.value
    assert error.__cause__ is None
    assert "s3cret" not in "%s %r %s" % (error, error, vars(error))


@pytest.mark.parametrize("link", ["file:///etc/passwd", "nonsense", "https://user:pw@host/x"])
def test_odd_links_are_not_opened(session, link):
    with pytest.raises(TransportError) as caught:
        session.client.read_link(link, 0, 10, "read the log")
    assert link not in str(caught.value)


# Over sockets -------------------------------------------------------------------------------------


@pytest.fixture
def served():
    cloud = TrainingCloud()
    with served_cloud(cloud):
        yield cloud


#: A cut or refused answer shows itself; a byte that was changed on the way does not.
_CUTS = [name for name in FAULTS if name != "garble"]


class CuttingProxy(FaultProxy):
    """Faults that an answer shows."""

    def draw(self):
        while True:
            fault, chance = super().draw()
            if fault is None or fault in _CUTS:
                return fault, chance


def connected(cloud, address, timeout=2):
    return connect(
        cloud,
        modelarts_endpoint=address,
        iam_endpoint=address,
        proxies={},
        timeout=timeout,
        retries=3,
        clock=Hurried(),
    )


def test_cut_connections_lose_and_double_nothing(served):
    print("seed", SEED)
    lines = LINES[:400]
    prepare(served, pieces_of(lines, SEED, (1, 20, 300, 900)))
    served.preview_size = 300
    proxy = CuttingProxy(served.target, SEED, share=0.3)
    served.link_base = proxy.url
    try:
        with connected(served, proxy.url, timeout=0.25) as session:
            found = list(TrainingJob(session, TRAINING).logs(follow=True))
    finally:
        proxy.close()
    assert found == lines, SEED
    assert sum(proxy.met.values()) > 20


def test_long_log_needs_little_memory(served):
    """16 MB in lines of 100 bytes: the follower holds pieces of a megabyte."""
    prepare(served, [])
    line = b"y" * 99 + b"\n"
    size = 16 * 1024 * 1024
    served.logs[TRAINING] = bytearray(line * (size // len(line)))
    served.link_base = "http://" + served.target
    served._object = _object_of(served)
    with connected(served, "http://" + served.target) as session:
        follower = LogFollower(session.client, TRAINING, "worker-0")
        follower.offset, count = len(line), 1  # so that what is before the newest part is read
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        peak = 0
        for _ in chain(follower.poll(fresh=True), follower.finish()):
            count += 1
            if count % 10_000 == 0:
                peak = max(peak, tracemalloc.get_traced_memory()[0] - before)
        tracemalloc.stop()
    assert count == size // len(line)
    assert peak < 25 * 1024 * 1024


def _object_of(cloud):
    """The answers of the object store, without a copy of the whole log for each."""

    def answer(job_id, request):
        first, last = (int(n) for n in request.headers["Range"][len("bytes=") :].split("-"))
        part = bytes(cloud.logs[job_id][first : last + 1])
        shown = "bytes %d-%d/%d" % (first, first + len(part) - 1, len(cloud.logs[job_id]))
        return 206, {"Content-Range": shown}, part

    return answer
