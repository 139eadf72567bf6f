"""Parts of a log, as ``get_job_log`` of the V1 Estimator returns them."""

from typing import Any, Dict, Tuple

#: The most bytes of a character in UTF-8 after its first one.
REST = 3


def wanted(size: int, start: int, length: int) -> Tuple[int, int]:
    """Return the first byte of a part of a log, and the one after its last.

    Args:
        size: the size of the log.
        start: the first byte that is wanted; -1 for the newest ones.
        length: how many; a negative number for those before ``start``.
    """
    if start == -1:
        start, length = size, -abs(length)
    begin, end = sorted((start, start + length))
    return max(0, min(begin, size)), max(0, min(end, size))


def part_of(content: bytes, first: int, size: int, start: int, length: int) -> Dict[str, Any]:
    """Return the documented dict for a part of a log.

    A character belongs to the part with its first byte, so that parts one after the other are
    the log.

    Args:
        content: bytes of the log, with :data:`REST` bytes after the part that is wanted.
        first: the number of the first of them.
        size: the size of the log.
        start: as of :func:`wanted`.
        length: likewise.

    Returns:
        ``content``; ``lines``, their number; ``start_line`` and ``end_line``, the positions of the
        first byte and of the one after the last, as texts.
    """
    begin, end = wanted(size, start, length)
    begin = _next_character(content, begin - first) + first
    end = max(begin, _next_character(content, end - first) + first)
    text = content[begin - first : end - first].decode("utf-8", "replace")
    return {
        "content": text,
        "lines": len(text.splitlines()),
        "start_line": str(begin),
        "end_line": str(end),
    }


def _next_character(content: bytes, index: int) -> int:
    """Return the index of the first byte of a character, from an index on."""
    index = max(0, index)
    for _ in range(REST):
        if index < len(content) and 0x80 <= content[index] < 0xC0:
            index += 1
    return min(index, len(content))
