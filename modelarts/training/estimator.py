"""The Estimator of the v2 API: a script and the resources it runs on, as the original has it."""

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Union

from modelarts import validation
from modelarts.errors import InvalidArgument
from modelarts.session import Session
from modelarts.training import v2
from modelarts.training.job import TrainingJob
from modelarts.training.params import TrainingFiles
from modelarts.training.request import TrainingRequest

if TYPE_CHECKING:
    from modelarts.training.job import Inputs, Outputs, Parameters
    from modelarts.visualization.job import VisualizationJob

_Dict = Dict[str, Any]
_MAX_PAGE = 50


class Estimator:
    """The definition of a training, which :meth:`fit` runs.

    The documented calls that return a dict return one also when the service refuses the request; it
    has the key ``error_msg`` then. :meth:`fit` raises typed errors. The constructor checks its
    arguments and sends no request.

    Args:
        session: the session; by default one made from the environment.
        training_files: the code, a :class:`~modelarts.training.params.TrainingFiles`; a folder of
            this machine is sent to OBS first. By default none, for an image that has its code.
        framework_type: the name of a preset engine, such as ``"PyTorch"``; see
            :meth:`get_framework_list`.
        framework_version: the version of the engine.
        user_image_url: a container image, instead of an engine.
        user_command: the command that is run in the image.
        parameters: what the boot file gets as ``--name=value``: ``[{"name": "lr", "value":
            "0.1"}]`` or ``{"lr": 0.1}``.
        outputs: what it writes: a list of :class:`~modelarts.training.params.OutputData`, ``{name:
            path}``, or one path such as ``"obs://bucket/out/"`` or ``"runs/"``, whose name is
            ``train_url``.
        train_instance_type: the id of a flavor; see :meth:`get_train_instance_types`.
        train_instance_count: the number of nodes, 1 or more; by default 1.
        pool_id: the id of a resource pool; by default the public one.
        log_url: the folder in OBS where the log is kept.
        env_variables: up to 100 variables; they are shown nowhere.
        working_dir: the folder in which the command is run.
        local_code_dir: the folder that the code is copied to.
        volumes: what is mounted, such as ``[{"pfs": {"pfs_path": …, "local_path": …}}]``.
        job_description: 0 to 256 characters; by default empty.
        job_id: the id of an existing training, for the calls that act on it.
        tensorboard: the folder with the event files, ``"obs://bucket/summary/"``, or the name of an
            output; then ``job.board()`` shows the curves.
        auto_stop: the whole hours, 1 or more, after which the service ends the training.
        workspace_id: the workspace; by default the service's default, ``'0'``.

    Raises:
        InvalidArgument: an argument is wrong.

    Source: *ModelArts SDK Reference*, "Creating a Training Job".

    Example:
        >>> estimator = Estimator(
        ...     session=session,
        ...     training_files=TrainingFiles("obs://bucket/code/", "train.py"),
        ...     framework_type="PyTorch", framework_version="PyTorch-1.4.0-python3.6",
        ...     parameters={"lr": 0.1}, outputs="obs://bucket/out/",
        ...     train_instance_type="modelarts.vm.cpu.2u")                    # doctest: +SKIP
        >>> job = estimator.fit(wait=True, show_log=True)                     # doctest: +SKIP
    """

    def __init__(
        self,
        session: Optional[Session] = None,
        training_files: Optional[TrainingFiles] = None,
        framework_type: Optional[str] = None,
        framework_version: Optional[str] = None,
        user_image_url: Optional[str] = None,
        user_command: Optional[str] = None,
        parameters: "Parameters" = None,
        outputs: "Outputs" = None,
        train_instance_type: Optional[str] = None,
        train_instance_count: int = 1,
        pool_id: Optional[str] = None,
        log_url: Optional[str] = None,
        env_variables: Optional[Mapping[str, str]] = None,
        working_dir: Optional[str] = None,
        local_code_dir: Optional[str] = None,
        volumes: Optional[Sequence[Mapping[str, Any]]] = None,
        job_description: str = "",
        job_id: Optional[str] = None,
        *,
        tensorboard: Optional[str] = None,
        auto_stop: Optional[int] = None,
        workspace_id: Optional[str] = None,
    ) -> None:
        if training_files is not None and not isinstance(training_files, TrainingFiles):
            raise InvalidArgument(
                "training_files", training_files, "a TrainingFiles(code_dir=…, boot_file=…)"
            )
        self._job = TrainingJob(session, job_id)
        files = training_files
        self._arguments: _Dict = {
            "code_dir": None if files is None else files.code_dir,
            "boot_file": None if files is None else files.boot_file,
            "obs_path": None if files is None else files.obs_path,
            "framework_type": framework_type,
            "framework_version": framework_version,
            "user_image_url": user_image_url,
            "user_command": user_command,
            "parameters": parameters,
            "outputs": outputs,
            "train_instance_type": train_instance_type,
            "train_instance_count": train_instance_count,
            "pool_id": pool_id,
            "log_url": log_url,
            "env_variables": env_variables,
            "working_dir": working_dir,
            "local_code_dir": local_code_dir,
            "volumes": volumes,
            "job_description": job_description,
            "tensorboard": tensorboard,
            "auto_stop": auto_stop,
            "workspace_id": workspace_id,
        }
        if files is not None or user_image_url:
            TrainingRequest.validate(**self._arguments)

    def fit(
        self,
        inputs: "Inputs" = None,
        job_name: Optional[str] = None,
        wait: bool = False,
        show_log: bool = False,
        *,
        timeout: Optional[float] = None,
        check: bool = True,
    ) -> TrainingJob:
        """Create a training, and wait for it if that is wished.

        Each call creates one. This object then stands for the new training too.

        Args:
            inputs: what it reads: a list of :class:`~modelarts.training.params.InputData`, ``{name:
                path}``, or one path, whose name is ``data_url``. Data of this machine is sent to
                OBS first.
            job_name: 1 to 64 letters, digits, ``_`` or ``-``; by default ``job-`` and eight
                hexadecimal digits.
            wait: True to wait until it is complete; by default False.
            show_log: True to print its log line by line until it is complete; by default False. An
                interrupt (Ctrl-C) ends that only; the training goes on.
            timeout: the seconds to wait; by default as long as the training takes.
            check: True, the default, to look first whether flavor, engine, inputs and buckets
                exist.

        Returns:
            The training, with its ``job_id``.

        Raises:
            InvalidArgument: an argument is wrong; no job was created.
            IncompleteTransfer: files of this machine could not be sent; no job was created.
            ApiError: the service refused the request.
            AmbiguousCreate: the response was lost, and it is unknown whether the job was created.
            TransportError: no response.
            JobFailed: with ``wait`` or ``show_log``: the training has failed or was ended; the
                error has the reason and the last lines of the log.
            WaitTimeout: the training was not complete in time.

        Source: *ModelArts SDK Reference*, "Creating a Training Job".

        Example:
            >>> job = estimator.fit(
            ...     inputs=[InputData(obs_path="obs://bucket/data/", name="data_url")],
            ...     job_name="nightly", wait=True, show_log=True)             # doctest: +SKIP
        """
        request = TrainingRequest.validate(inputs=inputs, job_name=job_name, **self._arguments)
        job = TrainingJob.submit(self._job.session, request, check)
        self._job = job
        if show_log:
            job.follow(timeout=timeout)
        elif wait:
            job.wait(timeout=timeout)
        return job

    # The lists ------------------------------------------------------------------------------------

    @classmethod
    def get_job_list(
        cls,
        session: Optional[Session] = None,
        offset: int = 0,
        limit: int = 10,
        sort_by: str = "create_time",
        order: str = "desc",
        group_by: Optional[str] = None,
        filters: Optional[Sequence[Mapping[str, Any]]] = None,
        *,
        workspace_id: Optional[str] = None,
    ) -> _Dict:
        """Return one page of training jobs of all kinds as a dict.

        Args:
            session: the session; by default one made from the environment.
            offset: the number of the page, from 0.
            limit: the number of jobs of a page, 1 to 50; by default 10.
            sort_by: the key that is sorted by; by default ``"create_time"``.
            order: ``"desc"``, by default, or ``"asc"``.
            group_by: the key that is grouped by; by default none.
            filters: a list of ``{"key": …, "operator": …, "value": […]}``; the operators are
                ``between``, ``like``, ``in`` and ``not``.
            workspace_id: the workspace; by default the service's default, ``'0'``.

        Returns:
            A dict with ``total``, ``count``, ``limit``, ``offset``, ``sort_by``, ``order``,
            ``group_by``, ``workspace_id``, ``ai_project`` and ``items``, a list of jobs. If the
            service refuses the request: ``error_msg``, ``error_code`` and, where it says one,
            ``error_solution``.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining Training Jobs".

        Example:
            >>> page = Estimator.get_job_list(session, limit=5, filters=[
            ...     {"key": "name", "operator": "like", "value": ["trainjob"]}])  # doctest: +SKIP
            >>> page["total"], len(page["items"])                             # doctest: +SKIP
            (12, 5)
        """
        body: _Dict = {
            "offset": validation.whole("offset", offset, 0, 2**31 - 1),
            "limit": validation.whole("limit", limit, 1, _MAX_PAGE),
            "sort_by": sort_by,
            "order": order,
        }
        if order not in ("asc", "desc"):
            raise InvalidArgument("order", order, "'asc' or 'desc'")
        if not isinstance(sort_by, str) or not sort_by:
            raise InvalidArgument("sort_by", sort_by, "a key, such as 'create_time'")
        if group_by is not None:
            body["group_by"] = group_by
        if workspace_id is not None:
            body["workspace_id"] = str(workspace_id)
        if filters is not None:
            if not isinstance(filters, (list, tuple)) or not all(
                isinstance(entry, Mapping) for entry in filters
            ):
                raise InvalidArgument(
                    "filters", filters, 'a list of {"key": …, "operator": …, "value": […]}'
                )
            body["filters"] = [dict(entry) for entry in filters]
        client = TrainingJob(session).session.client
        return v2.documented(lambda: v2.page(client, body))

    @classmethod
    def get_train_instance_types(
        cls, session: Optional[Session] = None, *, flavor_type: Optional[str] = None
    ) -> "Union[List[str], _Dict]":
        """Return the ids of the flavors that trainings may use.

        Args:
            session: the session; by default one made from the environment.
            flavor_type: ``"CPU"``, ``"GPU"`` or ``"Ascend"``; by default all.

        Returns:
            A list of ids, such as ``["modelarts.vm.cpu.2u"]``. If the service refuses the request,
            a dict with ``error_msg`` and ``error_code``.

        Raises:
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Querying the List of Resource Flavors".
        """
        client = TrainingJob(session).session.client
        return v2.documented(
            lambda: [str(entry.get("flavor_id")) for entry in v2.flavors(client, flavor_type)]
        )

    @classmethod
    def get_framework_list(
        cls, session: Optional[Session] = None
    ) -> "Union[List[Dict[str, str]], _Dict]":
        """Return the preset engines.

        Args:
            session: the session; by default one made from the environment.

        Returns:
            A list of dicts with ``framework_type`` and ``framework_version``. If the service
            refuses the request, a dict with ``error_msg`` and ``error_code``.

        Raises:
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Querying the List of Engine Types".
        """
        client = TrainingJob(session).session.client
        return v2.documented(
            lambda: [
                {
                    "framework_type": str(entry.get("engine_name")),
                    "framework_version": str(entry.get("engine_version")),
                }
                for entry in v2.engines(client)
            ]
        )

    # By id ----------------------------------------------------------------------------------------

    @classmethod
    def control_job_by_id(cls, session: Optional[Session] = None, job_id: str = "") -> _Dict:
        """End a training before it is complete.

        Args:
            session: the session; by default one made from the environment.
            job_id: the job's id, a UUID.

        Returns:
            The training as the service sends it; where it refuses the request, ``error_msg``,
            ``error_code`` and, if it says one, ``error_solution``.

        Raises:
            InvalidArgument: the id is no UUID; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Terminating a Training Job".
        """
        return TrainingJob(session, v2.checked_id(job_id)).control_job()

    @classmethod
    def delete_job_by_id(cls, session: Optional[Session] = None, job_id: str = "") -> _Dict:
        """Delete a training.

        Args:
            session: the session; by default one made from the environment.
            job_id: the job's id, a UUID.

        Returns:
            An empty dict; where the service refuses the request, one with ``error_msg``,
            ``error_code`` and, if it says one, ``error_solution``.

        Raises:
            InvalidArgument: the id is no UUID; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Deleting a Training Job".
        """
        return TrainingJob(session, v2.checked_id(job_id)).delete_job()

    # Of the training that this object stands for --------------------------------------------------

    @property
    def session(self) -> Session:
        """The session; made from the environment if none was given."""
        return self._job.session

    @property
    def job(self) -> TrainingJob:
        """The training of the last :meth:`fit`, or of ``job_id``."""
        return self._job

    @property
    def job_id(self) -> Optional[str]:
        """The id of that training; None before there is one."""
        return self._job.job_id

    def get_job_info(self) -> _Dict:
        """Return the details as a dict; see :meth:`TrainingJob.get_job_info`.

        Returns:
            The training as the service sends it; the failure dict if the service refuses.

        Source: *ModelArts SDK Reference*, "Obtaining the Details About a Training Job".
        """
        return self._job.get_job_info()

    def control_job(self) -> _Dict:
        """End the training; see :meth:`TrainingJob.control_job`.

        Returns:
            The training as the service sends it; the failure dict if the service refuses.

        Source: *ModelArts SDK Reference*, "Terminating a Training Job".
        """
        return self._job.control_job()

    def update_job_configs(self, description: str) -> _Dict:
        """Change the description; see :meth:`TrainingJob.update_job_configs`.

        Args:
            description: the new description, 0 to 256 characters.

        Returns:
            An empty dict; the failure dict if the service refuses.

        Source: *ModelArts SDK Reference*, "Modifying the Description of a Training Job".
        """
        return self._job.update_job_configs(description)

    def get_job_log(self, task_id: str = v2.TASK) -> _Dict:
        """Return the newest part of the log; see :meth:`TrainingJob.get_job_log`.

        Args:
            task_id: the name of the task, by default ``"worker-0"``.

        Returns:
            A dict with ``content``, ``current_size`` and ``full_size``; the failure dict if the
            service refuses.

        Source: *ModelArts SDK Reference*, "Obtaining Training Job Logs".
        """
        return self._job.get_job_log(task_id)

    def get_job_metrics(self, task_id: str = v2.TASK) -> _Dict:
        """Return the metrics of a task; see :meth:`TrainingJob.get_job_metrics`.

        Args:
            task_id: the name of the task, by default ``"worker-0"``.

        Returns:
            A dict with ``metrics``; the failure dict if the service refuses.

        Source: *ModelArts SDK Reference*, "Obtaining the Running Metrics of a Training Job".
        """
        return self._job.get_job_metrics(task_id)

    def delete_job(self) -> _Dict:
        """Delete the training; see :meth:`TrainingJob.delete_job`.

        Returns:
            An empty dict; the failure dict if the service refuses.

        Source: *ModelArts SDK Reference*, "Deleting a Training Job".
        """
        return self._job.delete_job()

    def board(self, auto_stop: Optional[int] = None) -> "VisualizationJob":
        """Return the board of the training; see :meth:`TrainingJob.board`.

        Args:
            auto_stop: the whole hours, 1 to 720, after which a new board stops; by default it runs
                until it is stopped.

        Returns:
            The board; it may still be starting.
        """
        return self._job.board(auto_stop)

    def __getstate__(self) -> _Dict:
        if self._arguments["env_variables"]:
            raise TypeError(
                "this Estimator has env_variables, and what may be secret is not pickled. "
                "Let the worker make its own"
            )
        return self.__dict__

    def __repr__(self) -> str:
        shown = {
            "code_dir": self._arguments["code_dir"],
            "boot_file": self._arguments["boot_file"],
            "user_image_url": self._arguments["user_image_url"],
            "job_id": self.job_id,
        }
        parts = ("%s=%r" % (name, value) for name, value in shown.items() if value is not None)
        return "%s(%s)" % (type(self).__name__, ", ".join(parts))
