"""Reads a request as the API documents it: which operation it is, and whether it is well formed."""

import json
import re
from typing import Any, Mapping, Optional, Tuple
from urllib.parse import parse_qsl, urlsplit

import attr

_JOBS = re.compile(
    r"/v1/(?P<project_id>[^/]+)/visualization-jobs(?:/(?P<job_id>\d+)(?:/(?P<action>stop|restart))?)?\Z"
)
_OPERATIONS = {
    ("POST", False, None): "create",
    ("GET", False, None): "list",
    ("GET", True, None): "show",
    ("PUT", True, None): "update",
    ("DELETE", True, None): "delete",
    ("POST", True, "stop"): "stop",
    ("POST", True, "restart"): "restart",
}
_TRAINING_JOBS = re.compile(
    r"/v2/(?P<project_id>[^/]+)/(?:(?P<search>training-job-searches)"
    r"|training-jobs(?:/(?P<job_id>[0-9a-fA-F-]{36})(?:/(?P<action>actions))?)?)\Z"
)
_TRAINING_OPERATIONS = {
    ("POST", False, None): "create",
    ("GET", True, None): "show",
    ("PUT", True, None): "update",
    ("DELETE", True, None): "delete",
    ("POST", True, "actions"): "stop",
}
_IAM = {
    ("POST", "/v3/auth/tokens"): "token",
    ("POST", "/v3.0/OS-CREDENTIAL/securitytokens"): "keys",
    ("GET", "/v3/projects"): "projects",
}
_FIELDS: Mapping[str, Mapping[str, Tuple[type, ...]]] = {
    "create": {
        "job_name": (str,),
        "job_desc": (str,),
        "train_url": (str,),
        "job_type": (str,),
        "schedule": (list,),
        "flavor": (dict,),
        "workspace_id": (str,),
    },
    "update": {"job_desc": (str,)},
}
#: The same of v2, for jobs of the kind ``visualization_job``.
_TRAINING_FIELDS: Mapping[str, Mapping[str, Tuple[type, ...]]] = {
    "create": {
        "kind": (str,),
        "metadata": (dict,),
        "algorithm": (dict,),
        "spec": (dict,),
        "endpoints": (dict,),
    },
    "list": {
        "offset": (int,),
        "limit": (int,),
        "sort_by": (str,),
        "order": (str,),
        "group_by": (str,),
        "workspace_id": (str,),
        "filters": (list,),
    },
    "update": {"description": (str,)},
    "stop": {"action_type": (str,)},
}
_TRAINING_NEEDED: Mapping[str, Tuple[str, ...]] = {
    "create": ("kind", "metadata", "algorithm"),
    "list": (),
    "update": ("description",),
    "stop": ("action_type",),
}
_NEEDED = {"create": ("job_name", "train_url"), "update": ("job_desc",)}
_SCHEDULE = {"type": "stop", "time_unit": "HOURS"}
_QUERY = frozenset(
    (
        "status",
        "per_page",
        "page",
        "sortBy",
        "sort_by",
        "order",
        "search_content",
        "workspace_id",
    )
)


class Malformed(AssertionError):
    """The error of the fake for a request that no edition of the API describes.

    The test is wrong, or the code is.
    """


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Recorded:
    """A request that the fake has received.

    Attributes:
        operation: ``"create"``, ``"list"``, ``"show"``, ``"update"``, ``"stop"``, ``"restart"``,
            ``"delete"``; of IAM ``"token"``, ``"keys"``, ``"projects"``; else ``"other"``.
        method: the HTTP method.
        path: the path, without the query.
        job_id: the number of the job in the path; None if there is none, and with v2.
        query: the query's parameters.
        body: the body read as JSON; None if it is empty, and for ``"token"``, which has a password.
        training_id: the UUID in a path of v2; None if there is none.
    """

    operation: str
    method: str
    path: str
    job_id: Optional[int]
    query: Mapping[str, str]
    body: Any
    training_id: Optional[str] = None


