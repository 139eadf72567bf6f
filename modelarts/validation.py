"""Checks what a caller gives, before anything is sent, and writes it in the form to send.

Each function returns the value in the form of the API, or raises
:class:`~modelarts.errors.InvalidArgument`. The rules are those of the *API Reference*,
"Visualization Jobs".
"""

from __future__ import annotations

import operator
import os
import re
import unicodedata
from collections import Counter
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Sized,
    Tuple,
    Union,
)

from modelarts.errors import InvalidArgument

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

    from modelarts.models import Schedule

#: Characters of a command, or of the value of a parameter.
MAX_TEXT = 64 * 1024
_MAX_VALUES = 200
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
_SHARE_ID = "a link, or the id of one (1 to 64 letters, digits, '_' or '-'), not its address"
_NAME = r"[0-9A-Za-z_-]{1,%d}\Z"
_BUCKET = r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}\Z"
_CONTROL = r"[\x00-\x1f\x7f]"
_STATUS_LIST = r"[0-9]{1,4}(\|[0-9]{1,4})*\Z"
#: A drive, as in C:/, has one letter only.
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+:/"
_MAX_FOLDERS = 10_000
_UUID = r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z"
_MAX_SOURCES = 100
_MAX_HOURS = 720
_PARAMETER = r"[^\s=\x00-\x1f-][^\s=\x00-\x1f]{0,127}\Z"
_NFS = r"nfs:[^\x00-\x20\x7f]{1,1000}\Z"


def job_name(value: object, api: str = "v1") -> str:
    """1 to 20 of ``0-9A-Za-z_-``; to 64 for the v2 API."""
    longest = 64 if api == "v2" else 20
    if not isinstance(value, str) or not re.match(_NAME % longest, value):
        allowed = "1 to %d letters (A-Z, a-z), digits, underscores or hyphens" % longest
        raise InvalidArgument("job_name", value, allowed)
    return value


def job_desc(value: object) -> str:
    """0 to 256 characters."""
    if not _is_text(value, 256):
        raise InvalidArgument("job_desc", value, "a text of 0 to 256 characters")
    return value


def description(argument: str, value: object) -> str:
    """0 to 256 characters; None is none."""
    text = "" if value is None else value
    if not _is_text(text, 256):
        raise InvalidArgument(argument, value, "a text of 0 to 256 characters")
    return text


