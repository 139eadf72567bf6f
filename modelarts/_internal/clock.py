"""The clock that all time is taken from; tests pass in their own."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Any, Iterator

__all__ = ["Clock", "stand_in"]

_system: Any = time


class Clock:
    """The system's clock.

    A session takes another one as ``clock=``, so that tests run without sleeping.
    """

    def time(self) -> float:
        """Return the time.

        Returns:
            Seconds since the epoch.
        """
        return float(_system.time())

    def monotonic(self) -> float:
        """Return a time that never goes back, for measuring.

        Returns:
            Seconds from an arbitrary beginning.
        """
        return float(_system.monotonic())

    def sleep(self, seconds: float) -> None:
        """Wait for some time.

        Args:
            seconds: the length of the wait.
        """
        _system.sleep(seconds)

    def random(self) -> float:
        """Return a random number, for the jitter of pauses.

        Returns:
            A number from 0 (included) to 1 (not included).
        """
        import random

        return random.random()


@contextmanager
def stand_in(clock: Clock) -> Iterator[None]:
    """Replace the system's clock of this process by another one while a block runs.

    All :class:`Clock` objects use it, also those made before. For
    :func:`modelarts.testing.no_sleep`.

    Args:
        clock: the other clock.

    Yields:
        Nothing.
    """
    global _system
    before = _system
    _system = clock
    try:
        yield
    finally:
        _system = before
