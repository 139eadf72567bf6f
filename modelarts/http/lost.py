"""Maps exceptions of requests and urllib3 to TransportError."""

import ssl
from typing import Any, List, Optional, Set

import requests
import urllib3.exceptions

from modelarts.errors import RequestTimeout, TransportError
from modelarts.http.models import Request

try:
    from urllib3.util.ssl_match_hostname import CertificateError
except ImportError:  # older releases of urllib3 1.26
    from urllib3.packages.ssl_match_hostname import (  # type: ignore[import-not-found,no-redef]
        CertificateError,
    )

__all__ = ["lost"]

#: A certificate that is refused: by ``ssl``, or by urllib3's own check of the host name.
_NOT_TRUSTED = (ssl.SSLCertVerificationError, CertificateError)
#: OpenSSL's names for what a server that does not speak TLS causes; the name depends on the
#: version of OpenSSL and on what the server sends.
_NOT_TLS = frozenset(
    ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST")
)
#: And for a CA bundle without certificates. The handshake has not begun then.
_NO_BUNDLE = frozenset(("NO_CERTIFICATE_OR_CRL_FOUND", "NO_START_LINE"))


def lost(request: Request, error: BaseException, timeout: float) -> TransportError:
    """Return the error for a request that came to no readable answer.

    ``sent`` is False on it where it is certain that the request never left, and
    ``permanent`` True where trying again cannot help.
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
        what = "the proxy to %s does not answer (%s); see proxies=" % (address, _root(error))
    elif isinstance(error, requests.ConnectionError):
        sent = not _never_connected(error)
        what = "no answer from %s (%s)" % (address, _root(error))
    else:
        what = "no readable answer from %s (%s)" % (address, _root(error))
    if isinstance(error, requests.RequestException):
        # It would carry the headers and the body, and with them what is secret.
        error.request = None
        error.response = None
    if request.is_secret and kind is TransportError:
        # The texts of requests' and urllib3's errors have the URL.
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
