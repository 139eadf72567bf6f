"""The division of a file into parts: large parts at first, smaller parts after failures.

Source: *OBS API Reference*, "Multipart upload": up to 10 000 parts, of 100 KB to 5 GB each but for
the last one. S3 servers want 5 MB at least.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

#: Maximum number of parts of one object.
MAX_PARTS = 10_000
#: Minimum bytes of a part on servers other than OBS; the last part may be smaller.
MIN_PART_S3 = 5 * 1024 * 1024
# A failure loses half a part on average. With parts of this share of the bytes between two
# failures, an eightieth of the file is sent again.
_SHARE = 40


class Sizes(NamedTuple):
    """The sizes, in bytes, by which files are uploaded and objects are downloaded.

    Attributes:
        memory: a file of up to this size is read into memory, hashed and sent from there.
        multipart: a larger file is uploaded in parts.
        part: of a part while no request fails, as long as that gives at most MAX_PARTS.
        min_part: of the smallest part after failures, on OBS; the last part may be smaller.
        range: of a range; an object of more than two ranges is downloaded in ranges.
    """

    memory: int = 1024 * 1024
    multipart: int = 100 * 1000 * 1000
    part: int = 8 * 1024 * 1024
    min_part: int = 128 * 1024
    range: int = 16 * 1024 * 1024


SIZES = Sizes()


class Part(NamedTuple):
    """A part of a file."""

    number: int
    offset: int
    size: int


class Layout:
    """Divides a file into parts, one after the other, each when it is requested.

    Args:
        size: of the file in bytes.
        max_part: bytes of a part while no request fails.
        min_part: bytes of the smallest part; the last one may be smaller.
        done: the parts that are stored already, from an interrupted upload.
    """

    def __init__(
        self,
        size: int,
        max_part: int = SIZES.part,
        min_part: int = SIZES.min_part,
        done: Sequence[Part] = (),
    ) -> None:
        self._size = size
        self._max_part, self._min_part = max_part, min_part
        self._gaps, self._number, self._offset = _gaps(sorted(done))
        self._through = 0
        self._failures = 0

    def take(self) -> Optional[Part]:
        """Return the next part; None when there are no more."""
        if self._gaps:
            return self._gaps.pop(0)
        left = self._size - self._offset
        if left <= 0:
            return None
        numbers = MAX_PARTS - self._number + 1
        size = max(self._wished(), -(-left // numbers))
        part = Part(self._number, self._offset, min(size, left))
        self._number += 1
        self._offset += part.size
        return part

    def went_through(self, part: Part) -> None:
        """Record that a part was stored."""
        self._through += part.size

    def failed(self) -> None:
        """Record that a part has to be sent again."""
        self._failures += 1

    def _wished(self) -> int:
        if not self._failures:
            return self._max_part
        between = self._through // self._failures
        return max(self._min_part, min(self._max_part, between // _SHARE))


def layout(size: int) -> List[int]:
    """Return the sizes of a file's parts without failures."""
    plan, sizes = Layout(size), []
    part = plan.take()
    while part is not None:
        sizes.append(part.size)
        part = plan.take()
    return sizes


def _gaps(done: Sequence[Part]) -> Tuple[List[Part], int, int]:
    """Return the gaps between the stored parts, and the number and offset after them."""
    missing: List[Part] = []
    number, offset = 1, 0
    for part in done:
        # The number of parts between the two is known, not their sizes.
        count = part.number - number
        for nth in range(count):
            begin = offset + (part.offset - offset) * nth // count
            end = offset + (part.offset - offset) * (nth + 1) // count
            missing.append(Part(number + nth, begin, end - begin))
        number, offset = part.number + 1, part.offset + part.size
    return missing, number, offset
