"""How failures of TLS are told apart: by the types and reasons of ``ssl``, not by words."""

import socket
import ssl
import threading

import pytest
import requests
import urllib3.exceptions

from modelarts.errors import RequestKind, TransportError
from modelarts.http.errors import transport_error
from modelarts.http.models import Request
from tests.servers.cloud import with_keys

REQUEST = Request("GET", "https://h.example.com", "/x", kind=RequestKind.AUTHENTICATION)


def wrapped(error):
    """Return an error of ssl as requests raises it."""
    inner = urllib3.exceptions.SSLError(error)
    return requests.exceptions.SSLError(urllib3.exceptions.MaxRetryError(None, "/x", inner))


def ssl_error(reason):
    error = ssl.SSLError(1, "a text without any meaning")
    error.reason = reason
    return error


def test_untrusted_certificate_is_permanent_and_not_sent():
    error = transport_error(REQUEST, wrapped(ssl.SSLCertVerificationError("any text")), 5)
    assert (error.sent, error.permanent) == (False, True)
    assert "has no certificate that is trusted here" in str(error)
    assert error.request_kind is RequestKind.AUTHENTICATION


@pytest.mark.parametrize("reason", ["WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"])
def test_server_without_tls_is_permanent_and_not_sent(reason):
    error = transport_error(REQUEST, wrapped(ssl_error(reason)), 5)
    assert (error.sent, error.permanent) == (False, True)
    assert "does not speak TLS" in str(error)


@pytest.mark.parametrize("reason", [None, "TLSV13_ALERT_CERTIFICATE_REQUIRED"])
def test_other_tls_failure_may_have_been_sent(reason):
    """A server that misses a client's certificate says so after the handshake."""
    error = transport_error(REQUEST, wrapped(ssl_error(reason)), 5)
    assert (error.sent, error.permanent) == (True, False)


def test_words_in_the_text_decide_nothing():
    said = ssl.SSLError(1, "CERTIFICATE WRONG_VERSION_NUMBER")
    assert transport_error(REQUEST, wrapped(said), 5).sent is True


def test_real_plain_server_is_recognized():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        session = with_keys(
            modelarts_endpoint="https://127.0.0.1:%d" % listening.getsockname()[1],
            proxies={},
            retries=0,
        )
        with pytest.raises(TransportError, match="does not speak TLS") as caught:
            session.request("GET", "/x")
        thread.join(timeout=30)
        session.close()
    assert (caught.value.sent, caught.value.permanent) == (False, True)
