"""The folders of boards whose logs are in OBS: a mirror for each ``train_url`` of running jobs."""

from __future__ import annotations

import hashlib
import logging
import shutil
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Condition, Event, Lock, Thread
from typing import Any, Callable, Dict, Iterable

import attr

from modelarts._internal.clock import Clock
from modelarts.local.jobs.store import Job
from modelarts.local.logs.access import FolderAccess
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
class _Reader:
    """A job that reads a mirror. ``resting``: its board sleeps."""

    job: Job
    give_up: Callable[[Job, str], None]
    resting: bool = False


@attr.s(slots=True, auto_attribs=True, eq=False)
class _Following:
    """A mirror, and the jobs that read it. All other fields are protected by the lock."""

    name: str
    bucket: Bucket
    mirror: Mirror
    ended: Event
    due: float
    visited: float
    readers: Dict[int, _Reader] = attr.ib(factory=dict)
    began: float = float("-inf")
    is_open: bool = False
    busy: bool = False
    is_wanted_again: bool = False  # True if a job came while it was being ended
    failures: int = 0
    reached: bool = False  # True after the first successful update
    is_logged: bool = False  # True if its first requests are in the log
    remark: str | None = None
    opening: Any = attr.ib(factory=Lock)
    first: Event = attr.ib(factory=Event)

    @property
    def pages(self) -> int:
        """The number of requests of a list."""
        return 1 + self.mirror.listed // 1000

    @property
    def resting(self) -> bool:
        """True while the boards of all its jobs sleep."""
        return all(reader.resting for reader in self.readers.values())


