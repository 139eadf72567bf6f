"""The description of an attempt, which only the programs need that ask for it."""

from typing import NamedTuple, Optional

from modelarts.errors import TransportError


class AttemptInfo(NamedTuple):
    """One attempt of a request: the argument of ``Session(on_response=…)``.

    Attributes:
        method: the HTTP method.
        url: the URL.
        operation: the operation in words, such as ``"create visualization job"``.
        attempt: the number of this attempt, from 1.
        status_code: the HTTP status; None if there was no response.
        error: the error if there was no response; else None.
        seconds: the duration of the attempt.
        request_id: the gateway's id of the request; None if it sent none.
    """

    method: str
    url: str
    operation: str
    attempt: int
    status_code: Optional[int]
    error: Optional[TransportError]
    seconds: float
    request_id: Optional[str]
