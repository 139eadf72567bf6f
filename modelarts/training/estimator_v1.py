"""The Estimator of V1, and the versions of trainings that its calls return."""

import warnings
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    ClassVar,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
)

from modelarts import validation
from modelarts._internal.terminal import text_width
from modelarts._internal.warnings import level_of_the_caller
from modelarts._status import JOB_STATE, JobStatus
from modelarts.environment import Environment
from modelarts.errors import ApiError, InvalidArgument
from modelarts.session import Session, checked_session
from modelarts.training.v1_definition import (
    Definition,
    checked_config_name,
    checked_id,
    made_up_config_name,
)

if TYPE_CHECKING:
    from modelarts.http.client import ServiceClient
    from modelarts.training.v1_dialect import Trainings, Versions

_T = TypeVar("_T")
_Dict = Dict[str, Any]
_Id = Union[str, int]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_MAX_LOG = 2048
_SORT_KEYS = (
    "job_name",
    "job_desc",
    "status",
    "duration",
    "engine_type",
    "version_count",
    "create_time",
)
_CONFIG_SORT_KEYS = ("config_name", "config_desc", "create_time", *_SORT_KEYS)


class TrainingJobVersion:
    """One version of a training of V1, or a parameter configuration.

    The calls that return a dict return one also when the service refuses the request: with
    ``is_success`` (False), ``error_code`` and ``error_msg``, keys that it does not have otherwise.

    Attributes:
        job_id: the id of the training, as a text.
        version_id: the id of the version, as a text.
        job_name: the name of the training; None if it is not known.
        config_name: the name of the parameter configuration; None for a training.

    Source: *ModelArts SDK Reference*, "Training Jobs" and "Training Job Versions".

    Example:
        >>> job = Estimator(session, job_id="182626", version_id="278813")    # doctest: +SKIP
        >>> job.get_job_info()["status"]                                      # doctest: +SKIP
        8
    """

    def __init__(
        self,
        modelarts_session: Optional[Session] = None,
        *,
        job_id: Optional[_Id] = None,
        version_id: Optional[_Id] = None,
        job_name: Optional[str] = None,
        config_name: Optional[str] = None,
    ) -> None:
        """Make an object for a version that exists; no request is sent.

        Args:
            modelarts_session: the session; by default one made from the environment.
            job_id: the id of the training.
            version_id: the id of the version.
            job_name: the name of the training.
            config_name: the name of the parameter configuration.
        """
        self._session = checked_session("modelarts_session", modelarts_session)
        self.job_id = None if job_id is None else checked_id("job_id", job_id)
        self.version_id = None if version_id is None else checked_id("version_id", version_id)
        self.job_name = job_name
        self.config_name = None if config_name is None else checked_config_name(config_name)

    @property
    def session(self) -> Session:
        """The session; made from the environment when it is first needed."""
        if self._session is None:
            self._session = Session()
        return self._session

    # Details ------------------------------------------------------------------------------------

    def get_job_info(self) -> _Dict:
        """Return the details of the version; without a ``version_id``, of the newest one.

        Returns:
            A dict with, among others, ``job_id``, ``job_name``, ``version_id``, ``status``,
            ``duration`` (milliseconds), ``parameter``, ``data_url`` and ``train_url``. With the v2
            API, what it does not tell is None.

        Raises:
            InvalidArgument: this object has no ``job_id``; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining Details About a Training Job".

        Example:
            >>> info = job.get_job_info()                                     # doctest: +SKIP
            >>> JOB_STATE[info["status"]] if info["is_success"] else info["error_msg"]
            ...                                                               # doctest: +SKIP
            'JOBSTAT_RUNNING'
        """
        return self._documented(
            lambda api, job_id: api.details(self._client, job_id, self._version)
        )

    def get_job_version_info(self) -> _Dict:
        """Return the details of the training with all its versions.

        Returns:
            A dict with ``job_id``, ``job_name``, ``job_desc``, ``version_count`` and
            ``versions``, a list of dicts; or the failure.

        Raises:
            InvalidArgument: this object has no ``job_id``; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining Details About a Training Job Version".

        Example:
            >>> Estimator(session, job_id="182626").get_job_version_info()    # doctest: +SKIP
        """
        return self._documented(lambda api, job_id: api.versions(self._client, job_id))

    def get_job_version_object_list(self, is_show: bool = True) -> "List[TrainingJobVersion]":
        """Return all versions of the training as objects, and print them as a table.

        Args:
            is_show: False to print nothing; by default True.

        Returns:
            The versions, in the order of the service.

        Raises:
            InvalidArgument: this object has no ``job_id``; nothing was sent.
            ApiError: the service refused the request.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Querying the List of Training Job Versions".

        Example:
            >>> versions = Estimator(session, job_id="182626").get_job_version_object_list()
            ...                                                               # doctest: +SKIP
        """
        answer = self._run(lambda api, job_id: api.versions(self._client, job_id))
        versions = answer["versions"]
        if is_show:
            _show(
                ("VERSION ID", "NAME", "STATUS", "DURATION", "CODE", "OUTPUT"),
                [
                    (
                        version.get("version_id"),
                        version.get("version_name"),
                        JOB_STATE[int(version.get("status") or 0)],
                        _clock_span(version.get("duration")),
                        version.get("app_url"),
                        version.get("train_url"),
                    )
                    for version in versions
                ],
            )
        return [
            TrainingJobVersion(
                self.session,
                job_id=answer["job_id"],
                version_id=version["version_id"],
                job_name=answer.get("job_name"),
            )
            for version in versions
        ]

    # Changes ------------------------------------------------------------------------------------

    def stop_job_version(self) -> _Dict:
        """Stop the version.

        It ends some time after the call. If the response is lost, its status decides whether the
        request is sent again.

        Returns:
            ``{"is_success": True}``, or the failure, for example if the version has ended.

        Raises:
            InvalidArgument: this object has no ``job_id`` or no ``version_id``; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Stopping a Training Job Version".

        Example:
            >>> Estimator(session, job_id="182626", version_id="278813").stop_job_version()
            ...                                                               # doctest: +SKIP
            {'is_success': True}
        """
        version_id = self._known_version()
        return self._documented(lambda api, job_id: api.stop(self._client, job_id, version_id))

    def delete_job_version(self) -> _Dict:
        """Delete the version.

        Returns:
            ``{"is_success": True}``, or the failure.

        Raises:
            InvalidArgument: this object has no ``job_id`` or no ``version_id``; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Deleting a Training Job Version".

        Example:
            >>> Estimator(session, job_id="182626", version_id="278813").delete_job_version()
            ...                                                               # doctest: +SKIP
            {'is_success': True}
        """
        version_id = self._known_version()
        return self._documented(
            lambda api, job_id: api.delete_version(self._client, job_id, version_id)
        )

    def delete_job(self) -> _Dict:
        """Delete the training with all its versions.

        Returns:
            ``{"is_success": True}``, or the failure.

        Raises:
            InvalidArgument: this object has no ``job_id``; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Deleting a Training Job".

        Example:
            >>> job.delete_job()                                              # doctest: +SKIP
            {'is_success': True}
        """
        return self._documented(lambda api, job_id: api.delete(self._client, job_id))

    def update_job_description(self, description: str) -> _Dict:
        """Change the description of the training.

        Args:
            description: the new description, 0 to 256 characters.

        Returns:
            ``{"is_success": True}``, or the failure.

        Raises:
            InvalidArgument: the description is too long, or this object has no ``job_id``; nothing
                was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Modifying the Description of a Training Job".

        Example:
            >>> job.update_job_description(description="update description")  # doctest: +SKIP
            {'is_success': True}
        """
        text = validation.description("description", description)
        return self._documented(lambda api, job_id: api.update(self._client, job_id, text))

    # Logs ---------------------------------------------------------------------------------------

    def get_job_log_file_list(self) -> _Dict:
        """Return the names of the log files, one for each node.

        Returns:
            ``log_file_list``, a list of names, and ``is_success``; or the failure.

        Raises:
            InvalidArgument: this object has no ``job_id``; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining the Name of a Training Job Log File".

        Example:
            >>> job.get_job_log_file_list()["log_file_list"]                  # doctest: +SKIP
            ['job-job-0713-191758.0']
        """
        return self._documented(
            lambda api, job_id: api.log_names(self._client, job_id, self._version)
        )

    def get_job_log(self, log_file: str, start_byte: int = 0, offset: int = 2048) -> _Dict:
        """Return a part of a log.

        A character belongs to the part with its first byte, so that parts one after the other are
        the log: the next one begins at ``end_line``.

        Args:
            log_file: a name of :meth:`get_job_log_file_list`.
            start_byte: the number of the first byte, from 0, the default; -1 for the newest bytes.
            offset: how many bytes, -2048 to 2048; a negative number for those before
                ``start_byte``. By default 2048.

        Returns:
            ``content``, the text; ``lines``, the number of its lines; ``start_line`` and
            ``end_line``, the positions of the first byte and of the one after the last, as texts.
            Or the failure.

        Raises:
            InvalidArgument: an argument is wrong, or this object has no ``job_id``.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining Training Job Logs".

        Example:
            >>> job.get_job_log(log_file="job-job-0713-191758.0")["content"]  # doctest: +SKIP
        """
        if not isinstance(log_file, str) or not 0 < len(log_file) <= 1024:
            raise InvalidArgument("log_file", log_file, "a name of get_job_log_file_list()")
        if isinstance(start_byte, bool) or not isinstance(start_byte, int) or start_byte < -1:
            raise InvalidArgument("start_byte", start_byte, "a whole number from -1 on")
        if isinstance(offset, bool) or not isinstance(offset, int) or abs(offset) > _MAX_LOG:
            raise InvalidArgument("offset", offset, "a whole number from -2048 to 2048")
        return self._documented(
            lambda api, job_id: api.log(
                self._client, job_id, self._version, log_file, start_byte, offset
            )
        )

    # Parameter configurations -------------------------------------------------------------------

    def get_job_configs_info(self) -> _Dict:
        """Return the parameter configuration. Only v1 has them.

        Returns:
            A dict, or the failure; with the v2 API always the failure.

        Raises:
            InvalidArgument: this object has no ``config_name``; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining Details About a Training Job Configuration".

        Example:
            >>> Estimator(session, config_name="my_job_config").get_job_configs_info()
            ...                                                               # doctest: +SKIP
        """
        name = checked_config_name(self.config_name)
        return _documented(lambda: _run(self._client, lambda api: api.config(self._client, name)))

    def delete_job_configs(self) -> _Dict:
        """Delete the parameter configuration. Only v1 has them.

        Returns:
            ``{"is_success": True}``, or the failure; with the v2 API always the failure.

        Raises:
            InvalidArgument: this object has no ``config_name``; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Deleting a Training Job Configuration".

        Example:
            >>> Estimator(session, config_name="my_job_config").delete_job_configs()
            ...                                                               # doctest: +SKIP
            {'is_success': True}
        """
        name = checked_config_name(self.config_name)
        return _documented(
            lambda: _run(self._client, lambda api: api.delete_config(self._client, name))
        )

    def __repr__(self) -> str:
        shown = {
            "job_id": self.job_id,
            "version_id": self.version_id,
            "job_name": self.job_name,
            "config_name": self.config_name,
        }
        parts = ("%s=%r" % (name, value) for name, value in shown.items() if value is not None)
        return "%s(%s)" % (type(self).__name__, ", ".join(parts))

    def __getstate__(self) -> _Dict:
        # A session holds secrets; where this is unpickled, the environment's is used.
        return {**self.__dict__, "_session": None}

    # Inside -------------------------------------------------------------------------------------

    @property
    def _client(self) -> "ServiceClient":
        return self.session.client

    @property
    def _version(self) -> Optional[str]:
        return None if self.version_id is None else checked_id("version_id", self.version_id)

    def _known_version(self) -> str:
        if self.version_id is None:
            raise InvalidArgument(
                "version_id",
                None,
                "the id of a version: Estimator(session, job_id=…, version_id=…)",
            )
        return checked_id("version_id", self.version_id)

    def _run(self, act: "Callable[[Versions, str], _T]") -> _T:
        """Call ``act`` with the API that has this training, and with its id."""
        if self.job_id is None:
            raise InvalidArgument(
                "job_id", None, "the id of a training: Estimator(session, job_id=…)"
            )
        job_id = checked_id("job_id", self.job_id)
        from modelarts.training.here import HERE, is_local_id

        if is_local_id(job_id):
            return act(HERE, job_id)
        return _run(self._client, lambda api: act(api, job_id))

    def _documented(self, act: "Callable[[Versions, str], _Dict]") -> _Dict:
        return _documented(lambda: self._run(act))


