"""Whether to send a request again, and after how long: pure functions of what happened."""

from typing import Optional, Union

import attr

from modelarts.errors import TransportError

__all__ = ["Retry"]

_IDEMPOTENT = frozenset(("GET", "HEAD", "PUT", "DELETE"))
_PASSING = frozenset((500, 502, 503, 504))


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Retry:
    """The policy.

    Attributes:
        retries: how often at most, after the first attempt.
        base: the first wait's upper bound in seconds; it doubles with each attempt.
        cap: no wait is longer, in seconds, whatever ``Retry-After`` says.
    """

    retries: int = 3
    base: float = 0.2
    cap: float = 20.0

    def may_repeat(self, method: str, outcome: Union[int, Exception]) -> bool:
        """Whether a request that ended so (an HTTP status or an error) may be sent again."""
        if outcome == 429 or (isinstance(outcome, TransportError) and not outcome.sent):
            return True
        if method not in _IDEMPOTENT:
            return False
        return isinstance(outcome, TransportError) or outcome in _PASSING

    def delay(
        self,
        method: str,
        attempt: int,
        outcome: Union[int, Exception],
        retry_after: Optional[str],
        random: float,
    ) -> Optional[float]:
        """Seconds to wait before the next attempt, or None for no further one.

        Args:
            attempt: how many were made, from 1.
            retry_after: the ``Retry-After`` header, in seconds.
            random: a number from 0 to 1, for full jitter.
        """
        if attempt > self.retries or not self.may_repeat(method, outcome):
            return None
        if retry_after and retry_after.isascii() and retry_after.isdigit():
            return min(float(retry_after), self.cap)
        # Past 2^60 every cap is reached, and a float would soon overflow.
        backoff: float = min(self.cap, self.base * 2 ** min(attempt - 1, 60))
        return backoff * random
