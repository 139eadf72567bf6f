"""MoXing's file calls for trainings: ``import moxing as mox``, then ``mox.file``.

Written from the public documentation of MoXing. Paths that begin with ``obs://`` or ``s3://`` are
objects and folders in the OBS of the training's session; all others are files of this machine.
"""

from typing import Any

from .framework import file

__all__ = ["file"]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        "moxing.%s is not available here: this moxing has the file calls only (moxing.file)" % name
    )
