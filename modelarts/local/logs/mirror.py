"""A local copy of the objects below a ``train_url`` in OBS, which is updated.

Event files grow, so only the new bytes of such an object are fetched, after the local bytes were
verified to be its beginning. ``index.json`` lists the complete files, from which a mirror goes on
after its service was killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from contextlib import closing
from itertools import count
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Iterator, Sequence

import attr

from modelarts.local.logs.access import FolderAccess
from modelarts.local.logs.remote import Bucket, LogObject, Unreadable
from modelarts.local.logs.wanted import select

#: The bytes before the new part of an object that are fetched again and compared.
_OVERLAP = 4096
#: The objects of a job that are fetched at once.
_CONNECTIONS = 8
_MD5 = re.compile(r"[0-9a-f]{32}\Z")


class Budget:
    """The disk space that all mirrors of a service may use together."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = Lock()
        self._taken = 0

    def take(self, size: int) -> bool:
        """Reserve bytes, if as many are left."""
        with self._lock:
            if self._taken + size > self.max_bytes:
                return False
            self._taken += size
            return True

    def give(self, size: int) -> None:
        """Release reserved bytes."""
        with self._lock:
            self._taken -= size


@attr.s(slots=True, auto_attribs=True)
class _File:
    """The local copy of an object. ``exact``: its ETag is the MD5 of its content."""

    etag: str
    size: int
    exact: bool
    digest: Any = attr.ib(default=None, repr=False)  # of the content, kept from fetch to fetch


@attr.s(slots=True, auto_attribs=True)
class _Fetch:
    """The objects that one round fetches; the threads that fetch share it."""

    wanted: Sequence[tuple[str, LogObject]]
    left_out: dict[str, str]
    changed: int = 0
    errors: list[BaseException] = attr.ib(factory=list)
    lock: Any = attr.ib(factory=Lock)


