"""Looks at boards in the background: their runs, points and memory. No visit is counted."""

from __future__ import annotations

import json
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any
from urllib.parse import urlencode

import attr
import psutil
from werkzeug.test import EnvironBuilder, run_wsgi_app

from modelarts.local.boards.engine import Board
from modelarts.local.boards.supervisor import Supervisor

#: How long an observation is shown before the board is looked at again: on its own page, in a list.
_FRESH_SECONDS = 5.0
_FRESH_IN_LIST_SECONDS = 30.0
_MAX_KEPT = 2000
#: So many curves are asked for their points.
_MAX_TAGS = 20
_MAX_RUNS = 50
_MAX_NAMED = 20
#: The points of boards with more runs are not counted.
_MAX_COUNTED = 1000
#: How long a board may take for an answer.
_TIMEOUT_SECONDS = 5


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Observation:
    """A look at a running board.

    Attributes:
        runs: the names of its first runs; None where it did not tell.
        run_count: how many runs it has.
        curves: how many scalar curves it shows.
        points: how many points of them, as far as they were counted.
        all_counted: whether all curves were counted.
        memory: the bytes that its processes hold.
    """

    runs: tuple[str, ...] | None = None
    run_count: int = 0
    curves: int = 0
    points: int | None = None
    all_counted: bool = True
    memory: int | None = None


class Observer:
    """Looks at boards in two threads, and keeps what was seen; a request never waits for a board.

    Args:
        supervisor: knows the boards.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(2, "console")
        self._seen: OrderedDict[tuple[int, int | None], tuple[float, Observation]] = OrderedDict()
        self._looking: dict[int, Future[None]] = {}

    def last(self, job_id: int, patience: float = 0.0, in_list: bool = False) -> Observation | None:
        """Return what was last seen of a job's board; None where it has none, or nothing yet.

        Args:
            patience: how many seconds a first look is waited for.
            in_list: it is one of many, so boards are looked at less often.
        """
        board = self._supervisor.board(job_id)
        if board is None:
            return None
        now = self._supervisor.timeline.monotonic()
        key = (job_id, board.pid)
        with self._lock:
            when, seen = self._seen.get(key, (0.0, None))
            looking = self._looking.get(job_id)
            fresh = _FRESH_IN_LIST_SECONDS if in_list else _FRESH_SECONDS
            if (seen is None or now - when >= fresh) and looking is None:
                looking = self._looking[job_id] = self._pool.submit(self._look, key, board)
        if seen is None and looking is not None and patience:
            try:
                looking.result(patience)
            except Exception:
                return None  # it takes longer; the next request sees it
            with self._lock:
                seen = self._seen.get(key, (0.0, None))[1]
        return seen

    def _look(self, key: tuple[int, int | None], board: Board) -> None:
        try:
            observation = attr.evolve(_read(board), memory=_memory(board.pid))
            now = self._supervisor.timeline.monotonic()
            with self._lock:
                self._seen[key] = (now, observation)
                self._seen.move_to_end(key)
                while len(self._seen) > _MAX_KEPT:
                    self._seen.popitem(last=False)
        finally:
            with self._lock:
                del self._looking[key[0]]


def _read(board: Board) -> Observation:
    """Ask a board for its runs and the points of its scalar curves."""
    if board.job.job_type != "tensorboard":
        return Observation()
    runs = _ask(board, "data/runs")
    if not isinstance(runs, list):
        return Observation()
    names = tuple(str(run) for run in runs[:_MAX_NAMED])
    # What very many runs have would take long to tell.
    tags = None if len(runs) > _MAX_COUNTED else _ask(board, "data/plugin/scalars/tags")
    if not isinstance(tags, dict):
        return Observation(names, len(runs))
    by_tag: dict[str, list[str]] = {}
    for run, of_run in tags.items():
        for tag in of_run:
            by_tag.setdefault(tag, []).append(run)
    points = counted = 0
    for tag in list(by_tag)[:_MAX_TAGS]:
        form = [("tag", tag), *(("runs", run) for run in by_tag[tag][:_MAX_RUNS])]
        curves = _ask(board, "data/plugin/scalars/scalars_multirun", urlencode(form))
        for values in curves.values() if isinstance(curves, dict) else ():
            points += len(values)
            counted += 1
    total = sum(map(len, by_tag.values()))
    return Observation(names, len(runs), total, points, counted == total)


def _ask(board: Board, path: str, form: str | None = None) -> Any:
    """Return the JSON of a response of a board; None if it is not JSON."""
    builder = EnvironBuilder(
        path=board.job.page + path,
        method="GET" if form is None else "POST",
        data=form,
        content_type=None if form is None else "application/x-www-form-urlencoded",
    )
    try:
        # As a visitor would ask, but with less patience.
        page = board.proxy(_TIMEOUT_SECONDS)
        parts, status, _ = run_wsgi_app(page, builder.get_environ(), buffered=True)
        return json.loads(b"".join(parts)) if status.startswith("200") else None
    except Exception:
        return None  # it has just ended, or hangs; its own page says more


def _memory(pid: int | None) -> int | None:
    """Return the bytes that a board's processes hold; those that boards share count each time."""
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        return sum(each.memory_info().rss for each in (process, *process.children(True)))
    except psutil.Error:
        return None
