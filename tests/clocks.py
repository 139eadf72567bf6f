"""The clock that tests set, the one that users get; and waiting for other processes."""

import time

from modelarts.testing.clocks import FakeClock

__all__ = ["FakeClock", "wait_until"]


def wait_until(condition, seconds=60):
    """Ask again and again until something that another process does has happened.

    Args:
        condition: asks; each call should take a moment, as a request to that process does.
        seconds: after so long without success the test fails.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in %s seconds" % seconds
