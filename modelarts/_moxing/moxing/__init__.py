"""MoXing's file calls for trainings: ``import moxing as mox``, then ``mox.file``.

Written from the public documentation of MoXing. Paths that begin with ``obs://`` or ``s3://`` are
objects and folders in the OBS of the training's session; all others are files of this machine.
"""

import os
import sys
from importlib.util import find_spec
from typing import Any

if find_spec("modelarts") is None:
    # The Python of a training need not have the package; this folder lies in it. What is at the end
    # of the path hides nothing that this Python has.
    sys.path.append(os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3)))

from .framework import file

__all__ = ["file"]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        "moxing.%s is not available here: this moxing has the file calls only (moxing.file)" % name
    )
