"""A clock that tests own."""

from modelarts.clock import Clock


class FakeClock(Clock):
    """Stands still, but for its sleeps, which it remembers and does not sleep."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now
        self.sleeps = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    def random(self) -> float:
        return 0.5
