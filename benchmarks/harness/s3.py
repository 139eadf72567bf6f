"""An S3 server whose answers take a while, in a process of its own.

``python -m benchmarks.harness.s3`` prints its address and ends when its input does. Every
request waits for 20 milliseconds first, as over a network.
"""

import contextlib
import subprocess
import sys
import threading
import time
from typing import Any, Iterator

from modelarts.session import Session

__all__ = ["ACCESS_KEY", "SECRET_KEY", "main", "running"]

ACCESS_KEY = "BENCHMARK"
SECRET_KEY = "benchmark"
_SECONDS = 0.02


@contextlib.contextmanager
def running() -> "Iterator[tuple[str, Session]]":
    """Run the server; give its address, and a session with it, which has a bucket ``logs``."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.harness.s3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        endpoint = server.stdout.readline().strip()
        with Session(
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            project_id="0" * 32,
            region_name="us-east-1",
            obs_endpoint=endpoint,
            proxies={},
        ) as session:
            session.get_obs_client().createBucket("logs")
            yield endpoint, session
    finally:
        server.stdin.close()
        server.wait()


def main() -> None:
    """Serve until the input ends."""
    from tests.servers.buckets import Buckets

    buckets = Buckets()
    buckets.refuse = _wait
    print(buckets.endpoint, flush=True)
    threading.Thread(target=sys.stdin.read).start()


def _wait(request: Any) -> None:
    time.sleep(_SECONDS)


if __name__ == "__main__":
    main()
