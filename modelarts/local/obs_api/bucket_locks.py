"""Keeps buckets from being removed while they are written to, by whichever front end."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Iterator


class BucketLocks:
    """The locks of one front end."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._writers: Counter[str] = Counter()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Return a context in which no other bucket is made or removed, nor gets an owner."""
        with self._lock:
            yield

    @contextmanager
    def writing(self, bucket: str) -> Iterator[None]:
        """Return a context in which a bucket is not removed."""
        with self._lock:
            self._writers[bucket] += 1
        try:
            yield
        finally:
            with self._lock:
                self._writers[bucket] -= 1
                if not self._writers[bucket]:
                    del self._writers[bucket]

    @contextmanager
    def removing(self, bucket: str) -> Iterator[bool]:
        """Return a context in which nothing is written to a bucket; False: something is."""
        with self.changing():
            yield not self._writers[bucket]


class SharedBucketLocks(BucketLocks):
    """The locks of several front ends, which end with their processes.

    Args:
        folder: the folder for the files of the locks, which all front ends have.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._depth = 0

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Return a context in which no other bucket is made or removed, nor gets an owner."""
        with self._lock:
            if self._depth:
                yield
                return
            with self._flock("", fcntl.LOCK_EX):
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1

    @contextmanager
    def writing(self, bucket: str) -> Iterator[None]:
        """Return a context in which a bucket is not removed."""
        with self._flock(bucket, fcntl.LOCK_SH):
            yield

    @contextmanager
    def removing(self, bucket: str) -> Iterator[bool]:
        """Return a context in which nothing is written to a bucket; False: something is."""
        with self.changing():
            try:
                lock = self._flock(bucket, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.__enter__()
            except BlockingIOError:
                yield False
                return
            try:
                yield True
            finally:
                lock.__exit__(None, None, None)

    @contextmanager
    def _flock(self, bucket: str, operation: int) -> Iterator[None]:
        # The name may be any text: it was not checked yet.
        name = hashlib.sha256(bucket.encode()).hexdigest()[:32]
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._folder / name, flags, 0o600)
        try:
            fcntl.flock(descriptor, operation)
            yield
        finally:
            os.close(descriptor)
