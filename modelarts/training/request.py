"""The definition of a training, with valid values, before and after its files are in OBS."""

import os
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import attr

from modelarts import validation
from modelarts.errors import InvalidArgument
from modelarts.training.params import INPUT_NAME, OUTPUT_NAME, InputData, OutputData
from modelarts.validation import text_or_none as _text

_Path = Union[str, "os.PathLike[str]"]

_NAME = r"[0-9A-Za-z_-]{1,64}\Z"
_DATASET = r"[0-9A-Za-z_-]{1,64}\Z"
_VARIABLE = r"[A-Za-z_][0-9A-Za-z_]{0,127}\Z"
_CONTROL = r"[\x00-\x1f\x7f]"
_METHODS = ("parameter", "env")
_MAX_CHANNELS = 50
_MAX_VARIABLES = 100
_MAX_NODES = 10_000
_MAX_HOURS = 24 * 365
_IN_OBS = "as 'obs://bucket/folder/' or '/bucket/folder/'"


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Dataset:
    """A dataset of ModelArts; without a version, the service chooses one."""

    dataset_id: str
    version_id: Optional[str] = None


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Channel:
    """An input or an output.

    Attributes:
        name: the name that the boot file knows it by.
        url: ``/bucket/path/``; before :func:`~modelarts.training.files.located` also a
            ``pathlib.Path`` of this machine, and for an output a relative path in the session's own
            folder in OBS; and for an input a dataset.
        local_dir: the folder where the training finds it; None: the service's choice.
        access_method: ``"parameter"``, ``"env"``, or None: the service's default.
        target: the folder in OBS that a source on this machine is sent to; None: one of its own.
    """

    name: str
    url: Union[_Path, Dataset]
    local_dir: Optional[str] = None
    access_method: Optional[str] = None
    target: Optional[str] = None


