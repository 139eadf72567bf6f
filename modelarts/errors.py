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

from __future__ import annotations

from enum import Enum
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Type

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

from modelarts._internal.wording import Worded, worded


def _restore(cls: Any, args: Tuple[Any, ...], state: Dict[str, Any]) -> Any:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class RequestKind(Enum):
    """The purpose of a request: the call itself, or the authentication that precedes it.

    A call that has to log in first may fail at either; only the failure of a ``SERVICE_CALL`` can
    mean that the call took effect.
    """

    SERVICE_CALL = "service_call"
    AUTHENTICATION = "authentication"


class ModelArtsError(Exception):
    """The base class of all errors: ``except ModelArtsError`` catches each of them."""

    def __reduce__(self) -> Tuple[Any, ...]:
        # The subclasses' constructors take more than the message, which is
        # all that Exception's own pickling would hand them.
        return _restore, (type(self), self.args, self.__dict__)


class NoEventFiles(UserWarning):
    """A job was created over a folder without event files, so its board is empty.

    Example:
        >>> warnings.simplefilter("ignore", NoEventFiles)                     # doctest: +SKIP
    """


class InvalidArgument(ModelArtsError, ValueError):
    """An argument was refused before a request was sent.

    Attributes:
        argument: the name of the argument.
        given: the ``repr`` of the value, shortened to 120 characters; None for a secret.
        allowed: the allowed values, in words.

    Example:
        >>> try:
        ...     VisualizationJob.create("/bucket/logs/", auto_stop=25)
        ... except InvalidArgument as error:
        ...     print(error.argument, error.allowed)                          # doctest: +SKIP
        auto_stop whole hours from 0 to 24, or None
    """

    def __init__(self, argument: str, given: object, allowed: str, secret: bool = False) -> None:
        """Make the error for one argument.

        Args:
            argument: the name of the argument.
            given: the value that was given.
            allowed: the allowed values, in words.
            secret: True if the value must not be shown; by default False.
        """
        shown = None if secret else _shortened(repr(given))
        value = "its value is not shown" if secret else "got %s" % shown
        super().__init__(worded("%s must be %s; %s", argument, allowed, value))
        self.argument = argument
        self.given = shown
        self.allowed = allowed


class ConfigurationError(ModelArtsError):
    """An endpoint or a configuration file is missing or cannot be used."""


class CredentialsNotFound(ConfigurationError):
    """No credentials were found.

    Attributes:
        tried: ``(source, reason)`` for each source that was searched, with the reason why it has
            none.
    """

    def __init__(self, message: str, tried: Tuple[Tuple[str, str], ...] = ()) -> None:
        """Make the error from a message and the sources that were searched.

        Args:
            message: the first line of the message.
            tried: ``(source, reason)`` for each source; by default none.
        """
        lines = [message] + [worded("  - %s: %s", *entry) for entry in tried]
        super().__init__(worded("\n".join(["%s"] * len(lines)), *lines))
        self.tried = tried


