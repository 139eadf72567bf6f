"""Paths in OBS as people write them, and the mistakes they make with them."""

import os
import re
from typing import Tuple

import attr

from modelarts.errors import InvalidArgument

__all__ = ["ObsPath", "is_local", "local_segments", "parse"]

_FORM = "a path in OBS such as 'obs://bucket/folder/'"
_BUCKET = r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}\Z"
_DRIVE = r"[A-Za-z]:([\\/]|\Z)"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*:/"
_CONTROL = r"[\x00-\x1f\x7f]"
#: What Windows has for itself in a file's name.
_WINDOWS = r'[<>:"|?*\\]|[ .]\Z|(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|\Z)'


@attr.s(frozen=True, slots=True, auto_attribs=True)
class ObsPath:
    """A bucket and what is named in it: an object, or a folder, which ends with ``/``.

    The key of a bucket itself is empty.
    """

    bucket: str
    key: str

    @property
    def is_folder(self) -> bool:
        """Whether it is written as a folder; so is a bucket."""
        return not self.key or self.key.endswith("/")

    @property
    def name(self) -> str:
        """The last part of it."""
        return self.key.rstrip("/").rpartition("/")[2] or self.bucket

    @property
    def url(self) -> str:
        """``obs://bucket/key``."""
        return "obs://%s/%s" % (self.bucket, self.key)

    def as_folder(self) -> "ObsPath":
        """The same, written as a folder."""
        return self if self.is_folder else ObsPath(self.bucket, self.key + "/")

    def __truediv__(self, relative: str) -> "ObsPath":
        """What is below this folder."""
        return ObsPath(self.bucket, self.as_folder().key + relative)


def parse(argument: str, value: object, older: bool = False) -> ObsPath:
    """``obs://bucket/key`` or ``/bucket/key``; ``bucket/key`` too in the ``older`` calls.

    The path of a file on this machine, given by mistake, is refused: where ``/home`` is a folder
    here, ``/home/ann/logs`` is not taken for the bucket ``home``. As ``obs://home/ann/logs`` it is.

    Raises:
        InvalidArgument: it is no such path.
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


def is_local(value: object) -> bool:
    """Whether a ``train_url`` means a folder on this machine.

    A :class:`~pathlib.Path` always does; a text does unless it begins with ``/``, or with a
    scheme such as ``obs://``.
    """
    if isinstance(value, os.PathLike):
        return True
    if not isinstance(value, str) or not value:
        return False
    if re.match(_DRIVE, value) or value.startswith("\\\\"):
        return True
    return not value.startswith("/") and not re.match(_SCHEME, value)


def local_segments(relative: str, windows: bool = os.name == "nt") -> Tuple[str, ...]:
    """The names of folders and file that hold the object of that relative key on this machine.

    Raises:
        ValueError: no file can have that name here, or it would be elsewhere; says why.
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
