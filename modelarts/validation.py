"""Checks what a caller gives, before anything is sent, and writes it in the form to send.

Each function answers the value as the wire wants it or raises
:class:`~modelarts.errors.InvalidArgument`. The rules are those of the *API Reference*,
"Visualization Jobs".
"""

import operator
import os
import re
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from modelarts.errors import InvalidArgument

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

    from modelarts.models import Schedule

__all__ = [
    "JOB_TYPES",
    "SORT_KEYS",
    "auto_stop",
    "flavor",
    "is_local",
    "job_desc",
    "job_id",
    "job_name",
    "job_type",
    "list_query",
    "train_url",
]

JOB_TYPES = ("tensorboard", "mindinsight")
SORT_KEYS = (
    "job_id",
    "job_name",
    "job_desc",
    "create_time",
    "status",
    "duration",
    "log_dir",
)
_NAME = r"[0-9A-Za-z_-]{1,20}\Z"
_BUCKET = r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}\Z"
_CONTROL = r"[\x00-\x1f\x7f]"
_STATUS_LIST = r"[0-9]{1,4}(\|[0-9]{1,4})*\Z"
#: A drive, as in C:/, has one letter only.
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+:/"
_JOB_ID = r"[0-9]{1,19}\Z"


def job_name(value: object) -> str:
    """1 to 20 of ``0-9A-Za-z_-``."""
    if not isinstance(value, str) or not re.match(_NAME, value):
        raise InvalidArgument(
            "job_name", value, "1 to 20 letters (A-Z, a-z), digits, underscores or hyphens"
        )
    return value


def job_desc(value: object) -> str:
    """0 to 256 characters."""
    if not _is_text(value, 256):
        raise InvalidArgument("job_desc", value, "a text of 0 to 256 characters")
    return value


def job_id(value: object) -> str:
    """The number of a job, given as a number or as digits; answered as digits."""
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if not re.match(_JOB_ID, text) or int(text) < 1:
        raise InvalidArgument("visualization_id", value, "the number of a job, such as '8992'")
    return text


def job_type(value: object) -> str:
    """``tensorboard`` or ``mindinsight``, in any case; answered in lower case."""
    lowered = value.lower() if isinstance(value, str) else value
    if lowered not in JOB_TYPES:
        raise InvalidArgument("job_type", value, "'tensorboard' or 'mindinsight'")
    return str(lowered)


def train_url(value: object) -> str:
    """``/bucket/path/`` or ``obs://bucket/path/``; answered as the first, with a final slash."""
    allowed = "a folder in OBS, as '/bucket/path/' or 'obs://bucket/path/'"
    if not isinstance(value, str):
        raise InvalidArgument("train_url", value, allowed)
    path = value[len("obs:/") :] if value.startswith("obs://") else value
    if not path.startswith("/") or path != path.strip() or re.search(_CONTROL, path):
        raise InvalidArgument("train_url", value, allowed)
    bucket, _, key = path[1:].partition("/")
    if not re.match(_BUCKET, bucket):
        raise InvalidArgument("train_url", value, allowed + ", beginning with a bucket's name")
    if any(segment in (".", "..") for segment in key.split("/")) or "\\" in key:
        raise InvalidArgument("train_url", value, allowed + ", without '.', '..' or backslashes")
    if not _is_text(path, 1024) or len(path.encode("utf-8")) > 1024:
        raise InvalidArgument("train_url", value, allowed + ", of at most 1024 bytes")
    return path if path.endswith("/") else path + "/"


def is_local(value: object) -> bool:
    """Whether a ``train_url`` means a folder on this machine.

    A :class:`~pathlib.Path` always does. A text does unless it begins with ``/``, which is OBS,
    or with a scheme such as ``obs://``.
    """
    if isinstance(value, os.PathLike):
        return True
    if not isinstance(value, str) or not value or value.startswith("/"):
        return False
    return not re.match(_SCHEME, value)


