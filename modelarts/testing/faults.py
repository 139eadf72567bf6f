"""What a network and a service can do to a call, for :meth:`FakeModelArts.fail`."""

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
    """What happens to a request in place of its answer.

    Attributes:
        arrives: whether the request has its effect all the same.
        error: what ``requests`` raises; None where there is an answer.
        status: the HTTP status of the answer.
        headers: its headers.
        body: its body, sent as JSON.
    """

    arrives: bool = False
    error: Optional[Exception] = None
    status: int = 200
    headers: Mapping[str, str] = attr.Factory(dict)
    body: Any = None


def never_sent() -> Fault:
    """Nobody listens: the request certainly had no effect."""
    return Fault(error=requests.ConnectTimeout("nobody listens"))


def answer_lost(arrives: bool = True) -> Fault:
    """The connection breaks before the answer is there, which tells nothing of the effect.

    Args:
        arrives: whether the request had its effect.
    """
    return Fault(arrives=arrives, error=requests.ConnectionError("the connection was lost"))


def rate_limited(retry_after: Optional[int] = None) -> Fault:
    """429 by the gateway.

    Args:
        retry_after: how many seconds it says to wait; by default it does not say.
    """
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    body = gateway_failure_payload("APIG.0308", "The throttling threshold has been reached")
    return Fault(status=429, headers=headers, body=body)


def server_error(status: int = 503, arrives: bool = False) -> Fault:
    """A 5xx.

    Args:
        arrives: whether the request had its effect.
    """
    body = failure_payload("ModelArts.0010", "Internal error.")
    return Fault(arrives=arrives, status=status, body=body)


def quota_exceeded() -> Fault:
    """The project may not have more jobs."""
    return refused("ModelArts.0118", "The number of jobs exceeds the quota.")


def refused(error_code: str, error_message: str, status: int = 400) -> Fault:
    """Any other refusal by ModelArts."""
    body: Dict[str, Any] = failure_payload(error_code, error_message)
    return Fault(status=status, body=body)
