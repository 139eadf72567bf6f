"""Landlock: restricts which files and ports the calling process can reach (Linux 5.13 and newer).

The three system calls have no wrapper in libc, and one binding of them is smaller than a
dependency. Sources: ``linux/landlock.h``, *Landlock: unprivileged access control*.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from functools import lru_cache
from typing import Iterable

# The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
#: The rights that a rule about a file, not a folder, can give.
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1


def abi() -> int:
    """Return the version of Landlock that this kernel has; 0: none, or it is switched off."""
    if sys.platform != "linux":
        return 0
    version = _syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    return max(version, 0)


def restrict(
    read: Iterable[str],
    write: Iterable[str],
    execute: Iterable[str] = (),
    listen: Iterable[int] = (),
    connect: Iterable[int] = (),
    logs: Iterable[str] = (),
    keep_signals: bool = False,
) -> None:
    """Restrict this thread, and all threads and processes that it starts, for good.

    It can open no file but those below the given paths. With Linux 6.7 and newer it can listen on
    and connect to the given TCP ports only; sockets that it has already go on. From 6.12 on, it
    signals no process but those that it starts. Paths that do not exist are left out.

    Args:
        read: files, and folders with all below them.
        write: folders whose files it may also create, change and remove.
        execute: files and folders that it may also run programs from.
        listen: TCP ports; 0 is any that the kernel chooses.
        connect: TCP ports.
        logs: like ``read``, but without links in their paths. One whose path has a link by now
            is left out: who writes the logs may have put it there since the path was checked.
        keep_signals: restrict no signals more than :func:`restrict_signals` has done.

    Raises:
        OSError: the kernel refuses, or has no Landlock.
    """
    version = abi()
    if not version:
        raise OSError(f"no Landlock on {sys.platform}")
    every = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    attributes = struct.pack("=Q", every)
    if version >= 4:
        attributes += struct.pack("=Q", _BIND_TCP | _CONNECT_TCP)
    if version >= 6:
        attributes += struct.pack("=Q", _ABSTRACT_SOCKETS | (0 if keep_signals else _SIGNALS))
    ruleset = _ruleset(attributes)
    try:
        reading = _READ_FILE | _READ_DIR
        for paths, rights, with_links in (
            (read, reading, True),
            (logs, reading, False),
            (execute, reading | _EXECUTE, True),
            (write, every & ~_EXECUTE, True),
        ):
            for path in paths:
                _allow(ruleset, path, rights & every, with_links)
        if version >= 4:
            for ports, right in ((listen, _BIND_TCP), (connect, _CONNECT_TCP)):
                for port in ports:
                    rule = struct.pack("=QQ", right, port)
                    _checked(_ADD_RULE, ruleset, _NET_PORT, rule, ctypes.c_uint32(0))
        _enforce(ruleset)
    finally:
        os.close(ruleset)


def restrict_signals() -> None:
    """Have this thread, and what it starts, signal each other only, from Linux 6.12 on.

    Those that restrict themselves apart later can still do so with ``keep_signals``. The kernel
    takes the signal at the end of a parent for one of the parent.

    Raises:
        OSError: the kernel refuses.
    """
    if abi() < 6:
        return
    ruleset = _ruleset(struct.pack("=QQQ", 0, 0, _SIGNALS))
    try:
        _enforce(ruleset)
    finally:
        os.close(ruleset)


def _ruleset(attributes: bytes) -> int:
    size = ctypes.c_size_t(len(attributes))
    return _checked(_CREATE_RULESET, attributes, size, ctypes.c_uint32(0))


def _enforce(ruleset: int) -> None:
    if _libc().prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs was refused")
    _checked(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0))


def _allow(ruleset: int, path: str, rights: int, with_links: bool) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # a path that is not there needs no right
        return
    try:
        if not with_links and os.readlink(f"/proc/self/fd/{descriptor}") != path:
            return
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, descriptor)
        _checked(_ADD_RULE, ruleset, _PATH_BENEATH, rule, ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


@lru_cache(maxsize=None)
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _syscall(number: int, *arguments: object) -> int:
    return int(_libc().syscall(ctypes.c_long(number), *arguments))


def _checked(number: int, *arguments: object) -> int:
    result = _syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result
