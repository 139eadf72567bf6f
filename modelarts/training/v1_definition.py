"""The definition of a training of the V1 Estimator, with valid values; and parts of its log."""

import os
import re
from typing import Any, Dict, Mapping, Optional, Tuple

import attr

from modelarts import validation
from modelarts.environment import Environment
from modelarts.errors import InvalidArgument
from modelarts.obs.paths import parse
from modelarts.validation import text_or_none as _text

#: The flavor of a training that runs as a process on this machine.
LOCAL = "local"
#: The arguments of the boot file that the service adds to the hyperparameters.
DATA, OUTPUT, NUM_GPUS = "data_url", "train_url", "num_gpus"

#: The most bytes of a character in UTF-8 after its first one.
REST = 3

_JOB_NAME = r"[0-9A-Za-z_-]{1,64}\Z"
_CONFIG_NAME = r"[0-9A-Za-z_-]{1,20}\Z"
_ID = r"[0-9A-Za-z-]{1,64}\Z"
_MAX_NODES = 10_000
_IN_OBS = "a path in OBS, as '/bucket/folder/' or 'obs://bucket/folder/'"


@attr.s(frozen=True, slots=True, auto_attribs=True, kw_only=True)
class Definition:
    """The valid arguments of an Estimator and of one of its calls.

    Paths in OBS are ``/bucket/path``; folders end with a slash.

    Attributes:
        job_name: the name of the job, or of a new version's job; None if it is not known.
        has_unique_name: no other job can have the name, since it was made up here.
        code_dir: the folder of the code; with :data:`LOCAL` also a path of this machine.
        parameters: the labels and values of the hyperparameters.
        instance_type: the code of the resource flavor, or :data:`LOCAL`.
        environment: the environment that the boot file runs in on this machine; None for this one.
    """

    job_name: Optional[str] = None
    has_unique_name: bool = False
    description: str = ""
    code_dir: Optional[str] = None
    boot_file: Optional[str] = None
    parameters: Tuple[Tuple[str, str], ...] = ()
    output_path: Optional[str] = None
    log_url: Optional[str] = None
    instance_type: Optional[str] = None
    instance_count: int = 1
    framework_type: Optional[str] = None
    framework_version: Optional[str] = None
    model_name: Optional[str] = None
    user_image_url: Optional[str] = None
    user_command: Optional[str] = None
    pool_id: Optional[str] = None
    inputs: Optional[str] = None
    dataset_id: Optional[str] = None
    dataset_version_id: Optional[str] = None
    data_source: Tuple[Mapping[str, Any], ...] = ()
    workspace_id: Optional[str] = None
    environment: Optional[Environment] = None

    @property
    def is_local(self) -> bool:
        """True if the training runs as a process on this machine."""
        return self.instance_type == LOCAL

    @classmethod
    def validate(cls, values: Mapping[str, Any]) -> "Definition":
        """Return the definition for the arguments of an Estimator, without data and names.

        Args:
            values: the arguments by their documented names; those that are missing are None.

        Raises:
            InvalidArgument: an argument is wrong.
        """
        get = values.get
        instance_type = _text("train_instance_type", get("train_instance_type"), "a flavor's code")
        model = _text("model_name", get("model_name"), "the name of a built-in algorithm")
        image = _text("user_image_url", get("user_image_url"), "the address of an image")
        code_dir, boot_file = _code(get("code_dir"), get("boot_file"), instance_type == LOCAL)
        if code_dir is None and model is None and image is None:
            raise InvalidArgument(
                "code_dir", None, "given with boot_file; or model_name or user_image_url given"
            )
        engine = _text("framework_type", get("framework_type"), "the name of an engine")
        version = _text("framework_version", get("framework_version"), "the version of an engine")
        if (engine is None) != (version is None):
            missing = "framework_type" if engine is None else "framework_version"
            raise InvalidArgument(missing, None, "given together with the other")
        if code_dir is not None and engine is None and image is None and instance_type != LOCAL:
            raise InvalidArgument(
                "framework_type", None, "one of Estimator.get_framework_list(session)"
            )
        pool_id = _text("pool_id", get("pool_id"), "the id of a resource pool")
        if instance_type is None and pool_id is None:
            raise InvalidArgument(
                "train_instance_type",
                None,
                "one of Estimator.get_train_instance_types(session), or 'local'",
            )
        if instance_type == LOCAL and (code_dir is None or image is not None or model is not None):
            raise InvalidArgument(
                "train_instance_type",
                LOCAL,
                "a flavor: on this machine a boot file runs, no image and no built-in algorithm",
            )
        environment = get("environment")
        if environment is not None and not isinstance(environment, Environment):
            raise InvalidArgument("environment", environment, "an Environment")
        return cls(
            description=validation.description("job_description", get("job_description")),
            code_dir=code_dir,
            boot_file=boot_file,
            parameters=_parameters(get("hyperparameters")),
            output_path=_folder("output_path", get("output_path")),
            log_url=_folder("log_url", get("log_url")),
            instance_type=instance_type,
            instance_count=validation.whole(
                "train_instance_count", get("train_instance_count"), 1, _MAX_NODES
            ),
            framework_type=engine,
            framework_version=version,
            model_name=model,
            user_image_url=image,
            user_command=_text(
                "user_command",
                get("user_command"),
                "the command that the image runs",
                validation.MAX_TEXT,
            ),
            pool_id=pool_id,
            workspace_id=_text("workspace_id", get("workspace_id"), "the id of a workspace"),
            environment=environment,
        )

    def named(self, job_name: Optional[object]) -> "Definition":
        """Return the same definition with the name of a new job.

        Args:
            job_name: the name; None for one that is made up.

        Raises:
            InvalidArgument: it has other characters, or more than 64.
        """
        if job_name is None:
            made_up = "job" + os.urandom(4).hex()
            return attr.evolve(self, job_name=made_up, has_unique_name=True)
        if not isinstance(job_name, str) or not re.match(_JOB_NAME, job_name):
            raise InvalidArgument(
                "job_name", job_name, "1 to 64 letters (A-Z, a-z), digits, underscores or hyphens"
            )
        return attr.evolve(self, job_name=job_name, has_unique_name=False)

    def reading(
        self,
        inputs: Optional[object],
        dataset_id: Optional[object],
        dataset_version_id: Optional[object],
        data_source: Optional[object],
    ) -> "Definition":
        """Return the same definition with its data.

        Raises:
            InvalidArgument: none of the three, or more than one was given, or a value is wrong.
        """
        dataset = _text("dataset_id", dataset_id, "the id of a dataset")
        version = _text("dataset_version_id", dataset_version_id, "the version of a dataset")
        if (dataset is None) != (version is None):
            missing = "dataset_id" if dataset is None else "dataset_version_id"
            raise InvalidArgument(missing, None, "given together with the other")
        sources = _sources(data_source)
        count = (inputs not in (None, "")) + (dataset is not None) + bool(sources)
        if count != 1 and not (count == 0 and self.is_local):
            raise InvalidArgument(
                "inputs",
                inputs,
                "exactly one of inputs, dataset_id with dataset_version_id, and data_source",
            )
        if self.is_local and count and not inputs:
            raise InvalidArgument("inputs", None, "a path, or none, for a training on this machine")
        path = None
        if inputs not in (None, ""):
            path = _local_or_obs("inputs", inputs) if self.is_local else _obs("inputs", inputs)
        return attr.evolve(
            self,
            inputs=path,
            dataset_id=dataset,
            dataset_version_id=version,
            data_source=sources,
        )


