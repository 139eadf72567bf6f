"""``modelarts jobs …``: what the commands do."""

import argparse
import sys
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional

from modelarts._fields import documented_job
from modelarts._status import FAILED, STOPPED, JobStatus
from modelarts.cli.errors import DONE, WRONG_USAGE, Refused, as_dict, code_of, tell
from modelarts.cli.named import (
    id_value,
    is_training,
    named,
    one_named,
    one_training,
    trainings,
)
from modelarts.cli.options import keep_service, session_of
from modelarts.cli.output import flush, show_json
from modelarts.cli.output import show as show_text
from modelarts.cli.prompts import ask
from modelarts.errors import ModelArtsError
from modelarts.visualization.display import table
from modelarts.visualization.display.text import last_known, title

if TYPE_CHECKING:
    from modelarts.cli.named import AnyJob
    from modelarts.session import Session
    from modelarts.training.job import TrainingJob

__all__ = [
    "create",
    "delete",
    "list_jobs",
    "logs",
    "open_board",
    "restart",
    "show",
    "show_job",
    "stop",
    "update",
    "wait",
]

#: All that is neither ended nor being stopped.
_STOPPABLE: List[int] = [
    status for status in JobStatus if status not in STOPPED | FAILED | {JobStatus.KILLING}
]
_PER_PAGE = 100
_LONGEST_NAME = 64
#: The phases of a training that can be stopped.
_ACTIVE = ("Creating", "Pending", "Running")


def create(given: argparse.Namespace) -> None:
    """``create``: the job is printed also where it does not come to run."""
    from modelarts.estimator import VisualizationJob

    with session_of(given) as session:
        urls = given.train_url or [None]
        job = VisualizationJob.create(
            urls[0] if len(urls) == 1 else urls,
            given.name,
            given.desc,
            given.job_type,
            given.auto_stop,
            given.flavor,
            session,
            training_jobs=given.training_job,
            pool_id=given.pool_id,
            obs_path=given.obs_path,
        )
        keep_service(given)
        try:
            if given.wait:
                _wait(job, JobStatus.RUNNING, given)
            elif not given.open:
                job.refresh()  # the answer to a create does not say all
            if given.open:
                job.open(given.timeout)
        finally:
            show_job(job, given)


def list_jobs(given: argparse.Namespace) -> None:
    """Run ``jobs list``."""
    from modelarts.estimator import VisualizationJob

    with session_of(given) as session:
        boards = VisualizationJob.iter(
            session,
            status=JobStatus.RUNNING if given.running else given.status,
            search_content=given.search,
            sort_by=given.sort_by,
            order=given.order,
            workspace_id=given.workspace_id,
            per_page=min(given.limit or _PER_PAGE, _PER_PAGE),
        )
        jobs: Iterator[AnyJob] = chain(
            boards if given.kind != "training" else (),
            _trainings(session, given) if given.kind != "board" else (),
        )
        chosen: List[AnyJob] = list(islice(jobs, given.limit))
        if given.output == "json":
            show_json([_documented(job) for job in chosen])
        else:
            chosen_some = (given.running, given.status, given.search, given.workspace_id)
            if not chosen and (any(chosen_some) or given.kind):
                show_text("No jobs match.")  # there may be others
            else:
                show_text(table.table(chosen, *table.look(sys.stdout)))


def _trainings(session: "Session", given: argparse.Namespace) -> "Iterator[TrainingJob]":
    """Return the trainings that the options of a list choose, after the boards.

    They have no number and no folder to sort by, so they come in the order of their creation.
    """
    filters: Dict[str, Any] = {"order": given.order}
    if given.search is not None:
        if len(given.search) > _LONGEST_NAME:
            return
        filters["search_content"] = given.search
    if given.workspace_id not in (None, "0"):
        return
    statuses = [JobStatus.RUNNING] if given.running else given.status
    for job in trainings(session, **filters):
        if not statuses or job.status in statuses:
            yield job


def show(given: argparse.Namespace) -> None:
    """Run ``jobs show``."""
    with session_of(given) as session:
        job = one_named(session, given.job)
        show_job(job.refresh(), given)


def wait(given: argparse.Namespace) -> None:
    """Run ``jobs wait``."""
    with session_of(given) as session:
        job = one_named(session, given.job)
        keep_service(given)
        usual = JobStatus.COMPLETED if is_training(job) else JobStatus.RUNNING
        _wait(job, given.until or usual, given)
        show_job(job, given)


def logs(given: argparse.Namespace) -> None:
    """Run ``jobs logs``: the lines are printed as they come."""
    with session_of(given) as session:
        job = one_training(session, given.job)
        for line in job.logs(given.task, follow=given.follow):
            show_text(line)
            if given.follow:
                flush()