class Mirrors(LogSource):
    """The mirrors of jobs with logs in OBS, in ``folder``; jobs of one ``train_url`` share one.

    Args:
        most: the bytes that they may use together.
        is_shared: other front ends have the same folder.
    """

    def __init__(
        self,
        source: Source,
        folder: Path,
        clock: Clock,
        most: int = MOST_BYTES,
        is_shared: bool = False,
    ) -> None:
        self._source = source
        self._folder = folder.resolve()
        self._clock = clock
        self._budget = Budget(most)
        self._is_shared = is_shared
        self._changed = Condition()
        self._followed: dict[str, _Following] = {}
        self._by_job: dict[int, _Following] = {}
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
        """Remove the mirrors that no job reads."""
        names = {self._name(job.train_url) for job in jobs}
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name.partition(".")[0] not in names:
                    path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)

    def open(self, job: Job, give_up: Callable[[Job, str], None]) -> Logs:
        """Return the folder of the mirror of the job's ``train_url``.

        Waits until the mirror was brought up to date, but not longer than a second after its first
        file is there, or five seconds without one.
        """
        following = self._by_job.get(job.job_id)
        if following is not None:
            reader = following.readers.get(job.job_id)
            if reader is not None and reader.job.run == job.run:
                self._wake(following, reader)
                return Logs(following.mirror.files)
            self.close(job.job_id)
        following = self._follow(_Reader(job, give_up))
        try:
            with following.opening:
                if not following.is_open:
                    self._open(following)
        except OSError:
            self.close(job.job_id)
            raise
        if self._answers and not following.reached and following.mirror.has_files.wait(_PATIENCE):
            following.first.wait(_MORE_FILES)
        return Logs(following.mirror.files)

    def rest(self, job_id: int) -> None:
        """Note that the job's board sleeps; if all of a mirror do, OBS is not asked for it."""
        with self._changed:
            following = self._by_job.get(job_id)
            if following is not None:
                following.readers[job_id].resting = True

    def visited(self, job_id: int) -> None:
        """Update more often, and at once after a pause."""
        following = self._by_job.get(job_id)
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
        following = self._by_job.get(job_id)
        return following.remark if following is not None else None

    def requests(self, job_id: int) -> Requests | None:
        """Return the requests to OBS for the mirror of a running job since it was begun here."""
        following = self._by_job.get(job_id)
        return following.bucket.requests if following is not None else None

    def close(self, job_id: int, run: int | None = None) -> None:
        """End the reading of that run; remove the mirror if no other job reads it."""
        with self._changed:
            following = self._by_job.get(job_id)
            if following is None or run not in (None, following.readers[job_id].job.run):
                return
            del self._by_job[job_id]
            if len(following.readers) > 1:
                del following.readers[job_id]
                return
            following.ended.set()
            if following.busy:
                return  # removed at the end of its update
            removed = self._retire(following)
        _remove(removed)

    def shut(self) -> None:
        """End all updates; the files are kept for the next service."""
        with self._changed:
            self._closed = True
            for following in self._followed.values():
                following.ended.set()
            self._changed.notify()

    def _name(self, train_url: str) -> str:
        """Return the name of a mirror's folder."""
        return hashlib.sha256(self._origin(train_url).encode()).hexdigest()[:16]

    def _origin(self, train_url: str) -> str:
        return "/".join([self._source.endpoint, *_parts(train_url)])

    def _follow(self, reader: _Reader) -> _Following:
        """Add a job to those of its mirror, which is made if there is none."""
        job = reader.job
        name, origin = self._name(job.train_url), self._origin(job.train_url)
        bucket, prefix = _parts(job.train_url)
        with self._changed:
            following = self._followed.get(name)
            if following is None:
                ended = Event()
                access = FolderAccess(self._folder / name, self._clock) if self._is_shared else None
                mirror = Mirror(self._folder / name, origin, prefix, self._budget, ended, access)
                now = self._clock.monotonic()
                following = _Following(
                    name, Bucket(self._source, bucket), mirror, ended, due=now, visited=now
                )
                self._followed[name] = following
            elif following.ended.is_set():
                # Its last job has just left, and its update goes on.
                following.ended.clear()
                following.readers.clear()
                following.is_wanted_again = True
            following.readers[job.job_id] = reader
            self._by_job[job.job_id] = following
            number = len(following.readers)
        among = f", as {number} jobs do" if number > 1 else ""
        _LOG.info("job %d: reads %s%s", job.job_id, origin, among)
        return following

    def _open(self, following: _Following) -> None:
        has_files = following.mirror.open()
        with self._changed:
            following.is_open = True
            following.reached = has_files
            self._changed.notify()

    def _wake(self, following: _Following, reader: _Reader) -> None:
        with self._changed:
            was_resting, reader.resting = following.resting, False
            if not was_resting:
                return
            following.due = self._clock.monotonic()
            following.first.clear()
            self._changed.notify()
        if self._answers:
            following.first.wait(_PATIENCE)

    def _retire(self, following: _Following) -> Path | None:
        """Forget a mirror that no job reads; return the folder that is to be removed."""
        del self._followed[following.name]
        if following.is_open:
            _log_requests("in all", following)
        return following.mirror.retire()

    def _plan(self) -> None:
        """Start the updates that are due."""
        with self._changed:
            while not self._closed:
                now = self._clock.monotonic()
                idle = [
                    following
                    for following in self._followed.values()
                    if following.is_open and not (following.busy or following.resting)
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
            readers = self._finish(following, failed, remark)
        if refusal is not None and not following.reached:
            for reader in readers:
                reader.give_up(reader.job, refusal)

    def _finish(self, following: _Following, failed: bool, remark: str | None) -> list[_Reader]:
        """Note the end of an update; return those who read the mirror."""
        removed = None
        with self._changed:
            now = self._clock.monotonic()
            ended = following.ended.is_set()
            readers = [] if ended else list(following.readers.values())
            if remark is not None and remark != following.remark and not ended:
                _LOG.warning("%s: %s", _names(following), remark)
            following.remark = remark
            following.failures = following.failures + 1 if failed else 0
            if not (failed or following.is_logged) and following.bucket.requests.lists:
                following.is_logged = True
                _log_requests("up to date", following)
            following.reached = following.reached or not failed
            self._answers = not failed
            is_visited = now - following.visited < _VISIT_SECONDS
            pause = (_VISITED if is_visited else _UNVISITED) * following.pages
            if failed:
                pause = min(_VISITED * 2 ** min(following.failures, 10), _UNVISITED)
            following.due = now if following.is_wanted_again else now + pause
            following.is_wanted_again = False
            following.busy = False
            following.first.set()
            # There is nothing to wait for.
            following.mirror.has_files.set()
            if ended and not self._closed:
                removed = self._retire(following)
            self._changed.notify()
        _remove(removed)
        return readers


def _log_requests(when: str, following: _Following) -> None:
    requests = following.bucket.requests
    _LOG.info(
        "%s: %s: %d list and %d read requests to OBS, %.1f MB",
        _names(following),
        when,
        requests.lists,
        requests.reads,
        requests.size / 1e6,
    )


def _names(following: _Following) -> str:
    """Return the jobs that read a mirror, in words."""
    numbers = [str(number) for number in sorted(following.readers)]
    return f"job {numbers[0]}" if len(numbers) == 1 else f"jobs {', '.join(numbers)}"


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


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
