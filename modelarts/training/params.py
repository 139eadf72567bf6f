"""The documented value classes of a training: its code, its inputs and its outputs."""

import os
from typing import Optional, Union

import attr

_Path = Union[str, "os.PathLike[str]"]

#: The names of the first input and output where none is given; those of the original's samples.
INPUT_NAME = "data_url"
OUTPUT_NAME = "train_url"


@attr.s(frozen=True, slots=True, auto_attribs=True)
class TrainingFiles:
    """The code of a training.

    Attributes:
        code_dir: the folder of the code: in OBS, ``"obs://bucket/code/"`` or ``"/bucket/code/"``;
            or on this machine, ``"src/"`` or a ``pathlib.Path``, which is sent to OBS first.
        boot_file: the script that is started: its path in ``code_dir``, such as ``"train.py"``, or
            its whole path.
        obs_path: the folder in OBS into which a folder of this machine is copied; by default one of
            its own in ``session.obs_path``, and with the local service in its bucket ``uploads``.

    Source: *ModelArts SDK Reference*, "Creating a Training Job".

    Example:
        >>> TrainingFiles(code_dir="obs://bucket/code/", boot_file="train.py").boot_file
        'train.py'
    """

    code_dir: _Path
    boot_file: str
    obs_path: Optional[str] = None


@attr.s(frozen=True, slots=True, auto_attribs=True)
class InputData:
    """Data that a training reads.

    Attributes:
        obs_path: the folder or object in OBS; or one on this machine, which is sent to OBS first.
            With ``is_local_source`` the folder in OBS that ``local_path`` is sent to.
        name: 1 to 64 letters, digits, ``_`` or ``-``: the boot file gets ``--name=folder``, or a
            variable of that name; by default ``"data_url"``.
        local_path: the folder in which the training finds the data; by default the service chooses
            it. With ``is_local_source`` the folder of this machine.
        is_local_source: True if the data is in ``local_path`` on this machine and has to be sent to
            ``obs_path``; by default False.
        access_method: ``"parameter"``, an argument of the boot file, or ``"env"``, a variable; by
            default the service's, an argument.
        dataset_id: the id of a dataset of ModelArts, in place of a path.
        dataset_version_id: the version of the dataset; by default the service's choice.

    Source: *ModelArts SDK Reference*, "Creating a Training Job"; *ModelArts API Reference*,
    "Creating a Training Job" for datasets.

    Example:
        >>> InputData(obs_path="obs://bucket/data/", name="data_url").name
        'data_url'
    """

    obs_path: Optional[_Path] = None
    name: Optional[str] = None
    local_path: Optional[_Path] = None
    is_local_source: bool = False
    access_method: Optional[str] = None
    dataset_id: Optional[str] = None
    dataset_version_id: Optional[str] = None


@attr.s(frozen=True, slots=True, auto_attribs=True)
class OutputData:
    """A folder that a training writes.

    Attributes:
        obs_path: the folder in OBS; or a relative path such as ``"runs/"``, which is a folder in
            ``session.obs_path``, and with the local service in its bucket ``uploads``.
        name: 1 to 64 letters, digits, ``_`` or ``-``: the boot file gets ``--name=folder``, or a
            variable of that name; by default ``"train_url"``.
        local_path: the folder that the training writes to; by default the service chooses it.
        access_method: ``"parameter"``, an argument of the boot file, or ``"env"``, a variable; by
            default the service's, an argument.

    Source: *ModelArts SDK Reference*, "Creating a Training Job".

    Example:
        >>> OutputData(obs_path="obs://bucket/out/", name="model", access_method="env").name
        'model'
    """

    obs_path: Optional[_Path] = None
    name: Optional[str] = None
    local_path: Optional[_Path] = None
    access_method: Optional[str] = None
