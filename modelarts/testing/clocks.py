"""Waits that take no time."""

import time
from contextlib import contextmanager
from typing import Iterator, List

from modelarts._internal.clock import Clock, stand_in


class FakeClock(Clock):
    """A clock that stands still, except for its sleeps, which take no time and are recorded.

    Args:
        now: the time, in seconds since the epoch.

    Attributes:
        now: the time, in seconds since the epoch; add to it to let time pass.
        sleeps: the seconds of each sleep.

    Example:
        >>> clock = FakeClock(now=100)
        >>> clock.sleep(2.5)
        >>> clock.time(), clock.sleeps
        (102.5, [2.5])
    """

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now
        self.sleeps: List[float] = []

    def time(self) -> float:
        """Return the time.

        Returns:
            Seconds since the epoch.
        """
        return self.now

    def monotonic(self) -> float:
        """Return the same time as :meth:`time`.

        Returns:
            Seconds since the epoch.
        """
        return self.now

    def sleep(self, seconds: float) -> None:
        """Record a sleep, and let its time pass.

        Args:
            seconds: the length of the sleep.
        """
        self.sleeps.append(seconds)
        self.now += seconds

    def random(self) -> float:
        """Return always the same number, so that pauses are always the same.

        Returns:
            0.5.
        """
        return 0.5


@contextmanager
def no_sleep() -> Iterator[FakeClock]:
    """Let waits and retries of all sessions take no time while a block runs.

    Their clock stands still, except for these waits. Sessions with a ``clock=`` of their own keep
    it. Other processes, such as the local service, are not affected: use this with the fake.

    Yields:
        The clock of the sessions.

    Example:
        >>> with no_sleep() as clock:
        ...     Clock().sleep(3600)
        >>> clock.sleeps
        [3600]
    """
    clock = FakeClock(time.time())
    with stand_in(clock):
        yield clock
