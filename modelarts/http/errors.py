"""Maps responses to JSON or to errors, and exceptions of requests and urllib3 to TransportError.

ModelArts, its gateway and IAM each have their own format of errors; all of them are handled here.
"""

from __future__ import annotations

import json
import re
import ssl
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

import requests
import urllib3.exceptions

from modelarts.errors import (
    ApiError,
    JobStateError,
    RequestTimeout,
    TransportError,
    api_error,
)
from modelarts.http.models import Request, Response

try:
    from urllib3.util.ssl_match_hostname import CertificateError
except ImportError:  # older releases of urllib3 1.26
    from urllib3.packages.ssl_match_hostname import (  # type: ignore[import-not-found,no-redef]
        CertificateError,
    )

#: The part of a response other than JSON that an error keeps, in characters.
_SHOWN = 4096
_REFUSED_STATE = r"(?:can't be (stop|resubmit|delete)\. )?job status: (\d+)"
_SECRET_HEADERS = frozenset(
    (
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-auth-token",
        "x-security-token",
        "x-subject-token",
    )
)
#: Errors for a refused certificate: of ``ssl``, or of urllib3's own check of the host name.
_NOT_TRUSTED = (ssl.SSLCertVerificationError, CertificateError)
#: OpenSSL's errors for a server that does not speak TLS; the error depends on the
#: version of OpenSSL and on what the server sends.
_NOT_TLS = frozenset(
    ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST")
)
#: Errors for a CA bundle without certificates, raised before the handshake.
_NO_BUNDLE = frozenset(("NO_CERTIFICATE_OR_CRL_FOUND", "NO_START_LINE"))


def read_json(response: Response, request: Request) -> Any:
    """Return the parsed body of a successful response; None if it is empty.

    Raises:
        ApiError: the service refused the request, by the HTTP status or by ``is_success: false``.
        TransportError: a success whose body is not JSON.
    """
    text = response.body.decode("utf-8", "replace")
    try:
        parsed = json.loads(text) if text.strip() else None
        broken = False
    except (ValueError, RecursionError):
        parsed, broken = None, True
    successful = 200 <= response.status_code < 300
    if not successful or (isinstance(parsed, dict) and parsed.get("is_success") is False):
        raise _refusal(response, request, parsed, text)
    if broken:
        raise TransportError(
            "%s returned %s instead of JSON; is this the address of the service? It begins: %r"
            % (
                request.endpoint,
                response.headers.get("Content-Type") or "something else",
                text.strip()[:80],
            ),
            request.endpoint,
            request.operation,
            request_kind=request.kind,
        )
    return parsed


def read_part(response: Response, request: Request, first: int, length: int) -> Optional[bytes]:
    """Return the bytes of a response to a request with ``Range``; None if there are none.

    Args:
        first: the number of the first byte that was requested.
        length: the greatest number of bytes that was requested.

    Raises:
        ApiError: the request was refused.
        TransportError: the response has other bytes.
    """
    if response.status_code == 416:
        return None
    if response.status_code == 200:  # a server without Range sends the whole object
        return response.body[first : first + length] or None
    if response.status_code != 206:
        # The body is of an object store, and may repeat the link.
        raise api_error(
            response.reason or "refused",
            status_code=response.status_code,
            operation=request.operation,
            request_kind=request.kind,
            reason=response.reason,
            attempts=response.attempts,
        )
    shown = response.headers.get("Content-Range") or ""
    match = re.match(r"bytes (\d{1,19})-(\d{1,19})/", shown)
    body = response.body
    if (
        match is None
        or int(match.group(1)) != first
        or int(match.group(2)) - first + 1 != len(body)
        or len(body) > length
    ):
        raise TransportError(
            "%s sent other bytes than were requested" % request.address,
            request.address,
            request.operation,
            request_kind=request.kind,
        )
    return body


def _refusal(response: Response, request: Request, parsed: Any, text: str) -> ApiError:
    fields: Mapping[str, Any] = parsed if isinstance(parsed, dict) else {}
    nested = fields.get("error")
    if isinstance(nested, dict):  # IAM
        fields = {
            "error_code": nested.get("error_code"),
            "error_msg": nested.get("message") or nested.get("error_msg") or nested.get("title"),
        }
    text_sent = fields.get("error_msg") or fields.get("error_message") or fields.get("message")
    if not text_sent and 300 <= response.status_code < 400:
        text_sent = "redirected to %s, which is not followed; check the endpoint" % (
            response.headers.get("Location") or "another address"
        )
    code = fields.get("error_code")
    solution = fields.get("error_solution")
    request_id = fields.get("request_id") or response.headers.get("X-Request-Id")
    from modelarts.http.hints import hint

    message = str(text_sent or response.reason or "no explanation")
    state = _refused_state(code, message)
    error = api_error(
        message,
        status_code=response.status_code,
        error_code=str(code) if code else None,
        error_solution=str(solution) if solution else None,
        request_id=str(request_id) if request_id else None,
        operation=request.operation,
        request_kind=request.kind,
        reason=response.reason,
        body=text[:_SHOWN],
        headers=_safe_headers(response.headers),
        attempts=response.attempts,
        hint=hint(response.status_code, str(code) if code else None, state),
    )
    if isinstance(error, JobStateError) and state is not None:
        error.job_status = state[1]
    return error


