"""Parsing of paths in OBS and on this machine, and detection of common mistakes."""

import os
import re
import stat
from typing import Tuple, Union

import attr

from modelarts._internal.wording import Worded
from modelarts.errors import InvalidArgument
from modelarts.obs.stores.base import Store

_FORM = "a path in OBS such as 'obs://bucket/folder/'"
_BUCKET = r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}\Z"
_DRIVE = r"[A-Za-z]:([\\/]|\Z)"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*:/"
_CONTROL = r"[\x00-\x1f\x7f]"
#: Names and characters that Windows reserves.
_WINDOWS = r'[<>:"|?*\\]|[ .]\Z|(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|\Z)'


@attr.s(frozen=True, slots=True, auto_attribs=True)
class ObsPath:
    """A bucket and the key of an object or folder; a folder ends with ``/``.

    The key of a bucket itself is empty.
    """

    bucket: str
    key: str

    @property
    def is_folder(self) -> bool:
        """True for a bucket, and for a path that is written as a folder."""
        return not self.key or self.key.endswith("/")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.key.rstrip("/").rpartition("/")[2] or self.bucket

    @property
    def url(self) -> str:
        """The form ``obs://bucket/key``."""
        return "obs://%s/%s" % (self.bucket, self.key)

    def as_folder(self) -> "ObsPath":
        """Return the path, written as a folder."""
        return self if self.is_folder else ObsPath(self.bucket, self.key + "/")

    def __truediv__(self, relative: str) -> "ObsPath":
        """Return a path below this folder."""
        return ObsPath(self.bucket, self.as_folder().key + relative)


def parse(argument: str, value: object, older: bool = False) -> ObsPath:
    """Parse ``obs://bucket/key`` or ``/bucket/key``; also ``bucket/key`` for the ``older`` calls.

    A path of this machine, given by mistake, is refused: if ``/home`` is a folder here,
    ``/home/ann/logs`` is not taken for the bucket ``home``, but ``obs://home/ann/logs`` is.

    Raises:
        InvalidArgument: the value is not such a path.
    """
    allowed = "a path in OBS such as '/bucket/folder/file'" if older else _FORM
    if not isinstance(value, str) or not value:
        raise InvalidArgument(argument, value, allowed)
    if value.startswith("obs://"):
        rest = value[len("obs://") :]
    elif re.match(_DRIVE, value) or value.startswith("\\\\"):
        raise InvalidArgument(argument, value, allowed + ", not one on this machine")
    elif re.match(_SCHEME, value):
        raise InvalidArgument(argument, value, allowed + ", beginning with obs://")
    elif value.startswith("/"):
        rest = value[1:]
        top = "/" + rest.partition("/")[0]
        if not older and top != "/" and os.path.lexists(top):
            raise InvalidArgument(
                argument, value, "%s; %s is a folder of this machine" % (allowed, top)
            )
    elif older and not value.startswith((".", "~")):
        rest = value
    else:
        raise InvalidArgument(argument, value, allowed + ", not one on this machine")
    bucket, _, key = rest.partition("/")
    if not re.match(_BUCKET, bucket):
        raise InvalidArgument(argument, value, allowed + ", beginning with a bucket's name")
    _check_key(argument, value, key, allowed)
    return ObsPath(bucket, key)


def local_segments(relative: str, windows: bool = os.name == "nt") -> Tuple[str, ...]:
    """Return the names of the folders and the file for the object of that relative key.

    Raises:
        ValueError: a file here cannot have that name, or would be in another folder.
    """
    segments = tuple(relative.split("/"))
    for segment in segments:
        if segment in ("", ".", ".."):
            raise ValueError("a file's path cannot have a part %r" % segment)
        if "\0" in segment:
            raise ValueError("a file's name cannot hold a NUL")
        if windows and (re.search(_WINDOWS, segment) or re.search(_CONTROL, segment)):
            raise ValueError("Windows has no file named %r" % segment)
        try:
            encoded = os.fsencode(segment)
        except UnicodeEncodeError:
            raise ValueError("this machine's file names cannot hold %r" % segment) from None
        if len(encoded) > 255:
            raise ValueError("%s… has more than 255 bytes" % segment[:40])
    return segments


