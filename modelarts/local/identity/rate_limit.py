"""Limits on how often a caller may call, and on copies of a signed request."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from modelarts._internal.clock import Clock

__all__ = ["Rate", "Replays"]


class Rate:
    """So many calls a second for each caller, and at once as many as were saved up.

    Args:
        burst: the most that can be saved up.
        max_callers: how many callers are remembered; those not seen for longest are forgotten.
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
        """Seconds until this call would be allowed: 0.0 where it is, and it is counted then."""
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
        """The last call of this caller counts no longer."""
        with self._lock:
            if caller in self._callers:
                saved, since = self._callers[caller]
                self._callers[caller] = (min(self._burst, saved + 1), since)


class Replays:
    """Tells a request that somebody sends once more from one that was sent twice.

    A signature says to the second when it was made. Two equal calls of that second have the same
    one, and arrive within a moment of each other; later it is somebody else's copy.

    Args:
        keep_seconds: how long a signature would be accepted, which is how long it is remembered.
        grace_seconds: that moment.
        max_signatures: how many signatures of one caller are remembered.
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
        """Return True if it was received before that moment; remember it if not."""
        with self._lock:
            now = self._clock.monotonic()
            seen = self._seen.setdefault(caller, OrderedDict())
            while seen and (len(seen) > self._most or next(iter(seen.values())) < now - self._keep):
                seen.popitem(last=False)
            first = seen.setdefault(signature, now)
            return now - first > self._grace