def _refused_state(code: object, message: str) -> Optional[Tuple[str, int]]:
    """Return the action that a job's status does not allow ("" if unknown), and that status.

    ModelArts returns both only in the message of ModelArts.0105.
    """
    if code != "ModelArts.0105":
        return None
    state = re.search(_REFUSED_STATE, message)
    return (state.group(1) or "", int(state.group(2))) if state is not None else None


def _safe_headers(headers: Mapping[str, str]) -> Dict[str, str]:
    """Return the headers that carry no secrets."""
    return {name: value for name, value in headers.items() if name.lower() not in _SECRET_HEADERS}


def transport_error(request: Request, error: BaseException, timeout: float) -> TransportError:
    """Return the error for a request without a readable response.

    Its ``sent`` is False if it is certain that the request was not sent, and ``permanent`` True if
    another attempt cannot help.
    """
    address = request.address
    kind, sent, permanent = TransportError, True, False
    if isinstance(error, requests.ConnectTimeout):
        kind, sent = RequestTimeout, False
        what = "no connection to %s within %g seconds" % (address, timeout)
    elif isinstance(error, (requests.Timeout, TimeoutError)) or _stopped_coming(error):
        kind = RequestTimeout
        what = "%s did not answer within %g seconds" % (address, timeout)
    elif isinstance(error, requests.exceptions.SSLError):
        cause = _ssl_error(error)
        reason = getattr(cause, "reason", None)
        if isinstance(cause, _NOT_TRUSTED) or reason in _NO_BUNDLE:
            sent, permanent = False, True
            what = (
                "%s has no certificate that is trusted here (%s); give verify= the path of its "
                "CA bundle" % (address, _root(error))
            )
        elif reason in _NOT_TLS:
            sent, permanent = False, True
            what = "%s does not speak TLS; is it an http:// address?" % address
        else:
            what = "TLS with %s failed (%s)" % (address, _root(error))
    elif isinstance(error, requests.exceptions.ProxyError):
        sent = not _never_connected(error)
        what = "the proxy to %s does not respond (%s); see proxies=" % (address, _root(error))
    elif isinstance(error, requests.ConnectionError):
        sent = not _never_connected(error)
        what = "no answer from %s (%s)" % (address, _root(error))
    else:
        what = "no readable answer from %s (%s)" % (address, _root(error))
    if isinstance(error, requests.RequestException):
        # It refers to the headers and the body, which may hold secrets.
        error.request = None
        error.response = None
    if request.is_secret and kind is TransportError:
        # The messages of requests and urllib3 contain the URL.
        what = "no readable answer from %s (%s)" % (address, type(error).__name__)
    made = kind(what, address, request.operation, request_kind=request.kind)
    made.sent = sent
    made.permanent = permanent
    if request.is_secret:
        made.__suppress_context__ = True
    else:
        made.__cause__ = error
    return made


def _ssl_error(error: BaseException) -> Optional[BaseException]:
    """Return the error of ``ssl``, or of the host name check, inside those of requests."""
    waiting: List[Any] = [error]
    seen: Set[int] = set()
    while waiting:
        inner = waiting.pop(0)
        if isinstance(inner, (ssl.SSLError, *_NOT_TRUSTED)):
            return inner
        if isinstance(inner, BaseException) and id(inner) not in seen:
            seen.add(id(inner))
            waiting += [*inner.args, getattr(inner, "reason", None), inner.__cause__]
    return None


def _never_connected(error: requests.ConnectionError) -> bool:
    reason: Any = error.args[0] if error.args else None
    reason = getattr(reason, "reason", reason)
    if isinstance(reason, urllib3.exceptions.ProxyError):
        reason = reason.original_error
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _stopped_coming(error: BaseException) -> bool:
    """Return True if the rest of the body was late, which requests calls a ConnectionError."""
    inner = error.args[0] if error.args else None
    timeout = urllib3.exceptions.ReadTimeoutError
    return isinstance(error, timeout) or isinstance(inner, timeout)


def _root(error: BaseException) -> str:
    """Return the root cause, without urllib3's layers around it."""
    reason: Any = error.args[0] if error.args else error
    reason = getattr(reason, "reason", reason)
    cause = getattr(reason, "__cause__", None) or reason
    return str(cause) or type(cause).__name__