class TransportError(ModelArtsError, ConnectionError):
    """No response was received, or one that cannot be read.

    Attributes:
        address: the scheme, host and port of the request.
        operation: the operation in words, such as ``"create visualization job"``; for people.
        request_kind: the kind of request that failed; for programs.
        sent: False if it is certain that the request was not sent, so that it had no effect.
        permanent: True if sending the request again cannot help.
        attempts: the number of times that the request was sent, or tried to be.
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
        """Make the error for one request.

        Args:
            message: what happened.
            address: the scheme, host and port of the request.
            operation: the operation in words.
            request_kind: the kind of request that failed; by default ``SERVICE_CALL``.
        """
        super().__init__(worded("%s: %s", operation, message) if operation else message)
        self.address = address
        self.operation = operation
        self.request_kind = request_kind

    def __str__(self) -> str:
        message = str(self.args[0]) if self.args else ""
        return message if self.attempts == 1 else "%s (%d attempts)" % (message, self.attempts)


class RequestTimeout(TransportError, TimeoutError):
    """The response was not received in time."""


class AmbiguousCreate(TransportError):
    """The response to a create was lost, and the job was not found afterwards.

    Attributes:
        job_name: the job's name; search for it before you create the job again.
    """

    def __init__(
        self, message: str, address: str = "", operation: str = "", job_name: str = ""
    ) -> None:
        """Make the error for one create.

        Args:
            message: what happened.
            address: the scheme, host and port of the request.
            operation: the operation in words.
            job_name: the name of the job.
        """
        super().__init__(message, address, operation)
        self.job_name = job_name


class ApiError(ModelArtsError):
    """The service responded, and refused the request.

    Attributes:
        status_code: the HTTP status; 2xx if only the body of the response is a failure.
        error_code: the service's code, such as ``"ModelArts.0104"``; None if it sent none.
        error_msg: the service's message.
        error_solution: what the service recommends to do; None where it says nothing (v1).
        request_id: the gateway's id of this request, for a support ticket; or None.
        operation: the operation in words, such as ``"stop visualization job"``; for people.
        request_kind: the kind of request that was refused; for programs.
        reason: the reason phrase of the HTTP status.
        attempts: the number of times that the request was sent.
        hint: the next step for the user, if it is known; else None.
        body: the body of the response as a string.
        headers: the headers of the response, without cookies and tokens.
        is_success: always False, as in the documented failure dicts.

    Example:
        >>> try:
        ...     job.stop()
        ... except ApiError as error:
        ...     print(error.status_code, error.error_code, error.error_msg)   # doctest: +SKIP
        400 ModelArts.0105 This job can't be stop. job status: 10
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
        error_solution: Optional[str] = None,
    ) -> None:
        """Make the error for one response.

        Args:
            error_msg: the service's message.
            status_code: the HTTP status; 0, the default, if there is none.
            error_code: the service's code; by default None.
            request_id: the gateway's id of the request; by default None.
            operation: the operation in words.
            reason: the reason phrase of the HTTP status.
            body: the body of the response as a string.
            headers: the headers of the response, without cookies and tokens.
            attempts: the number of times that the request was sent; by default 1.
            hint: the next step for the user; by default None.
            request_kind: the kind of request that was refused; by default ``SERVICE_CALL``.
            error_solution: what the service recommends to do; by default None.
        """
        explanation = " ".join(part for part in (error_code, error_msg) if part)
        explanation = (explanation or reason or "no explanation").rstrip(".")
        message = "HTTP %d: %s" % (status_code, explanation)
        if operation:
            message = "%s: %s" % (operation, message)
        if request_id:
            message += " (request id %s)" % request_id
        if attempts > 1:
            message += " (attempt %d)" % attempts
        if error_solution:
            message += ". " + error_solution.rstrip(".")
        if hint:
            message = worded("%s. Next: %s", message, hint)
        super().__init__(message)
        self.status_code = status_code
        self.error_code = error_code
        self.error_msg = error_msg
        self.error_solution = error_solution
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
        """Another name of ``status_code``, which the old generated client used."""
        return self.status_code

    @property
    def error_message(self) -> str:
        """Another name of ``error_msg``, which the REST API uses."""
        return self.error_msg

    def as_dict(self) -> Dict[str, Any]:
        """Return the documented failure dict.

        Returns:
            A dict with ``is_success`` (False), ``error_code``, ``error_msg`` and ``error_message``;
            with v2 also ``error_solution``.

        Source: *SDK Reference*, response parameters.
        """
        failure = _failure(self.error_code, self.error_msg)
        if self.error_solution is not None:
            failure["error_solution"] = self.error_solution
        return failure


#: The name that the old generated client gave its error.
ApiException = ApiError


class BadRequest(ApiError):
    """The service refused a parameter."""


class AuthenticationFailed(ApiError):
    """The service did not accept the credentials: key, password, token or clock."""


class PermissionDenied(ApiError):
    """The service accepted the credentials, and does not allow this user the request."""


class NotFound(ApiError, LookupError):
    """There is no such job, bucket or object, or it does not exist any more."""


class QuotaExceeded(ApiError):
    """The project may not have more jobs (ModelArts.0116, ModelArts.0118)."""


