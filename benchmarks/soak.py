"""Eight clients use the service for hours: ``python -m benchmarks.soak --minutes 120``.

Boards over a folder in place, over one that grows and over logs in OBS are made, read and deleted;
trainings run and their logs are compared; objects are written and read back; jobs are listed. Each
answer is checked. Logs in OBS are read by a second service, through an S3 server that takes 20 ms.
Every minute both are looked at: memory (PSS), descriptors, threads, processes, files and bytes
under their roots. Linux only: it reads ``/proc``.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import statistics
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple

from benchmarks.harness import s3
from modelarts.errors import NotFound
from modelarts.estimator import VisualizationJob
from modelarts.models import JobStatus
from modelarts.session import Session
from modelarts.training.job import TrainingJob
from tests.servers.served import Served, descendants, fetch, memory

__all__ = ["main"]

#: Seconds that a board may take to its last point.
_BOARD_SECONDS = 120.0
#: Seconds that a written point may take, while all of this runs.
_POINT_SECONDS = 60.0
#: Seconds between two looks at the service.
_PERIOD = 60.0
_PROGRAM = """
import sys
for number in range(200):
    print(sys.argv[1], number)
"""


class _Look(NamedTuple):
    """Both services at one moment; memory, descriptors and threads without their boards."""

    minute: float
    memory: int
    descriptors: int
    threads: int
    processes: int
    files: int
    size: int


class _Record:
    """The calls that clients made, and what was wrong."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds: Dict[str, List[float]] = {}
        self.wrong: List[str] = []

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Note the seconds that a call took; one that failed is not noted."""
        began = time.perf_counter()
        yield
        with self._lock:
            self.seconds.setdefault(name, []).append(time.perf_counter() - began)

    def check(self, right: bool, what: str) -> None:
        """Note a wrong answer."""
        if not right:
            with self._lock:
                self.wrong.append(what)


class _Clients:
    """The clients, each of which does its work again and again until the end.

    Args:
        folder: one that the service does not use.
        served: the service.
        bucket: a session with the S3 server.
        logs: a session with the service that reads logs from there.
    """

    def __init__(self, folder: Path, served: Served, bucket: Session, logs: Session) -> None:
        self.record = _Record()
        self.ends = threading.Event()
        self._folder = folder
        self._served = served
        self._bucket = bucket
        self._logs = logs

    def run(self, minutes: float, look: Callable[[float], None]) -> None:
        """Run the clients for some minutes; ``look`` is called every minute with its number."""
        works = [
            self._board,
            self._board,
            self._growing,
            self._lists,
            self._training,
            self._training,
            self._objects,
            self._logs_in_obs,
        ]
        threads = [
            threading.Thread(target=self._again, args=(work, number))
            for number, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        try:
            while time.monotonic() - began < minutes * 60:
                time.sleep(_PERIOD)
                look((time.monotonic() - began) / 60)
        finally:
            self.ends.set()
            for thread in threads:
                thread.join()

    def _again(self, work: Callable[[Session, random.Random, str], None], number: int) -> None:
        chance = random.Random(number)
        obs = self._served.connection["obs_endpoint"]
        with self._served.session(timeout=300, obs_endpoint=obs) as session:
            turn = 0
            while not self.ends.wait(chance.uniform(0.5, 5.0)):
                turn += 1
                try:
                    work(session, chance, "soak-%d-%d" % (number, turn))
                except Exception:
                    self.record.check(False, traceback.format_exc())

    def _board(self, session: Session, chance: random.Random, name: str) -> None:
        with self.record.timed("create a board, to its page"):
            job = VisualizationJob.create("/logs/", job_name=name, session=session, check=False)
            job.wait(progress=False)
            page = fetch(job.service_url or "")
        self.record.check(page is not None, "%s: no page" % name)
        with self.record.timed("… to its last point"):
            self._wait_for(job, "run0000", 199)
        for _ in range(chance.randrange(5)):
            with self.record.timed("details"):
                status = job.refresh().status
            self.record.check(status == JobStatus.RUNNING, "%s is %s" % (name, status))
        if chance.random() < 0.3:
            with self.record.timed("stop, to its end"):
                job.stop()
                job.wait(JobStatus.KILLED, progress=False)
            with self.record.timed("restart, to its page"):
                job.restart()
                job.wait(progress=False)
                page = fetch(job.service_url or "")
            self.record.check(page is not None, "%s: no page after its restart" % name)
        with self.record.timed("delete"):
            job.delete()
        try:
            VisualizationJob.get(job.job_id, session=session)
            self.record.check(False, "%s is there after its deletion" % name)
        except NotFound:
            pass

    def _growing(self, session: Session, chance: random.Random, name: str) -> None:
        """Write into a run for minutes, and look for each point."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder = self._folder / "grows" / name
        job = VisualizationJob.create("/grows/", job_name=name, session=session, check=False)
        job.wait(progress=False)
        # The flush of tensorboardX does not wait for what it has in its queue.
        writer = EventFileWriter(str(folder))
        for step in range(30):
            if self.ends.wait(chance.uniform(1, 5)):
                break
            summary = Summary(value=[Summary.Value(tag="tag0", simple_value=step)])
            writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
            writer.flush()
            with self.record.timed("a written point, readable"):
                self._wait_for(job, name, step, _POINT_SECONDS)
        writer.close()
        job.delete()

    def _wait_for(
        self, job: VisualizationJob, run: str, step: int, seconds: float = _BOARD_SECONDS
    ) -> None:
        address = "%sdata/plugin/scalars/scalars?run=%s&tag=tag0" % (job.service_url, run)
        deadline = time.monotonic() + seconds
        while True:
            points = json.loads(fetch(address) or b"[]")
            if points and points[-1][1] == step:
                return
            if time.monotonic() > deadline:
                self.record.check(False, "%s: %s does not reach step %d" % (job, run, step))
                return
            time.sleep(0.2)

    def _lists(self, session: Session, chance: random.Random, name: str) -> None:
        with self.record.timed("create, not waited for"):
            job = VisualizationJob.create("/logs/", job_name=name, session=session, check=False)
        with self.record.timed("list"):
            listed = VisualizationJob.list(search_content=name, session=session)
        self.record.check([each.job_id for each in listed] == [job.job_id], "%s: list" % name)
        with self.record.timed("iter, all"):
            ids = [each.job_id for each in VisualizationJob.iter(session=session)]
        self.record.check(len(ids) == len(set(ids)), "%s: a job is listed twice" % name)
        self.record.check(job.job_id in ids, "%s is not listed" % name)
        job.delete()

    def _training(self, session: Session, chance: random.Random, name: str) -> None:
        code = self._folder / name
        code.mkdir()
        (code / "train.py").write_text(_PROGRAM.replace("sys.argv[1]", repr(name)))
        session.obs.upload_dir(str(code), "obs://bucket/")
        with self.record.timed("training, to its end"):
            job = TrainingJob.create("obs://bucket/%s/" % name, "train.py", session=session)
            lines = list(job.logs(follow=True))
            job.wait()
        self.record.check(job.status == JobStatus.COMPLETED, "%s is %s" % (name, job.status))
        expected = ["%s %d" % (name, number) for number in range(200)]
        self.record.check(lines == expected, "%s: %d lines of its log" % (name, len(lines)))
        job.delete()
        session.obs.delete("obs://bucket/%s/" % name, recursive=True)
        (code / "train.py").unlink()
        code.rmdir()

    def _objects(self, session: Session, chance: random.Random, name: str) -> None:
        content = chance.getrandbits(8 * 100_000).to_bytes(100_000, "big")
        file, copy = self._folder / name, self._folder / "copies" / name
        file.write_bytes(content)
        with self.record.timed("put 100 kB"):
            session.obs.upload_file(str(file), "obs://bucket/objects/")
        with self.record.timed("get 100 kB"):
            session.obs.download_file("obs://bucket/objects/" + name, str(copy.parent))
        self.record.check(copy.read_bytes() == content, "%s: another content" % name)
        session.obs.delete("obs://bucket/objects/" + name)
        file.unlink()
        copy.unlink()

    def _logs_in_obs(self, session: Session, chance: random.Random, name: str) -> None:
        self._bucket.obs.upload_dir(str(self._folder / "logs" / "run0000"), "obs://logs/%s/" % name)
        with self.record.timed("board of logs in OBS, to its last point"):
            job = VisualizationJob.create(
                "/logs/%s/" % name, job_name=name, session=self._logs, check=False
            )
            job.wait(progress=False)
            self._wait_for(job, "run0000", 199)
        job.delete()
        self._bucket.obs.delete("obs://logs/%s/" % name, recursive=True)


