"""Where a transfer's file or folder lands, and what is meant when a path has no final slash."""

import os
import stat
from typing import Union

from modelarts.errors import InvalidArgument
from modelarts.obs.paths import ObsPath
from modelarts.obs.stores.base import Store

__all__ = [
    "LocalPath",
    "growing_dir",
    "local_dir",
    "local_file",
    "local_folder",
    "local_target",
    "object_target",
    "text_of",
]

LocalPath = Union[str, "os.PathLike[str]"]


def text_of(argument: str, value: object) -> str:
    """A path on this machine as a text; ``~`` is the home.

    Raises:
        InvalidArgument: it is none.
    """
    allowed = "a path on this machine"
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str) or not path or "\0" in path:
        raise InvalidArgument(argument, value, allowed)
    if path.startswith("obs:/"):
        raise InvalidArgument(argument, value, allowed + ", not one in OBS")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise InvalidArgument(argument, value, allowed + ", which has no such names") from None
    return os.path.expanduser(path)


def local_file(argument: str, value: object) -> str:
    """A regular file that is there; a link to one is followed, since it was named.

    Raises:
        InvalidArgument: it is something else.
    """
    path = text_of(argument, value)
    mode = _mode(argument, value, path, "a file that is there")
    if stat.S_ISDIR(mode):
        raise InvalidArgument(argument, value, "a file; a folder is sent by upload_dir")
    if not stat.S_ISREG(mode):
        raise InvalidArgument(argument, value, "a regular file, not a socket, FIFO or device")
    return path


def local_dir(argument: str, value: object) -> str:
    """A folder that is there, as an absolute path.

    Raises:
        InvalidArgument: it is something else, or has no name to be sent under.
    """
    path = text_of(argument, value)
    if not stat.S_ISDIR(_mode(argument, value, path, "a folder that is there")):
        raise InvalidArgument(argument, value, "a folder; a file is sent by upload_file")
    path = os.path.abspath(path)
    if not os.path.basename(path):
        raise InvalidArgument(argument, value, "a folder with a name, which it is to have in OBS")
    return path


def growing_dir(argument: str, value: object) -> str:
    """A folder that need not be there yet, as an absolute path.

    Raises:
        InvalidArgument: it is something else, or has no name to be sent under.
    """
    path = os.path.abspath(text_of(argument, value))
    return (
        path if not os.path.lexists(path) and os.path.basename(path) else local_dir(argument, value)
    )


def local_folder(argument: str, value: object) -> str:
    """A folder to put something in, which need not be there yet.

    Raises:
        InvalidArgument: it is a file.
    """
    path = text_of(argument, value)
    if os.path.lexists(path) and not os.path.isdir(path):
        raise InvalidArgument(argument, value, "a folder; this is a file")
    return path


def object_target(store: Store, path: str, target: ObsPath) -> ObsPath:
    """The object that a file becomes.

    A target without a final slash names the object itself if it is called like the file, or has
    the file's extension, or is an object already; otherwise it is a folder.
    """
    name = os.path.basename(path)
    if not target.is_folder and (
        _is_named_like(target.name, name) or store.head(target.bucket, target.key) is not None
    ):
        return target
    return target / name


def local_target(argument: str, value: object, name: str, is_path: bool = False) -> str:
    """The file that an object of that name becomes; the same rule the other way round.

    Args:
        is_path: take what is neither there nor ends with a slash for the file itself.

    Raises:
        InvalidArgument: a folder is meant where a file is.
    """
    path = _local_target(argument, value, name, is_path)
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        # A file would take its place: /dev/null, say, would be one from then on.
        raise InvalidArgument(argument, value, "a regular file, not a socket, FIFO or device")
    return path


def _local_target(argument: str, value: object, name: str, is_path: bool) -> str:
    path = text_of(argument, value)
    separators = tuple(filter(None, (os.sep, os.altsep)))
    if os.path.isdir(path):
        return os.path.join(path, name)
    if not path.endswith(separators) and (is_path or _is_named_like(os.path.basename(path), name)):
        return path
    if os.path.lexists(path.rstrip("".join(separators))):
        raise InvalidArgument(
            argument, value, "a folder, or a path that ends with %r; this is a file" % name
        )
    return os.path.join(path, name)


def _is_named_like(target: str, source: str) -> bool:
    extension = os.path.splitext(source)[1]
    return target == source or (
        bool(extension) and os.path.splitext(target)[1].lower() == extension.lower()
    )


def _mode(argument: str, value: object, path: str, allowed: str) -> int:
    try:
        return os.stat(path).st_mode
    except OSError as error:
        raise InvalidArgument(
            argument, value, "%s (%s)" % (allowed, (error.strerror or "unknown").lower())
        ) from None
