"""Boards next to ``tensorboard`` with its defaults, on logs of real size: ``python -m benchmarks
boards``.

Each takes its turn over the same files, which lie on the disk of this machine. The files are in the
cache of the system for both. Linux only: it reads ``/proc``.
"""

import contextlib
import gzip
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Union
from urllib.parse import urlencode, urljoin, urlsplit

from benchmarks.harness import s3
from benchmarks.harness.rounds import Ratio, ratio
from benchmarks.harness.tables import Row
from modelarts.estimator import VisualizationJob
from modelarts.session import Session
from tests.servers.served import Served, descendants, memory, spent

__all__ = ["rows"]

_SECONDS = 600.0
_IDLE_SECONDS = 20.0
_BOARDS = 200
#: Seconds between two looks for the last point.
_PERIOD = 0.1


class _Logs(NamedTuple):
    """Runs that are alike, and the ratio that the last point may take at most."""

    name: str
    runs: int
    steps: int
    tags: int
    most: Optional[float]


_SMALL = _Logs("0.1 MB", 3, 200, 4, None)
_MIDDLE = _Logs("85 MB", 20, 20_000, 5, 1.0)
_ALL = (
    _SMALL,
    _Logs("1 MB", 1, 5_000, 5, None),
    _MIDDLE,
    _Logs("1000 small runs", 1000, 100, 3, 1.0),
    _Logs("1 GB", 240, 20_000, 5, 1.0),
)
_QUICK = (_SMALL, _MIDDLE, _Logs("200 small runs", 200, 100, 3, None))


class _Board(NamedTuple):
    """A board that runs.

    Attributes:
        pids: the processes that are to be measured.
        before: the bytes that these held without the board.
    """

    url: str
    pids: Callable[[], List[int]]
    before: int


class _Figures(NamedTuple):
    first_answer: float
    last_point: float
    curve: float
    held: float
    idle: float
    growing: float


def rows(quick: bool) -> Iterator[Row]:
    """All comparisons, each as soon as it is made."""
    with tempfile.TemporaryDirectory() as folder:
        for logs in _QUICK if quick else _ALL:
            path = Path(folder) / "logs"
            _write(path, logs)
            yield from _compare(Path(folder) / "root", path, logs, 3 if quick else 5)
            if logs is _SMALL:
                yield _many(Path(folder) / "many", path)
            if logs is _MIDDLE and not quick:
                yield _in_bucket(Path(folder) / "s3", path)
            shutil.rmtree(str(path))


def _compare(root: Path, path: Path, logs: _Logs, rounds: int) -> Iterator[Row]:
    ours: List[_Figures] = []
    theirs: List[_Figures] = []
    served = Served(root, "--mount", "logs=%s" % path)
    try:
        _measure(lambda: _ours(served), logs)  # the first waits for the boards' parent
        for number in range(rounds):
            grows = path if number == rounds - 1 else None
            ours.append(_measure(lambda: _ours(served), logs, grows))
            theirs.append(_measure(lambda: _tensorboard(path), logs, grows))
        growing, their_growing = [], []
        for _ in range(min(rounds, 3)):
            growing.append(_readable(path, logs, lambda: _ours(served)))
            their_growing.append(_readable(path, logs, lambda: _tensorboard(path)))
    finally:
        served.end()

    def row(what: str, unit: str, most: Optional[float], name: str) -> Row:
        mine, others = ([getattr(one, name) for one in found] for found in (ours, theirs))
        return Row("%s: %s" % (logs.name, what), "tensorboard", unit, most, ratio(mine, others))

    yield row("create → page", "seconds", 0.2, "first_answer")
    yield row("… → last point of all", "seconds", logs.most, "last_point")
    yield row("one curve of a page", "seconds", None, "curve")
    most = {_SMALL.name: 0.3, _MIDDLE.name: 0.6}.get(logs.name)
    yield row("memory of one more (PSS)", "bytes", most, "held")
    for what in ("idle", "growing"):
        mine, other = getattr(ours[-1], what), getattr(theirs[-1], what)
        figures = Ratio(mine, other, mine / max(other, 1e-9), 0, 0)
        yield Row(
            "%s: CPU a second, %s" % (logs.name, what), "tensorboard", "seconds", None, figures
        )
    yield Row(
        "%s: written → readable" % logs.name,
        "tensorboard",
        "seconds",
        None,
        ratio(growing, their_growing),
    )


