"""Kills the service, again and again, while clients use it.

Clients create, stop, restart and delete jobs, each waiting for its answer. At a random moment the
service is killed with SIGKILL, and then started again. After each return every job must be what
its client was told, the one call that was not answered may or may not have been made, no process
of the killed service may be left, and what was running must run, with one board each.

``--objects`` does so with clients of the OBS API, see :mod:`tests.crashes.killed_objects`; ``--v2``
with clients of the v2 API, whose jobs are then looked at through v1; and ``--trainings`` with those
of trainings, see :mod:`tests.crashes.killed_trainings`.
"""

import os
import random
import select
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Optional, Sequence

from modelarts.errors import ApiError, TransportError
from modelarts.estimator import VisualizationJob
from modelarts.models import JobStatus
from modelarts.training.job import TrainingJob
from tests.crashes.killed_objects import ObjectClient, look_at_objects
from tests.crashes.killed_trainings import (
    MAX_JOBS,
    TrainingClient,
    look_at_trainings,
    settle_trainings,
    write_programs,
)
from tests.servers.served import Served, descendants, fetch, parent_of

__all__ = ["Seen", "kill_repeatedly", "kill_under_trainings"]

_CLIENTS = 3
_MOST_JOBS = 4
_TRAIN_URL = "/bucket/kills/"
_ACTIVE = frozenset({JobStatus.INIT, JobStatus.WAITING, JobStatus.RUNNING})
_STOPPED = frozenset({JobStatus.KILLING, JobStatus.KILLED})
_GONE = frozenset({0})
_AFTER: Dict[str, FrozenSet[int]] = {"stop": _STOPPED, "restart": _ACTIVE, "delete": _GONE}
#: That a job's status does not allow a call, in v1 and in v2.
_NOT_NOW = ("ModelArts.0105", "ModelArts.2796")
_SETTLED_SECONDS = 60.0
#: A kill comes after so many answers, and then so many seconds.
_MOST_ANSWERS = 30
_MOST_SECONDS = 0.05


class Seen(NamedTuple):
    """The observations over all kills.

    Attributes:
        acknowledged: how many calls were answered.
        unanswered: how many were not, as the service was killed.
        wrong: one sentence for each job that was lost, doubled or did not run again, for each
            object and upload that is not what was told, and for each process that was left.
    """

    kills: int
    acknowledged: int
    unanswered: int
    wrong: List[str]


