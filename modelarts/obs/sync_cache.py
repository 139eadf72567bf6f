"""A cache of earlier transfers; without it, more files are compared."""

import hashlib
import json
import os
from typing import Any, Dict, List, Mapping, Optional

from modelarts.obs.directory import LocalFile
from modelarts.obs.partial import remove


class Memory:
    """The files of a folder that are known to be the same in OBS.

    Kept in ``$XDG_CACHE_HOME/modelarts/transfers`` (``~/.cache/…``), one file for each pair of a
    source and a target. A file is known by its size, its times and its number in the file system,
    the object by its ETag.

    Args:
        parts: the values that identify the pair.
        environ: the environment.
    """

    def __init__(self, *parts: str, environ: Mapping[str, str]) -> None:
        base = environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        name = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
        self._path = os.path.join(base, "modelarts", "transfers", name[:32] + ".json")
        content = self._read()
        files = content.get("files")
        self._files: Dict[str, List[Any]] = files if isinstance(files, dict) else {}
        #: True if the last transfer of this pair was not completed.
        self.interrupted = self._was_interrupted = bool(content.get("interrupted"))
        self._is_new = False

    def knows(self, file: LocalFile, etag: Optional[str]) -> bool:
        """Return True if the file is known to equal the object of that ETag."""
        return etag is not None and self._files.get(file.relative) == _entry(file, etag)

    def note(self, file: LocalFile, etag: Optional[str]) -> None:
        """Record that the file equals the object."""
        if etag is not None and not self.knows(file, etag):
            self._files[file.relative] = _entry(file, etag)
            self._is_new = True

    def save(self) -> None:
        """Write the cache to disk, if it has changed."""
        if not self._is_new and self.interrupted == self._was_interrupted:
            return
        part = "%s.%s.part" % (self._path, os.urandom(4).hex())
        content = {"interrupted": self.interrupted, "files": self._files}
        try:
            if not self.interrupted and not self._files:
                os.unlink(self._path)
                return
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(content, file)
            os.replace(part, self._path)
        except OSError:
            remove(part)  # without it, the next transfer compares more
        finally:
            self._is_new, self._was_interrupted = False, self.interrupted

    def _read(self) -> Dict[str, Any]:
        try:
            with open(self._path, encoding="utf-8") as file:
                content = json.load(file)
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def _entry(file: LocalFile, etag: str) -> List[Any]:
    return [file.size, file.modified, file.number, file.changed, etag]
