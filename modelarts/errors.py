"""Every exception this package raises, in one tree; and the one warning with a class.

::

    ModelArtsError                          never raised itself
    ├── InvalidArgument        (ValueError)             before any request
    ├── ConfigurationError                              endpoints, files
    │   └── CredentialsNotFound                         what was tried, and why each failed
    ├── TransportError         (ConnectionError)        no answer, or none that can be read
    │   ├── RequestTimeout     (TimeoutError)
    │   └── AmbiguousCreate                             a create may or may not have happened
    ├── ApiError                                        the service refused
    │   ├── BadRequest · AuthenticationFailed · PermissionDenied · NotFound (LookupError)
    │   │   QuotaExceeded · RateLimited · ServerError
    │   └── JobStateError                               ModelArts.0105
    ├── TransferError                                   a file did not arrive as it was
    ├── IncompleteTransfer                              which files are missing, and why
    └── WaitError                                       carries the job as last seen
        ├── JobFailed
        └── WaitTimeout        (TimeoutError)

All of them can be pickled, and none ever holds a secret.
"""

import re
from enum import Enum
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Sequence, Tuple, Type, TypeVar

if TYPE_CHECKING:
    from modelarts.estimator import VisualizationJob

__all__ = [
    "AmbiguousCreate",
    "ApiError",
    "ApiException",
    "AuthenticationFailed",
    "BadRequest",
    "ConfigurationError",
    "CredentialsNotFound",
    "IncompleteTransfer",
    "InvalidArgument",
    "JobFailed",
    "JobStateError",
    "ModelArtsError",
    "NoEventFiles",
    "NotFound",
    "PermissionDenied",
    "QuotaExceeded",
    "RateLimited",
    "RequestKind",
    "RequestTimeout",
    "ServerError",
    "TransferError",
    "TransportError",
    "WaitError",
    "WaitTimeout",
    "api_error",
]

_E = TypeVar("_E", bound="ModelArtsError")


def _restore(cls: Type[_E], args: Tuple[Any, ...], state: Dict[str, Any]) -> _E:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class RequestKind(Enum):
    """What a request is for: the call itself, or the authentication that precedes it.

    A call that has to log in first may fail at either; only the failure of a ``SERVICE_CALL`` can
    mean that the call took effect.
    """

    SERVICE_CALL = "service_call"
    AUTHENTICATION = "authentication"


class ModelArtsError(Exception):
    """The root of the tree: ``except ModelArtsError`` catches all of it."""

    def __reduce__(self) -> Tuple[Any, ...]:
        # The subclasses' constructors take more than the message, which is
        # all that Exception's own pickling would hand them.
        return _restore, (type(self), self.args, self.__dict__)


class NoEventFiles(UserWarning):
    """A job was created over a folder without event files, so its board is empty.

    >>> warnings.simplefilter("ignore", NoEventFiles)                     # doctest: +SKIP
    """


class InvalidArgument(ModelArtsError, ValueError):
    """An argument was refused before anything was sent.

    Attributes:
        argument: the name of the argument.
        given: what was given, as text; None where it is a secret.
        allowed: what is allowed.
    """

    def __init__(self, argument: str, given: object, allowed: str, secret: bool = False) -> None:
        shown = None if secret else _shortened(repr(given))
        super().__init__(
            "%s must be %s; %s"
            % (argument, allowed, "its value is not shown" if secret else "got %s" % shown)
        )
        self.argument = argument
        self.given = shown
        self.allowed = allowed


class ConfigurationError(ModelArtsError):
    """An endpoint or a configuration file is missing or cannot be used."""


class CredentialsNotFound(ConfigurationError):
    """Nothing says who you are.

    Attributes:
        tried: ``(source, why it did not answer)`` for each place looked at.
    """

    def __init__(self, message: str, tried: Tuple[Tuple[str, str], ...] = ()) -> None:
        lines = [message] + ["  - %s: %s" % entry for entry in tried]
        super().__init__("\n".join(lines))
        self.tried = tried


