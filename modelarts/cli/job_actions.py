"""``modelarts jobs …``: what the commands do."""

import argparse
import sys
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

from modelarts._fields import documented_job
from modelarts._status import FAILED, STOPPED, JobStatus
from modelarts.cli.errors import DONE, as_dict, code_of, tell
from modelarts.cli.named import id_value, named, one_named
from modelarts.cli.options import keep_service, session_of
from modelarts.cli.output import show as show_text
from modelarts.cli.output import show_json
from modelarts.cli.prompts import ask
from modelarts.errors import ModelArtsError
from modelarts.visualization.display import table
from modelarts.visualization.display.text import last_known, title

if TYPE_CHECKING:
    from modelarts.estimator import VisualizationJob

__all__ = [
    "create",
    "delete",
    "list_jobs",
    "open_board",
    "restart",
    "show",
    "stop",
    "update",
    "wait",
]

_Act = Callable[["VisualizationJob"], Any]
#: All that is neither ended nor being stopped.
_STOPPABLE = [
    status for status in JobStatus if status not in STOPPED | FAILED | {JobStatus.KILLING}
]
_PER_PAGE = 100


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
            _show(job, given)


def list_jobs(given: argparse.Namespace) -> None:
    """Run ``jobs list``."""
    from modelarts.estimator import VisualizationJob

    with session_of(given) as session:
        jobs = VisualizationJob.iter(
            session,
            status=JobStatus.RUNNING if given.running else given.status,
            search_content=given.search,
            sort_by=given.sort_by,
            order=given.order,
            workspace_id=given.workspace_id,
            per_page=min(given.limit or _PER_PAGE, _PER_PAGE),
        )
        chosen = list(islice(jobs, given.limit))
        if given.output == "json":
            show_json([_documented(job) for job in chosen])
        else:
            chosen_some = (given.running, given.status, given.search, given.workspace_id)
            if not chosen and any(chosen_some):
                show_text("No visualization jobs match.")  # there may be others
            else:
                show_text(table.table(chosen, *table.look(sys.stdout)))


def show(given: argparse.Namespace) -> None:
    """Run ``jobs show``."""
    with session_of(given) as session:
        job = one_named(session, given.job)
        _show(job.refresh(), given)


def wait(given: argparse.Namespace) -> None:
    """Run ``jobs wait``."""
    with session_of(given) as session:
        job = one_named(session, given.job)
        keep_service(given)
        _wait(job, given.until, given)
        _show(job, given)


def open_board(given: argparse.Namespace) -> None:
    """Run ``jobs open``."""
    with session_of(given) as session:
        job = one_named(session, given.job)
        keep_service(given)
        url = job.open(given.timeout)
        if given.output == "json":
            _show(job, given)
        else:
            show_text(url)


def update(given: argparse.Namespace) -> None:
    """Run ``jobs update``."""
    with session_of(given) as session:
        job = one_named(session, given.job).update(given.desc)
        if given.output == "json":
            _show(job, given)
        else:
            show_text("%s: updated" % title(last_known(job)))


def stop(given: argparse.Namespace) -> int:
    """Run ``jobs stop``."""
    from modelarts.estimator import VisualizationJob

    if given.all == bool(given.jobs):
        given.refuse("give ids or names, or --all" + (", not both" if given.all else ""))
    with session_of(given) as session:
        jobs: List[VisualizationJob]
        if given.all:
            jobs = VisualizationJob.list(session, status=_STOPPABLE)
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
    jobs: "List[VisualizationJob]",
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
        job.visualization_id: {"job_id": id_value(job), "job_name": job.job_name} for job in jobs
    }

    def attempt(job: "VisualizationJob", act: Callable[[], Any], last: bool) -> bool:
        nonlocal code
        result = results[job.visualization_id]
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
                url = job.service_url if waits and job.status == JobStatus.RUNNING else None
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


def _ask(verb: str, jobs: "List[VisualizationJob]") -> None:
    names = [title(last_known(job)) for job in jobs]
    if len(names) == 1:
        ask(verb, names[0])
    else:
        ask(verb, "these %d jobs" % len(names), names)


def _wait(job: "VisualizationJob", until: Any, given: argparse.Namespace) -> None:
    job.wait(until, given.timeout)


def _show(job: "VisualizationJob", given: argparse.Namespace) -> None:
    """Print what is known of a job."""
    if given.output == "json":
        show_json({**_documented(job), "is_success": True})
    else:
        _, colour = table.look(sys.stdout)
        show_text(table.facts(job, colour))


def _documented(job: "VisualizationJob") -> Dict[str, Any]:
    """The documented dict, and the status as a word."""
    status = job.info.status
    known = documented_job(job.raw)
    known["job_id"] = id_value(job)
    known["status_name"] = None if status is None else status.name
    return known
