"""``modelarts train``: creates a training, follows its log and shows its board."""

import argparse
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Dict, Tuple

from modelarts import validation as arguments
from modelarts.cli.options import (
    Commands,
    add_command,
    add_common,
    at_least_0,
    checked,
    keep_service,
    positive,
    session_of,
)
from modelarts.cli.output import say, show

if TYPE_CHECKING:
    pass

_Pair = Tuple[str, str]


def add_to(commands: Commands) -> None:
    """Add the command to the others."""
    parser = add_command(
        commands,
        "train",
        _train,
        "run a script as a training",
        """  modelarts train src/ --boot train.py --set lr=0.1 --output runs=runs/ --follow --local
  modelarts train src/ --boot train.py --output runs=runs/ --board --follow
  modelarts train obs://bucket/code/ --boot train.py --input data_url=obs://bucket/data/ \\
    --output train_url=obs://bucket/out/ --engine PyTorch PyTorch-1.8.0-python3.7 \\
    --flavor modelarts.vm.cpu.2u --name nightly --follow

The script gets --NAME=VALUE of each --set, and --NAME=FOLDER of each --input and --output.

exit codes: 0 it was created, with --follow or --wait that it is complete; 4 the time was over,
5 it failed or was stopped""",
        "CODE_DIR",
    )
    parser.add_argument(
        "code_dir",
        nargs="?",
        metavar="CODE_DIR",
        help="the folder of the code: in OBS, or one here, which is sent there first",
    )
    parser.add_argument("--boot", metavar="FILE", help="the script in it that is started")
    _add_pairs(parser, "--set", "NAME=VALUE", "a parameter of the script")
    _add_pairs(parser, "--input", "NAME=PATH", "data that it reads, in OBS or here")
    _add_pairs(
        parser,
        "--output",
        "NAME=PATH",
        "a folder that it writes, in OBS; runs/ is a folder in that of MODELARTS_OBS_PATH, with "
        "--local in the bucket uploads",
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        dest="envs",
        type=_variable,
        metavar="NAME[=VALUE]",
        help="a variable of the training; without a value it has the one that it has here",
    )
    parser.add_argument(
        "--tensorboard",
        metavar="NAME|URL",
        help="where the event files are: an output, or a folder in OBS (default with --board: the "
        "only output)",
    )
    group = parser.add_argument_group("what it runs on")
    group.add_argument(
        "--engine", nargs=2, metavar=("NAME", "VERSION"), help="a preset engine and its version"
    )
    group.add_argument("--image", metavar="URL", help="a container image, instead of an engine")
    group.add_argument("--command", metavar="TEXT", help="the command that the image runs")
    group.add_argument("--flavor", metavar="ID", help="the flavor")
    group.add_argument(
        "--nodes", type=positive, default=1, metavar="N", help="(default: %(default)s)"
    )
    group.add_argument("--pool-id", metavar="ID", help="a resource pool")
    parser.add_argument(
        "--name",
        metavar="NAME",
        type=checked(partial(arguments.job_name, api="v2")),
        help="1 to 64 letters, digits, '_' or '-' (default: one is made up)",
    )
    parser.add_argument("--desc", default="", metavar="TEXT", help="a description")
    parser.add_argument("--log-url", metavar="URL", help="the folder in OBS where its log is kept")
    parser.add_argument(
        "--auto-stop",
        type=positive,
        metavar="HOURS",
        help="after how many hours the service ends it (default: it runs, and is billed, until "
        "its end)",
    )
    parser.add_argument(
        "--obs-path",
        metavar="URL",
        help="the folder in OBS that a CODE_DIR of here goes to",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="do not look first whether flavor, engine, inputs and buckets exist",
    )
    parser.add_argument(
        "--follow",
        action="store_true",
        help="print its log until it is complete; Ctrl-C leaves it running",
    )
    parser.add_argument("--board", action="store_true", help="open its board in the browser")
    parser.add_argument("--wait", action="store_true", help="wait until it is complete")
    parser.add_argument(
        "--timeout",
        type=at_least_0,
        metavar="SECONDS",
        help="how long that may take (default: as long as the training)",
    )
    add_common(parser, "--format")  # --output is a folder that is written


def _add_pairs(parser: argparse.ArgumentParser, name: str, form: str, help: str) -> None:
    parser.add_argument(
        name,
        action="append",
        default=[],
        dest=name[2:] + "s",
        type=_pair,
        metavar=form,
        help=help + "; may be repeated",
    )


def _pair(text: str) -> _Pair:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError("%r is not NAME=VALUE" % text)
    return name, value


def _variable(text: str) -> _Pair:
    name, separator, value = text.partition("=")
    if separator:
        return name, value
    if name not in os.environ:
        raise argparse.ArgumentTypeError("the variable %s is not set here" % name)
    return name, os.environ[name]


def _unique(args: argparse.Namespace, option: str) -> Dict[str, str]:
    """Return the pairs of an option that may be repeated."""
    pairs = getattr(args, option + "s")
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        args.refuse("--%s %s is there more than once" % (option, twice))
    return values


def _train(args: argparse.Namespace) -> None:
    """Run ``train``: the training is printed also where it does not become complete."""
    from modelarts.cli.jobs import show_job
    from modelarts.training.job import TrainingJob

    outputs = _unique(args, "output")
    tensorboard = args.tensorboard
    if args.board and tensorboard is None:
        if len(outputs) != 1:
            args.refuse("--board needs --tensorboard NAME|URL where there is not one --output")
        tensorboard = next(iter(outputs))
    engine, version = args.engine or (None, None)
    as_json = args.output == "json"
    with session_of(args) as session:
        job = TrainingJob.create(
            args.code_dir,
            args.boot,
            args.name,
            parameters=_unique(args, "set"),
            inputs=_unique(args, "input") or None,
            outputs=outputs or None,
            tensorboard=tensorboard,
            framework_type=engine,
            framework_version=version,
            user_image_url=args.image,
            user_command=args.command,
            train_instance_type=args.flavor,
            train_instance_count=args.nodes,
            pool_id=args.pool_id,
            log_url=args.log_url,
            env_variables=_unique(args, "env"),
            job_description=args.desc,
            auto_stop=args.auto_stop,
            obs_path=args.obs_path,
            check=not args.no_check,
            session=session,
        )
        keep_service(args)
        if not as_json:
            say("training %s (%s) was created" % (job.job_id, job.job_name))
        try:
            if args.board:
                tell = say if as_json else show
                tell("board: %s" % job.board().open())
            if args.follow:
                job.follow(file=sys.stderr if as_json else None, timeout=args.timeout)
            elif args.wait:
                job.wait(timeout=args.timeout)
        finally:
            if as_json or not args.follow:
                show_job(job, args)
