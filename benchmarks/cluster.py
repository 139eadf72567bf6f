"""Boards on a Ray cluster on this machine: ``python -m benchmarks.cluster [BOARDS [NODES]]``.

Prints what a node, a board and its start cost, and how long the boards of a killed node are away.
Linux only: it reads ``/proc``.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tensorboardX import SummaryWriter

from modelarts.estimator import VisualizationJob
from tests.servers.ray_cluster import RayCluster
from tests.servers.served import Served, descendants, fetch, memory, spent

__all__ = ["main"]

_BOARDS = 60
_NODES = 2


def main(boards: int, nodes: int) -> None:
    """Measure, and print a line for each figure."""
    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    with SummaryWriter(str(folder / "logs" / "train")) as writer:
        for step in range(1000):
            writer.add_scalar("loss", 1 / (step + 1), step)
    began = time.monotonic()
    cluster = RayCluster()
    _say("head answers after", time.monotonic() - began, "s")
    try:
        _measure(cluster, folder, boards, nodes)
    finally:
        cluster.end()
        shutil.rmtree(str(folder), ignore_errors=True)


def _measure(cluster: RayCluster, folder: Path, boards: int, nodes: int) -> None:
    for _ in range(nodes - 1):
        began = time.monotonic()
        node = cluster.add_node()
        _say("another node answers after", time.monotonic() - began, "s")
    time.sleep(5)
    for number, each in enumerate(cluster.nodes):
        _say("Ray on node %d, PSS" % number, memory(descendants(each.pid)) / 1e6, "MB")
    began = time.monotonic()
    arguments = ("--ray-address", cluster.address, "--mount", "logs=%s" % (folder / "logs"))
    service = Served(folder / "root", *arguments, environ=cluster.environ)
    _say("service answers after", time.monotonic() - began, "s")
    try:
        session = service.session()
        before = _costs(cluster)
        jobs, times = [], []
        for _ in range(boards):
            began = time.monotonic()
            job = VisualizationJob.create("/logs/", session=session).wait()
            assert fetch(job.service_url + "data/runs") == b'["train"]'
            times.append(time.monotonic() - began)
            jobs.append(job)
        after = _costs(cluster)
        _say("create to page, median", statistics.median(times), "s")
        _say("create to page, longest", max(times), "s")
        _say("a board, PSS of actor and board", (after[0] - before[0]) / boards / 1e6, "MB")
        _say("a start, CPU of Ray, actor and board", (after[1] - before[1]) / boards, "s")
        _say("spare processes, PSS", memory(_spares(cluster)) / 1e6, "MB")
        idle = _costs(cluster)[1]
        time.sleep(20)
        _say("a board, CPU while idle", (_costs(cluster)[1] - idle) / boards / 20 * 1000, "ms/s")
        _kill(cluster, node, jobs)
        for job in jobs:
            job.delete()
    finally:
        service.end()


def _kill(cluster: RayCluster, node: object, jobs: list) -> None:
    lost = len(node.actors())
    node.kill()
    cluster.nodes.remove(node)
    began = time.monotonic()
    while not all(fetch(job.service_url + "data/runs") == b'["train"]' for job in jobs):
        assert time.monotonic() - began < 300, "boards do not come back"
        time.sleep(0.2)
    _say("%d boards of a killed node answer after" % lost, time.monotonic() - began, "s")
    _say("actors then", len(cluster.actors()), "")


def _costs(cluster: RayCluster) -> tuple:
    pids = {pid for node in cluster.nodes for pid in descendants(node.pid)}
    pids.difference_update(_spares(cluster))
    for parent in _parents():
        pids.update(descendants(parent))
    return memory(sorted(pids)), spent(sorted(pids))


def _spares(cluster: RayCluster) -> list:
    """The processes of Ray that no board uses yet."""
    pids = [pid for node in cluster.nodes for pid in descendants(node.pid)]
    return [pid for pid in pids if _title(pid).startswith(b"ray::IDLE")]


def _parents() -> list:
    """The parents of the boards, which are children of no actor."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if b"modelarts.local.boards.cluster.parent" in _title(pid)]


def _title(pid: int) -> bytes:
    try:
        return Path("/proc/%d/cmdline" % pid).read_bytes()
    except OSError:
        return b""


def _say(what: str, value: float, unit: str) -> None:
    print("%-45s %8.2f %s" % (what, value, unit), flush=True)


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    main(*numbers, *(_BOARDS, _NODES)[len(numbers) :])
