"""What is said, and which code is answered, where a command does not come to its end."""

import os
import sys
import warnings
from typing import Any, Callable, Dict, Optional

from modelarts.cli.output import discard, flush, say, write_json
from modelarts.errors import (
    ApiError,
    CredentialsNotFound,
    IncompleteTransfer,
    InvalidArgument,
    JobFailed,
    ModelArtsError,
    NotFound,
    WaitTimeout,
)

__all__ = [
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "JOB_FAILED",
    "NOT_FOUND",
    "PIPE_CLOSED",
    "TIME_OVER",
    "WRONG_USAGE",
    "Refused",
    "as_dict",
    "code_of",
    "guarded",
    "tell",
]

DONE = 0
FAILED = 1  # the service refused, or did not answer
WRONG_USAGE = 2  # and nothing was sent
NOT_FOUND = 3  # or several jobs of that name
TIME_OVER = 4  # of a wait
JOB_FAILED = 5  # or was stopped, so that it will not come to what was waited for
INTERRUPTED = 130  # these two are 128 and the number of the signal, as a shell has it
PIPE_CLOSED = 141


#: What errors advise to who programs, and what it is here.
_IN_A_TERMINAL = (
    (
        "Give Session(access_key=…, secret_key=…) or Session(username=…, password=…), use "
        "Session.local(), or provide one of:",
        "Use --local for the service on this machine, or provide one of:",
    ),
    ("Session.local()", "the option --local"),
    ("config_file= or", "--config-file or"),
    ("recursive=True", "--recursive"),
    ("empty_bucket=True", "--empty-bucket"),
    ("a folder: download_dir fetches it", "a folder: give it with the slash to fetch it"),
    ("an object: download_file fetches it", "an object: give it without the slash to fetch it"),
    (
        "an object; download_dir fetches a folder",
        "an object; a folder, or bucket, ends with a slash",
    ),
    ("a file is sent by upload_file", "a file is sent by 'modelarts obs upload'"),
    ("give it as a pathlib.Path", "give its path from here, such as ../runs/"),
    ("call again to resume", "run the command again to go on"),
    ("job.restart()", "'modelarts jobs restart'"),
    ("job.wait(JobStatus.KILLED)", "'modelarts jobs wait JOB --until stopped'"),
    ("give project_id=, or the region_name=", "set MODELARTS_PROJECT_ID, or give the region"),
)
#: The option of an argument that an error names.
_OPTIONS = {"obs_path": "--obs-path"}


class Refused(ModelArtsError):
    """The command itself refuses.

    Attributes:
        code: the exit code.
        kind: what JSON has as the type.
        details: what JSON has besides.
    """

    def __init__(self, message: str, code: int, kind: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind
        self.details = details


def code_of(error: ModelArtsError) -> int:
    """The exit code of an error."""
    if isinstance(error, Refused):
        return error.code
    for kind, code in (
        (InvalidArgument, WRONG_USAGE),
        (NotFound, NOT_FOUND),
        (WaitTimeout, TIME_OVER),
        (JobFailed, JOB_FAILED),
    ):
        if isinstance(error, kind):
            return code
    return FAILED


def as_dict(error: ModelArtsError) -> Dict[str, Any]:
    """An error for JSON; a refusal of the service has the documented keys too."""
    said: Dict[str, Any] = {"is_success": False, "error": str(error), "type": type(error).__name__}
    if isinstance(error, ApiError):
        said.update(error.as_dict())
        said["status_code"] = error.status_code
        said["request_id"] = error.request_id
    elif isinstance(error, IncompleteTransfer):
        said.update(error.as_dict(), done=list(error.done))
        said["failed"] = [{"name": name, "error": str(why)} for name, why in error.failed]
    elif isinstance(error, CredentialsNotFound):
        said["tried"] = [{"source": source, "reason": reason} for source, reason in error.tried]
    elif isinstance(error, Refused):
        said.update(error.details, type=error.kind)
    return said


def tell(error: ModelArtsError, as_json: bool) -> None:
    """Say what happened: a line of JSON, or a sentence."""
    if as_json:
        write_json(as_dict(error), sys.stderr, indent=None)
    else:
        text = str(error)
        if isinstance(error, InvalidArgument) and error.argument in _OPTIONS:
            text = _OPTIONS[error.argument] + text[len(error.argument) :]  # which it begins with
        say("modelarts: " + _in_a_terminal(text))


def guarded(run: Callable[[], Optional[int]], as_json: bool = False, debug: bool = False) -> int:
    """Run; whatever happens, answer an exit code, and print no traceback unless asked to."""
    try:
        try:
            code = _code(run, as_json, debug or bool(os.environ.get("MODELARTS_DEBUG")))
        except SystemExit:  # help, or wrong usage
            flush()
            raise
        flush()
        return code
    except BrokenPipeError:
        # As with others that print: who reads has seen enough.
        discard(sys.stdout)
        return PIPE_CLOSED
    except OSError as error:
        discard(sys.stdout)
        say("modelarts: cannot print: %s" % (error.strerror or error))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _code(run: Callable[[], Optional[int]], as_json: bool, debug: bool) -> int:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            return run() or DONE
    except ModelArtsError as error:
        _trace(debug)
        tell(error, as_json)
        return code_of(error)
    except KeyboardInterrupt:
        _trace(debug)
        say("modelarts: interrupted")
        return INTERRUPTED
    except OSError as error:
        _trace(debug)
        if error.filename is None:  # it could not be printed
            raise
        reason = "%s: %s" % (error.filename, error.strerror or error)
        tell(Refused(reason, FAILED, type(error).__name__), as_json)
        return FAILED
    except Exception as error:
        _trace(debug)
        say(
            "modelarts: unexpected %s: %s. This is a defect of modelarts. Please report it where "
            "you have the package from, with what the same command prints with --debug"
            % (type(error).__name__, error)
        )
        return FAILED


def _warn(message: object, *_: object, **__: object) -> None:
    say("modelarts: warning: %s" % _in_a_terminal(str(message)))


def _in_a_terminal(said: str) -> str:
    for code, command in _IN_A_TERMINAL:
        said = said.replace(code, command)
    return said


def _trace(debug: bool) -> None:
    if debug:
        import traceback

        say(traceback.format_exc().rstrip())