def text_or_none(argument: str, value: object, allowed: str, longest: int = 1024) -> Optional[str]:
    """A text that is not too long; None where there is none, or an empty one."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        raise InvalidArgument(argument, value, allowed + ", as a text")
    return value


def parameter_name(argument: str, value: object) -> str:
    """The name of an argument of a boot file."""
    if not isinstance(value, str) or not re.match(_PARAMETER, value):
        allowed = "names of 1 to 128 characters without '=', blanks, or '-' before"
        raise InvalidArgument(argument, value, allowed)
    return value


def job_id(value: object) -> str:
    """The id of a job as text: digits (v1), which may be given as a number, or a UUID (v2)."""
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    is_number = text.isascii() and text.isdigit() and len(text) <= 19 and int(text) > 0
    if not is_number and not re.match(_UUID, text):
        raise InvalidArgument(
            "visualization_id", value, "the number of a job, such as '8992', or a UUID (v2)"
        )
    return text


def job_type(value: object, api: str = "v1") -> str:
    """``tensorboard`` or ``mindinsight``, in any case; answered in lower case.

    For the v2 API also ``mindstudio-insight``.
    """
    types = (*JOB_TYPES, "mindstudio-insight") if api == "v2" else JOB_TYPES
    lowered = value.lower() if isinstance(value, str) else value
    if lowered not in types:
        raise InvalidArgument("job_type", value, " or ".join("'%s'" % name for name in types))
    return str(lowered)


def training_jobs(value: object) -> Tuple[Tuple[str, str], ...]:
    """Return the trainings that a board shows, as sources: ``("job", id)``.

    Args:
        value: ids, or objects with a ``job_id``; in a list.
    """
    allowed = "a list of 1 to %d ids of training jobs, or of objects with a job_id" % _MAX_SOURCES
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= _MAX_SOURCES:
        raise InvalidArgument("training_jobs", value, allowed)
    sources = []
    for each in value:
        name = each if isinstance(each, str) else getattr(each, "job_id", None)
        if not isinstance(name, str) or not re.match(_UUID, name):
            raise InvalidArgument("training_jobs", each, allowed)
        sources.append(("job", name))
    return tuple(sorted(set(sources)))


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


def is_local(value: object) -> TypeGuard[Union[str, os.PathLike[str]]]:
    """Return True if a ``train_url`` means a folder on this machine.

    A :class:`~pathlib.Path` always does. A text does unless it begins with ``/``, which is OBS,
    or with a scheme such as ``obs://``.
    """
    if isinstance(value, os.PathLike):
        return True
    if not isinstance(value, str) or not value or value.startswith("/"):
        return False
    return not re.match(_SCHEME, value)


def folders(value: object) -> Dict[str, Union[str, os.PathLike[str]]]:
    """Return several folders by the names that their runs begin with.

    Args:
        value: a mapping from names to folders, or a list of folders, which are named after the
            last part of their paths; where two have the same, after the last two.

    Raises:
        InvalidArgument: it is empty, too long, or a name is wrong or there twice.
    """
    allowed = "1 to %d folders, as a list or as {name: folder}" % _MAX_FOLDERS
    if not isinstance(value, (list, tuple, Mapping)) or not 0 < len(value) <= _MAX_FOLDERS:
        size = len(value) if isinstance(value, Sized) else value
        raise InvalidArgument("train_url", size, allowed)
    for each in value.values() if isinstance(value, Mapping) else value:
        _check_folder(each)
    pairs = list(value.items()) if isinstance(value, Mapping) else _named(value)
    by_name: Dict[str, Any] = {}
    names = set()
    for name, folder in pairs:
        if not isinstance(name, str) or not _is_file_name(name):
            raise InvalidArgument(
                "train_url", name, "as a folder's name 1 to 255 bytes without '/' and not '.', '..'"
            )
        if unicodedata.normalize("NFC", name).casefold() in names:
            raise InvalidArgument("train_url", name, "a name for each folder: {name: folder}")
        names.add(unicodedata.normalize("NFC", name).casefold())
        by_name[name] = folder if is_local(folder) else train_url(folder)
    return by_name


def _check_folder(value: object) -> None:
    """Raise InvalidArgument for what is neither a folder in OBS nor a possible path here."""
    if not is_local(value):
        train_url(value)
    elif not _is_encodable(os.fspath(value)) or "\0" in os.fspath(value):
        raise InvalidArgument("train_url", value, "a path on this machine")


def _is_encodable(text: object) -> bool:
    try:
        return isinstance(text, str) and bool(os.fsencode(text))
    except UnicodeEncodeError:
        return False


def _named(values: Sequence[Any]) -> List[Tuple[str, Any]]:
    parts = [_last_parts(value) for value in values]
    last = Counter(each[-1] for each in parts)
    return [
        (each[-1] if last[each[-1]] == 1 else "-".join(each), value)
        for each, value in zip(parts, values)
    ]


def _last_parts(value: object) -> List[str]:
    """Return the last two parts of a folder's path."""
    if is_local(value):
        path = os.path.realpath(os.path.expanduser(os.fspath(value)))
    else:
        path = train_url(value).strip("/")
    return [part for part in path.split("/") if part][-2:] or ["folder"]


def _is_file_name(name: str) -> bool:
    return (
        name not in (".", "..")
        and _is_encodable(name)
        and not re.search(_CONTROL + "|/", name)
        and len(os.fsencode(name)) <= 255
    )


