"""The messages and exit codes of commands that fail."""

import os
import sys
import warnings
from typing import Any, Callable, Dict, Optional

from modelarts._internal.wording import command_of
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


#: The option of an argument that an error names.
_OPTIONS = {
    "auto_stop": "--auto-stop",
    "boot_file": "--boot",
    "code_dir": "CODE_DIR",
    "env_variables": "--env",
    "framework_type": "the name of --engine",
    "framework_version": "the version of --engine",
    "inputs": "--input",
    "job_description": "--desc",
    "log_url": "--log-url",
    "obs_path": "--obs-path",
    "outputs": "--output",
    "parameters": "--set",
    "tensorboard": "--tensorboard",
    "train_instance_type": "--flavor",
    "user_command": "--command",
    "user_image_url": "--image",
}


class Refused(ModelArtsError):
    """A refusal of the command itself, before or without a request.

    Attributes:
        code: the exit code.
        kind: the type in JSON output.
        details: further fields of the JSON output.
    """

    def __init__(self, message: str, code: int, kind: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind
        self.details = details


def code_of(error: ModelArtsError) -> int:
    """Return the exit code of an error."""
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
    """Return an error for JSON output; a refusal of the service has the documented keys too."""
    fields: Dict[str, Any] = {
        "is_success": False,
        "error": str(error),
        "type": type(error).__name__,
    }
    if isinstance(error, ApiError):
        fields.update(error.as_dict())
        fields["status_code"] = error.status_code
        fields["request_id"] = error.request_id
    elif isinstance(error, IncompleteTransfer):
        fields.update(error.as_dict(), done=list(error.done))
        fields["failed"] = [{"name": name, "error": str(why)} for name, why in error.failed]
    elif isinstance(error, CredentialsNotFound):
        fields["tried"] = [{"source": source, "reason": reason} for source, reason in error.tried]
    elif isinstance(error, Refused):
        fields.update(error.details, type=error.kind)
    return fields


def tell(error: ModelArtsError, as_json: bool) -> None:
    """Print an error: as a line of JSON, or as a sentence."""
    if as_json:
        write_json(as_dict(error), sys.stderr, indent=None)
    else:
        text = str(command_of(error))
        if isinstance(error, InvalidArgument) and error.argument in _OPTIONS:
            text = _OPTIONS[error.argument] + text[len(error.argument) :]  # which it begins with
        say("modelarts: " + text)


def guarded(run: Callable[[], Optional[int]], as_json: bool = False, debug: bool = False) -> int:
    """Run a command and return its exit code; print a traceback only if it is requested."""
    try:
        try:
            code = _code(run, as_json, debug or bool(os.environ.get("MODELARTS_DEBUG")))
        except SystemExit:  # help, or wrong usage
            flush()
            raise
        flush()
        return code
    except BrokenPipeError:
        # As in other programs: the reader of the pipe has closed it.
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
    say("modelarts: warning: %s" % command_of(message))


def _trace(debug: bool) -> None:
    if debug:
        import traceback

        say(traceback.format_exc().rstrip())
