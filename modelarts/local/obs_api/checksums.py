"""Checksums of the objects of the OBS API."""

from __future__ import annotations

import hashlib
import os
from threading import Lock
from typing import IO, Any, BinaryIO, Iterable, Iterator, NamedTuple, Sequence, Tuple

from cachetools import LRUCache

from modelarts._internal.clock import Clock
from modelarts.obs.crc64 import crc64, is_available

_BLOCK = 1 << 20


def digests(file: IO[bytes], size: int, *names: str) -> list[str]:
    """Return checksums of the first ``size`` bytes in hexadecimal digits, ``crc64`` in decimal."""
    file.seek(0)
    made = digests_of(blocks(file, size), names)
    file.seek(0)
    return made


def blocks(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Return the next ``size`` bytes of a file, or as many as there are, in pieces."""
    while size > 0:
        block = file.read(min(size, _BLOCK))
        if not block:
            return
        size -= len(block)
        yield block


def digests_of(pieces: Iterable[bytes], names: Sequence[str]) -> list[str]:
    """Computes checksums, in the same format, of pieces of data."""
    made: list[Any] = [_Crc64() if name == "crc64" else hashlib.new(name) for name in names]
    for piece in pieces:
        for each in made:
            each.update(piece)
    return [each.hexdigest() for each in made]


class _Crc64:
    """A CRC-64 with the interface of ``hashlib``."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, block: bytes) -> None:
        """Add bytes to the checksum."""
        self._value = crc64(block, self._value)

    def hexdigest(self) -> str:
        """Return the checksum in the format of headers."""
        return str(self._value)


class Sums(NamedTuple):
    """The checksums of a file.

    Attributes:
        md5: in hexadecimal digits; the etag.
        crc64: in decimal; "" if it cannot be computed.
    """

    md5: str
    crc64: str = ""


class Etags:
    """A cache of the checksums of files, each valid while its file does not change."""

    def __init__(self, clock: Clock, max_files: int = 100_000) -> None:
        self._clock = clock
        self._lock = Lock()
        self._known: LRUCache[Tuple[int, ...], Sums] = LRUCache(max_files)

    def of(self, file: BinaryIO) -> tuple[Sums, os.stat_result]:
        """Return the checksums of an open file, and its state."""
        state = os.fstat(file.fileno())
        mark = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
        with self._lock:
            sums = self._known.get(mark)
        if sums is None:
            names = ["md5", "crc64"] if is_available() else ["md5"]
            sums = Sums(*digests(file, state.st_size, *names))
            # Within a tick of the file system's clock, a changed file can have the same state.
            if self._clock.time() - state.st_mtime > 2:
                with self._lock:
                    self._known[mark] = sums
        return sums, state