@attr.s(frozen=True, slots=True, auto_attribs=True, kw_only=True)
class TrainingRequest:
    """A request for a new training: the valid arguments of :meth:`TrainingJob.create`.

    Attributes:
        has_unique_name: no other job can have the name, since it was made up here.
        code_dir: ``/bucket/code/``; before :func:`~modelarts.training.files.located` also a
            ``pathlib.Path``.
        code_path: the folder in OBS that a folder of this machine is sent to; None: one of its own.
        parameters: names and values; the boot file gets ``--name=value``.
        env_variables: variables; some are secret, so they are in no repr.
        tensorboard: ``/bucket/summary/``, the folder with the event files; before
            :func:`~modelarts.training.files.located` also the name of an output or a relative path.
    """

    job_name: str
    has_unique_name: bool
    job_description: str = ""
    code_dir: Optional[_Path] = None
    boot_file: Optional[str] = None
    code_path: Optional[str] = None
    framework_type: Optional[str] = None
    framework_version: Optional[str] = None
    user_image_url: Optional[str] = None
    user_command: Optional[str] = None
    parameters: Tuple[Tuple[str, str], ...] = ()
    inputs: Tuple[Channel, ...] = ()
    outputs: Tuple[Channel, ...] = ()
    train_instance_type: Optional[str] = None
    train_instance_count: int = 1
    pool_id: Optional[str] = None
    log_url: Optional[_Path] = None
    env_variables: Mapping[str, str] = attr.ib(factory=dict, repr=False)
    working_dir: Optional[str] = None
    local_code_dir: Optional[str] = None
    volumes: Tuple[Mapping[str, Any], ...] = ()
    tensorboard: Optional[str] = None
    auto_stop: Optional[int] = None
    workspace_id: Optional[str] = None

    @property
    def subject(self) -> object:
        """The code or the image, for the texts of errors."""
        return self.code_dir or self.user_image_url

    @property
    def operation(self) -> str:
        """The operation in words."""
        return "create training job"

    @classmethod
    def validate(
        cls,
        *,
        job_name: Optional[str] = None,
        job_description: Optional[str] = None,
        code_dir: Optional[_Path] = None,
        boot_file: Optional[str] = None,
        obs_path: Optional[str] = None,
        framework_type: Optional[str] = None,
        framework_version: Optional[str] = None,
        user_image_url: Optional[str] = None,
        user_command: Optional[str] = None,
        parameters: Any = None,
        inputs: Any = None,
        outputs: Any = None,
        train_instance_type: Optional[str] = None,
        train_instance_count: Any = 1,
        pool_id: Optional[str] = None,
        log_url: Optional[_Path] = None,
        env_variables: Optional[Mapping[str, str]] = None,
        working_dir: Optional[str] = None,
        local_code_dir: Optional[str] = None,
        volumes: Optional[Sequence[Mapping[str, Any]]] = None,
        tensorboard: Optional[str] = None,
        auto_stop: Optional[int] = None,
        workspace_id: Optional[str] = None,
    ) -> "TrainingRequest":
        """Return the request for these arguments of :meth:`TrainingJob.create`.

        Raises:
            InvalidArgument: an argument is wrong.
        """
        # Not from the random module: forked processes share its state.
        made_up = "job-" + os.urandom(4).hex()
        name = validation.job_name(made_up if job_name is None else job_name, "v2")
        folder, script, target = _code(code_dir, boot_file, obs_path)
        image = _text("user_image_url", user_image_url, "the address of a container image")
        command = _text("user_command", user_command, "a command", validation.MAX_TEXT)
        if folder is None and image is None:
            raise InvalidArgument("code_dir", None, "given with boot_file, or user_image_url given")
        if folder is not None and script is None and command is None:
            raise InvalidArgument("boot_file", None, "the script in code_dir that is started")
        if image is not None and command is None and script is None:
            raise InvalidArgument("user_command", None, "the command that the image runs")
        engine = _text("framework_type", framework_type, "the name of an engine")
        version = _text("framework_version", framework_version, "the version of an engine")
        if engine is None and version is not None:
            raise InvalidArgument("framework_type", None, "given with framework_version")
        if engine is not None and version is None:
            raise InvalidArgument("framework_version", None, "given with framework_type")
        if engine is not None and image is not None:
            raise InvalidArgument(
                "user_image_url", image, "left out with framework_type: an engine is an image"
            )
        read = _inputs(inputs)
        written = _outputs(outputs)
        values = _parameters(parameters)
        _check_names(values, read, written)
        hours = None
        if auto_stop is not None:
            hours = validation.whole("auto_stop", auto_stop, 1, _MAX_HOURS)
        return cls(
            job_name=name,
            has_unique_name=job_name is None,
            job_description=validation.description("job_description", job_description),
            code_dir=folder,
            boot_file=script,
            code_path=target,
            framework_type=engine,
            framework_version=version,
            user_image_url=image,
            user_command=command,
            parameters=values,
            inputs=read,
            outputs=written,
            train_instance_type=_flavor(train_instance_type),
            train_instance_count=validation.whole(
                "train_instance_count", train_instance_count, 1, _MAX_NODES
            ),
            pool_id=_text("pool_id", pool_id, "the id of a resource pool"),
            log_url=None if log_url in (None, "") else _folder("log_url", log_url),
            env_variables=_variables(env_variables),
            working_dir=_text("working_dir", working_dir, "a folder of the training"),
            local_code_dir=_text("local_code_dir", local_code_dir, "a folder of the training"),
            volumes=_volumes(volumes),
            tensorboard=_tensorboard(tensorboard, written),
            auto_stop=hours,
            workspace_id=_text("workspace_id", workspace_id, "the id of a workspace"),
        )


def _flavor(value: object) -> Optional[str]:
    text = _text("train_instance_type", value, "a flavor's id")
    if text == "local":
        # As in V1 and in a notebook of ModelArts; no service has a flavor of that name.
        raise InvalidArgument(
            "train_instance_type",
            value,
            "a flavor's id, or none; to train on this machine use session=Session.local()",
        )
    return text


