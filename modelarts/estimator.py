"""Visualization jobs: TensorBoard over training logs in OBS."""

import os
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, TypeVar, Union

from modelarts.errors import ApiError, InvalidArgument
from modelarts.jobs import arguments
from modelarts.jobs.fields import documented_job, to_int
from modelarts.jobs.status import JOB_STATE, JobStatus
from modelarts.session import Session

if TYPE_CHECKING:
    from modelarts.http.client import ServiceClient
    from modelarts.jobs.models import JobInfo, Schedule

__all__ = ["JOB_STATE", "JobStatus", "VisualizationJob"]

_T = TypeVar("_T")
_Dict = Dict[str, Any]

_COMPLETE = 1  # all that the service says is known
_RESTARTED = 2  # a restart was asked for, and the job has not been seen running since
#: What a stop or a restart changes: forgotten then, and read anew when asked for.
_CHANGING = ("status", "service_url", "duration", "remaining_duration", "reason")


class VisualizationJob:
    """One visualization job.

    >>> job = VisualizationJob.create("/bucket/logs/", auto_stop=2, session=session)
    >>> job.wait().service_url                                            # doctest: +SKIP
    'https://…/modelarts/tensorboard/04f679b17380d32a2f32c00335c4b5ba/197/'
    >>> job.stop().wait(until=JobStatus.KILLED).restart().wait()          # doctest: +SKIP
    VisualizationJob(visualization_id='197', job_name='job1f00aa27', status='RUNNING')
    >>> job.delete()                                                      # doctest: +SKIP

    There are two voices. The short verbs (``create``, ``get``, ``list``, ``iter``,
    ``refresh``, ``update``, ``stop``, ``restart``, ``delete``, ``wait``) raise typed errors,
    change the object and answer it. The documented calls (``…_visualization_job…``) answer
    the documented dict, also when the service refuses.

    Making an object sends nothing. The first time that an attribute is read which is not
    known yet, the details are fetched, once.

    Args:
        modelarts_session: the session; by default one made from the environment.
        visualization_id: the job's id, such as ``'8992'``; not needed to create a job.
        session: the same as ``modelarts_session``.

    Source: *ModelArts SDK Reference*, "Visualization Jobs".
    """

    # Lists are long: what can be told from the answer is not kept a second time.
    __slots__ = ("_given_id", "_raw", "_session", "_state")

    def __init__(
        self,
        modelarts_session: Optional[Session] = None,
        visualization_id: Union[None, str, int] = None,
        *,
        session: Optional[Session] = None,
    ) -> None:
        self._session = _one_session(modelarts_session, session)
        self._given_id: Optional[str] = (
            None if visualization_id is None else arguments.job_id(visualization_id)
        )
        self._raw: _Dict = {}
        self._state = 0

    # The short verbs -----------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        train_url: Union[str, "os.PathLike[str]"],
        job_name: Optional[str] = None,
        job_desc: str = "",
        job_type: str = "tensorboard",
        auto_stop: Optional[int] = None,
        flavor: Optional[str] = None,
        session: Optional[Session] = None,
        *,
        obs_path: Optional[str] = None,
        check: bool = True,
    ) -> "VisualizationJob":
        """Create a job over the event files of a folder.

        The job is created at once and starts in its own time: ``create(…).wait()``.

        Args:
            train_url: the folder in OBS, ``'/bucket/path/'`` or ``'obs://bucket/path/'``; or one
                on this machine, which is sent to OBS first: ``'runs/'``, or a ``pathlib.Path``.
            job_name: 1 to 20 letters, digits, ``_`` or ``-``; by default ``job`` and eight
                hexadecimal digits.
            job_desc: 0 to 256 characters.
            job_type: ``'tensorboard'`` or ``'mindinsight'``.
            auto_stop: after how many hours (0 to 24) the job stops by itself; by default it
                runs, and is billed, until it is stopped.
            flavor: a specification's code; normally none.
            session: by default one made from the environment.
            obs_path: the folder in OBS that a local folder is to be in; by default that of
                ``MODELARTS_OBS_PATH``, and with the local service the bucket ``uploads``.
            check: draw a :class:`~modelarts.obs.first_look.NoEventFiles` warning if the folder
                has no event files, as far as that can be told soon.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            IncompleteTransfer: a local folder could not be sent whole; there is no job.
            ApiError: the service refused, e.g. :class:`~modelarts.errors.QuotaExceeded`.
            AmbiguousCreate: the answer was lost, and it cannot be told whether there is a job.
            TransportError: no answer, and nothing was created.
        """
        return cls(session=session)._create(
            train_url, job_name, job_desc, job_type, auto_stop, flavor, obs_path, check
        )

    @classmethod
    def get(
        cls, visualization_id: Union[str, int], session: Optional[Session] = None
    ) -> "VisualizationJob":
        """The job of that id, with its details.

        Raises:
            NotFound: there is none.
        """
        return cls(session=session, visualization_id=visualization_id).refresh()

    @classmethod
    def iter(
        cls,
        session: Optional[Session] = None,
        *,
        status: Union[None, int, str, "List[int]"] = None,
        search_content: Optional[str] = None,
        sort_by: str = "job_id",
        order: str = "asc",
        workspace_id: Optional[str] = None,
        per_page: int = 100,
    ) -> "Iterator[VisualizationJob]":
        """All jobs that match, from all pages, each once; a page is read when it is needed.

        Args:
            status: a status number, several as ``'3|5|6|13'`` or as a list; by default all.
            search_content: what a job's name contains; 0 to 100 characters.
            sort_by: one of ``job_id``, ``job_name``, ``job_desc``, ``create_time``,
                ``status``, ``duration``, ``log_dir``.
            order: ``'asc'`` or ``'desc'``.
            workspace_id: the workspace; by default the service's default, ``'0'``.
            per_page: how many to ask for at once, 1 to 1000.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            ApiError: the service refused.
        """
        query = arguments.list_query(
            status=status,
            search_content=search_content,
            sort_by=sort_by,
            order=order,
            workspace_id=workspace_id,
            per_page=per_page,
        )
        return cls._iterate(_or_default(session), query, int(per_page))

    @classmethod
    def list(cls, session: Optional[Session] = None, **filters: Any) -> "List[VisualizationJob]":
        """All jobs that match, as a list. Takes the arguments of :meth:`iter`."""
        return [*cls.iter(session, **filters)]

    def refresh(self) -> "VisualizationJob":
        """Fetch the details.

        Raises:
            NotFound: the job is gone.
        """
        from modelarts.jobs import api

        self._learn(api.details(self._client(), self._known_id()))
        return self

    def update(self, job_desc: str) -> "VisualizationJob":
        """Change the description, 0 to 256 characters."""
        from modelarts.jobs import api

        text = arguments.job_desc(job_desc)
        api.update(self._client(), self._known_id(), text)
        self._raw["job_desc"] = text
        return self

    def stop(self) -> "VisualizationJob":
        """Stop the job. It is stopped some time later: ``job.stop().wait(JobStatus.KILLED)``.

        Raises:
            JobStateError: it does not run.
        """
        from modelarts.jobs import once

        once.stop(self._client(), self._known_id())
        self._forget()
        return self

    def restart(self) -> "VisualizationJob":
        """Run a stopped job again. It runs some time later: ``job.restart().wait()``.

        Raises:
            JobStateError: it is not stopped.
        """
        from modelarts.jobs import once

        once.restart(self._client(), self._known_id())
        self._forget()
        self._state = _RESTARTED
        return self

    def delete(self) -> "VisualizationJob":
        """Delete the job. What is known of it stays readable in this object.

        Raises:
            JobStateError: it is just being stopped.
            NotFound: it is gone already.
        """
        from modelarts.jobs import api

        api.delete(self._client(), self._known_id())
        self._state = _COMPLETE
        return self

    def wait(
        self, until: "Union[int, List[int]]" = JobStatus.RUNNING, timeout: float = 600
    ) -> "VisualizationJob":
        """Wait until the job is running, or has another status.

        Args:
            until: the status, or several. KILLED, CANCELED and COMPLETED all mean stopped:
                waiting for one of them accepts any.
            timeout: seconds.

        Raises:
            JobFailed: the job is in a state from which it will not come to that status.
            WaitTimeout: the time was over; also a ``TimeoutError``.
            NotFound: the job is gone.
        """
        from modelarts.jobs.waiting import wait_for

        wait_for(self, until, timeout, self.session.clock, bool(self._state & _RESTARTED))
        return self

    # The documented calls ------------------------------------------------------------------

    def create_visualization_job(
        self,
        train_url: Union[str, "os.PathLike[str]"],
        job_name: Optional[str] = None,
        job_desc: str = "",
        job_type: str = "tensorboard",
        auto_stop: Optional[int] = None,
        flavor: Optional[str] = None,
    ) -> "VisualizationJob":
        """Create a job; answers a new object that stands for it.

        Arguments and errors are those of :meth:`create`. Source: *SDK Reference*, "Creating a
        Visualization Job".
        """
        return self._create(train_url, job_name, job_desc, job_type, auto_stop, flavor)

    @classmethod
    def get_visualization_job_object_list(
        cls,
        modelarts_session: Optional[Session] = None,
        status: Union[None, int, str] = None,
        per_page: Optional[int] = None,
        page: Optional[int] = None,
        sort_by: Optional[str] = None,
        order: Optional[str] = None,
        search_content: Optional[str] = None,
        is_show: bool = True,
        *,
        sortBy: Optional[str] = None,
        workspace_id: Optional[str] = None,
    ) -> "List[VisualizationJob]":
        """One page of jobs as objects; printed as a table too unless ``is_show=False``.

        Args:
            per_page: 1 to 1000, 10 if not given.
            page: from 1.
            sortBy: the same as ``sort_by``.

        The other arguments are those of :meth:`iter`, which reads all pages. Raises typed
        errors. Source: *SDK Reference*, "Querying the List of Visualization Job Objects".
        """
        session = _or_default(modelarts_session)
        query = _page_query(
            status, per_page, page, sort_by, sortBy, order, search_content, workspace_id
        )
        jobs = [cls._of(session, raw) for raw in _page(session, query)["jobs"]]
        if is_show:
            from modelarts.jobs.display import table

            print(table(jobs))
        return jobs

    @classmethod
    def get_visualization_job_list(
        cls,
        modelarts_session: Optional[Session] = None,
        status: Union[None, int, str] = None,
        per_page: Optional[int] = None,
        page: Optional[int] = None,
        sort_by: Optional[str] = None,
        order: Optional[str] = None,
        search_content: Optional[str] = None,
        *,
        sortBy: Optional[str] = None,
        workspace_id: Optional[str] = None,
    ) -> _Dict:
        """One page of jobs as a dict: ``job_total_count``, ``job_count_limit``, ``jobs``.

        The failure dict when the service refuses. Source: *SDK Reference*, "Obtaining
        Visualization Jobs".
        """
        session = _or_default(modelarts_session)
        query = _page_query(
            status, per_page, page, sort_by, sortBy, order, search_content, workspace_id
        )
        return _documented(lambda: _page(session, query))

    def get_visualization_job_info(self) -> _Dict:
        """The details as a dict; the failure dict when the service refuses.

        Source: *SDK Reference*, "Obtaining Details About a Visualization Job".
        """
        return _documented(lambda: self.refresh()._readable(documented_job))

    def update_visualization_job(self, job_desc: str) -> _Dict:
        """Change the description; ``{"is_success": True}`` or the failure dict.

        Source: *SDK Reference*, "Modifying the Description of a Visualization Job".
        """
        return _documented(lambda: self.update(job_desc))

    def stop_visualization_job(self) -> _Dict:
        """Stop the job; ``{"is_success": True}`` or the failure dict.

        Source: *SDK Reference*, "Stopping a Visualization Job".
        """
        return _documented(self.stop)

    def restart_visualization_job(self) -> _Dict:
        """Run a stopped job again; ``{"is_success": True}`` or the failure dict.

        Source: *SDK Reference*, "Restarting a Visualization Job".
        """
        return _documented(self.restart)

    def delete_visualization_job(self) -> _Dict:
        """Delete the job; ``{"is_success": True}`` or the failure dict.

        Source: *SDK Reference*, "Deleting a Visualization Job".
        """
        return _documented(self.delete)

    # What is known of the job --------------------------------------------------------------

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
        from modelarts.jobs.models import Schedule

        self._need("schedule")
        return self._readable(lambda raw: Schedule.from_wire(raw.get("schedule")))

    @property
    def info(self) -> "JobInfo":
        """All that is known, with types; fetched if nothing is."""
        from modelarts.jobs.models import JobInfo

        self._need("status")
        return self._readable(JobInfo.from_wire)

    @property
    def raw(self) -> _Dict:
        """What the service last said, as it came."""
        return dict(self._raw)

    def __repr__(self) -> str:
        shown = {"visualization_id": self.visualization_id, "job_name": self._raw.get("job_name")}
        if "status" in self._raw:
            shown["status"] = self._readable(lambda raw: JobStatus(to_int(raw["status"]) or 0).name)
        parts = ("%s=%r" % (name, value) for name, value in shown.items() if value is not None)
        return "%s(%s)" % (type(self).__name__, ", ".join(parts))

    def __getstate__(self) -> _Dict:
        # A session holds secrets; where this is unpickled, the environment's is used.
        return {"id": self._given_id, "raw": self._raw, "state": self._state}

    def __setstate__(self, state: _Dict) -> None:
        self._session = None
        self._given_id, self._raw, self._state = state["id"], state["raw"], state["state"]

    # ---------------------------------------------------------------------------------------

    @classmethod
    def _of(cls, session: Session, raw: _Dict) -> "VisualizationJob":
        job = cls.__new__(cls)
        job._session = session
        job._given_id = None
        job._raw = raw
        job._state = _COMPLETE
        return job

    @classmethod
    def _iterate(
        cls, session: Session, query: Dict[str, str], per_page: int
    ) -> "Iterator[VisualizationJob]":
        from modelarts.jobs import api

        for raw in api.iterate(session.client, query, per_page):
            yield cls._of(session, raw)

    def _create(
        self,
        train_url: Union[str, "os.PathLike[str]"],
        job_name: Optional[str],
        job_desc: Optional[str],
        job_type: str,
        auto_stop: Optional[int],
        flavor: Optional[str],
        obs_path: Optional[str] = None,
        check: bool = True,
    ) -> "VisualizationJob":
        body: _Dict = {
            # Not from the random module: forked workers share its state, and two jobs of
            # one name could not be told apart.
            "job_name": arguments.job_name(
                "job" + os.urandom(4).hex() if job_name is None else job_name
            ),
            "job_desc": arguments.job_desc("" if job_desc is None else job_desc),
            "job_type": arguments.job_type(job_type),
        }
        schedule = arguments.auto_stop(auto_stop)
        if schedule is not None:
            body["schedule"] = schedule.to_wire()
        specification = arguments.flavor(flavor)
        if specification is not None:
            body["flavor"] = specification
        from modelarts.jobs import once
        from modelarts.obs.first_look import FirstLook, send_folder

        if arguments.is_local(train_url):
            train_url = send_folder(self.session, train_url, obs_path)
        body["train_url"] = arguments.train_url(train_url)
        look = FirstLook(self.session, body) if check else None
        answer = once.create(self._client(), body, unique=job_name is None)
        if look is not None:
            look.warn()
        # What was sent is known as well; the details are fetched for what is in neither.
        job = self._of(self.session, {**body, **answer})
        job._state = 0
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
        restarted = self._state & _RESTARTED
        self._raw = raw
        self._state = _COMPLETE
        if restarted and (self.status or JobStatus.UNKNOWN).is_final:
            self._state |= restarted

    def _forget(self) -> None:
        self._raw = {key: value for key, value in self._raw.items() if key not in _CHANGING}
        self._state = 0

    def _need(self, key: str) -> None:
        if key not in self._raw and not self._state & _COMPLETE:
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


