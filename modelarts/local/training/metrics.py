"""Samples the processors and the memory that trainings use."""

from __future__ import annotations

import logging
from threading import Event, Thread
from typing import Callable, Iterable

from modelarts.local.engine.base import Usage
from modelarts.local.jobs.clock import Timeline
from modelarts.local.jobs.store import StoreFailure
from modelarts.local.training.store import Training, TrainingStore

_LOG = logging.getLogger("modelarts.local")
#: In percent of the machine that runs it. Source: *API Reference*, "Querying the Running Metrics
#: of a Job".
METRICS = ("cpuUsage", "memUsage", "npuMemUsage", "npuUtil", "gpuMemUsage", "gpuUtil")
_SECONDS = 5.0
_MINUTE = 60_000


class _Minute:
    """The samples of one training in one minute."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.samples: dict[str, list[float]] = {}

    def add(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.samples.setdefault(name, []).append(value)

    def means(self) -> dict[str, float]:
        samples = list(self.samples.items())  # another thread may add one
        return {name: round(sum(values) / len(values), 2) for name, values in samples}


class Sampler:
    """Records a mean a minute of each metric of the running trainings.

    Args:
        usages: returns the running trainings with what each has used.
    """

    def __init__(
        self,
        store: TrainingStore,
        timeline: Timeline,
        usages: Callable[[], Iterable[tuple[Training, Usage]]],
    ) -> None:
        self._store = store
        self._timeline = timeline
        self._usages = usages
        self._minutes: dict[int, _Minute] = {}
        self._used: dict[int, tuple[float, float]] = {}
        self._closed = Event()
        self._thread = Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def current(self, training: Training) -> tuple[int, dict[str, float]]:
        """Return the minute of a running training that has not ended, and the means in it."""
        minute = self._minutes.get(training.number)
        return (0, {}) if minute is None else (minute.number, minute.means())

    def finish(self, training: Training) -> None:
        """Record the last minute of a training."""
        minute = self._minutes.pop(training.number, None)
        self._used.pop(training.number, None)
        if minute is not None:
            self._write(training.number, minute)

    def _run(self) -> None:
        while not self._closed.wait(_SECONDS):
            for training, usage in self._usages():
                try:
                    self._sample(training, usage)
                except StoreFailure as error:
                    _LOG.debug("training %s: no metrics: %s", training.job_id, error)

    def _sample(self, training: Training, usage: Usage) -> None:
        now = self._timeline.monotonic()
        before = self._used.get(training.number)
        self._used[training.number] = (now, usage.seconds)
        values = {"memUsage": 100.0 * usage.resident / usage.memory}
        if before is not None and now > before[0]:
            share = max(0.0, usage.seconds - before[1]) / (now - before[0]) / usage.processors
            values["cpuUsage"] = 100.0 * share
        number = training.duration(self._timeline.passed()) // _MINUTE
        minute = self._minutes.get(training.number)
        if minute is None or minute.number != number:
            if minute is not None:
                self._write(training.number, minute)
            minute = self._minutes[training.number] = _Minute(number)
        minute.add(values)

    def _write(self, number: int, minute: _Minute) -> None:
        for name, mean in minute.means().items():
            self._store.add_metric(number, minute.number, name, mean)