def checked_id(argument: str, value: object) -> str:
    """Return the id of a job or version as a text: a number, or a UUID of the v2 API.

    Raises:
        InvalidArgument: it is neither.
    """
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if not re.match(_ID, text):
        raise InvalidArgument(argument, value, "a number, such as '182626', or a UUID (v2)")
    return text


def checked_config_name(value: object) -> str:
    """Return the name of a parameter configuration.

    Raises:
        InvalidArgument: it has other characters, or more than 20.
    """
    if not isinstance(value, str) or not re.match(_CONFIG_NAME, value):
        raise InvalidArgument(
            "config_name", value, "1 to 20 letters (A-Z, a-z), digits, underscores or hyphens"
        )
    return value


def made_up_config_name() -> str:
    """Return a name for a parameter configuration that no other one has."""
    return "config" + os.urandom(5).hex()


def _obs(argument: str, value: object) -> str:
    """Return ``/bucket/path`` for a path in OBS, with the slash at its end as it was given."""
    text = value
    if isinstance(text, str) and text.startswith("s3://"):
        text = "obs" + text[2:]
    # With a scheme, /home/… is not taken for a folder of this machine.
    if isinstance(text, str) and text.startswith("/"):
        text = "obs:/" + text
    try:
        path = parse(argument, text)
    except InvalidArgument:
        raise InvalidArgument(argument, value, _IN_OBS) from None
    return "/%s/%s" % (path.bucket, path.key)


def _folder(argument: str, value: object) -> Optional[str]:
    if value in (None, ""):
        return None
    path = _obs(argument, value)
    return path if path.endswith("/") else path + "/"


def _local_or_obs(argument: str, value: object) -> str:
    """Return an existing path of this machine, or ``/bucket/path`` for one in OBS."""
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(path, str) and not path.startswith(("obs://", "s3://")):
        local = os.path.expanduser(path)
        if os.path.exists(local):
            return os.path.abspath(local)
    return _obs(argument, value)