def _many(root: Path, path: Path) -> Row:
    """The memory of many boards at once, each of which shows its page and a curve."""
    served = Served(root, "--mount", "logs=%s" % path)
    try:
        with served.session(timeout=300) as session, _tensorboard(path) as other:
            before = memory(descendants(served.pid))
            jobs = [
                VisualizationJob.create("/logs/", session=session, check=False)
                for _ in range(_BOARDS)
            ]
            for job in jobs:
                job.wait(timeout=_SECONDS, progress=False)
            for url in [other.url, *(job.service_url or "" for job in jobs)]:
                client = _Client(url)
                began = time.perf_counter()
                while b"run0000" not in (client.get("data/runs") or b""):
                    assert time.perf_counter() - began < _SECONDS
                    time.sleep(0.05)
                assert client.get("")
            held = (memory(descendants(served.pid)) - before) / _BOARDS
            figures = ratio([held], [memory(other.pids())])
    finally:
        served.end()
    return Row("%d boards at once, memory of each" % _BOARDS, "tensorboard", "bytes", None, figures)


def _in_bucket(root: Path, path: Path) -> Row:
    """The time to the last point of logs in a bucket, with 20 ms for each request."""
    with s3.running() as (endpoint, session):
        client = session.get_obs_client()
        for file in (file for file in path.rglob("*") if file.is_file()):
            client.putFile("logs", "runs/%s" % file.relative_to(path), str(file))
        local = Session.local(root, obs=session)

        @contextlib.contextmanager
        def ours() -> Iterator[_Board]:
            job = VisualizationJob.create("/logs/runs/", session=local, check=False)
            yield _Board(job.service_url or "", list, 0)
            job.delete()

        with local:
            mine = [_measure(ours, _MIDDLE).last_point for _ in range(3)]
        environ = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": s3.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": s3.SECRET_KEY,
            "S3_ENDPOINT": endpoint,
        }
        theirs = _measure(lambda: _tensorboard("s3://logs/runs/", environ), _MIDDLE).last_point
    figures = ratio([statistics.median(mine)], [theirs])
    return Row("85 MB in a bucket → last point", "tensorboard", "seconds", 0.5, figures)


def _measure(
    start: "Callable[[], contextlib.AbstractContextManager[_Board]]",
    logs: _Logs,
    path: Optional[Path] = None,
) -> _Figures:
    """Measure a board; its CPU only with the folder that it reads, in which a run grows then."""
    began = time.perf_counter()
    with start() as board:
        client = _Client(board.url)
        while client.get("") is None:
            assert time.perf_counter() - began < _SECONDS
            time.sleep(0.005)
        first = time.perf_counter() - began
        due = first
        while not _is_complete(client, logs):
            assert time.perf_counter() - began < _SECONDS
            # As often for both: who answers sooner is not asked more.
            due += _PERIOD
            time.sleep(max(0.0, due - (time.perf_counter() - began)))
        last = time.perf_counter() - began
        since = time.perf_counter()
        for _ in range(10):
            client.get("data/plugin/scalars/scalars?run=run0000&tag=tag0")
        curve = (time.perf_counter() - since) / 10
        (script,) = re.findall(rb'<script src="([^"]*index[.]js[^"]*)"', client.get("") or b"")
        for page in (script.decode(), "data/environment", "data/plugins_listing"):
            assert client.get(page), page
        pids = board.pids()
        held = memory(pids) - board.before
        idle = growing = 0.0
        if path is not None:
            before = spent(pids)
            time.sleep(_IDLE_SECONDS)
            idle = (spent(pids) - before) / _IDLE_SECONDS
            before = spent(pids)
            _grow(path)
            growing = (spent(pids) - before) / _IDLE_SECONDS
        return _Figures(first, last, curve, held, idle, growing)