def read_call(method: str, url: str, content: bytes, project_id: str) -> Recorded:
    """Return the call that a request is.

    Raises:
        Malformed: it is one of the seven operations, and not as documented.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    match = _TRAINING_JOBS.match(parts.path)
    if match is not None and match.group("project_id") == project_id:
        return _read_training_call(method, parts.path, match, content)
    operation, job_id = _operation(method, parts.path, project_id)
    call = "%s %s" % (method, parts.path)
    body = _json(call, operation, content)
    if operation in _FIELDS:
        _check_body(call, _FIELDS[operation], _NEEDED[operation], body)
    elif operation in ("list", "show", "stop", "restart", "delete") and body is not None:
        raise Malformed("%s has a body, which %s does not take: %r" % (call, operation, body))
    if operation == "list":
        unknown = sorted(set(query) - _QUERY)
        if unknown:
            raise Malformed("%s has the unknown parameter %s" % (call, ", ".join(unknown)))
    shown = None if operation == "token" else body  # it holds a password
    return Recorded(operation, method, parts.path, job_id, query, shown)


def _operation(method: str, path: str, project_id: str) -> Tuple[str, Optional[int]]:
    match = _JOBS.match(path)
    if match is None:
        return _IAM.get((method, path), "other"), None
    if match.group("project_id") != project_id:
        return "other", None
    number = match.group("job_id")
    operation = _OPERATIONS.get((method, number is not None, match.group("action")))
    if operation is None:
        raise Malformed("%s %s: the API has no such call" % (method, path))
    return operation, None if number is None else int(number)


def _json(call: str, operation: str, content: bytes) -> Any:
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError:
        if operation == "other":
            return content
        raise Malformed("%s: the body is not JSON" % call) from None


def _read_training_call(method: str, path: str, match: "re.Match[str]", content: bytes) -> Recorded:
    if match.group("search"):
        operation = "list" if method == "POST" else None
    else:
        key = (method, match.group("job_id") is not None, match.group("action"))
        operation = _TRAINING_OPERATIONS.get(key)
    call = "%s %s" % (method, path)
    if operation is None:
        raise Malformed("%s: the API has no such call" % call)
    body = _json(call, operation, content)
    is_board = isinstance(body, dict) and body.get("kind") == "visualization_job"
    if operation == "create" and not is_board:
        return Recorded("other", method, path, None, {}, body)  # a training
    if operation in _TRAINING_FIELDS:
        known, needed = _TRAINING_FIELDS[operation], _TRAINING_NEEDED[operation]
        _check_body(call, known, needed, body)
    return Recorded(operation, method, path, None, {}, body, match.group("job_id"))


def _check_body(
    call: str, fields: Mapping[str, Tuple[type, ...]], needed: Tuple[str, ...], body: Any
) -> None:
    if not isinstance(body, dict):
        raise Malformed("%s: the body is %r, not a JSON object" % (call, body))
    for name in needed:
        if name not in body:
            raise Malformed("%s: the body has no %s" % (call, name))
    for name, value in body.items():
        if name not in fields:
            raise Malformed(
                "%s: the body has the unknown field %s; known are %s"
                % (call, name, ", ".join(fields))
            )
        if not isinstance(value, fields[name]):
            raise Malformed("%s: %s is %r" % (call, name, value))
    for schedule in body.get("schedule", ()):
        _check_schedule(call, schedule)


def _check_schedule(call: str, schedule: Any) -> None:
    hours = schedule.get("duration") if isinstance(schedule, dict) else None
    if type(hours) is not int or not 0 <= hours <= 24:
        raise Malformed("%s: schedule is %r; its duration is 0 to 24" % (call, schedule))
    if {**schedule, **_SCHEDULE} != schedule:
        raise Malformed("%s: schedule is %r; it must have %r" % (call, schedule, _SCHEDULE))
