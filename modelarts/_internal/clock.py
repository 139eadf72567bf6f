"""What tells the time and waits; tests pass in their own."""

import time
from contextlib import contextmanager
from typing import Any, Iterator

__all__ = ["Clock", "stand_in"]

_system: Any = time


class Clock:
    """The system's clock. A session takes another one as ``clock=``, which is
    how tests run without sleeping."""

    def time(self) -> float:
        """Seconds since the epoch."""
        return float(_system.time())

    def monotonic(self) -> float:
        """Seconds that only ever go forward, for measuring."""
        return float(_system.monotonic())

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        _system.sleep(seconds)

    def random(self) -> float:
        """A number from 0 (included) to 1 (not included), for jitter."""
        import random

        return random.random()


@contextmanager
def stand_in(clock: Clock) -> Iterator[None]:
    """Meanwhile every system's clock of this process, made already or not, goes by another one.

    For :func:`modelarts.testing.no_sleep`.
    """
    global _system
    before = _system
    _system = clock
    try:
        yield
    finally:
        _system = before
