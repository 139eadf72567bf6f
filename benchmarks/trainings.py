"""Trainings of the local service next to the same script run by hand: ``python -m benchmarks
trainings``. Linux only: it reads ``/proc``.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List

from benchmarks.harness.rounds import ratio
from benchmarks.harness.tables import Row
from modelarts.session import Session
from modelarts.training.job import TrainingJob
from tests.servers.served import Served, memory

__all__ = ["rows"]

_FIRST = "print('first')\n"
#: Some 10 000 lines a second, with work between them; the last line tells how long it took.
_LINES = """
import time
began = time.monotonic()
for number in range(50000):
    print("epoch 1 step", number, "loss", 0.123456789)
    until = time.perf_counter() + 0.0001
    while time.perf_counter() < until:
        pass
print("took", time.monotonic() - began)
"""
_LARGE = """
line = "x" * 99
text = (line + "\\n") * 10000
for _ in range(%d):
    print(text, end="")
"""
_LIMIT = 50e6
#: Follows a log, and tells how many lines and bytes it has seen.
_FOLLOWER = """
import sys
from modelarts.session import Session
from modelarts.training.job import TrainingJob
names = ("access_key", "secret_key", "project_id", "region_name", "modelarts_endpoint")
session = Session(**dict(zip(names, sys.argv[1:])), proxies={}, api="v2")
lines = size = 0
job = TrainingJob(session, sys.argv[6])
for line in job.logs(follow=True):
    lines += 1
    size += len(line) + 1
print(lines, size)
"""


def rows(quick: bool) -> Iterator[Row]:
    """All comparisons, each as soon as it is made."""
    rounds = 5 if quick else 11
    with tempfile.TemporaryDirectory() as folder:
        served = Served(Path(folder) / "root")
        try:
            obs = served.connection["obs_endpoint"]
            with served.session(api="v2", obs_endpoint=obs) as session:
                yield _first_line(Path(folder), session, rounds)
                yield _many_lines(Path(folder), session, 3 if quick else 5)
                yield from _large_log(Path(folder), served, session, 100 if quick else 1000)
        finally:
            served.end()


def _first_line(folder: Path, session: Session, rounds: int) -> Row:
    _write(folder, session, "first", _FIRST)

    def train() -> float:
        began = time.monotonic()
        job = _create(session, "first")
        next(iter(job.logs(follow=True)))
        seconds = time.monotonic() - began
        job.wait().delete()
        return seconds

    def by_hand() -> float:
        began = time.monotonic()
        command = [sys.executable, "-u", str(folder / "first" / "train.py")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            return 1.5 * (time.monotonic() - began) + 0.3

    train()
    ours, theirs = _turns(train, by_hand, rounds)
    what = "fit → first line"
    return Row(what, "1.5 × by hand + 0.3 s", "seconds", 1.0, ratio(ours, theirs))


def _many_lines(folder: Path, session: Session, rounds: int) -> Row:
    _write(folder, session, "lines", _LINES)

    def train() -> float:
        job = _create(session, "lines")
        last = ""
        for line in job.logs(follow=True):
            last = line
        job.wait().delete()
        return float(last.split()[1])

    def by_hand() -> float:
        output = folder / "by-hand.log"
        with open(str(output), "wb") as file:
            command = [sys.executable, "-u", str(folder / "lines" / "train.py")]
            subprocess.run(command, stdout=file, check=True)
        return float(output.read_text().split()[-1])

    ours, theirs = _turns(train, by_hand, rounds)
    what = "10 000 lines a second, followed"
    return Row(what, "by hand, into a file", "seconds", 1.05, ratio(ours, theirs))


def _large_log(folder: Path, served: Served, session: Session, megabytes: int) -> Iterator[Row]:
    _write(folder, session, "large", _LARGE % megabytes)
    before = memory([served.pid])
    job = _create(session, "large")
    names = ("access_key", "secret_key", "project_id", "region_name", "modelarts_endpoint")
    settings = [served.connection[name] for name in names]
    follower = subprocess.Popen(
        [sys.executable, "-c", _FOLLOWER, *settings, str(job.job_id)],
        stdout=subprocess.PIPE,
        universal_newlines=True,
    )
    client, service = [], []
    while follower.poll() is None:
        time.sleep(0.05)
        client.append(_held(follower.pid))
        service.append(memory([served.pid]) - before)
    assert follower.stdout is not None
    seen = follower.stdout.read().split()
    expected = ["%d" % (megabytes * 10000), "%d" % (megabytes * 1000000)]
    assert seen == expected, (seen, expected)
    job.wait().delete()
    what = "%d MB of log followed: " % megabytes
    for name, held in (("client", client), ("service, more than before", service)):
        figures = [float(max(held))]
        yield Row(what + name, "50 MB", "bytes", 1.0, ratio(figures, [_LIMIT]))


def _held(pid: int) -> int:
    try:
        return memory([pid])
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has just ended


def _turns(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> "tuple[List[float], List[float]]":
    figures: Dict[str, List[float]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        figures["ours"].append(ours())
        figures["theirs"].append(theirs())
    return figures["ours"], figures["theirs"]


def _write(folder: Path, session: Session, name: str, program: str) -> None:
    code = folder / name
    code.mkdir()
    (code / "train.py").write_text(program)
    session.obs.upload_dir(str(code), "obs://bucket/")


def _create(session: Session, name: str) -> TrainingJob:
    return TrainingJob.create("obs://bucket/%s/" % name, "train.py", session=session)
