"""Retry policy: if and after which pause a request is repeated. Pure functions."""

from __future__ import annotations

from email.utils import mktime_tz, parsedate_tz
from typing import Optional, Union

from modelarts._internal.values import Value
from modelarts.errors import TransportError

_IDEMPOTENT = frozenset(("GET", "HEAD", "PUT", "DELETE"))
_PASSING = frozenset((500, 502, 503, 504))


class Retry(Value):
    """The retry policy of a transport.

    Attributes:
        retries: the greatest number of attempts after the first.
        base: the upper bound of the first pause, in seconds; it doubles with each attempt.
        cap: the longest pause in seconds, also if ``Retry-After`` is longer.
    """

    __slots__ = ("base", "cap", "retries")

    retries: int
    base: float
    cap: float

    def __init__(self, retries: int = 3, base: float = 0.2, cap: float = 20.0) -> None:
        self._set(retries=retries, base=base, cap=cap)

    def may_repeat(self, method: str, outcome: Union[int, Exception]) -> bool:
        """Return True if a request with this outcome (HTTP status or error) may be sent again.

        A request without effect always may; a request that may have had an effect, only if its
        method is idempotent.
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
        """Return the seconds before the next attempt; None if there is no further attempt.

        Args:
            attempt: the number of attempts so far, from 1.
            retry_after: the ``Retry-After`` header: seconds, or a date.
            random: a number from 0 to 1, for full jitter.
            now: the time by the service's clock, in seconds since the epoch.
        """
        if attempt > self.retries or not self.may_repeat(method, outcome):
            return None
        wished = _wished(retry_after, now)
        if wished is not None:
            return min(wished, self.cap)
        # Beyond 2^60 every cap is reached, and a float would overflow.
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
