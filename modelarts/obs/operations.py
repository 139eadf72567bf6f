"""The calls of ``session.obs`` on paths that have been checked."""

import os
from itertools import chain, islice
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

import attr

from modelarts._internal.clock import Clock
from modelarts._internal.locks import ForkSafeLock
from modelarts._internal.wording import Worded, worded
from modelarts.errors import (
    IncompleteTransfer,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    api_error,
)
from modelarts.obs.directory import Comparison, Fetch, LocalFile, Send, folders_in, say_skipped
from modelarts.obs.executor import Task, run
from modelarts.obs.paths import ObsPath, object_target
from modelarts.obs.progress import Meter, ProgressOption
from modelarts.obs.results import ObsObject, Transferred
from modelarts.obs.stores.base import ObjectInfo, Progress, Store
from modelarts.obs.sync import Sync
from modelarts.obs.sync_cache import Memory

_RECURSIVE = Worded("a folder: recursive=True deletes it", "a folder: --recursive deletes it")


def _check_threads(options: "Options", attribute: object, value: Optional[int]) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (whole and 1 <= value <= 256):
        raise InvalidArgument("threads", value, "a whole number from 1 to 256")


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Options:
    """The common options of calls with many files."""

    threads: Optional[int] = attr.ib(default=None, validator=_check_threads)
    progress: ProgressOption = None


