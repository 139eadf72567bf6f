"""The difference between this machine's clock and the clock of the services."""

from __future__ import annotations

import logging
from email.utils import mktime_tz, parsedate_tz
from typing import Mapping, Optional, Tuple

from modelarts._internal.clock import Clock
from modelarts._internal.locks import ForkSafeLock

_LOG = logging.getLogger("modelarts.http")
#: Seconds; a gateway accepts smaller differences, which may be due to the network's delay.
_MATTERS = 300


class Skew:
    """The clock difference of one transport, determined after a refusal, with one warning."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = ForkSafeLock()
        #: Seconds that this machine's clock is behind; 0 until a relevant difference is known.
        self.seconds = 0.0
        self._latest: Optional[Tuple[str, float]] = None

    def now(self) -> float:
        """Return the time by the services' clock, as far as it is known."""
        return self._clock.time() + self.seconds

    def see(self, headers: Mapping[str, str]) -> None:
        """Keep the ``Date`` of the latest response; it is parsed only when it is needed."""
        date = headers.get("Date")
        if date is not None:
            self._latest = (date, self._clock.time())

    def now_by_latest(self) -> float:
        """Return the service's time to a second, by its latest response."""
        if self._latest is not None:
            date, seen = self._latest
            seconds = _seconds(date)
            if seconds is not None:
                return seconds + self._clock.time() - seen
        return self.now()

    def learn(self, headers: Mapping[str, str]) -> None:
        """Measure the difference by a response's ``Date``, which is by the service's clock."""
        date = _seconds(headers.get("Date"))
        if date is None:
            return
        off = date - self._clock.time()
        with self._lock:
            if abs(off - self.seconds) < _MATTERS:
                return
            warned = self.seconds != 0
            # Also back to 0, if the clock was corrected meanwhile.
            self.seconds = off if abs(off) >= _MATTERS else 0.0
        if warned:
            return
        _LOG.warning(
            "this machine's clock is %d seconds %s; requests are dated by the service's from "
            "now on, but please set the clock",
            abs(off),
            "behind" if off > 0 else "ahead",
        )


def _seconds(date: Optional[str]) -> Optional[float]:
    parsed = parsedate_tz(date or "")
    try:
        return None if parsed is None else float(mktime_tz(parsed))
    except (ValueError, OverflowError):
        return None