class _Client:
    """One client; by the name of a job, as what it may be found."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self._name = name
        self._chance = chance
        self._made = 0
        self.acknowledged = 0
        self.unanswered = 0
        self.wrong: List[str] = []
        self.may_be: Dict[str, FrozenSet[int]] = {}

    def use(self, session: Any) -> None:
        """Call until the service is gone."""
        try:
            jobs = {job.job_name: job for job in VisualizationJob.iter(session)}
            while True:
                self._call(session, jobs)
        except TransportError:
            self.unanswered += 1
        except ApiError as error:
            self.wrong.append("%s: %s" % (self._name, error))

    def _call(self, session: Any, jobs: Dict[str, VisualizationJob]) -> None:
        mine = [name for name, statuses in self.may_be.items() if statuses != _GONE]
        # A restart over v2 would be another job of the same name.
        acts = [act for act in _AFTER if session.api != "v2" or act != "restart"]
        act = self._chance.choice(["create", *acts])
        if act == "create" and len(mine) >= _MOST_JOBS:
            act = "delete"
        if act == "create" or not mine:
            self._made += 1
            name = "%s-%d" % (self._name, self._made)
            self.may_be[name] = _ACTIVE | _GONE
            jobs[name] = VisualizationJob.create(_TRAIN_URL, job_name=name, session=session)
            self.may_be[name] = _ACTIVE
        else:
            name = self._chance.choice(mine)
            before, after = self.may_be[name], _AFTER[act]
            self.may_be[name] = before | after
            try:
                getattr(jobs[name], act)()
            except ApiError as error:
                if error.error_code not in _NOT_NOW:
                    raise
                self.may_be[name] = before  # refused: it runs, or is being stopped
                return
            self.may_be[name] = after
        self.acknowledged += 1

    def look(self, found: Dict[str, int]) -> None:
        """Compare what is there with what was said; go on from what is there."""
        for name, statuses in self.may_be.items():
            status = found.pop(name, 0)
            if status not in statuses:
                self.wrong.append("%s is %d, not of %s" % (name, status, sorted(statuses)))
            groups = (group for group in (_ACTIVE, _STOPPED) if status in group)
            self.may_be[name] = next(groups, _GONE)


def kill_repeatedly(
    root: Path,
    kills: int,
    seed: int,
    objects: bool = False,
    api: str = "v1",
    options: Sequence[str] = (),
    is_forked: bool = False,
) -> Seen:
    """Kill the service of ``root`` so often; the seed is for the clients and the moments.

    Args:
        objects: whether its clients use the OBS API.
        api: the API of jobs that they use.
        options: further options of the service.
        is_forked: whether the service is forked, see :class:`~tests.servers.served.Served`.
    """
    chance = random.Random(seed)
    kind: Callable[[str, random.Random], Any] = ObjectClient if objects else _Client
    clients = [kind("c%d" % number, random.Random(chance.random())) for number in range(_CLIENTS)]
    wrong: List[str] = []
    for number in range(kills + 1):
        options_of_kind = ["--obs-api"] if objects else []
        served = Served(root, *options_of_kind, *options, is_forked=is_forked)
        settings = {"obs_endpoint": served.connection["obs_http_endpoint"]} if objects else {}
        try:
            with served.session(timeout=30, retries=0, **settings) as session:
                if objects:
                    found = look_at_objects(root, session, clients)
                else:
                    found = _look(served, session, clients)
                wrong += ["kill %d: %s" % (number, what) for what in found]
                if number < kills:
                    with served.session(timeout=30, retries=0, api=api, **settings) as used:
                        left = _use_and_kill(served, used, clients, chance)
                    wrong += ["kill %d: process %d was left" % (number + 1, pid) for pid in left]
        finally:
            served.end()
    acknowledged = sum(client.acknowledged for client in clients)
    unanswered = sum(client.unanswered for client in clients)
    return Seen(kills, acknowledged, unanswered, wrong)


def kill_under_trainings(
    root: Path, kills: int, seed: int, options: Sequence[str] = (), is_forked: bool = False
) -> Seen:
    """Kill the service of ``root`` so often while its clients create, stop and delete trainings.

    Args:
        options: further options of the service.
        is_forked: whether the service is forked, see :class:`~tests.servers.served.Served`.
    """
    chance = random.Random(seed)
    clients = [
        TrainingClient("c%d" % number, random.Random(chance.random())) for number in range(_CLIENTS)
    ]
    write_programs(root)
    wrong: List[str] = []
    for number in range(kills + 1):
        # In the end all may be there that run until they are stopped, and have to run.
        most = 4 if number < kills else MAX_JOBS * _CLIENTS
        served = Served(root, "--max-trainings", str(most), *options, is_forked=is_forked)
        try:
            with served.session(timeout=30, retries=0, api="v2") as session:
                found = look_at_trainings(session, clients)
                wrong += ["kill %d: %s" % (number, what) for what in found]
                if number < kills:
                    _use_and_kill(served, session, clients, chance, ends_with_it=False)
                else:
                    wrong += settle_trainings(root, session, clients)
                    for job in TrainingJob.iter(session):
                        job.delete()
        finally:
            served.end()
    acknowledged = sum(client.acknowledged for client in clients)
    unanswered = sum(client.unanswered for client in clients)
    return Seen(kills, acknowledged, unanswered, wrong)


def _use_and_kill(
    served: Served,
    session: Any,
    clients: List[Any],
    chance: random.Random,
    ends_with_it: bool = True,
) -> List[int]:
    """Kill the service under its clients; return the processes below it that are left.

    It is killed after a number of answers, since a busy machine may give none within a time.

    Args:
        ends_with_it: whether these have to end with it.
    """
    answers = sum(client.acknowledged for client in clients) + chance.randint(1, _MOST_ANSWERS)
    seconds = chance.uniform(0.0, _MOST_SECONDS)
    threads = [threading.Thread(target=client.use, args=(session,)) for client in clients]
    for thread in threads:
        thread.start()
    while sum(client.acknowledged for client in clients) < answers:
        if not any(thread.is_alive() for thread in threads):
            break
        time.sleep(0.001)
    time.sleep(seconds)
    below = descendants(served.pid)[1:] if ends_with_it else []
    processes = {pid: _opened(pid) for pid in below}
    served.kill()
    for thread in threads:
        thread.join()
    left = []
    for pid, descriptor in processes.items():
        if descriptor is not None:
            if not select.select([descriptor], [], [], _SETTLED_SECONDS)[0]:
                left.append(pid)
            os.close(descriptor)
    return left


def _look(served: Served, session: Any, clients: List[_Client]) -> List[str]:
    wrong = []
    jobs = list(VisualizationJob.iter(session))
    named = Counter(job.job_name for job in jobs)
    wrong += ["%s is there %d times" % (name, n) for name, n in named.items() if n > 1]
    found = {job.job_name: int(job.status) for job in jobs}
    for client in clients:
        client.look(found)
        wrong += client.wrong
        client.wrong = []
    wrong += ["nobody made %s" % name for name in found]
    deadline = time.monotonic() + _SETTLED_SECONDS
    moving = (_ACTIVE | _STOPPED) - {JobStatus.RUNNING, JobStatus.KILLED}
    while any(job.status in moving for job in jobs) and time.monotonic() < deadline:
        time.sleep(0.02)
        jobs = list(VisualizationJob.iter(session))
    running = [job for job in jobs if job.status == JobStatus.RUNNING]
    settled = (JobStatus.RUNNING, JobStatus.KILLED)
    wrong += ["%s came to %d" % (j.job_name, j.status) for j in jobs if j.status not in settled]
    wrong += ["%s does not answer" % job.job_name for job in running if not fetch(job.service_url)]
    boards = _boards(served)
    if boards != len(running):
        wrong.append("%d boards for %d running jobs" % (boards, len(running)))
    return wrong


def _boards(served: Served) -> int:
    """How many: all below the service but its children, such as the parent of the boards."""
    below = [parent_of(pid) for pid in descendants(served.pid)[1:]]
    return len([parent for parent in below if parent not in (None, served.pid)])


def _opened(pid: int) -> Optional[int]:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
