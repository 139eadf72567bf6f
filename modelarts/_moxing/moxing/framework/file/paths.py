"""Paths of MoXing: URLs of OBS, and files of this machine."""

import os
import re
from typing import NamedTuple, Union

from modelarts.obs.paths import parse

LocalOrUrl = Union[str, "os.PathLike[str]"]

_SCHEMES = ("obs://", "s3://")


class Remote(NamedTuple):
    """A path in OBS.

    Attributes:
        scheme: ``"obs://"`` or ``"s3://"``, as the caller wrote it.
        bucket: the name of the bucket.
        key: the name in the bucket, without a slash at its end; empty for the bucket itself.
        is_folder: True if the path ended with a slash, or is a bucket.
    """

    scheme: str
    bucket: str
    key: str
    is_folder: bool

    @property
    def url(self) -> str:
        """The path without a slash at its end."""
        return "%s%s" % (self.scheme, "/".join(filter(None, (self.bucket, self.key))))

    @property
    def prefix(self) -> str:
        """The beginning of the keys of all objects in this folder."""
        return self.key + "/" if self.key else ""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.key.rpartition("/")[2] or self.bucket

    def child(self, relative: str) -> "Remote":
        """Return a path below this folder.

        Args:
            relative: the path from here, with ``/`` between its parts.

        Returns:
            The path.
        """
        return self._replace(key=self.prefix + relative, is_folder=False)


def is_remote(url: object) -> bool:
    """Return True for a path in OBS.

    Args:
        url: the path.

    Returns:
        True if it begins with ``obs://`` or ``s3://``.
    """
    return isinstance(url, str) and url.startswith(_SCHEMES)


def remote(url: str) -> Remote:
    """Return the parts of a URL of OBS.

    Slashes that follow each other count as one, as scripts make them when they join paths.

    Args:
        url: the URL; ``obs://`` and ``s3://`` mean the same.

    Returns:
        The path.

    Raises:
        InvalidArgument: the URL has no valid bucket, or a part ``.`` or ``..``.
    """
    scheme = next(scheme for scheme in _SCHEMES if url.startswith(scheme))
    rest = re.sub("/{2,}", "/", url[len(scheme) :].lstrip("/"))
    path = parse("url", "obs://" + rest)
    return Remote(scheme, path.bucket, path.key.rstrip("/"), path.is_folder)


def local(path: LocalOrUrl) -> str:
    """Return a path of this machine as a text.

    Args:
        path: a str or a path object.

    Returns:
        The text.
    """
    return os.fspath(path)
