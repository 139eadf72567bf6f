"""``%load_ext modelarts``: the line magic ``%modelarts_board`` for notebooks."""

import argparse
import shlex
from typing import Any, NoReturn

from modelarts.estimator import VisualizationJob
from modelarts.session import Session

__all__ = ["board", "load_ipython_extension"]


def load_ipython_extension(ipython: Any) -> None:
    """Register the magic ``%modelarts_board`` in a notebook.

    Args:
        ipython: the ``InteractiveShell`` of the notebook.
    """
    ipython.register_magic_function(board, magic_kind="line", magic_name="modelarts_board")


def board(line: str) -> None:
    """Show the board of a folder below the cell.

    The line is ``TRAIN_URL [--local [ROOT]] [--height PIXELS] [--auto-stop HOURS]``. The board is
    that of the running job of the folder, else of a stopped one that is restarted, else of a new
    one; see :meth:`VisualizationJob.ensure`.

    Args:
        line: the rest of the line after ``%modelarts_board``. ``--local`` uses the local service of
            ``ROOT``, by default ``~/.modelarts/local``; ``--height`` is by default 800; without
            ``--auto-stop`` a new job runs until it is stopped.

    Raises:
        UsageError: the line is wrong; this is an error of IPython, which prints it.
        InvalidArgument: the folder, the height or the number of hours is wrong.
        ApiError: the service refused a request.
        TransportError: no response, or an unreadable one.
        JobFailed: the job has failed, or was stopped meanwhile.
        WaitTimeout: the job was not running in time.

    Example:
        >>> %load_ext modelarts                                               # doctest: +SKIP
        >>> %modelarts_board /bucket/logs/ --auto-stop 2                      # doctest: +SKIP
    """
    args = _parser().parse_args(shlex.split(line))
    session = Session() if args.local is None else Session.local(args.local or None)
    job = VisualizationJob.ensure(args.train_url, auto_stop=args.auto_stop, session=session)
    job.show(height=args.height)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Wrong usage ends the cell, not the kernel."""
        from IPython.core.error import UsageError

        raise UsageError("%s\n%s" % (message, self.format_usage().strip()))


def _parser() -> argparse.ArgumentParser:
    # The folder comes first: behind --local it would be taken for ROOT.
    parser = _Parser(
        usage="%%modelarts_board TRAIN_URL [--local [ROOT]] [--height PIXELS] [--auto-stop HOURS]",
        add_help=False,
    )
    parser.add_argument("train_url", metavar="TRAIN_URL")
    parser.add_argument("--local", nargs="?", const="", metavar="ROOT")
    parser.add_argument("--height", type=int, default=800)
    parser.add_argument("--auto-stop", type=int, metavar="HOURS")
    return parser
