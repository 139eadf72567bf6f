"""The queue of trainings, their start, and their end.

The status in the store is the truth, and every change of it names the statuses that it comes from.
A training belongs to its keeper, not to this process: a service that was killed finds it again.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Signal
from threading import RLock, Thread
from typing import Iterator

from modelarts.local.database.front_ends import FrontEnds, Gone, OnlyFrontEnd
from modelarts.local.engine.base import (
    Ended,
    EngineAway,
    EngineError,
    Launch,
    Limits,
    TrainingEngine,
    Usage,
    exit_text,
)
from modelarts.local.jobs.clock import Timeline
from modelarts.local.jobs.store import StoreFailure
from modelarts.local.training.definition import read
from modelarts.local.training.machine_types import ANY_GPU, GPU, MachineTypes
from modelarts.local.training.metrics import Sampler
from modelarts.local.training.store import LIVE, Event, Training, TrainingStore
from modelarts.local.training.workspace import PreparationError, Workspaces
from modelarts.models import JobStatus

_LOG = logging.getLogger("modelarts.local")
_WAITING = (JobStatus.INIT, JobStatus.WAITING)
#: A schedule is late by so much at most after the machine slept.
_MAX_WAIT = 60.0
_AGAIN_SECONDS = 2.0
_EXCEEDED = {
    "memory": "it used more memory than {memory} MB (modelarts serve --training-memory)",
    "processes": "it had more than {processes} processes at once",
    "log": "it wrote more than {log} GB of output",
    "disk": "its output had almost filled the disk",
    "lost": "Ray ended its actor, most likely for lack of memory on its node",
}


class TrainingSupervisor:
    """The trainings of one service.

    Args:
        max_running: how many run at once; others wait.
        limits: those of each training.
        front_ends: those of the database; None: there is one. Each has trainings of its own,
            unless all reach all of them: then the leader has them.
    """

    def __init__(
        self,
        store: TrainingStore,
        machine: TrainingEngine,
        workspaces: Workspaces,
        types: MachineTypes,
        timeline: Timeline,
        max_running: int,
        limits: Limits,
        front_ends: FrontEnds | None = None,
    ) -> None:
        self._front_ends = front_ends or OnlyFrontEnd()
        self._is_common = machine.is_shared and self._front_ends.name is not None
        self._gone = Gone(self._front_ends)
        self._leads = False
        self._ending: set[str] = set()  # those that were stopped through another front end
        self._store = store
        self._machine = machine
        self._workspaces = workspaces
        self._types = types
        self._timeline = timeline
        self._max_running = max_running
        self._limits = limits
        self._lock = RLock()
        self._busy: set[str] = set()  # those that are being started
        self._running: dict[str, Training] = {}
        self._closed = False
        self._changed = Signal()
        self._pool = ThreadPoolExecutor(machine.threads, "training")
        self._thread = Thread(target=self._run, name="trainings", daemon=True)
        self._sampler = Sampler(store, timeline, self._usages)

    def open(self) -> None:
        """Find the trainings of an earlier service again, and start those that wait."""
        if not self._is_common:
            self._remove_deleted()
            for training in self._store.live():
                if training.runs_on == self._front_ends.name:
                    self._adopt(training)
        self._thread.start()
        self._sampler.start()

    def close(self) -> None:
        """Start nothing any more. What runs goes on, and the next service finds it."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._changed.set()
        self._sampler.close()
        self._machine.close()
        self._pool.shutdown(cancel_futures=True)
        if self._running:
            _LOG.info("%d trainings go on; the next service finds them", len(self._running))

    def has_any(self) -> bool:
        """Return True if a training has not ended; also where the file cannot be read."""
        try:
            return self._store.any_live()
        except StoreFailure:
            return True

    def submit(self) -> None:
        """Have a new training started, if there is room."""
        self._changed.set()
        if self._is_common and not self._front_ends.is_leader:
            self._front_ends.announce()

    def look(self) -> None:
        """Look at what has changed, and start what waits."""
        self._changed.set()

    def current_metrics(self, training: Training) -> tuple[int, dict[str, float]]:
        """Return the minute of a running training that has not ended, and the means in it."""
        return self._sampler.current(training)

    def stop(self, job_id: str, cause: str) -> Training | None:
        """End a training; return it as it is then, None where it has ended or is ending."""
        with self._lock:
            training = self._store.move(job_id, _WAITING, JobStatus.KILLED, reason=cause)
            if training is not None:
                self._note(training, "Info", f"The training was stopped before it ran: {cause}.")
                self._machine.end(self._workspaces.state(job_id), at_once=True)
                self._workspaces.remove_work(job_id)
                return training
            training = self._store.move(
                job_id, [JobStatus.RUNNING], JobStatus.KILLING, reason=cause
            )
        if training is not None:
            self._note(training, "Info", f"The training is being stopped: {cause}.")
            self._machine.end(self._workspaces.state(job_id))
            self._front_ends.announce()
        return training

    def stop_due(self) -> None:
        """Stop the trainings whose schedule says so."""
        for training in self._store.due(self._timeline.passed()):
            self.stop(training.job_id, f"auto_stop after {training.schedule_hours} hours")

    def delete(self, training: Training) -> None:
        """Remove a training, and end it before if it runs."""
        with self._lock:
            now = self._store.get(training.job_id)
            if now is None:
                return
            if now.status in (JobStatus.RUNNING, JobStatus.KILLING):
                self._store.delete_later(now.job_id)
            else:
                self._store.remove(now.number)
        if now.status in (JobStatus.RUNNING, JobStatus.KILLING):
            self._machine.end(self._workspaces.state(now.job_id), at_once=True)
            self._front_ends.announce()
        else:
            self._machine.end(self._workspaces.state(now.job_id), at_once=True)
            self._workspaces.remove(now.job_id)
        _LOG.info("training %s: deleted", now.job_id)

    def _adopt(self, training: Training) -> None:
        """Go on with a training that an earlier service has left."""
        folder = self._workspaces.state(training.job_id)
        if not self._machine.has_started(folder):
            if training.status in _WAITING and self._machine.is_running(folder):
                self._busy.add(training.job_id)
                self._pool.submit(self._start, training, training.gpu, True)
            elif training.status in _WAITING:
                # Any front end may start one that all reach.
                owner = None if self._is_common else training.runs_on
                self._store.move(training.job_id, _WAITING, JobStatus.WAITING, runs_on=owner)
            elif self._machine.is_running(folder):
                self._watch(training)  # its file is not seen on this machine yet
            elif training.is_deleted:
                self._remove(training)
            else:
                # Its folder was removed from outside.
                self._finish(training, None)
            return
        if training.status in _WAITING:
            training = self._is_running(training) or training
        if self._machine.is_running(folder):
            _LOG.info("training %s: found again", training.job_id)
            if training.status == JobStatus.KILLING:
                self._machine.end(folder, at_once=bool(training.is_deleted))
        self._watch(training)

    def _run(self) -> None:
        while not self._closed:
            self._changed.clear()
            pause = _MAX_WAIT
            try:
                if self._is_common and not self._front_ends.is_leader:
                    self._leads = False
                    self._changed.wait(pause)
                    continue
                self.stop_due()
                if self._is_common:
                    self._take_over()
                self._end_stopped()
                self._dispatch()
                due = self._store.next_stop()
                if due is not None:
                    pause = min(max((due - self._timeline.passed()) / 1000, 0.0), _MAX_WAIT)
                if self._gone.is_waiting:
                    pause = min(pause, _AGAIN_SECONDS)
            except StoreFailure as failure:
                _LOG.error("%s", failure)
                pause = _AGAIN_SECONDS
            except Exception:
                _LOG.exception("internal error")
                pause = _AGAIN_SECONDS
            self._changed.wait(pause)

    def _remove_deleted(self) -> None:
        """End and remove what an earlier service has left of trainings that are gone."""
        for job_id in set(self._workspaces.ids()) - self._store.ids():
            self._machine.end(self._workspaces.state(job_id), at_once=True)
            self._machine.wait(self._workspaces.state(job_id))
            self._workspaces.remove(job_id)

    def _take_over(self) -> None:
        """Go on with what other front ends, or an earlier service, have left to the leader."""
        if not self._leads:
            self._remove_deleted()
            self._leads = True
        is_gone = self._gone.look(self._timeline.monotonic())
        for training in self._store.live():
            with self._lock:
                is_known = training.job_id in self._busy or training.job_id in self._running
            owner = training.runs_on
            if is_known or (training.status in _WAITING and owner is None):
                continue
            is_own = owner == self._front_ends.name
            if training.status in _WAITING and not is_own and not is_gone(str(owner)):
                continue  # it is being started there
            self._adopt(training)

    def _end_stopped(self) -> None:
        """End the trainings that were stopped or deleted through another front end."""
        if self._front_ends.name is None:
            return
        for training in self._store.live():
            is_own = training.job_id in self._running and training.job_id not in self._ending
            if is_own and training.status == JobStatus.KILLING:
                self._ending.add(training.job_id)
                folder = self._workspaces.state(training.job_id)
                self._machine.end(folder, at_once=bool(training.is_deleted))

    def _dispatch(self) -> None:
        """Begin to start as many of those that wait as there is room for."""
        with self._lock:
            waiting = [
                each
                for each in self._store.waiting()
                if each.job_id not in self._busy and each.runs_on in (None, self._front_ends.name)
            ]
            used = {each.gpu for each in self._running.values()}
            for training in waiting:
                flavor = self._types.flavors.get(_flavor(training))
                free = [gpu for gpu in self._types.gpus if gpu not in used]
                is_full = len(self._running) + len(self._busy) >= self._max_running
                needs_gpu = flavor is not None and flavor.kind == GPU
                if is_full or (needs_gpu and not free and not self._machine.assigns_gpus):
                    if training.status == JobStatus.INIT and self._store.move(
                        training.job_id, [JobStatus.INIT], JobStatus.WAITING
                    ):
                        self._note(training, "Info", "The training waits for its turn.")
                    continue
                gpu = None
                if needs_gpu:
                    gpu = ANY_GPU if self._machine.assigns_gpus else free[0]
                used.add(gpu)
                self._busy.add(training.job_id)
                self._pool.submit(self._start, training, gpu)

    def _start(self, training: Training, gpu: str | None, is_handed_over: bool = False) -> None:
        try:
            if is_handed_over:
                self._await_start(training)
            else:
                self._start_now(training, gpu)
        except EngineAway as error:
            _LOG.error("training %s: %s. It is tried again.", training.job_id, error)
            self._workspaces.remove_work(training.job_id)
            Signal().wait(_AGAIN_SECONDS)
        except (PreparationError, EngineError) as error:
            self._fail(training, str(error))
        except StoreFailure as failure:
            _LOG.error("training %s: %s It is tried again.", training.job_id, failure)
        except Exception:
            _LOG.exception("training %s: internal error", training.job_id)
            self._fail(training, "internal error; see the log of the service")
        finally:
            with self._lock:
                self._busy.discard(training.job_id)
            self._changed.set()

    def _start_now(self, training: Training, gpu: str | None) -> None:
        ready = self._store.claim(training.job_id, _WAITING, gpu, self._front_ends.name)
        if ready is None:
            return
        definition = read(ready.definition)
        interpreter = self._types.interpreter(definition.engine)
        launch = self._workspaces.prepare(ready, definition, interpreter)
        with self._lock:
            now = self._store.get(ready.job_id)
            if now is None:
                self._workspaces.remove(ready.job_id)
                return
            if now.runs_on != ready.runs_on:
                return  # another front end leads by now, and starts it
            if self._closed or now.status not in _WAITING:
                self._workspaces.remove_work(ready.job_id)
                return
            self._launch(ready, launch)
        self._await_start(ready)

    def _await_start(self, training: Training) -> None:
        """Wait until a training that was handed over runs."""
        folder = self._workspaces.state(training.job_id)
        if not self._machine.wait_for_start(folder):
            return  # the next service finds it
        with self._lock:
            running = self._is_running(training)
        if running is not None:
            self._watch(running)
        else:
            # It was stopped or deleted while it waited for its turn.
            self._machine.end(folder, at_once=True)

    def _launch(self, training: Training, launch: Launch) -> None:
        folder = self._workspaces.state(training.job_id)
        if not self._machine.has_started(folder):
            self._machine.start(folder, launch, self._limits, gpus=int(training.gpu is not None))

    def _is_running(self, training: Training) -> Training | None:
        passed = self._timeline.passed()
        hours = training.schedule_hours
        running = self._store.move(
            training.job_id,
            _WAITING,
            JobStatus.RUNNING,
            start_time=self._timeline.wall(),
            started_at=passed,
            stop_at=None if hours is None else passed + hours * 3_600_000,
        )
        if running is not None:
            self._note(running, "Info", "The training runs.")
            _LOG.info("training %s: running", training.job_id)
        return running

    def _watch(self, training: Training) -> None:
        with self._lock:
            self._running[training.job_id] = training
        # A thread each: it waits in the kernel, for a lock that the keeper holds.
        Thread(
            target=self._wait, args=(training,), name=f"watch {training.job_id}", daemon=True
        ).start()

    def _wait(self, training: Training) -> None:
        folder = self._workspaces.state(training.job_id)
        self._machine.wait(folder)
        ended = self._machine.ended(folder, training.key)
        while not self._closed:
            try:
                self._finish(training, ended)
                break
            except StoreFailure as failure:
                _LOG.error("training %s: %s It is tried again.", training.job_id, failure)
                Signal().wait(_AGAIN_SECONDS)
            except Exception:
                _LOG.exception("training %s: internal error", training.job_id)
                break
        with self._lock:
            self._running.pop(training.job_id, None)
            self._ending.discard(training.job_id)
        self._changed.set()

    def _finish(self, training: Training, ended: Ended | None) -> None:
        """Record the end of a training, however often it is called."""
        live = next((each for each in self._store.live() if each.number == training.number), None)
        if live is None:
            return
        self._sampler.finish(live)
        if live.is_deleted:
            self._remove(live)
            return
        status, reason = self._outcome(live, ended)
        ran_ms = int(ended.seconds * 1000) if ended else live.duration(self._timeline.passed())
        try:
            self._workspaces.export_log(live, read(live.definition))
        except (OSError, ValueError) as error:
            _LOG.error("training %s: its log cannot be exported: %s", live.job_id, error)
        self._workspaces.remove_work(live.job_id)
        code = None if ended is None else ended.code
        if self._store.move(
            live.job_id, LIVE, status, ran_ms=ran_ms, exit_code=code, reason=reason, stop_at=None
        ):
            is_bad = status in (JobStatus.FAILED, JobStatus.LOST)
            text = "The training completed." if reason is None else f"The training ended: {reason}."
            self._note(live, "Error" if is_bad else "Info", text)
            _LOG.info("training %s: %s", live.job_id, text)

    def _outcome(self, training: Training, ended: Ended | None) -> tuple[JobStatus, str | None]:
        if ended is None:
            return JobStatus.LOST, "the process that kept it was killed, so its end is unknown"
        if ended.by in ("stop", "kill"):
            return JobStatus.KILLED, training.reason or "it was stopped"
        if ended.by is not None:
            limits = self._limits
            text = _EXCEEDED[ended.by].format(
                memory=limits.memory // 1024**2,
                processes=limits.processes,
                log=limits.log_size // 1024**3,
            )
            return JobStatus.FAILED, text
        if ended.error is not None:
            return JobStatus.FAILED, f"it could not be started: {ended.error}"
        if ended.signal is not None:
            return JobStatus.FAILED, f"it {exit_text(-ended.signal)}"
        if ended.code:
            return JobStatus.FAILED, f"its exit code was {ended.code}"
        return JobStatus.COMPLETED, None

    def _fail(self, training: Training, reason: str) -> None:
        self._workspaces.remove_work(training.job_id)
        if self._store.move(training.job_id, _WAITING, JobStatus.FAILED, reason=reason):
            self._note(training, "Error", f"The training could not be started: {reason}.")
            _LOG.error("training %s: could not be started: %s", training.job_id, reason)

    def _remove(self, training: Training) -> None:
        self._store.remove(training.number)
        self._workspaces.remove(training.job_id)

    def _note(self, training: Training, level: str, message: str) -> None:
        self._store.add_event(training.number, Event(self._timeline.wall(), level, message))

    def _usages(self) -> Iterator[tuple[Training, Usage]]:
        """Return the running trainings, with what each has used."""
        with self._lock:
            running = list(self._running.values())
        for training in running:
            usage = self._machine.usage(self._workspaces.state(training.job_id))
            if usage is not None:
                yield training, usage


def _flavor(training: Training) -> str:
    resource = training.definition.get("spec", {}).get("resource", {})
    return str(resource.get("flavor_id") or "local")
