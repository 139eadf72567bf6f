"""Checks of passwords, limited in number and in the use of the processor."""

from __future__ import annotations

from threading import BoundedSemaphore

from werkzeug.security import check_password_hash

from modelarts._internal.clock import Clock
from modelarts.local.errors import Throttled
from modelarts.local.identity.rate_limit import Limit, Rate
from modelarts.local.identity.users import User

MAX_WRONG = 10
WRONG_PER_SECOND = 0.1

#: Each costs 32 MiB and a tenth of a second.
_MOST_AT_ONCE = 2
#: The hash that no password matches, at the same cost.
_NOBODYS = "scrypt:32768:8:1$nobodys$" + 128 * "0"


class Logins:
    """Checks passwords: after ten wrong ones of a name from an address, six a minute.

    Args:
        wrong: counts the wrong ones; None: in memory.
    """

    def __init__(self, clock: Clock, wrong: Limit | None = None) -> None:
        self._wrong: Limit = wrong or Rate(WRONG_PER_SECOND, MAX_WRONG, clock)
        self._hashing = BoundedSemaphore(_MOST_AT_ONCE)
        self._waiting = BoundedSemaphore(2 * _MOST_AT_ONCE)

    def is_right(self, user: User | None, password: str, name: str, address: str) -> bool:
        """Return True if the password is the user's. It takes as long for a user that does not
        exist.

        Raises:
            Throttled: too many wrong passwords, or too many checks at this time.
        """
        caller = f"{address} {name}"
        pause = self._wrong.take(caller)
        if pause:
            raise Throttled("Too many logins with a wrong password.", pause)
        known = user.password if user is not None else None
        right = self._hash(_NOBODYS if known is None else known, password, caller)
        if right:
            self._wrong.give_back(caller)
        return right

    def _hash(self, hashed: str, password: str, caller: str) -> bool:
        if not self._waiting.acquire(blocking=False):
            self._wrong.give_back(caller)
            raise Throttled("Too many logins at this moment.", 1.0)
        try:
            with self._hashing:
                return check_password_hash(hashed, password.encode("utf-8", "replace").decode())
        finally:
            self._waiting.release()
