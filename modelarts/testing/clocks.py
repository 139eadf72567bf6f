"""Waits that take no time."""

import time
from contextlib import contextmanager
from typing import Iterator, List

from modelarts._internal.clock import Clock, stand_in

__all__ = ["FakeClock", "no_sleep"]


class FakeClock(Clock):
    """Stands still, but for its sleeps, which it remembers and does not sleep.

    >>> clock = FakeClock(now=100)
    >>> clock.sleep(2.5)
    >>> clock.time(), clock.sleeps
    (102.5, [2.5])

    Args:
        now: what time it is, in seconds since the epoch.

    Attributes:
        now: the same; add to it to let time pass.
        sleeps: how many seconds each sleep was asked to last.
    """

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now
        self.sleeps: List[float] = []

    def time(self) -> float:
        """Seconds since the epoch."""
        return self.now

    def monotonic(self) -> float:
        """The same."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self.sleeps.append(seconds)
        self.now += seconds

    def random(self) -> float:
        """Always the same, so that pauses are."""
        return 0.5


@contextmanager
def no_sleep() -> Iterator[FakeClock]:
    """Meanwhile waits and retries of all sessions take no time, and their clock stands still.

    >>> with no_sleep() as clock:
    ...     Clock().sleep(3600)
    >>> clock.sleeps
    [3600]

    Sessions that have a ``clock=`` of their own keep it. Other programs, such as the local
    service, take the time they take, so this is for the fake.
    """
    clock = FakeClock(time.time())
    with stand_in(clock):
        yield clock
