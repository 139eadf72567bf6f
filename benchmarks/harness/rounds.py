"""Lets workers take turns, and compares what each spent in the same round.

The machine's speed drifts, by a third within a minute on a shared one. Peers that take turns
drift together, so the ratio within a round says more than two figures taken one after the other.
"""

import contextlib
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

__all__ = ["ROOT", "Ratio", "Worker", "environment", "interleave", "ratio"]

#: The checkout, whose modelarts is measured wherever another one is installed.
ROOT = Path(__file__).resolve().parents[2]

Seconds = Dict[str, List[float]]


class Ratio(NamedTuple):
    """One figure divided by another. ``low`` and ``high`` are quartiles of the rounds."""

    ours: float
    theirs: float
    median: float
    low: float
    high: float


class Worker:
    """A process that makes one peer's calls.

    Args:
        name: what it is called in the result.
        peer: one of :data:`benchmarks.harness.peers.PEERS`.
        environ: all of its environment.
    """

    def __init__(self, name: str, peer: str, address: str, environ: Mapping[str, str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness.worker", peer, address],
            cwd=str(ROOT),
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Why a peer cannot run is of no interest here; why this package cannot is.
            stderr=None if peer.startswith("modelarts") else subprocess.DEVNULL,
            universal_newlines=True,
        )

    def ready(self) -> bool:
        """Wait for its first call; False if it cannot make one, mostly for not being installed."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip() == "ready"

    def spend(self, calls: int) -> float:
        """Have it make calls; the CPU seconds that one took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("%d\n" % calls)
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()


def environment(home: str, variables: int) -> Dict[str, str]:
    """An environment of so many variables, named as an orchestrator names most of them."""
    environ = {"HOME": home, "PATH": os.defpath}
    for number in range(variables - len(environ)):
        environ["SERVICE_%d_PORT_443_TCP_ADDR" % number] = "10.247.3.%d" % number
    return environ


def interleave(workers: Sequence[Worker], rounds: int, calls: int) -> Seconds:
    """CPU seconds per call, by worker and round; a worker that cannot work is left out."""
    able = []
    try:
        able = [worker for worker in workers if worker.ready()]
        spent: Seconds = {worker.name: [] for worker in able}
        for number in range(rounds):
            # Whoever begins does so once in a while, not always.
            first = number % len(able)
            for worker in able[first:] + able[:first]:
                spent[worker.name].append(worker.spend(calls))
    finally:
        for worker in workers:
            worker.close()
    return spent


def ratio(ours: Sequence[float], theirs: Optional[Sequence[float]]) -> Optional[Ratio]:
    """The medians of both, and the median of the ratio within each round."""
    if not theirs:
        return None
    ratios = sorted(a / b for a, b in zip(ours, theirs))
    return Ratio(
        statistics.median(ours),
        statistics.median(theirs),
        statistics.median(ratios),
        ratios[len(ratios) // 4],
        ratios[-1 - len(ratios) // 4],
    )
