"""Trainings: jobs that run a script in ModelArts."""

import sys
from datetime import datetime, timezone
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    TextIO,
    Union,
)

from modelarts import validation
from modelarts._status import JobStatus
from modelarts.errors import (
    InvalidArgument,
    RateLimited,
    ServerError,
    TransportError,
    WaitTimeout,
)
from modelarts.session import Session, checked_session
from modelarts.training import v2
from modelarts.training.request import TrainingRequest

if TYPE_CHECKING:
    import os

    from typing_extensions import Self

    from modelarts.http.client import ServiceClient
    from modelarts.models import JobInfo
    from modelarts.training.logs import LogFollower
    from modelarts.training.params import InputData, OutputData
    from modelarts.visualization.display.lists import JobList
    from modelarts.visualization.job import VisualizationJob

    _Path = Union[str, "os.PathLike[str]"]
    Inputs = Union[
        None, _Path, InputData, Sequence[Union[InputData, Mapping[str, Any]]], Mapping[str, _Path]
    ]
    Outputs = Union[
        None, str, OutputData, Sequence[Union[OutputData, Mapping[str, Any]]], Mapping[str, str]
    ]
    Parameters = Union[None, Sequence[Mapping[str, Any]], Mapping[str, Any]]

__all__ = ["TrainingJob"]

_Dict = Dict[str, Any]
#: Lines of the log that an error has.
_SHOWN_LINES = 20
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
#: Seconds in which the first lines are looked for without longer pauses.
_HURRY = 2.0
#: A training that waits for its machine writes nothing.
_NOT_STARTED = (JobStatus.INIT, JobStatus.WAITING)
#: Seconds without any answer after which a log is not followed any more.
_PATIENCE = 300.0
#: Looks at a log that is not whole yet when its training has ended.
_LAST_LOOKS = 6


