"""A clock that tests own: the one that users get."""

from modelarts.testing.clocks import FakeClock

__all__ = ["FakeClock"]
