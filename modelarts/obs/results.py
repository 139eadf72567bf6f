"""The results of the calls of ``session.obs``."""

from datetime import datetime, timezone
from typing import Optional, Tuple

import attr

from modelarts.obs.stores.base import ObjectInfo

__all__ = ["ObsObject", "Transferred", "bytes_for_people"]


def bytes_for_people(count: float) -> str:
    """``12.3 MB``, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.95:
            return "%.*f %s" % (0 if unit == "B" else 1, count, unit)
        count /= 1000.0
    return "%.1f TB" % count


@attr.s(frozen=True, slots=True, auto_attribs=True, kw_only=True, repr=False)
class Transferred:
    """The result of a transfer.

    Attributes:
        target: the place of the copy: a URL in OBS, or a path on this machine.
        files: the number of files that were transferred.
        bytes: the number of bytes in these files.
        seconds: the time that the transfer took.
        unchanged: the number of files that were left out because the copy was the same.
        skipped: the paths of links, sockets and devices, and of files that were deleted meanwhile.
    """

    target: str
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    unchanged: int = 0
    skipped: Tuple[str, ...] = ()

    def __repr__(self) -> str:
        summary = "%d file%s, %s" % (
            self.files,
            "" if self.files == 1 else "s",
            bytes_for_people(self.bytes),
        )
        if self.bytes > 0 and self.seconds > 0:
            summary += " in %.1f s (%s/s)" % (
                self.seconds,
                bytes_for_people(self.bytes / self.seconds),
            )
        if self.unchanged:
            summary += "; %d unchanged" % self.unchanged
        if self.skipped:
            summary += "; %d skipped" % len(self.skipped)
        return "Transferred(%s: %s)" % (self.target, summary)


@attr.s(frozen=True, slots=True, auto_attribs=True)
class ObsObject:
    """An object in a list.

    Attributes:
        url: ``obs://bucket/key``.
        size: the size in bytes.
        modified: the time of the last change, in UTC; None if the store does not have it.
    """

    url: str
    size: int
    modified: Optional[datetime]

    @classmethod
    def of(cls, info: ObjectInfo) -> "ObsObject":
        """Return the result for an object of a store.

        Args:
            info: the metadata of the object.

        Returns:
            The object, with its URL.
        """
        modified = info.modified
        return cls(
            "obs://%s/%s" % (info.bucket, info.key),
            info.size,
            None if modified is None else datetime.fromtimestamp(modified, timezone.utc),
        )
