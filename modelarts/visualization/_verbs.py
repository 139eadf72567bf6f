"""The short verbs: they raise typed errors, change the job and answer it."""

import os
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Union

from modelarts import validation as arguments
from modelarts.session import Session
from modelarts.visualization._known import COMPLETE, RESTARTED, KnownJob, one_session

if TYPE_CHECKING:
    from typing_extensions import Self

    from modelarts.visualization.display.lists import JobList

__all__ = ["JobVerbs", "or_default"]

_Dict = Dict[str, Any]


class JobVerbs(KnownJob):
    """What can be done with a job."""

    __slots__ = ()

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
    ) -> "Self":
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
            obs_path: the folder in OBS that a local folder is to be in; by default one of its own
                in ``session.obs_path``, and with the local service in the bucket ``uploads``.
            check: draw a :class:`~modelarts.errors.NoEventFiles` warning if the folder
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
    def get(cls, visualization_id: Union[str, int], session: Optional[Session] = None) -> "Self":
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
    ) -> "Iterator[Self]":
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
        return cls._iterate(or_default(session), query, int(per_page))

    @classmethod
    def list(cls, session: Optional[Session] = None, **filters: Any) -> "JobList[Self]":
        """All jobs that match, as a list that shows as a table.

        Takes the arguments of :meth:`iter`; see
        :class:`~modelarts.visualization.display.lists.JobList`.
        """
        from modelarts.visualization.display.lists import JobList

        return JobList(cls.iter(session, **filters))

    def update(self, job_desc: str) -> "Self":
        """Change the description, 0 to 256 characters."""
        from modelarts.visualization import v1 as api

        text = arguments.job_desc(job_desc)
        api.update(self._client(), self._known_id(), text)
        self._raw["job_desc"] = text
        return self

    def stop(self) -> "Self":
        """Stop the job. It is stopped some time later: ``job.stop().wait(JobStatus.KILLED)``.

        Raises:
            JobStateError: it does not run.
        """
        from modelarts.visualization import once

        once.stop(self._client(), self._known_id())
        self._forget()
        return self

    def restart(self) -> "Self":
        """Run a stopped job again. It runs some time later: ``job.restart().wait()``.

        Raises:
            JobStateError: it is not stopped.
        """
        from modelarts.visualization import once

        once.restart(self._client(), self._known_id())
        self._forget()
        self._state = RESTARTED
        return self

    def delete(self) -> "Self":
        """Delete the job. What is known of it stays readable in this object.

        Raises:
            JobStateError: it is just being stopped.
            NotFound: it is gone already.
        """
        from modelarts.visualization import v1 as api

        api.delete(self._client(), self._known_id())
        self._state = COMPLETE
        return self

    @classmethod
    def _iterate(cls, session: Session, query: Dict[str, str], per_page: int) -> "Iterator[Self]":
        from modelarts.visualization import v1 as api

        seen = 0.0
        for number, raw in enumerate(api.iterate(session.client, query, per_page)):
            if not number % per_page:  # one time for the jobs of a page: lists are long
                seen = session.clock.time()
            yield cls._of(session, raw, seen)

    def _body(
        self,
        train_url: Union[str, "os.PathLike[str]"],
        job_name: Optional[str],
        job_desc: Optional[str],
        job_type: str,
        auto_stop: Optional[int],
        flavor: Optional[str],
        obs_path: Optional[str],
    ) -> _Dict:
        """What is sent to create a job. A local folder is brought to OBS, all else being right."""
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
        if arguments.is_local(train_url):
            from modelarts.visualization.logs import send_folder

            train_url = send_folder(self.session, train_url, obs_path)
        body["train_url"] = arguments.train_url(train_url)
        return body

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
    ) -> "Self":
        body = self._body(train_url, job_name, job_desc, job_type, auto_stop, flavor, obs_path)
        return self._created(body, unique=job_name is None, check=check)

    def _created(self, body: _Dict, unique: bool, check: bool) -> "Self":
        from modelarts.visualization import once
        from modelarts.visualization.logs import FirstLook

        look = FirstLook(self.session, body) if check else None
        answer = once.create(self._client(), body, unique=unique)
        if look is not None:
            look.warn()
        # What was sent is known as well; the details are fetched for what is in neither.
        job = self._of(self.session, {**body, **answer})
        job._state = 0
        return job


def or_default(session: Optional[Session]) -> Session:
    return one_session(session, None) or Session()
