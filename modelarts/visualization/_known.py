"""What is known of a job: its fields as last seen, and when to fetch them."""

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, TypeVar, Union

from modelarts import validation as arguments
from modelarts._fields import to_int
from modelarts._status import JobStatus
from modelarts.errors import InvalidArgument
from modelarts.session import Session

if TYPE_CHECKING:
    from typing_extensions import Self

    from modelarts.http.client import ServiceClient
    from modelarts.models import JobInfo, Schedule

__all__ = ["COMPLETE", "RESTARTED", "KnownJob", "one_session"]

_T = TypeVar("_T")
_Dict = Dict[str, Any]

COMPLETE = 1  # all that the service says is known
RESTARTED = 2  # a restart was asked for, and the job has not been seen running since
#: What a stop or a restart changes: forgotten then, and read anew when asked for.
_CHANGING = ("status", "service_url", "duration", "remaining_duration", "reason")


class KnownJob:
    """A job's id and attributes; :meth:`refresh` looks again."""

    # Lists are long: what can be told from the answer is not kept a second time.
    __slots__ = ("_given_id", "_raw", "_seen", "_session", "_state")

    def __init__(
        self,
        modelarts_session: Optional[Session] = None,
        visualization_id: Union[None, str, int] = None,
        *,
        session: Optional[Session] = None,
    ) -> None:
        self._session = one_session(modelarts_session, session)
        self._given_id: Optional[str] = (
            None if visualization_id is None else arguments.job_id(visualization_id)
        )
        self._raw: _Dict = {}
        self._seen: Optional[float] = None
        self._state = 0

    def refresh(self) -> "Self":
        """Fetch the details.

        Raises:
            NotFound: the job is gone.
        """
        from modelarts.visualization import v1 as api

        self._learn(api.details(self._client(), self._known_id()))
        return self

    @property
    def session(self) -> Session:
        """The session; made from the environment when none was given."""
        if self._session is None:
            self._session = Session()
        return self._session

    @property
    def visualization_id(self) -> Optional[str]:
        """The job's id, as digits; None before there is a job."""
        if self._given_id is not None or "job_id" not in self._raw:
            return self._given_id
        number = self._raw["job_id"]
        if type(number) is int and number > 0:  # as nearly always, and lists are long
            return str(number)
        return self._readable(lambda job: arguments.job_id(job["job_id"]))

    @property
    def job_id(self) -> Optional[str]:
        """The same as ``visualization_id``."""
        return self.visualization_id

    @property
    def is_success(self) -> bool:
        """Whether the call that made this object succeeded: it did, it would have raised."""
        return True

    @property
    def job_name(self) -> Optional[str]:
        """The name."""
        return self._text("job_name")

    @property
    def job_desc(self) -> Optional[str]:
        """The description."""
        return self._text("job_desc")

    @property
    def train_url(self) -> Optional[str]:
        """The folder in OBS that the job reads."""
        return self._text("train_url")

    @property
    def service_url(self) -> Optional[str]:
        """The address of the board; it opens while the job is running."""
        return self._text("service_url")

    @property
    def resource_id(self) -> Optional[str]:
        """The id of the resource that is billed."""
        return self._text("resource_id")

    @property
    def job_type(self) -> Optional[str]:
        """``'tensorboard'`` or ``'mindinsight'``; None where the service does not say."""
        return self._text("job_type")

    @property
    def status(self) -> Optional[JobStatus]:
        """The status as last seen; :meth:`refresh` looks again."""
        number = self._raw.get("status")
        if type(number) is not int:
            number = self._number("status")
        return None if number is None else JobStatus(number)

    @property
    def create_time(self) -> Optional[int]:
        """When the job was created, in milliseconds since the epoch."""
        return self._number("create_time")

    @property
    def duration(self) -> Optional[int]:
        """How long the job has been running, in milliseconds."""
        return self._number("duration")

    @property
    def schedule(self) -> "Optional[Schedule]":
        """When the job stops by itself; None if it does not, or the service does not say."""
        from modelarts.models import Schedule

        self._need("schedule")
        return self._readable(lambda raw: Schedule.from_wire(raw.get("schedule")))

    @property
    def info(self) -> "JobInfo":
        """All that is known, with types; fetched if nothing is."""
        from modelarts.models import JobInfo

        self._need("status")
        return self._readable(JobInfo.from_wire)

    @property
    def raw(self) -> _Dict:
        """What the service last said, as it came."""
        return dict(self._raw)

    @property
    def last_seen(self) -> Optional[datetime]:
        """When the service last told about the job, in UTC; None if it did not yet."""
        return None if self._seen is None else datetime.fromtimestamp(self._seen, timezone.utc)

    def __repr__(self) -> str:
        shown = {"visualization_id": self.visualization_id, "job_name": self._raw.get("job_name")}
        if "status" in self._raw:
            shown["status"] = self._readable(lambda raw: JobStatus(to_int(raw["status"]) or 0).name)
        parts = ("%s=%r" % (name, value) for name, value in shown.items() if value is not None)
        return "%s(%s)" % (type(self).__name__, ", ".join(parts))

    def __getstate__(self) -> _Dict:
        # A session holds secrets; where this is unpickled, the environment's is used.
        return {
            "id": self._given_id,
            "raw": self._raw,
            "seen": self._seen,
            "state": self._state,
        }

    def __setstate__(self, state: _Dict) -> None:
        self._session = None
        self._given_id, self._raw, self._state = state["id"], state["raw"], state["state"]
        self._seen = state.get("seen")  # not in what an older version pickled

    @classmethod
    def _of(cls, session: Session, raw: _Dict, seen: Optional[float] = None) -> "Self":
        job = cls.__new__(cls)
        job._session = session
        job._given_id = None
        job._raw = raw
        job._seen = session.clock.time() if seen is None else seen
        job._state = COMPLETE
        return job

    def _client(self) -> "ServiceClient":
        return self.session.client

    def _known_id(self) -> str:
        known = self.visualization_id
        if known is None:
            raise InvalidArgument(
                "visualization_id",
                None,
                "the number of a job; this object stands for none yet, so give one, or use the "
                "object that create_visualization_job(…) answers",
            )
        return known

    def _learn(self, raw: _Dict) -> None:
        if self._given_id is None:
            # The details need not repeat it.
            self._given_id = self.visualization_id
        restarted = self._state & RESTARTED
        self._raw = raw
        self._seen = self.session.clock.time()
        self._state = COMPLETE
        if restarted and (self.status or JobStatus.UNKNOWN).is_final:
            self._state |= restarted

    def _forget(self) -> None:
        self._raw = {key: value for key, value in self._raw.items() if key not in _CHANGING}
        self._state = 0

    def _need(self, key: str) -> None:
        if key not in self._raw and not self._state & COMPLETE:
            self.refresh()

    def _text(self, key: str) -> Optional[str]:
        self._need(key)
        value = self._raw.get(key)
        return None if value is None else str(value)

    def _number(self, key: str) -> Optional[int]:
        self._need(key)
        return self._readable(lambda raw: to_int(raw.get(key), key))

    def _readable(self, read: Callable[[_Dict], _T]) -> _T:
        try:
            return read(self._raw)
        except (ValueError, TypeError) as error:
            raise self._client().unreadable("read a visualization job", error) from None


def one_session(first: Optional[Session], second: Optional[Session]) -> Optional[Session]:
    if first is not None and second is not None and first is not second:
        raise InvalidArgument("session", second, "the same as modelarts_session, or one of the two")
    given = first if first is not None else second
    if given is not None and not isinstance(given, Session):
        raise InvalidArgument("modelarts_session", given, "a modelarts.session.Session")
    return given
