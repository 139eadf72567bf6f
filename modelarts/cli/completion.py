"""``modelarts completion``: the completion of commands in a shell."""

import argparse
import os
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Dict, Iterator

from modelarts.cli.named import trainings
from modelarts.cli.options import Commands, session_of
from modelarts.cli.output import show
from modelarts.errors import ConfigurationError, ModelArtsError

if TYPE_CHECKING:
    from modelarts.cli.named import AnyJob

_SHELLS = ("bash", "zsh", "fish")
#: Seconds that a completion waits for the service.
_TIMEOUT_SECONDS = 2.0
_MAX_JOBS = 1000


def add_to(commands: Commands) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "completion",
        help="print what makes your shell complete commands, options and jobs",
        description="Print what makes a shell complete commands, options, and the ids and names "
        "of jobs. It needs: pip install 'modelarts[completion]'",
        epilog="""examples:
  eval "$(modelarts completion bash)"      in ~/.bashrc
  eval "$(modelarts completion zsh)"       in ~/.zshrc, after compinit
  modelarts completion fish | source       in ~/.config/fish/config.fish""",
    )
    parser.add_argument("shell", choices=_SHELLS, metavar="SHELL", help=", ".join(_SHELLS))
    parser.set_defaults(run=_print_script)


def answer(parser: argparse.ArgumentParser) -> None:
    """Print completions for the shell and end; return if the package for it is missing."""
    try:
        import argcomplete
    except ImportError:
        raise SystemExit(1) from None
    argcomplete.autocomplete(parser, always_complete_options=False)


def complete_jobs(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Dict[str, str]:
    """Return ids and names with that prefix and a description; none without a quick response."""
    from modelarts.estimator import VisualizationJob

    if parsed_args.local or parsed_args.root is not None:
        folder = os.path.expanduser(parsed_args.root or "~/.modelarts/local")
        # A completion does not start a service.
        if not os.path.exists(os.path.join(folder, "service.json")):
            return {}
    try:
        with session_of(parsed_args, timeout=_TIMEOUT_SECONDS, retries=0) as session:
            jobs: Iterator[AnyJob]
            jobs = chain(VisualizationJob.iter(session, per_page=_MAX_JOBS), trainings(session))
            infos = [job.info for job in islice(jobs, _MAX_JOBS)]
    except ModelArtsError:
        return {}
    words: Dict[str, str] = {}
    for info in infos:
        status = "" if info.status is None else info.status.name
        words[str(info.job_id)] = ("%s %s" % (info.job_name or "", status)).strip()
        if info.job_name:
            words[info.job_name] = ("%s %s" % (info.job_id, status)).strip()
    return {word: what for word, what in words.items() if word.startswith(prefix)}


def _print_script(args: argparse.Namespace) -> None:
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        raise ConfigurationError(
            "completion needs one more package: pip install 'modelarts[completion]'"
        ) from None
    show(shellcode(["modelarts"], shell=args.shell))
