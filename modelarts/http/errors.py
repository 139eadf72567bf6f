"""Reads an answer: the JSON that was asked for, or the error that it is.

ModelArts, its gateway and IAM each write errors in their own way; this is the one place
that knows all of them.
"""

import json
import re
from typing import Any, Mapping, Optional, Tuple

from modelarts.errors import ApiError, JobStateError, TransportError, api_error
from modelarts.http.models import Request, Response
from modelarts.http.redaction import safe_headers

__all__ = ["read_json", "read_part"]

#: How much of an answer that is not JSON an error keeps.
_SHOWN = 4096
_REFUSED_STATE = r"(?:can't be (stop|resubmit|delete)\. )?job status: (\d+)"


def read_json(response: Response, request: Request) -> Any:
    """Return the parsed body of a successful answer; None where it is empty.

    Raises:
        ApiError: the service refused, by its HTTP status or by ``is_success: false``.
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
            "%s answered %s instead of JSON; is this the address of the service? It begins: %r"
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
    """Return the bytes of an answer to a request with ``Range``; None where there are none.

    Args:
        first: the number of the first byte that was asked for.
        length: how many were asked for, at most.

    Raises:
        ApiError: the request was refused.
        TransportError: the answer has other bytes than those.
    """
    if response.status_code == 416:
        return None
    if response.status_code == 200:  # a server that does not know Range sends all
        return response.body[first : first + length] or None
    if response.status_code != 206:
        # The text is of an object store, and may repeat the link.
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
            "%s sent other bytes than it was asked for" % request.address,
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
        headers=safe_headers(response.headers),
        attempts=response.attempts,
        hint=hint(response.status_code, str(code) if code else None, state),
    )
    if isinstance(error, JobStateError) and state is not None:
        error.job_status = state[1]
    return error


def _refused_state(code: object, message: str) -> Optional[Tuple[str, int]]:
    """Return the action that a job's status does not allow ("" if unknown), and that status.

    ModelArts says both in the message of ModelArts.0105 and nowhere else.
    """
    if code != "ModelArts.0105":
        return None
    state = re.search(_REFUSED_STATE, message)
    return (state.group(1) or "", int(state.group(2))) if state is not None else None