def auto_stop(value: object) -> "Optional[Schedule]":
    """Whole hours from 0 to 24, or None for a job that runs until it is stopped."""
    if value is None:
        return None
    from modelarts.models import Schedule

    return Schedule(_whole("auto_stop", value, 0, 24, "whole hours from 0 to 24, or None"))


def flavor(value: object) -> Optional[Dict[str, str]]:
    """A specification's code, alone or as ``{"code": …}``; normally None."""
    if value is None:
        return None
    code = value.get("code") if isinstance(value, Mapping) else value
    if not isinstance(code, str) or not code:
        raise InvalidArgument("flavor", value, "a specification's code, or {'code': …}")
    return {"code": code}


def list_query(
    *,
    status: object = None,
    per_page: object = None,
    page: object = None,
    sort_by: object = None,
    order: object = None,
    search_content: object = None,
    workspace_id: object = None,
) -> Dict[str, str]:
    """The filters of a list as query parameters; what was not given is not sent.

    ``status`` may be a number, digits, several as ``"3|5|6|13"`` or as any iterable of
    numbers. The sort key is answered as ``sort_by``; its name on the wire is for the
    caller to choose.
    """
    query: Dict[str, str] = {}
    if status is not None:
        query["status"] = _statuses(status)
    if per_page is not None:
        query["per_page"] = str(_whole("per_page", per_page, 1, 1000, "a number from 1 to 1000"))
    if page is not None:
        query["page"] = str(_whole("page", page, 1, 2**31 - 1, "a number from 1 on"))
    if sort_by is not None:
        if sort_by not in SORT_KEYS:
            raise InvalidArgument("sort_by", sort_by, "one of " + ", ".join(SORT_KEYS))
        query["sort_by"] = str(sort_by)
    if order is not None:
        if order not in ("asc", "desc"):
            raise InvalidArgument("order", order, "'asc' or 'desc'")
        query["order"] = str(order)
    if search_content is not None:
        if not _is_text(search_content, 100):
            raise InvalidArgument("search_content", search_content, "a text of 0 to 100 characters")
        if search_content:
            query["search_content"] = search_content
    if workspace_id is not None:
        if isinstance(workspace_id, bool) or not re.match(
            r"[0-9A-Za-z_-]{1,64}\Z", str(workspace_id)
        ):
            raise InvalidArgument("workspace_id", workspace_id, "a workspace's id, such as '0'")
        query["workspace_id"] = str(workspace_id)
    return query


def _is_text(value: object, most: int) -> "TypeGuard[str]":
    """Whether it is a text of at most so many characters that can be sent."""
    if not isinstance(value, str) or len(value) > most:
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _statuses(value: Any) -> str:
    allowed = "a status number (8, '8', '3|5|6|13', or several in a list)"
    try:
        if isinstance(value, str):
            if not re.match(_STATUS_LIST, value):
                raise ValueError
            return value
        if isinstance(value, bytes):
            raise TypeError
        given = (value,) if isinstance(value, int) else tuple(value)
        # int() also of what is one already: the text of an IntEnum is its name before 3.11.
        numbers = [int(operator.index(number)) for number in given]
        if not numbers or min(numbers) < 0 or any(isinstance(one, bool) for one in given):
            raise ValueError
    except (TypeError, ValueError):
        raise InvalidArgument("status", value, allowed) from None
    return "|".join(str(number) for number in numbers)


def _whole(argument: str, value: Any, least: int, most: int, allowed: str) -> int:
    """An int between two bounds; digits count as one, True does not."""
    number: Optional[int] = None
    if isinstance(value, str):
        number = int(value) if re.match(r"-?\d{1,10}\Z", value, re.ASCII) else None
    elif not isinstance(value, bool):
        try:
            number = operator.index(value)
        except TypeError:
            pass
    if number is None or not least <= number <= most:
        raise InvalidArgument(argument, value, allowed)
    return number
