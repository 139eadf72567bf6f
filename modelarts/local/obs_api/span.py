"""A part of an open file, as a file that waitress sends."""

from __future__ import annotations

import errno
import os
from typing import BinaryIO


class Span:
    """The bytes of an open file from ``start`` to ``stop``, in positions of that file.

    Args:
        file: it is closed with this.
    """

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self._file = file
        self._stop = stop
        self._position = start

    def seekable(self) -> bool:
        """Return True: every position can be gone to."""
        return True

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, which is counted from the end with ``SEEK_END``; return it."""
        self._position = self._stop + offset if whence == os.SEEK_END else offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, none at the end.

        Raises:
            OSError: the file became shorter. The connection is closed then, as the length was sent.
        """
        left = self._stop - self._position
        wanted = left if size < 0 else min(size, left)
        self._file.seek(self._position)
        content = self._file.read(wanted)
        if len(content) < wanted:
            raise OSError(errno.EIO, "the file became shorter")
        self._position += len(content)
        return content

    def close(self) -> None:
        """Close the file."""
        self._file.close()