def is_here(value: object) -> bool:
    """Return True if a path means one on this machine.

    That is a relative path, a :class:`~pathlib.Path`, or an absolute path of an existing folder or
    file; any other path that begins with ``/`` begins with a bucket.
    """
    if validation.is_local(value):
        return True
    return isinstance(value, str) and value.startswith("/") and os.path.exists(value)


def _code(
    code_dir: Any, boot_file: Any, obs_path: Any
) -> Tuple[Optional[_Path], Optional[str], Optional[str]]:
    """Return the code folder, the script's path in it, and where a local folder is sent."""
    if code_dir in (None, ""):
        if boot_file not in (None, ""):
            raise InvalidArgument("code_dir", code_dir, "given with boot_file")
        return None, None, None
    target = None if obs_path is None else _folder("obs_path", obs_path)
    if target is not None and not isinstance(target, str):
        raise InvalidArgument("obs_path", obs_path, "a folder in OBS, " + _IN_OBS)
    if boot_file is not None and (
        not isinstance(boot_file, str) or not boot_file or re.search(_CONTROL, boot_file)
    ):
        raise InvalidArgument("boot_file", boot_file, "the path of a script in code_dir")
    if not is_here(code_dir):
        folder = _in_obs("code_dir", code_dir)
        if boot_file is None:
            return folder, None, target
        script = boot_file[len("obs:/") :] if boot_file.startswith("obs://") else boot_file
        if script.startswith("/"):
            if not script.startswith(folder):
                raise _outside(boot_file, folder)
            script = script[len(folder) :]
        return folder, _script(boot_file, script, folder), target
    local = os.path.abspath(os.path.expanduser(os.fspath(code_dir)))
    if "\0" in local or not os.path.isdir(local):
        raise InvalidArgument(
            "code_dir",
            code_dir,
            "a folder in OBS, %s, or one on this machine that exists" % _IN_OBS,
        )
    if boot_file is None:
        return Path(local), None, target
    script = boot_file
    if os.path.isabs(script):
        script = os.path.relpath(script, local).replace(os.sep, "/")
    script = _script(boot_file, script, local)
    if not os.path.isfile(os.path.join(local, script)):
        raise InvalidArgument("boot_file", boot_file, "a file in %s" % local)
    if os.path.relpath(
        os.path.realpath(os.path.join(local, script)), os.path.realpath(local)
    ).startswith(os.pardir):
        raise _outside(boot_file, local)
    return Path(local), script, target