def _look(minute: float, roots: List[Path]) -> _Look:
    pids = [int(json.loads((root / "service.json").read_text())["pid"]) for root in roots]
    files = size = 0
    for path in itertools.chain.from_iterable(root.rglob("*") for root in roots):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                files += 1
                size += path.stat().st_size
    return _Look(
        minute,
        memory(pids),
        sum(len(os.listdir("/proc/%d/fd" % pid)) for pid in pids),
        sum(len(os.listdir("/proc/%d/task" % pid)) for pid in pids),
        sum(len(descendants(pid)) for pid in pids),
        files,
        size,
    )


def _show_look(look: _Look) -> None:
    print(
        "%4.0f min: %6.1f MB, %4d descriptors, %3d threads, %3d processes, %5d files, %7.2f MB"
        % (
            look.minute,
            look.memory / 1e6,
            look.descriptors,
            look.threads,
            look.processes,
            look.files,
            look.size / 1e6,
        ),
        flush=True,
    )


def _show_growth(looks: List[_Look]) -> None:
    """Compare the second fifth with the last one: caches are full by then."""
    fifth = len(looks) // 5
    if not fifth:
        return
    print("\nmedians of the second and of the last fifth:")
    for name in _Look._fields[1:]:
        before, after = (
            statistics.median(getattr(look, name) for look in part)
            for part in (looks[fifth : 2 * fifth], looks[-fifth:])
        )
        print("%-12s %12.0f %12.0f  x %.2f" % (name, before, after, after / max(before, 1)))


