"""Checks that SQLite's write-ahead log is complete.

SQLite takes a log for ended where a page of it cannot be read, and later writes over the rest. So
it has to be looked at before.

Source: *SQLite, Database File Format*, "The Write-Ahead Log".
"""

from __future__ import annotations

import logging
import shutil
import struct
from pathlib import Path

_LOG = logging.getLogger("modelarts.local")
_HEADER = 32
_FRAME_HEADER = 24


def check_log(log: Path) -> None:
    """Check a log that no connection uses.

    Only the last change can be there in part, after a power cut: it was never acknowledged. It is
    kept aside all the same, as a disk that loses the last one looks no different.

    Raises:
        ValueError: more is missing. The log is left as it is.
    """
    try:
        content = log.read_bytes()
    except FileNotFoundError:
        return
    if len(content) < _HEADER:
        return
    missing = _missing(content)
    if missing is None or missing > 1:
        raise ValueError(
            f"{log} is damaged; it was left as it is: put a copy in its place, or move it away to "
            "go on without the latest changes"
        )
    if missing:
        kept = log.with_name(log.name + ".damaged")
        shutil.copyfile(log, kept)
        _LOG.warning("the last change in %s is incomplete; the file was kept as %s", log, kept)


def _missing(content: bytes) -> int | None:
    """Return the number of unreadable changes in the content; None if it cannot be known."""
    magic, _, page_size, _, *salt = struct.unpack(">6I", content[:24])
    if magic & ~1 != 0x377F0682:
        return None
    order = ">" if magic & 1 else "<"
    sums = _checksum(order, content[:24], (0, 0))
    if sums != struct.unpack(">2I", content[24:_HEADER]):
        return None
    intact, missing, size = True, 0, _FRAME_HEADER + page_size
    for start in range(_HEADER, len(content) - size + 1, size):
        _, pages, first, second, *expected = struct.unpack(
            ">6I", content[start : start + _FRAME_HEADER]
        )
        if [first, second] != salt:  # left from the round before
            intact = False
            continue
        if intact:
            sums = _checksum(order, content[start : start + 8], sums)
            sums = _checksum(order, content[start + _FRAME_HEADER : start + size], sums)
            intact = list(sums) == expected
        # The last page of a change says how many the file has.
        missing += bool(pages) and not intact
    return missing


def _checksum(order: str, content: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    for even, odd in struct.iter_unpack(order + "2I", content):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
