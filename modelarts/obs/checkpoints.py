"""What is known of a transfer that may be interrupted: a file of lines, one for each part.

They are in ``~/.modelarts/transfers``, survive the process, hold no secret, and are removed when
the transfer has ended, well or for good.
"""

import hashlib
import json
import os
from typing import Any, Dict, Iterator, List

__all__ = ["Checkpoint", "folder", "stale"]

#: Seconds after which nobody is expected to come back for it.
_LIFETIME = 7 * 24 * 3600


def folder() -> str:
    """Where they are."""
    return os.path.join(os.path.expanduser("~"), ".modelarts", "transfers")


class Checkpoint:
    """The file for one transfer. Where it cannot be written the transfer goes on without it.

    Args:
        identity: what makes it this transfer: the paths at both ends.
    """

    def __init__(self, **identity: str) -> None:
        self._identity = identity
        name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self.path = os.path.join(folder(), name[:40] + ".jsonl")
        self._file: Any = None

    @property
    def is_kept(self) -> bool:
        """Whether it is on the disk, for somebody to go on from."""
        return self._file is not None

    def open(self) -> List[Any]:
        """Take it; the lines of an earlier transfer, the first one says what it was.

        Nobody else can have it from then on, until it is closed.
        """
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            self._file = open(self.path, "a", encoding="utf-8")
        except OSError:
            return []
        if not _lock(self._file):
            # Another process transfers the very same thing; this one does so on its own.
            self.close()
            return []
        lines = _read(self.path)
        # What was written last may have no end.
        self._write("\n")
        return lines

    def begin(self, **state: Any) -> None:
        """Forget what is there, and remember what this transfer is."""
        if self._file is not None:
            self._file.truncate(0)
            self.add({**self._identity, **state})

    def add(self, line: Any) -> None:
        """Remember one thing more."""
        self._write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Leave it to whoever goes on."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                pass

    def remove(self) -> None:
        """The transfer has ended."""
        if self._file is not None:
            self.close()
            _remove(self.path)

    def _write(self, text: str) -> None:
        if self._file is not None:
            try:
                self._file.write(text)
                self._file.flush()
            except OSError:
                # The disk is full, say; the transfer needs no checkpoint to succeed.
                self.close()


def stale(now: float, server: str) -> Iterator[Dict[str, Any]]:
    """The first lines of those that nobody came back for; each is removed after that."""
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
        _remove(path)


def _read(path: str) -> List[Any]:
    lines = []
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                try:
                    lines.append(json.loads(line))
                except ValueError:
                    pass  # empty, or half written when the process ended
    except OSError:
        pass
    return lines


def _remove(path: str) -> None:
    try:
        os.remove(path)
    except OSError:
        pass


def _lock(file: Any) -> bool:
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
