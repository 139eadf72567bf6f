"""Event files that were made to hurt: they harm their own board at most."""

import http.client
import json
import os
import resource
import stat
import struct
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from tensorboardX import SummaryWriter
from tensorboardX.crc32c import crc32c

from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.boards.sandbox import MOST_FILES
from tests.servers.service import Service
from tests.support.clocks import wait_until

pytestmark = pytest.mark.local

EVENTS = "events.out.tfevents.1700000000.host"
MEGABYTES = 256
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("limited"), "--board-memory", str(MEGABYTES))
    with SummaryWriter(str(service.root / "obs" / "bucket" / "good")) as writer:
        writer.add_scalar("loss", 0.5, 1)
    yield service
    service.end()


def _get(url, seconds=60):
    try:
        with _direct.open(url, timeout=seconds) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def _masked(data):
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _record(data, length=None):
    size = struct.pack("<Q", len(data) if length is None else length)
    return size + _masked(size) + data + (_masked(data) if length is None else b"")


def _sparse(folder):
    with open(folder / EVENTS, "wb") as file:
        file.truncate(64 << 30)


def _claims_much(folder):
    (folder / EVENTS).write_bytes(_record(b"x", 1 << 60))


def _claims_memory_that_the_file_has(folder):
    with open(folder / EVENTS, "wb") as file:
        file.write(_record(b"", 2 << 30))
        file.truncate(4 << 30)


def _truncated(folder):
    with SummaryWriter(str(folder)) as writer:
        for step in range(100):
            writer.add_scalar("loss", step, step)
    (file,) = folder.iterdir()
    os.truncate(file, file.stat().st_size - 7)


def _garbage(folder):
    (folder / EVENTS).write_bytes(bytes(range(256)) * 4096)


def _no_events(folder):
    (folder / EVENTS).write_bytes(_record(b"\xff" * 1000) * 10)


def _fifo(folder):
    os.mkfifo(folder / EVENTS)


def _device(folder):
    (folder / EVENTS).symlink_to("/dev/zero")


def _many_runs(folder):
    event = _record(b"\x09\x00\x00\x00\x00\x00\x00\xf0\x3f")
    for number in range(1500):
        run = folder / ("run%d" % number)
        run.mkdir()
        (run / EVENTS).write_bytes(event)


def _rings(folder):
    (folder / "one").symlink_to(folder)
    (folder / "two").symlink_to(folder)


def _deep(folder):
    for _ in range(100):
        folder = folder / "deeper"
        folder.mkdir()
    (folder / EVENTS).write_bytes(b"")


def _scripts(folder):
    with SummaryWriter(str(folder)) as writer:
        writer.add_text("<script>alert(1)</script>", "<script>alert(2)</script>", 1)


HOSTILE = (
    _sparse,
    _claims_much,
    _claims_memory_that_the_file_has,
    _truncated,
    _garbage,
    _no_events,
    _fifo,
    _device,
    _many_runs,
    _rings,
    _deep,
    _scripts,
)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda make: make.__name__.lstrip("_"))
def test_hostile_event_files_harm_their_own_board_at_most(limited, hostile):
    folder = _folder(limited, hostile.__name__)
    hostile(folder)
    with limited.session(timeout=30) as session:
        other = VisualizationJob.create("/bucket/good/", session=session).wait()
        job = VisualizationJob.create("/bucket/%s/" % folder.name, session=session)
        for page in ("", "data/runs", "data/plugins_listing", "data/plugin/text/tags"):
            # The page itself always comes; what reads the files may wait for a pipe.
            assert _answers_or_says_why(job, page, 3 if hostile is _fifo and page else 60)
            assert _get(other.service_url + page)[0] == 200
            began = time.perf_counter()
            VisualizationJob.list(session)
            assert other.refresh().status == JobStatus.RUNNING
            assert time.perf_counter() - began < 20  # and not as long as pages wait for a board
        job.delete()
        other.delete()


def _answers_or_says_why(job, page, seconds):
    status = 0
    while status != 200 and job.refresh().status != JobStatus.FAILED:
        try:
            status, _ = _get(job.service_url + page, seconds)
        except http.client.IncompleteRead:
            continue  # the board ended while it answered
        except TimeoutError:
            # TensorBoard waits for a pipe, and its pages for that.
            return page != "" and stat.S_ISFIFO(_mode(job))
    return status == 200 or bool(job.raw["reason"])


def _mode(job):
    data = json.loads(_get(job.service_url + "data/environment")[1])["data_location"]
    return os.stat(os.path.join(data, EVENTS)).st_mode


def _folder(service, name):
    folder = service.root / "obs" / "bucket" / name
    folder.mkdir()
    return folder


def test_board_over_memory_limit_fails_with_reason(limited):
    """A board that needs more memory than it may fails with a reason."""
    _claims_memory_that_the_file_has(_folder(limited, "large"))
    with limited.session() as session:
        job = VisualizationJob.create("/bucket/large/", session=session)
        limited.said(r"job %s: failed: " % job.visualization_id)
        assert job.refresh().status == JobStatus.FAILED
        assert "need more than the %d MB that a board may use" % MEGABYTES in job.raw["reason"]
        job.delete()


def test_broken_reader_fails_the_board(limited):
    """A board whose reading of event files broke fails instead of showing what is old."""
    _no_events(_folder(limited, "broken"))
    with limited.session() as session:
        job = VisualizationJob.create("/bucket/broken/", session=session)
        limited.said(r"job %s: failed: TensorBoard.* DecodeError" % job.visualization_id)
        assert job.refresh().status == JobStatus.FAILED
        assert "DecodeError" in job.raw["reason"]
        job.delete()


def test_board_has_limits_of_files_memory_and_core(limited):
    """A board may open so many files and allocate so much and leaves no core."""
    with limited.session() as session:
        job = VisualizationJob.create("/bucket/good/", session=session).wait()
        pid = limited.board_pid(job)
        assert resource.prlimit(pid, resource.RLIMIT_DATA)[1] == MEGABYTES << 20
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[1] <= MOST_FILES
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        job.delete()


def test_text_in_event_files_is_no_script(limited):
    _scripts(_folder(limited, "scripts"))
    with limited.session() as session:
        job = VisualizationJob.create("/bucket/scripts/", session=session).wait()
        tags = {}
        url = job.service_url + "data/plugin/text/tags"
        wait_until(lambda: tags.update(json.loads(_get(url)[1])) or tags)
        ((run, (tag,)),) = tags.items()
        query = urllib.parse.urlencode({"run": run, "tag": tag})
        _, text = _get(job.service_url + "data/plugin/text/text?" + query)
        assert "alert(2)" in text.decode()
        assert "<script" not in text.decode()
        job.delete()