def _grow(path: Path) -> None:
    """Write a run with a point of one curve every tenth of a second."""
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(path / "grows")) as writer:
        for step in range(int(10 * _IDLE_SECONDS)):
            writer.add_scalar("tag0", step, step)
            writer.flush()
            time.sleep(0.1)
    shutil.rmtree(str(path / "grows"))


def _is_complete(client: "_Client", logs: _Logs) -> bool:
    """Return True once the last point of every curve can be read."""
    tags = json.loads(client.get("data/plugin/scalars/tags") or b"{}")
    if len(tags) < logs.runs or any(len(found) < logs.tags for found in tags.values()):
        return False
    for tag in range(logs.tags):
        query = urlencode({"requests": json.dumps([{"plugin": "scalars", "tag": "tag%d" % tag}])})
        path = "experiment/defaultExperimentId/data/plugin/timeseries/timeSeries"
        (found,) = json.loads(client.get(path, query) or b"[{}]")
        series = found.get("runToSeries", {})
        done = [each for each in series.values() if each and each[-1]["step"] == logs.steps - 1]
        if len(done) < logs.runs:
            return False
    return True


def _readable(
    path: Path, logs: _Logs, start: "Callable[[], contextlib.AbstractContextManager[_Board]]"
) -> float:
    """Return the seconds from a written point of a new run to its first appearance.

    The board has read all that was there before.
    """
    from tensorboardX import SummaryWriter

    run = "new%d" % time.time_ns()
    with start() as board:
        client = _Client(board.url)
        while not _is_complete(client, logs):
            time.sleep(0.1)
        time.sleep(1.7)  # somewhere between two of its looks
        with SummaryWriter(str(path / run)) as writer:
            writer.add_scalar("tag0", 1.0, 1)
        began = time.perf_counter()
        while run.encode() not in (client.get("data/runs") or b""):
            assert time.perf_counter() - began < _SECONDS
            time.sleep(0.05)
        took = time.perf_counter() - began
    shutil.rmtree(str(path / run))
    return took


class _Client:
    """Asks a board over one connection, as a browser does."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=_SECONDS
        )

    def get(self, path: str, form: Optional[str] = None) -> Optional[bytes]:
        """Return the content of a page, None where there is none; a form is posted."""
        headers: Dict[str, str] = {"Accept-Encoding": "gzip"}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            method = "GET" if form is None else "POST"
            self._connection.request(method, urljoin(self._path, path), form, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return None
        if answer.headers["Content-Encoding"] == "gzip":
            content = gzip.decompress(content)
        return content if answer.status == 200 else None


@contextlib.contextmanager
def _ours(served: Served) -> Iterator[_Board]:
    before = memory(descendants(served.pid))
    with served.session() as session:
        job = VisualizationJob.create("/logs/", session=session, check=False)
        yield _Board(job.service_url or "", lambda: descendants(served.pid), before)
        job.delete()


@contextlib.contextmanager
def _tensorboard(
    path: Union[str, Path], environ: Optional[Mapping[str, str]] = None
) -> Iterator[_Board]:
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", "--logdir", str(path), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environ,
    )
    try:
        yield _Board("http://localhost:%d/" % port, lambda: descendants(process.pid), 0)
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write(path: Path, logs: _Logs) -> None:
    """Write one run, and copy it for the others: TensorBoard does not look at what is in them."""
    from tensorboardX import SummaryWriter

    first = path / "run0000"
    with SummaryWriter(str(first), max_queue=100_000, flush_secs=600) as writer:
        for step in range(logs.steps):
            for tag in range(logs.tags):
                writer.add_scalar("tag%d" % tag, step / (tag + 1), step)
    for run in range(1, logs.runs):
        shutil.copytree(str(first), str(path / ("run%04d" % run)))