def _check_key(argument: str, value: str, key: str, allowed: str) -> None:
    segments = key.split("/")
    if any(segment in (".", "..") for segment in segments):
        raise InvalidArgument(argument, value, allowed + ", without '.' and '..'")
    if "" in segments[:-1]:
        raise InvalidArgument(argument, value, allowed + ", without '//' after the bucket")
    if "\\" in key:
        raise InvalidArgument(argument, value, allowed + ", with '/' and not '\\'")
    if re.search(_CONTROL, key):
        raise InvalidArgument(argument, value, allowed + ", without control characters")
    try:
        fits = len(key.encode("utf-8")) <= 1024
    except UnicodeEncodeError:  # half of a surrogate pair
        fits = False
    if not fits:
        raise InvalidArgument(argument, value, allowed + ", of at most 1024 bytes in UTF-8")


LocalPath = Union[str, "os.PathLike[str]"]


def text_of(argument: str, value: object) -> str:
    """Return a path on this machine as a text; ``~`` is the user's home.

    Raises:
        InvalidArgument: the value is not a path on this machine.
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
    """Return the path of an existing regular file, or of a link to one.

    Raises:
        InvalidArgument: the path is not that of a regular file.
    """
    path = text_of(argument, value)
    mode = _mode(argument, value, path, "a file that exists")
    if stat.S_ISDIR(mode):
        raise InvalidArgument(argument, value, "a file; a folder is sent by upload_dir")
    if not stat.S_ISREG(mode):
        raise InvalidArgument(argument, value, "a regular file, not a socket, FIFO or device")
    return path


def local_dir(argument: str, value: object) -> str:
    """Return an existing folder, as an absolute path.

    Raises:
        InvalidArgument: it is something else, or has no name to be sent under.
    """
    path = text_of(argument, value)
    if not stat.S_ISDIR(_mode(argument, value, path, "a folder that exists")):
        raise InvalidArgument(
            argument,
            value,
            Worded(
                "a folder; a file is sent by upload_file",
                "a folder; a file is sent by 'modelarts obs upload'",
            ),
        )
    path = os.path.abspath(path)
    if not os.path.basename(path):
        raise InvalidArgument(argument, value, "a folder with a name, which it is to have in OBS")
    return path


def growing_dir(argument: str, value: object) -> str:
    """Return a folder that need not exist yet, as an absolute path.

    Raises:
        InvalidArgument: it is something else, or has no name to be sent under.
    """
    path = os.path.abspath(text_of(argument, value))
    return (
        path if not os.path.lexists(path) and os.path.basename(path) else local_dir(argument, value)
    )


def local_folder(argument: str, value: object) -> str:
    """Return a target folder, which need not exist yet.

    Raises:
        InvalidArgument: the path is that of a file.
    """
    path = text_of(argument, value)
    if os.path.lexists(path) and not os.path.isdir(path):
        raise InvalidArgument(argument, value, "a folder; this is a file")
    return path


def object_target(store: Store, path: str, target: ObsPath) -> ObsPath:
    """Return the object for a file.

    A target without a final slash is the object itself if it has the name or the extension of the
    file, or is an existing object; otherwise it is a folder.
    """
    name = os.path.basename(path)
    if not target.is_folder and (
        _is_named_like(target.name, name) or store.head(target.bucket, target.key) is not None
    ):
        return target
    return target / name


def local_target(argument: str, value: object, name: str, is_path: bool = False) -> str:
    """Return the file for an object of that name, by the same rule.

    Args:
        is_path: True if a path that does not exist, without a final slash, is the file itself.

    Raises:
        InvalidArgument: the target is a folder, but a file has that path.
    """
    path = _local_target(argument, value, name, is_path)
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        # The rename would replace it, such as /dev/null, by a file.
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
