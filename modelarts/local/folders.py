"""Where the files of a ``train_url`` are on this machine."""

from __future__ import annotations

from pathlib import Path

__all__ = ["folder_of"]


def folder_of(obs: Path, train_url: str) -> Path:
    """``/bucket/path/`` below the folder that stands for OBS.

    The folder need not exist yet: training may write it later.

    Raises:
        ValueError: links lead out of the bucket, which has the job read other files than
            those of the bucket.
    """
    bucket, _, key = train_url.strip("/").partition("/")
    # Resolved as far as it exists; the bucket itself must not be a link either.
    inside = obs.resolve() / bucket
    folder = (inside / key).resolve()
    if folder != inside and inside not in folder.parents:
        raise ValueError(f"{train_url} leads out of its bucket")
    return folder
