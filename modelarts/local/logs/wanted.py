"""Selects the objects under a ``train_url`` that a board may need, and their order."""

from __future__ import annotations

import os
from typing import Iterable, Sequence

import attr

from modelarts.local.logs.remote import LogObject

#: The largest object that is read, in bytes.
MOST_OBJECT = 1024**3
#: How many objects of a job are read.
MOST_FILES = 10_000
#: What training keeps beside its event files, and no board can show.
_NOT_SHOWN = (
    ".air",
    ".bin",
    ".ckpt",
    ".h5",
    ".hdf5",
    ".mindir",
    ".mindrecord",
    ".npy",
    ".npz",
    ".om",
    ".onnx",
    ".parquet",
    ".pdparams",
    ".pkl",
    ".pt",
    ".pth",
    ".rec",
    ".safetensors",
    ".tar",
    ".tar.gz",
    ".tfrecord",
    ".tgz",
    ".zip",
)
_LONGEST_NAME = 255


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Selection:
    """The objects to read, the most important first, and the reasons for leaving out others."""

    wanted: Sequence[tuple[str, LogObject]]
    left_out: dict[str, str]


def select(prefix: str, listed: Iterable[LogObject]) -> Selection:
    """Choose; each object comes with its path below the folder.

    Event files come before all else, and new ones before old ones: should the room not do, it is
    the older runs that are missing.
    """
    candidates, left_out = [], {}
    for entry in listed:
        path = entry.key[len(prefix) :]
        if not path or path.endswith("/") or _is_not_shown(path):
            continue  # a mark for a folder, or nothing that would be missed
        if not _can_be_a_file(path):
            left_out[path] = "no file can have that name"
        elif entry.size > MOST_OBJECT:
            left_out[path] = f"it is larger than {MOST_OBJECT // 1024**2} MiB"
        else:
            candidates.append((path, entry))
    candidates.sort(key=lambda pair: pair[1].modified, reverse=True)
    candidates.sort(key=lambda pair: not _is_events(pair[0]))
    for path, _ in candidates[MOST_FILES:]:
        left_out[path] = f"there are more than {MOST_FILES}"
    return Selection(candidates[:MOST_FILES], left_out)


def _is_events(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return "tfevents" in name or ".summary." in name  # TensorBoard's; MindSpore's


def _is_not_shown(path: str) -> bool:
    name = path.rsplit("/", 1)[-1].lower()
    # TensorFlow's checkpoints: model.ckpt-100.data-00000-of-00001
    return not _is_events(path) and (name.endswith(_NOT_SHOWN) or ".ckpt-" in name)


def _can_be_a_file(path: str) -> bool:
    parts = path.split("/")
    return (
        "\0" not in path
        and not any(part in ("", ".", "..") for part in parts)
        and all(len(os.fsencode(part)) <= _LONGEST_NAME for part in parts)
    )
