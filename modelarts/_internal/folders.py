"""Several folders on one line."""

import posixpath
from typing import Sequence

_MAX_FOLDERS = 2


def in_short(folders: Sequence[str]) -> str:
    """Return folders on one line; more than two by the folder that they lie in.

    Args:
        folders: absolute paths.

    Example:
        >>> in_short(["/runs/a", "/runs/b", "/runs/c/d"])
        '/runs/ (3 folders)'
    """
    if len(folders) <= _MAX_FOLDERS:
        return ", ".join(folders)
    common = posixpath.commonpath(folders).rstrip("/")
    return "%s/ (%d folders)" % (common, len(folders))
