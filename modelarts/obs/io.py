"""Local files of a transfer: read at the size that they had at the start, written atomically."""

import os
from typing import Any, Callable, Iterator, Optional

import attr

from modelarts.errors import TransferError
from modelarts.obs.checksums import md5
from modelarts.obs.crc64 import crc64
from modelarts.obs.esdk.requests import LocalError
from modelarts.obs.stores.base import Progress

_CHUNK = 256 * 1024


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Source:
    """The state of a file at the beginning of its upload.

    Bytes that are appended meanwhile, as to event files, are not sent and are not an error.

    Attributes:
        modified: nanoseconds since the epoch.
        inode: the number of the file; 0 if the system has no such numbers.
    """

    path: str
    size: int
    modified: int
    inode: int

    @classmethod
    def of(cls, path: str) -> "Source":
        """Return the file as it is now."""
        state = os.stat(path)
        return cls(path, state.st_size, state.st_mtime_ns, state.st_ino)

    def check(self) -> None:
        """Raise TransferError if the bytes present at the beginning may have changed."""
        now = self.of(self.path)
        if now.inode != self.inode:
            raise self._replaced()
        if now.size < self.size or (now.size == self.size and now.modified != self.modified):
            raise TransferError("%s changed while it was being sent; send it again" % self.path)

    def open(self) -> Any:
        """Open the file for reading without a buffer.

        Raises:
            TransferError: the name belongs to another file now.
        """
        return open(self.path, "rb", buffering=0, opener=self._opened)

    def _opened(self, path: str, flags: int) -> int:
        file = os.open(path, flags)
        # On Windows, where the numbers may differ, an open file cannot be replaced.
        if os.name != "nt" and os.fstat(file).st_ino != self.inode:
            os.close(file)
            raise self._replaced()
        return file

    def read(self) -> bytes:
        """Return the content of the file."""
        with self.open() as file:
            content = file.read(self.size) or b""
            while len(content) < self.size:
                more = file.read(self.size - len(content))
                if not more:
                    raise self.shorter()
                content += more
        return content

    def md5(self, offset: int, size: int, going: Callable[[], object]) -> bytes:
        """Return the MD5 of a part of the file; ``going`` may raise an error to stop."""
        digest = md5()
        for chunk in self._chunks(offset, size, going):
            digest.update(chunk)
        result: bytes = digest.digest()
        return result

    def crc64(self, offset: int, size: int, going: Callable[[], object]) -> int:
        """Return the CRC-64 of a part of the file; ``going`` may raise an error to stop."""
        value = 0
        for chunk in self._chunks(offset, size, going):
            value = crc64(chunk, value)
        return value

    def _chunks(self, offset: int, size: int, going: Callable[[], object]) -> Iterator[memoryview]:
        """Yield a part of the file in chunks, each of which is valid until the next."""
        buffer, left = memoryview(bytearray(min(_CHUNK, size))), size
        with self.open() as file:
            file.seek(offset)
            while left:
                going()
                got = file.readinto(buffer[:left])
                if not got:
                    raise self.shorter()
                yield buffer[:got]
                left -= got

    def _replaced(self) -> TransferError:
        return TransferError("%s was replaced while it was being sent; send it again" % self.path)

    def shorter(self) -> TransferError:
        """Return the error for a file that became shorter while it was read."""
        return TransferError("%s became shorter while it was being sent; send it again" % self.path)


class Content:
    """The body of an upload from memory, for a small file.

    Attributes:
        count: how many were sent in this attempt.
    """

    def __init__(self, content: bytes, progress: Optional[Progress]) -> None:
        self._content = content
        self._progress = progress
        self.count = 0

    def send(self, connection: Any) -> None:
        """Send the bytes, and report the progress."""
        self.count = 0
        connection.send(self._content)
        self.count = len(self._content)
        if self._progress is not None and self.count:
            try:
                self._progress(self.count)
            except Exception as error:
                raise LocalError(error) from error


class Body:
    """The body of an upload from a file, through a small buffer.

    Args:
        progress: called with the number of bytes that were read.
        hashes: True to compute the MD5 of the bytes while they are sent.

    Attributes:
        count: how many were sent in this attempt.
    """

    def __init__(
        self,
        source: Source,
        offset: int,
        size: int,
        progress: Optional[Progress],
        hashes: bool = False,
    ) -> None:
        self._source = source
        self._offset, self._size = offset, size
        self._progress = progress
        self._hashes = hashes
        self._digest: Any = None
        self.count = 0

    @property
    def md5(self) -> bytes:
        """The MD5 of the bytes that were sent in the last attempt."""
        digest: bytes = self._digest.digest()
        return digest

    def send(self, connection: Any) -> None:
        """Send all bytes from the beginning, and report each buffer."""
        self.count = 0
        self._digest = md5() if self._hashes else None
        buffer = memoryview(bytearray(min(_CHUNK, self._size)))
        try:
            file = self._source.open()
        except (OSError, TransferError) as error:
            raise LocalError(error) from error
        with file:
            file.seek(self._offset)
            while self.count < self._size:
                connection.send(self._read(file, buffer))

    def _read(self, file: Any, buffer: memoryview) -> memoryview:
        try:
            got = file.readinto(buffer[: self._size - self.count])
            if not got:
                raise self._source.shorter()
            chunk = buffer[:got]
            if self._digest is not None:
                self._digest.update(chunk)
            self.count += got
            if self._progress is not None:
                self._progress(got)
        except Exception as error:
            raise LocalError(error) from error
        return chunk
