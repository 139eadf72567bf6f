"""The boards: starts them, sends them to sleep and wakes them, and ends them.

A job's status in the store is the truth, and every change of it names the status (and the run)
that it comes from; so of two threads that want to change it, one does and the other sees that it
came too late. A change that cannot be written, as on a full disk, is tried again.
"""

from __future__ import annotations

import logging
from concurrent.futures import CancelledError, Future
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Callable, Iterable

from modelarts.local.boards.cluster.processes import ClusterProcesses
from modelarts.local.boards.confinement import Confiner
from modelarts.local.boards.engine import Board, BoardEngine, EngineAway, board_of
from modelarts.local.boards.mindinsight import MindInsight
from modelarts.local.boards.monitor import AGAIN_SECONDS, Watcher, Work
from modelarts.local.boards.process import Processes, visited
from modelarts.local.boards.visits import Visits
from modelarts.local.database.front_ends import FrontEnds, Gone, OnlyFrontEnd
from modelarts.local.engine.cluster import Cluster
from modelarts.local.jobs.clock import Timeline
from modelarts.local.jobs.store import ACTIVE, Job, Store, StoreFailure
from modelarts.local.logs.source import LogSource
from modelarts.models import JobStatus

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_LOG = logging.getLogger("modelarts.local")
#: So much of the jobs' durations is lost at most when the service is killed; so late is a
#: schedule at most after the machine slept.
_KEEP_SECONDS = 60.0


