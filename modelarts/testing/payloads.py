"""Response bodies as the API documents them, for tests that play the service themselves.

Each function takes changes by name, and raises :class:`~modelarts.errors.InvalidArgument` for a
name that no edition of the API has.
"""

from datetime import datetime, timezone
from typing import Any, Dict, Iterable, Mapping, Optional

from modelarts.errors import InvalidArgument
from modelarts.models import JobInfo, JobPage

__all__ = [
    "created_payload",
    "failure_payload",
    "gateway_failure_payload",
    "iam_failure_payload",
    "job_payload",
    "page_payload",
    "token_payload",
]

_BOARD = "https://modelarts.example.com/modelarts/tensorboard/04f679b17380d32a2f32c00335c4b5ba/%s/"
#: Of some editions only, so left out unless they are given.
_OPTIONAL = ("job_type", "schedule", "remaining_duration", "is_success", "reason")


def job_payload(**changes: Any) -> Dict[str, Any]:
    """Return a job as details and lists show it: with every documented field.

    Args:
        changes: fields with other values, by name.

    Returns:
        The body.

    Raises:
        InvalidArgument: the API has no such field.
        ValueError: a value cannot be read.

    Source: *API Reference*, "Querying a Visualization Job", response parameters.

    Example:
        >>> job_payload(job_id=7, status=8)["service_url"][-3:]
        '/7/'
    """
    number = changes.get("job_id", 8992)
    job = _changed(
        "a job",
        {
            "job_id": number,
            "job_name": "job%s" % number,
            "job_desc": "",
            "status": 8,
            "create_time": 1_565_149_736_000,
            "duration": 33_000,
            "train_url": "/bucket/logs/",
            "service_url": _BOARD % number,
            "resource_id": "e17dd874-b5e0-4e9b-aaf0-22b045ad8571",
        },
        changes,
        _OPTIONAL,
    )
    JobInfo.from_wire(job)
    return job


def created_payload(**changes: Any) -> Dict[str, Any]:
    """Return the response to a create; numbers are strings, as in the document's sample.

    Args:
        changes: fields with other values, by name.

    Returns:
        The body.

    Raises:
        InvalidArgument: the API has no such field.
    """
    return _changed(
        "the answer to a create",
        {
            "is_success": True,
            "job_id": "8992",
            "job_name": "job8992",
            "status": "1",
            "create_time": "1565149736000",
        },
        changes,
        ("service_url",),
    )


def page_payload(jobs: Iterable[Mapping[str, Any]] = (), **changes: Any) -> Dict[str, Any]:
    """Return one page of a list.

    Args:
        jobs: the jobs of this page.
        changes: fields with other values, by name; ``job_total_count`` is by default the number of
            ``jobs``.

    Returns:
        The body.

    Raises:
        InvalidArgument: the API has no such field.
        ValueError: a value cannot be read.
    """
    shown = [dict(job) for job in jobs]
    page = _changed(
        "a page",
        {
            "is_success": True,
            "quotas": 100,
            "job_total_count": len(shown),
            "job_count_limit": 999,
            "jobs": shown,
        },
        changes,
    )
    JobPage.from_wire(page)
    return page


def failure_payload(
    error_code: str = "ModelArts.0104", error_message: str = "A parameter is wrong."
) -> Dict[str, Any]:
    """Return a refusal by ModelArts.

    Args:
        error_code: the code; by default ``"ModelArts.0104"``.
        error_message: the message.

    Returns:
        The body.
    """
    return {"is_success": False, "error_code": error_code, "error_message": error_message}


def gateway_failure_payload(
    error_code: str = "APIG.0301", error_msg: str = "Incorrect IAM authentication information"
) -> Dict[str, Any]:
    """Return a refusal by the API gateway, which names the message ``error_msg``.

    Args:
        error_code: the code; by default ``"APIG.0301"``.
        error_msg: the message.

    Returns:
        The body.
    """
    return {"error_code": error_code, "error_msg": error_msg, "request_id": "f" * 32}


def iam_failure_payload(
    code: int = 401, title: str = "Unauthorized", message: str = "The password is wrong."
) -> Dict[str, Any]:
    """Return a refusal by IAM.

    Args:
        code: the HTTP status in the body; by default 401.
        title: the reason phrase.
        message: the message.

    Returns:
        The body.
    """
    return {"error": {"code": code, "title": title, "message": message}}


def token_payload(
    issued_at: float = 1_790_000_000.0, expires_at: Optional[float] = None, **changes: Any
) -> Dict[str, Any]:
    """Return the body of the response with a token.

    The token itself is in the header ``X-Subject-Token``.

    Args:
        issued_at: the time of issue, in seconds since the epoch.
        expires_at: the time of expiry, in seconds since the epoch; by default 24 hours later.
        changes: fields of the token with other values, by name.

    Returns:
        The body.

    Raises:
        InvalidArgument: a token has no such field.
    """
    token = _changed(
        "a token",
        {
            "issued_at": _when(issued_at),
            "expires_at": _when(issued_at + 86_400 if expires_at is None else expires_at),
            "methods": ["password"],
            "project": {"id": "0" * 32, "name": "region-1"},
            "user": {"id": "1" * 32, "name": "user"},
            "catalog": [],
        },
        changes,
    )
    return {"token": token}


def _changed(
    what: str, payload: Dict[str, Any], changes: Mapping[str, Any], optional: Iterable[str] = ()
) -> Dict[str, Any]:
    allowed = [*payload, *optional]
    for name in changes:
        if name not in allowed:
            raise InvalidArgument("a field of " + what, name, "one of " + ", ".join(allowed))
    return {**payload, **changes}


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