def _code(
    code_dir: object, boot_file: object, is_local: bool
) -> Tuple[Optional[str], Optional[str]]:
    """Return the folder of the code, and the path of the script in it."""
    if code_dir in (None, "") and boot_file in (None, ""):
        return None, None
    if code_dir in (None, "") or boot_file in (None, ""):
        missing = "code_dir" if code_dir in (None, "") else "boot_file"
        raise InvalidArgument(missing, None, "given together with the other")
    if is_local and _is_here(code_dir):
        folder = _local_or_obs("code_dir", code_dir)
        script = os.fspath(boot_file) if isinstance(boot_file, os.PathLike) else str(boot_file)
        is_in_folder = os.path.exists(os.path.join(folder, script))
        if os.path.isabs(script) or (not is_in_folder and os.path.exists(script)):
            script = os.path.relpath(script, folder).replace(os.sep, "/")
        if script.startswith("../") or not os.path.isfile(os.path.join(folder, script)):
            raise InvalidArgument("boot_file", boot_file, "a file in code_dir, %s" % folder)
        return folder, script
    folder_in_obs = _folder("code_dir", code_dir)
    assert folder_in_obs is not None
    if isinstance(boot_file, str) and not boot_file.startswith(("/", "obs://", "s3://")):
        whole = _obs("boot_file", folder_in_obs + boot_file)
    else:
        whole = _obs("boot_file", boot_file)
    if not whole.startswith(folder_in_obs) or whole.endswith("/"):
        raise InvalidArgument("boot_file", boot_file, "a file in code_dir, %s" % folder_in_obs)
    return folder_in_obs, whole[len(folder_in_obs) :]


def _is_here(code_dir: object) -> bool:
    path = os.fspath(code_dir) if isinstance(code_dir, os.PathLike) else code_dir
    return isinstance(path, str) and os.path.isdir(os.path.expanduser(path))


def _parameters(value: Any) -> Tuple[Tuple[str, str], ...]:
    allowed = 'a list of {"label": …, "value": …}'
    pairs = validation.named_values("hyperparameters", value, allowed, ("label",))
    parameters: Dict[str, str] = {}
    for label, setting in pairs:
        label = validation.parameter_name("hyperparameters", label)
        if label in parameters or label in (DATA, OUTPUT):
            raise InvalidArgument(
                "hyperparameters",
                label,
                "different labels, and none of %s and %s, which are inputs and output_path"
                % (DATA, OUTPUT),
            )
        parameters[label] = validation.text_of("hyperparameters", label, setting)
    return tuple(parameters.items())


def _sources(value: Any) -> Tuple[Mapping[str, Any], ...]:
    allowed = 'a list of {"type": "obs", "data_url": …} or {"type": "dataset", "dataset_id": …}'
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise InvalidArgument("data_source", value, allowed)
    for entry in value:
        if not isinstance(entry, Mapping) or entry.get("type") not in ("obs", "dataset"):
            raise InvalidArgument("data_source", entry, allowed)
    return tuple(dict(entry) for entry in value)


# Parts of a log, as get_job_log returns them ------------------------------------------------------


def wanted(size: int, start: int, length: int) -> Tuple[int, int]:
    """Return the first byte of a part of a log, and the one after its last.

    Args:
        size: the size of the log.
        start: the first byte that is wanted; -1 for the newest ones.
        length: how many; a negative number for those before ``start``.
    """
    if start == -1:
        start, length = size, -abs(length)
    begin, end = sorted((start, start + length))
    return max(0, min(begin, size)), max(0, min(end, size))


def part_of(content: bytes, first: int, size: int, start: int, length: int) -> Dict[str, Any]:
    """Return the documented dict for a part of a log.

    A character belongs to the part with its first byte, so that parts one after the other are
    the log.

    Args:
        content: bytes of the log, with :data:`REST` bytes after the part that is wanted.
        first: the number of the first of them.
        size: the size of the log.
        start: as of :func:`wanted`.
        length: likewise.

    Returns:
        ``content``; ``lines``, their number; ``start_line`` and ``end_line``, the positions of the
        first byte and of the one after the last, as texts.
    """
    begin, end = wanted(size, start, length)
    begin = _next_character(content, begin - first) + first
    end = max(begin, _next_character(content, end - first) + first)
    text = content[begin - first : end - first].decode("utf-8", "replace")
    return {
        "content": text,
        "lines": len(text.splitlines()),
        "start_line": str(begin),
        "end_line": str(end),
    }


def _next_character(content: bytes, index: int) -> int:
    """Return the index of the first byte of a character, from an index on."""
    index = max(0, index)
    for _ in range(REST):
        if index < len(content) and 0x80 <= content[index] < 0xC0:
            index += 1
    return min(index, len(content))
