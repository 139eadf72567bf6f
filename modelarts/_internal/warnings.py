"""The stack level of the caller's code, for warnings."""

import sys


def level_of_the_caller() -> int:
    """Return the ``stacklevel`` for our caller's warning that points at the code which uses us."""
    level, frame = 1, sys._getframe(1)
    while frame.f_globals.get("__name__", "").split(".")[0] == "modelarts":
        if frame.f_back is None:
            break
        level, frame = level + 1, frame.f_back
    return level
