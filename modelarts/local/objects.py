"""What the OBS API does with the folder that stands for OBS."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any, BinaryIO, Iterable, Iterator, NamedTuple, Sequence, Tuple, cast

import attr
from cachetools import LRUCache

from modelarts.clock import Clock
from modelarts.errors import ApiError
from modelarts.local.objects_auth import Refusal
from modelarts.obs.crc64 import crc64, is_available
from modelarts.obs.folder import FolderStore
from modelarts.obs.store import ObjectInfo

__all__ = ["SMALLEST_PART", "Etags", "Object", "Objects", "Page", "Part", "Upload", "digests"]

SMALLEST_PART = 100 * 1024
_BLOCK = 1 << 20
#: A name for a new bucket, and for any folder that may be one.
_NEW_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_BUCKET = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}\Z")
_UPLOAD = re.compile(r"[0-9a-f]{32}\Z")
_PART = re.compile(r"(\d{5})\.([0-9a-f]{32})\Z")
_ABOUT = "about.json"
#: What is in the staging folder besides uploads: some that begin or end, and bodies without a name
#: where a file has to have one for a moment.
_PASSING = re.compile(r"[0-9a-f]{32}\.(new|gone)\Z|tmp\w+\Z")
#: Bytes. Source: *OBS API Reference*, "PUT an Object".
_LONGEST_KEY = 1024


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Object:
    """An object in a list; ``etag`` is None where it cannot be read."""

    key: str
    size: int
    modified: float
    etag: str | None


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Page:
    """A part of a list. ``next`` is where to go on; None at the end."""

    objects: Sequence[Object]
    prefixes: Sequence[str]
    next: str | None


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Part:
    """A part of an upload."""

    number: int
    etag: str
    size: int
    modified: float
    path: Path


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Upload:
    """An upload in parts that is not complete."""

    upload_id: str
    bucket: str
    key: str
    began: float


def digests(file: IO[bytes], size: int, *names: str) -> list[str]:
    """Checksums of the first ``size`` bytes, in hexadecimal digits; of ``crc64`` in decimal."""
    file.seek(0)
    made = _digests(_blocks(file, size), names)
    file.seek(0)
    return made


def _blocks(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size > 0:
        block = file.read(min(size, _BLOCK))
        if not block:
            return
        size -= len(block)
        yield block


def _digests(blocks: Iterable[bytes], names: Sequence[str]) -> list[str]:
    made: list[Any] = [_Crc64() if name == "crc64" else hashlib.new(name) for name in names]
    for block in blocks:
        for each in made:
            each.update(block)
    return [each.hexdigest() for each in made]


class _Crc64:
    """A CRC-64, as ``hashlib`` has its checksums."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, block: bytes) -> None:
        """Take some bytes more."""
        self._value = crc64(block, self._value)

    def hexdigest(self) -> str:
        """It, as headers carry it."""
        return str(self._value)


class Sums(NamedTuple):
    """The checksums of a file.

    Attributes:
        md5: in hexadecimal digits; the etag.
        crc64: in decimal; "" where it cannot be computed.
    """

    md5: str
    crc64: str = ""


class Etags:
    """Checksums of files, each remembered for as long as its file stays as it is."""

    def __init__(self, clock: Clock, most: int = 100_000) -> None:
        self._clock = clock
        self._lock = Lock()
        self._known: LRUCache[Tuple[int, ...], Sums] = LRUCache(most)

    def of(self, file: BinaryIO) -> tuple[Sums, os.stat_result]:
        """Those of an open file, and the state that the file is in."""
        state = os.fstat(file.fileno())
        mark = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
        with self._lock:
            found = self._known.get(mark)
        if found is None:
            names = ["md5", "crc64"] if is_available() else ["md5"]
            found = Sums(*digests(file, state.st_size, *names))
            # Within a tick of the file system's clock, one that was written to looks the same.
            if self._clock.time() - state.st_mtime > 2:
                with self._lock:
                    self._known[mark] = found
        return found, state