class RateLimited(ApiError):
    """There were too many requests in too short a time."""


class ServerError(ApiError):
    """The service failed internally (ModelArts.0010, or an HTTP status of 500 and above)."""


class JobStateError(ApiError):
    """The job's status does not allow the request (ModelArts.0105, ModelArts.2796).

    Attributes:
        job_status: the status number, if the service sent it or it was looked up; or None.
    """

    job_status: Optional[int] = None


class TransferError(ModelArtsError):
    """A file was not transferred correctly: it changed meanwhile, or its checksum is different."""


class IncompleteTransfer(ModelArtsError):
    """Some of several files were not transferred.

    The others were; the same call, made again, transfers the rest.

    Attributes:
        failed: ``(name, error)`` of each file that is missing.
        done: the names of the files that were transferred.
        error_code: the service's code for the first failure; None if it sent none.
        error_msg: the first failure in words.
        is_success: always False, as in the documented failure dicts.

    Example:
        >>> try:
        ...     session.obs.upload_dir("runs", "obs://bucket/logs/")
        ... except IncompleteTransfer as error:
        ...     print(len(error.done), [name for name, _ in error.failed])    # doctest: +SKIP
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
        again = Worded("call again to resume", "run the command again to go on")
        first_line = worded("%d of %d files are missing; %s", len(self.failed), total, again)
        lines = [
            _one_line("  - %s: %s" % (name, str(error) or type(error).__name__))
            for name, error in self.failed[: self._shown]
        ]
        if len(self.failed) > self._shown:
            lines.append("  - and %d more: see .failed" % (len(self.failed) - self._shown))
        super().__init__(worded("%s\n%s", first_line, "\n".join(lines)))

    def as_dict(self) -> Dict[str, Any]:
        """Return the documented failure dict.

        Returns:
            A dict with ``is_success`` (False), ``error_code``, ``error_msg`` and ``error_message``.

        Source: *SDK Reference*, response parameters.
        """
        return _failure(self.error_code, self.error_msg)


class WaitError(ModelArtsError):
    """A wait ended before the job had the status.

    Attributes:
        job: the job as it was last fetched.
    """

    def __init__(self, message: str, job: Any) -> None:
        """Make the error for one job.

        Args:
            message: what happened.
            job: the job as it was last fetched, a visualization job or a training.
        """
        super().__init__(message)
        self.job = job


class JobFailed(WaitError):
    """The job has ended in a status from which it will not reach the expected one."""


class WaitTimeout(WaitError, TimeoutError):
    """The time of a wait was over before the job had the status."""


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
    # Of training jobs (v2): some of these come with a status that has another meaning.
    "ModelArts.2775": NotFound,
    "ModelArts.2784": AuthenticationFailed,
    "ModelArts.2786": PermissionDenied,
    "ModelArts.2796": JobStateError,
    "ModelArts.2799": RateLimited,
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


def api_error(error_msg: str, **details: Any) -> ApiError:
    """Return the error that belongs to a refusal: by its code, else by its HTTP status.

    Args:
        error_msg: the service's message.
        details: the other arguments of :class:`ApiError`, by name.

    Returns:
        An error of the class for that code or status.

    Example:
        >>> api_error("quota", status_code=400, error_code="ModelArts.0118")
        QuotaExceeded('HTTP 400: ModelArts.0118 quota')
    """
    status = details.get("status_code", 0)
    kind = _BY_CODE.get(details.get("error_code") or "") or _BY_STATUS.get(status)
    if kind is None:
        kind = ServerError if status >= 500 else ApiError if 300 <= status < 400 else BadRequest
    return kind(error_msg, **details)


def _failure(code: Optional[str], message: str) -> Dict[str, Any]:
    return {
        "is_success": False,
        "error_code": code,
        "error_msg": message,
        "error_message": message,
    }


def _shortened(text: str, most: int = 120) -> str:
    return text if len(text) <= most else "%s… (%d characters)" % (text[:most], len(text))


def _one_line(text: str) -> str:
    """With line breaks and the like, which a file may have in its name, as Python writes them."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