class TrainingJob:
    """A training: a job that runs a script.

    As with :class:`~modelarts.visualization.job.VisualizationJob` there are two sets of methods.
    The short ones (``create``, ``get``, ``iter``, ``list``, ``refresh``, ``wait``, ``follow``,
    ``logs``, ``stop``, ``delete``, ``metrics``, ``events``, ``board``) raise typed errors. The
    documented calls (``get_job_info``, ``control_job``, ``update_job_configs``, ``get_job_log``,
    ``get_job_metrics``, ``delete_job``) return the documented dict, also when the service refuses
    the request; it has the key ``error_msg`` then.

    The constructor sends no request. When an attribute is read that is not known yet, the details
    are fetched, once. The calls are those of the v2 API, whichever API the session has for boards.

    Args:
        session: the session; by default one made from the environment.
        job_id: the job's id, a UUID.

    Raises:
        InvalidArgument: the id is no UUID, or the session is of another type.

    Source: *ModelArts SDK Reference*, "Training Jobs".

    Example:
        >>> job = TrainingJob.create("src/", "train.py", parameters={"lr": 0.1},
        ...                          outputs="runs/", tensorboard="train_url",
        ...                          session=session)                         # doctest: +SKIP
        >>> for line in job.logs(follow=True):                                # doctest: +SKIP
        ...     print(line)
        >>> job.wait().duration                                               # doctest: +SKIP
        61000
        >>> job.board().show()                                                # doctest: +SKIP
    """

    __slots__ = ("_fields", "_id", "_seen", "_session")

    def __init__(self, session: Optional[Session] = None, job_id: Optional[str] = None) -> None:
        self._session = checked_session("session", session)
        self._id = None if job_id is None else v2.checked_id(job_id)
        self._fields: _Dict = {}
        self._seen: Optional[float] = None

    # Create, find, change -------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        code_dir: "Optional[_Path]" = None,
        boot_file: Optional[str] = None,
        job_name: Optional[str] = None,
        *,
        parameters: "Parameters" = None,
        inputs: "Inputs" = None,
        outputs: "Outputs" = None,
        tensorboard: Optional[str] = None,
        framework_type: Optional[str] = None,
        framework_version: Optional[str] = None,
        user_image_url: Optional[str] = None,
        user_command: Optional[str] = None,
        train_instance_type: Optional[str] = None,
        train_instance_count: int = 1,
        pool_id: Optional[str] = None,
        log_url: Optional[str] = None,
        env_variables: Optional[Mapping[str, str]] = None,
        working_dir: Optional[str] = None,
        local_code_dir: Optional[str] = None,
        volumes: Optional[Sequence[Mapping[str, Any]]] = None,
        job_description: str = "",
        auto_stop: Optional[int] = None,
        workspace_id: Optional[str] = None,
        obs_path: Optional[str] = None,
        check: bool = True,
        session: Optional[Session] = None,
    ) -> "Self":
        """Create a training, which starts some time after the call.

        If the response is lost, the training is searched for, so that none is created twice.

        Args:
            code_dir: the folder of the code: in OBS, ``"obs://bucket/code/"``; or on this machine,
                ``"src/"``, which is sent to OBS first, without ``.git``, ``.venv`` and the like. By
                default none, for an image that has its code.
            boot_file: the script that is started: its path in ``code_dir``, or its whole path.
            job_name: 1 to 64 letters, digits, ``_`` or ``-``; by default ``job-`` and eight
                hexadecimal digits.
            parameters: what the boot file gets as ``--name=value``: ``{"lr": 0.1}``, or
                ``[{"name": "lr", "value": "0.1"}]``; texts, numbers and truth values.
            inputs: what it reads: :class:`~modelarts.training.params.InputData`, several in a list,
                ``{name: path}``, or one path, whose name is ``data_url``. It gets the folder as
                ``--name=folder``. Data of this machine is sent to OBS first.
            outputs: what it writes: :class:`~modelarts.training.params.OutputData`, several in a
                list, ``{name: path}``, or one path, whose name is ``train_url``. A relative path
                such as ``"runs/"`` is a folder in ``session.obs_path``.
            tensorboard: the folder with the event files, ``"obs://bucket/summary/"``, or the name
                of an output; by default the training has no board. In a cloud it is a folder of a
                parallel file system.
            framework_type: the name of a preset engine, such as ``"PyTorch"``.
            framework_version: the version of the engine.
            user_image_url: a container image, instead of an engine.
            user_command: the command that is run in the image.
            train_instance_type: the id of a flavor, such as ``"modelarts.vm.cpu.2u"``.
            train_instance_count: the number of nodes, 1 or more; by default 1.
            pool_id: the id of a resource pool; by default the public one.
            log_url: the folder in OBS where the log is kept; by default the service's.
            env_variables: up to 100 variables; they are shown nowhere.
            working_dir: the folder in which the command is run.
            local_code_dir: the folder that the code is copied to.
            volumes: what is mounted, such as ``[{"pfs": {"pfs_path": …, "local_path": …}}]``.
            job_description: 0 to 256 characters; by default empty.
            auto_stop: the whole hours, 1 or more, after which the service ends the training; by
                default it runs, and is billed, until it ends.
            workspace_id: the workspace; by default the service's default, ``'0'``.
            obs_path: the folder in OBS that a ``code_dir`` of this machine is copied into; by
                default one of its own in ``session.obs_path``.
            check: True, the default, to look first whether flavor, engine, inputs and buckets
                exist. False to leave that to the service.
            session: the session; by default one made from the environment.

        Returns:
            The new training.

        Raises:
            InvalidArgument: an argument is wrong; no job was created.
            IncompleteTransfer: files of this machine could not be sent; no job was created.
            ApiError: the service refused the request, for example
                :class:`~modelarts.errors.QuotaExceeded`.
            AmbiguousCreate: the response was lost, and it is unknown whether the job was created.
            TransportError: no response, and nothing was created.

        Source: *ModelArts API Reference*, "Creating a Training Job".

        Example:
            >>> job = TrainingJob.create(
            ...     "obs://bucket/code/", "train.py", inputs="obs://bucket/data/",
            ...     framework_type="PyTorch", framework_version="PyTorch-1.4.0-python3.6",
            ...     train_instance_type="modelarts.vm.cpu.2u")                # doctest: +SKIP
        """
        request = TrainingRequest.validate(
            job_name=job_name,
            job_description=job_description,
            code_dir=code_dir,
            boot_file=boot_file,
            obs_path=obs_path,
            framework_type=framework_type,
            framework_version=framework_version,
            user_image_url=user_image_url,
            user_command=user_command,
            parameters=parameters,
            inputs=inputs,
            outputs=outputs,
            train_instance_type=train_instance_type,
            train_instance_count=train_instance_count,
            pool_id=pool_id,
            log_url=log_url,
            env_variables=env_variables,
            working_dir=working_dir,
            local_code_dir=local_code_dir,
            volumes=volumes,
            tensorboard=tensorboard,
            auto_stop=auto_stop,
            workspace_id=workspace_id,
        )
        return cls.submit(session, request, check)

    @classmethod
    def get(cls, job_id: str, session: Optional[Session] = None) -> "Self":
        """Return the training of an id, with its details.

        Args:
            job_id: the job's id, a UUID.
            session: the session; by default one made from the environment.

        Returns:
            The training, refreshed.

        Raises:
            InvalidArgument: the id is no UUID; nothing was sent.
            NotFound: there is no such training.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.
        """
        return cls(session, job_id).refresh()

    @classmethod
    def iter(
        cls,
        session: Optional[Session] = None,
        *,
        phase: "Union[None, str, Iterable[str]]" = None,
        search_content: Optional[str] = None,
        order: str = "desc",
    ) -> "Iterator[Self]":
        """Return an iterator over all trainings that match, from all pages, each once.

        A page is requested when its first training is needed. Boards are left out; jobs of kinds
        that this version does not know are not.

        Args:
            session: the session; by default one made from the environment.
            phase: a phase, such as ``"Running"``, or several; by default all.
            search_content: a text that the name contains, 0 to 64 characters.
            order: ``'desc'``, the newest first, by default; or ``'asc'``.

        Returns:
            An iterator of trainings.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            ApiError: the service refused the request; raised by the iterator.
            TransportError: no response, or an unreadable one; raised by the iterator.

        Example:
            >>> for job in TrainingJob.iter(session, phase="Running"):        # doctest: +SKIP
            ...     print(job.job_name, job.duration)
        """
        filters = v2.filters(phase, search_content)
        if order not in ("asc", "desc"):
            raise InvalidArgument("order", order, "'asc' or 'desc'")
        return cls._iterate(cls(session).session, filters, order)

    @classmethod
    def list(cls, session: Optional[Session] = None, **filters: Any) -> "JobList[Self]":
        """Return all trainings that match, as a list that is shown as a table.

        Args:
            session: the session; by default one made from the environment.
            filters: the other arguments of :meth:`iter`, by name.

        Returns:
            The trainings; see :class:`~modelarts.visualization.display.lists.JobList`.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.

        Example:
            >>> TrainingJob.list(session, phase="Failed")                     # doctest: +SKIP
        """
        from modelarts.visualization.display.lists import JobList

        return JobList(cls.iter(session, **filters))

    def refresh(self) -> "Self":
        """Fetch the details of the training.

        Returns:
            This object.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            NotFound: the training does not exist any more.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.
        """
        self._learn(v2.details(self._client(), self._known_id()))
        return self

    def update(self, description: str) -> "Self":
        """Change the description.

        Args:
            description: the new description, 0 to 256 characters.

        Returns:
            This object.

        Raises:
            InvalidArgument: the description is too long, or this object has no id; nothing was
                sent.
            NotFound: the training does not exist any more.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.
        """
        text = validation.description("description", description)
        v2.update(self._client(), self._known_id(), text)
        self._fields = {}
        return self

    def stop(self) -> "Self":
        """End the training before it is complete.

        It is ended some time after the call: ``job.stop().wait(JobStatus.KILLED)`` waits for it. If
        the response is lost, the phase decides whether the request is sent again.

        Returns:
            This object.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            JobStateError: the training has ended already.
            NotFound: the training does not exist any more.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.
        """
        from modelarts.visualization import once

        answer = once.stop(v2.CALLS, self._client(), self._known_id())
        if "raw" in answer:
            self._learn(answer)
        else:
            self._fields = {}
        return self

    def delete(self) -> "Self":
        """Delete the training; its outputs and its log in OBS stay.

        Attributes that are known stay readable in this object.

        Returns:
            This object.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            NotFound: the training does not exist any more.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.
        """
        v2.delete(self._client(), self._known_id())
        return self

    # Wait and watch -------------------------------------------------------------------------------

    def wait(
        self,
        until: "Union[int, str, Iterable[Union[int, str]]]" = JobStatus.COMPLETED,
        timeout: Optional[float] = None,
        progress: bool = True,
    ) -> "Self":
        """Wait until the training is complete, or has another status.

        Meanwhile a notebook or a terminal shows one line. An interrupt ends the wait only; the
        training goes on.

        Args:
            until: the status or the phase, or several; by default ``JobStatus.COMPLETED``, which is
                the phase ``"Completed"``.
            timeout: seconds, 0 or more; by default None, as long as the training takes.
            progress: False to show nothing; by default True.

        Returns:
            This object.

        Raises:
            InvalidArgument: ``until`` is no status, or ``timeout`` is not a number of seconds.
            JobFailed: the training has ended in another status; the error has the reason and the
                last lines of the log.
            WaitTimeout: the status was not reached in time; also a ``TimeoutError``.
            NotFound: the training does not exist any more.
            ApiError: the service refused a request.
            TransportError: no response, or an unreadable one.

        Example:
            >>> job.wait("Running").wait().status                             # doctest: +SKIP
            <JobStatus.COMPLETED: 10>
        """
        from modelarts.visualization.display.notebook import live_line
        from modelarts.visualization.waiter import wait_for

        line = live_line() if progress else None
        seconds = float("inf") if timeout is None else timeout
        clock = self.session.clock
        wait_for(self, v2.statuses(until), seconds, clock, False, line, v2.STOPPED)
        return self

    def follow(
        self,
        task_id: str = v2.TASK,
        file: Optional[TextIO] = None,
        timeout: Optional[float] = None,
    ) -> "Self":
        """Print the log line by line while the training runs, until it is complete.

        An interrupt (Ctrl-C) is reported, and ends the call only; the training goes on.

        Args:
            task_id: the name of the task, by default ``"worker-0"``.
            file: the stream that is printed to; by default ``sys.stdout``.
            timeout: seconds, 0 or more; by default None, as long as the training takes.

        Returns:
            This object.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            JobFailed: the training has not become complete; the error has the reason and the last
                lines of the log.
            WaitTimeout: the training was not complete in time; also a ``TimeoutError``.
            NotFound: the training does not exist any more.
            ApiError: the service refused a request.
            TransportError: no response, or an unreadable one.
        """
        stream = sys.stdout if file is None else file
        try:
            for line in self.logs(task_id, follow=True, timeout=timeout):
                print(line, file=stream, flush=True)
        except KeyboardInterrupt:
            print(
                "interrupted; training %s goes on: job.stop() ends it" % self.job_id,
                file=stream,
                flush=True,
            )
            raise
        return self.wait(timeout=0, progress=False)

    def logs(
        self, task_id: str = v2.TASK, follow: bool = False, timeout: Optional[float] = None
    ) -> "Iterator[str]":
        """Return an iterator over the lines of the log.

        The log is read in pieces, so that a long one needs little memory. A line of more than a
        megabyte is returned in several.

        Args:
            task_id: the name of the task, by default ``"worker-0"``.
            follow: True to go on while the training runs, and until all of its log has been read;
                cut connections do no harm. By default False, what is there now.
            timeout: the seconds after which following ends; by default None, as long as the
                training takes.

        Returns:
            An iterator of lines, without their ends.

        Raises:
            InvalidArgument: an argument is wrong, or this object has no id; nothing was sent.
            WaitTimeout: the training has not ended in time; raised by the iterator.
            ApiError: the service refused a request; raised by the iterator.
            TransportError: no response for a long time; raised by the iterator.

        Example:
            >>> print(*job.logs(), sep="\\n")                                  # doctest: +SKIP
        """
        job_id, task = self._known_id(), v2.checked_task(task_id)
        if timeout is not None and (
            isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout >= 0
        ):
            raise InvalidArgument("timeout", timeout, "a number of seconds, or None")
        from modelarts.training.logs import LogFollower

        follower = LogFollower(self._client(), job_id, task)
        if not follow:
            return _whole(follower)
        return self._followed(follower, float("inf") if timeout is None else timeout)

    def metrics(self, task_id: str = v2.TASK) -> "Dict[str, List[Optional[float]]]":
        """Return the metrics of a task, one mean value a minute.

        Args:
            task_id: the name of the task, by default ``"worker-0"``.

        Returns:
            Lists by the names of the metrics, such as ``cpuUsage``, ``memUsage`` and ``gpuUtil``,
            in percent; None where the service has no value.

        Raises:
            InvalidArgument: an argument is wrong, or this object has no id; nothing was sent.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.
        """
        answer = v2.metrics(self._client(), self._known_id(), v2.checked_task(task_id))
        return v2.series(answer)

    def events(self, order: str = "asc") -> "Iterator[Dict[str, Any]]":
        """Return an iterator over the events of the training, from all pages.

        Args:
            order: ``'asc'``, the oldest first, by default; or ``'desc'``.

        Returns:
            An iterator of dicts with ``time``, ``level``, ``message`` and ``source``.

        Raises:
            InvalidArgument: an argument is wrong, or this object has no id; nothing was sent.
            ApiError: the service refused the request; raised by the iterator.
            TransportError: no response, or an unreadable one; raised by the iterator.
        """
        if order not in ("asc", "desc"):
            raise InvalidArgument("order", order, "'asc' or 'desc'")
        return v2.events(self._client(), self._known_id(), order)

    def board(self, auto_stop: Optional[int] = None) -> "VisualizationJob":
        """Return the board of this training: a running one, a stopped one restarted, or a new one.

        The training needs a folder with event files: ``tensorboard=`` of :meth:`create`.

        Args:
            auto_stop: the whole hours, 1 to 720, after which a new board stops; by default it runs
                until it is stopped.

        Returns:
            The board; it may still be starting. ``job.board().show()`` shows it in a notebook.

        Raises:
            InvalidArgument: an argument is wrong, this object has no id, or the training has no
                folder with event files; no board was created.
            ApiError: the service refused a request.
            AmbiguousCreate: the response to a create was lost.
            TransportError: no response, or an unreadable one.

        Example:
            >>> job.board().show()                                            # doctest: +SKIP
        """
        from modelarts.visualization.job import VisualizationJob

        self._known_id()
        return VisualizationJob.ensure(
            training_jobs=[self],
            auto_stop=auto_stop,
            session=self.session.with_api("v2"),
            check=False,
        )

    def why_it_ended(self) -> str:
        """Return the reason of an end that was not wished: of the service, and of the log.

        Returns:
            A text that begins with a punctuation mark; empty if nothing is known.
        """
        from modelarts.training.logs import why_ended

        return why_ended(self._client(), self._known_id(), self._fields, _SHOWN_LINES)

    # Attributes -----------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session; made from the environment if none was given."""
        if self._session is None:
            self._session = Session()
        return self._session

    @property
    def job_id(self) -> Optional[str]:
        """The job's id, a UUID; None before there is a job."""
        return self._id

    @property
    def job_name(self) -> Optional[str]:
        """The job's name."""
        return self._text("job_name")

    @property
    def description(self) -> Optional[str]:
        """The job's description."""
        return self._text("job_desc")

    @property
    def status(self) -> Optional[JobStatus]:
        """The status when it was last fetched; :meth:`refresh` fetches it again."""
        number = self._get("status")
        return None if number is None else JobStatus(number)

    @property
    def phase(self) -> Optional[str]:
        """The phase when it was last fetched, in the service's word, such as ``"Running"``."""
        return self._text("phase")

    @property
    def kind(self) -> Optional[str]:
        """The kind of the job: ``"job"``; or another kind of training."""
        return self._text("kind")

    @property
    def create_time(self) -> Optional[int]:
        """The time at which the job was created, in milliseconds since the epoch."""
        return self._number("create_time")

    @property
    def start_time(self) -> Optional[int]:
        """The time at which the job was started, in milliseconds since the epoch."""
        return self._number("start_time")

    @property
    def duration(self) -> Optional[int]:
        """The time that the job has been running, in milliseconds."""
        return self._number("duration")

    @property
    def tasks(self) -> "List[str]":
        """The names of the tasks, one for each node, such as ``["worker-0"]``."""
        return [*(self._get("tasks") or ())]

    @property
    def info(self) -> "JobInfo":
        """The fields that boards have too, with types."""
        from modelarts.visualization.display.text import last_known

        self._get("status")
        return last_known(self)

    @property
    def raw(self) -> _Dict:
        """The training as the service sent it, without the tokens of its endpoints."""
        return dict(self._fields.get("raw") or {})

    @property
    def last_seen(self) -> Optional[datetime]:
        """The time of the service's last response about the job, in UTC; None if there was none."""
        return None if self._seen is None else datetime.fromtimestamp(self._seen, timezone.utc)

    def __repr__(self) -> str:
        shown = {
            "job_id": self._id,
            "job_name": self._fields.get("job_name"),
            "phase": self._fields.get("phase"),
        }
        parts = ("%s=%r" % (name, value) for name, value in shown.items() if value)
        return "%s(%s)" % (type(self).__name__, ", ".join(parts))

    def _repr_html_(self) -> str:
        from modelarts.training.display import card

        return card(self)

    def __getstate__(self) -> _Dict:
        # A session holds secrets, and so may the variables of a training.
        return {"id": self._id, "fields": v2.without_variables(self._fields), "seen": self._seen}

    def __setstate__(self, state: _Dict) -> None:
        self._session = None
        self._id, self._fields, self._seen = state["id"], state["fields"], state["seen"]

    # The documented calls: the documented dict, also where the service refuses --------------------

    def get_job_info(self) -> _Dict:
        """Return the details as a dict.

        Returns:
            The training as the service sends it, with ``kind``, ``metadata``, ``status``,
            ``algorithm`` and ``spec``. If the service refuses the request: ``error_msg``,
            ``error_code`` and, where it says one, ``error_solution``.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining the Details About a Training Job".
        """
        return v2.documented(lambda: self.refresh().raw)

    def control_job(self) -> _Dict:
        """End the training before it is complete.

        Returns:
            The training as the service sends it; its ``status`` has the ``phase`` ``Terminating``.
            If the service refuses the request: ``error_msg``, ``error_code`` and, where it says
            one, ``error_solution``.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Terminating a Training Job".
        """

        def stop() -> _Dict:
            self.stop()
            return (self if self._fields else self.refresh()).raw

        return v2.documented(stop)

    def update_job_configs(self, description: str) -> _Dict:
        """Change the description.

        Args:
            description: the new description, 0 to 256 characters.

        Returns:
            An empty dict; where the service refuses the request, one with ``error_msg``,
            ``error_code`` and, if it says one, ``error_solution``.

        Raises:
            InvalidArgument: the description is too long, or this object has no id; nothing was
                sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Modifying the Description of a Training Job".
        """
        return v2.documented(lambda: self.update(description)._nothing())

    def get_job_log(self, task_id: str = v2.TASK) -> _Dict:
        """Return the newest part of the log as a dict.

        Args:
            task_id: the name of the task, by default ``"worker-0"``.

        Returns:
            A dict with ``content``, at most 5 MB of text, ``current_size``, its size in bytes, and
            ``full_size``, that of the log. If the service refuses the request: ``error_msg``,
            ``error_code`` and, where it says one, ``error_solution``.

        Raises:
            InvalidArgument: an argument is wrong, or this object has no id; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining Training Job Logs".
        """
        job_id, task = self._known_id(), v2.checked_task(task_id)
        return v2.documented(lambda: v2.log_preview(self._client(), job_id, task))

    def get_job_metrics(self, task_id: str = v2.TASK) -> _Dict:
        """Return the metrics of a task as a dict.

        Args:
            task_id: the name of the task, by default ``"worker-0"``.

        Returns:
            A dict with ``metrics``, a list of dicts with ``metric`` and ``value``, a list of one
            mean value a minute, -1 where there is none. If the service refuses the request:
            ``error_msg``, ``error_code`` and, where it says one, ``error_solution``.

        Raises:
            InvalidArgument: an argument is wrong, or this object has no id; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining the Running Metrics of a Training Job".
        """
        job_id, task = self._known_id(), v2.checked_task(task_id)
        return v2.documented(lambda: v2.metrics(self._client(), job_id, task))

    def delete_job(self) -> _Dict:
        """Delete the training.

        Returns:
            An empty dict; where the service refuses the request, one with ``error_msg``,
            ``error_code`` and, if it says one, ``error_solution``.

        Raises:
            InvalidArgument: this object has no id; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Deleting a Training Job".
        """
        return v2.documented(lambda: self.delete()._nothing())

    # Inside ---------------------------------------------------------------------------------------

    @classmethod
    def submit(
        cls, session: Optional[Session], request: TrainingRequest, check: bool = True
    ) -> "Self":
        """Create the training of a request; files of this machine are sent to OBS first.

        Args:
            session: the session; None for one made from the environment.
            request: the definition.
            check: True, the default, to look first whether flavor, engine, inputs and buckets
                exist.

        Returns:
            The new training.

        Raises:
            InvalidArgument: an argument is wrong; no job was created.
            IncompleteTransfer: files of this machine could not be sent; no job was created.
            ApiError: the service refused the request.
            AmbiguousCreate: the response was lost, and it is unknown whether the job was created.
            TransportError: no response, and nothing was created.
        """
        from modelarts.training import files
        from modelarts.visualization import once

        job = cls(session)
        client = job._client()
        if check:
            v2.check_offers(client, request)
            files.check_places(job.session, request)
        answer = once.create(v2.CALLS, client, files.located(job.session, request))
        job._learn(answer)
        return job

    @classmethod
    def _iterate(
        cls, session: Session, filters: "List[Mapping[str, Any]]", order: str
    ) -> "Iterator[Self]":
        for fields in v2.iterate(session.client, filters, order):
            job = cls(session)
            job._learn(fields)
            yield job

    def _followed(self, follower: "LogFollower", timeout: float) -> "Iterator[str]":
        clock = self.session.clock
        ends = clock.monotonic() + timeout
        began = worked = clock.monotonic()
        pause = _FIRST_PAUSE
        looks_left = _LAST_LOOKS
        while True:
            before = follower.offset
            has_ended = False
            try:
                status = self.refresh().status
                has_ended = status is not None and status.is_final
                if status not in _NOT_STARTED:  # else there is no log
                    yield from follower.poll(fresh=has_ended)
                worked = clock.monotonic()
            except (TransportError, ServerError, RateLimited) as error:
                # A network that is away for a while is no reason to end.
                waited = clock.monotonic() - worked
                if waited > _PATIENCE or getattr(error, "permanent", False):
                    raise
            else:
                if has_ended and (not follower.is_behind or not looks_left):
                    yield from follower.finish()
                    return
            if has_ended:  # the rest of the log comes to its place a moment later
                looks_left -= 1
            elif clock.monotonic() >= ends:
                raise WaitTimeout(
                    "training %s has not ended in time; it goes on" % self.job_id, self
                )
            is_new = clock.monotonic() - began < _HURRY or follower.offset > before
            pause = _FIRST_PAUSE if is_new else min(2 * pause, _LONGEST_PAUSE)
            clock.sleep(min(pause, max(ends - clock.monotonic(), 0.0)))

    def _nothing(self) -> _Dict:
        """Return the documented answer of calls that have none."""
        return {}

    def _client(self) -> "ServiceClient":
        return self.session.client

    def _known_id(self) -> str:
        if self._id is None:
            raise InvalidArgument(
                "job_id", None, "the id of a training; this object stands for none yet"
            )
        return self._id

    def _learn(self, fields: _Dict) -> None:
        if self._id is None:
            self._id = str(fields["job_id"])
        self._fields = fields
        self._seen = self.session.clock.time()

    def _get(self, name: str) -> Any:
        if name not in self._fields and self._id is not None:
            self.refresh()
        return self._fields.get(name)

    def _text(self, name: str) -> Optional[str]:
        value = self._get(name)
        return None if value is None else str(value)

    def _number(self, name: str) -> Optional[int]:
        value = self._get(name)
        return None if value is None else int(value)


def _whole(follower: "LogFollower") -> "Iterator[str]":
    yield from follower.poll(fresh=True)
    yield from follower.finish()