class Objects:
    """Buckets, objects and uploads.

    Args:
        obs: the folder with the buckets.
        staging: where parts and unfinished bodies are kept.
    """

    def __init__(self, obs: Path, staging: Path, clock: Clock) -> None:
        self._obs = obs
        self._staging = staging
        self._clock = clock
        self._store = FolderStore(obs.as_uri())
        self._uploading = Lock()
        self.etags = Etags(clock)

    # Buckets -------------------------------------------------------------------------------

    def buckets(self) -> list[tuple[str, float]]:
        """Name and time of each bucket."""
        found = []
        with os.scandir(self._obs) as entries:
            for entry in entries:
                if _BUCKET.match(entry.name) and entry.is_dir(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # removed meanwhile
                        found.append((entry.name, entry.stat(follow_symlinks=False).st_mtime))
        return sorted(found)

    def check_bucket(self, bucket: str) -> None:
        """Raises Refusal where there is no such bucket."""
        if not _BUCKET.match(bucket):
            raise Refusal(400, "InvalidBucketName", "No bucket can have that name.")
        if not self._store.has_bucket(bucket):
            raise Refusal(404, "NoSuchBucket", "There is no such bucket.")

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket. Raises Refusal."""
        if not _NEW_BUCKET.match(bucket):
            raise Refusal(
                400,
                "InvalidBucketName",
                "A bucket's name has 3 to 63 lower-case letters, digits, '-' and '.', and begins "
                "and ends with a letter or digit.",
            )
        try:
            (self._obs / bucket).mkdir(mode=0o700)
        except FileExistsError:
            raise Refusal(409, "BucketAlreadyOwnedByYou", "There is that bucket.") from None

    def delete_bucket(self, bucket: str) -> None:
        """Remove an empty bucket. Raises Refusal."""
        self.check_bucket(bucket)
        kept = Refusal(409, "BucketNotEmpty", "The bucket is not empty.")
        if next(self._store.list(bucket), None) is not None or self._uploads(bucket):
            raise kept
        # Folders without objects are nothing in OBS.
        folders = [str(self._obs / bucket)]
        for folder in folders:
            with suppress(FileNotFoundError), os.scandir(folder) as entries:
                folders += [each.path for each in entries if each.is_dir(follow_symlinks=False)]
        for folder in reversed(folders):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                pass
            except OSError:
                raise kept from None

    # Objects -------------------------------------------------------------------------------

    def page(self, bucket: str, prefix: str, marker: str, delimiter: str, most: int) -> Page:
        """At most so many objects and common prefixes that come after ``marker``."""
        objects: list[Object] = []
        prefixes: list[str] = []
        last: str | None = None
        for found in self._store.list(bucket, prefix):
            group = None
            if delimiter:
                rest, cut, _ = found.key[len(prefix) :].partition(delimiter)
                group = prefix + rest + cut if cut else None
            if found.key.encode() <= marker.encode() or (group is not None and group == marker):
                continue
            if group is not None and prefixes and prefixes[-1] == group:
                continue
            if len(objects) + len(prefixes) >= most:
                return Page(objects, prefixes, last)
            if group is not None:
                prefixes.append(group)
            else:
                objects.append(self._listed(found))
            last = group or found.key
        return Page(objects, prefixes, None)

    def open(self, bucket: str, key: str) -> BinaryIO:
        """An object, to be read. Raises Refusal where there is none."""
        file = self._store.open(bucket, key)
        if file is None:
            raise Refusal(404, "NoSuchKey", "There is no such object.")
        return file

    def put(self, source: BinaryIO, bucket: str, key: str) -> None:
        """Keep what an open file holds; the object is there whole, or as before."""
        _check_length(key)
        if isinstance(source, BytesIO):
            with self.scratch() as file:
                shutil.copyfileobj(source, file)
                file.flush()
                self._store.put(file, bucket, key)
        else:
            self._store.put(source, bucket, key)

    def delete(self, bucket: str, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        """Delete objects; answers those that could not be, with the reasons."""
        return self._store.delete(bucket, keys)

    def scratch(self) -> BinaryIO:
        """A file without a name, on the disk where objects are."""
        return cast(BinaryIO, TemporaryFile("w+b", dir=self._staging))

    def _listed(self, found: ObjectInfo) -> Object:
        try:
            with self.open(found.bucket, found.key) as file:
                sums, state = self.etags.of(file)
        except (Refusal, ApiError, OSError):
            return Object(found.key, found.size, found.modified or 0.0, None)
        return Object(found.key, state.st_size, state.st_mtime, sums.md5)

    # Uploads in parts ----------------------------------------------------------------------

    def begin(self, bucket: str, key: str) -> str:
        """The id of a new upload."""
        _check_length(key)
        self._store.check(bucket, key)
        upload_id = secrets.token_hex(16)
        folder = self._staging / f"{upload_id}.new"
        folder.mkdir(mode=0o700)
        about = {"bucket": bucket, "key": key, "began": self._clock.time()}
        (folder / _ABOUT).write_text(json.dumps(about))
        os.rename(folder, self._staging / upload_id)
        return upload_id

    def uploads(self, bucket: str, prefix: str) -> list[Upload]:
        """Those to that bucket, in order."""
        found = [one for one in self._uploads(bucket) if one.key.startswith(prefix)]
        return sorted(found, key=lambda one: (one.key.encode(), one.upload_id))

    def upload(self, bucket: str, key: str, upload_id: str) -> Path:
        """The folder of an upload. Raises Refusal where there is none."""
        found = self._read(upload_id) if _UPLOAD.match(upload_id) else None
        if found is None or (found.bucket, found.key) != (bucket, key):
            raise Refusal(404, "NoSuchUpload", "There is no such upload.")
        return self._staging / upload_id

    def put_part(self, folder: Path, number: int, source: BinaryIO, etag: str) -> None:
        """Keep a part, in place of one of the same number."""
        path = folder / f"{number:05d}.{etag}"
        temporary = folder / f"{secrets.token_hex(8)}.new"
        try:
            with open(temporary, "xb") as sink:
                shutil.copyfileobj(source, sink, _BLOCK)
            with self._uploading:
                os.replace(temporary, path)
                for part in folder.glob(f"{number:05d}.*"):
                    if part != path:
                        part.unlink()
        except FileNotFoundError:
            raise _ended() from None
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def parts(self, folder: Path) -> list[Part]:
        """Those that are there, in order; of several with one number, that which came last.

        Raises:
            Refusal: the upload was ended.
        """
        found: dict[int, Part] = {}
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            raise _ended() from None
        for named in filter(None, map(_PART.match, sorted(names))):
            path = folder / named[0]
            with suppress(FileNotFoundError):  # another one took its place
                state = path.stat()
                part = Part(int(named[1]), named[2], state.st_size, state.st_mtime, path)
                other = found.get(part.number)
                if other is None or other.modified <= part.modified:
                    found[part.number] = part
        return list(found.values())

    def complete(
        self,
        bucket: str,
        key: str,
        folder: Path,
        wanted: Sequence[tuple[int, str]],
        expected: str | None = None,
    ) -> str:
        """Make an object of these parts (numbers and etags); answers its etag.

        Args:
            expected: the CRC-64 that the object must have; None where any is right.

        Raises:
            Refusal: there are no such parts, or the object would have another CRC-64.
        """
        numbers = [number for number, _ in wanted]
        if numbers != sorted(set(numbers)):
            raise Refusal(400, "InvalidPartOrder", "The parts are not in ascending order.")
        there = {(part.number, part.etag): part for part in self.parts(folder)}
        if not wanted or not set(wanted) <= set(there):
            raise Refusal(400, "InvalidPart", "A part was not uploaded, or is another one.")
        parts = [there[one] for one in wanted]
        if any(part.size < SMALLEST_PART for part in parts[:-1]):
            raise Refusal(
                400, "EntityTooSmall", "Each part but the last must have at least 100 KB."
            )
        etag = ""

        def fill(sink: BinaryIO) -> None:
            nonlocal etag
            names = ["md5"] if expected is None else ["md5", "crc64"]
            etag, *other = _digests(_joined(parts, sink), names)
            if other not in ([], [expected]):
                raise Refusal(400, "BadDigest", "The object's CRC-64 is not the one given.")

        self._store.write(bucket, key, fill)
        self.abort(folder)
        return etag

    def abort(self, folder: Path) -> None:
        """Forget an upload."""
        # At once, so that none is there by half, and nothing is added to it any more.
        gone = folder.with_suffix(".gone")
        with suppress(FileNotFoundError):  # somebody else does
            os.rename(folder, gone)
            shutil.rmtree(gone, ignore_errors=True)

    # What one that was killed left --------------------------------------------------------

    def clear_staging(self) -> None:
        """Remove what nobody can go on with. To be called before anything else."""
        for path in self._staging.iterdir():
            with suppress(OSError):
                if _UPLOAD.match(path.name) and self._read(path.name) is not None:
                    for part in path.glob("*.new"):
                        part.unlink()
                elif _UPLOAD.match(path.name) or _PASSING.match(path.name):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def clear_copies(self, before: float) -> int:
        """Remove objects that were never whole, as FolderStore does; answers how many."""
        return self._store.clear(before)

    def _uploads(self, bucket: str) -> list[Upload]:
        names = [name for name in os.listdir(self._staging) if _UPLOAD.match(name)]
        found = [self._read(name) for name in names]
        return [one for one in found if one is not None and one.bucket == bucket]

    def _read(self, upload_id: str) -> Upload | None:
        try:
            about = json.loads((self._staging / upload_id / _ABOUT).read_text())
            return Upload(upload_id, about["bucket"], about["key"], about["began"])
        except (FileNotFoundError, ValueError, KeyError):
            return None  # one that begins, or ended


def _check_length(key: str) -> None:
    if len(key.encode()) > _LONGEST_KEY:
        raise Refusal(400, "InvalidObjectName", f"A key has at most {_LONGEST_KEY} bytes.")


def _ended() -> Refusal:
    return Refusal(404, "NoSuchUpload", "The upload was ended meanwhile.")


def _joined(parts: Sequence[Part], sink: BinaryIO) -> Iterator[bytes]:
    """The content of parts, block by block, each of which is written to a file, too."""
    for part in parts:
        try:
            with open(part.path, "rb") as file:
                for block in _blocks(file, part.size):
                    sink.write(block)
                    yield block
        except FileNotFoundError:
            raise _ended() from None
