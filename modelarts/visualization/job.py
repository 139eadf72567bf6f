"""Visualization jobs: TensorBoard over training logs in OBS."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    TypeVar,
    Union,
)

from modelarts import validation as arguments
from modelarts._fields import documented_job, is_uuid, to_int
from modelarts._internal.wording import Worded, worded
from modelarts._status import JobStatus
from modelarts.errors import (
    ApiError,
    InvalidArgument,
    JobStateError,
    ModelArtsError,
    NotFound,
)
from modelarts.session import Session, checked_session

if TYPE_CHECKING:
    from typing_extensions import Self

    from modelarts.http.client import ServiceClient
    from modelarts.models import JobInfo, Schedule
    from modelarts.visualization.dialect import Api
    from modelarts.visualization.display.lists import JobList
    from modelarts.visualization.request import CreateRequest
    from modelarts.visualization.shares import Share

    _Folder = Union[str, os.PathLike[str]]
    _Folders = Union[_Folder, Sequence[_Folder], Mapping[str, _Folder]]

__all__ = ["VisualizationJob"]

_T = TypeVar("_T")
_Dict = Dict[str, Any]

_COMPLETE = 1  # all that the service says is known
_RESTARTED = 2  # a restart was asked for, and the job has not been seen running since
#: What a stop or a restart changes: forgotten then, and read anew when asked for.
_CHANGING = (
    "status",
    "service_url",
    "duration",
    "remaining_duration",
    "reason",
    "reader",
    "obs_requests",
)


class VisualizationJob:
    """One visualization job.

    There are two sets of methods. The short methods (``create``, ``get``, ``list``, ``iter``,
    ``refresh``, ``update``, ``stop``, ``restart``, ``delete``, ``wait``, ``ensure``, ``show``,
    ``open``, ``share``, ``shares``, ``unshare``) raise typed errors; those that act on a job change
    this object and return it. The documented calls (``…_visualization_job…``) return what the
    reference of the original SDK documents; those that return a dict return one also when the
    service refuses the request.

    As a context manager it stops the job at the end of the block.

    The constructor sends no request. When an attribute is read that is not known yet, the details
    are fetched, once.

    Args:
        modelarts_session: the session; by default one made from the environment.
        visualization_id: the job's id, such as ``'8992'`` or ``8992``; not needed to create a job.
        session: another name of ``modelarts_session``.

    Raises:
        InvalidArgument: the id is not a positive number, a session is of another type, or
            ``session`` and ``modelarts_session`` are different.

    Source: *ModelArts SDK Reference*, "Visualization Jobs".

    Example:
        >>> job = VisualizationJob.create("/bucket/logs/", auto_stop=2, session=session)
        >>> job.wait().service_url                                            # doctest: +SKIP
        'https://…/modelarts/tensorboard/04f679b17380d32a2f32c00335c4b5ba/197/'
        >>> job.stop().wait(until=JobStatus.KILLED).restart().wait()          # doctest: +SKIP
        VisualizationJob(visualization_id='197', job_name='job1f00aa27', status='RUNNING')
        >>> job.delete()                                                      # doctest: +SKIP
        >>> with VisualizationJob.create("/bucket/logs/") as job:             # doctest: +SKIP
        ...     job.show()
    """

    # Lists are long: what can be told from the answer is not kept a second time.
    __slots__ = ("_given_id", "_raw", "_seen", "_session", "_state", "_token")

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
        self._token: Optional[str] = None
        self._seen: Optional[float] = None
        self._state = 0

    # Create, find, change -------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        train_url: Optional[_Folders] = None,
        job_name: Optional[str] = None,
        job_desc: str = "",
        job_type: str = "tensorboard",
        auto_stop: Optional[int] = None,
        flavor: Optional[str] = None,
        session: Optional[Session] = None,
        *,
        training_jobs: Optional[Sequence[Any]] = None,
        pool_id: Optional[str] = None,
        obs_path: Optional[str] = None,
        check: bool = True,
    ) -> Self:
        """Create a job over the event files of a folder.

        The job starts some time after the call: ``create(…).wait()`` waits until it is running.

        Args:
            train_url: the folder in OBS, ``'/bucket/path/'`` or ``'obs://bucket/path/'``; or one on
                this machine: ``'runs/'``, or a ``pathlib.Path``. With ``Session.local()`` such a
                folder is read in place, and new points and runs appear without a further call; with
                other sessions it is sent to OBS first. With ``Session.local()`` also several
                folders: a list, or ``{name: folder}``, whose names the names of runs begin with.
            job_name: 1 to 20 letters, digits, ``_`` or ``-``; by default ``job`` and eight
                hexadecimal digits.
            job_desc: 0 to 256 characters; by default empty.
            job_type: ``'tensorboard'``, the default, or ``'mindinsight'``; in any case.
            auto_stop: the whole hours, 0 to 24, after which the service stops the job; by default
                the job runs, and is billed, until it is stopped.
            flavor: the code of a specification; normally None.
            session: the session; by default one made from the environment.
            training_jobs: the trainings that the board shows, instead of ``train_url``: a list of
                their ids, or of objects with a ``job_id``; with the v2 API only. By default none.
            pool_id: the id of a resource pool; with the v2 API only. By default none.
            obs_path: the folder in OBS into which a local folder is copied; by default one of its
                own in ``session.obs_path``. With ``Session.local()`` it makes a copy there.
            check: True, the default, to warn with :class:`~modelarts.errors.NoEventFiles` if the
                folder has no event files, as far as this is known soon.

        Returns:
            The new job.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            IncompleteTransfer: a local folder could not be sent completely; no job was created.
            ApiError: the service refused the request, for example
                :class:`~modelarts.errors.QuotaExceeded`.
            AmbiguousCreate: the response was lost, and it is unknown whether the job was created.
            TransportError: no response, and nothing was created.

        Example:
            >>> job = VisualizationJob.create("/bucket/logs/", auto_stop=2)       # doctest: +SKIP
            >>> job.wait().service_url                                            # doctest: +SKIP
        """
        job = cls(session=session)
        request = job._request(
            train_url,
            job_name,
            job_desc,
            job_type,
            auto_stop,
            flavor,
            training_jobs,
            pool_id,
        )
        return job._create(request, obs_path, check)

    @classmethod
    def get(cls, visualization_id: Union[str, int], session: Optional[Session] = None) -> Self:
        """Return the job of an id, with its details.

        Args:
            visualization_id: the job's id, such as ``'8992'`` or ``8992``.
            session: the session; by default one made from the environment.

        Returns:
            The job, refreshed.

        Raises:
            InvalidArgument: the id is not a positive number; nothing was sent.
            NotFound: there is no such job.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.
        """
        return cls(session=session, visualization_id=visualization_id).refresh()

    @classmethod
    def iter(
        cls,
        session: Optional[Session] = None,
        *,
        status: Union[None, int, str, List[int]] = None,
        search_content: Optional[str] = None,
        sort_by: str = "job_id",
        order: str = "asc",
        workspace_id: Optional[str] = None,
        per_page: int = 100,
    ) -> Iterator[Self]:
        """Return an iterator over all jobs that match, from all pages, each job once.

        A page is requested when its first job is needed.

        Args:
            session: the session; by default one made from the environment.
            status: a status number, several as ``'3|5|6|13'`` or as a list; by default all.
            search_content: a text that the job's name contains; 0 to 100 characters.
            sort_by: one of ``job_id``, the default, ``job_name``, ``job_desc``, ``create_time``,
                ``status``, ``duration``, ``log_dir``.
            order: ``'asc'``, the default, or ``'desc'``.
            workspace_id: the workspace; by default the service's default, ``'0'``.
            per_page: the number of jobs in one request, 1 to 1000; by default 100.

        Returns:
            An iterator of jobs.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            ApiError: the service refused the request; raised by the iterator.
            TransportError: no response, or an unreadable one; raised by the iterator.

        Example:
            >>> for job in VisualizationJob.iter(session, status=8):              # doctest: +SKIP
            ...     print(job.job_name, job.service_url)
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
    def list(cls, session: Optional[Session] = None, **filters: Any) -> JobList[Self]:
        """Return all jobs that match, as a list that is shown as a table.

        Args:
            session: the session; by default one made from the environment.
            filters: the other arguments of :meth:`iter`, by name.

        Returns:
            The jobs; see :class:`~modelarts.visualization.display.lists.JobList`.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.

        Example:
            >>> VisualizationJob.list(session, status=8, order="desc")            # doctest: +SKIP
        """
        from modelarts.visualization.display.lists import JobList

        return JobList(cls.iter(session, **filters))

    def update(self, job_desc: str) -> Self:
        """Change the description.

        Args:
            job_desc: the new description, 0 to 256 characters.

        Returns:
            This object.

        Raises:
            InvalidArgument: the description is too long, or this object has no id; nothing was
                sent.
            NotFound: the job does not exist any more.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.
        """
        text = arguments.job_desc(job_desc)
        self._run(lambda api, client, job_id: api.update(client, job_id, text))
        self._raw["job_desc"] = text
        return self

    def stop(self) -> Self:
        """Stop the job.

        The job is stopped some time after the call: ``job.stop().wait(JobStatus.KILLED)`` waits for
        it. If the response is lost, the job's status decides whether the request is sent again.

        Returns:
            This object.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            JobStateError: the job is not running.
            NotFound: the job does not exist any more.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.
        """
        from modelarts.visualization import once

        self._run(once.stop)
        self._forget()
        return self

    def restart(self) -> Self:
        """Restart a stopped job.

        The job is running some time after the call: ``job.restart().wait()`` waits for it. If the
        response is lost, the job's status decides whether the request is sent again.

        Returns:
            This object.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            JobStateError: the job is not stopped.
            NotFound: the job does not exist any more.
            ApiError: the service refused the request, for example
                :class:`~modelarts.errors.QuotaExceeded`.
            TransportError: no response, or an unreadable one.
        """
        self._restart()
        return self

    def delete(self) -> Self:
        """Delete the job.

        Attributes that are known stay readable in this object.

        Returns:
            This object.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            JobStateError: the job is being stopped.
            NotFound: the job does not exist any more.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.
        """
        self._run(lambda api, client, job_id: api.delete(client, job_id))
        self._state = _COMPLETE
        return self

    @classmethod
    def ensure(
        cls,
        train_url: Optional[_Folders] = None,
        job_name: Optional[str] = None,
        job_desc: str = "",
        job_type: str = "tensorboard",
        auto_stop: Optional[int] = None,
        flavor: Optional[str] = None,
        session: Optional[Session] = None,
        *,
        training_jobs: Optional[Sequence[Any]] = None,
        pool_id: Optional[str] = None,
        obs_path: Optional[str] = None,
        check: bool = True,
    ) -> VisualizationJob:
        """Return the running job of a folder, else a stopped one restarted, else a new one.

        All jobs of the project are compared by folder and type. A job that is starting counts as
        running; one that is being stopped is waited for. Of several jobs, the newest is returned.
        If two processes ensure the same folder at the same time, both get the same job. A local
        folder that has to be sent to OBS is sent in any case, as far as it has changed.

        Args:
            train_url: the folder, as in :meth:`create`.
            job_name: the name of a new job, as in :meth:`create`.
            job_desc: the description of a new job, 0 to 256 characters.
            job_type: ``'tensorboard'``, the default, or ``'mindinsight'``.
            auto_stop: the whole hours, 0 to 24, after which the service stops a new job; by default
                it runs until it is stopped. An existing job keeps its own setting.
            flavor: the code of a specification for a new job; normally None.
            session: the session; by default one made from the environment.
            training_jobs: the trainings that the board shows, instead of ``train_url``: a list of
                their ids, or of objects with a ``job_id``; with the v2 API only. By default none.
            pool_id: the id of a resource pool; with the v2 API only. By default none.
            obs_path: the folder in OBS into which a local folder is copied, as in :meth:`create`.
            check: True, the default, to warn with :class:`~modelarts.errors.NoEventFiles` if a new
                job's folder has no event files.

        Returns:
            The job. It may still be starting; :meth:`wait` waits until it is running.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            IncompleteTransfer: a local folder could not be sent completely.
            ApiError: the service refused a request, for example
                :class:`~modelarts.errors.QuotaExceeded`.
            AmbiguousCreate: the response to a create was lost, and it is unknown whether the job
                was created.
            TransportError: no response, or an unreadable one.
            WaitTimeout: a job is being stopped, and was not stopped in time.

        Example:
            >>> job = VisualizationJob.ensure("/bucket/logs/", auto_stop=2)       # doctest: +SKIP
            >>> job.show()                                                        # doctest: +SKIP
        """
        from modelarts.visualization.dialect import run, settle
        from modelarts.visualization.ensure import ensure

        job = cls(session=session)
        request = job._request(
            train_url,
            job_name,
            job_desc,
            job_type,
            auto_stop,
            flavor,
            training_jobs,
            pool_id,
        ).located(job.session, obs_path)
        client = job._client()
        settle(client)  # the resolve of v1 sends nothing, so it would not show which API it is
        request = run(client, lambda api: api.resolve(client, request))

        def create() -> VisualizationJob:
            return job._create(request, None, check)

        return ensure(cls, job.session, request, create)

    def refresh(self) -> Self:
        """Fetch the details of the job.

        Returns:
            This object.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            NotFound: the job does not exist any more.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.
        """
        self._learn(self._run(lambda api, client, job_id: api.details(client, job_id)))
        return self

    def wait(
        self,
        until: Union[int, List[int]] = JobStatus.RUNNING,
        timeout: float = 600,
        progress: bool = True,
    ) -> VisualizationJob:
        """Wait until the job is running, or has another status.

        Meanwhile a notebook or a terminal shows one line: the status, the time waited, and the time
        until the next request. An interrupt ends the wait only; the job goes on.

        Args:
            until: the status, or several; by default ``JobStatus.RUNNING``. KILLED, CANCELED and
                COMPLETED all mean stopped: waiting for one of them accepts any.
            timeout: seconds, 0 or more; by default 600.
            progress: False to show nothing; by default True.

        Returns:
            This object.

        Raises:
            InvalidArgument: ``until`` is not a status, or ``timeout`` is not a number of seconds.
            JobFailed: the job has ended in a state that will not become that status.
            WaitTimeout: the status was not reached in time; also a ``TimeoutError``.
            NotFound: the job does not exist any more.
            ApiError: the service refused a request.
            TransportError: no response, or an unreadable one.

        Example:
            >>> job.wait(timeout=60).status                                       # doctest: +SKIP
            <JobStatus.RUNNING: 8>
        """
        from modelarts.visualization.display.notebook import live_line
        from modelarts.visualization.waiter import wait_for

        line = live_line() if progress else None
        wait_for(self, until, timeout, self.session.clock, bool(self._state & _RESTARTED), line)
        return self

    def show(self, height: int = 800, timeout: float = 120) -> None:
        """Show the board below the cell of a notebook; elsewhere print its address.

        A job that is starting is waited for. If the browser reaches the board through the
        notebook's server, the address is one on that server; see :meth:`open`.

        Args:
            height: the height of the board in pixels, 1 or more; by default 800.
            timeout: the seconds to wait until the job is running; by default 120.

        Raises:
            InvalidArgument: ``height`` is not a number of pixels, or ``timeout`` not one of
                seconds.
            JobFailed: the job is stopped or has failed; ``job.restart()`` runs it again.
            WaitTimeout: the job was not running in time.
            NotFound: the job does not exist any more.
            ApiError: the service refused a request.
            TransportError: no response, or one without the address of a board.
        """
        from modelarts.visualization.display import html as cards
        from modelarts.visualization.display import notebook as screen

        if isinstance(height, bool) or not isinstance(height, int) or height < 1:
            raise InvalidArgument("height", height, "a number of pixels")
        address = self._board(timeout)
        if screen.in_notebook():
            screen.publish(cards.frame(self, address, height), "board: %s" % address)
        else:
            print("board: %s" % address)

    def open(self, timeout: float = 120) -> str:
        """Open the board in the browser, and return its address.

        The address is returned also if there is no browser. A job that is starting is waited for.

        For a board of the local service, the variable ``TENSORBOARD_PROXY_URL`` may give the
        address for a browser on another machine: ``https://…/proxy/%PORT%/``. In JupyterHub, and in
        a Jupyter server with ``jupyter-server-proxy``, the address is determined without it, and is
        a path on that server.

        Args:
            timeout: the seconds to wait until the job is running; by default 120.

        Returns:
            The address of the board.

        Raises:
            InvalidArgument: ``timeout`` is not a number of seconds.
            JobFailed: the job is stopped or has failed; ``job.restart()`` runs it again.
            WaitTimeout: the job was not running in time.
            NotFound: the job does not exist any more.
            ApiError: the service refused a request.
            TransportError: no response, or one without the address of a board.
        """
        from modelarts.visualization.display import html as cards
        from modelarts.visualization.display import notebook as screen

        address = self._board(timeout)
        if not screen.browse(address) and screen.in_notebook():
            screen.publish(cards.link(self, address), "board: %s" % address)
        return address

    def share(self, hours: int = 24) -> Share:
        """Return a new link to the board, for people without an account, which ends.

        The link shows this one board, and changes nothing. It names neither the job nor the user,
        and goes on working after a restart of the job. The local service has such links; clouds
        have no such call.

        Args:
            hours: the whole hours for which the link works, 1 or more; by default 24. The owner of
                the service may allow fewer.

        Returns:
            The link; its ``url`` is a secret, and in no repr.

        Raises:
            InvalidArgument: ``hours`` is not a number of hours, or this object has no id; nothing
                was sent.
            NotFound: the job does not exist any more, or the service has no such call.
            BadRequest: the service allows fewer hours.
            QuotaExceeded: the project has as many links as the service allows.
            PermissionDenied: the service allows no links.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.

        Example:
            >>> share = job.share(hours=48)                                       # doctest: +SKIP
            >>> share.url                                                         # doctest: +SKIP
            'http://127.0.0.1:8090/modelarts/tensorboard/…/shared/'
            >>> job.unshare(share)                                                # doctest: +SKIP
        """
        from modelarts.visualization import shares

        return shares.create(self._client(), self._known_id(), arguments.share_hours(hours))

    def shares(self) -> List[Share]:
        """Return the links to the board that work, the oldest first.

        Returns:
            The links, without their addresses, which only :meth:`share` returns.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            NotFound: the job does not exist any more, or the service has no such call.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.
        """
        from modelarts.visualization import shares

        return shares.of_job(self._client(), self._known_id())

    def unshare(self, share: Union[str, Share]) -> Self:
        """Revoke a link: it stops working at once.

        Args:
            share: the link, or its id.

        Returns:
            This object.

        Raises:
            InvalidArgument: ``share`` is no link and no id, or this object has no id; nothing was
                sent.
            NotFound: the job has no such link, or the service has no such call.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.
        """
        from modelarts.visualization import shares

        share_id = share.share_id if isinstance(share, shares.Share) else share
        shares.revoke(self._client(), self._known_id(), arguments.share_id(share_id))
        return self

    def __enter__(self) -> VisualizationJob:
        return self

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        """Stop the job, unless it is stopped, failed or deleted already."""
        try:
            try:
                self.stop()
            except (JobStateError, NotFound):
                if not self._has_ended():
                    raise
        except ModelArtsError as failure:
            if error is None:
                raise
            # What went wrong in the block is the news; but a job that runs on is billed.
            import logging

            logging.getLogger("modelarts").warning(
                "job %s may run on: %s", self.visualization_id, failure
            )

    def why_it_ended(self) -> str:
        """Return the reason that the service gives for the end of the job, and what can be done.

        Returns:
            A text that begins with a punctuation mark, for the end of a sentence.
        """
        reason = self._raw.get("reason")
        restart = Worded("job.restart()", "'modelarts jobs restart'")
        return worded("%s; %s runs it again", ": %s" % reason if reason else "", restart)

    def _repr_html_(self) -> str:
        from modelarts.visualization.display.html import card

        return card(self)

    # Attributes -----------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session; made from the environment if none was given."""
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
        if is_uuid(number):
            return str(number)
        return self._readable(lambda job: arguments.job_id(job["job_id"]))

    @property
    def job_id(self) -> Optional[str]:
        """Another name of ``visualization_id``."""
        return self.visualization_id

    @property
    def is_success(self) -> bool:
        """Always True: a call that fails raises an error instead."""
        return True

    @property
    def job_name(self) -> Optional[str]:
        """The job's name."""
        return self._text("job_name")

    @property
    def job_desc(self) -> Optional[str]:
        """The job's description."""
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
    def service_token(self) -> Optional[str]:
        """The token of the board, which v2 returns with its address; None with v1.

        It is a secret, and in no repr, ``raw`` or pickle. It is not documented whether a browser
        needs it, as in ``service_url + "?token=" + service_token``.
        """
        if self._token is None:
            self._need("service_url")
        return self._token

    @property
    def resource_id(self) -> Optional[str]:
        """The id of the resource that is billed."""
        return self._text("resource_id")

    @property
    def job_type(self) -> Optional[str]:
        """``'tensorboard'`` or ``'mindinsight'``; None if the service does not send it."""
        return self._text("job_type")

    @property
    def status(self) -> Optional[JobStatus]:
        """The status when it was last fetched; :meth:`refresh` fetches it again."""
        number = self._raw.get("status")
        if type(number) is not int:
            number = self._number("status")
        return None if number is None else JobStatus(number)

    @property
    def create_time(self) -> Optional[int]:
        """The time at which the job was created, in milliseconds since the epoch."""
        return self._number("create_time")

    @property
    def duration(self) -> Optional[int]:
        """The time that the job has been running, in milliseconds."""
        return self._number("duration")

    @property
    def schedule(self) -> Optional[Schedule]:
        """The schedule by which the service stops the job.

        None if the job has none, or the service does not send it.
        """
        from modelarts.models import Schedule

        self._need("schedule")
        return self._readable(lambda raw: Schedule.from_wire(raw.get("schedule")))

    @property
    def info(self) -> JobInfo:
        """All known fields, with types; fetched if the status is not known."""
        from modelarts.models import JobInfo

        self._need("status")
        return self._readable(JobInfo.from_wire)

    @property
    def raw(self) -> _Dict:
        """The fields of the service's last response, unchanged."""
        return dict(self._raw)

    @property
    def last_seen(self) -> Optional[datetime]:
        """The time of the service's last response about the job, in UTC; None if there was none."""
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
        self._session = self._token = None
        self._given_id, self._raw, self._state = state["id"], state["raw"], state["state"]
        self._seen = state.get("seen")  # not in what an older version pickled

    # The documented calls: the documented dict, also where the service refuses --------------------

    def create_visualization_job(
        self,
        train_url: _Folders,
        job_name: Optional[str] = None,
        job_desc: str = "",
        job_type: str = "tensorboard",
        auto_stop: Optional[int] = None,
        flavor: Optional[str] = None,
    ) -> Self:
        """Create a job, and return a new object for it.

        Args:
            train_url: the folder, ``'/bucket/path/'`` or ``'obs://bucket/path/'``, or a local one,
                as in :meth:`create`.
            job_name: 1 to 20 letters, digits, ``_`` or ``-``; by default ``job`` and eight
                hexadecimal digits.
            job_desc: 0 to 256 characters; by default empty.
            job_type: ``'tensorboard'``, the default, or ``'mindinsight'``.
            auto_stop: the whole hours, 0 to 24, after which the service stops the job; by default
                the job runs, and is billed, until it is stopped.
            flavor: the code of a specification; normally None.

        Returns:
            The new job, with ``visualization_id``, ``job_id``, ``job_name``, ``create_time``,
            ``status`` and ``is_success``.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            IncompleteTransfer: a local folder could not be sent completely; no job was created.
            ApiError: the service refused the request, for example
                :class:`~modelarts.errors.QuotaExceeded`.
            AmbiguousCreate: the response was lost, and it is unknown whether the job was created.
            TransportError: no response, and nothing was created.

        Source: *ModelArts SDK Reference*, "Creating a Visualization Job".

        Example:
            >>> job = VisualizationJob(modelarts_session=session)                 # doctest: +SKIP
            >>> job = job.create_visualization_job(train_url="/bucket/logs/")     # doctest: +SKIP
            >>> job.job_id                                                        # doctest: +SKIP
            '8992'
        """
        request = self._request(train_url, job_name, job_desc, job_type, auto_stop, flavor)
        return self._create(request)

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
    ) -> JobList[Self]:
        """Return one page of jobs as objects, and print it as a table.

        Args:
            modelarts_session: the session; by default one made from the environment.
            status: a status number, or several as ``'3|5|6|13'``; by default all.
            per_page: the number of jobs of a page, 1 to 1000; by default the service's, 10.
            page: the number of the page, from 1; by default the service's, 1.
            sort_by: one of ``job_id``, ``job_name``, ``job_desc``, ``create_time``, ``status``,
                ``duration``, ``log_dir``; by default the service decides.
            order: ``'asc'`` or ``'desc'``; by default the service's, ``'asc'``.
            search_content: a text that the job's name contains; 0 to 100 characters.
            is_show: False to print nothing; by default True.
            sortBy: another name of ``sort_by``.
            workspace_id: the workspace; by default the service's default, ``'0'``.

        Returns:
            The jobs of the page.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Querying the List of Visualization Job Objects".

        Example:
            >>> jobs = VisualizationJob.get_visualization_job_object_list(
            ...     modelarts_session=session, status=8, is_show=False)           # doctest: +SKIP
        """
        from modelarts.visualization.display.lists import JobList

        session = _or_default(modelarts_session)
        query = _page_query(
            status, per_page, page, sort_by, sortBy, order, search_content, workspace_id
        )
        page_of_jobs = _page(session, query)["jobs"]
        seen = session.clock.time()
        jobs = JobList(cls._of(session, raw, seen) for raw in page_of_jobs)
        if is_show:
            from modelarts.visualization.display.table import show

            show(jobs)
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
        """Return one page of jobs as a dict.

        Args:
            modelarts_session: the session; by default one made from the environment.
            status: a status number, or several as ``'3|5|6|13'``; by default all.
            per_page: the number of jobs of a page, 1 to 1000; by default the service's, 10.
            page: the number of the page, from 1; by default the service's, 1.
            sort_by: one of ``job_id``, ``job_name``, ``job_desc``, ``create_time``, ``status``,
                ``duration``, ``log_dir``; by default the service decides.
            order: ``'asc'`` or ``'desc'``; by default the service's, ``'asc'``.
            search_content: a text that the job's name contains; 0 to 100 characters.
            sortBy: another name of ``sort_by``.
            workspace_id: the workspace; by default the service's default, ``'0'``.

        Returns:
            A dict with ``is_success``, ``job_total_count``, ``job_count_limit`` and ``jobs``, a
            list of dicts. If the service refuses the request: ``is_success`` (False),
            ``error_code``, ``error_msg`` and ``error_message``.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining Visualization Jobs".

        Example:
            >>> page = VisualizationJob.get_visualization_job_list(
            ...     modelarts_session=session, per_page=5)                        # doctest: +SKIP
            >>> page["job_total_count"], len(page["jobs"])                        # doctest: +SKIP
            (12, 5)
        """
        session = _or_default(modelarts_session)
        query = _page_query(
            status, per_page, page, sort_by, sortBy, order, search_content, workspace_id
        )
        return _documented(lambda: _page(session, query))

    def get_visualization_job_info(self) -> _Dict:
        """Return the details as a dict.

        Returns:
            A dict with ``job_id``, ``job_name``, ``job_desc``, ``status``, ``service_url``,
            ``train_url``, ``create_time``, ``duration``, ``resource_id`` and ``is_success``, and
            further fields if the service sends them. If the service refuses the request:
            ``is_success`` (False), ``error_code``, ``error_msg`` and ``error_message``.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining Details About a Visualization Job".

        Example:
            >>> job = VisualizationJob(modelarts_session=session,
            ...                        visualization_id="8992")                   # doctest: +SKIP
            >>> info = job.get_visualization_job_info()                           # doctest: +SKIP
            >>> info["status"] if info["is_success"] else info["error_msg"]       # doctest: +SKIP
            8
        """
        return _documented(lambda: self.refresh()._readable(documented_job))

    def update_visualization_job(self, job_desc: str) -> _Dict:
        """Change the description.

        Args:
            job_desc: the new description, 0 to 256 characters.

        Returns:
            ``{"is_success": True}``. If the service refuses the request, the dict has
            ``is_success`` (False), ``error_code``, ``error_msg`` and ``error_message``.

        Raises:
            InvalidArgument: the description is too long, or this object has no id; nothing was
                sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Modifying the Description of a Visualization Job".
        """
        return _documented(lambda: self.update(job_desc))

    def stop_visualization_job(self) -> _Dict:
        """Stop the job.

        Returns:
            ``{"is_success": True}``. If the service refuses the request, for example because the
            job is not running: ``is_success`` (False), ``error_code``, ``error_msg`` and
            ``error_message``.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Stopping a Visualization Job".
        """
        return _documented(self.stop)

    def restart_visualization_job(self) -> _Dict:
        """Restart a stopped job.

        Returns:
            ``{"is_success": True}``. If the service refuses the request, for example because the
            job is not stopped: ``is_success`` (False), ``error_code``, ``error_msg`` and
            ``error_message``.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Restarting a Visualization Job".
        """
        return _documented(self._restart)

    def delete_visualization_job(self) -> _Dict:
        """Delete the job.

        Returns:
            ``{"is_success": True}``. If the service refuses the request, for example because the
            job is being stopped: ``is_success`` (False), ``error_code``, ``error_msg`` and
            ``error_message``.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Deleting a Visualization Job".
        """
        return _documented(self.delete)

    # Inside ---------------------------------------------------------------------------------------

    def _restart(self) -> _Dict:
        """Run the job again; returns the ids of a job that replaces it, with v2."""
        from modelarts.visualization import once

        known = self._raw
        answer = self._run(lambda api, client, job_id: once.restart(api, client, job_id, known))
        replaced = answer.get("replaces")
        if replaced is None:
            self._forget()
            self._state = _RESTARTED
            return {}
        # With v2 it is another job, of the same definition: nothing of the old one is kept.
        self._given_id = str(answer["job_id"])
        self._token = answer.pop("service_token", None)
        not_of_it = ("replaces", "is_success")
        self._raw = {
            key: value
            for key, value in answer.items()
            if value is not None and key not in not_of_it
        }
        self._seen = self.session.clock.time()
        self._state = 0  # as after a create: what the answer left open is fetched
        return {"job_id": self._given_id, "replaces": replaced}

    def _request(
        self,
        train_url: Optional[_Folders],
        job_name: Optional[str],
        job_desc: str,
        job_type: str,
        auto_stop: Optional[int],
        flavor: Optional[str],
        training_jobs: Optional[Sequence[Any]] = None,
        pool_id: Optional[str] = None,
    ) -> CreateRequest:
        """Return the request for arguments of :meth:`create`, by the rules of the API in use.

        Where that is not known yet, arguments that only one of the two takes have it looked up.
        """

        from modelarts.visualization.request import CreateRequest

        def validate(api: str) -> CreateRequest:
            return CreateRequest.validate(
                train_url,
                job_name,
                job_desc,
                job_type,
                auto_stop,
                flavor,
                training_jobs,
                pool_id,
                api,
            )

        if self._session is not None and self._session.api != "auto":
            return validate(self._session.api)
        requests: List[CreateRequest] = []
        refusals: List[InvalidArgument] = []
        for api in ("v1", "v2"):
            try:
                requests.append(validate(api))
            except InvalidArgument as refusal:
                refusals.append(refusal)
        if not requests:
            raise refusals[0]
        if refusals:
            from modelarts.visualization.dialect import settle

            return validate(settle(self._client()))
        return requests[0]

    def _create(
        self, request: CreateRequest, obs_path: Optional[str] = None, check: bool = True
    ) -> Self:
        """Return the new job of a request; a folder of this machine is sent to OBS first."""
        from modelarts.visualization import once
        from modelarts.visualization.dialect import run

        client = self._client()
        request = request.located(self.session, obs_path)

        def create(api: Api) -> _Dict:
            nonlocal request
            request = api.resolve(client, request)
            if client.dialect.name == "v2":
                from modelarts.visualization import v2

                v2.check_sources(client, request)
            return once.create(api, client, request)

        answer = run(client, create)
        # What was sent is known as well; the details are fetched for what is in neither.
        known = {key: value for key, value in answer.items() if value is not None}
        if client.dialect.name == "v2":
            from modelarts.visualization import v2

            known = v2.completed(known, v2.sent_fields(request))
        job = self._of(self.session, {**request.body(), **known})
        job._state = 0
        if check:
            from modelarts.visualization.logs import check_event_files

            check_event_files(self.session, request, job._folders_in_place)
        return job

    def _folders_in_place(self) -> Sequence[str]:
        """Return the folders that the service reads in place, as far as it says so."""
        try:
            folders: Sequence[str] = self.refresh().raw.get("folders", ())
        except ModelArtsError:  # the job exists, which counts more than a warning
            return ()
        return folders

    @classmethod
    def _iterate(cls, session: Session, query: Dict[str, str], per_page: int) -> Iterator[Self]:
        from modelarts.visualization import dialect

        seen = 0.0
        for number, raw in enumerate(dialect.iterate(session.client, query, per_page)):
            if not number % per_page:  # one time for the jobs of a page: lists are long
                seen = session.clock.time()
            yield cls._of(session, raw, seen)

    @classmethod
    def _of(cls, session: Session, raw: _Dict, seen: Optional[float] = None) -> Self:
        job = cls.__new__(cls)
        job._session = session
        job._given_id = None
        job._token = raw.pop("service_token", None)
        job._raw = raw
        job._seen = session.clock.time() if seen is None else seen
        job._state = _COMPLETE
        return job

    def _complete(self, request: CreateRequest) -> None:
        """Take what the answers of v2 leave out from the request that the job was found for."""
        if "training_job" in self._raw:
            from modelarts.visualization import v2

            self._raw = v2.completed(self._raw, v2.sent_fields(request))

    def _client(self) -> ServiceClient:
        return self.session.client

    def _run(self, act: Callable[[Api, ServiceClient, str], _T]) -> _T:
        """Call ``act`` with the API that the service has, for this job."""
        from modelarts.visualization import dialect

        client, job_id = self._client(), self._known_id()

        def checked(api: Api) -> _T:
            dialect.check_id(client, job_id)
            return act(api, client, job_id)

        return dialect.run(client, checked)

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
        self._token = raw.pop("service_token", None)
        if "training_job" in raw:
            from modelarts.visualization import v2

            raw = v2.completed(raw, self._raw)
        self._raw = raw
        self._seen = self.session.clock.time()
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

    def _has_ended(self) -> bool:
        """Return True if the job does not run any more, or is being stopped."""
        try:
            status = self.refresh().status
        except NotFound:
            return True
        return status is not None and (status.is_final or status == JobStatus.KILLING)

    def _board(self, timeout: float) -> str:
        """The address of the running board for the reader's browser."""
        from modelarts.visualization.display.board_url import board_address, is_web_address

        self.wait(timeout=timeout)
        address = board_address(self.service_url or "")
        if not is_web_address(address):
            raise self._client().unreadable(
                "show visualization job %s" % self.visualization_id,
                "the job runs, and its service_url is %r" % self.service_url,
            )
        return address


def _one_session(first: Optional[Session], second: Optional[Session]) -> Optional[Session]:
    if first is not None and second is not None and first is not second:
        raise InvalidArgument("session", second, "the same as modelarts_session, or one of the two")
    return checked_session("modelarts_session", first if first is not None else second)


def _or_default(session: Optional[Session]) -> Session:
    return checked_session("modelarts_session", session) or Session()


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
    from modelarts.visualization.dialect import run

    return run(session.client, lambda api: api.documented_page(session.client, query))


def _documented(call: Callable[[], Any]) -> _Dict:
    """Return the documented dict of a call: its result if that is a dict, or the failure."""
    try:
        answer = call()
    except ApiError as refusal:
        return refusal.as_dict()
    return dict(answer if isinstance(answer, dict) else {}, is_success=True)