class Mirror:
    """A mirror of a ``train_url``; only one update runs at a time.

    Args:
        folder: the folder of the mirror, which may be removed.
        origin: the source in words; a folder with another source is emptied.
        ended: an event; when it is set, an update ends at the next piece of data.
        access: that of several front ends to the folder; None: there is one.

    Attributes:
        files: the folder that the board reads.
        left_out: the missing objects, with the reasons.
        listed: the number of objects that OBS has listed.
        has_files: an event that is set when there is a file to show.
    """

    def __init__(
        self,
        folder: Path,
        origin: str,
        prefix: str,
        budget: Budget,
        ended: Event,
        access: FolderAccess | None = None,
    ) -> None:
        self.files = folder / "files"
        self.left_out: dict[str, str] = {}
        self.listed = 0
        self.has_files = Event()
        self._parts = count()
        self._folder = folder
        self._origin = origin
        self._prefix = prefix
        self._budget = budget
        self._ended = ended
        self._access = access
        self._known: dict[str, _File] = {}
        # Of the index that is known.
        self._version: object = None

    def open(self) -> bool:
        """Take over the files of an earlier service; return True if there are any.

        Raises:
            OSError: the folder cannot be used.
        """
        if self._access is None:
            return self._load()
        self._access.begin()
        with self._access.updating() as may_update:
            if may_update:
                return self._load()
        # Another front end updates it.
        self.files.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._index_version() is not None

    def _load(self) -> bool:
        index: Any = None
        self._version = self._index_version()
        self._forget()
        try:
            index = json.loads((self._folder / "index.json").read_text())
        except (FileNotFoundError, ValueError):
            pass
        if not isinstance(index, dict) or index.get("origin") != self._origin:
            shutil.rmtree(self._folder, ignore_errors=True)
            index = {}
        self.files.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, (etag, size, exact) in index.get("files", {}).items():
            if self._cut(path, size) and self._budget.take(size):
                self._known[path] = _File(etag, size, exact)
        for leftover in self._folder.glob("*.part"):
            leftover.unlink()
        for file in [file for file in self.files.rglob("*") if not file.is_dir()]:
            if str(file.relative_to(self.files)) not in self._known:
                file.unlink()
        if self._known:
            self.has_files.set()
        return bool(self._known)

    def round(self, bucket: Bucket) -> int:
        """Update the folder from the bucket once; return the number of changed files.

        Nothing is done where another front end does it, or has just done it.

        Raises:
            Refused: OBS refuses the request, and another attempt cannot help.
            Passing: the update failed, and another attempt may succeed.
            OSError: the disk is full, or the folder is gone.
        """
        if self._access is None:
            return self._round(bucket)
        with self._access.updating() as may_update:
            if not may_update or self._access.is_fresh():
                return 0
            if self._index_version() != self._version:
                self._load()
            number = self._round(bucket)
            self._access.note()
            return number

    def _round(self, bucket: Bucket) -> int:
        listed = list(bucket.list(self._prefix))
        self.listed = len(listed)
        selection = select(self._prefix, listed)
        left_out = dict(selection.left_out)
        listed_paths = {path for path, _ in selection.wanted}
        dropped = [path for path in self._known if path not in listed_paths]
        fetch = _Fetch(selection.wanted, left_out)
        try:
            for path in dropped:
                self._drop(path)
            self._fetch(bucket, fetch)
        finally:
            if dropped or fetch.changed:
                self._write_index()
        self.left_out = left_out
        return len(dropped) + fetch.changed

    def remove(self) -> None:
        """Remove the whole mirror."""
        folder = self.retire()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def retire(self) -> Path | None:
        """Give the folder up, so that another mirror can take its place.

        Returns:
            The folder with its files, which is to be removed; None: there is none, or another
            front end uses it.
        """
        self._forget()
        aside = self._folder.with_name(f"gone.{secrets.token_hex(8)}")
        try:
            if self._access is None:
                os.rename(self._folder, aside)
            elif not self._access.end(lambda: os.rename(self._folder, aside)):
                return None
        except OSError:
            return None  # it was removed by another
        return aside

    def _forget(self) -> None:
        self._budget.give(sum(known.size for known in self._known.values()))
        self._known.clear()

    def _fetch(self, bucket: Bucket, fetch: _Fetch) -> None:
        """Fetch the changed objects in parallel, and raise the first error."""
        changes = [(path, entry) for path, entry in fetch.wanted if self._has_changed(path, entry)]
        waiting = iter(changes)
        # One object is fetched by this thread alone. Daemons: see Mirrors.
        helpers = [
            Thread(target=self._fetch_next, args=(bucket, fetch, waiting), daemon=True)
            for _ in range(min(_CONNECTIONS, len(changes)) - 1)
        ]
        for helper in helpers:
            helper.start()
        self._fetch_next(bucket, fetch, waiting)
        for helper in helpers:
            helper.join()
        if fetch.errors:
            raise fetch.errors[0]

    def _fetch_next(
        self, bucket: Bucket, fetch: _Fetch, waiting: Iterator[tuple[str, LogObject]]
    ) -> None:
        """Fetch objects until none is left, or an error occurs that affects the others too."""
        while True:
            # The order decides which objects get the remaining space.
            with fetch.lock:
                path, entry = next(waiting, ("", None))
                if entry is None or fetch.errors or self._ended.is_set():
                    return
                known = self._known.get(path)
                more = entry.size - (known.size if known is not None else 0)
                has_room = more <= 0 or self._budget.take(more)
            if not has_room:
                megabytes = self._budget.max_bytes // 1024**2
                fetch.left_out[path] = f"the cache is full ({megabytes} MiB)"
                continue
            try:
                self._follow(bucket, path, entry, known)
            except BaseException as error:
                if more > 0:
                    self._budget.give(more)
                if isinstance(error, Unreadable):
                    fetch.left_out[path] = str(error)
                elif isinstance(error, (NotADirectoryError, IsADirectoryError, FileExistsError)):
                    fetch.left_out[path] = "a folder has the same name"
                else:
                    fetch.errors.append(error)
                    return
            else:
                if more < 0:
                    self._budget.give(-more)
                with fetch.lock:
                    fetch.changed += 1
                self.has_files.set()

    def _has_changed(self, path: str, entry: LogObject) -> bool:
        known = self._known.get(path)
        return known is None or (known.etag, known.size) != (entry.etag, entry.size)

    def _follow(self, bucket: Bucket, path: str, entry: LogObject, known: _File | None) -> None:
        fetched = None
        if known is not None and known.size and entry.size > known.size:
            fetched = self._grown(bucket, path, entry, known)
        if fetched is None:
            fetched = self._whole(bucket, path, entry)
        self._known[path] = fetched

    def _grown(self, bucket: Bucket, path: str, entry: LogObject, known: _File) -> _File | None:
        """Append the new bytes; return None if the file is not the beginning of the object."""
        target = self.files / path
        start = max(0, known.size - _OVERLAP)
        with open(target, "rb") as file:
            digest = known.digest or _digest(file)
            file.seek(start)
            overlap = file.read(known.size - start)
        added = digest.copy()
        part = self._part()
        got = 0
        with open(part, "wb") as output, closing(bucket.read(entry, start)) as pieces:
            seen = b""
            for piece in pieces:
                self._go_on()
                if len(seen) < len(overlap):
                    seen += piece
                    if len(seen) < len(overlap):
                        continue
                    if seen[: len(overlap)] != overlap:
                        return None
                    piece = seen[len(overlap) :]
                output.write(piece)
                added.update(piece)
                got += len(piece)
        if got != entry.size - known.size:
            raise Unreadable("its size is not the one that was listed")
        if known.exact and _MD5.match(entry.etag) and added.hexdigest() != entry.etag:
            return None
        # To the file that the board may have open: it goes on reading where it was.
        with open(target, "ab") as file, open(part, "rb") as new:
            shutil.copyfileobj(new, file)
        part.unlink()
        return _File(entry.etag, entry.size, known.exact, added)

    def _whole(self, bucket: Bucket, path: str, entry: LogObject) -> _File:
        part = self._part()
        digest = _digest()
        got = 0
        with open(part, "wb") as output, closing(bucket.read(entry)) as pieces:
            for piece in pieces:
                self._go_on()
                output.write(piece)
                digest.update(piece)
                got += len(piece)
        if got != entry.size:
            raise Unreadable("its size is not the one that was listed")
        target = self.files / path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)
        return _File(entry.etag, entry.size, digest.hexdigest() == entry.etag, digest)

    def _part(self) -> Path:
        """Return a new name for an incomplete file."""
        return self._folder / f"{next(self._parts)}.part"

    def _drop(self, path: str) -> None:
        self._budget.give(self._known.pop(path).size)
        target = self.files / path
        target.unlink(missing_ok=True)
        for folder in target.parents:
            if folder == self.files or next(folder.iterdir(), None) is not None:
                break
            folder.rmdir()

    def _cut(self, path: str, size: int) -> bool:
        """Return True if a file exists; remove bytes that a killed service had added to it."""
        target = self.files / path
        try:
            present = target.stat().st_size
            if present > size:
                os.truncate(target, size)
        except OSError:
            return False
        return present >= size

    def _go_on(self) -> None:
        if self._ended.is_set():
            raise Unreadable("it is not wanted any more")

    def _write_index(self) -> None:
        files = {path: (copy.etag, copy.size, copy.exact) for path, copy in self._known.items()}
        part = self._folder / "index.json.part"
        part.write_text(json.dumps({"origin": self._origin, "files": files}))
        os.replace(part, self._folder / "index.json")
        self._version = self._index_version()

    def _index_version(self) -> object:
        """Return what is another value after the index was written; None where there is none."""
        try:
            state = os.stat(self._folder / "index.json")
        except OSError:
            return None
        return state.st_ino, state.st_mtime_ns, state.st_size


def _digest(file: Any = None) -> Any:
    # It compares, and protects nothing.
    digest = hashlib.md5(usedforsecurity=False)
    while file is not None:
        piece = file.read(1024 * 1024)
        if not piece:
            break
        digest.update(piece)
    return digest
