"""The folders of boards whose logs are in OBS: a mirror for each running job."""

from __future__ import annotations

import logging
import shutil
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Condition, Event, Thread
from typing import Callable, Iterable

import attr

from modelarts._internal.clock import Clock
from modelarts.local.jobs.store import Job
from modelarts.local.logs.mirror import Budget, Mirror
from modelarts.local.logs.remote import Bucket, Passing, Refused, Requests, Source
from modelarts.local.logs.source import Logs, LogSource

_LOG = logging.getLogger("modelarts.local")
#: The default limit of disk space for the files of all jobs.
MOST_BYTES = 10 * 1024**3
#: Seconds between two updates from OBS: while the board is visited, and otherwise. Each update
#: costs at least one request.
_VISITED, _UNVISITED = 5.0, 60.0
#: Seconds after a request to the board in which it counts as visited.
_VISIT_SECONDS = 120.0
#: Seconds that a create, and the start of a board, wait for OBS.
_PATIENCE = 5.0
#: Seconds that the start of a board waits after the first file.
_MORE_FILES = 1.0
#: The mirrors that are updated at once.
_WORKERS = 8


@attr.s(slots=True, auto_attribs=True, eq=False)
class _Following:
    """A job whose files are followed. All fields but ``mirror`` are protected by the lock."""

    job: Job
    mirror: Mirror
    ended: Event
    give_up: Callable[[Job, str], None]
    due: float
    visited: float
    began: float = float("-inf")
    busy: bool = False
    resting: bool = False
    failures: int = 0
    reached: bool = False  # True after the first successful update
    is_logged: bool = False  # True if its first requests are in the log
    remark: str | None = None
    bucket: Bucket | None = None
    first: Event = attr.ib(factory=Event)

    @property
    def pages(self) -> int:
        """The number of requests of a list."""
        return 1 + self.mirror.listed // 1000


