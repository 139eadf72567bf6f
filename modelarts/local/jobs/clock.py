"""The clocks by which durations and schedules of jobs are measured.

Three scales, in milliseconds, because none is right for all:

``wall``     what the system's clock shows, for ``create_time``. It may be set.
``running``  grows while the service runs and the machine is awake, for ``duration``.
``passed``   grows always, for schedules: while the machine sleeps, and while no service runs.

No setting of the clock moves the last two, as long as the machine is not started anew: then the
wall clock alone can say how much time passed.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from threading import Lock
from typing import Any

from modelarts._internal.clock import Clock
from modelarts.local.jobs.store import Store

__all__ = ["MovableClock", "ServiceClock", "Timeline"]

_SETTING = "timeline"


class ServiceClock(Clock):
    """The system's clocks, as the service needs them."""

    def since_boot(self) -> float:
        """Seconds that go on while the machine sleeps."""
        if sys.platform == "linux":
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.clock_gettime(time.CLOCK_MONOTONIC)

    def boot(self) -> str:
        """Return the start of the machine that :meth:`since_boot` counts from; empty if unknown."""
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return ""


class MovableClock(ServiceClock):
    """A clock that can be moved forward, for tests of programs: ``modelarts serve --test-clock``.

    Args:
        ahead: how many seconds it is ahead of the real one.
    """

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.ahead += seconds

    def time(self) -> float:
        """Seconds since the epoch."""
        return super().time() + self.ahead

    def monotonic(self) -> float:
        """Seconds that only ever go forward."""
        return super().monotonic() + self.ahead

    def since_boot(self) -> float:
        """Seconds that go on while the machine sleeps."""
        return super().since_boot() + self.ahead


class Timeline:
    """The three scales of one service. What :meth:`keep` wrote, the next service goes on from."""

    def __init__(self, store: Store, clock: ServiceClock) -> None:
        self._store = store
        self._clock = clock
        self._lock = Lock()
        text = store.setting(_SETTING)
        kept: dict[str, Any] = json.loads(text) if text else {}
        wall, since_boot, boot = self.wall(), int(clock.since_boot() * 1000), clock.boot()
        # The first service of a folder begins with what the wall clock shows.
        passed = int(kept.get("passed", wall))
        if kept and boot and boot == kept["boot"]:
            passed += max(0, since_boot - kept["since_boot"])
        elif kept:
            passed += max(0, wall - kept["wall"])
        # A kill loses what was not kept, but no job began to run later than now.
        running = max(int(kept.get("running", 0)), store.last_start())
        self._boot = boot
        self._passed_offset = passed - since_boot
        self._running_offset = running - int(clock.monotonic() * 1000)

    def wall(self) -> int:
        """Milliseconds since the epoch."""
        return int(self._clock.time() * 1000)

    def running(self) -> int:
        """Milliseconds that the service has been running, over all of its lives."""
        return int(self._clock.monotonic() * 1000) + self._running_offset

    def passed(self) -> int:
        """Milliseconds that have passed, whether or not anything ran."""
        return int(self._clock.since_boot() * 1000) + self._passed_offset

    def monotonic(self) -> float:
        """Seconds, for measuring within one life of the service."""
        return self._clock.monotonic()

    def keep(self) -> None:
        """Write down how far it is."""
        with self._lock:
            now = {
                "running": self.running(),
                "passed": self.passed(),
                "wall": self.wall(),
                "since_boot": int(self._clock.since_boot() * 1000),
                "boot": self._boot,
            }
            self._store.keep_setting(_SETTING, json.dumps(now))
