"""``modelarts obs …``: files and folders, to OBS and back."""

import argparse
import os
import signal
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, Optional

import attr

from modelarts.cli.errors import NOT_FOUND, Refused
from modelarts.cli.options import (
    Commands,
    add_command,
    add_commands,
    add_common,
    positive,
    session_of,
)
from modelarts.cli.output import on_one_line, say, show, show_json
from modelarts.cli.prompts import ask

_Run = Callable[[argparse.Namespace], Optional[int]]


def add_to(commands: Commands) -> None:
    """Add the commands to the others."""
    group = commands.add_parser(
        "obs",
        help="copy files and folders to OBS and back",
        description="Files and folders, to OBS and back. URL is obs://bucket/folder/object; a "
        "folder ends with a slash.",
        epilog="""examples:
  modelarts obs upload runs obs://bucket/logs/
  modelarts obs sync runs obs://bucket/logs/ --watch
  modelarts obs ls obs://bucket/logs/""",
    )
    verbs = add_commands(group)
    parser = _add(
        verbs,
        "upload",
        _upload,
        "send a file or a folder to OBS",
        """  modelarts obs upload run.log obs://bucket/logs/
  modelarts obs upload runs obs://bucket/logs/      the files become logs/runs/…""",
        "SOURCE URL",
    )
    parser.add_argument("source", metavar="SOURCE", help="a file or a folder here")
    parser.add_argument("url", metavar="URL", help="the folder in OBS")
    _add_progress(parser)
    parser = _add(
        verbs,
        "download",
        _download,
        "fetch an object or a folder from OBS",
        """  modelarts obs download obs://bucket/logs/run.log .
  modelarts obs download obs://bucket/logs/ /tmp    the files become /tmp/logs/…""",
        "URL TARGET",
    )
    parser.add_argument("url", metavar="URL", help="an object, or with a final slash a folder")
    parser.add_argument("target", metavar="TARGET", help="the folder here")
    _add_progress(parser)
    parser = _add(
        verbs,
        "sync",
        _sync,
        "send what has changed of a folder to OBS",
        """  modelarts obs sync runs obs://bucket/logs/
  modelarts obs sync runs obs://bucket/logs/ --watch --interval 30

Files go to where 'obs upload' sends them. Nothing is deleted in OBS. --watch goes on until
Ctrl-C or SIGTERM, which is what 'kill' sends, and then sends the rest.""",
        "FOLDER URL",
    )
    parser.add_argument("source", metavar="FOLDER", help="a folder here")
    parser.add_argument("url", metavar="URL", help="the folder in OBS")
    parser.add_argument("--watch", action="store_true", help="go on until Ctrl-C or SIGTERM")
    parser.add_argument(
        "--interval",
        type=positive,
        default=10,
        metavar="SECONDS",
        help="the time between two looks of --watch (default: %(default)s)",
    )
    _add_progress(parser)
    parser = _add(
        verbs,
        "ls",
        _list,
        "list all objects below a folder in OBS",
        """  modelarts obs ls obs://bucket/logs/
  modelarts obs ls obs://bucket/ --output json | jq 'map(.size) | add'""",
        "URL",
    )
    parser.add_argument("url", metavar="URL", help="a folder, a bucket or an object")
    parser = _add(
        verbs,
        "rm",
        _remove,
        "delete an object or a folder in OBS",
        """  modelarts obs rm obs://bucket/logs/run.log
  modelarts obs rm obs://bucket/logs/old/ --recursive --yes""",
        "URL",
    )
    parser.add_argument("url", metavar="URL", help="the object, or with --recursive the folder")
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="a folder with all that is in it"
    )
    parser.add_argument(
        "--empty-bucket",
        action="store_true",
        help="with --recursive: even all objects of a bucket; the bucket stays",
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _upload(args: argparse.Namespace) -> None:
    with session_of(args) as session:
        obs = session.obs
        is_folder = os.path.isdir(os.path.expanduser(args.source))
        send = obs.upload_dir if is_folder else obs.upload_file
        _show(send(args.source, args.url, progress=args.progress), args)


def _download(args: argparse.Namespace) -> None:
    with session_of(args) as session:
        obs = session.obs
        fetch = obs.download_dir if args.url.endswith("/") else obs.download_file
        _show(fetch(args.url, args.target, progress=args.progress), args)


@contextmanager
def _until_sigterm() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns True after SIGTERM, which ends a watch in a script.

    A second SIGTERM ends the program.
    """
    came = []

    def come(*_: object) -> None:
        came.append(True)
        signal.signal(signal.SIGTERM, before)

    before = signal.signal(signal.SIGTERM, come)
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGTERM, before)


def _sync(args: argparse.Namespace) -> None:
    with session_of(args) as session:
        sync = session.obs.sync_dir
        if args.watch:
            is_there = os.path.exists(os.path.expanduser(args.source))
            with _until_sigterm() as is_over:
                say(
                    "following %s%s; Ctrl-C sends the rest and ends"
                    % (args.source, "" if is_there else ", which is not there yet")
                )
                sent = sync(
                    args.source,
                    args.url,
                    watch=True,
                    stop=is_over,
                    interval=float(args.interval),
                    progress=False,  # a bar would stand still for most of the time
                )
        else:
            sent = sync(args.source, args.url, progress=args.progress)
        _show(sent, args)


def _list(args: argparse.Namespace) -> None:
    from modelarts.obs.results import bytes_for_people

    with session_of(args) as session:
        objects = list(session.obs.list(args.url))
        if not objects and not session.obs.is_obs_path_exists(args.url):
            raise Refused("there is nothing at %s" % args.url, NOT_FOUND, "NotFound")
    if args.output == "json":
        show_json(
            [
                {
                    "url": entry.url,
                    "size": entry.size,
                    "modified": None if entry.modified is None else entry.modified.isoformat(),
                }
                for entry in objects
            ]
        )
        return
    for entry in objects:
        when = entry.modified.astimezone().strftime("%Y-%m-%d %H:%M") if entry.modified else ""
        show("%10s  %-16s  %s" % (bytes_for_people(entry.size), when, on_one_line(entry.url)))
    if not objects:
        show("The bucket is empty.")


def _remove(args: argparse.Namespace) -> None:
    with session_of(args) as session:
        if not args.yes:
            what = "all objects below " if args.recursive else ""
            ask("delete", what + args.url)
        count = session.obs.delete(
            args.url, recursive=args.recursive, empty_bucket=args.empty_bucket
        )
    if args.output == "json":
        show_json({"url": args.url, "deleted": count, "is_success": True})
    else:
        show("deleted %d object%s" % (count, "" if count == 1 else "s"))


def _show(moved: Any, args: argparse.Namespace) -> None:
    from modelarts.obs.results import bytes_for_people

    if args.output == "json":
        shown: Dict[str, Any] = {**attr.asdict(moved), "is_success": True}
        shown["skipped"] = list(moved.skipped)
        show_json(shown)
        return
    summary = "%d file%s, %s" % (
        moved.files,
        "" if moved.files == 1 else "s",
        bytes_for_people(moved.bytes),
    )
    for count, word in ((moved.unchanged, "unchanged"), (len(moved.skipped), "skipped")):
        summary += "; %d %s" % (count, word) if count else ""
    show("%s: %s" % (on_one_line(moved.target), summary))


def _add(
    verbs: Commands, name: str, run: _Run, what: str, examples: str, operands: str
) -> argparse.ArgumentParser:
    parser = add_command(verbs, name, run, what, examples, operands)
    add_common(parser)
    return parser


def _add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-progress",
        dest="progress",
        action="store_const",
        const=False,
        help="show no bar (default: one at a terminal, if tqdm is installed)",
    )
