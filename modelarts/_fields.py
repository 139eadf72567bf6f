"""Reads a job's fields as any edition of the API writes them: numbers as strings, fields left out.

Plain functions on plain dicts, because lists are long and most fields of most jobs are never
looked at.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional

#: Of these, the numbers; some editions send them as strings.
_NUMBERS = ("job_id", "status", "create_time", "duration")
#: The keys of the documented details (SDK reference, "Obtaining Details"), in its order.
_DOCUMENTED = (
    "job_id",
    "job_name",
    "job_desc",
    "status",
    "service_url",
    "train_url",
    "create_time",
    "duration",
    "resource_id",
)


def to_int(value: object, field: str = "value") -> Optional[int]:
    """Return a number that the service may send as a string, a float or null.

    Args:
        value: the value of the field.
        field: the field's name, for the error; by default ``"value"``.

    Returns:
        The number; None for None and for an empty string.

    Raises:
        ValueError: the value is not a number; the message names the field.
    """
    if type(value) is int:  # as nearly always, and lists are long
        return value
    if value is None or value == "":
        return None
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return int(value)
        except (ValueError, OverflowError):
            try:
                return int(float(value))
            except (ValueError, OverflowError):
                pass
    raise ValueError("%s is %r, which is not a number" % (field, value))


def is_uuid(value: object) -> bool:
    """Return True for an id of v2; those of v1 are numbers."""
    return isinstance(value, str) and len(value) == 36 and value.count("-") == 4


def documented_job(raw: Mapping[str, Any]) -> Dict[str, Any]:
    """Return a job as documented: with every documented key, and numbers as ``int``.

    Args:
        raw: the fields of the job, as the service sent them.

    Returns:
        A new dict; a field that the service did not send is None, and other fields are kept.

    Raises:
        ValueError: a number cannot be read; the message names the field.

    Source: *ModelArts SDK Reference*, "Obtaining Details".
    """
    job: Dict[str, Any] = {key: raw.get(key) for key in _DOCUMENTED}
    for key in _NUMBERS:
        if key != "job_id" or not is_uuid(job[key]):
            job[key] = to_int(job[key], key)
    for key, value in raw.items():
        job.setdefault(key, value)
    return job


def no_object(answer: Any) -> Optional[str]:
    """Return why a response is no JSON object; None if it is one. For ``check=``."""
    return None if isinstance(answer, dict) else "it is not a JSON object"


def no_confirmation(answer: Any) -> Optional[str]:
    """Return why a response confirms nothing; some editions respond to an action with nothing."""
    return None if answer is None else no_object(answer)


def with_list(name: str) -> Callable[[Any], Optional[str]]:
    """Return a check for responses that have a list of that name."""

    def check(answer: Any) -> Optional[str]:
        entries = answer.get(name) if isinstance(answer, dict) else None
        return None if isinstance(entries, list) else "it has no list of %s" % name

    return check
