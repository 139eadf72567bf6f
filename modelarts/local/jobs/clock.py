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
from typing import Any, Callable

from modelarts._internal.clock import Clock
from modelarts.local.jobs.store import Store, StoreFailure

_SETTING = "timeline"
_AHEAD = "ahead"


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


class SharedMovableClock(MovableClock):
    """A clock that is moved for all front ends of a database at once.

    Args:
        store: where it is kept how far ahead the clock is.
        ahead: how many seconds it is ahead at first.
        is_first: no other front end has a clock.
    """

    def __init__(self, store: Store, ahead: float, is_first: bool) -> None:
        self._store = store
        self._known = ahead
        if is_first:
            store.keep_setting(_AHEAD, repr(ahead))

    @property
    def ahead(self) -> float:  # type: ignore[override]
        """How many seconds it is ahead; as last known where the database cannot be asked."""
        try:
            self._known = float(self._store.setting(_AHEAD) or 0.0)
        except StoreFailure:
            pass
        return self._known

    def advance(self, seconds: float) -> None:
        with self._store.alone():
            ahead = float(self._store.setting(_AHEAD) or 0.0)
            self._store.keep_setting(_AHEAD, repr(ahead + seconds))


class SharedTimeline(Timeline):
    """The scales of a service with several front ends.

    The first front end goes on from what was kept, as a service that begins does; further ones
    take over the scales of those that live. Between machines, the clock of the database tells how
    much time has passed since a scale was kept.

    Args:
        leads: returns True where this front end keeps the scales for the others.
        is_first: no other front end lives.
    """

    def __init__(
        self, store: Store, clock: ServiceClock, leads: Callable[[], bool], is_first: bool
    ) -> None:
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._leads = leads
        now, at = self._now(), self._at()
        text = store.setting(_SETTING)
        kept: dict[str, int] = json.loads(text) if text else {}
        since = max(0, at - kept.get("at", at))
        passed = kept.get("passed", at) + since
        running = kept.get("running", 0) + (0 if is_first else since)
        if is_first:
            running = max(running, store.last_start())
        self._passed_offset = passed - now
        self._running_offset = running - now
        if is_first:
            self._write()

    def running(self) -> int:
        """Milliseconds that any front end has been running."""
        return self._now() + self._running_offset

    def keep(self) -> None:
        """Write down how far it is, or set it by what the leader has written."""
        if self._leads():
            self._write()
            return
        kept = json.loads(self._store.setting(_SETTING) or "{}")
        now, since = self._now(), self._at() - kept.get("at", 0)
        if kept and since >= 0:
            self._passed_offset = kept["passed"] + since - now
            self._running_offset = kept["running"] + since - now

    def _write(self) -> None:
        with self._lock:
            scales = {"running": self.running(), "passed": self.passed(), "at": self._at()}
            self._store.keep_setting(_SETTING, json.dumps(scales))

    def _now(self) -> int:
        return int(self._clock.since_boot() * 1000)

    def _at(self) -> int:
        """Return the time that all front ends have; moved as their clock."""
        ahead = self._clock.ahead if isinstance(self._clock, MovableClock) else 0.0
        return int((self._store.database.time() + ahead) * 1000)
