"""What tells the time and waits; tests pass in their own."""

import time

__all__ = ["Clock"]


class Clock:
    """The system's clock. A session takes another one as ``clock=``, which is
    how tests run without sleeping."""

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that only ever go forward, for measuring."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        time.sleep(seconds)

    def random(self) -> float:
        """A number from 0 (included) to 1 (not included), for jitter."""
        import random

        return random.random()
