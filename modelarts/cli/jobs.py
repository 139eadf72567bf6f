"""``modelarts jobs``: the options of its commands, and what they do."""

import argparse
import sys
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional

from modelarts import validation
from modelarts._fields import documented_job
from modelarts._status import FAILED, STOPPED, JobStatus
from modelarts.cli.completion import complete_jobs
from modelarts.cli.errors import DONE, WRONG_USAGE, Refused, as_dict, code_of, tell
from modelarts.cli.named import (
    board_named,
    id_value,
    is_training,
    job_named,
    jobs_named,
    training_named,
    trainings,
)
from modelarts.cli.options import (
    Commands,
    add_command,
    add_commands,
    add_common,
    at_least_0,
    checked,
    hours,
    keep_service,
    positive,
    session_of,
)
from modelarts.cli.output import flush, say, show_json, show_table
from modelarts.cli.output import show as show_text
from modelarts.cli.prompts import ask
from modelarts.errors import ModelArtsError
from modelarts.visualization.display import table
from modelarts.visualization.display.text import clock_time, last_known, title

if TYPE_CHECKING:
    from modelarts.cli.named import AnyJob
    from modelarts.session import Session
    from modelarts.training.job import TrainingJob
    from modelarts.visualization.shares import Share

_Run = Callable[[argparse.Namespace], Optional[int]]
#: All that is neither ended nor being stopped.
_STOPPABLE: List[int] = [
    status for status in JobStatus if status not in STOPPED | FAILED | {JobStatus.KILLING}
]
_PER_PAGE = 100
_LONGEST_NAME = 64
#: The phases of a training that can be stopped.
_ACTIVE = ("Creating", "Pending", "Running")


def add_to(commands: Commands) -> None:
    """Add the commands to the others."""
    group = commands.add_parser(
        "jobs",
        help="create, list, show, stop, … jobs",
        description="Jobs: boards over the event files of a folder in OBS, and trainings, which "
        "'modelarts train' creates. JOB is a job's id or its name; what is all digits is a name "
        "only where no job has that id.",
        epilog="""examples:
  modelarts jobs create /bucket/logs/ --name nightly --auto-stop 2 --wait
  modelarts jobs open nightly
  modelarts jobs stop 12 13 nightly""",
    )
    verbs = add_commands(group)
    _add_create(verbs)
    _add_list(verbs)
    parser = _add(
        verbs,
        "show",
        _show,
        "show what is known of a job",
        """  modelarts jobs show nightly
  modelarts jobs show 12 --output json | jq -r .service_url""",
    )
    _add_job(parser)
    _add_wait(verbs)
    parser = _add(
        verbs,
        "logs",
        _logs,
        "print the log of a training",
        """  modelarts jobs logs nightly
  modelarts jobs logs nightly --follow""",
    )
    _add_job(parser)
    parser.add_argument(
        "--follow", action="store_true", help="go on while it runs; Ctrl-C leaves it running"
    )
    parser.add_argument(
        "--task", default="worker-0", metavar="NAME", help="the task (default: %(default)s)"
    )
    parser = _add(
        verbs,
        "open",
        _open,
        "open a job's board in the browser, and print its address",
        """  modelarts jobs open nightly
  modelarts jobs open 12 --timeout 300

A job that is just starting is waited for.""",
    )
    _add_job(parser)
    _add_timeout(parser)
    _add_shares(verbs)
    parser = _add(
        verbs,
        "update",
        _update,
        "change a job's description",
        "  modelarts jobs update nightly --desc 'learning rate 0.1'",
    )
    _add_job(parser)
    parser.add_argument(
        "--desc",
        required=True,
        metavar="TEXT",
        type=checked(validation.job_desc),
        help="the new description, up to 256 characters",
    )
    _add_stop(verbs)
    parser = _add(
        verbs,
        "restart",
        _restart,
        "run stopped jobs again",
        """  modelarts jobs restart nightly --wait
  modelarts jobs restart 12 13""",
        "JOB …",
    )
    _add_job(parser, several=True)
    _add_waiting(parser, "wait until they run")
    parser = _add(
        verbs,
        "delete",
        _delete,
        "delete jobs; the event files stay",
        """  modelarts jobs delete 12
  modelarts jobs delete 12 13 nightly --yes""",
        "JOB …",
    )
    _add_job(parser, several=True)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def statuses(text: str) -> List[int]:
    """Parse statuses, as words or numbers with commas between.

    ``stopped`` and ``failed`` mean all statuses of that kind.
    """
    numbers: List[int] = []
    for word in text.split(","):
        name = word.strip().upper().replace("-", "_")
        if name == "STOPPED":
            numbers += sorted(STOPPED)
        elif name == "FAILED":
            numbers += sorted(FAILED)
        elif name in JobStatus.__members__:
            numbers.append(JobStatus[name])
        elif name.isdigit() and name.isascii() and len(name) < 5:
            numbers.append(int(name))
        else:
            words = ", ".join(["stopped", *(member.lower() for member in JobStatus.__members__)])
            raise argparse.ArgumentTypeError("%r is no status; there are %s" % (word, words))
    return numbers


