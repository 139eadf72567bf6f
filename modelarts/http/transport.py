"""Sends requests: prepared by hand, authorized anew at each attempt, sent by requests' adapter.

A plain ``requests.Session`` reads ``.netrc`` (and lets it replace the signature), follows
redirects and reads the environment at every call. Here the environment is read once, and only the
mounted ``HTTPAdapter`` of requests is used; the ``responses`` library replaces exactly that, so
mocks written with it keep working.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple, TypeVar, Union

import requests
import urllib3.exceptions
from requests.structures import CaseInsensitiveDict

from modelarts._internal.clock import Clock
from modelarts._internal.locks import ForkSafeLock
from modelarts.errors import ConfigurationError, TransportError
from modelarts.http.adapter import Adapter
from modelarts.http.auth import Authorizer
from modelarts.http.clock_skew import Skew
from modelarts.http.errors import transport_error
from modelarts.http.models import Request, Response
from modelarts.http.proxies import Proxies
from modelarts.http.retry import Retry

if TYPE_CHECKING:
    from modelarts.http.attempts import AttemptInfo

_LOG = logging.getLogger("modelarts.http")
_T = TypeVar("_T")
#: The largest response; the responses of these APIs are far smaller.
_MAX_BYTES = 64 * 1024 * 1024
_CHUNK = 64 * 1024


class Transport:
    """A pool of connections and the policy for using them. Safe to share between threads.

    Args:
        timeout: seconds for one attempt to connect, and for each wait for data. An attempt is
            ended if its response is not complete after that time; a call, with all its attempts
            and pauses, after ``timeout * (retry.retries + 1)``.
        verify: True to verify TLS certificates, or the path of a CA bundle; by default
            ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE``, else the public authorities.
        cert: a client certificate: a path, or a pair of paths (certificate, key).
        on_response: a function that is called after each attempt.
    """

    def __init__(
        self,
        *,
        timeout: float,
        retry: Retry,
        proxies: Proxies,
        verify: Union[bool, str],
        cert: Union[None, str, Tuple[str, str]],
        clock: Clock,
        user_agent: str,
        on_response: Optional[Callable[[AttemptInfo], object]] = None,
    ) -> None:
        self._timeout = timeout
        self._retry = retry
        self._proxies = proxies
        self._verify = verify
        self._cert = cert
        self.clock = clock
        self._user_agent = user_agent
        self._on_response = on_response
        self._lock = ForkSafeLock()
        self._adapter: Optional[Adapter] = None
        self._pid = 0
        #: The difference between this machine's clock and the services' clock.
        self.skew = Skew(clock)

    def send(self, request: Request, authorizer: Optional[Authorizer] = None) -> Response:
        """Send a request, with retries as far as the policy allows, and return the response.

        A response with any HTTP status is returned.

        Raises:
            RequestTimeout: the response of the last attempt was not received in time.
            TransportError: no response, or an unreadable one.
        """
        return self.fetch(request, authorizer, _as_it_is)

    def fetch(
        self,
        request: Request,
        authorizer: Optional[Authorizer],
        read: Callable[[Response, Request], _T],
    ) -> _T:
        """Send a request and return the result of ``read`` for the response.

        After an unreadable response the request is repeated as after none.

        After a 401 there is another attempt if the authorizer has renewed keys or a token, and
        another if this machine's clock proved wrong.
        """
        clock = self.clock
        deadline = clock.monotonic() + self._timeout * (self._retry.retries + 1)
        attempt = 0
        renewed = corrected = False
        while True:
            attempt += 1
            skew = self.skew.seconds
            headers = {"Host": request.host}
            if request.body:
                headers["Content-Type"] = "application/json"
            headers.update(request.headers)
            used: object = None
            if authorizer is not None:
                used = authorizer.authorize(
                    request.method,
                    request.signed_path,
                    request.query,
                    headers,
                    request.body,
                    clock.time() + skew,
                )
            outcome = self._attempt(request, headers, attempt)
            retry_after = None
            if isinstance(outcome, Response):
                self.skew.see(outcome.headers)
                if outcome.status_code == 401 and authorizer is not None:
                    self.skew.learn(outcome.headers)
                    if not corrected and self.skew.seconds != skew:
                        corrected = True
                        continue
                    if not renewed and authorizer.renew(used):
                        renewed = True
                        continue
                retry_after = outcome.headers.get("Retry-After")
                result: Union[int, Exception] = outcome.status_code
                if not self._repeats(request, attempt, outcome.status_code):
                    try:
                        return read(outcome, request)
                    except TransportError as error:
                        # It may be the response to an earlier request: close the connection.
                        self.close()
                        outcome = result = error
            else:
                result = outcome
            delay = self._retry.delay(
                request.retried_as, attempt, result, retry_after, clock.random(), self.skew.now()
            )
            if delay is None or clock.monotonic() + delay >= deadline:
                if isinstance(outcome, Response):
                    return read(outcome, request)
                outcome.attempts = attempt
                raise outcome
            clock.sleep(delay)

    def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        with self._lock:
            adapter, self._adapter = self._adapter, None
        if adapter is not None and self._pid == os.getpid():
            adapter.close()

    def _repeats(self, request: Request, attempt: int, status: int) -> bool:
        return attempt <= self._retry.retries and self._retry.may_repeat(request.retried_as, status)

    def _attempt(
        self, request: Request, headers: Dict[str, str], attempt: int
    ) -> Union[Response, TransportError]:
        monotonic = self.clock.monotonic
        started = monotonic()
        ends = started + self._timeout
        outcome: Union[Response, TransportError]
        try:
            answer = self._connection().send(
                self._prepared(request, headers),
                stream=True,
                timeout=self._timeout,
                verify=self._verify,
                cert=self._cert,
                proxies=self._proxies.of(request.endpoint),
            )
            body = _read_body(answer, lambda: monotonic() > ends)
            outcome = Response(
                answer.status_code, answer.reason or "", answer.headers, body, attempt
            )
        except (requests.RequestException, ValueError, TimeoutError) as error:
            outcome = transport_error(request, error, self._timeout)
        except OSError as error:
            # requests checks these files at each connection.
            raise ConfigurationError("verify= or cert= cannot be used: %s" % error) from error
        if self._on_response is not None or _LOG.isEnabledFor(logging.DEBUG):
            self._tell(request, outcome, attempt, monotonic() - started)
        return outcome

    def _prepared(self, request: Request, headers: Dict[str, str]) -> requests.PreparedRequest:
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = request.url
        # Added after signing: proxies rewrite these headers, so they must not be signed.
        sent = {"User-Agent": self._user_agent, "Accept": "application/json"}
        sent.update(headers)
        if request.body or request.method in ("POST", "PUT"):
            sent["Content-Length"] = str(len(request.body))
        prepared.headers = CaseInsensitiveDict(sent)
        prepared.body = request.body or None
        prepared.hooks = {"response": []}
        return prepared

    def _connection(self) -> Adapter:
        # Sockets must not be shared with the parent after a fork.
        with self._lock:
            if self._adapter is None or self._pid != os.getpid():
                self._adapter = Adapter()
                self._pid = os.getpid()
            return self._adapter

    def _tell(
        self,
        request: Request,
        outcome: Union[Response, TransportError],
        attempt: int,
        seconds: float,
    ) -> None:
        response = outcome if isinstance(outcome, Response) else None
        request_id = response.headers.get("X-Request-Id") if response is not None else None
        _LOG.debug(
            "%s %s -> %s in %d ms (attempt %d, request id %s)",
            request.method,
            request.shown_url,
            type(outcome).__name__ if response is None else response.status_code,
            seconds * 1000,
            attempt,
            request_id,
        )
        if self._on_response is not None:
            from modelarts.http.attempts import AttemptInfo

            self._on_response(
                AttemptInfo(
                    method=request.method,
                    url=request.shown_url,
                    operation=request.operation,
                    attempt=attempt,
                    status_code=None if response is None else response.status_code,
                    error=None if isinstance(outcome, Response) else outcome,
                    seconds=seconds,
                    request_id=request_id,
                )
            )


def _as_it_is(response: Response, request: Any) -> Response:
    return response


def _read_body(response: requests.Response, late: Callable[[], bool]) -> bytes:
    """Return the whole body.

    Args:
        late: returns True if the time of the attempt is over; called after each piece.

    Raises:
        requests.RequestException: the body is incomplete or too large.
        TimeoutError: the body is received too slowly.
    """
    pieces: List[bytes] = []
    size = 0
    raw = response.raw
    # Read the available bytes, not a full buffer: a slow sender would never be late otherwise.
    read = getattr(raw, "read1", None)
    pieces_of = iter(lambda: read(_CHUNK, True), b"") if read else response.iter_content(_CHUNK)
    try:
        for piece in pieces_of:
            pieces.append(piece)
            size += len(piece)
            if size > _MAX_BYTES:
                raise requests.exceptions.ContentDecodingError(
                    "the response is larger than %d MiB" % (_MAX_BYTES // 2**20)
                )
            if (
                getattr(raw, "length_remaining", None) == 0
                and "content-encoding" not in raw.headers
            ):
                break
            if late():
                raise TimeoutError
    except urllib3.exceptions.DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error) from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(error) from error
    except BaseException:
        response.close()
        raise
    # Returned to the pool; a connection with an incomplete response was closed above.
    raw.release_conn()
    return b"".join(pieces)