class Calls:
    """Transfers files between this machine and the store, which is opened when it is first needed.

    Args:
        open_store: a function that opens the store.
        place: a function that returns its address, which is part of the names of cached records.
        clock: the source of time.
    """

    def __init__(
        self, open_store: Callable[[], Store], place: Callable[[], str], clock: Clock
    ) -> None:
        self._place = place
        self._open_store = open_store
        self._clock = clock
        self._lock = ForkSafeLock()
        self._opened: Optional[Store] = None
        self._pid = 0

    @property
    def store(self) -> Store:
        """The store; a forked process opens its own."""
        with self._lock:
            if self._opened is None or self._pid != os.getpid():
                self._opened, self._pid = self._open_store(), os.getpid()
            return self._opened

    def close(self) -> None:
        """Close the store; a later call opens it again."""
        with self._lock:
            if self._opened is not None and self._pid == os.getpid():
                self._opened.close()
            self._opened = None

    def upload_file(self, path: str, target: ObsPath, progress: ProgressOption) -> Transferred:
        """Send a file to a folder, or as the named object."""
        meter = Meter(progress, "upload " + os.path.basename(path), self._clock)
        store = self.store
        goal = object_target(store, path, target)

        def send(moved: Progress) -> None:
            store.upload(path, goal.bucket, goal.key, moved)

        return _one(Task(path, send, os.path.getsize(path)), goal.url, meter)

    def upload_dir(self, folder: str, target: ObsPath, options: Options) -> Transferred:
        """Send a folder into another one; after an incomplete call, only the missing files."""
        goal = _folder_in(target, folder)
        memory = self._memory("up", folder, goal.url)
        with Meter(options.progress, "upload " + goal.name, self._clock) as meter:
            if memory.interrupted:
                sync = Sync(self.store, folder, goal, memory, self._clock)
                try:
                    return sync.run(options.threads, meter)
                except PermissionDenied:
                    pass  # without the permission to list, all files are sent again
            sending = Send(self.store, goal, Comparison())
            skipped: List[str] = []
            memory.interrupted = True
            memory.save()
            try:
                sending.run_folder(folder, skipped.append, options.threads, meter)
            except IncompleteTransfer:
                say_skipped(skipped)
                raise
        memory.interrupted = False
        memory.save()
        say_skipped(skipped)
        return meter.moved_to(goal.url, len(sending.sent), skipped=[*skipped, *sending.gone])

    def upload_files(self, paths: List[str], target: ObsPath, options: Options) -> Transferred:
        """Send files to a folder."""
        files = [LocalFile.of(path, os.path.basename(path), os.stat(path)) for path in paths]
        title = "upload %d files" % len(paths)
        return self._upload(files, target.as_folder(), Comparison(), title, options)

    def upload_selected(
        self, files: Sequence[LocalFile], target: ObsPath, known: Comparison, options: Options
    ) -> Transferred:
        """Send files to their relative paths below a folder, except for those known to be there."""
        goal = target.as_folder()
        return self._upload(files, goal, known, "upload " + goal.name, options)

    def _upload(
        self,
        files: Sequence[LocalFile],
        goal: ObsPath,
        known: Comparison,
        title: str,
        options: Options,
    ) -> Transferred:
        sending = Send(self.store, goal, known)
        with Meter(options.progress, title, self._clock) as meter:
            sending.run(files, options.threads, meter)
        return meter.moved_to(goal.url, len(sending.sent), len(sending.same), sending.gone)

    def passes(self, folder: str, target: ObsPath, options: Options) -> Callable[[], Transferred]:
        """Return a function that updates a folder in OBS; each call is one pass."""
        goal = _folder_in(target, folder)
        sync: List[Sync] = []

        def one_pass() -> Transferred:
            if not sync:
                memory = self._memory("up", folder, goal.url)
                sync.append(Sync(self.store, folder, goal, memory, self._clock))
            with Meter(options.progress, "upload " + goal.name, self._clock) as meter:
                return sync[0].run(options.threads, meter)

        Meter(options.progress, "", self._clock)  # raise the error of a wrong option at once
        return one_pass

    def download_file(
        self, source: ObsPath, target: Callable[[str], str], progress: ProgressOption
    ) -> Transferred:
        """Fetch an object to the path that ``target`` returns for its name."""
        path = target(source.name)
        meter = Meter(progress, "download " + source.name, self._clock)
        store = self.store
        info = store.head(source.bucket, source.key)
        if info is None:
            raise self._missing(
                source,
                "download_file",
                Worded(
                    "a folder: download_dir fetches it",
                    "a folder: give it with the slash to fetch it",
                ),
            )
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)

        def fetch(moved: Progress) -> None:
            store.download(info, path, moved)

        return _one(Task(source.url, fetch, info.size), path, meter)

    def download_dir(
        self,
        source: ObsPath,
        folder: str,
        options: Options,
        tell: Callable[[ObjectInfo, str], object] = lambda found_objects, path: None,
    ) -> Transferred:
        """Fetch a folder into another one; after an incomplete call, only the missing files."""
        source = source.as_folder()
        path = os.path.join(folder, source.name)
        meter = Meter(options.progress, "download " + source.name, self._clock)
        store = self.store
        for own in store.own_folders(source.bucket, source.key)[-1:]:
            if folders_in(own, [path]):  # it would never end
                raise InvalidArgument(
                    "the target", folder, "a folder that is not in %s itself" % source.url
                )
        objects = store.list(source.bucket, source.key)
        first = list(islice(objects, 1))
        if not first and not (
            store.has_folder(source.bucket, source.key)
            if source.key
            else store.has_bucket(source.bucket)
        ):
            raise self._missing(
                source,
                "download_dir",
                Worded(
                    "an object: download_file fetches it",
                    "an object: give it without the slash to fetch it",
                ),
            )
        memory = self._memory("down", source.url, os.path.abspath(path))
        fetching = Fetch(store, source.key, path, memory.interrupted, tell)
        memory.interrupted = True
        memory.save()
        with meter:
            fetching.run(chain(first, objects), options.threads, meter)
        memory.interrupted = False
        memory.save()
        return meter.moved_to(path, len(fetching.fetched), len(fetching.same))

    def copy(self, source: ObsPath, target: ObsPath, options: Options) -> Transferred:
        """Copy an object or a folder within OBS."""
        store, info = self.store, None
        if not source.is_folder:
            info = store.head(source.bucket, source.key)
            if info is None and not self._is_folder(source):
                raise self._missing(source, "copy", "an object")
        if info is not None:
            return self._copy_object(info, object_target(store, source.key, target), options)
        return self._copy_folder(source.as_folder(), target, options)

    def _copy_object(self, info: ObjectInfo, goal: ObsPath, options: Options) -> Transferred:
        url = ObsPath(info.bucket, info.key).url
        if goal.url == url:
            raise InvalidArgument("dst", goal.url, "another object than the source")

        def copy(moved: Progress) -> None:
            self.store.copy(info, goal.bucket, goal.key, moved)

        meter = Meter(options.progress, "copy " + goal.name, self._clock)
        return _one(Task(url, copy, info.size), goal.url, meter)

    def _copy_folder(self, source: ObsPath, target: ObsPath, options: Options) -> Transferred:
        store = self.store
        goal = _folder_in(target, source.name)
        if goal.bucket == source.bucket and goal.key.startswith(source.key):  # it would never end
            raise InvalidArgument("dst", target.url, "a folder that is not in %s" % source.url)
        objects = store.list(source.bucket, source.key)
        first = list(islice(objects, 1))
        if not first and not store.has_folder(source.bucket, source.key):
            raise self._missing(source, "copy", "an object: give it without the slash")
        copied: List[ObjectInfo] = []

        def task(info: ObjectInfo) -> Task:
            target = goal / info.key[len(source.key) :]

            def copy(moved: Progress) -> None:
                store.copy(info, target.bucket, target.key, moved)
                copied.append(info)

            return Task(ObsPath(info.bucket, info.key).url, copy, info.size)

        tasks = (task(info) for info in chain(first, objects) if not info.key.endswith("/"))
        with Meter(options.progress, "copy " + goal.name, self._clock) as meter:
            run(tasks, options.threads, meter)
        return meter.moved_to(goal.url, len(copied))

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket if it does not exist."""
        if not self.store.has_bucket(bucket):
            self.store.make_bucket(bucket)

    def exists(self, path: ObsPath) -> bool:
        """Return True if there is such an object, folder or bucket."""
        store = self.store
        if not path.key:
            return store.has_bucket(path.bucket)
        if not path.is_folder and store.head(path.bucket, path.key) is not None:
            return True
        try:
            return self._is_folder(path)
        except NotFound:
            return False  # nor is its bucket

    def list(self, path: ObsPath) -> Iterator[ObsObject]:
        """Return all objects below a folder, or the named object."""
        store = self.store
        nothing = True
        for info in store.list(path.bucket, path.as_folder().key if path.key else ""):
            nothing = False
            if not info.key.endswith("/"):
                yield ObsObject.of(info)
        if nothing and not path.is_folder:
            single = store.head(path.bucket, path.key)
            if single is not None:
                yield ObsObject.of(single)

    def delete(self, path: ObsPath, recursive: bool) -> int:
        """Delete an object, or all objects below a folder; return their number."""
        store = self.store
        if not path.is_folder and store.head(path.bucket, path.key) is not None:
            _deleted(store, path.bucket, [path.key])
            return 1
        if not recursive:
            raise self._missing(path, "delete", _RECURSIVE)
        objects = store.list(path.bucket, path.as_folder().key if path.key else "")
        count, failed, done = 0, [], []
        while True:
            keys = [info.key for info in islice(objects, store.page)]
            if not keys:
                break
            count += len(keys)
            refused = dict(store.delete(path.bucket, keys))
            failed += [(ObsPath(path.bucket, key).url, why) for key, why in refused.items()]
            done += [key for key in keys if key not in refused]
        if failed:
            raise IncompleteTransfer(tuple(failed), tuple(done))
        if not count and path.key:
            folder = path.as_folder()
            if not store.has_folder(folder.bucket, folder.key):
                raise self._missing(path, "delete", "an object")
            _deleted(store, folder.bucket, [folder.key])  # the empty folder of a disk
        return count

    def _is_folder(self, path: ObsPath) -> bool:
        return self.store.has_folder(path.bucket, path.as_folder().key)

    def _memory(self, *parts: str) -> Memory:
        return Memory(self._place(), *parts, environ=os.environ)

    def _missing(self, path: ObsPath, call: str, other: str) -> Exception:
        """Return the error for a missing object or folder, with a hint if the other kind exists."""
        hint = None
        if path.is_folder:
            key = path.key.rstrip("/")
            if key and self.store.head(path.bucket, key) is not None:
                hint = worded("%s is %s", ObsPath(path.bucket, key).url, other)
        elif self._is_folder(path):
            hint = worded("%s is %s", path.as_folder().url, other)
        kind = "folder" if path.is_folder else "object"
        return api_error(
            "there is no such %s" % kind,
            status_code=404,
            error_code="NoSuchKey",
            operation="%s %s" % (call, path.url),
            hint=hint,
        )


def _folder_in(target: ObsPath, folder: str) -> ObsPath:
    return target.as_folder() / (os.path.basename(folder) + "/")


def _one(task: Task, target: str, meter: Meter) -> Transferred:
    """Transfer a single file; an error is raised unchanged."""
    meter.expect(1, task.size)
    meter.began(task)
    with meter:
        task.run(lambda count: meter.moved(task, count))
        meter.ended(task, None)
    return meter.moved_to(target, 1)


def _deleted(store: Store, bucket: str, keys: List[str]) -> None:
    refused: Tuple[Tuple[str, Exception], ...] = tuple(store.delete(bucket, keys))
    if refused:
        raise refused[0][1]
