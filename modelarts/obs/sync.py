"""Keeps a folder in OBS equal to a local folder: one pass, or one after another."""

import os
import warnings
from threading import Event
from typing import Callable, Dict, List, Optional, Set, Tuple

import attr

from modelarts._internal.clock import Clock
from modelarts._internal.warnings import level_of_the_caller
from modelarts.errors import IncompleteTransfer, ModelArtsError, PermissionDenied
from modelarts.obs.directory import Comparison, LocalFile, Send, say_skipped
from modelarts.obs.executor import Helper
from modelarts.obs.paths import ObsPath
from modelarts.obs.progress import Meter
from modelarts.obs.results import Transferred
from modelarts.obs.stores.base import ObjectInfo, Store
from modelarts.obs.sync_cache import Memory

__all__ = ["Sync", "Watch", "keep_following"]

#: The seconds between two checks for the end during a pause.
_LOOK = 0.2


class Sync(Comparison):
    """A local folder and its folder in OBS.

    The first pass compares the files with the objects. Later passes send the files that changed.
    """

    def __init__(
        self, store: Store, folder: str, target: ObsPath, memory: Memory, clock: Clock
    ) -> None:
        self._store = store
        self._folder = folder
        self._target = target
        self._memory = memory
        self._clock = clock
        self._there: Optional[Dict[str, ObjectInfo]] = None
        #: Files that are the same in OBS, with True if a later change must show in a file's size
        #: or time.
        self._done: Dict[str, Tuple[LocalFile, bool]] = {}
        self._began = 0.0
        self._warned: Set[str] = set()
        self.result = Transferred(target=target.url)

    def run(self, threads: Optional[int], meter: Meter) -> Transferred:
        """Make one pass; return the result of all passes together.

        Raises:
            IncompleteTransfer: some files could not be sent; the next pass tries again.
        """
        began = self._clock.monotonic()
        self._began = self._clock.time()
        if self._there is None:
            listed = self._store.list(self._target.bucket, self._target.key)
            self._there = {info.key[len(self._target.key) :]: info for info in listed}
        sending = Send(self._store, self._target, self)
        skipped: List[str] = []
        failed: Optional[IncompleteTransfer] = None
        try:
            sending.run_folder(self._folder, skipped.append, threads, meter)
            self._memory.interrupted = False
        except IncompleteTransfer as error:
            failed = error
        finally:
            self._memory.save()
            new = [path for path in skipped if path not in self._warned]
            self._warned.update(new)
            before = self.result
            self.result = Transferred(
                target=before.target,
                files=before.files + len(sending.sent),
                bytes=before.bytes + meter.bytes,
                seconds=before.seconds + self._clock.monotonic() - began,
                unchanged=len(sending.same),
                skipped=(*before.skipped, *new, *sending.gone),
            )
        say_skipped(new)
        if failed is not None:
            raise failed
        return self.result

    def quick(self, file: LocalFile) -> Optional[bool]:
        """Compare by size and time, and by the cache of earlier transfers."""
        if file.relative in self._done:
            before, is_settled = self._done[file.relative]
            if before != file:
                # A changed file can have the same size and time.
                return None if before == attr.evolve(file, changed=before.changed) else False
            return True if is_settled else None
        info = (self._there or {}).get(file.relative)
        if info is None or info.size != file.size:
            return False
        if not self._memory.knows(file, info.etag):
            return None
        self._note(file, info.etag)
        return True

    def look(self, file: LocalFile) -> bool:
        """Compare by content."""
        try:
            if file.relative in self._done:
                info = self._store.head(self._target.bucket, self._target.key + file.relative)
            else:
                info = (self._there or {}).get(file.relative)
            if info is None or not self._store.same(file.path, info):
                return False
        except PermissionDenied:
            return False  # without the permission to look up objects
        self._store.forget(file.path, info)
        self._note(file, info.etag)
        return True

    def sent(self, file: LocalFile) -> None:
        """Record the file in its listed state; the next pass sends what was appended since."""
        self._note(file, None)

    def _note(self, file: LocalFile, etag: Optional[str]) -> None:
        # File times have a coarse resolution, so a change right after another may not show.
        step = 2.0 if file.modified % 1_000_000_000 == 0 else 0.05
        is_settled = file.modified / 1e9 < self._began - step
        self._done[file.relative] = (file, is_settled)
        if is_settled:
            self._memory.note(file, etag)


