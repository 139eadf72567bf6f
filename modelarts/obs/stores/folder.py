"""A folder in place of OBS: each bucket is a folder in it, each object a file.

It is the store of a ``file:`` endpoint, whose files the boards of the local service read.
"""

import errno
import os
import stat
from contextlib import contextmanager
from typing import BinaryIO, Callable, Iterator, List, NoReturn, Optional, Sequence, Tuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from modelarts._internal.disk import sync_folder
from modelarts._internal.locks import ForkSafeLock
from modelarts.errors import ApiError, ConfigurationError, NotFound, api_error
from modelarts.obs.atomic import (
    COPY,
    PART,
    copy,
    create,
    discard_part,
    folds_case,
    is_named_so,
    same_content,
)
from modelarts.obs.partial import discard
from modelarts.obs.paths import local_segments
from modelarts.obs.stores.base import ObjectInfo, Progress, Store

#: Attempts if a folder is removed with its last object while a file is sent to it.
_TRIES = 20


class FolderStore(Store):
    """Objects as files below the folder of a ``file:`` URL.

    A bucket need not be made first. Only this user can read the files (as with the local service,
    files are 0600 and folders 0700). Links are not objects: nothing is read or written through a
    link, so nothing outside the folder is touched.

    Args:
        endpoint: the ``file:`` URL.
        durable: whether a change is on the disk when a method returns, so that a power cut does not
            undo it.
    """

    def __init__(self, endpoint: str, durable: bool = False) -> None:
        parts = urlsplit(endpoint)
        path = url2pathname(parts.path)
        if parts.netloc not in ("", "localhost") or not os.path.isabs(path):
            raise ConfigurationError(
                "obs_endpoint %s has no folder; write it as file:///folder" % endpoint
            )
        self._root = os.path.realpath(path)
        self._durable = durable
        self._changing_folders = ForkSafeLock()

    def head(self, bucket: str, key: str) -> Optional[ObjectInfo]:
        with _refusals("look at", bucket, key):
            try:
                path = self._path(bucket, key)
                return _info(bucket, key, os.lstat(path)) if self._is_inside(path) else None
            except (ValueError, FileNotFoundError, NotADirectoryError):
                return None

    def has_bucket(self, bucket: str) -> bool:
        """Return True if there is such a folder."""
        path = os.path.join(self._root, bucket)
        return os.path.isdir(path) and self._is_inside(path)

    def make_bucket(self, bucket: str) -> None:
        """Make the folder of a bucket."""
        self._make_empty(os.path.join(self._root, bucket), bucket, "")

    def has_folder(self, bucket: str, key: str) -> bool:
        """Return True if there is such a folder; it may be empty."""
        try:
            path = self._path(bucket, key.rstrip("/"))
        except ValueError:
            return False
        return os.path.isdir(path) and self._is_inside(path)

    def make_folder(self, bucket: str, key: str) -> None:
        """Make an empty folder; an existing folder does not change."""
        self._make_empty(self.check(bucket, key.rstrip("/")), bucket, key)

    def _make_empty(self, path: str, bucket: str, key: str) -> None:
        with _refusals("send", bucket, key), self._changing_folders:
            self._make_folders(path, bucket, key, [])
            if not os.path.isdir(path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Return all objects whose key begins with ``prefix``, in the order of OBS."""
        folder, _, beginning = prefix.rpartition("/")
        with _refusals("list", bucket, prefix):
            try:
                top = self._path(bucket, folder) if folder else os.path.join(self._root, bucket)
            except ValueError:
                return
            if not self._is_inside(top):
                return
            waiting = [self._entries(top, folder + "/" if folder else "", beginning)]
            # An explicit stack: trees may be deeper than Python's recursion limit.
            while waiting:
                if not waiting[-1]:
                    waiting.pop()
                    continue
                key, path, state = waiting[-1].pop()
                if stat.S_ISDIR(state.st_mode):
                    waiting.append(self._entries(path, key, ""))
                    continue
                info = _info(bucket, key, state)
                if info is not None:
                    yield info

    def upload(self, path: str, bucket: str, key: str, progress: Optional[Progress] = None) -> None:
        """Copy a file to the bucket atomically: the object is then complete, or unchanged."""
        # Opened first: an unreadable file is not an error of the store.
        with open(path, "rb") as source:
            self.put(source, bucket, key, progress)

    def put(
        self, source: BinaryIO, bucket: str, key: str, progress: Optional[Progress] = None
    ) -> None:
        """Copy an open file to the bucket, likewise."""
        self._place(bucket, key, lambda target: copy(source, target, progress, True, self._durable))

    def write(self, bucket: str, key: str, fill: Callable[[BinaryIO], None]) -> None:
        """Make an object of the bytes that ``fill`` writes, likewise; it may be called again."""
        self._place(bucket, key, lambda target: create(target, fill, True, self._durable))

    def check(self, bucket: str, key: str) -> str:
        """Return the path of an object's file; raise ApiError if no file can have that name."""
        try:
            return self._path(bucket, key)
        except ValueError as reason:
            _refuse("send", bucket, key, "%s, in a folder in place of OBS" % reason)

    def _place(self, bucket: str, key: str, make: Callable[[str], None]) -> None:
        target = self.check(bucket, key)
        made: List[str] = []
        try:
            self._make(target, bucket, key, make, made)
        except BaseException:
            with self._changing_folders:
                _remove_empty(made)
            raise

    def _make(
        self, target: str, bucket: str, key: str, make: Callable[[str], None], made: List[str]
    ) -> None:
        with _refusals("send", bucket, key):
            for left in reversed(range(_TRIES)):
                try:
                    with self._changing_folders:
                        self._make_folders(os.path.dirname(target), bucket, key, made)
                    if os.path.isdir(target) and not os.path.islink(target):
                        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
                    if folds_case(self._root) and not is_named_so(target, self._root):
                        _refuse("send", bucket, key, "another object differs in its case only")
                    folder, name = os.path.split(target)
                    with self._held(folder) as held:
                        return make(os.path.join(held, name))
                except FileNotFoundError:
                    # Its folder was removed with the last object in it.
                    if not left:
                        raise

    def open(self, bucket: str, key: str) -> Optional[BinaryIO]:
        """Open the object of that name for reading; return None if it does not exist."""
        for left in reversed(range(_TRIES)):
            info = self.head(bucket, key)
            try:
                return None if info is None else self._opened(info)
            except NotFound:
                # Removed since it was looked up; there may be a new one.
                if not left:
                    raise
        return None

    def download(self, info: ObjectInfo, path: str, progress: Optional[Progress] = None) -> None:
        """Copy an object to ``path`` atomically: the file is then complete, or unchanged."""
        if self.head(info.bucket, info.key) is None:
            _refuse("fetch", info.bucket, info.key, "there is no such object", 404, "NoSuchKey")
        with self._opened(info) as source:
            copy(source, path, progress)

    def copy(
        self, info: ObjectInfo, bucket: str, key: str, progress: Optional[Progress] = None
    ) -> None:
        """Copy an object to another one."""
        with self._opened(info) as source:
            self.put(source, bucket, key, progress)

    def same(self, path: str, info: ObjectInfo) -> Optional[bool]:
        """Return True if a file has the content of an object; both are read if their sizes are
        equal."""
        # Opened first: a missing file is not an error of the store.
        with open(path, "rb") as local:
            try:
                with self._opened(info) as remote:
                    return same_content(local, remote)
            except NotFound:
                return False

    def forget(self, path: str, info: ObjectInfo) -> None:
        """Remove the incomplete files of a killed copy between the two."""
        discard_part(path)
        discard_part(self._path(info.bucket, info.key))

    def delete(self, bucket: str, keys: Sequence[str]) -> Sequence[Tuple[str, Exception]]:
        """Delete objects, and the folders that are empty then."""
        failed: List[Tuple[str, Exception]] = []
        for key in keys:
            try:
                with _refusals("delete", bucket, key):
                    path = self._path(bucket, key.rstrip("/"))
                    if key.endswith("/"):
                        with self._changing_folders:
                            if self.has_folder(bucket, key):
                                self._prune(path, bucket)
                        continue
                    if self.head(bucket, key) is not None:
                        folder, name = os.path.split(path)
                        with self._held(folder) as held:
                            os.unlink(os.path.join(held, name))
                            if self._durable:
                                sync_folder(held)
                        with self._changing_folders:
                            self._prune(os.path.dirname(path), bucket)
            except ValueError:
                pass  # no object can have that name
            except NotFound:
                pass  # removed by another process
            except ApiError as error:
                failed.append((key, error))
        return failed

    def clear(self, before: float) -> int:
        """Remove the incomplete copies of killed processes; return their number.

        A copy in progress is kept or, on a file system without locks, started again.

        Args:
            before: files that were written to since this time (seconds since the epoch) are kept.
        """
        removed, waiting = 0, [self._root]
        while waiting:
            try:
                with os.scandir(waiting.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        elif COPY.match(entry.name) and _changed(entry) < before:
                            discard(entry.path)
                            removed += not os.path.lexists(entry.path)
            except OSError:
                pass  # removed meanwhile, or of another user
        return removed

    def own_folders(self, bucket: str, prefix: str) -> Sequence[str]:
        """Return the folder of the store, and that of a prefix."""
        return self._root, os.path.join(self._root, bucket, *filter(None, prefix.split("/")))

    def close(self) -> None:
        """Do nothing: there are no open connections."""

    def _opened(self, info: ObjectInfo) -> BinaryIO:
        with _refusals("fetch", info.bucket, info.key):
            path = self._path(info.bucket, info.key)
            folder, name = os.path.split(path)
            with self._held(folder) as held:
                at = os.path.join(held, name)
                return open(path, "rb", opener=lambda _, flags: _open(at, flags))

    @contextmanager
    def _held(self, folder: str) -> Iterator[str]:
        """Hold a folder open; yield a path that still leads to it if a link takes its place.

        Another process with write access can replace any part of a path by a link after it was
        checked. On a system without such paths the folder's own path is yielded.

        Raises:
            FileNotFoundError: the folder was removed.
            PermissionError: its path leads through a link.
        """
        only_path = getattr(os, "O_PATH", 0)  # of Linux
        if not only_path or not os.path.isdir("/proc/self/fd") or folds_case(self._root):
            yield folder
            return
        descriptor = os.open(folder, only_path | os.O_DIRECTORY | os.O_CLOEXEC)
        held = "/proc/self/fd/%d" % descriptor
        try:
            if os.readlink(held) != folder:
                gone = not os.path.isdir(folder) or _has_no_links(folder)
                code = errno.ENOENT if gone else errno.EACCES
                raise OSError(code, os.strerror(code), folder)
            yield held
        except OSError as error:
            if isinstance(error.filename, str):
                error.filename = error.filename.replace(held, folder)
            raise
        finally:
            os.close(descriptor)

    def _entries(
        self, folder: str, prefix: str, beginning: str
    ) -> "List[Tuple[str, str, os.stat_result]]":
        """Return the key, path and state of each entry of a folder, in reverse order.

        The keys of folders end with ``/``, by which OBS orders them among the objects.
        """
        rows = []
        try:
            with self._held(folder) as held, os.scandir(held) as entries:
                for entry in entries:
                    if not entry.name.startswith(beginning) or PART.match(entry.name):
                        continue
                    try:
                        state = entry.stat(follow_symlinks=False)
                        key = prefix + entry.name + ("/" if stat.S_ISDIR(state.st_mode) else "")
                        path = os.path.join(folder, entry.name)
                        rows.append((key.encode("utf-8"), key, path, state))
                    except (FileNotFoundError, UnicodeEncodeError):
                        pass  # removed meanwhile; or a name that is not valid Unicode
        except (FileNotFoundError, NotADirectoryError):
            return []
        rows.sort(reverse=True)
        return [(key, path, state) for _, key, path, state in rows]

    def _path(self, bucket: str, key: str) -> str:
        segments = local_segments(key)
        for segment in segments:
            if PART.match(segment):
                raise ValueError("%r is reserved for incomplete copies" % segment)
        return os.path.join(self._root, bucket, *segments)

    def _is_inside(self, path: str) -> bool:
        """Return True if a path has no links and has the spelling of the directory listing."""
        if not _has_no_links(path):
            return False
        return not folds_case(self._root) or is_named_so(path, self._root)

    def _make_folders(self, folder: str, bucket: str, key: str, made: List[str]) -> None:
        """Make the missing folders down to ``folder``; append each to ``made``."""
        missing = []
        while not os.path.lexists(folder) and folder != os.path.dirname(self._root):
            missing.append(folder)
            folder = os.path.dirname(folder)
        if not _has_no_links(folder):
            _refuse("send", bucket, key, "%s is a link" % folder, 403, "AccessDenied")
        for each in reversed(missing):
            try:
                os.mkdir(each, 0o700)
                made.append(each)
                if self._durable:
                    sync_folder(os.path.dirname(each))
            except FileExistsError:
                pass  # by another thread

    def _prune(self, folder: str, bucket: str) -> None:
        top, first = os.path.join(self._root, bucket), folder
        while folder != top:
            try:
                os.rmdir(folder)
            except OSError:
                break  # it is not empty
            folder = os.path.dirname(folder)
        if self._durable and folder != first:
            try:
                sync_folder(folder)
            except FileNotFoundError:
                pass  # removed by another process, too


def _remove_empty(folders: List[str]) -> None:
    for folder in reversed(folders):
        try:
            os.rmdir(folder)
        except OSError:
            pass  # another process has put a file there, or removed it


def _has_no_links(path: str) -> bool:
    try:
        return os.path.realpath(path) == path
    except OSError:  # a link that became something else while it was read
        return False


def _open(path: str, flags: int) -> int:
    """Open a regular file; refuse a link or pipe that has taken its place."""
    more = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | more)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return descriptor


def _changed(entry: "os.DirEntry[str]") -> float:
    return entry.stat(follow_symlinks=False).st_ctime


def _info(bucket: str, key: str, state: os.stat_result) -> Optional[ObjectInfo]:
    if not stat.S_ISREG(state.st_mode):
        return None
    # Not the MD5, for which the file would be read, but it changes if the content may have changed.
    etag = "%x-%x-%x" % (state.st_mtime_ns, state.st_size, state.st_ino)
    return ObjectInfo(bucket, key, state.st_size, state.st_mtime, etag)


def _refuse(
    verb: str,
    bucket: str,
    key: str,
    reason: str,
    status: int = 400,
    code: str = "InvalidObjectName",
) -> NoReturn:
    raise api_error(
        reason,
        status_code=status,
        error_code=code,
        operation="%s obs://%s/%s" % (verb, bucket, key),
    ) from None


@contextmanager
def _refusals(verb: str, bucket: str, key: str) -> Iterator[None]:
    """Map errors of the file system to those of OBS."""
    try:
        yield
    except OSError as error:
        if isinstance(error, ApiError):
            raise
        name = error.filename2 or error.filename
        reason = "%s%s" % (error.strerror or error, ": %s" % name if name else "")
        if isinstance(error, (NotADirectoryError, IsADirectoryError, FileExistsError)):
            _refuse(
                verb,
                bucket,
                key,
                "a folder on a disk cannot hold an object and other objects below its name (%s)"
                % reason,
            )
        if isinstance(error, FileNotFoundError) and verb != "send":
            _refuse(verb, bucket, key, "there is no such object", 404, "NoSuchKey")
        if isinstance(error, PermissionError):
            _refuse(verb, bucket, key, reason, 403, "AccessDenied")
        if error.errno == errno.ENAMETOOLONG:
            _refuse(verb, bucket, key, reason)
        _refuse(verb, bucket, key, reason, 500, "InternalError")
