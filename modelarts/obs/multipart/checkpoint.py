"""The record of a transfer that may be interrupted: a file of lines, one for each part.

The files are in ``~/.modelarts/transfers``, outlive the process, hold no secret, and are removed
when the transfer is complete or cannot be resumed.
"""

import hashlib
import json
import os
from typing import Any, Dict, Iterator, List

from modelarts.obs.atomic import PART
from modelarts.obs.partial import is_still, lock, remove

#: Seconds without a change after which a record counts as abandoned.
_LIFETIME = 7 * 24 * 3600


def folder() -> str:
    """Return the folder of the records."""
    return os.path.join(os.path.expanduser("~"), ".modelarts", "transfers")


class Checkpoint:
    """The record of one transfer. If it cannot be written, the transfer goes on without it.

    Args:
        identity: the paths at both ends, which identify the transfer.
    """

    def __init__(self, **identity: str) -> None:
        self._identity = identity
        name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self.path = os.path.join(folder(), name[:40] + ".jsonl")
        self._file: Any = None
        self._is_empty = False

    @property
    def is_kept(self) -> bool:
        """True if the record is on the disk, so that a later transfer can go on from it."""
        return self._file is not None and not self._is_empty

    def open(self) -> List[Any]:
        """Lock the record; return the lines of an earlier transfer, beginning with its identity.

        No other process can lock it until it is closed.
        """
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        except OSError:
            return []
        while self._file is None:
            try:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                self._file = os.fdopen(os.open(self.path, flags, 0o600), "a", encoding="utf-8")
            except OSError:
                return []
            if not lock(self._file.fileno()):
                # Another process does the same transfer; this process does it without a record.
                self._close()
                return []
            if not is_still(self._file.fileno(), self.path):
                # The other process has ended, and removed the record.
                self._close()
        lines = _read(self.path)
        self._is_empty = not lines
        # The last line may be incomplete.
        self._write("\n")
        return lines

    def begin(self, **state: Any) -> None:
        """Clear the record, and write the first line of this transfer."""
        if self._file is not None:
            self._is_empty = True
            self._file.truncate(0)
            self.add({**self._identity, **state})
            self._is_empty = False

    def add(self, line: Any) -> None:
        """Append a line to the record."""
        self._write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Close the record and keep it for a later call; an empty record is removed."""
        if self._is_empty:
            self.remove()
        self._close()

    def remove(self) -> None:
        """Remove the record at the end of the transfer."""
        if self._file is None:
            return
        if os.name == "nt":
            self._close()  # Windows does not remove an open file
        # On other systems before it is closed: afterwards another process may have locked it.
        remove(self.path)
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                pass

    def _write(self, text: str) -> None:
        if self._file is not None:
            try:
                self._file.write(text)
                self._file.flush()
            except OSError:
                # For example a full disk; the transfer succeeds without a checkpoint.
                self.remove()


def stale(now: float, server: str) -> Iterator[Dict[str, Any]]:
    """Yield the first lines of abandoned records, and remove each record.

    The fetched part of a file is removed as well.
    """
    try:
        names = os.listdir(folder())
    except OSError:
        return
    for name in names:
        path = os.path.join(folder(), name)
        try:
            if not name.endswith(".jsonl") or now - os.path.getmtime(path) < _LIFETIME:
                continue
        except OSError:
            continue
        lines = _read(path)
        if lines and lines[0].get("server") != server:
            continue
        yield from lines[:1]
        part = lines[0].get("temporary") if lines else None
        if isinstance(part, str) and PART.match(os.path.basename(part)):
            remove(part)
        remove(path)


def _read(path: str) -> List[Any]:
    """Return the undamaged lines; none if the first one is damaged."""
    lines = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    lines.append(json.loads(line))
                except (ValueError, RecursionError):
                    pass  # empty, or half written when the process ended
    except OSError:
        pass
    return lines if lines and isinstance(lines[0], dict) else []
