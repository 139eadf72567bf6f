"""Faults of networks and services, for :meth:`FakeModelArts.fail`."""

from typing import Any, Dict, Mapping, Optional

import attr
import requests

from modelarts.testing.payloads import failure_payload, gateway_failure_payload

__all__ = [
    "Fault",
    "answer_lost",
    "never_sent",
    "quota_exceeded",
    "rate_limited",
    "refused",
    "server_error",
]


@attr.s(frozen=True, slots=True, auto_attribs=True, kw_only=True)
class Fault:
    """The event that replaces the response to a request.

    Attributes:
        arrives: True if the request takes effect; by default False.
        error: the error that ``requests`` raises; None if there is a response.
        status: the HTTP status of the response.
        headers: the headers of the response.
        body: the body of the response, sent as JSON.
    """

    arrives: bool = False
    error: Optional[Exception] = None
    status: int = 200
    headers: Mapping[str, str] = attr.Factory(dict)
    body: Any = None


def never_sent() -> Fault:
    """Return a fault for a connection that is not made, so that the request has no effect.

    Returns:
        The fault.
    """
    return Fault(error=requests.ConnectTimeout("nobody listens"))


def answer_lost(arrives: bool = True) -> Fault:
    """Return a fault for a connection that ends before the response.

    The client cannot see whether the request took effect.

    Args:
        arrives: True, the default, if the request takes effect.

    Returns:
        The fault.
    """
    return Fault(arrives=arrives, error=requests.ConnectionError("the connection was lost"))


def rate_limited(retry_after: Optional[int] = None) -> Fault:
    """Return a fault for a response 429 of the gateway.

    Args:
        retry_after: the seconds of the header ``Retry-After``; by default there is no such header.

    Returns:
        The fault.
    """
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    body = gateway_failure_payload("APIG.0308", "The throttling threshold has been reached")
    return Fault(status=429, headers=headers, body=body)


def server_error(status: int = 503, arrives: bool = False) -> Fault:
    """Return a fault for a response with a 5xx status.

    Args:
        status: the HTTP status; by default 503.
        arrives: True if the request takes effect; by default False.

    Returns:
        The fault.
    """
    body = failure_payload("ModelArts.0010", "Internal error.")
    return Fault(arrives=arrives, status=status, body=body)


def quota_exceeded() -> Fault:
    """Return a fault for a project that may not have more jobs (ModelArts.0118).

    Returns:
        The fault.
    """
    return refused("ModelArts.0118", "The number of jobs exceeds the quota.")


def refused(error_code: str, error_message: str, status: int = 400) -> Fault:
    """Return a fault for any other refusal by ModelArts.

    Args:
        error_code: the code, such as ``"ModelArts.0105"``.
        error_message: the message.
        status: the HTTP status; by default 400.

    Returns:
        The fault.
    """
    body: Dict[str, Any] = failure_payload(error_code, error_message)
    return Fault(status=status, body=body)