class Estimator(TrainingJobVersion):
    """The Estimator of V1: the definition of a training, and the calls on trainings.

    It uses the v1 API of trainings where the service has it, and else the v2 API: a version is then
    a job of v2. ``train_instance_type="local"`` runs the boot file as a process of this machine.

    The boot file is called with ``--data_url=<inputs>``, ``--<label>=<value>`` for each
    hyperparameter, ``--num_gpus=<number>`` and ``--train_url=<output_path>``.

    The attributes have the names of the arguments, and may be changed between two calls. No request
    is sent by the constructor.

    Args:
        modelarts_session: the session; by default one made from the environment.
        train_instance_type: the code of a resource flavor, one of
            :meth:`get_train_instance_types`, or ``"local"``.
        train_instance_count: the number of nodes, from 1, the default.
        output_path: the folder in OBS that the training writes to, such as ``"/bucket/output/"``.
        code_dir: the folder in OBS with the code; with ``"local"`` also one of this machine.
        boot_file: the script in ``code_dir`` that is started, with its whole path.
        framework_type: the name of the engine, such as ``"PyTorch"``.
        framework_version: the version of the engine, one of :meth:`get_framework_list`.
        model_name: the name of a built-in algorithm, instead of code and engine; only v1 has them.
        hyperparameters: a list of ``{"label": …, "value": …}``, or a dict.
        log_url: the folder in OBS for the logs; by default none.
        job_description: 0 to 256 characters; by default empty.
        user_image_url: the address of a container image, instead of an engine.
        user_command: the command that the image runs.
        job_id: the id of a training that exists.
        version_id: the id of one of its versions.
        pool_id: the id of a dedicated resource pool; by default the public pool.
        config_name: the name of a parameter configuration that exists.
        workspace_id: the id of a workspace; by default the service's, ``"0"``.
        environment: with ``"local"``, the packages that the boot file runs with; by default those
            of the Python that runs this. Elsewhere the engine has them, and a warning says so.

    Raises:
        InvalidArgument: an argument is wrong.

    Source: *ModelArts SDK Reference*, "Creating a Training Job", "Debugging a Training Job".

    Example:
        >>> estimator = Estimator(
        ...     modelarts_session=session,
        ...     framework_type="PyTorch",
        ...     framework_version="PyTorch-1.0.0-python3.6",
        ...     code_dir="/bucket/src/",
        ...     boot_file="/bucket/src/pytorch_sentiment.py",
        ...     output_path="/bucket/output/",
        ...     train_instance_type="modelarts.vm.cpu.2u",
        ...     train_instance_count=1)
        >>> job = estimator.fit(inputs="/bucket/data/train/", wait=True)      # doctest: +SKIP
        JOBSTAT_INIT
        JOBSTAT_RUNNING
        JOBSTAT_COMPLETED
        Job name: job1f00aa27, duration: 00:02:31
    """

    _DEFINITION: ClassVar[Tuple[str, ...]] = (
        "train_instance_type",
        "output_path",
        "code_dir",
        "boot_file",
        "framework_type",
        "framework_version",
        "model_name",
        "hyperparameters",
        "log_url",
        "job_description",
        "user_image_url",
        "user_command",
        "pool_id",
        "workspace_id",
        "environment",
    )

    def __init__(
        self,
        modelarts_session: Optional[Session] = None,
        train_instance_type: Optional[str] = None,
        train_instance_count: int = 1,
        output_path: Optional[str] = None,
        code_dir: Optional[str] = None,
        boot_file: Optional[str] = None,
        framework_type: Optional[str] = None,
        framework_version: Optional[str] = None,
        model_name: Optional[str] = None,
        hyperparameters: Union[None, Sequence[Mapping[str, Any]], Mapping[str, Any]] = None,
        log_url: Optional[str] = None,
        job_description: Optional[str] = None,
        user_image_url: Optional[str] = None,
        user_command: Optional[str] = None,
        job_id: Optional[_Id] = None,
        version_id: Optional[_Id] = None,
        pool_id: Optional[str] = None,
        config_name: Optional[str] = None,
        workspace_id: Optional[str] = None,
        environment: Optional[Environment] = None,
    ) -> None:
        super().__init__(
            modelarts_session, job_id=job_id, version_id=version_id, config_name=config_name
        )
        self.train_instance_type = train_instance_type
        self.train_instance_count = train_instance_count
        self.output_path = output_path
        self.code_dir = code_dir
        self.boot_file = boot_file
        self.framework_type = framework_type
        self.framework_version = framework_version
        self.model_name = model_name
        self.hyperparameters = hyperparameters
        self.log_url = log_url
        self.job_description = job_description
        self.user_image_url = user_image_url
        self.user_command = user_command
        self.pool_id = pool_id
        self.workspace_id = workspace_id
        self.environment = environment
        if any(getattr(self, name) is not None for name in self._DEFINITION):
            self._definition()

    # Create -------------------------------------------------------------------------------------

    def fit(
        self,
        inputs: Optional[str] = None,
        dataset_id: Optional[str] = None,
        dataset_version_id: Optional[str] = None,
        wait: bool = False,
        job_name: Optional[str] = None,
        *,
        data_source: Optional[Sequence[Mapping[str, Any]]] = None,
    ) -> TrainingJobVersion:
        """Create a training with its first version.

        Exactly one of ``inputs``, ``dataset_id`` with ``dataset_version_id``, and ``data_source``
        is needed, with ``"local"`` at most ``inputs``. If the response is lost, the training is
        looked for, so that there is only one.

        Args:
            inputs: the data in OBS, such as ``"/bucket/data/"``; with ``"local"`` also a path of
                this machine, or none.
            wait: True to wait for the end; each new status is printed on a line, at last the name
                and the duration. By default False. Ctrl-C ends the wait and not the training,
                except for one on this machine.
            job_name: 1 to 64 letters, digits, ``_`` or ``-``; by default made up.
            dataset_id: the id of a dataset; with v1 only.
            dataset_version_id: the version of the dataset.
            data_source: a list of sources as documented; with v2 only one of type ``obs``.

        Returns:
            The version, with ``job_id`` and ``version_id``; also if it has failed.

        Raises:
            InvalidArgument: an argument is wrong, or the API cannot do that; nothing was created.
            ApiError: the service refused the request.
            AmbiguousCreate: the response was lost, and it is unknown whether the training exists.
            TransportError: no response, and nothing was created.

        Source: *ModelArts SDK Reference*, "Creating a Training Job".

        Example:
            >>> job = estimator.fit(inputs="/bucket/data/train/", wait=False,
            ...                     job_name="my_training_job")               # doctest: +SKIP
            >>> job.job_id, job.version_id                                    # doctest: +SKIP
            ('182626', '278813')
        """
        definition = (
            self._definition()
            .reading(inputs, dataset_id, dataset_version_id, data_source)
            .named(job_name)
        )
        if definition.is_local:
            return _fit_here(self.session, definition, wait)
        if definition.environment is not None:
            warnings.warn(
                "environment is used with train_instance_type='local' only; this training has the "
                "packages of its engine",
                stacklevel=level_of_the_caller(),
            )
        answer = _run(self._client, lambda api: api.create(self._client, definition))
        return self._created(answer, wait)

    def create_job_version(
        self,
        job_id: _Id,
        pre_version_id: _Id,
        inputs: Optional[str] = None,
        dataset_id: Optional[str] = None,
        dataset_version_id: Optional[str] = None,
        wait: bool = False,
        job_desc: Optional[str] = None,
        *,
        data_source: Optional[Sequence[Mapping[str, Any]]] = None,
    ) -> TrainingJobVersion:
        """Create another version of a training, of the definition of this Estimator.

        Args:
            job_id: the id of the training.
            pre_version_id: the id of the version before it.
            inputs: the data in OBS, as in :meth:`fit`.
            wait: True to wait for the end, as in :meth:`fit`; by default False.
            job_desc: the description, 0 to 256 characters; by default that of the Estimator.
            dataset_id: as in :meth:`fit`.
            dataset_version_id: as in :meth:`fit`.
            data_source: as in :meth:`fit`.

        Returns:
            The new version.

        Raises:
            InvalidArgument: an argument is wrong, or the API cannot do that; nothing was created.
            ApiError: the service refused the request.
            AmbiguousCreate: the response was lost, and it is unknown whether the version exists.
            TransportError: no response, and nothing was created.

        Source: *ModelArts SDK Reference*, "Creating a Training Job Version".

        Example:
            >>> version = estimator.create_job_version(
            ...     job_id="182626", pre_version_id=278813,
            ...     inputs="/bucket/data/train/")                             # doctest: +SKIP
        """
        import attr

        job, before = checked_id("job_id", job_id), checked_id("pre_version_id", pre_version_id)
        definition = self._definition().reading(inputs, dataset_id, dataset_version_id, data_source)
        if definition.is_local:
            raise InvalidArgument(
                "train_instance_type",
                "local",
                "a flavor: trainings of this machine have one version",
            )
        if job_desc is not None:
            definition = attr.evolve(
                definition, description=validation.description("job_desc", job_desc)
            )
        answer = _run(
            self._client, lambda api: api.create_version(self._client, definition, job, before)
        )
        return self._created(answer, wait)

    def create_job_configs(
        self,
        config_name: Optional[str] = None,
        inputs: Optional[str] = None,
        dataset_id: Optional[str] = None,
        dataset_version_id: Optional[str] = None,
        config_desc: Optional[str] = None,
        *,
        data_source: Optional[Sequence[Mapping[str, Any]]] = None,
    ) -> TrainingJobVersion:
        """Create a parameter configuration of the definition of this Estimator. Only v1 has them.

        Args:
            config_name: 1 to 20 letters, digits, ``_`` or ``-``; by default made up.
            inputs: the data in OBS, as in :meth:`fit`.
            dataset_id: as in :meth:`fit`.
            dataset_version_id: as in :meth:`fit`.
            config_desc: the description, 0 to 256 characters; by default empty.
            data_source: as in :meth:`fit`.

        Returns:
            An object with ``config_name``.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            ApiError: the service refused the request; with the v2 API always.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Creating a Training Job Configuration".

        Example:
            >>> configuration = estimator.create_job_configs(
            ...     config_name="my_job_config",
            ...     inputs="/bucket/data/train/")                             # doctest: +SKIP
        """

        name = made_up_config_name() if config_name is None else checked_config_name(config_name)
        definition = self._definition().reading(inputs, dataset_id, dataset_version_id, data_source)
        text = validation.description("config_desc", config_desc)
        _run(self._client, lambda api: api.create_config(self._client, definition, name, text))
        return TrainingJobVersion(self.session, config_name=name)

    def update_job_configs(
        self,
        config_name: str,
        inputs: Optional[str] = None,
        dataset_id: Optional[str] = None,
        dataset_version_id: Optional[str] = None,
        config_desc: Optional[str] = None,
        *,
        data_source: Optional[Sequence[Mapping[str, Any]]] = None,
    ) -> _Dict:
        """Change a parameter configuration to the definition of this Estimator. Only v1 has them.

        Args:
            config_name: the name of the configuration.
            inputs: the data in OBS, as in :meth:`fit`.
            dataset_id: as in :meth:`fit`.
            dataset_version_id: as in :meth:`fit`.
            config_desc: the description, 0 to 256 characters; by default empty.
            data_source: as in :meth:`fit`.

        Returns:
            ``{"is_success": True}``, or the failure; with the v2 API always the failure.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Modifying a Training Job Configuration".

        Example:
            >>> estimator.update_job_configs(
            ...     config_name="my_job_config", inputs="/bucket/dataset/")   # doctest: +SKIP
            {'is_success': True}
        """
        name = checked_config_name(config_name)
        definition = self._definition().reading(inputs, dataset_id, dataset_version_id, data_source)
        text = validation.description("config_desc", config_desc)
        return _documented(
            lambda: _run(
                self._client,
                lambda api: api.update_config(self._client, definition, name, text),
            )
        )

    # Lists --------------------------------------------------------------------------------------

    @classmethod
    def get_job_list(
        cls,
        modelarts_session: Optional[Session] = None,
        status: Union[None, int, str] = None,
        per_page: int = 10,
        page: int = 1,
        sort_by: Optional[str] = None,
        order: str = "desc",
        search_content: Optional[str] = None,
        *,
        sortBy: Optional[str] = None,
    ) -> _Dict:
        """Return one page of trainings.

        Args:
            modelarts_session: the session; by default one made from the environment.
            status: a status number, or several as ``'3|5|6|13'``; by default all.
            per_page: the number of trainings of a page, 1 to 1000; by default 10.
            page: the number of the page, from 1, the default.
            sort_by: one of ``job_name``, the default, ``job_desc``, ``status``, ``duration``,
                ``engine_type``, ``version_count``, ``create_time``.
            order: ``'asc'`` or ``'desc'``, the default.
            search_content: a text that the name contains; 0 to 100 characters; by default none.
            sortBy: another name of ``sort_by``.

        Returns:
            A dict with ``job_total_count``, ``job_count_limit``, ``quotas`` and ``jobs``, a list of
            dicts; or the failure.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining Training Jobs".

        Example:
            >>> Estimator.get_job_list(modelarts_session=session, status=8, per_page=10, page=1,
            ...                        order="asc", search_content="job")     # doctest: +SKIP
        """
        query = _query(
            _SORT_KEYS, per_page, page, sort_by, sortBy, "job_name", order, search_content, status
        )
        client = _client_of(modelarts_session)
        return _documented(lambda: _run(client, lambda api: api.page(client, query)))

    @classmethod
    def delete_job_by_id(
        cls, modelarts_session: Optional[Session] = None, job_id: Optional[_Id] = None
    ) -> _Dict:
        """Delete a training with all its versions.

        Args:
            modelarts_session: the session; by default one made from the environment.
            job_id: the id of the training.

        Returns:
            ``{"is_success": True}``, or the failure.

        Raises:
            InvalidArgument: there is no ``job_id``; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Deleting a Training Job".

        Example:
            >>> Estimator.delete_job_by_id(modelarts_session=session, job_id="155500")
            ...                                                               # doctest: +SKIP
            {'is_success': True}
        """
        return TrainingJobVersion(modelarts_session, job_id=job_id).delete_job()

    @classmethod
    def get_train_instance_types(
        cls, modelarts_session: Optional[Session] = None
    ) -> Union[List[str], _Dict]:
        """Return the codes of the resource flavors.

        Args:
            modelarts_session: the session; by default one made from the environment.

        Returns:
            A list of texts, such as ``["modelarts.vm.cpu.2u"]``; or the failure, a dict.

        Raises:
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Querying the List of Resource Flavors".

        Example:
            >>> Estimator.get_train_instance_types(session)                   # doctest: +SKIP
            ['modelarts.vm.cpu.2u']
        """
        client = _client_of(modelarts_session)
        return _or_failure(lambda: _run(client, lambda api: api.flavors(client)))

    @classmethod
    def get_framework_list(
        cls, modelarts_session: Optional[Session] = None
    ) -> Union[List[_Dict], _Dict]:
        """Return the engines.

        Args:
            modelarts_session: the session; by default one made from the environment.

        Returns:
            A list of dicts with ``framework_type`` and ``framework_version``; or the failure, a
            dict.

        Raises:
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Querying the List of Engine Types".

        Example:
            >>> Estimator.get_framework_list(session)                         # doctest: +SKIP
            [{'framework_type': 'PyTorch', 'framework_version': 'PyTorch-1.0.0-python3.6'}]
        """
        client = _client_of(modelarts_session)
        return _or_failure(lambda: _run(client, lambda api: api.engines(client)))

    @classmethod
    def get_built_in_algorithms(cls, modelarts_session: Optional[Session] = None) -> _Dict:
        """Return the built-in algorithms. Only v1 has them.

        Args:
            modelarts_session: the session; by default one made from the environment.

        Returns:
            A dict with ``model_total_count`` and ``models``, a list of dicts; or the
            failure, with the v2 API always.

        Raises:
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining a Built-in Algorithm".

        Example:
            >>> Estimator.get_built_in_algorithms(session)["models"]          # doctest: +SKIP
        """
        client = _client_of(modelarts_session)
        return _documented(lambda: _run(client, lambda api: api.algorithms(client)))

    @classmethod
    def get_job_configs_list(
        cls,
        modelarts_session: Optional[Session] = None,
        per_page: int = 10,
        page: int = 1,
        sort_by: Optional[str] = None,
        order: str = "asc",
        search_content: Optional[str] = None,
        *,
        sortBy: Optional[str] = None,
    ) -> _Dict:
        """Return one page of parameter configurations. Only v1 has them.

        Args:
            modelarts_session: the session; by default one made from the environment.
            per_page: the number of configurations of a page, 1 to 1000; by default 10.
            page: the number of the page, from 1, the default.
            sort_by: ``config_name``, the default, ``config_desc`` or ``create_time``.
            order: ``'asc'``, the default, or ``'desc'``.
            search_content: a text that the name contains; 0 to 100 characters; by default none.
            sortBy: another name of ``sort_by``.

        Returns:
            A dict with ``config_total_count`` and ``configs``, a list of dicts; or the
            failure, with the v2 API always.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Obtaining Training Job Configurations".

        Example:
            >>> Estimator.get_job_configs_list(modelarts_session=session)     # doctest: +SKIP
        """
        query = _query(
            _CONFIG_SORT_KEYS, per_page, page, sort_by, sortBy, "config_name", order, search_content
        )
        client = _client_of(modelarts_session)
        return _documented(lambda: _run(client, lambda api: api.configs(client, query)))

    @classmethod
    def get_job_configs_object_list(
        cls,
        modelarts_session: Optional[Session] = None,
        is_show: bool = True,
        per_page: int = 10,
        page: int = 1,
        sort_by: Optional[str] = None,
        order: str = "asc",
        search_content: Optional[str] = None,
        *,
        sortBy: Optional[str] = None,
    ) -> List[TrainingJobVersion]:
        """Return one page of parameter configurations as objects, and print it. Only v1 has them.

        Args:
            modelarts_session: the session; by default one made from the environment.
            is_show: False to print nothing; by default True.
            per_page: the number of configurations of a page, 1 to 1000; by default 10.
            page: the number of the page, from 1, the default.
            sort_by: ``config_name``, the default, ``config_desc`` or ``create_time``.
            order: ``'asc'``, the default, or ``'desc'``.
            search_content: a text that the name contains; 0 to 100 characters; by default none.
            sortBy: another name of ``sort_by``.

        Returns:
            Objects with ``config_name``.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            ApiError: the service refused the request; with the v2 API always.
            TransportError: no response, or an unreadable one.

        Source: *ModelArts SDK Reference*, "Querying the List of Training Job Parameter
        Configuration Objects".

        Example:
            >>> Estimator.get_job_configs_object_list(session, is_show=False)  # doctest: +SKIP
        """
        query = _query(
            _CONFIG_SORT_KEYS, per_page, page, sort_by, sortBy, "config_name", order, search_content
        )
        session = modelarts_session or Session()
        client = _client_of(session)
        entries = _run(client, lambda api: api.configs(client, query))["configs"]
        if is_show:
            names = ("config_name", "engine_name", "engine_version", "config_desc")
            rows = [tuple(entry.get(name) for name in names) for entry in entries]
            _show(("NAME", "ENGINE", "VERSION", "DESCRIPTION"), rows)
        return [TrainingJobVersion(session, config_name=entry["config_name"]) for entry in entries]

    # Inside -------------------------------------------------------------------------------------

    def _definition(self) -> Definition:
        values = {name: getattr(self, name) for name in self._DEFINITION}
        values["train_instance_count"] = self.train_instance_count
        return Definition.validate(values)

    def _created(self, answer: Mapping[str, Any], wait: bool) -> TrainingJobVersion:
        job = TrainingJobVersion(
            self.session,
            job_id=answer["job_id"],
            version_id=answer["version_id"],
            job_name=answer.get("job_name"),
        )
        if wait:
            _wait(job)
        return job