def _show_calls(record: _Record) -> None:
    print("\n%-42s %6s %9s %9s %9s" % ("call", "times", "p50 ms", "p99 ms", "most ms"))
    for name, seconds in record.seconds.items():
        ordered = sorted(seconds)
        figures = (ordered[int(len(ordered) * part)] * 1000 for part in (0.5, 0.99))
        print("%-42s %6d %9.1f %9.1f %9.1f" % (name, len(ordered), *figures, ordered[-1] * 1000))
    print("\n%d wrong" % len(record.wrong))
    for what in record.wrong[:20]:
        print(what)


def _write_logs(folder: Path) -> None:
    from tensorboardX import SummaryWriter

    for run in range(3):
        with SummaryWriter(str(folder / ("run%04d" % run))) as writer:
            for step in range(200):
                writer.add_scalar("tag0", step, step)


def main(minutes: float) -> int:
    """Run it and print the tables; return the number of wrong answers."""
    looks: List[_Look] = []
    with tempfile.TemporaryDirectory() as name, s3.running() as (_, bucket):
        folder = Path(name)
        roots = [folder / "root", folder / "second"]
        _write_logs(folder / "logs")
        for made in ("grows", "copies"):
            (folder / made).mkdir()
        mounts: List[Any] = []
        for mount in ("logs", "grows"):
            mounts += ["--mount", "%s=%s" % (mount, folder / mount)]
        served = Served(roots[0], *mounts)
        try:
            with Session.local(roots[1], obs=bucket) as logs:
                clients = _Clients(folder, served, bucket, logs)

                def look(minute: float) -> None:
                    looks.append(_look(minute, roots))
                    _show_look(looks[-1])

                look(0.0)
                clients.run(minutes, look)
                look(minutes)
        finally:
            served.end()
    _show_growth(looks)
    _show_calls(clients.record)
    return len(clients.record.wrong)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120, help="how long (%(default)s)")
    raise SystemExit(1 if main(parser.parse_args().minutes) else 0)
