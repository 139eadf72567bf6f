"""The buckets and objects in the folder in place of OBS."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Sequence, cast

import attr

from modelarts._internal.clock import Clock
from modelarts._internal.disk import sync_folder
from modelarts.errors import ApiError
from modelarts.local.obs_api.auth import Refusal
from modelarts.local.obs_api.bucket_locks import BucketLocks, SharedBucketLocks
from modelarts.local.obs_api.checksums import Etags
from modelarts.local.obs_api.multipart import Uploads, check_length
from modelarts.obs.stores.base import ObjectInfo
from modelarts.obs.stores.folder import FolderStore

#: A name for a new bucket, and for any folder that may be one.
_NEW_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_BUCKET = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}\Z")


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Object:
    """An object in a list; ``etag`` is None if the object cannot be read."""

    key: str
    size: int
    modified: float
    etag: str | None


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Page:
    """A part of a list. ``next`` is the marker of the next part; None at the end."""

    objects: Sequence[Object]
    prefixes: Sequence[str]
    next: str | None


class Objects:
    """Buckets, objects and uploads.

    Args:
        obs: the folder with the buckets.
        staging: the folder of parts and incomplete bodies.
        locks: the folder for the locks of several front ends; None: there is one.

    Attributes:
        etags: the checksums of objects.
        uploads: the uploads in parts.
        locks: keep buckets from being removed, and from changing their owners meanwhile.
    """

    def __init__(self, obs: Path, staging: Path, clock: Clock, locks: Path | None = None) -> None:
        self._obs = obs
        self._staging = staging
        self._store = FolderStore(obs.as_uri(), durable=True)
        self.etags = Etags(clock)
        self.uploads = Uploads(staging, self._store, clock)
        self.locks = BucketLocks() if locks is None else SharedBucketLocks(locks)

    # Buckets -------------------------------------------------------------------------------

    def buckets(self) -> list[tuple[str, float]]:
        """Return the name and the time of each bucket."""
        buckets = []
        with os.scandir(self._obs) as entries:
            for entry in entries:
                if _BUCKET.match(entry.name) and entry.is_dir(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # removed meanwhile
                        buckets.append((entry.name, entry.stat(follow_symlinks=False).st_mtime))
        return sorted(buckets)

    def check_bucket(self, bucket: str) -> None:
        """Raise Refusal if there is no such bucket."""
        if not _BUCKET.match(bucket):
            raise Refusal(400, "InvalidBucketName", "No bucket can have that name.")
        if not self._store.has_bucket(bucket):
            raise Refusal(404, "NoSuchBucket", "There is no such bucket.")

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket. Raise Refusal if it exists or has a wrong name."""
        if not _NEW_BUCKET.match(bucket):
            raise Refusal(
                400,
                "InvalidBucketName",
                "A bucket's name has 3 to 63 lower-case letters, digits, '-' and '.', and begins "
                "and ends with a letter or digit.",
            )
        try:
            (self._obs / bucket).mkdir(mode=0o700)
            sync_folder(str(self._obs))
        except FileExistsError:
            raise Refusal(409, "BucketAlreadyOwnedByYou", "There is that bucket.") from None

    def delete_bucket(self, bucket: str) -> None:
        """Remove an empty bucket. Raise Refusal if it has objects, or is written to."""
        with self.locks.removing(bucket) as is_free:
            self._delete_bucket(bucket, is_free)

    def _delete_bucket(self, bucket: str, is_free: bool) -> None:
        self.check_bucket(bucket)
        kept = Refusal(409, "BucketNotEmpty", "The bucket is not empty.")
        if not is_free:
            raise kept
        if next(self._store.list(bucket), None) is not None or self.uploads.list(bucket):
            raise kept
        # Folders without objects do not exist in OBS.
        folders = [str(self._obs / bucket)]
        for folder in folders:
            with suppress(OSError), os.scandir(folder) as entries:
                folders += [each.path for each in entries if each.is_dir(follow_symlinks=False)]
        for folder in reversed(folders):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                pass
            except OSError:
                raise kept from None
        sync_folder(str(self._obs))

    # Objects -------------------------------------------------------------------------------

    def page(self, bucket: str, prefix: str, marker: str, delimiter: str, max_keys: int) -> Page:
        """Return at most ``max_keys`` objects and common prefixes that come after ``marker``."""
        objects: list[Object] = []
        prefixes: list[str] = []
        last: str | None = None
        for entry in self._store.list(bucket, prefix):
            group = None
            if delimiter:
                rest, cut, _ = entry.key[len(prefix) :].partition(delimiter)
                group = prefix + rest + cut if cut else None
            if entry.key.encode() <= marker.encode() or (group is not None and group == marker):
                continue
            if group is not None and prefixes and prefixes[-1] == group:
                continue
            if len(objects) + len(prefixes) >= max_keys:
                return Page(objects, prefixes, last)
            if group is not None:
                prefixes.append(group)
            else:
                objects.append(self._listed(entry))
            last = group or entry.key
        return Page(objects, prefixes, None)

    def open(self, bucket: str, key: str) -> BinaryIO:
        """Open an object for reading. Raise Refusal if it does not exist."""
        file = self._store.open(bucket, key)
        if file is None:
            raise Refusal(404, "NoSuchKey", "There is no such object.")
        return file

    def put(self, source: BinaryIO, bucket: str, key: str) -> None:
        """Store the content of an open file atomically."""
        check_length(key)
        if isinstance(source, BytesIO):
            with self.scratch() as file:
                shutil.copyfileobj(source, file)
                file.flush()
                self._store.put(file, bucket, key)
        else:
            self._store.put(source, bucket, key)

    def make_folder(self, bucket: str, key: str) -> None:
        """Make an empty folder on the disk; no list has it before there is an object in it."""
        check_length(key)
        self._store.make_folder(bucket, key)

    def delete(self, bucket: str, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        """Delete objects; return those that could not be deleted, with the reasons."""
        return self._store.delete(bucket, keys)

    def clear(self, before: float) -> int:
        """Remove incomplete objects, as FolderStore does; return their number."""
        return self._store.clear(before)

    def scratch(self) -> BinaryIO:
        """Return an unnamed file on the disk of the objects."""
        return cast(BinaryIO, TemporaryFile("w+b", dir=self._staging))

    def _listed(self, entry: ObjectInfo) -> Object:
        try:
            with self.open(entry.bucket, entry.key) as file:
                sums, state = self.etags.of(file)
        except (Refusal, ApiError, OSError):
            return Object(entry.key, entry.size, entry.modified or 0.0, None)
        return Object(entry.key, state.st_size, state.st_mtime, sums.md5)