def _script(boot_file: str, script: str, folder: str) -> str:
    parts = [part for part in script.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        raise _outside(boot_file, folder)
    return "/".join(parts)


def _outside(boot_file: object, folder: str) -> InvalidArgument:
    return InvalidArgument("boot_file", boot_file, "a script in the code folder, %s" % folder)


def _in_obs(argument: str, value: object, is_file: bool = False) -> str:
    """Return ``/bucket/path/`` for a path in OBS; without the slash for what may be an object."""
    try:
        path = validation.train_url(value)
    except InvalidArgument:
        allowed = "a path in OBS, %s, without '.', '..', control characters or backslashes"
        raise InvalidArgument(argument, value, allowed % _IN_OBS) from None
    last = path.rstrip("/").rpartition("/")[2]
    if is_file and not str(value).endswith("/") and "." in last and path.count("/") > 2:
        return path[:-1]
    return path


def _folder(argument: str, value: object) -> _Path:
    """Return ``/bucket/path/``, or a relative path as it is: a folder in the session's own."""
    if isinstance(value, os.PathLike) or not validation.is_local(value):
        if isinstance(value, os.PathLike):
            raise InvalidArgument(argument, value, "a folder in OBS, %s" % _IN_OBS)
        return _in_obs(argument, value)
    text = str(value)
    parts = text.replace("\\", "/").split("/")
    if ".." in parts or re.search(_CONTROL, text) or text.startswith("~"):
        raise InvalidArgument(
            argument, value, "a folder in OBS, %s, or a relative path without '..'" % _IN_OBS
        )
    return "/".join(part for part in parts if part not in ("", ".")) + "/"


def _parameters(value: Any) -> Tuple[Tuple[str, str], ...]:
    """Return names and values: of ``[{"name": …, "value": …}]`` or of ``{"name": value}``."""
    allowed = 'a list of {"name": …, "value": …}, or {name: value}'
    # The original of V1 calls the name a label.
    pairs = validation.named_values("parameters", value, allowed, ("name", "label"))
    parameters = []
    for name, setting in pairs:
        name = validation.parameter_name("parameters", name)
        parameters.append((name, validation.text_of("parameters", name, setting)))
    return tuple(parameters)


def _inputs(value: Any) -> Tuple[Channel, ...]:
    channels = []
    for name, entry in _channels("inputs", value, InputData):
        if entry.dataset_id is not None or entry.dataset_version_id is not None:
            channels.append(_dataset(name, entry))
            continue
        if entry.is_local_source:
            if entry.local_path is None:
                raise InvalidArgument("inputs", entry, "given a local_path with is_local_source")
            source: _Path = _here(entry.local_path)
            target = None if entry.obs_path is None else _in_obs("inputs", entry.obs_path)
            channels.append(
                Channel(_channel_name("inputs", name), source, None, _method(entry), target)
            )
            continue
        path = entry.obs_path
        if path is None:
            raise InvalidArgument("inputs", entry, "given an obs_path or a dataset_id")
        url = _here(path) if is_here(path) else _in_obs("inputs", path, is_file=True)
        channels.append(
            Channel(_channel_name("inputs", name), url, _local_dir(entry), _method(entry))
        )
    for channel in channels:
        if isinstance(channel.url, Path) and not channel.url.exists():
            raise InvalidArgument(
                "inputs", channel.url, "paths in OBS, %s, or on this machine that exist" % _IN_OBS
            )
    return tuple(channels)


def _dataset(name: str, entry: InputData) -> Channel:
    if entry.obs_path is not None or entry.is_local_source:
        raise InvalidArgument("inputs", entry, "given either a path or a dataset_id")
    for value in (entry.dataset_id, entry.dataset_version_id or "1"):
        if not isinstance(value, str) or not re.match(_DATASET, value):
            raise InvalidArgument(
                "inputs", value, "ids of datasets: 1 to 64 letters, digits, underscores or hyphens"
            )
    dataset = Dataset(str(entry.dataset_id), entry.dataset_version_id or None)
    return Channel(_channel_name("inputs", name), dataset, _local_dir(entry), _method(entry))


def _here(path: _Path) -> Path:
    return Path(os.path.abspath(os.path.expanduser(os.fspath(path))))


def _outputs(value: Any) -> Tuple[Channel, ...]:
    channels = []
    for name, entry in _channels("outputs", value, OutputData):
        if entry.obs_path is None:
            raise InvalidArgument("outputs", entry, "given an obs_path")
        url = _folder("outputs", entry.obs_path)
        channels.append(
            Channel(_channel_name("outputs", name), url, _local_dir(entry), _method(entry))
        )
    urls = [str(channel.url) for channel in channels]
    if len(set(urls)) < len(urls):
        raise InvalidArgument("outputs", urls, "folders of which no two are the same")
    return tuple(channels)


def _channels(argument: str, value: Any, kind: Any) -> List[Tuple[str, Any]]:
    """Return names and values of the documented class for all forms that are taken."""
    default = INPUT_NAME if kind is InputData else OUTPUT_NAME
    allowed = "a list of %s, {name: path}, or one path" % kind.__name__
    if value is None:
        return []
    if isinstance(value, (str, os.PathLike, kind)):
        value = [value]
    if isinstance(value, Mapping) and "obs_path" not in value:
        value = [kind(path, name) for name, path in value.items()]
    elif isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, (list, tuple)) or len(value) > _MAX_CHANNELS:
        raise InvalidArgument(argument, value, allowed)
    texts = [entry for entry in value if isinstance(entry, (str, os.PathLike))]
    if len(texts) > 1:
        raise InvalidArgument(argument, texts, "given names where there are several: {name: path}")
    channels = []
    for entry in value:
        if isinstance(entry, (str, os.PathLike)):
            entry = kind(entry)
        elif isinstance(entry, Mapping):
            try:
                entry = kind(**entry)
            except TypeError:
                raise InvalidArgument(argument, dict(entry), allowed) from None
        if not isinstance(entry, kind):
            raise InvalidArgument(argument, entry, allowed)
        channels.append((default if entry.name is None else entry.name, entry))
    return channels


