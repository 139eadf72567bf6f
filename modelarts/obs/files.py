"""Files at this end: read as they were when the transfer began, written so that none is half."""

import io
import os
from typing import Any, Callable, Optional

import attr

from modelarts.errors import TransferError
from modelarts.obs.checksums import md5
from modelarts.obs.failures import Own
from modelarts.obs.store import Progress

__all__ = ["Body", "Source"]

_CHUNK = 1024 * 1024


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Source:
    """A file as it is when it begins to be sent.

    What is appended meanwhile is not sent, and does no harm: that is how event files grow.

    Attributes:
        modified: nanoseconds since the epoch.
        inode: what the name led to; 0 where the system has no such thing.
    """

    path: str
    size: int
    modified: int
    inode: int

    @classmethod
    def of(cls, path: str) -> "Source":
        """The file as it is now."""
        found = os.stat(path)
        return cls(path, found.st_size, found.st_mtime_ns, found.st_ino)

    def check(self) -> None:
        """Raises TransferError where the bytes that were there at the beginning may be others."""
        now = self.of(self.path)
        if now.inode != self.inode:
            raise TransferError("%s was replaced while it was being sent; send it again" % self.path)
        if now.size < self.size or (now.size == self.size and now.modified != self.modified):
            raise TransferError("%s changed while it was being sent; send it again" % self.path)

    def read(self, offset: int, size: int) -> bytes:
        """Some bytes of it."""
        with open(self.path, "rb") as file:
            file.seek(offset)
            return file.read(size)

    def md5(self, offset: int, size: int, going: Callable[[], object]) -> bytes:
        """The MD5 of some bytes of it; ``going`` may raise to stop that."""
        digest, left = md5(), size
        with open(self.path, "rb") as file:
            file.seek(offset)
            while left:
                going()
                chunk = file.read(min(left, _CHUNK))
                if not chunk:
                    raise self.shorter()
                digest.update(chunk)
                left -= len(chunk)
        result: bytes = digest.digest()
        return result

    def shorter(self) -> TransferError:
        """What is raised where bytes that were there are not any more."""
        return TransferError("%s became shorter while it was being sent; send it again" % self.path)


class Body:
    """Bytes on their way, as the client reads them: counts, and reports what it counted.

    Args:
        source: the file.
        content: its bytes, where they are in memory already.
    """

    def __init__(
        self,
        source: Source,
        offset: int,
        size: int,
        progress: Optional[Progress],
        content: Optional[bytes] = None,
    ) -> None:
        self._source = source
        self._left = size
        self._progress = progress
        if content is not None:
            self._file: Any = io.BytesIO(content)
        else:
            self._file = open(source.path, "rb")
            self._file.seek(offset)
        #: How many bytes were handed out.
        self.count = 0

    def read(self, size: int) -> bytes:
        """The next bytes."""
        try:
            chunk: bytes = self._file.read(min(size, self._left))
            if self._left and not chunk:
                raise self._source.shorter()
            self._left -= len(chunk)
            self.count += len(chunk)
            if self._progress is not None and chunk:
                self._progress(len(chunk))
        except Exception as error:
            raise Own(error) from error
        return chunk

    def close(self) -> None:
        """Close the file."""
        self._file.close()