def open_board(given: argparse.Namespace) -> None:
    """Run ``jobs open``."""
    with session_of(given) as session:
        from modelarts.training.job import TrainingJob

        job = one_named(session, given.job)
        keep_service(given)
        board = job.board() if isinstance(job, TrainingJob) else job
        url = board.open(given.timeout)
        if given.output == "json":
            show_job(board, given)
        else:
            show_text(url)


def update(given: argparse.Namespace) -> None:
    """Run ``jobs update``."""
    with session_of(given) as session:
        job = one_named(session, given.job).update(given.desc)
        if given.output == "json":
            show_job(job, given)
        else:
            show_text("%s: updated" % title(last_known(job)))


def stop(given: argparse.Namespace) -> int:
    """Run ``jobs stop``."""
    from modelarts.estimator import VisualizationJob

    if given.all == bool(given.jobs):
        given.refuse("give ids or names, or --all" + (", not both" if given.all else ""))
    with session_of(given) as session:
        jobs: List[AnyJob]
        if given.all:
            jobs = [
                *VisualizationJob.iter(session, status=_STOPPABLE),
                *trainings(session, phase=_ACTIVE),
            ]
            if jobs and not given.yes:
                _ask("stop", jobs)
        else:
            jobs = named(session, given.jobs)
        said = "stopped" if given.wait else "stopping"
        return _each(jobs, "stop", said, given, STOPPED)


def restart(given: argparse.Namespace) -> int:
    """Run ``jobs restart``."""
    with session_of(given) as session:
        jobs = named(session, given.jobs)
        for job in filter(is_training, jobs):
            raise Refused(
                "job %s is a training: 'modelarts train' runs it again" % job.job_id,
                WRONG_USAGE,
                "NoBoard",
            )
        keep_service(given)
        said = "running" if given.wait else "starting"
        return _each(jobs, "restart", said, given, [JobStatus.RUNNING])


def delete(given: argparse.Namespace) -> int:
    """Run ``jobs delete``."""
    with session_of(given) as session:
        jobs = named(session, given.jobs)
        if not given.yes:
            _ask("delete", jobs)
        return _each(jobs, "delete", "deleted", given)


def _each(
    jobs: "List[AnyJob]",
    verb: str,
    said: str,
    given: argparse.Namespace,
    until: Optional[Any] = None,
) -> int:
    """Do it to each; what one refuses keeps the others from nothing.

    Returns the exit code of the first failure.
    """
    as_json = given.output == "json"
    waits = until is not None and given.wait
    code = DONE
    results: Dict[Optional[str], Dict[str, Any]] = {
        job.job_id: {"job_id": id_value(job), "job_name": job.job_name} for job in jobs
    }

    def attempt(job: "AnyJob", act: Callable[[], Any], last: bool) -> bool:
        nonlocal code
        result = results[job.job_id]
        try:
            act()
        except ModelArtsError as error:
            tell(error, as_json)
            code = code or code_of(error)
            result.update(as_dict(error))
            return False
        if last:
            result.update(_documented(job) if waits else {}, is_success=True)
            if not as_json:
                running = waits and job.status == JobStatus.RUNNING
                url = getattr(job, "service_url", None) if running else None
                show_text("%s: %s%s" % (title(last_known(job)), said, ": %s" % url if url else ""))
        return True

    try:
        done = [job for job in jobs if attempt(job, getattr(job, verb), not waits)]
        for job in done if waits else ():
            attempt(job, partial(_wait, job, until, given), True)
    finally:
        # Those that were not come to, as it was interrupted, have no is_success.
        if as_json:
            show_json(list(results.values()))
    if not jobs and not as_json:
        show_text("No job runs.")
    return code


def _ask(verb: str, jobs: "List[AnyJob]") -> None:
    names = [title(last_known(job)) for job in jobs]
    if len(names) == 1:
        ask(verb, names[0])
    else:
        ask(verb, "these %d jobs" % len(names), names)


def _wait(job: "AnyJob", until: Any, given: argparse.Namespace) -> None:
    job.wait(until, given.timeout)


def show_job(job: "AnyJob", given: argparse.Namespace) -> None:
    """Print what is known of a job."""
    if given.output == "json":
        show_json({**_documented(job), "is_success": True})
    else:
        _, colour = table.look(sys.stdout)
        show_text(table.facts(job, colour))


def _documented(job: "AnyJob") -> Dict[str, Any]:
    """The documented dict, and the status as a word."""
    status = job.info.status
    if is_training(job):
        name = None if status is None else status.name
        return {**job.raw, "job_id": job.job_id, "job_name": job.job_name, "status_name": name}
    known = documented_job(job.raw)
    known["job_id"] = id_value(job)
    known["status_name"] = None if status is None else status.name
    return known
