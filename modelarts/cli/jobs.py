"""``modelarts jobs …``: what the commands are given."""

import argparse
from functools import partial
from typing import Callable, List, Optional

from modelarts import validation as arguments
from modelarts._status import FAILED, STOPPED, JobStatus
from modelarts.cli import job_actions
from modelarts.cli.completion import complete_jobs
from modelarts.cli.options import add_command, add_commands, add_common, checked
from modelarts.cli.values import Commands, at_least_0, hours, positive

__all__ = ["add_to"]

_Run = Callable[[argparse.Namespace], Optional[int]]


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
        job_actions.show,
        "show what is known of a job",
        """  modelarts jobs show nightly
  modelarts jobs show 12 --output json | jq -r .service_url""",
    )
    _add_job(parser)
    _add_wait(verbs)
    parser = _add(
        verbs,
        "logs",
        job_actions.logs,
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
        job_actions.open_board,
        "open a job's board in the browser, and print its address",
        """  modelarts jobs open nightly
  modelarts jobs open 12 --timeout 300

A job that is just starting is waited for.""",
    )
    _add_job(parser)
    _add_timeout(parser)
    parser = _add(
        verbs,
        "update",
        job_actions.update,
        "change a job's description",
        "  modelarts jobs update nightly --desc 'learning rate 0.1'",
    )
    _add_job(parser)
    parser.add_argument(
        "--desc",
        required=True,
        metavar="TEXT",
        type=checked(arguments.job_desc),
        help="the new description, up to 256 characters",
    )
    _add_stop(verbs)
    parser = _add(
        verbs,
        "restart",
        job_actions.restart,
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
        job_actions.delete,
        "delete jobs; the event files stay",
        """  modelarts jobs delete 12
  modelarts jobs delete 12 13 nightly --yes""",
        "JOB …",
    )
    _add_job(parser, several=True)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def statuses(text: str) -> List[int]:
    """Words or numbers with commas between; ``stopped`` and ``failed`` mean all of that kind."""
    found: List[int] = []
    for word in text.split(","):
        name = word.strip().upper().replace("-", "_")
        if name == "STOPPED":
            found += sorted(STOPPED)
        elif name == "FAILED":
            found += sorted(FAILED)
        elif name in JobStatus.__members__:
            found.append(JobStatus[name])
        elif name.isdigit() and name.isascii() and len(name) < 5:
            found.append(int(name))
        else:
            words = ", ".join(["stopped", *(member.lower() for member in JobStatus.__members__)])
            raise argparse.ArgumentTypeError("%r is no status; there are %s" % (word, words))
    return found


def _add_create(verbs: Commands) -> None:
    parser = _add(
        verbs,
        "create",
        job_actions.create,
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
        type=checked(partial(arguments.job_name, api="v2")),  # create knows which API it is
        help="1 to 20 letters, digits, '_' or '-', with the v2 API to 64 (default: one is made up)",
    )
    parser.add_argument(
        "--desc",
        default="",
        metavar="TEXT",
        type=checked(arguments.job_desc),
        help="a description, up to 256 characters",
    )
    parser.add_argument(
        "--job-type",
        default="tensorboard",
        metavar="TYPE",
        type=checked(partial(arguments.job_type, api="v2")),
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
        job_actions.list_jobs,
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
        choices=arguments.SORT_KEYS,
        metavar="KEY",
        help="one of %s (default: %%(default)s)" % ", ".join(arguments.SORT_KEYS),
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
        job_actions.wait,
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


def _add_stop(verbs: Commands) -> None:
    parser = _add(
        verbs,
        "stop",
        job_actions.stop,
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
    verbs: Commands, name: str, run: _Run, what: str, examples: str, given: str = "JOB"
) -> argparse.ArgumentParser:
    parser = add_command(verbs, name, run, what, examples, given)
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
