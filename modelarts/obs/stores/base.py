"""The interface of a store of objects, for the calls of ``session.obs``."""

from abc import ABC, abstractmethod
from typing import Callable, Iterator, Optional, Sequence, Tuple

import attr

from modelarts.errors import InvalidArgument

_LONGEST_KEY = 1024
#: Called with the number of bytes transferred; negative if a part is sent again.
Progress = Callable[[int], None]


@attr.s(frozen=True, slots=True, auto_attribs=True)
class ObjectInfo:
    """The metadata of an object.

    Attributes:
        bucket: its bucket.
        key: its name in the bucket.
        size: in bytes.
        modified: seconds since the epoch; None if the store does not have it.
        etag: the ETag without quotes; of an object sent in one part the MD5 of its content.
        md5: the hexadecimal MD5 of the whole content, if the store has it.
        crc64: its CRC-64, likewise.
    """

    bucket: str
    key: str
    size: int
    modified: Optional[float] = None
    etag: Optional[str] = None
    md5: Optional[str] = None
    crc64: Optional[int] = None


class Store(ABC):
    """A store of objects in buckets: OBS itself, or a folder in its place.

    Safe for threads. Every method raises an error of :mod:`modelarts.errors` if the store refuses
    the request (with ``error_code`` and ``error_msg``) or does not respond.

    Attributes:
        page: how many objects one request lists or deletes, 1 to 1000.
    """

    page = 1000

    @abstractmethod
    def head(self, bucket: str, key: str) -> Optional[ObjectInfo]:
        """Return the object of that name; None if it does not exist."""

    @abstractmethod
    def has_bucket(self, bucket: str) -> bool:
        """Return True if there is such a bucket that this user may see."""

    @abstractmethod
    def make_bucket(self, bucket: str) -> None:
        """Make a bucket of this user."""

    def has_folder(self, bucket: str, key: str) -> bool:
        """Return True if there are objects in a folder, or an object for the folder itself."""
        return any(True for _ in self.list(bucket, key))

    @abstractmethod
    def make_folder(self, bucket: str, key: str) -> None:
        """Make an empty folder, whose key ends with a slash; an existing folder does not change."""

    @abstractmethod
    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Return all objects whose key begins with ``prefix``, by key."""

    @abstractmethod
    def upload(self, path: str, bucket: str, key: str, progress: Optional[Progress] = None) -> None:
        """Send a file atomically: the object is then complete, or unchanged."""

    @abstractmethod
    def download(self, info: ObjectInfo, path: str, progress: Optional[Progress] = None) -> None:
        """Fetch an object to ``path``: the file is then complete and verified, or unchanged."""

    @abstractmethod
    def copy(
        self, info: ObjectInfo, bucket: str, key: str, progress: Optional[Progress] = None
    ) -> None:
        """Copy an object to another one, within the store."""

    def same(self, path: str, info: ObjectInfo) -> Optional[bool]:
        """Return True if a file has the content of an object; None if that is unknown."""
        return None

    @abstractmethod
    def forget(self, path: str, info: ObjectInfo) -> None:
        """Remove the leftovers of an interrupted transfer between a file and an equal object."""

    @abstractmethod
    def delete(self, bucket: str, keys: Sequence[str]) -> Sequence[Tuple[str, Exception]]:
        """Delete objects; return those that could not be deleted, with the reasons."""

    def own_folders(self, bucket: str, prefix: str) -> Sequence[str]:
        """Return the store's folder on this machine and that of a prefix; none for other stores."""
        return ()

    @abstractmethod
    def close(self) -> None:
        """Close connections and threads."""


def check_key(argument: str, key: str) -> None:
    """Raise InvalidArgument for what cannot be the name of an object in OBS."""
    try:
        length = len(key.encode("utf-8"))
    except UnicodeEncodeError:
        raise InvalidArgument(argument, key, "a name in Unicode") from None
    if not 0 < length <= _LONGEST_KEY:
        allowed = "a name of 1 to %d bytes in UTF-8 (it has %d)" % (_LONGEST_KEY, length)
        raise InvalidArgument(argument, key, allowed)
