"""A lock that a forked process does not inherit in the state it happened to be in."""

from __future__ import annotations

import os
from threading import RLock
from typing import Any


class ForkSafeLock:
    """A reentrant lock; after a fork the child has a free one of its own.

    A thread that held it at the moment of the fork does not exist in the child and would
    never let it go there.
    """

    __slots__ = ("_lock", "_pid")

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = RLock()

    def __enter__(self) -> None:
        if self._pid != os.getpid():
            # The child has one thread at first, so no other thread does the same.
            self._pid = os.getpid()
            self._lock = RLock()
        self._lock.acquire()

    def __exit__(self, *error: Any) -> None:
        self._lock.release()
