"""Limits of the rate of calls, and detection of replayed requests."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Protocol

from modelarts._internal.clock import Clock


class Limit(Protocol):
    """A limit of the rate of calls of each caller."""

    def take(self, caller: str) -> float:
        """Count a call and return 0.0, or return the seconds until it would be allowed."""

    def give_back(self, caller: str) -> None:
        """Do not count the last call of this caller."""


class ReplayCheck(Protocol):
    """The signatures that were received."""

    def is_replay(self, caller: str, signature: str) -> bool:
        """Return True if the signature was received before; keep it if not."""


class Rate:
    """A token bucket for each caller.

    Args:
        burst: the greatest number of calls at once.
        max_callers: the number of callers that are kept; the least recent are dropped.
    """

    def __init__(
        self, per_second: float, burst: float, clock: Clock, max_callers: int = 10_000
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._max_callers = max_callers
        self._lock = Lock()
        self._callers: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Count a call and return 0.0, or return the seconds until it would be allowed."""
        with self._lock:
            now = self._clock.monotonic()
            saved, since = self._callers.pop(caller, (self._burst, now))
            saved = min(self._burst, saved + (now - since) * self._per_second)
            allowed = saved >= 1
            self._callers[caller] = (saved - allowed, now)
            if len(self._callers) > self._max_callers:
                self._callers.popitem(last=False)
            return 0.0 if allowed else (1 - saved) / self._per_second

    def give_back(self, caller: str) -> None:
        """Do not count the last call of this caller."""
        with self._lock:
            if caller in self._callers:
                saved, since = self._callers[caller]
                self._callers[caller] = (min(self._burst, saved + 1), since)


class Replays:
    """Detects replayed requests, as opposed to equal requests of a client.

    A signature contains the second of its creation. Two equal calls of that second have the same
    signature, and are received within a moment; a later request is a copy.

    Args:
        keep_seconds: the validity of a signature, and the time for which it is kept.
        grace_seconds: the length of that moment.
        max_signatures: the number of signatures of a caller that are kept.
    """

    def __init__(
        self,
        clock: Clock,
        keep_seconds: float,
        grace_seconds: float = 5.0,
        max_signatures: int = 20_000,
    ) -> None:
        self._clock = clock
        self._keep = keep_seconds
        self._grace = grace_seconds
        self._most = max_signatures
        self._lock = Lock()
        self._seen: dict[str, OrderedDict[str, float]] = {}

    def is_replay(self, caller: str, signature: str) -> bool:
        """Return True if the signature was received before that moment; keep it if not."""
        with self._lock:
            now = self._clock.monotonic()
            seen = self._seen.setdefault(caller, OrderedDict())
            while seen and (len(seen) > self._most or next(iter(seen.values())) < now - self._keep):
                seen.popitem(last=False)
            first = seen.setdefault(signature, now)
            return now - first > self._grace