def _fit_here(session: Session, definition: Definition, wait: bool) -> TrainingJobVersion:
    from modelarts.training.here import HERE, Run, say

    if definition.instance_count != 1:
        raise InvalidArgument(
            "train_instance_count", definition.instance_count, "1 on this machine"
        )
    run = Run(session, definition, say if wait else None)
    run.check()
    HERE.add(run)
    job = TrainingJobVersion(
        session, job_id=run.job_id, version_id="1", job_name=definition.job_name
    )
    if wait:
        run.run()
        _say_end(run.details())
    else:
        run.start()
    return job


def _wait(job: TrainingJobVersion) -> None:
    """Print each new status until the last one, then the name and the duration."""
    from modelarts.training.here import say

    clock, pause, before = job.session.clock, _FIRST_PAUSE, None
    while True:
        info = job._run(lambda api, job_id: api.details(job._client, job_id, job.version_id))
        status = JobStatus(int(info.get("status") or 0))
        if status != before:
            say(JOB_STATE[int(status)])
            before, pause = status, _FIRST_PAUSE
        if status.is_final:
            break
        clock.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    _say_end(info)


def _say_end(info: Mapping[str, Any]) -> None:
    from modelarts.training.here import say

    say("Job name: %s, duration: %s" % (info.get("job_name"), _clock_span(info.get("duration"))))


