"""Links to the board of one job that end, which the local service has and no cloud."""

from datetime import datetime, timezone
from html import escape
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

import attr

from modelarts._internal.wording import Worded
from modelarts.errors import NotFound
from modelarts.http.client import ServiceClient

if TYPE_CHECKING:
    from modelarts.errors import ApiError

__all__ = ["Share", "create", "of_job", "revoke"]

_NO_SUCH_API = "APIG.0101"


@attr.s(frozen=True, auto_attribs=True, kw_only=True)
class Share:
    """A link to the board of one job, which ends.

    The address is a secret: anyone who has it can look at the board. It is in no repr, no card and
    no pickle, and the service keeps a hash of it only.

    Attributes:
        share_id: the id, by which the link is revoked.
        job_id: the id of the job.
        created: the time at which the link was created, in UTC.
        ends: the time at which it stops working, in UTC.
        url: the address; None in a list, as the service does not know it any more.
    """

    share_id: str
    job_id: str
    created: datetime
    ends: datetime
    url: Optional[str] = attr.ib(default=None, repr=False)

    def show(self, ask: bool = True) -> None:
        """Print the address, after a question: what a notebook prints is saved with it.

        Args:
            ask: False to print it without a question; by default True.
        """
        if self.url is None:
            print("The address of a link is shown once, by share(); create another link.")
            return
        if ask:
            question = "Anyone who sees the address can look at the board. Show it here? [y/N] "
            if input(question).strip().lower() not in ("y", "yes"):
                return
        print(self.url)

    def _repr_html_(self) -> str:
        from modelarts.visualization.display.html import box
        from modelarts.visualization.display.text import clock_time

        facts = [
            ("link", self.share_id),
            ("ends", clock_time(self.ends)),
            ("address", "share.show() asks, and prints it; share.url is it" if self.url else ""),
        ]
        name = "A link to the board of job %s" % escape(self.job_id)
        return box(name, [], [(key, value) for key, value in facts if value])

    def __getstate__(self) -> Dict[str, Any]:
        return dict(vars(self), url=None)


def create(client: ServiceClient, job_id: str, hours: int) -> Share:
    """Create a link: ``POST …/shares``."""
    answer = _call(client, "share visualization job %s" % job_id, "POST", job_id, "", hours)
    return _share(client, job_id, answer)


def of_job(client: ServiceClient, job_id: str) -> List[Share]:
    """Return the links of a job that work: ``GET …/shares``."""
    answer = _call(client, "list links to visualization job %s" % job_id, "GET", job_id)
    return [_share(client, job_id, each) for each in answer["shares"]]


def revoke(client: ServiceClient, job_id: str, share_id: str) -> None:
    """End a link: ``DELETE …/shares/{share_id}``."""
    operation = "revoke link %s to visualization job %s" % (share_id, job_id)
    try:
        _call(client, operation, "DELETE", job_id, "/" + share_id)
    except NotFound as error:
        # Sent again because an answer was lost: the first one did it.
        if error.attempts == 1:
            raise


def _call(
    client: ServiceClient,
    operation: str,
    method: str,
    job_id: str,
    more: str = "",
    hours: Optional[int] = None,
) -> Dict[str, Any]:
    path = "/local/%s/visualization-jobs/%s/shares%s" % (client.project_id, job_id, more)
    body = None if hours is None else {"hours": hours}
    try:
        return dict(client.call(operation, method, path, body=body, check=_wrong(method)))
    except NotFound as error:
        if error.error_code not in (None, _NO_SUCH_API):
            raise
        raise _no_shares(error) from None


def _wrong(method: str) -> Any:
    def check(answer: Any) -> Optional[str]:
        if not isinstance(answer, dict):
            return "it is not a JSON object"
        if method == "POST" and not isinstance(answer.get("url"), str):
            return "it has no address"
        if method == "GET" and not isinstance(answer.get("shares"), list):
            return "it has no list of links"
        return None

    return check


def _no_shares(error: "ApiError") -> NotFound:
    local = Worded("Session.local() has them", "the local service (--local) has them")
    return NotFound(
        "This service has no links to share: clouds have no such call",
        status_code=error.status_code,
        error_code=error.error_code,
        request_id=error.request_id,
        operation=error.operation,
        hint=local,
    )


def _share(client: ServiceClient, job_id: str, fields: Mapping[str, Any]) -> Share:
    try:
        return Share(
            share_id=str(fields["share_id"]),
            job_id=job_id,
            created=_time(fields["create_time"]),
            ends=_time(fields["end_time"]),
            url=fields.get("url"),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        wrong = "a link lacks its id or its times (%s)" % type(error).__name__
        raise client.unreadable("share visualization job %s" % job_id, wrong) from None


def _time(milliseconds: Any) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
