"""Open files, on this machine and in OBS."""

import os
import tempfile
import weakref
from typing import Any, Iterable, Iterator, List, Optional

from . import objects
from .errors import MoxFileNotExistsException, refusals
from .paths import LocalOrUrl, is_remote, local, remote


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


class File:
    """An open file of this machine or object in OBS, used as Python's own files are.

    An object is copied to a temporary file when it is opened. What is written is sent to OBS by
    :meth:`flush` and :meth:`close`; use ``with``, so that it is closed.

    Args:
        name: the path, or a URL of OBS.
        mode: a mode of ``open``, such as ``"r"``, ``"wb"``, ``"a"`` or ``"r+"``; by default
            ``"r"``.
        encoding: the encoding of text; by default UTF-8.
        options: other arguments of ``open``, such as ``newline``.

    Raises:
        MoxFileNotExistsException: there is no such object.
        MoxFileRespException: OBS refused the request.
        FileNotFoundError: there is no such file of this machine.

    Source: *MoXing API*, "File".

    Example:
        >>> with mox.file.File("obs://bucket/a.txt", "w") as f:               # doctest: +SKIP
        ...     f.write("text")
    """

    def __init__(
        self,
        name: LocalOrUrl,
        mode: str = "r",
        encoding: Optional[str] = None,
        **options: Any,
    ) -> None:
        options.pop("client_id", None)
        self.name = name
        self.mode = mode
        self._remote = remote(name) if isinstance(name, str) and is_remote(name) else None
        self._path = local(name)
        if "b" not in mode:
            options["encoding"] = encoding or "utf-8"
        if self._remote is None:
            self._file: Any = open(self._path, mode, **options)  # noqa: SIM115
            return
        descriptor, self._path = tempfile.mkstemp(prefix="moxing-")
        os.close(descriptor)
        self._discard = weakref.finalize(self, _discard, self._path)
        try:
            if "w" not in mode:
                self._fetch(must_exist="r" in mode)
            self._file = open(self._path, mode, **options)  # noqa: SIM115
        except BaseException:
            self._discard()
            raise

    def _fetch(self, must_exist: bool) -> None:
        assert self._remote is not None
        with refusals():
            info = objects.head(self._remote)
            if info is not None:
                objects.download(self._remote, self._path, info)
            elif must_exist:
                raise MoxFileNotExistsException.of(self._remote.url)

    def _send(self) -> None:
        if self._remote is not None and self._file.writable():
            with refusals():
                objects.upload(self._path, self._remote)

    def read(self, n: int = -1) -> Any:
        """Return the next characters, or bytes in a binary mode.

        Args:
            n: the largest number of them; by default all.
        """
        return self._file.read(n)

    def readline(self, size: int = -1) -> Any:
        """Return the next line, or its beginning.

        Args:
            size: the largest number of characters or bytes; by default the whole line.
        """
        return self._file.readline(size)

    def readlines(self, sizeint: int = -1) -> List[Any]:
        """Return the rest of the file as lines.

        Args:
            sizeint: the number of characters or bytes after which to stop; by default all.
        """
        lines: List[Any] = self._file.readlines(sizeint)
        return lines

    def write(self, data: Any) -> int:
        """Write text, or bytes in a binary mode.

        Args:
            data: the text or bytes.

        Returns:
            The number of characters or bytes.
        """
        count: int = self._file.write(data)
        return count

    def writelines(self, sequence: Iterable[Any]) -> None:
        """Write several texts, or bytes in a binary mode.

        Args:
            sequence: the texts or bytes.
        """
        self._file.writelines(sequence)

    def flush(self) -> None:
        """Send what was written so far to OBS; for a file of this machine, to the system."""
        self._file.flush()
        if not self._file.closed:
            self._send()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position.

        Args:
            offset: bytes from ``whence``.
            whence: 0 for the beginning, 1 for the current position, 2 for the end.

        Returns:
            The new position.
        """
        position: int = self._file.seek(offset, whence)
        return position

    def tell(self) -> int:
        """Return the position in the file."""
        position: int = self._file.tell()
        return position

    def readable(self) -> bool:
        """Return True if the file can be read."""
        return bool(self._file.readable())

    def writable(self) -> bool:
        """Return True if the file can be written."""
        return bool(self._file.writable())

    def seekable(self) -> bool:
        """Return True if :meth:`seek` can be called."""
        return bool(self._file.seekable())

    def size(self) -> int:
        """Return the size of the file in bytes, with what was written so far."""
        if not self._file.closed and self._file.writable():
            self._file.flush()
        return os.path.getsize(self._path)

    def close(self) -> None:
        """Close the file, and send what was written to OBS."""
        if self._file.closed:
            return
        is_written = self._file.writable()
        self._file.close()
        if self._remote is None:
            return
        try:
            if is_written:
                with refusals():
                    objects.upload(self._path, self._remote)
        finally:
            self._discard()

    def __enter__(self) -> "File":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def __next__(self) -> Any:
        return next(self._file)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._file, name)

    def __repr__(self) -> str:
        return "File(%r, %r)" % (self.name, self.mode)