def _channel_name(argument: str, name: object) -> str:
    if not isinstance(name, str) or not re.match(_NAME, name):
        raise InvalidArgument(
            argument, name, "named with 1 to 64 letters, digits, underscores or hyphens"
        )
    return name


def _local_dir(entry: Any) -> Optional[str]:
    if entry.local_path is None:
        return None
    return _text("local_path", os.fspath(entry.local_path), "a folder of the training")


def _method(entry: Any) -> Optional[str]:
    if entry.access_method is not None and entry.access_method not in _METHODS:
        raise InvalidArgument("access_method", entry.access_method, "'parameter' or 'env'")
    return None if entry.access_method is None else str(entry.access_method)


def _check_names(
    parameters: Tuple[Tuple[str, str], ...],
    inputs: Tuple[Channel, ...],
    outputs: Tuple[Channel, ...],
) -> None:
    """Raise InvalidArgument where two arguments of the boot file have the same name."""
    seen: Dict[str, str] = {}
    for argument, names in (
        ("inputs", [channel.name for channel in inputs]),
        ("outputs", [channel.name for channel in outputs]),
        ("parameters", [name for name, _ in parameters]),
    ):
        for name in names:
            if name in seen:
                other = "" if seen[name] == argument else ", which one of the %s has" % seen[name]
                raise InvalidArgument(argument, name, "of different names%s" % other)
            seen[name] = argument


def _variables(value: Any) -> Dict[str, str]:
    if value is None:
        return {}
    allowed = "up to %d variables, {name: text}" % _MAX_VARIABLES
    if not isinstance(value, Mapping) or len(value) > _MAX_VARIABLES:
        raise InvalidArgument("env_variables", None, allowed, secret=True)
    for name, text in value.items():
        if not isinstance(name, str) or not re.match(_VARIABLE, name):
            raise InvalidArgument("env_variables", name, "named with letters, digits and '_'")
        if not isinstance(text, (str, int, float)) or isinstance(text, bool) or "\0" in str(text):
            raise InvalidArgument("env_variables", name, "{name: text}; see this name", secret=True)
    return {name: str(text) for name, text in value.items()}


def _volumes(value: Any) -> Tuple[Mapping[str, Any], ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(entry, Mapping) and all(isinstance(part, Mapping) for part in entry.values())
        for entry in value
    ):
        raise InvalidArgument(
            "volumes", value, 'a list of {"nfs": {…}}, {"pfs": {…}}, {"obs": {…}}'
        )
    return tuple({name: dict(part) for name, part in entry.items()} for entry in value)


def _tensorboard(value: Any, outputs: Tuple[Channel, ...]) -> Optional[str]:
    """Return a folder or the name of an output."""
    if value is None:
        return None
    names = [channel.name for channel in outputs]
    if isinstance(value, str) and value in names:
        return value
    try:
        return str(_folder("tensorboard", value))
    except InvalidArgument as error:
        also = " or one of the outputs %s" % ", ".join(map(repr, names)) if names else ""
        raise InvalidArgument("tensorboard", value, error.allowed + also) from None