def _add_create(verbs: Commands) -> None:
    parser = _add(
        verbs,
        "create",
        _create,
        "create a job",
        """  modelarts jobs create /bucket/logs/ --auto-stop 2 --open
  modelarts jobs create runs/ --local --open
  modelarts jobs create obs://bucket/logs/ --name nightly --desc 'learning rate 0.1'
  id=$(modelarts jobs create /bucket/logs/ --output json | jq .job_id)""",
        "TRAIN_URL",
    )
    parser.add_argument(
        "train_url",  # checked by create, which knows more kinds of them
        nargs="*",
        metavar="TRAIN_URL",
        help="the folder in OBS: /bucket/path/ or obs://bucket/path/; or one here, such as runs/, "
        "which is sent there first, or with --local read where it lies. With --local also several",
    )
    parser.add_argument(
        "--training-job",
        action="append",
        metavar="ID",
        help="a training that the board shows, instead of TRAIN_URL; may be repeated (v2 API)",
    )
    parser.add_argument(
        "--obs-path",
        metavar="URL",
        help="where to send a folder of this machine (default: to one of its own in "
        "MODELARTS_OBS_PATH or in the obs_path of a config.json); with --local, to make a copy",
    )
    parser.add_argument(
        "--name",
        metavar="NAME",
        type=checked(partial(validation.job_name, api="v2")),  # create knows which API it is
        help="1 to 20 letters, digits, '_' or '-', with the v2 API to 64 (default: one is made up)",
    )
    parser.add_argument(
        "--desc",
        default="",
        metavar="TEXT",
        type=checked(validation.job_desc),
        help="a description, up to 256 characters",
    )
    parser.add_argument(
        "--job-type",
        default="tensorboard",
        metavar="TYPE",
        type=checked(partial(validation.job_type, api="v2")),
        help="tensorboard, the default, or mindinsight; with the v2 API mindstudio-insight",
    )
    parser.add_argument(
        "--auto-stop",
        metavar="HOURS",
        type=hours,
        help="after how many hours, 0 to 24, with the v2 API from 1 on, it stops by itself "
        "(default: it runs, and is billed, until it is stopped)",
    )
    parser.add_argument("--pool-id", metavar="ID", help="a resource pool (v2 API)")
    parser.add_argument("--flavor", metavar="CODE", help="a specification; normally none")
    parser.add_argument(
        "--open", action="store_true", help="wait until it runs, and open it in the browser"
    )
    _add_waiting(parser, "wait until it runs")