class TransportError(ModelArtsError, ConnectionError):
    """No answer came, or none that can be read.

    Attributes:
        address: the scheme, host and port that was called.
        operation: what was being done, such as ``"create visualization job"``; for people.
        request_kind: which kind of request failed; for programs.
        sent: False where it is certain that the request never left, so that nothing
            can have happened.
        permanent: True where sending it again cannot help.
        attempts: how often the request was sent, or tried to be.
    """

    sent = True
    permanent = False
    attempts = 1

    def __init__(
        self,
        message: str,
        address: str = "",
        operation: str = "",
        *,
        request_kind: RequestKind = RequestKind.SERVICE_CALL,
    ) -> None:
        super().__init__("%s: %s" % (operation, message) if operation else message)
        self.address = address
        self.operation = operation
        self.request_kind = request_kind

    def __str__(self) -> str:
        said = str(self.args[0]) if self.args else ""
        return said if self.attempts == 1 else "%s (%d attempts)" % (said, self.attempts)


class RequestTimeout(TransportError, TimeoutError):
    """The answer did not come in time."""


class AmbiguousCreate(TransportError):
    """A create was sent, its answer was lost, and the job was not found since.

    Attributes:
        job_name: the name to look for before creating again.
    """

    def __init__(
        self, message: str, address: str = "", operation: str = "", job_name: str = ""
    ) -> None:
        super().__init__(message, address, operation)
        self.job_name = job_name


class ApiError(ModelArtsError):
    """The service answered, and refused.

    Attributes:
        status_code: the HTTP status (2xx where only the body says so).
        error_code: the service's code, such as ``"ModelArts.0104"``; None without one.
        error_msg: the service's sentence.
        request_id: the gateway's id of this request, for a support ticket; or None.
        operation: what was being done, such as ``"stop visualization job"``; for people.
        request_kind: which kind of request was refused; for programs.
        attempts: how often the request was sent.
        hint: what to do next, where that is known; else None.
        body: the answer as text.
        headers: the answer's headers, without cookies and tokens.
        is_success: always False, as in the documented failure dicts.
    """

    is_success = False

    def __init__(
        self,
        error_msg: str,
        *,
        status_code: int = 0,
        error_code: Optional[str] = None,
        request_id: Optional[str] = None,
        operation: str = "",
        reason: str = "",
        body: str = "",
        headers: Optional[Mapping[str, str]] = None,
        attempts: int = 1,
        hint: Optional[str] = None,
        request_kind: RequestKind = RequestKind.SERVICE_CALL,
    ) -> None:
        said = " ".join(part for part in (error_code, error_msg) if part)
        said = (said or reason or "no explanation").rstrip(".")
        message = "HTTP %d: %s" % (status_code, said)
        if operation:
            message = "%s: %s" % (operation, message)
        if request_id:
            message += " (request id %s)" % request_id
        if attempts > 1:
            message += " (attempt %d)" % attempts
        if hint:
            message += ". Next: " + hint
        super().__init__(message)
        self.status_code = status_code
        self.error_code = error_code
        self.error_msg = error_msg
        self.request_id = request_id
        self.operation = operation
        self.request_kind = request_kind
        self.reason = reason
        self.body = body
        self.headers: Mapping[str, str] = dict(headers or {})
        self.attempts = attempts
        self.hint = hint

    @property
    def status(self) -> int:
        """The same as ``status_code``, as the old generated client named it."""
        return self.status_code

    @property
    def error_message(self) -> str:
        """The same as ``error_msg``, as the REST API names it."""
        return self.error_msg

    def as_dict(self) -> Dict[str, Any]:
        """The documented failure dict (SDK reference, response parameters)."""
        return {
            "is_success": False,
            "error_code": self.error_code,
            "error_msg": self.error_msg,
            "error_message": self.error_msg,
        }


#: The name that the old generated client gave its error.
ApiException = ApiError


class BadRequest(ApiError):
    """A parameter was refused by the service."""


class AuthenticationFailed(ApiError):
    """The service does not know who you are: key, password, token or clock."""


class PermissionDenied(ApiError):
    """The service knows who you are, and this is not allowed to you."""


class NotFound(ApiError, LookupError):
    """There is no such job, bucket or object (any more)."""


class QuotaExceeded(ApiError):
    """The project may not have more jobs (ModelArts.0116, ModelArts.0118)."""


class RateLimited(ApiError):
    """Too many requests in too short a time."""


class ServerError(ApiError):
    """The service failed at its side."""