def _clock_span(milliseconds: object) -> str:
    """Return a duration as ``HH:MM:SS``."""
    seconds = int(milliseconds) // 1000 if isinstance(milliseconds, (int, float)) else 0
    return "%02d:%02d:%02d" % (seconds // 3600, seconds // 60 % 60, seconds % 60)


def _show(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table."""
    from modelarts.training.here import say
    from modelarts.visualization.display.text import one_line

    cells = [list(heads)]
    cells += [[one_line("" if cell is None else cell, 60) for cell in row] for row in rows]
    widths = [max(text_width(row[i]) for row in cells) for i in range(len(heads))]
    for row in cells:
        padded = [cell + " " * (width - text_width(cell)) for cell, width in zip(row, widths)]
        say("  ".join(padded).rstrip())


def _run(client: "ServiceClient", act: "Callable[[Trainings], _T]") -> _T:
    from modelarts.training.v1_dialect import run

    return run(client, act)


def _documented(call: Callable[[], _Dict]) -> _Dict:
    """Return the documented dict of a call, or the failure."""
    try:
        return {**call(), "is_success": True}
    except ApiError as refusal:
        return refusal.as_dict()


def _or_failure(call: Callable[[], _T]) -> Union[_T, _Dict]:
    try:
        return call()
    except ApiError as refusal:
        return refusal.as_dict()


def _client_of(session: Optional[Session]) -> "ServiceClient":
    return (checked_session("modelarts_session", session) or Session()).client


def _query(
    keys: Sequence[str],
    per_page: Any,
    page: Any,
    sort_by: Optional[str],
    sortBy: Optional[str],
    default: str,
    order: Any,
    search_content: Any,
    status: Any = None,
) -> Dict[str, str]:
    if sort_by is not None and sortBy is not None and sort_by != sortBy:
        raise InvalidArgument("sortBy", sortBy, "the same as sort_by, or one of the two")
    key = sort_by or sortBy or default
    if key not in keys:
        raise InvalidArgument("sort_by", key, "one of " + ", ".join(keys))
    query = validation.list_query(
        status=status,
        per_page=per_page,
        page=page,
        order=order,
        search_content=search_content,
    )
    return {**query, "sort_by": key}
