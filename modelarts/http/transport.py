"""Sends requests: prepared by hand, authorized anew at each attempt, sent by requests' adapter.

A plain ``requests.Session`` reads ``.netrc`` (and lets it replace the signature), follows
redirects and scans the environment at every call. Here the environment is read once, and the
mounted ``HTTPAdapter`` is all that is used of requests; the ``responses`` library replaces
exactly that, so mocks written with it keep working.
"""

import logging
import os
from email.utils import mktime_tz, parsedate_tz
from typing import Any, Dict, Mapping, Optional, Tuple, Union

import attr
import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from modelarts.auth.authorizers import Authorizer
from modelarts.clock import Clock
from modelarts.errors import ConfigurationError, RequestTimeout, TransportError
from modelarts.http.proxies import Proxies
from modelarts.http.retry import Retry
from modelarts.locks import ForkSafeLock

__all__ = ["Request", "Response", "Transport"]

_LOG = logging.getLogger("modelarts.http")
#: No answer of this API comes near; a larger one is not read to its end.
_MOST_BYTES = 64 * 1024 * 1024
_CHUNK = 64 * 1024
#: Seconds; less does not make a gateway refuse, and the network's own delay is no skew.
_SKEW_THAT_MATTERS = 300


@attr.s(slots=True, auto_attribs=True)
class Request:
    """One call. ``endpoint`` is ``scheme://host[:port][/prefix]``; ``query`` is encoded."""

    method: str
    endpoint: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = attr.ib(factory=dict, repr=False)
    body: bytes = attr.ib(default=b"", repr=False)
    operation: str = ""

    @property
    def url(self) -> str:
        """All of it."""
        return self.endpoint + self.path + ("?" + self.query if self.query else "")


@attr.s(slots=True, auto_attribs=True)
class Response:
    """An answer, read whole."""

    status_code: int
    reason: str
    headers: Mapping[str, str] = attr.ib(repr=False)
    body: bytes = attr.ib(repr=False)
    attempts: int = 1