def _add_list(verbs: Commands) -> None:
    parser = _add(
        verbs,
        "list",
        _list,
        "list jobs",
        """  modelarts jobs list --running
  modelarts jobs list --status failed,lost --sort-by create_time --order desc
  modelarts jobs list --search night --limit 5
  modelarts jobs list --output json | jq -r '.[] | select(.duration > 86400000) | .job_id'""",
        "",
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--running", action="store_true", help="only those that run")
    chosen.add_argument(
        "--status",
        type=statuses,
        metavar="STATUS[,STATUS]",
        help="only those of these statuses, as words or numbers; 'stopped' and 'failed' mean "
        "all of that kind",
    )
    parser.add_argument(
        "--kind", choices=("board", "training"), help="only jobs of this kind (default: both)"
    )
    parser.add_argument("--search", metavar="TEXT", help="only those whose name contains this")
    parser.add_argument(
        "--sort-by",
        default="job_id",
        choices=validation.SORT_KEYS,
        metavar="KEY",
        help="one of %s (default: %%(default)s)" % ", ".join(validation.SORT_KEYS),
    )
    parser.add_argument(
        "--order", default="asc", choices=("asc", "desc"), help="(default: %(default)s)"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="the first N only")
    parser.add_argument("--workspace-id", metavar="ID", help="the workspace")


def _add_wait(verbs: Commands) -> None:
    parser = _add(
        verbs,
        "wait",
        _wait,
        "wait until a job runs, or has another status",
        """  modelarts jobs wait nightly && echo 'it runs'
  modelarts jobs wait 12 --until stopped --timeout 60

exit codes: 0 it has that status, 4 the time was over, 5 it failed or was stopped""",
    )
    _add_job(parser)
    parser.add_argument(
        "--until",
        type=statuses,
        metavar="STATUS[,STATUS]",
        help="the status, or one of several (default: running; of a training, completed)",
    )
    _add_timeout(parser)


def _add_shares(verbs: Commands) -> None:
    parser = _add(
        verbs,
        "share",
        _share,
        "print a link to a job's board that needs no account and ends",
        """  modelarts jobs share nightly --hours 48

Anyone who has the link can look at this one board, and change nothing. The local service has
such links, and no cloud.""",
    )
    _add_job(parser)
    parser.add_argument(
        "--hours",
        default=24,
        type=checked(validation.share_hours),
        metavar="HOURS",
        help="for how many whole hours the link works (default: %(default)s)",
    )
    parser = _add(
        verbs,
        "shares",
        _shares,
        "list the links to a job's board, or revoke some",
        """  modelarts jobs shares nightly
  modelarts jobs shares nightly --revoke 5f2c9be0a1d84c37""",
    )
    _add_job(parser)
    parser.add_argument(
        "--revoke",
        action="append",
        default=[],
        type=checked(validation.share_id),
        metavar="LINK",
        help="the id of a link that is to end now; may be repeated",
    )


def _add_stop(verbs: Commands) -> None:
    parser = _add(
        verbs,
        "stop",
        _stop,
        "stop jobs",
        """  modelarts jobs stop 12 13 nightly
  modelarts jobs stop --all
  modelarts jobs stop --all --yes --wait""",
        "JOB …|--all",
    )
    _add_job(parser, several=True, needed=False)
    parser.add_argument(
        "--all", action="store_true", help="all that run or are about to, after a question"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    _add_waiting(parser, "wait until they are stopped")


def _add(
    verbs: Commands, name: str, run: _Run, what: str, examples: str, operands: str = "JOB"
) -> argparse.ArgumentParser:
    parser = add_command(verbs, name, run, what, examples, operands)
    add_common(parser)
    return parser


def _add_job(parser: argparse.ArgumentParser, several: bool = False, needed: bool = True) -> None:
    if several:
        action = parser.add_argument(
            "jobs", nargs="+" if needed else "*", metavar="JOB", help="a job's id or name"
        )
    else:
        action = parser.add_argument("job", metavar="JOB", help="the job's id or name")
    vars(action)["completer"] = complete_jobs


def _add_waiting(parser: argparse.ArgumentParser, help: str) -> None:
    parser.add_argument("--wait", action="store_true", help=help)
    _add_timeout(parser)


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        default=600.0,
        type=at_least_0,
        metavar="SECONDS",
        help="how long a wait may take (default: 600)",
    )


# The commands ------------------------------------------------------------------------------


def _create(args: argparse.Namespace) -> None:
    """Run ``jobs create``: the job is printed also where it does not come to run."""
    from modelarts.estimator import VisualizationJob

    with session_of(args) as session:
        urls = args.train_url or [None]
        job = VisualizationJob.create(
            urls[0] if len(urls) == 1 else urls,
            args.name,
            args.desc,
            args.job_type,
            args.auto_stop,
            args.flavor,
            session,
            training_jobs=args.training_job,
            pool_id=args.pool_id,
            obs_path=args.obs_path,
        )
        keep_service(args)
        try:
            if args.wait:
                _wait_for(job, JobStatus.RUNNING, args)
            elif not args.open:
                job.refresh()  # the answer to a create does not say all
            if args.open:
                job.open(args.timeout)
        finally:
            show_job(job, args)


def _list(args: argparse.Namespace) -> None:
    """Run ``jobs list``."""
    from modelarts.estimator import VisualizationJob

    with session_of(args) as session:
        boards = VisualizationJob.iter(
            session,
            status=JobStatus.RUNNING if args.running else args.status,
            search_content=args.search,
            sort_by=args.sort_by,
            order=args.order,
            workspace_id=args.workspace_id,
            per_page=min(args.limit or _PER_PAGE, _PER_PAGE),
        )
        jobs: Iterator[AnyJob] = chain(
            boards if args.kind != "training" else (),
            _trainings(session, args) if args.kind != "board" else (),
        )
        chosen: List[AnyJob] = list(islice(jobs, args.limit))
        if args.output == "json":
            show_json([_documented(job) for job in chosen])
        else:
            chosen_some = (args.running, args.status, args.search, args.workspace_id)
            if not chosen and (any(chosen_some) or args.kind):
                show_text("No jobs match.")  # there may be others
            else:
                show_text(table.table(chosen, *table.look(sys.stdout)))


def _trainings(session: "Session", args: argparse.Namespace) -> "Iterator[TrainingJob]":
    """Return the trainings that the options of a list choose, after the boards.

    They have no number and no folder to sort by, so they come in the order of their creation.
    """
    filters: Dict[str, Any] = {"order": args.order}
    if args.search is not None:
        if len(args.search) > _LONGEST_NAME:
            return
        filters["search_content"] = args.search
    if args.workspace_id not in (None, "0"):
        return
    statuses = [JobStatus.RUNNING] if args.running else args.status
    for job in trainings(session, **filters):
        if not statuses or job.status in statuses:
            yield job


def _show(args: argparse.Namespace) -> None:
    """Run ``jobs show``."""
    with session_of(args) as session:
        job = job_named(session, args.job)
        show_job(job.refresh(), args)


def _wait(args: argparse.Namespace) -> None:
    """Run ``jobs wait``."""
    with session_of(args) as session:
        job = job_named(session, args.job)
        keep_service(args)
        usual = JobStatus.COMPLETED if is_training(job) else JobStatus.RUNNING
        _wait_for(job, args.until or usual, args)
        show_job(job, args)


def _logs(args: argparse.Namespace) -> None:
    """Run ``jobs logs``: the lines are printed as they come."""
    with session_of(args) as session:
        job = training_named(session, args.job)
        for line in job.logs(args.task, follow=args.follow):
            show_text(line)
            if args.follow:
                flush()


def _open(args: argparse.Namespace) -> None:
    """Run ``jobs open``."""
    with session_of(args) as session:
        from modelarts.training.job import TrainingJob

        job = job_named(session, args.job)
        keep_service(args)
        board = job.board() if isinstance(job, TrainingJob) else job
        url = board.open(args.timeout)
        if args.output == "json":
            show_job(board, args)
        else:
            show_text(url)


def _share(args: argparse.Namespace) -> None:
    """Run ``jobs share``: the link is the one line on stdout."""
    with session_of(args) as session:
        share = board_named(session, args.job).share(args.hours)
        keep_service(args)
        if args.output == "json":
            show_json({**_link(share), "url": share.url, "is_success": True})
        else:
            show_text(share.url or "")
            say("link %s works until %s" % (share.share_id, clock_time(share.ends)))


def _shares(args: argparse.Namespace) -> None:
    """Run ``jobs shares``."""
    with session_of(args) as session:
        job = board_named(session, args.job)
        for share_id in args.revoke:
            job.unshare(share_id)
        links = job.shares()
        if args.output == "json":
            show_json([_link(link) for link in links])
            return
        for share_id in args.revoke:
            show_text("link %s: revoked" % share_id)
        if links:
            rows = [
                (link.share_id, clock_time(link.created), clock_time(link.ends)) for link in links
            ]
            show_table([("LINK", "CREATED", "ENDS"), *rows])
        elif not args.revoke:
            show_text("No links.")


def _link(share: "Share") -> Dict[str, Any]:
    return {
        "share_id": share.share_id,
        "job_id": int(share.job_id) if share.job_id.isdigit() else share.job_id,
        "created": share.created.isoformat(),
        "ends": share.ends.isoformat(),
    }


def _update(args: argparse.Namespace) -> None:
    """Run ``jobs update``."""
    with session_of(args) as session:
        job = job_named(session, args.job).update(args.desc)
        if args.output == "json":
            show_job(job, args)
        else:
            show_text("%s: updated" % title(last_known(job)))


def _stop(args: argparse.Namespace) -> int:
    """Run ``jobs stop``."""
    from modelarts.estimator import VisualizationJob

    if args.all == bool(args.jobs):
        args.refuse("give ids or names, or --all" + (", not both" if args.all else ""))
    with session_of(args) as session:
        jobs: List[AnyJob]
        if args.all:
            jobs = [
                *VisualizationJob.iter(session, status=_STOPPABLE),
                *trainings(session, phase=_ACTIVE),
            ]
            if jobs and not args.yes:
                _ask("stop", jobs)
        else:
            jobs = jobs_named(session, args.jobs)
        outcome = "stopped" if args.wait else "stopping"
        return _each(jobs, "stop", outcome, args, STOPPED)


def _restart(args: argparse.Namespace) -> int:
    """Run ``jobs restart``."""
    with session_of(args) as session:
        jobs = jobs_named(session, args.jobs)
        for job in filter(is_training, jobs):
            raise Refused(
                "job %s is a training: 'modelarts train' runs it again" % job.job_id,
                WRONG_USAGE,
                "NoBoard",
            )
        keep_service(args)
        outcome = "running" if args.wait else "starting"
        return _each(jobs, "restart", outcome, args, [JobStatus.RUNNING])


def _delete(args: argparse.Namespace) -> int:
    """Run ``jobs delete``."""
    with session_of(args) as session:
        jobs = jobs_named(session, args.jobs)
        if not args.yes:
            _ask("delete", jobs)
        return _each(jobs, "delete", "deleted", args)


def _each(
    jobs: "List[AnyJob]",
    verb: str,
    outcome: str,
    args: argparse.Namespace,
    until: Optional[Any] = None,
) -> int:
    """Do it to each job; a failure with one job does not stop the others.

    Returns the exit code of the first failure.
    """
    as_json = args.output == "json"
    waits = until is not None and args.wait
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
                show_text(
                    "%s: %s%s" % (title(last_known(job)), outcome, ": %s" % url if url else "")
                )
        return True

    try:
        done = [job for job in jobs if attempt(job, getattr(job, verb), not waits)]
        for job in done if waits else ():
            attempt(job, partial(_wait_for, job, until, args), True)
    finally:
        # After an interrupt, the jobs that were not reached have no is_success.
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


def _wait_for(job: "AnyJob", until: Any, args: argparse.Namespace) -> None:
    job.wait(until, args.timeout)


def show_job(job: "AnyJob", args: argparse.Namespace) -> None:
    """Print what is known of a job."""
    if args.output == "json":
        show_json({**_documented(job), "is_success": True})
    else:
        _, colour = table.look(sys.stdout)
        show_text(table.facts(job, colour))


def _documented(job: "AnyJob") -> Dict[str, Any]:
    """Return the documented dict, and the status as a word."""
    status = job.info.status
    if is_training(job):
        name = None if status is None else status.name
        return {**job.raw, "job_id": job.job_id, "job_name": job.job_name, "status_name": name}
    known = documented_job(job.raw)
    known["job_id"] = id_value(job)
    known["status_name"] = None if status is None else status.name
    return known