class Supervisor:
    """The boards of one service.

    Args:
        folders: answers which folder a job's board reads.
        mindinsight: the MindInsight of jobs that want it.
        logs: where each board's output goes.
        board_memory: the most that a board may allocate, in bytes.
        sleep_after: how many seconds a board that nobody looks at goes on; 0: for ever.
        stop_after: how many seconds a job without a visit goes on; 0: for ever.
        confiner: decides what the processes of each board can reach.
        front_ends: those of the database; None: there is one.
        cluster: where the boards run; None: on this machine.
        load_late: load what boards on this machine share with the first one.
    """

    def __init__(
        self,
        store: Store,
        folders: LogSource,
        mindinsight: MindInsight,
        logs: Path,
        timeline: Timeline,
        board_memory: int,
        sleep_after: float,
        stop_after: float,
        confiner: Confiner,
        front_ends: FrontEnds | None = None,
        cluster: Cluster | None = None,
        load_late: bool = False,
    ) -> None:
        self.timeline = timeline
        self._front_ends = front_ends or OnlyFrontEnd()
        self._is_shared = store.database.is_shared
        self._gone = Gone(self._front_ends)
        self._leads = False
        self._store = store
        self._folders = folders
        self._mindinsight = mindinsight
        self._sleep_after = sleep_after
        self._lock = RLock()
        self._processes: BoardEngine = (
            Processes(logs, board_memory, confiner, load_late)
            if cluster is None
            else ClusterProcesses(logs, board_memory, confiner, cluster)
        )
        if cluster is not None:
            cluster.returned = self.wake
        # Front ends have their boards in common: the leader looks after all of them.
        self._is_common = self._is_shared and self._processes.is_shared
        self._visits = Visits(store, timeline, stop_after, self._is_common and sleep_after > 0)
        self._boards: dict[int, Board] = {}
        # By job and run: those that do not answer yet, and what visitors of a sleeping one await.
        self._starting: dict[tuple[int, int], Board] = {}
        self._waking: dict[tuple[int, int], Future[None]] = {}
        self._closed = False
        self._closing = RLock()
        self._kept = timeline.monotonic()
        self._watcher = Watcher(self._running, self._ended, self._look)
        # Ends must not queue behind starts.
        self._starts = Work("start", timeline, self._watcher.wake, self._processes.threads)
        self._ends = Work("end", timeline, self._watcher.wake)

    def open(self) -> None:
        """Warm the parent of the boards, and start those that ran when the service ended."""
        self._mindinsight.prepare()
        self._processes.warm()
        self.timeline.keep()
        if self._front_ends.is_first:
            self._resume_all()
        else:
            # Boards of jobs that run start with their next visit here.
            self._adopt(self._store.left_by(lambda name: name == self.front_end))
        self._watcher.start()

    def _resume_all(self) -> None:
        """Go on where the last front end has ended."""
        self._visits.open()
        for job in self._store.with_status([JobStatus.KILLING]):
            self._store.change(job.job_id, [JobStatus.KILLING], JobStatus.KILLED)
        self.stop_due()
        self._folders.keep(self._store.with_status(ACTIVE))
        self._processes.end_left(lambda: self._store.with_status(ACTIVE))
        for job in self._store.with_status(ACTIVE):
            if self._processes.is_left(job) and job.status == JobStatus.RUNNING:
                # Found again as if it slept: visitors wait until that is done.
                again = self._store.move(
                    job.job_id, [JobStatus.RUNNING], JobStatus.RUNNING, job.run, asleep=1
                )
                if again is not None:
                    self._waken(again)
            elif not job.asleep:
                ran_ms = job.duration(self.timeline.running())
                waiting = self._store.move(
                    job.job_id,
                    ACTIVE,
                    JobStatus.WAITING,
                    ran_ms=ran_ms,
                    running_since=None,
                    runs_on=self.front_end,
                )
                self.start(waiting or job)

    @property
    def front_end(self) -> str | None:
        """The name of this front end; None where there is no other."""
        return self._front_ends.name

    def close(self) -> None:
        """End all boards. Their jobs stay as they are and run again with the next service."""
        with self._closing:
            with self._lock:
                if self._closed:
                    return
                self._closed = True
                boards = [*self._boards.values(), *self._starting.values()]
                self._boards = {}
            self._folders.shut()
            self.wake()
            for board in boards:
                board.leave()
            # Those that wait for their turn start with the next service.
            self._starts.close()
            self._ends.close()
            self._watcher.join()
            self._processes.close()
            try:
                self.timeline.keep()
            except StoreFailure as failure:
                _LOG.error("%s", failure)

    def start(self, job: Job) -> None:
        """Start a job's board in the background: 1 INIT or 7 WAITING, then 8 RUNNING."""
        self._starts.submit(self._start, job)

    def stop(self, job_id: int, why: str, is_idle: bool = False) -> Job | None:
        """Begin to stop an active job; None where it is not active.

        Args:
            is_idle: the next visitor may start it again.
        """
        with self._lock:
            job = self._store.get(job_id)
            if job is None:
                return None
            stopping = self._store.move(
                job_id,
                ACTIVE,
                JobStatus.KILLING,
                reason=why,
                is_idle=int(is_idle),
                runs_on=self.front_end,
                **self._halted(job),
            )
        if stopping is not None:
            self._ends.submit(self._end, stopping)
            self._front_ends.announce()
        return stopping

    def give_up(self, job: Job, reason: str) -> None:
        """Fail a job whose files cannot be read, and end its board."""
        self._fail(job, reason)
        board = self._take(job)
        if board is not None:
            board.kill()

    def expect_end(self) -> None:
        """From now on, boards that end do so with the service. Safe in a signal's handler."""
        self._watcher.expect_end()

    def wake(self) -> None:
        """Have the watcher look at the time and at the boards again."""
        self._watcher.wake()

    def stop_due(self) -> None:
        """Begin to stop the jobs whose schedule is due, and those without a visit."""
        for job in self._store.due(self.timeline.passed()):
            self.stop(job.job_id, "its schedule")
        for job in self._visits.idle():
            self.stop(job.job_id, self._visits.reason, is_idle=True)

    def end_now(self, job_id: int) -> None:
        """End a job's board before returning: the job is being deleted."""
        with self._lock:
            board = self._boards.pop(job_id, None)
            ending = [p for (owner, _), p in self._starting.items() if owner == job_id]
        for each in [*ending, *([board] if board is not None else [])]:
            each.kill()
        self._folders.close(job_id)
        self._processes.log(job_id).unlink(missing_ok=True)
        self._front_ends.announce()

    def log(self, job_id: int) -> Path:
        """Return the path of the log of a job's board."""
        return self._processes.log(job_id)

    def board(self, job_id: int) -> Board | None:
        """Return the process of a job's board; None where it has none, or sleeps."""
        with self._lock:
            return self._boards.get(job_id)

    def reader(self, job_id: int) -> str | None:
        """Return the name of the program that reads a job's files; None if it has no board."""
        with self._lock:
            board = self._boards.get(job_id)
        return None if board is None else board.reader

    def looking(self, job_id: int) -> list[str]:
        """Return those who look at a job's board now, in words."""
        return self._visits.looking(job_id)

    def page(self, job: Job, visitor: str) -> WSGIApplication | None:
        """Return the WSGI application of a running job's page; None if it has no board.

        Args:
            visitor: who asks for it, in words.
        """
        if job.status != JobStatus.RUNNING:
            return None
        self._folders.visited(job.job_id)
        self._visits.note(job.job_id, visitor)
        return visited(lambda: self._enter(job), self._leave)

    def _enter(self, job: Job) -> Board | None:
        """Count a visit and return the job's board; wake it if it sleeps."""
        self._renew(job)
        for _ in range(2):
            with self._lock:
                board = self._boards.get(job.job_id)
                if board is not None:
                    board.visits += 1
                    return board
                current = self._store.get(job.job_id)
                if self._closed or current is None or not self._may_wake(current):
                    return None
                waking = self._waken(current)
                if waking is None:
                    return None
            try:
                waking.result()
            except CancelledError:  # the service ends
                return None
        return None

    def _waken(self, job: Job) -> Future[None] | None:
        """Return the start of a sleeping board, begun here if needed; None if the service ends."""
        with self._lock:
            waking = self._waking.get((job.job_id, job.run))
            if waking is None:
                waking = self._starts.submit(self._wake_up, job)
                if waking is not None:
                    self._waking[job.job_id, job.run] = waking
            return waking

    def _may_wake(self, job: Job) -> bool:
        """Return True if a board may be started for a visitor of a job that has none here."""
        is_waking = (job.job_id, job.run) in self._waking
        is_running_elsewhere = self._is_shared and job.status == JobStatus.RUNNING
        return bool(job.asleep) or is_waking or is_running_elsewhere

    def _renew(self, job: Job) -> None:
        """End a board that cannot read its logs any more, or too slowly, as if it slept; the
        visitor wakes it."""
        with self._lock:
            board = self._boards.get(job.job_id)
        if board is None:
            return
        if not self._processes.is_current(board, self.timeline.monotonic()):
            self._sleep(board)

    def _leave(self, board: Board) -> None:
        with self._lock:
            board.visits -= 1
            board.seen = self.timeline.monotonic()

    def _halted(self, job: Job) -> dict[str, Any]:
        ran_ms = job.duration(self.timeline.running())
        return {"ran_ms": ran_ms, "running_since": None, "stop_at": None, "asleep": 0}

    def _start(self, job: Job) -> None:
        starting = (JobStatus.INIT, JobStatus.WAITING)
        if not self._store.change(job.job_id, starting, JobStatus.WAITING, job.run):
            return
        self._bring_up(job, JobStatus.WAITING)

    def _wake_up(self, job: Job) -> None:
        try:
            self._bring_up(job, JobStatus.RUNNING)
        finally:
            with self._lock:
                del self._waking[job.job_id, job.run]

    def _bring_up(self, job: Job, status: int) -> None:
        """Start a board for a job that has this status, and record it if the job has it still."""
        board = None
        try:
            board = self._launch(job, status)
            with self._lock:
                del self._starting[job.job_id, job.run]
                if self._is_wanted(job, status) and self._record_running(job, status):
                    board.seen = self.timeline.monotonic()
                    self._boards[job.job_id] = board
                    _LOG.info(
                        "job %d: running, %s, read by %s",
                        job.job_id,
                        board.place,
                        board.reader,
                    )
                    self.wake()
                    return
            self._discard(board)
            self._clear(job)
        except StoreFailure:
            if board is not None:
                board.leave()
            raise
        except EngineAway as error:
            if status == JobStatus.RUNNING:
                _LOG.error("job %d: its board cannot be started now: %s", job.job_id, error)
                if not self._is_shared and not job.asleep:  # then the next visit may start it
                    running = [JobStatus.RUNNING]
                    self._store.change(job.job_id, running, JobStatus.RUNNING, job.run, asleep=1)
            elif not self._closed:
                self._note_delay(job, str(error))
                raise
        except (OSError, ValueError, RuntimeError, EOFError) as error:
            if not self._closed:
                self._fail(job, f"{board_of(job)} did not start: {error}")
                self._clear(job)
        finally:
            with self._lock:
                self._starting.pop((job.job_id, job.run), None)

    def _clear(self, job: Job) -> None:
        """Remove what a start has left of a job that was deleted before there was a board."""
        if self._store.get(job.job_id) is None:
            self._folders.close(job.job_id)
            self._processes.log(job.job_id).unlink(missing_ok=True)

    def _note_delay(self, job: Job, why: str) -> None:
        """Record why a job still waits for its board."""
        reason = f"{board_of(job)} is started later: {why}"
        current = self._store.get(job.job_id)
        if current is not None and current.reason != reason:
            _LOG.error("job %d: %s", job.job_id, reason)
            waiting = [JobStatus.WAITING]
            self._store.change(job.job_id, waiting, JobStatus.WAITING, job.run, reason=reason)

    def _discard(self, board: Board) -> None:
        """End a board that was stopped or deleted while it started.

        One that another front end has is left to it.
        """
        if self._processes.is_shared and (self._closed or self._is_of_its_job(board)):
            board.leave()
        else:
            board.kill()

    def _is_of_its_job(self, board: Board) -> bool:
        job = self._store.get(board.job.job_id)
        return (
            job is not None
            and job.status in ACTIVE
            and (job.run, job.board_number) == (board.job.run, board.job.board_number)
        )

    def _record_running(self, job: Job, status: int) -> bool:
        """Return False if the job has another status by now, or is another run."""
        return self._begun(job) if status == JobStatus.WAITING else self._awake(job)

    def _begun(self, job: Job) -> bool:
        stop_at = job.stop_at
        if stop_at is None and job.schedule_hours is not None:
            stop_at = self.timeline.passed() + job.schedule_hours * 3_600_000
        return self._store.change(
            job.job_id,
            [JobStatus.WAITING],
            JobStatus.RUNNING,
            job.run,
            running_since=self.timeline.running(),
            stop_at=stop_at,
            visited_at=self.timeline.running() if job.visited_at is None else job.visited_at,
            reason=None,
        )

    def _awake(self, job: Job) -> bool:
        running = [JobStatus.RUNNING]
        try:
            return self._store.change(
                job.job_id, running, JobStatus.RUNNING, job.run, job.board_number, asleep=0
            )
        except StoreFailure:
            # A full disk keeps nobody from looking; with the next service it sleeps again.
            return True

    def _is_wanted(self, job: Job, status: int) -> bool:
        """Return True if a board is still to be started for this run of the job."""
        current = self._store.get(job.job_id)
        return (
            not self._closed
            and current is not None
            and (current.run, current.board_number, current.status)
            == (job.run, job.board_number, status)
        )

    def _launch(self, job: Job, status: int) -> Board:
        logs = self._folders.open(job, self.give_up)
        mindinsight = self._mindinsight if job.job_type == "mindinsight" else None
        if not self._is_wanted(job, status):
            raise RuntimeError("it was stopped or deleted before")
        # Without the lock, which requests take: it may take long.
        board = self._processes.start(job, logs, mindinsight)
        with self._lock:
            is_wanted = self._is_wanted(job, status)
            if is_wanted:
                self._starting[job.job_id, job.run] = board
        if not is_wanted:
            board.kill()
            raise RuntimeError("it was stopped or deleted meanwhile")
        board.wait_until_it_answers(job.page)
        return board

    def _end(self, job: Job) -> None:
        with self._lock:
            boards = (self._take(job), self._starting.get((job.job_id, job.run)))
        for board in boards:
            if board is not None:
                board.kill()
        self._processes.end(job)
        self._folders.close(job.job_id, job.run)
        self._store.change(job.job_id, [JobStatus.KILLING], JobStatus.KILLED, job.run)
        _LOG.info("job %d: stopped (%s)", job.job_id, job.reason)

    def _take(self, job: Job) -> Board | None:
        """Remove the board of this run of the job, and return it."""
        with self._lock:
            board = self._boards.get(job.job_id)
            if board is None or board.job.run != job.run:
                return None
            return self._boards.pop(job.job_id)

    def _fail(self, job: Job, reason: str) -> None:
        self._folders.close(job.job_id, job.run)
        with self._lock:
            current = self._store.get(job.job_id)
            failed = current and self._store.move(
                job.job_id,
                ACTIVE,
                JobStatus.FAILED,
                job.run,
                job.board_number,
                reason=reason,
                **self._halted(current),
            )
        if failed is not None:
            _LOG.error("job %d: failed: %s", job.job_id, reason)

    def _ended(self, board: Board) -> None:
        with self._lock:
            if self._boards.get(board.job.job_id) is not board:
                return
            del self._boards[board.job.job_id]
            if board.was_lost():
                _LOG.warning("job %d: its board was lost, and is started anew", board.job.job_id)
                self._waken(board.job)
                return
        reason = board.how_it_ended()
        self._ends.submit(lambda job: self._fail(job, reason), board.job)

    def _running(self) -> list[Board] | None:
        with self._lock:
            return None if self._closed else list(self._boards.values())

    def _look(self) -> float:
        """Do what is due; returns how many seconds nothing else will be."""
        self._starts.try_again()
        self._ends.try_again()
        if self._is_shared:
            self._end_foreign()
        if self._front_ends.is_leader:
            self._lead()
        else:
            self._leads = False
        self._send_to_sleep()
        if self.timeline.monotonic() - self._kept >= _KEEP_SECONDS:
            self._kept = self.timeline.monotonic()
            if self._is_shared or self._store.any_active():
                self.timeline.keep()
        return self._until_next()

    def _lead(self) -> None:
        """Do what only one front end may do."""
        self.stop_due()
        if not self._is_shared:
            return
        self._adopt_left()
        if not self._is_common:
            return
        if not self._leads:
            self._leads = True
            self._processes.end_left(lambda: self._store.with_status(ACTIVE))
        # Those that other front ends have started, so that none is missed when one ends.
        for job in self._store.with_status([JobStatus.RUNNING]):
            with self._lock:
                if not job.asleep and job.job_id not in self._boards:
                    self._waken(job)

    def _end_foreign(self) -> None:
        """End the boards of jobs that another front end has stopped, started again or deleted."""
        with self._lock:
            boards = list(self._boards.values())
        if not boards:
            return
        wanted = {
            job.job_id: (job.run, job.board_number) for job in self._store.with_status(ACTIVE)
        }
        for board in boards:
            if wanted.get(board.job.job_id) == (board.job.run, board.job.board_number):
                continue
            taken = self._take(board.job)
            if taken is not None:
                self._folders.close(board.job.job_id, board.job.run)
                self._ends.submit(_kill(taken), board.job)

    def _adopt_left(self) -> None:
        """Go on with what front ends have left that are gone for some time."""
        if not self._is_shared:
            return
        is_gone = self._gone.look(self.timeline.monotonic())
        self._adopt(self._store.left_by(is_gone))

    def _adopt(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if job.status == JobStatus.KILLING:
                self._ends.submit(self._end, job)
                continue
            starting = (JobStatus.INIT, JobStatus.WAITING)
            waiting = self._store.move(
                job.job_id, starting, JobStatus.WAITING, job.run, runs_on=self.front_end
            )
            if waiting is not None:
                _LOG.info("job %d: taken over from %s", job.job_id, job.runs_on)
                self.start(waiting)

    def _until_next(self) -> float:
        if self._starts.failed or self._ends.failed or self._gone.is_waiting:
            return AGAIN_SECONDS
        due = self._store.next_stop()
        if due is None:
            return _KEEP_SECONDS
        return min(max((due - self.timeline.passed()) / 1000, 0.0), _KEEP_SECONDS)

    def _send_to_sleep(self) -> None:
        if self._is_common:
            if self._leads:
                for job in self._visits.unvisited(self._sleep_after):
                    self._sleep_everywhere(job)
            return
        latest = self.timeline.monotonic() - self._sleep_after
        with self._lock:
            idle = [
                board
                for board in self._boards.values()
                if self._sleep_after and board.seen < latest
            ]
        for board in idle:
            self._sleep(board)

    def _sleep(self, board: Board) -> None:
        job = board.job
        with self._lock:
            if board.visits or self._boards.get(job.job_id) is not board:
                return
            if not self._fall_asleep(job):
                return
            del self._boards[job.job_id]
            self._folders.rest(job.job_id)
        self._ends.submit(lambda job: board.kill(), job)
        _LOG.info("job %d: its board sleeps", job.job_id)

    def _sleep_everywhere(self, job: Job) -> None:
        """Send a board to sleep if no front end had a visitor for it."""
        with self._lock:
            board = self._boards.get(job.job_id)
            if board is not None:
                self._sleep(board)
            elif not job.asleep and self._fall_asleep(job):
                self._ends.submit(self._processes.end, job)
                _LOG.info("job %d: its board sleeps", job.job_id)

    def _fall_asleep(self, job: Job) -> bool:
        """Record that a board sleeps; return False if it is another one by now."""
        # Where it can be found by its number, the next one has another.
        number = job.board_number + int(self._processes.is_shared)
        slept = self._store.change(
            job.job_id,
            [JobStatus.RUNNING],
            JobStatus.RUNNING,
            job.run,
            job.board_number,
            asleep=1,
            board_number=number,
        )
        if slept and self._is_common:
            self._front_ends.announce()
        return slept


def _kill(board: Board) -> Callable[[Job], None]:
    return lambda job: board.kill()
