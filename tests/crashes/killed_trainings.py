"""Clients of trainings, for a service that is killed again and again.

See :mod:`tests.crashes.kills`. They create, stop and delete trainings that end well, fail, or run
until they are stopped. In the end each must have ended as it had to, none may have run twice, and
no process may be left of one that ended.
"""

import os
import random
import time
from pathlib import Path
from typing import Any, Dict, List

import psutil

from modelarts.errors import JobStateError, NotFound, TransportError
from modelarts.training.job import TrainingJob

__all__ = ["MAX_JOBS", "TrainingClient", "look_at_trainings", "settle_trainings", "write_programs"]

#: So many trainings of a client may be there.
MAX_JOBS = 4
_COUNT = "import sys\nname = sys.argv[1][7:]\nopen(%r + name, 'ab').write(b'.')\n"
_PROGRAMS = {
    "quick": "print('done')\n",
    "fails": "sys.exit(3)\n",
    "long": "import time\ntime.sleep(3600)\n",
}
_ENDS = {"quick": "Completed", "fails": "Failed"}
_SETTLED_SECONDS = 120.0


def write_programs(root: Path) -> None:
    """Write the programs into a bucket; each notes that it was started."""
    (root / "started").mkdir(parents=True, exist_ok=True)
    for name, program in _PROGRAMS.items():
        folder = root / "obs" / "bucket" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "train.py").write_text(_COUNT % (str(root / "started") + "/") + program)


class _Known:
    """The calls about one training that a client made, or may have made."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.job_id = ""
        self.created = self.stopped = self.deleted = "maybe"


class TrainingClient:
    """A client that creates, stops and deletes trainings."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self._name = name
        self._chance = chance
        self._made = 0
        self.acknowledged = 0
        self.unanswered = 0
        self.wrong: List[str] = []
        self.known: Dict[str, _Known] = {}

    def use(self, session: Any) -> None:
        """Call until the service is gone."""
        try:
            while True:
                self._call(session)
        except TransportError:
            self.unanswered += 1
        except Exception as error:
            self.wrong.append("%s: %s: %s" % (self._name, type(error).__name__, error))

    def _call(self, session: Any) -> None:
        mine = [name for name, known in self.known.items() if self._is_there(known)]
        act = self._chance.choice(["create", "stop", "delete"])
        if act == "create" and len(mine) >= MAX_JOBS:
            act = "delete"
        if act == "create" or not mine:
            self._create(session)
        else:
            known = self.known[self._chance.choice(mine)]
            job = TrainingJob(session, known.job_id)
            if act == "delete":
                known.deleted = "maybe"
                job.delete()
                known.deleted = "yes"
            else:
                before, known.stopped = known.stopped, "maybe"
                try:
                    job.stop()
                    known.stopped = "yes"
                except JobStateError:
                    known.stopped = before
        self.acknowledged += 1

    def _create(self, session: Any) -> None:
        self._made += 1
        name = "%s-%d" % (self._name, self._made)
        known = self.known[name] = _Known(self._chance.choice(list(_PROGRAMS)))
        known.stopped = known.deleted = "no"
        job = TrainingJob.create(
            "obs://bucket/%s/" % known.kind,
            "train.py",
            name,
            parameters={"name": name},
            check=False,
            session=session,
        )
        known.job_id, known.created = job.job_id, "yes"

    @staticmethod
    def _is_there(known: _Known) -> bool:
        return known.created == "yes" and known.deleted == "no"


def look_at_trainings(session: Any, clients: List[TrainingClient]) -> List[str]:
    """Compare what is there with what was acknowledged; go on from what is there."""
    jobs = list(TrainingJob.iter(session))
    found = {job.job_name: job for job in jobs}
    wrong = [] if len(found) == len(jobs) else ["a training is there twice"]
    for client in clients:
        wrong += client.wrong
        client.wrong = []
        for name, known in client.known.items():
            job = found.pop(name, None)
            if job is None and known.created == "yes" and known.deleted == "no":
                wrong.append("%s was lost" % name)
            if job is not None and known.deleted == "yes":
                wrong.append("%s is there again" % name)
            if job is not None:
                known.created, known.job_id, known.deleted = "yes", job.job_id, "no"
            elif known.created == "maybe" or known.deleted == "maybe":
                known.created, known.deleted = "yes", "yes"
    return wrong + ["nobody made %s" % name for name in found]


def settle_trainings(root: Path, session: Any, clients: List[TrainingClient]) -> List[str]:
    """Wait until all have ended that will; return what ended otherwise than it had to."""
    wrong = []
    deadline = time.monotonic() + _SETTLED_SECONDS
    for client in clients:
        for name, known in client.known.items():
            started = root / "started" / name
            runs = len(started.read_bytes()) if started.exists() else 0
            if runs > 1:
                wrong.append("%s was started %d times" % (name, runs))
            processes = 0
            if known.deleted == "no":
                job = TrainingJob(session, known.job_id)
                allowed = _allowed(known)
                while job.phase not in allowed and time.monotonic() < deadline:
                    time.sleep(0.02)
                    try:
                        job.refresh()
                    except NotFound:
                        wrong.append("%s vanished" % name)
                        break
                if job.phase not in allowed:
                    wrong.append("%s is %s, not of %s" % (name, job.phase, allowed))
                runs = len(started.read_bytes()) if started.exists() else 0
                if job.phase in ("Completed", "Failed") and runs != 1:
                    wrong.append("%s is %s after %d starts" % (name, job.phase, runs))
                processes = 1 if job.phase == "Running" else 0
            while _processes(root, name) != processes and time.monotonic() < deadline:
                time.sleep(0.02)
            if _processes(root, name) != processes:
                wrong.append("%s has not %d processes" % (name, processes))
    return wrong


def _allowed(known: _Known) -> List[str]:
    if known.kind == "long":
        return {"no": ["Running"], "yes": ["Terminated"]}.get(
            known.stopped, ["Running", "Terminated"]
        )
    ends = [_ENDS[known.kind]]
    return ends if known.stopped == "no" else [*ends, "Terminated"]


def _processes(root: Path, name: str) -> int:
    """Return the number of processes of a training of this root."""
    count = 0
    for process in psutil.process_iter():
        try:
            arguments = process.cmdline()
        except psutil.Error:
            continue
        is_its = "--name=" + name in arguments and arguments[-2].endswith("train.py")
        count += is_its and os.path.realpath(str(root)) in arguments[-2]
    return count