def nfs(value: object) -> Optional[Tuple[str, str]]:
    """Return ``nfs:SERVER:/PATH`` as a source; None for what does not begin so."""
    if not isinstance(value, str) or not value.startswith("nfs:"):
        return None
    if not re.match(_NFS, value):
        raise InvalidArgument("train_url", value, "a path on NFS, as 'nfs:SERVER:/PATH'")
    return "nfs", value[len("nfs:") :]


def auto_stop(value: object, api: str = "v1") -> Optional[Schedule]:
    """Whole hours from 0 to 24, or None for a job that runs until it is stopped.

    For the v2 API, from 1 to 720.
    """
    if value is None:
        return None
    from modelarts.models import Schedule

    least, most = (1, _MAX_HOURS) if api == "v2" else (0, 24)
    allowed = "whole hours from %d to %d, or None" % (least, most)
    return Schedule(whole("auto_stop", value, least, most, allowed))


def share_hours(value: object) -> int:
    """Whole hours from 1 to 87600; the service may allow fewer."""
    return whole("hours", value, 1, 87600, "whole hours from 1 to 87600")


def share_id(value: object) -> str:
    """The id of a link to a board."""
    if not isinstance(value, str) or not re.match(r"[0-9A-Za-z_-]{1,64}\Z", value):
        # It may be the address of a link, which is a secret.
        raise InvalidArgument("share", value, _SHARE_ID, secret=True)
    return value


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
        query["per_page"] = str(whole("per_page", per_page, 1, 1000, "a number from 1 to 1000"))
    if page is not None:
        query["page"] = str(whole("page", page, 1, 2**31 - 1, "a number from 1 on"))
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


def _is_text(value: object, most: int) -> TypeGuard[str]:
    """Return True for a text of at most so many characters that can be sent."""
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
        statuses = (value,) if isinstance(value, int) else tuple(value)
        # int() also of what is one already: the text of an IntEnum is its name before 3.11.
        numbers = [int(operator.index(number)) for number in statuses]
        if not numbers or min(numbers) < 0 or any(isinstance(each, bool) for each in statuses):
            raise ValueError
    except (TypeError, ValueError):
        raise InvalidArgument("status", value, allowed) from None
    return "|".join(str(number) for number in numbers)


def whole(argument: str, value: Any, least: int, most: int, allowed: str = "") -> int:
    """An int between two bounds; digits count as one, True does not."""
    allowed = allowed or "a whole number from %d to %d" % (least, most)
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


def named_values(
    argument: str, value: Any, allowed: str, keys: Sequence[str]
) -> List[Tuple[Any, Any]]:
    """Return the names and values of a mapping, or of a list of mappings.

    Args:
        argument: the name of the argument, for errors.
        value: the mapping or the list; None for no values.
        allowed: the allowed forms, for errors.
        keys: the keys that the name may have in an entry of a list.

    Raises:
        InvalidArgument: it is neither, or has too many values.
    """
    pairs: List[Tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, (list, tuple)):
        for entry in value:
            known = [key for key in keys if isinstance(entry, Mapping) and key in entry]
            if not known:
                raise InvalidArgument(argument, entry, allowed)
            pairs.append((entry[known[0]], entry.get("value", "")))
    elif value is not None:
        raise InvalidArgument(argument, value, allowed)
    if len(pairs) > _MAX_VALUES:
        raise InvalidArgument(argument, len(pairs), "at most %d values" % _MAX_VALUES)
    return pairs


def text_of(argument: str, name: str, value: object) -> str:
    """Return a value as the boot file gets it: numbers as Python writes them.

    Raises:
        InvalidArgument: it is no text, number or truth value, or not a text that can be sent.
    """
    allowed = "a text, a number or a truth value as the value of %r" % name
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # a number of NumPy
        return text_of(argument, name, value.item())
    text = repr(value) if isinstance(value, (bool, int, float)) else value
    if not isinstance(text, str) or "\0" in text or len(text) > MAX_TEXT:
        raise InvalidArgument(argument, value, allowed)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidArgument(argument, value, allowed) from None
    return text