class Mirrors(LogSource):
    """The mirrors of jobs with logs in OBS, in ``folder``.

    Args:
        most: the bytes that they may use together.
    """

    def __init__(self, source: Source, folder: Path, clock: Clock, most: int = MOST_BYTES) -> None:
        self._source = source
        self._folder = folder.resolve()
        self._clock = clock
        self._budget = Budget(most)
        self._changed = Condition()
        self._followed: dict[int, _Following] = {}
        self._closed = False
        # True if OBS responded to the last request.
        self._answers = True
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        # Daemons: a thread waiting for OBS must not delay the end; an index is written atomically.
        for number in range(_WORKERS):
            Thread(target=self._serve, name=f"mirror-{number}", daemon=True).start()
        Thread(target=self._plan, name="mirrors", daemon=True).start()

    def check(self, train_url: str) -> None:
        """Check that the service may list the folder. Raise ValueError with the reason if not.

        It is not an error if OBS does not respond in time: the job tries again.
        """
        bucket, prefix = _parts(train_url)
        answer: SimpleQueue[str | None] = SimpleQueue()

        def ask() -> None:
            try:
                next(Bucket(self._source, bucket).list(prefix, limit=1), None)
                answer.put(None)
            except Refused as why:
                answer.put(f"{train_url} cannot be read: {why}")
            except Exception as why:
                _LOG.warning("%s: %s", train_url, why)
                answer.put(None)

        self._work.put(ask)
        refusal = _within(_PATIENCE, answer)
        if refusal is not None:
            raise ValueError(refusal)

    def has_bucket(self, bucket: str) -> bool:
        """Return True: buckets in OBS are not the service's to give away."""
        return True

    def keep(self, jobs: Iterable[Job]) -> None:
        """Remove the mirrors of all other jobs."""
        names = {_name(job) for job in jobs}
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name not in names:
                    shutil.rmtree(path, ignore_errors=True)

    def open(self, job: Job, give_up: Callable[[Job, str], None]) -> Logs:
        """Return the folder of the job's mirror.

        Waits until the mirror was brought up to date, but not longer than a second after its first
        file is there, or five seconds without one.
        """
        with self._changed:
            following = self._followed.get(job.job_id)
        if following is not None and following.job.run == job.run:
            self._wake(following)
            return Logs(following.mirror.files)
        bucket, prefix = _parts(job.train_url)
        origin = f"{self._source.endpoint}/{bucket}/{prefix}"
        ended = Event()
        mirror = Mirror(self._folder / _name(job), origin, prefix, self._budget, ended)
        has_files = mirror.open()
        now = self._clock.monotonic()
        following = _Following(job, mirror, ended, give_up, due=now, visited=now, reached=has_files)
        with self._changed:
            self._followed[job.job_id] = following
            self._changed.notify()
        _LOG.info("job %d: reads %s", job.job_id, origin)
        if self._answers and not has_files and mirror.has_files.wait(_PATIENCE):
            following.first.wait(_MORE_FILES)
        return Logs(mirror.files)

    def rest(self, job_id: int) -> None:
        """Send no requests to OBS until the job's board is opened again."""
        following = self._followed.get(job_id)
        if following is not None:
            with self._changed:
                following.resting = True

    def visited(self, job_id: int) -> None:
        """Update more often, and at once after a pause."""
        following = self._followed.get(job_id)
        if following is None:
            return
        with self._changed:
            now = following.visited = self._clock.monotonic()
            soon = following.began + _VISITED * following.pages
            if not following.failures and following.due > soon:
                following.due = max(now, soon)
                self._changed.notify()

    def remark(self, job_id: int) -> str | None:
        """Return a remark on missing files or failed updates of a job; None otherwise."""
        following = self._followed.get(job_id)
        return following.remark if following is not None else None

    def requests(self, job_id: int) -> Requests | None:
        """Return the requests to OBS for a running job since it, or the service, has started."""
        following = self._followed.get(job_id)
        bucket = following.bucket if following is not None else None
        return bucket.requests if bucket is not None else None

    def close(self, job_id: int, run: int | None = None) -> None:
        """Remove the mirror of that run."""
        with self._changed:
            following = self._followed.get(job_id)
            if following is None or run not in (None, following.job.run):
                return
            del self._followed[job_id]
            following.ended.set()
            if following.busy:
                return  # removed at the end of its update
        self._dispose(following)

    def shut(self) -> None:
        """End all updates; the files are kept for the next service."""
        with self._changed:
            self._closed = True
            for following in self._followed.values():
                following.ended.set()
            self._changed.notify()

    def _wake(self, following: _Following) -> None:
        with self._changed:
            if not following.resting:
                return
            following.resting = False
            following.due = self._clock.monotonic()
            following.first.clear()
            self._changed.notify()
        if self._answers:
            following.first.wait(_PATIENCE)

    def _dispose(self, following: _Following) -> None:
        if following.bucket is not None:
            _log_requests("in all", following.job, following.bucket.requests)
        following.mirror.remove()

    def _plan(self) -> None:
        """Start the updates that are due."""
        with self._changed:
            while not self._closed:
                now = self._clock.monotonic()
                idle = [
                    following
                    for following in self._followed.values()
                    if not (following.busy or following.resting)
                ]
                for following in idle:
                    if following.due <= now:
                        following.busy = True
                        following.began = now
                        self._work.put(partial(self._round, following))
                later = min(
                    (following.due for following in idle if not following.busy), default=None
                )
                self._changed.wait(None if later is None else max(0.0, later - now))

    def _serve(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except Exception:
                _LOG.exception("internal error")

    def _round(self, following: _Following) -> None:
        refusal, remark = None, None
        failed = True
        try:
            if following.bucket is None:
                name, _ = _parts(following.job.train_url)
                following.bucket = Bucket(self._source, name)
            following.mirror.round(following.bucket)
            remark = _left_out(following.mirror.left_out)
            failed = False
        except Refused as why:
            refusal = remark = str(why)
        except Passing as why:
            remark = str(why)
        except OSError as why:
            remark = f"{why.filename or self._folder}: {why.strerror}"
        finally:
            self._finish(following, failed, remark)
        if refusal is not None and not following.reached and not following.ended.is_set():
            following.give_up(following.job, refusal)

    def _finish(self, following: _Following, failed: bool, remark: str | None) -> None:
        with self._changed:
            now = self._clock.monotonic()
            ended = following.ended.is_set() and not self._closed
            if remark is not None and remark != following.remark and not following.ended.is_set():
                _LOG.warning("job %d: %s", following.job.job_id, remark)
            following.remark = remark
            following.failures = following.failures + 1 if failed else 0
            if not failed and not following.is_logged and following.bucket is not None:
                following.is_logged = True
                _log_requests("up to date", following.job, following.bucket.requests)
            following.reached = following.reached or not failed
            self._answers = not failed
            is_visited = now - following.visited < _VISIT_SECONDS
            pause = (_VISITED if is_visited else _UNVISITED) * following.pages
            if failed:
                pause = min(_VISITED * 2 ** min(following.failures, 10), _UNVISITED)
            following.due = now + pause
            following.busy = False
            following.first.set()
            # There is nothing to wait for.
            following.mirror.has_files.set()
            self._changed.notify()
        if ended:
            self._dispose(following)


def _log_requests(when: str, job: Job, requests: Requests) -> None:
    _LOG.info(
        "job %d: %s: %d list and %d read requests to OBS, %.1f MB",
        job.job_id,
        when,
        requests.lists,
        requests.reads,
        requests.size / 1e6,
    )


def _name(job: Job) -> str:
    return f"job-{job.job_id}-{job.run}"


def _parts(train_url: str) -> tuple[str, str]:
    """Return the bucket, and the prefix of the keys."""
    bucket, _, path = train_url.strip("/").partition("/")
    return bucket, path + "/" if path else ""


def _left_out(reasons: dict[str, str]) -> str | None:
    if not reasons:
        return None
    path, reason = next(iter(sorted(reasons.items())))
    others = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"not everything is shown: {path!r} is left out, {reason}{others}"


def _within(seconds: float, answer: SimpleQueue[str | None]) -> str | None:
    try:
        return answer.get(timeout=seconds)
    except Empty:
        return None
