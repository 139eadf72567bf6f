"""The process in which one peer runs: ``python -m benchmarks.harness.worker PEER ADDRESS``.

It reads how many calls to make, a line each time, and answers the CPU seconds that one took, user
and system, of all its threads.
"""

import gc
import sys
import time
from typing import Callable

from benchmarks.harness.peers import PEERS

__all__ = ["measure"]


def measure(call: Callable[[], object], calls: int) -> float:
    """CPU seconds per call. The collector runs as it does for users, from a clean start."""
    gc.collect()
    started = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - started) / calls


def _main(peer: str, address: str) -> None:
    call = PEERS[peer](address)
    call()  # connects, logs in, imports what is imported late
    print("ready", flush=True)
    for line in sys.stdin:
        print(measure(call, int(line)), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
