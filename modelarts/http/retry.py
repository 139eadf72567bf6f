"""Retry policy: may a request be repeated, and after how long. Pure functions."""

from email.utils import mktime_tz, parsedate_tz
from typing import NamedTuple, Optional, Union

from modelarts.errors import TransportError

__all__ = ["Retry"]

_IDEMPOTENT = frozenset(("GET", "HEAD", "PUT", "DELETE"))
_PASSING = frozenset((500, 502, 503, 504))


class Retry(NamedTuple):
    """The retry policy of a transport.

    Attributes:
        retries: how often at most, after the first attempt.
        base: the first wait's upper bound in seconds; it doubles with each attempt.
        cap: no wait is longer, in seconds, whatever ``Retry-After`` says.
    """

    retries: int = 3
    base: float = 0.2
    cap: float = 20.0

    def may_repeat(self, method: str, outcome: Union[int, Exception]) -> bool:
        """Return True if a request that ended so (an HTTP status or an error) may be sent again.

        One that cannot have had an effect always may; one that can, where its method says
        that twice is as good as once.
        """
        if isinstance(outcome, TransportError):
            if outcome.permanent:
                return False
            return not outcome.sent or method in _IDEMPOTENT
        return outcome == 429 or (outcome in _PASSING and method in _IDEMPOTENT)

    def delay(
        self,
        method: str,
        attempt: int,
        outcome: Union[int, Exception],
        retry_after: Optional[str],
        random: float,
        now: float = 0.0,
    ) -> Optional[float]:
        """Seconds to wait before the next attempt, or None for no further one.

        Args:
            attempt: how many were made, from 1.
            retry_after: the ``Retry-After`` header: seconds, or a date.
            random: a number from 0 to 1, for full jitter.
            now: the time by the service's clock, in seconds since the epoch.
        """
        if attempt > self.retries or not self.may_repeat(method, outcome):
            return None
        wished = _wished(retry_after, now)
        if wished is not None:
            return min(wished, self.cap)
        # Past 2^60 every cap is reached, and a float would soon overflow.
        backoff: float = min(self.cap, self.base * 2 ** min(attempt - 1, 60))
        return backoff * random


def _wished(retry_after: Optional[str], now: float) -> Optional[float]:
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    parsed = parsedate_tz(text)
    try:
        return None if parsed is None else max(0.0, mktime_tz(parsed) - now)
    except (ValueError, OverflowError):
        return None