def _one_session(first: Optional[Session], second: Optional[Session]) -> Optional[Session]:
    if first is not None and second is not None and first is not second:
        raise InvalidArgument("session", second, "the same as modelarts_session, or one of the two")
    given = first if first is not None else second
    if given is not None and not isinstance(given, Session):
        raise InvalidArgument("modelarts_session", given, "a modelarts.session.Session")
    return given


def _or_default(session: Optional[Session]) -> Session:
    return _one_session(session, None) or Session()


def _page_query(
    status: Any,
    per_page: Any,
    page: Any,
    sort_by: Any,
    sortBy: Any,
    order: Any,
    search_content: Any,
    workspace_id: Any,
) -> Dict[str, str]:
    if sort_by is not None and sortBy is not None and sort_by != sortBy:
        raise InvalidArgument("sortBy", sortBy, "the same as sort_by, or one of the two")
    return arguments.list_query(
        status=status,
        per_page=per_page,
        page=page,
        sort_by=sortBy if sort_by is None else sort_by,
        order=order,
        search_content=search_content,
        workspace_id=workspace_id,
    )


def _page(session: Session, query: Dict[str, str]) -> _Dict:
    from modelarts.jobs import api

    return api.documented_page(session.client, query)


def _documented(call: Callable[[], Any]) -> _Dict:
    """The documented dict of a call: what it answers if that is a dict, or the failure."""
    try:
        answer = call()
    except ApiError as refusal:
        return refusal.as_dict()
    return dict(answer if isinstance(answer, dict) else {}, is_success=True)