class Transport:
    """A pool of connections and the policy for using them. Safe to share between threads.

    Args:
        timeout: seconds for one attempt's connection and for each wait for data.
        verify: whether to verify TLS certificates, or a CA bundle's path; by default
            ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE``, else the public authorities.
        cert: a client certificate: a path, or a pair of paths (certificate, key).
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
    ) -> None:
        self._timeout = timeout
        self._retry = retry
        self._proxies = proxies
        self._verify = verify
        self._cert = cert
        self._clock = clock
        self._user_agent = user_agent
        self._lock = ForkSafeLock()
        self._adapter: Optional[HTTPAdapter] = None
        self._pid = 0
        self._skew = 0.0

    def send(self, request: Request, authorizer: Optional[Authorizer] = None) -> Response:
        """Send a request, again where the policy allows it, and answer the response.

        Any HTTP status is an answer. A 401 is tried once more where the authorizer has
        something fresh to show.

        Raises:
            RequestTimeout: the (last) answer did not come in time.
            TransportError: there was no (readable) answer.
        """
        attempt = 0
        renewed = corrected = False
        while True:
            attempt += 1
            skew = self._skew
            headers = self._headers(request)
            used: object = None
            if authorizer is not None:
                used = authorizer.authorize(
                    request.method,
                    _path_of(request),
                    request.query,
                    headers,
                    request.body,
                    self._clock.time() + skew,
                )
            outcome = self._attempt(request, headers, attempt)
            if isinstance(outcome, Response):
                if outcome.status_code == 401 and authorizer is not None:
                    if not corrected and self._corrects(outcome, skew):
                        corrected = True
                        continue
                    if not renewed and authorizer.renew(used):
                        renewed = True
                        continue
                result: Union[int, Exception] = outcome.status_code
                retry_after = outcome.headers.get("Retry-After")
            else:
                result, retry_after = outcome, None
            delay = self._retry.delay(
                request.method, attempt, result, retry_after, self._clock.random()
            )
            if delay is None:
                if isinstance(outcome, Response):
                    return outcome
                raise outcome
            self._clock.sleep(delay)

    @property
    def skew(self) -> float:
        """How far this machine's clock is behind the services', in seconds, as far as known."""
        return self._skew

    def _corrects(self, response: Response, used: float) -> bool:
        """Whether a refusal is explained by a clock that is off, which is then corrected.

        A gateway refuses a date some 15 minutes off; the ``Date`` of its answer is its own.
        """
        self.learn_skew(response)
        return self._skew != used  # also where another thread found it meanwhile

    def learn_skew(self, response: Response) -> None:
        """Take note of how far this machine's clock is off the service's, with one warning."""
        date = _date_of(response)
        skew = 0.0 if date is None else date - self._clock.time()
        if abs(skew) < _SKEW_THAT_MATTERS:
            return
        with self._lock:
            if self._skew:
                return
            self._skew = skew
        _LOG.warning(
            "this machine's clock is %d seconds %s; requests are dated by the service's from "
            "now on, but please set the clock",
            abs(skew),
            "behind" if skew > 0 else "ahead",
        )

    def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        with self._lock:
            adapter, self._adapter = self._adapter, None
        if adapter is not None and self._pid == os.getpid():
            adapter.close()

    def _headers(self, request: Request) -> Dict[str, str]:
        headers = {"Host": _host_of(request.endpoint)}
        if request.body:
            headers["Content-Type"] = "application/json"
        headers.update(request.headers)
        return headers

    def _attempt(
        self, request: Request, headers: Dict[str, str], attempt: int
    ) -> Union[Response, TransportError]:
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = request.url
        prepared.headers = CaseInsensitiveDict(headers)
        # Added here, not before: proxies rewrite these, so they must not be signed.
        prepared.headers.setdefault("User-Agent", self._user_agent)
        prepared.headers.setdefault("Accept", "application/json")
        if request.body or request.method in ("POST", "PUT"):
            prepared.headers["Content-Length"] = str(len(request.body))
        prepared.body = request.body or None
        prepared.hooks = {"response": []}
        started = self._clock.monotonic()
        outcome: Union[Response, TransportError]
        try:
            response = self._connection().send(
                prepared,
                stream=True,
                timeout=self._timeout,
                verify=self._verify,
                cert=self._cert,
                proxies=self._proxies.of(request.endpoint),
            )
            body = _read(response)
            outcome = Response(
                response.status_code, response.reason or "", response.headers, body, attempt
            )
        except (requests.RequestException, ValueError) as error:
            outcome = self._no_answer(request, error)
        except OSError as error:
            # requests looks for these files at each connection.
            raise ConfigurationError("verify= or cert= cannot be used: %s" % error) from error
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug(
                "%s %s -> %s in %d ms (attempt %d)",
                request.method,
                request.url,
                outcome.status_code
                if isinstance(outcome, Response)
                else type(outcome.__cause__).__name__,
                (self._clock.monotonic() - started) * 1000,
                attempt,
            )
        return outcome

    def _connection(self) -> HTTPAdapter:
        # Sockets must not be shared with the parent after a fork.
        with self._lock:
            if self._adapter is None or self._pid != os.getpid():
                self._adapter = HTTPAdapter(pool_connections=4, pool_maxsize=32, max_retries=0)
                self._pid = os.getpid()
            return self._adapter

    def _no_answer(self, request: Request, error: Exception) -> TransportError:
        address = "/".join(request.endpoint.split("/", 3)[:3])
        kind, sent = TransportError, True
        if isinstance(error, requests.ConnectTimeout):
            kind, sent = RequestTimeout, False
            what = "no connection to %s within %g seconds" % (address, self._timeout)
        elif isinstance(error, requests.Timeout) or _stopped_coming(error):
            kind = RequestTimeout
            what = "%s did not answer within %g seconds" % (address, self._timeout)
        elif isinstance(error, requests.exceptions.SSLError):
            what = (
                "%s has no certificate that is trusted here (%s); give verify= the path of its "
                "CA bundle" % (address, _root(error))
            )
        elif isinstance(error, requests.exceptions.ProxyError):
            what = "the proxy to %s does not answer (%s); see proxies=" % (address, _root(error))
        elif isinstance(error, requests.ConnectionError):
            sent = not _never_connected(error)
            what = "no answer from %s (%s)" % (address, _root(error))
        else:
            what = "no readable answer from %s (%s)" % (address, _root(error))
        made = kind(what, address, request.operation)
        made.sent = sent
        made.__cause__ = error
        return made


def _date_of(response: Response) -> Optional[float]:
    parsed = parsedate_tz(response.headers.get("Date") or "")
    try:
        return None if parsed is None else float(mktime_tz(parsed))
    except (ValueError, OverflowError):
        return None


def _path_of(request: Request) -> str:
    scheme_and_host = request.endpoint.split("/", 3)
    prefix = "/" + scheme_and_host[3] if len(scheme_and_host) > 3 else ""
    return prefix + request.path


def _host_of(endpoint: str) -> str:
    scheme, _, rest = endpoint.partition("://")
    host = rest.split("/", 1)[0]
    default = ":443" if scheme == "https" else ":80"
    return host[: -len(default)] if host.endswith(default) else host


def _read(response: requests.Response) -> bytes:
    chunks = []
    size = 0
    for chunk in response.iter_content(_CHUNK):
        size += len(chunk)
        if size > _MOST_BYTES:
            response.close()
            raise requests.exceptions.ContentDecodingError(
                "the answer is larger than %d MiB" % (_MOST_BYTES // 2**20)
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _never_connected(error: requests.ConnectionError) -> bool:
    from urllib3.exceptions import NewConnectionError

    reason: Any = error.args[0] if error.args else None
    return isinstance(getattr(reason, "reason", reason), NewConnectionError)


def _stopped_coming(error: BaseException) -> bool:
    """Whether the body's rest did not come in time, which requests calls a ConnectionError."""
    from urllib3.exceptions import ReadTimeoutError

    return bool(error.args) and isinstance(error.args[0], ReadTimeoutError)


def _root(error: BaseException) -> str:
    """What went wrong at the bottom, without urllib3's layers around it."""
    reason: Any = error.args[0] if error.args else error
    reason = getattr(reason, "reason", reason)
    cause = getattr(reason, "__cause__", None) or reason
    return str(cause) or type(cause).__name__
