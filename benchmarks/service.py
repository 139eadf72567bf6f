"""What the local service costs, next to TensorBoard by itself: ``python -m benchmarks service``.

Linux only: it reads ``/proc``.
"""

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

from benchmarks.rounds import Ratio, ratio
from benchmarks.served import Served, answers, descendants, fetch, memory, spent
from benchmarks.tables import Load, Row
from modelarts.estimator import VisualizationJob

__all__ = ["rows"]

_TRAIN_URL = "/bucket/logs/"
#: What a page asks for when it is opened: itself, its code, and its data.
_PAGES = (
    "",
    "index.js",
    "data/environment",
    "data/plugins_listing",
    "data/runs",
    "data/plugin/scalars/tags",
    "data/plugin/scalars/scalars?tag=loss&run=run0",
    "data/plugin/histograms/tags",
)


def rows(load: Load) -> Iterator[Row]:
    """All comparisons, each as soon as it is made."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        logs = root / "obs" / "bucket" / "logs"
        _write(logs)
        served = Served(root, "--max-running", str(load.jobs + load.rounds))
        try:
            with served.session() as session:
                yield from _beside_tensorboard(served, session, logs, load)
                yield from _crowd(served, session, load)
        finally:
            served.end()


def _write(logs: Path) -> None:
    from tensorboardX import SummaryWriter

    for run in range(3):
        with SummaryWriter(str(logs / ("run%d" % run))) as writer:
            for step in range(300):
                writer.add_scalar("loss", 1 / (step + 1), step)
            writer.add_histogram("weights", list(range(100)), 1)


def _beside_tensorboard(served: Served, session: Any, logs: Path, load: Load) -> Iterator[Row]:
    ours: List[float] = []
    theirs: List[float] = []
    held: List[float] = []
    alone: List[float] = []
    _visited(session)  # the first also waits for the boards' parent
    for _ in range(load.rounds):
        before = memory(descendants(served.pid))
        began = time.perf_counter()
        job = VisualizationJob.create(_TRAIN_URL, session=session)
        answers(job.service_url)
        ours.append(time.perf_counter() - began)
        _visit(job.service_url)
        held.append(memory(descendants(served.pid)) - before)
        seconds, size = _tensorboard(logs)
        theirs.append(seconds)
        alone.append(size)
    for job in VisualizationJob.iter(session):
        job.delete()
    yield Row(
        "create → service_url answers", "tensorboard answers", "seconds", 0.5, ratio(ours, theirs)
    )
    yield Row("… memory of one more (PSS)", "a tensorboard alone", "bytes", 0.3, ratio(held, alone))


def _visited(session: Any) -> None:
    job = VisualizationJob.create(_TRAIN_URL, session=session)
    answers(job.service_url)
    _visit(job.service_url)


def _visit(url: str) -> None:
    """As a browser that opens the page, once all runs are read."""
    deadline = time.perf_counter() + 60
    while b"run2" not in (fetch(url + "data/runs") or b""):
        assert time.perf_counter() < deadline, url
        time.sleep(0.02)
    for page in _PAGES:
        assert fetch(url + page) is not None, page


def _tensorboard(logs: Path) -> Tuple[float, int]:
    """How long one by itself takes to answer, in seconds, and what it then holds, in bytes."""
    port = _free_port()
    url = "http://127.0.0.1:%d/" % port
    began = time.perf_counter()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--port", str(port)),
            *("--host", "127.0.0.1", "--load_fast", "false"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        answers(url)
        seconds = time.perf_counter() - began
        _visit(url)
        return seconds, memory([process.pid])
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _crowd(served: Served, session: Any, load: Load) -> Iterator[Row]:
    first = VisualizationJob.create(_TRAIN_URL, session=session).wait()
    calls = {
        "details": lambda: first.refresh(),
        # As many as a page has by default, however many there are.
        "list": lambda: VisualizationJob.get_visualization_job_list(session),
    }
    idle = {name: _timed(call, load.calls) for name, call in calls.items()}
    began = time.perf_counter()
    jobs = [VisualizationJob.create(_TRAIN_URL, session=session) for _ in range(load.jobs - 1)]
    for job in jobs:
        job.wait(timeout=600)
    for job in jobs:
        assert fetch(job.service_url) is not None, job
    took = time.perf_counter() - began
    crowded = {name: _timed(call, load.calls) for name, call in calls.items()}
    for name in calls:
        figures = ratio(crowded[name], idle[name])
        yield Row("%s, %d jobs running" % (name, load.jobs), "1 running", "seconds", 3.0, figures)
    processes = descendants(served.pid)
    before = spent(processes)
    time.sleep(20)
    busy = (spent(processes) - before) / 20
    size = memory(processes)
    yield Row("CPU of %d idle boards" % load.jobs, "one core", "seconds", None, _one(busy, 1.0))
    yield Row(
        "memory of all, per board (PSS)",
        "started in %.0f s" % took,
        "bytes",
        None,
        _one(size / load.jobs, size / load.jobs),
    )


def _timed(call: Callable[[], object], calls: int) -> List[float]:
    def once() -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    call()
    # Medians of tens: what the machine does besides is in single calls.
    return [statistics.median(once() for _ in range(10)) for _ in range(max(3, calls // 10))]


def _one(ours: float, theirs: float) -> Ratio:
    found = ratio([ours], [theirs])
    assert found is not None
    return found
