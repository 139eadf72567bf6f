"""The memory that a call holds: ``python -m benchmarks.harness.memory PEER ADDRESS``.

In a process of its own, which prints the bytes that the call's result holds and the most there
were on the way, as ``tracemalloc`` counts them.
"""

import gc
import subprocess
import sys
import tracemalloc
from typing import Mapping, NamedTuple, Optional

from benchmarks.harness.peers import PEERS
from benchmarks.harness.rounds import ROOT

__all__ = ["Held", "held"]


class Held(NamedTuple):
    """The bytes that a call holds."""

    kept: int
    peak: int


def held(peer: str, address: str, environ: Mapping[str, str]) -> Optional[Held]:
    """Return the bytes that a call of that peer holds; None where it cannot be made."""
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.harness.memory", peer, address],
        cwd=str(ROOT),
        env=dict(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return None if answer.returncode else Held(*map(int, answer.stdout.split()))


def _main(peer: str, address: str) -> None:
    call = PEERS[peer](address)
    call()  # imports and connects
    gc.collect()
    tracemalloc.start()
    kept = call()
    _, peak = tracemalloc.get_traced_memory()
    gc.collect()
    print(tracemalloc.get_traced_memory()[0], peak)
    del kept


if __name__ == "__main__":
    _main(*sys.argv[1:])
