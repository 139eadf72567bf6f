"""A folder that follows what OBS holds under one ``train_url``.

Event files grow, so of an object that has grown only the new bytes are fetched, after what is
there was seen to be its beginning. ``index.json`` says what is there whole: a mirror whose service
was killed goes on from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from contextlib import closing
from pathlib import Path
from threading import Event, Lock
from typing import Any

import attr

from modelarts.local.logs.remote import Bucket, Found, Unreadable
from modelarts.local.logs.wanted import select

__all__ = ["Budget", "Mirror"]

#: Of an object that has grown, so much of what is there is fetched again and compared.
_OVERLAP = 4096
_MD5 = re.compile(r"[0-9a-f]{32}\Z")


class Budget:
    """How many bytes all mirrors of a service may hold together."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = Lock()
        self._taken = 0

    def take(self, size: int) -> bool:
        """Take so much, if so much is left."""
        with self._lock:
            if self._taken + size > self.most:
                return False
            self._taken += size
            return True

    def give(self, size: int) -> None:
        """Give so much back."""
        with self._lock:
            self._taken -= size


@attr.s(slots=True, auto_attribs=True)
class _File:
    """What is there of an object. ``exact``: its ETag is the MD5 of its content."""

    etag: str
    size: int
    exact: bool
    digest: Any = attr.ib(default=None, repr=False)  # of the content, kept from fetch to fetch


class Mirror:
    """The mirror of one job; one thread at a time.

    Args:
        folder: where it is kept; all of it may be removed.
        origin: what is mirrored, in words; a folder that mirrored something else is emptied.
        ended: set, a round ends at the next piece of data.

    Attributes:
        files: the folder that the board reads.
        left_out: what is not there, with the reason.
        listed: how many objects OBS has listed.
    """

    def __init__(
        self, folder: Path, origin: str, prefix: str, budget: Budget, ended: Event
    ) -> None:
        self.files = folder / "files"
        self.left_out: dict[str, str] = {}
        self.listed = 0
        self._folder = folder
        self._origin = origin
        self._prefix = prefix
        self._budget = budget
        self._ended = ended
        self._known: dict[str, _File] = {}

    def open(self) -> bool:
        """Take over what is there of an earlier service; answers whether anything is.

        Raises:
            OSError: the folder cannot be used.
        """
        said: Any = None
        try:
            said = json.loads((self._folder / "index.json").read_text())
        except (FileNotFoundError, ValueError):
            pass
        if not isinstance(said, dict) or said.get("origin") != self._origin:
            shutil.rmtree(self._folder, ignore_errors=True)
            said = {}
        self.files.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, (etag, size, exact) in said.get("files", {}).items():
            if self._cut(path, size) and self._budget.take(size):
                self._known[path] = _File(etag, size, exact)
        for leftover in self._folder.glob("*.part"):
            leftover.unlink()
        for file in [file for file in self.files.rglob("*") if not file.is_dir()]:
            if str(file.relative_to(self.files)) not in self._known:
                file.unlink()
        return bool(self._known)

    def round(self, bucket: Bucket) -> int:
        """Have the folder follow the bucket once; answers how many files have changed.

        Raises:
            Refused: OBS refuses, and will go on refusing.
            Passing: it did not work this time.
            OSError: the disk is full, or the folder is gone.
        """
        listed = list(bucket.list(self._prefix))
        self.listed = len(listed)
        selection = select(self._prefix, listed)
        changed, left_out = 0, dict(selection.left_out)
        try:
            there = {path for path, _ in selection.wanted}
            for path in [path for path in self._known if path not in there]:
                self._drop(path)
                changed += 1
            for path, found in selection.wanted:
                if self._ended.is_set():
                    break
                known = self._known.get(path)
                if known is not None and (known.etag, known.size) == (found.etag, found.size):
                    continue
                try:
                    self._follow(bucket, path, found)
                    changed += 1
                except (Unreadable, NotADirectoryError, IsADirectoryError, FileExistsError) as why:
                    left_out[path] = (
                        str(why) if isinstance(why, Unreadable) else "a folder has the same name"
                    )
        finally:
            if changed:
                self._write_index()
        self.left_out = left_out
        return changed

    def remove(self) -> None:
        """Remove all of it."""
        self._budget.give(sum(known.size for known in self._known.values()))
        self._known.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _follow(self, bucket: Bucket, path: str, found: Found) -> None:
        known = self._known.get(path)
        more = found.size - (known.size if known is not None else 0)
        if more > 0 and not self._budget.take(more):
            raise Unreadable(f"the cache is full ({self._budget.most // 1024**2} MiB)")
        try:
            fetched = (
                self._grown(bucket, path, found, known)
                if known is not None and known.size and found.size > known.size
                else None
            )
            if fetched is None:
                fetched = self._whole(bucket, path, found)
        except BaseException:
            if more > 0:
                self._budget.give(more)
            raise
        if more < 0:
            self._budget.give(-more)
        self._known[path] = fetched

    def _grown(self, bucket: Bucket, path: str, found: Found, known: _File) -> _File | None:
        """Add what is new; None where what is there is not the beginning of the object."""
        target = self.files / path
        start = max(0, known.size - _OVERLAP)
        with open(target, "rb") as file:
            digest = known.digest or _digest(file)
            file.seek(start)
            overlap = file.read(known.size - start)
        added = digest.copy()
        part = self._folder / "grown.part"
        got = 0
        with open(part, "wb") as output, closing(bucket.read(found, start)) as pieces:
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
        if got != found.size - known.size:
            raise Unreadable("its size is not the one that was listed")
        if known.exact and _MD5.match(found.etag) and added.hexdigest() != found.etag:
            return None
        # To the file that the board may have open: it goes on reading where it was.
        with open(target, "ab") as file, open(part, "rb") as new:
            shutil.copyfileobj(new, file)
        part.unlink()
        return _File(found.etag, found.size, known.exact, added)

    def _whole(self, bucket: Bucket, path: str, found: Found) -> _File:
        part = self._folder / "whole.part"
        digest = _digest()
        got = 0
        with open(part, "wb") as output, closing(bucket.read(found)) as pieces:
            for piece in pieces:
                self._go_on()
                output.write(piece)
                digest.update(piece)
                got += len(piece)
        if got != found.size:
            raise Unreadable("its size is not the one that was listed")
        target = self.files / path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)
        return _File(found.etag, found.size, digest.hexdigest() == found.etag, digest)

    def _drop(self, path: str) -> None:
        self._budget.give(self._known.pop(path).size)
        target = self.files / path
        target.unlink(missing_ok=True)
        for folder in target.parents:
            if folder == self.files or next(folder.iterdir(), None) is not None:
                break
            folder.rmdir()

    def _cut(self, path: str, size: int) -> bool:
        """Whether a file is there; what a killed service had added to it is taken off."""
        target = self.files / path
        try:
            there = target.stat().st_size
            if there > size:
                os.truncate(target, size)
        except OSError:
            return False
        return there >= size

    def _go_on(self) -> None:
        if self._ended.is_set():
            raise Unreadable("it is not wanted any more")

    def _write_index(self) -> None:
        files = {path: (one.etag, one.size, one.exact) for path, one in self._known.items()}
        part = self._folder / "index.json.part"
        part.write_text(json.dumps({"origin": self._origin, "files": files}))
        os.replace(part, self._folder / "index.json")


def _digest(file: Any = None) -> Any:
    # It compares, and protects nothing.
    digest = hashlib.md5(usedforsecurity=False)
    while file is not None:
        piece = file.read(1024 * 1024)
        if not piece:
            break
        digest.update(piece)
    return digest
