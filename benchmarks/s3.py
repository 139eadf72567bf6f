"""An S3 server whose answers take a while, in a process of its own: ``python -m benchmarks.s3``.

Prints its address; ends when its input does. Every request waits for 20 milliseconds first, as over
a network.
"""

import sys
import threading
import time
from typing import Any

from tests.buckets import Buckets

__all__ = ["main"]

_SECONDS = 0.02


def main() -> None:
    """Serve until the input ends."""
    buckets = Buckets()
    buckets.refuse = _wait
    print(buckets.endpoint, flush=True)
    threading.Thread(target=sys.stdin.read).start()


def _wait(request: Any) -> None:
    time.sleep(_SECONDS)


if __name__ == "__main__":
    main()
