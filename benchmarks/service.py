"""The cost of the local service while many jobs run: ``python -m benchmarks service``.

Linux only: it reads ``/proc``.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List

from benchmarks.harness.rounds import Ratio, ratio
from benchmarks.harness.tables import Load, Row
from modelarts.estimator import VisualizationJob
from tests.servers.served import Served, descendants, fetch, memory, spent

__all__ = ["rows"]

_TRAIN_URL = "/bucket/logs/"


def rows(load: Load) -> Iterator[Row]:
    """All comparisons, each as soon as it is made."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        logs = root / "obs" / "bucket" / "logs"
        _write(logs)
        served = Served(root, "--max-running", str(load.jobs + load.rounds))
        try:
            with served.session() as session:
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
