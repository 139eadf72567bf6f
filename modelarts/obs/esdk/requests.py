"""Sends requests to OBS, with retries, and maps refusals to typed errors."""

import http.client
import socket
import ssl
from typing import Any, Callable, Dict, Optional, Tuple

import attr

from modelarts._internal.clock import Clock
from modelarts.errors import (
    ApiError,
    AuthenticationFailed,
    ModelArtsError,
    RateLimited,
    RequestTimeout,
    ServerError,
    TransportError,
    api_error,
)
from modelarts.http.retry import Retry

#: After these a later call may resume the transfer; after other refusals it cannot.
PASSING = (AuthenticationFailed, RateLimited, ServerError)

#: Refusals because of damage in transit: the same request may succeed the next time.
_PASSING = ("BadDigest", "IncompleteBody", "OperationAborted", "RequestTimeout", "SlowDown")
_HINTS = {
    "AccessDenied": "ask the bucket's owner for the permission, or check the bucket's name",
    "ExpiredToken": "get new temporary keys: 'modelarts whoami' shows their source",
    "InvalidAccessKeyId": "check the keys: 'modelarts whoami' shows their source",
    "NoSuchBucket": "create the bucket, or check its name and region",
    "PermanentRedirect": "the bucket is in another region: give that one's obs_endpoint=",
    "RequestTimeTooSkewed": "set this machine's clock",
    "SignatureDoesNotMatch": "check the secret key: 'modelarts whoami' shows its source",
}


class LocalError(Exception):
    """Carries a local error, such as of a disk, through the handlers of connection errors."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Asking:
    """The base of clients that send requests to OBS.

    Attributes:
        client: an ``obs.ObsClient``.
        clock: the source of time and pauses.
        retry: the retry policy.
    """

    client: Any
    clock: Clock
    retry: Retry

    def patient(self) -> "Asking":
        """Return a copy with more retries, because some of a thousand parts fail several times."""
        return attr.evolve(self, retry=self.retry.replace(retries=3 * self.retry.retries))

    def ask(
        self,
        operation: str,
        send: Callable[[], Any],
        allowed: Tuple[int, ...] = (),
        again: Callable[[Exception], object] = lambda error: None,
        wanted: Tuple[str, ...] = (),
    ) -> Any:
        """Send a request, with retries, and return the client's ``GetResult``.

        Args:
            operation: the operation in words, for the errors.
            send: makes one attempt. An error that is not of the connection is raised as
                :class:`LocalError`, or is a :class:`~modelarts.errors.ModelArtsError`.
            allowed: other statuses that are not errors.
            again: called with the reason before each further attempt.
            wanted: the fields of a successful response. S3 may return 200 before the operation is
                done, and report a failure in the body; other servers return 200 for anything.

        Raises:
            ApiError: OBS refused the request.
            TransportError: no response from OBS.
        """
        attempt, renewed = 0, False
        while True:
            attempt += 1
            error = self._attempt(operation, send, allowed, wanted)
            if not isinstance(error, (ApiError, TransportError)):
                return error
            if isinstance(error, AuthenticationFailed) and not renewed:
                renew = getattr(self.client, "renew_keys", None)
                renewed = True
                if renew is not None and renew():
                    again(error)
                    continue
            wait = self._wait(error, attempt)
            if wait is None:
                error.attempts = attempt
                raise error
            again(error)
            self.clock.sleep(wait)

    def _attempt(
        self,
        operation: str,
        send: Callable[[], Any],
        allowed: Tuple[int, ...],
        wanted: Tuple[str, ...],
    ) -> Any:
        try:
            answer = send()
        except LocalError as local:
            self._drop()
            raise local.error from None
        except ModelArtsError:
            self._drop()
            raise
        except Exception as error:
            self._drop()
            return _no_answer(error, operation, self._address())
        except BaseException:
            self._drop()
            raise
        if answer.status < 300 and any(getattr(answer.body, name, None) is None for name in wanted):
            foreign = ConnectionError("HTTP %d, without the requested result" % answer.status)
            return _no_answer(foreign, operation, self._address())
        if answer.status < 300 or answer.status in allowed:
            return answer
        return _refusal(answer, operation)

    def _wait(self, error: Any, attempt: int) -> Optional[float]:
        outcome: Any = error
        after = None
        if isinstance(error, ApiError):
            passing = error.error_code in _PASSING
            outcome = 503 if passing else error.status_code
            after = error.headers.get("retry-after")
        random = self.clock.random()
        return self.retry.delay("PUT", attempt, outcome, after, random, self.clock.time())

    def _drop(self) -> None:
        connections = getattr(self.client, "connections", None)
        if connections is not None:
            connections.drop()

    def _address(self) -> str:
        client = self.client
        scheme = "https" if client.is_secure else "http"
        return "%s://%s:%s" % (scheme, client.server, client.port)


def _refusal(answer: Any, operation: str) -> ApiError:
    headers: Dict[str, str] = dict(answer.header or ())
    code = answer.errorCode
    reason = str(answer.reason or "")
    message = answer.errorMessage or reason
    hint = _HINTS.get(code or ("PermanentRedirect" if answer.status == 301 else ""))
    if 300 <= answer.status < 400 and headers.get("location"):
        message += "; it leads to %s, which is not followed" % headers["location"].partition("?")[0]
    # The body is left out: after a wrong signature it has the string to sign.
    return api_error(
        message,
        status_code=answer.status,
        error_code=code,
        request_id=answer.requestId,
        operation=operation,
        reason=reason,
        headers={name.lower(): str(value) for name, value in headers.items()},
        hint=hint,
    )


def _no_answer(error: Exception, operation: str, address: str) -> TransportError:
    kind = RequestTimeout if isinstance(error, (socket.timeout, TimeoutError)) else TransportError
    made = kind("%s: %s" % (address, _text_of(error)), address, operation)
    made.permanent = isinstance(error, ssl.SSLCertVerificationError)
    return made


def _text_of(error: Exception) -> str:
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection was closed without a response"
    if isinstance(error, (OSError, http.client.HTTPException)):
        return str(error) or type(error).__name__
    # The client's own errors are plain exceptions, such as for an incomplete body.
    return str(error)[:200] or type(error).__name__
