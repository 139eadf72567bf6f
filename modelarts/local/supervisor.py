"""The boards: starts them, watches them and ends them.

A job's status in the store is the truth, and every change of it names the status (and the run)
that it comes from; so of two threads that want to change it, one does and the other sees that it
came too late.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Event, RLock, Thread
from typing import Any, Callable, cast

import attr
from werkzeug.exceptions import NotFound
from werkzeug.middleware.http_proxy import ProxyMiddleware

from modelarts.clock import Clock
from modelarts.jobs.models import JobStatus
from modelarts.local import board
from modelarts.local.folders import Folders
from modelarts.local.mindinsight import MindInsight
from modelarts.local.store import ACTIVE, Job, Store

__all__ = ["Supervisor"]

_LOG = logging.getLogger("modelarts.local")
#: TensorBoard is slow on a machine that swaps; past this a start has failed.
_START_SECONDS = 120
#: How long one request to a board may take.
_PAGE_SECONDS = 120
_LONGEST_WATCH = 3600.0
#: A signal to all processes of the service reaches the boards as well; so long may the service
#: take to notice its own.
_NOTICE_SECONDS = 0.5


@attr.s(frozen=True, slots=True, auto_attribs=True)
class _Board:
    run: int
    process: ForkServerProcess
    connection: Connection
    page: ProxyMiddleware


class Supervisor:
    """The boards of one service.

    Args:
        folders: answers which folder a job's board reads.
        logs: where each board's output goes.
    """

    def __init__(
        self, store: Store, folders: Folders, logs: Path, clock: Clock, mindinsight: MindInsight
    ) -> None:
        self._store = store
        self._folders = folders
        self._mindinsight = mindinsight
        self._logs = logs
        self._clock = clock
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["modelarts.local.warm"])
        # Also held around multiprocessing's own bookkeeping, which is not safe for threads.
        self._lock = RLock()
        self._boards: dict[int, _Board] = {}
        # By job and run: processes whose boards do not answer yet.
        self._starting: dict[tuple[int, int], ForkServerProcess] = {}
        self._closed = False
        self._ending = Event()
        # Ends must not queue behind starts.
        self._starts = ThreadPoolExecutor(2, "start")
        self._ends = ThreadPoolExecutor(2, "end")
        self._woken, self._wake = os.pipe()
        self._watcher = Thread(target=self._watch, name="watch", daemon=True)

    def open(self) -> None:
        """Warm the parent of the boards, and start those that ran when the service ended."""
        self._mindinsight.prepare()
        forkserver.ensure_running()
        self._watcher.start()
        for job in self._store.with_status([JobStatus.KILLING]):
            self._store.move(job.job_id, [JobStatus.KILLING], JobStatus.KILLED)
        self._folders.keep(self._store.with_status(ACTIVE))
        for job in self._store.with_status(ACTIVE):
            self._store.move(job.job_id, ACTIVE, JobStatus.WAITING)
            self.start(job)

    def expect_end(self) -> None:
        """From now on, boards that end do so with the service. Safe in a signal's handler."""
        self._ending.set()

    def close(self) -> None:
        """End all boards. Their jobs stay as they are and run again with the next service."""
        with self._lock:
            self._closed = True
            self._folders.shut()
            boards, self._boards = dict(self._boards), {}
            starting = list(self._starting.values())
        os.write(self._wake, b".")
        for process in starting:
            self._finish(process)
        for one in boards.values():
            self._kill(one)
        # Those that wait for their turn start with the next service.
        self._starts.shutdown(cancel_futures=True)
        self._ends.shutdown()
        if self._watcher.is_alive():
            self._watcher.join()

    def start(self, job: Job) -> None:
        """Start a job's board in the background: 1 INIT or 7 WAITING, then 8 RUNNING."""
        self._submit(self._starts, self._start, job)

    def end(self, job: Job) -> None:
        """End a job's board in the background: 9 KILLING, then 12 KILLED."""
        self._submit(self._ends, self._end, job)

    def end_now(self, job_id: int) -> None:
        """End a job's board before returning: the job is being deleted."""
        with self._lock:
            one = self._boards.pop(job_id, None)
            starting = [p for (owner, _), p in self._starting.items() if owner == job_id]
        for process in starting:
            self._finish(process)
        if one is not None:
            self._kill(one)
        self._folders.close(job_id)
        (self._logs / f"job-{job_id}.log").unlink(missing_ok=True)

    def page(self, job: Job) -> ProxyMiddleware | None:
        """What serves a running job's page; None if it has no board."""
        self._folders.visited(job.job_id)
        one = self._boards.get(job.job_id)
        return one.page if one is not None else None

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return int(self._clock.time() * 1000)

    def stop(self, job_id: int, why: str) -> Job | None:
        """Begin to stop an active job; None where it is not active."""
        with self._lock:
            job = self._store.get(job_id)
            if job is None:
                return None
            stopping = self._store.move(
                job_id, ACTIVE, JobStatus.KILLING, reason=why, **self._halted(job)
            )
        if stopping is not None:
            self.end(stopping)
        return stopping

    def give_up(self, job: Job, reason: str) -> None:
        """Fail a job whose files cannot be read, and end its board."""
        self._fail(job, reason)
        with self._lock:
            one = self._boards.get(job.job_id)
            if one is None or one.run != job.run:
                return
            del self._boards[job.job_id]
        self._kill(one)

    def _halted(self, job: Job) -> dict[str, Any]:
        return {"ran_ms": job.duration(self.now()), "running_since": None, "stop_at": None}

    def _submit(self, pool: ThreadPoolExecutor, call: Any, job: Job) -> None:
        with self._lock:
            if not self._closed:
                pool.submit(self._logged, call, job)

    def _logged(self, call: Any, job: Job) -> None:
        try:
            call(job)
        except Exception:
            _LOG.exception("job %d: internal error", job.job_id)

    def _start(self, job: Job) -> None:
        starting = (JobStatus.INIT, JobStatus.WAITING)
        if not self._store.move(job.job_id, starting, JobStatus.WAITING, job.run):
            return
        try:
            self._run(job, self._launch(job))
        except (OSError, ValueError, RuntimeError, EOFError) as error:
            if not self._closed:
                self._fail(job, f"{_board_of(job)} did not start: {error}")
        finally:
            with self._lock:
                self._starting.pop((job.job_id, job.run), None)

    def _run(self, job: Job, one: _Board) -> None:
        with self._lock:
            del self._starting[job.job_id, job.run]
            if self._is_wanted(job):
                self._boards[job.job_id] = one
                now = self.now()
                hours = job.schedule_hours
                stop_at = job.stop_at
                if stop_at is None and hours is not None:
                    stop_at = now + hours * 3_600_000
                if self._store.move(
                    job.job_id,
                    [JobStatus.WAITING],
                    JobStatus.RUNNING,
                    job.run,
                    running_since=now if job.running_since is None else job.running_since,
                    stop_at=stop_at,
                    reason=None,
                ):
                    _LOG.info("job %d: running, process %s", job.job_id, one.process.pid)
                    os.write(self._wake, b".")
                    return
                del self._boards[job.job_id]
        # Stopped or deleted while it started.
        self._kill(one)

    def _is_wanted(self, job: Job) -> bool:
        """Whether a board is to be started for this run of the job, still."""
        found = self._store.get(job.job_id)
        return (
            not self._closed
            and found is not None
            and (found.run, found.status) == (job.run, JobStatus.WAITING)
        )

    def _launch(self, job: Job) -> _Board:
        folder = self._folders.open(job, self.give_up)
        key = secrets.token_hex(16)
        ours, theirs = self._context.Pipe()
        log = self._logs / f"job-{job.job_id}.log"
        process = self._context.Process(
            target=self._serving(job), args=(theirs, str(folder), key, str(log)), daemon=True
        )
        with self._lock:
            if not self._is_wanted(job):
                raise RuntimeError("it was stopped or deleted before")
            process.start()
            self._starting[job.job_id, job.run] = process
        theirs.close()
        said, what = ("failed", f"no answer within {_START_SECONDS} seconds; see {log}")
        try:
            if ours.poll(_START_SECONDS):
                said, what = ours.recv()
        except EOFError:
            what = f"its process ended; see {log}"
        target = {
            "target": f"http://127.0.0.1:{what}/",
            "remove_prefix": True,
            "headers": {board.KEY_HEADER: key},
        }
        prefix = f"/modelarts/tensorboard/{job.page_key}/{job.job_id}/"
        page = ProxyMiddleware(NotFound(), {prefix: target}, timeout=_PAGE_SECONDS)
        one = _Board(job.run, process, ours, page)
        if said != "ready":
            self._kill(one)
            raise RuntimeError(what)
        return one

    def _serving(self, job: Job) -> Callable[..., None]:
        return self._mindinsight.target() if job.job_type == "mindinsight" else board.serve

    def _end(self, job: Job) -> None:
        with self._lock:
            one = self._boards.get(job.job_id)
            if one is not None and one.run == job.run:
                del self._boards[job.job_id]
            starting = self._starting.get((job.job_id, job.run))
        if starting is not None:
            self._finish(starting)
        if one is not None and one.run == job.run:
            self._kill(one)
        self._folders.close(job.job_id, job.run)
        self._store.move(job.job_id, [JobStatus.KILLING], JobStatus.KILLED, job.run)
        _LOG.info("job %d: stopped (%s)", job.job_id, job.reason)

    def _kill(self, one: _Board) -> None:
        # A board keeps nothing that could be lost.
        one.connection.close()
        self._finish(one.process)

    def _finish(self, process: ForkServerProcess) -> None:
        with self._lock:
            process.kill()
        wait([process.sentinel])
        with self._lock:
            process.join()

    def _fail(self, job: Job, reason: str) -> None:
        self._folders.close(job.job_id, job.run)
        failed = self._store.move(
            job.job_id, ACTIVE, JobStatus.FAILED, job.run, reason=reason, **self._halted(job)
        )
        if failed is not None:
            _LOG.error("job %d: failed: %s", job.job_id, reason)

    def _watch(self) -> None:
        while True:
            with self._lock:
                if self._closed:
                    return
                boards = dict(self._boards)
            sentinels = {one.process.sentinel: job_id for job_id, one in boards.items()}
            ready = wait([self._woken, *sentinels], self._until_next_stop())
            if set(ready) - {self._woken} and self._ending.wait(_NOTICE_SECONDS):
                return
            try:
                for ended in ready:
                    if ended == self._woken:
                        os.read(self._woken, 65536)
                    else:
                        job_id = sentinels[cast(int, ended)]
                        self._ended(job_id, boards[job_id])
                for job in self._store.due(self.now()):
                    self.stop(job.job_id, "its schedule")
            except Exception:
                _LOG.exception("internal error")

    def _until_next_stop(self) -> float:
        due = self._store.next_stop()
        if due is None:
            return _LONGEST_WATCH
        return min(max((due - self.now()) / 1000, 0.0), _LONGEST_WATCH)

    def _ended(self, job_id: int, one: _Board) -> None:
        with self._lock:
            if self._boards.get(job_id) is not one:
                return
            del self._boards[job_id]
            one.process.join()
            code = one.process.exitcode
        one.connection.close()
        job = self._store.get(job_id)
        if job is not None:
            how = f"was killed by signal {-code}" if code and code < 0 else f"ended with {code}"
            self._fail(
                job, f"{_board_of(job)}'s process {one.process.pid} {how}; see job-{job_id}.log"
            )


def _board_of(job: Job) -> str:
    return "MindInsight" if job.job_type == "mindinsight" else "TensorBoard"