class JobStateError(ApiError):
    """The job's status does not allow this (ModelArts.0105).

    Attributes:
        job_status: the status number named by the service, or None.
    """

    job_status: Optional[int] = None


class TransferError(ModelArtsError):
    """A file did not arrive as it was: it changed on the way, or its checksum is another."""


class IncompleteTransfer(ModelArtsError):
    """Some of many files did not arrive. The others did; calling again brings the rest.

    Attributes:
        failed: ``(name, error)`` of each file that is missing.
        done: the names of those that arrived.
        error_code: the service's code for the first that failed; None without one.
        error_msg: the first failure in words.
        is_success: always False, as in the documented failure dicts.
    """

    is_success = False
    _shown = 3

    def __init__(self, failed: Sequence[Tuple[str, Exception]], done: Sequence[str] = ()) -> None:
        self.failed = tuple(failed)
        self.done = tuple(done)
        first = self.failed[0][1]
        self.error_code: Optional[str] = getattr(first, "error_code", None)
        self.error_msg = str(getattr(first, "error_msg", "") or first) or type(first).__name__
        total = len(self.failed) + len(self.done)
        lines = ["%d of %d files are missing; call again to resume" % (len(self.failed), total)]
        for name, error in self.failed[: self._shown]:
            lines.append(_one_line("  - %s: %s" % (name, str(error) or type(error).__name__)))
        if len(self.failed) > self._shown:
            lines.append("  - and %d more: see .failed" % (len(self.failed) - self._shown))
        super().__init__("\n".join(lines))

    def as_dict(self) -> Dict[str, Any]:
        """The documented failure dict (SDK reference, response parameters)."""
        return {
            "is_success": False,
            "error_code": self.error_code,
            "error_msg": self.error_msg,
            "error_message": self.error_msg,
        }


class WaitError(ModelArtsError):
    """A wait ended without the status waited for.

    Attributes:
        job: the job as it was last seen.
    """

    def __init__(self, message: str, job: "VisualizationJob") -> None:
        super().__init__(message)
        self.job = job


class JobFailed(WaitError):
    """The job reached a status from which it will not come to the one waited for."""


class WaitTimeout(WaitError, TimeoutError):
    """The time was over first."""


_BY_CODE: Dict[str, Type[ApiError]] = {
    "ModelArts.0010": ServerError,
    "ModelArts.0015": NotFound,
    "ModelArts.0105": JobStateError,
    "ModelArts.0108": PermissionDenied,
    "ModelArts.0112": PermissionDenied,
    "ModelArts.0116": QuotaExceeded,
    "ModelArts.0118": QuotaExceeded,
    "ModelArts.0203": AuthenticationFailed,
    "ModelArts.0206": AuthenticationFailed,
    "APIG.0301": AuthenticationFailed,
    "APIG.0308": RateLimited,
    # OBS, whose 403 has several meanings and which says SlowDown with a 503.
    "ExpiredToken": AuthenticationFailed,
    "InvalidAccessKeyId": AuthenticationFailed,
    "InvalidSecurityToken": AuthenticationFailed,
    "InvalidToken": AuthenticationFailed,
    "RequestTimeTooSkewed": AuthenticationFailed,
    "SignatureDoesNotMatch": AuthenticationFailed,
    "SlowDown": RateLimited,
}
_BY_STATUS: Dict[int, Type[ApiError]] = {
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    429: RateLimited,
}
_JOB_STATUS = r"job status: (\d+)"


def api_error(error_msg: str, **details: Any) -> ApiError:
    """Make the error that belongs to a refusal: by its code, else by its HTTP status."""
    status = details.get("status_code", 0)
    kind = _BY_CODE.get(details.get("error_code") or "") or _BY_STATUS.get(status)
    if kind is None:
        kind = ServerError if status >= 500 else ApiError if 300 <= status < 400 else BadRequest
    error = kind(error_msg, **details)
    if isinstance(error, JobStateError):
        named = re.search(_JOB_STATUS, error_msg)
        error.job_status = int(named.group(1)) if named else None
    return error


def _shortened(text: str, most: int = 120) -> str:
    return text if len(text) <= most else "%s… (%d characters)" % (text[:most], len(text))


def _one_line(text: str) -> str:
    """With line breaks and the like, which a file may have in its name, as Python writes them."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
