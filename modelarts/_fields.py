"""Reads a job's fields as any edition of the API writes them: numbers as strings, fields left out.

Plain functions on plain dicts, because lists are long and most fields of most jobs are never
looked at.
"""

from typing import Any, Dict, Mapping, Optional

__all__ = ["documented_job", "to_int"]

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
    """Read a number that may come as a string, a float or null.

    Raises:
        ValueError: it is none of these; the message names the field.
    """
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


def documented_job(raw: Mapping[str, Any]) -> Dict[str, Any]:
    """A job as documented: every documented key there, numbers as numbers, the rest kept.

    Raises:
        ValueError: a number is not one.
    """
    job: Dict[str, Any] = {key: raw.get(key) for key in _DOCUMENTED}
    for key in _NUMBERS:
        job[key] = to_int(job[key], key)
    for key, value in raw.items():
        job.setdefault(key, value)
    return job
