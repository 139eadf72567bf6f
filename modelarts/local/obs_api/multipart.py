"""Multipart uploads of the OBS API."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Iterator, List, Sequence

import attr

from modelarts._internal.clock import Clock
from modelarts._internal.disk import sync_folder
from modelarts.local.obs_api.auth import Refusal
from modelarts.local.obs_api.checksums import blocks, digests_of
from modelarts.obs.stores.folder import FolderStore

MIN_PART = 100 * 1024
_BLOCK = 1 << 20
_UPLOAD = re.compile(r"[0-9a-f]{32}\Z")
_PART = re.compile(r"(\d{5})\.([0-9a-f]{32})\Z")
_ABOUT = "about.json"
#: Other entries of the staging folder: uploads that begin or end, and bodies on systems where a
#: temporary file needs a name.
_PASSING = re.compile(r"[0-9a-f]{32}\.(new|gone)\Z|tmp\w+\Z")
#: Bytes. Source: *OBS API Reference*, "PUT an Object".
_LONGEST_KEY = 1024


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


class Uploads:
    """The incomplete uploads, each a folder.

    Args:
        staging: the parent of these folders.
        store: the store of the complete objects.
    """

    def __init__(self, staging: Path, store: FolderStore, clock: Clock) -> None:
        self._staging = staging
        self._store = store
        self._clock = clock
        self._uploading = Lock()

    def begin(self, bucket: str, key: str) -> str:
        """Return the id of a new upload."""
        check_length(key)
        self._store.check(bucket, key)
        upload_id = secrets.token_hex(16)
        folder = self._staging / f"{upload_id}.new"
        folder.mkdir(mode=0o700)
        about = {"bucket": bucket, "key": key, "began": self._clock.time()}
        with open(folder / _ABOUT, "w") as file:
            json.dump(about, file)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(str(folder))
        os.rename(folder, self._staging / upload_id)
        sync_folder(str(self._staging))
        return upload_id

    def list(self, bucket: str, prefix: str = "") -> List[Upload]:
        """Return the uploads to that bucket whose keys have that prefix, in order."""
        uploads = [upload for upload in self._all(bucket) if upload.key.startswith(prefix)]
        return sorted(uploads, key=lambda upload: (upload.key.encode(), upload.upload_id))

    def find(self, bucket: str, key: str, upload_id: str) -> Path:
        """Return the folder of an upload. Raise Refusal if it does not exist."""
        upload = self._read(upload_id) if _UPLOAD.match(upload_id) else None
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise Refusal(404, "NoSuchUpload", "There is no such upload.")
        return self._staging / upload_id

    def put_part(self, folder: Path, number: int, source: BinaryIO, etag: str) -> None:
        """Store a part; replace a part of the same number."""
        path = folder / f"{number:05d}.{etag}"
        temporary = folder / f"{secrets.token_hex(8)}.new"
        try:
            with open(temporary, "xb") as sink:
                shutil.copyfileobj(source, sink, _BLOCK)
                sink.flush()
                os.fsync(sink.fileno())
            with self._uploading:
                os.replace(temporary, path)
                for part in folder.glob(f"{number:05d}.*"):
                    if part != path:
                        part.unlink()
                sync_folder(str(folder))
        except FileNotFoundError:
            raise _ended() from None
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def parts(self, folder: Path) -> List[Part]:
        """Return the parts of an upload in order; of parts with the same number, the newest.

        Raises:
            Refusal: the upload was ended.
        """
        by_number: dict[int, Part] = {}
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            raise _ended() from None
        for named in filter(None, map(_PART.match, sorted(names))):
            path = folder / named[0]
            with suppress(FileNotFoundError):  # replaced meanwhile
                state = path.stat()
                part = Part(int(named[1]), named[2], state.st_size, state.st_mtime, path)
                other = by_number.get(part.number)
                if other is None or other.modified <= part.modified:
                    by_number[part.number] = part
        return list(by_number.values())

    def complete(
        self,
        bucket: str,
        key: str,
        folder: Path,
        wanted: Sequence[tuple[int, str]],
        expected: str | None = None,
    ) -> str:
        """Make an object of these parts (numbers and ETags); return its ETag.

        Args:
            expected: the CRC-64 that the object must have; None for any.

        Raises:
            Refusal: there are no such parts, or the object would have another CRC-64.
        """
        numbers = [number for number, _ in wanted]
        if numbers != sorted(set(numbers)):
            raise Refusal(400, "InvalidPartOrder", "The parts are not in ascending order.")
        present = {(part.number, part.etag): part for part in self.parts(folder)}
        if not wanted or not set(wanted) <= set(present):
            raise Refusal(400, "InvalidPart", "A part was not uploaded, or is another one.")
        parts = [present[each] for each in wanted]
        if any(part.size < MIN_PART for part in parts[:-1]):
            raise Refusal(
                400, "EntityTooSmall", "Each part but the last must have at least 100 KB."
            )
        etag = ""

        def fill(sink: BinaryIO) -> None:
            nonlocal etag
            names = ["md5"] if expected is None else ["md5", "crc64"]
            etag, *other = digests_of(_joined(parts, sink), names)
            if other not in ([], [expected]):
                raise Refusal(400, "BadDigest", "The object's CRC-64 is not the one given.")

        self._store.write(bucket, key, fill)
        self.abort(folder)
        return etag

    def abort(self, folder: Path) -> None:
        """Remove an upload."""
        # Renamed first, so that the upload disappears at once and no part can be added.
        gone = folder.with_suffix(".gone")
        with suppress(FileNotFoundError):  # removed by another request
            os.rename(folder, gone)
            sync_folder(str(self._staging))
            shutil.rmtree(gone, ignore_errors=True)

    def clear(self) -> None:
        """Remove the incomplete files of a killed service. Call this before all other methods."""
        for path in self._staging.iterdir():
            with suppress(OSError):
                if _UPLOAD.match(path.name) and self._read(path.name) is not None:
                    for part in path.glob("*.new"):
                        part.unlink()
                elif _UPLOAD.match(path.name) or _PASSING.match(path.name):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _all(self, bucket: str) -> List[Upload]:
        names = [name for name in os.listdir(self._staging) if _UPLOAD.match(name)]
        uploads = [self._read(name) for name in names]
        return [each for each in uploads if each is not None and each.bucket == bucket]

    def _read(self, upload_id: str) -> Upload | None:
        try:
            about = json.loads((self._staging / upload_id / _ABOUT).read_text())
            return Upload(upload_id, about["bucket"], about["key"], about["began"])
        except (FileNotFoundError, ValueError, KeyError):
            return None  # an upload that begins, or has ended


def check_length(key: str) -> None:
    """Raise Refusal if a key is too long."""
    if len(key.encode()) > _LONGEST_KEY:
        raise Refusal(400, "InvalidObjectName", f"A key has at most {_LONGEST_KEY} bytes.")


def _ended() -> Refusal:
    return Refusal(404, "NoSuchUpload", "The upload was ended meanwhile.")


def _joined(parts: Sequence[Part], sink: BinaryIO) -> Iterator[bytes]:
    """Yield the content of parts in blocks, and write each block to a file."""
    for part in parts:
        try:
            with open(part.path, "rb") as file:
                for block in blocks(file, part.size):
                    sink.write(block)
                    yield block
        except FileNotFoundError:
            raise _ended() from None
