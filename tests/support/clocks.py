"""The clock that tests set, the one that users get; and waiting for other processes."""

import time

from modelarts.testing.clocks import FakeClock

__all__ = ["FakeClock", "wait_until"]


def wait_until(condition, seconds=60):
    """Ask again and again until something that another process does has happened.

    The pauses leave the processor to the process that is waited for; each is at most 50 ms longer
    than a twentieth of the time that has passed.

    Args:
        condition: asks.
        seconds: after so long without success the test fails.
    """
    began = time.monotonic()
    pause = 0.005
    while not condition():
        passed = time.monotonic() - began
        assert passed < seconds, "it did not happen in %s seconds" % seconds
        time.sleep(pause)
        pause = min(1.5 * pause, 0.05 + passed / 20)
