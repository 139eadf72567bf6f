"""Advice on refusals, for the errors."""

from typing import Optional, Tuple

from modelarts._internal.wording import Worded, worded

_BY_CODE = {
    "ModelArts.0102": "leave workspace_id out, or ask which workspaces there are",
    "ModelArts.0108": "ask the account's administrator for the permission, or use another project",
    "ModelArts.0112": "ask the account's administrator for the role, or use another workspace",
    "ModelArts.0116": "stop or delete jobs that are not needed, or have the quota raised",
    "ModelArts.0118": "stop or delete jobs that are not needed, or have the quota raised",
    "ModelArts.0204": worded(
        "%s that the project is named after",
        Worded(
            "give project_id=, or the region_name=", "set MODELARTS_PROJECT_ID, or give the region"
        ),
    ),
    "ModelArts.0206": "check the keys",
    "ModelArts.0210": "check project_id and region_name: each project belongs to one region and "
    "account",
    "ModelArts.2786": "check project_id and region_name: each project belongs to one region and "
    "account",
    "APIG.0101": worded(
        "check region and endpoint: not every region offers this API (any more); %s has the v2 "
        "API used, and %s has both",
        Worded("api='v2'", "MODELARTS_API=v2"),
        Worded("Session.local()", "the option --local"),
    ),
    "APIG.0301": "check the credentials",
    "APIG.0308": "send fewer requests, or fewer at the same time",
}
_BY_STATUS = {
    401: "check the credentials",
    407: "the proxy wants a user and a password: give proxies=",
    429: "send fewer requests, or fewer at the same time",
}
#: The advice to run 'modelarts whoami', which is left out in that command itself.
_WHOAMI_BY_CODE = {
    "ModelArts.0206": ": 'modelarts whoami' shows their source",
    "ModelArts.0210": "; 'modelarts whoami' shows the source of yours",
    "ModelArts.2786": "; 'modelarts whoami' shows the source of yours",
    "APIG.0301": ": 'modelarts whoami' shows their source and the clock's difference",
}
_WHOAMI_BY_STATUS = {401: ": 'modelarts whoami' shows their source"}


def hint(
    status: int,
    code: Optional[str],
    state: Optional[Tuple[str, int]] = None,
    with_whoami: bool = True,
) -> Optional[str]:
    """Return the next step for the user; None if there is no advice.

    Args:
        state: the action that the job's status does not allow, and that status.
        with_whoami: True to advise running ``modelarts whoami``.
    """
    if state is not None and state[0]:
        return hint_of_state(*state)
    by_code = _BY_CODE.get(code or "")
    if by_code is not None:
        return worded("%s%s", by_code, _WHOAMI_BY_CODE.get(code or "", "") if with_whoami else "")
    by_status = _BY_STATUS.get(status)
    if by_status is not None and with_whoami:
        by_status += _WHOAMI_BY_STATUS.get(status, "")
    return by_status


def hint_of_state(verb: str, number: int) -> str:
    """Return what to do about a refused ``stop``, ``resubmit`` or ``delete``.

    Args:
        verb: the request, in the word of v1.
        number: the status of the job.
    """
    from modelarts._status import JobStatus

    status = JobStatus(number)
    now = "it is %s (%d)" % (status.name, number)
    if status == JobStatus.KILLING:
        then = {"resubmit": "restart", "delete": "delete"}.get(verb)
        wait = Worded("job.wait(JobStatus.KILLED)", "'modelarts jobs wait JOB --until stopped'")
        after = ", then %s it" % then if then else ""
        return worded("%s; wait for it to end: %s%s", now, wait, after)
    if verb == "stop" and status.is_final:
        return now + "; it does not run, so there is nothing to stop"
    if verb == "resubmit" and not status.is_final:
        return now + "; only a job that has ended can be restarted"
    return now