def _follow(
    one_pass: Callable[[], object],
    is_over: Callable[[], bool],
    failed: Callable[[Exception], object],
    clock: Clock,
    interval: float,
) -> None:
    """Make passes until ``is_over`` returns True.

    The pause is at least ``interval`` seconds and at least the duration of the last pass; after
    failures it is up to eight times as long.
    """
    failures = 0
    while not is_over():
        began = clock.monotonic()
        try:
            one_pass()
            failures = 0
        except (ModelArtsError, OSError) as error:
            failures = min(failures + 1, 3)
            failed(error)
        now = clock.monotonic()
        until = now + max(interval, now - began) * 2**failures
        while now < until and not is_over():
            clock.sleep(min(until - now, _LOOK))
            now = clock.monotonic()


def keep_following(
    one_pass: Callable[[], Transferred],
    folder: str,
    is_over: Callable[[], bool],
    clock: Clock,
    interval: float,
) -> Transferred:
    """Follow a folder until ``is_over`` returns True, or Ctrl-C; then make a last pass.

    An error of the first pass is raised at once, but for single files, which are tried again.
    """
    try:
        try:
            one_pass()
        except IncompleteTransfer as error:
            _say_failed(error, folder)
        _follow(one_pass, is_over, lambda error: _say_failed(error, folder), clock, interval)
    except KeyboardInterrupt:
        pass
    result = one_pass()
    _say_if_missing(folder, result)
    return result


class Watch:
    """A thread that uploads the changes of a folder while a ``with`` block runs.

    At the end of the block there is a last pass, after which all files are in OBS; that pass raises
    an error if it fails. A pass in between that fails warns, and the next one tries again.

    Attributes:
        errors: the errors of the passes in between.
        result: the result of all passes until now; None before the first pass.

    Example:
        >>> with session.obs.watch("runs", "obs://bucket/logs/"):             # doctest: +SKIP
        ...     train()
    """

    def __init__(
        self, one_pass: Callable[[], Transferred], folder: str, clock: Clock, interval: float
    ) -> None:
        """Make the object for one folder; users take it from ``session.obs.watch(…)``.

        Args:
            one_pass: the function that uploads what has changed.
            folder: the folder, for messages.
            clock: the source of time and of pauses.
            interval: the seconds between two passes.
        """
        self._one_pass = one_pass
        self._folder = folder
        self._clock = clock
        self._interval = interval
        self._end = Event()
        self._thread: Optional[Helper] = None
        self._pid = os.getpid()
        self._broken: Optional[BaseException] = None
        self.errors: List[Exception] = []
        #: The result of all passes until now; None before the first pass.
        self.result: Optional[Transferred] = None

    def start(self) -> "Watch":
        """Start the thread, as ``with`` does.

        Returns:
            This object.

        Raises:
            RuntimeError: the thread was started before.
        """
        if self._thread is not None:
            raise RuntimeError("this watch was started already")
        self._pid = os.getpid()
        self._thread = Helper(self._run, "modelarts-watch")
        self._thread.start()
        return self

    def stop(self) -> Transferred:
        """Make the last pass, and end the thread.

        Returns:
            What was transferred, in all passes.

        Raises:
            IncompleteTransfer: some files could not be sent.
            ApiError: OBS refused the request.
            TransportError: no response from OBS.
            RuntimeError: it was made in another process.
        """
        if self._pid != os.getpid():
            # The thread does not exist in a forked process, and a join would never return.
            raise RuntimeError("it was made in another process")
        self._end.set()
        if self._thread is not None:
            self._thread.wait()
        self.result = self._one_pass()
        _say_if_missing(self._folder, self.result)
        if (
            self._broken is not None
        ):  # nothing was followed since the error, but the last pass has sent all
            raise self._broken
        return self.result

    def _run(self) -> None:
        try:
            _follow(self._pass, self._end.is_set, self._note, self._clock, self._interval)
        except BaseException as error:
            self._broken = error

    def _pass(self) -> None:
        self.result = self._one_pass()

    def _note(self, error: Exception) -> None:
        self.errors.append(error)
        _say_failed(error, self._folder)

    def __enter__(self) -> "Watch":
        return self.start()

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        if self._pid != os.getpid():
            return  # in a process forked in the block; the parent goes on
        if error is None:
            self.stop()
            return
        try:
            self.stop()
        except Exception as failure:
            # The error that ended the block is more important to the user.
            self._note(failure)

    def __repr__(self) -> str:
        return "Watch(%r: %s)" % (self._folder, self.result or "no pass yet")


def _say_if_missing(folder: str, result: Transferred) -> None:
    """Warn of a folder that never existed: its name may be wrong."""
    if not result.files and not os.path.isdir(folder):
        warnings.warn(
            "there is no folder %s, so nothing was sent" % folder,
            UserWarning,
            stacklevel=level_of_the_caller(),
        )


def _say_failed(error: Exception, folder: str) -> None:
    """Warn of a failed pass; the next pass tries again."""
    warnings.warn(
        "%s is not up to date in OBS; the next pass tries again: %s" % (folder, error),
        UserWarning,
        stacklevel=level_of_the_caller(),
    )
