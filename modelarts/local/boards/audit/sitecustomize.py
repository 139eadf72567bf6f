"""Confines each Python process of MindInsight to the logs of one job, before all else.

Python imports it at its start, as this folder is on ``PYTHONPATH``; that is the Python which
MindInsight is installed for, and it need not have this package. The rules are a JSON object in the
environment: ``logs``, ``read`` and ``write`` are lists of paths, those of the logs without links in
them; ``links`` are the targets of links that are followed for event files; ``landlock`` is the path
of ``landlock.py``, or null where the kernel confines the process already, or is not to.
"""

import builtins
import io
import json
import os
import runpy
import site
import stat
import sys
import sysconfig
import traceback
from glob import glob
from typing import Any

RULES = "MODELARTS_BOARD_RULES"
_CHANGES = ("os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink")
_STARTS = ("os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen")
_SOCKETS = ("socket.bind", "socket.connect")
_EVENT_FILE_MARKS = (".summary.", "tfevents")
_MAX_REPORTS = 1000


def confine() -> None:
    """Confine this process, and those that it starts, by the rules in its environment."""
    rules = json.loads(os.environ[RULES])
    read = [*rules["read"], *_installed(), os.path.dirname(os.path.realpath(__file__))]
    if rules["landlock"] is not None:
        restrict = runpy.run_path(rules["landlock"])["restrict"]
        logs = [*rules["logs"], *rules["links"]]
        restrict(read, rules["write"], execute=_interpreter(), logs=logs)
        os.environ[RULES] = json.dumps({**rules, "landlock": None})  # for those that it starts
    if sys.version_info >= (3, 8):
        _Guard(rules["logs"], read, rules["links"], rules["write"]).install()


def _installed() -> "list[str]":
    """Return the files and folders of this Python and of the packages installed for it."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = {sysconfig.get_paths()[name] for name in names}
    paths.update(site.getsitepackages())
    if site.ENABLE_USER_SITE:
        paths.add(site.getusersitepackages())
    base = os.path.join(sys.base_prefix, "lib")
    paths.update((base, os.path.dirname(os.__file__), sysconfig.get_config_var("LIBDIR") or base))
    paths.add(os.path.join(sys.prefix, "pyvenv.cfg"))
    return sorted({os.path.realpath(path) for path in paths})


def _interpreter() -> "list[str]":
    """Return this Python's program and the loaders of the C library.

    What multiprocessing starts beside a pool of processes needs them.
    """
    loaders = [
        path for folder in ("/lib", "/lib64", "/lib/*") for path in glob(folder + "/ld-*.so*")
    ]
    return [os.path.realpath(path) for path in (sys.executable, *loaders)]


class _Guard:
    """An audit hook that refuses what the rules do not allow, and an ``open`` that looks again."""

    def __init__(
        self, logs: "list[str]", read: "list[str]", links: "list[str]", write: "list[str]"
    ) -> None:
        self._read = [*logs, *map(os.path.realpath, read), *map(os.path.realpath, write), *write]
        self._links = links
        self._write = [*map(os.path.realpath, write)]
        self._logs = [*logs, *links]
        self._reported: "set[str]" = set()

    def install(self) -> None:
        """Put both in place, for good."""
        plain_open: Any = io.open

        def checked_open(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if isinstance(file, int) or len(rest) > 5 or options.get("opener") is not None:
                return plain_open(file, mode, *rest, **options)
            return plain_open(file, mode, *rest, **options, opener=self._open)

        sys.addaudithook(self)
        io.open = checked_open
        builtins.open = checked_open

    def _open(self, path: "str | bytes", flags: int) -> int:
        """Open a file, and see that it is the one that was checked: links can change meanwhile."""
        # A pipe would keep the thread waiting for a writer.
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        try:
            if sys.platform == "linux":
                opened = os.readlink("/proc/self/fd/%d" % descriptor)
                writes = flags & (os.O_WRONLY | os.O_RDWR)
                self._check(opened, self._write if writes else self._read, path)
                is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
                if not is_regular and _within(opened, self._logs):
                    self._refuse(os.fsdecode(path))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def __call__(self, event: str, arguments: "tuple[object, ...]") -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self._check(path, self._write)
            else:
                self._check(path, self._read)
        elif event in ("os.listdir", "os.scandir"):
            self._check(arguments[0], self._read)
        elif event in _CHANGES:
            for path in arguments:
                self._check(path, self._write)
        elif event in _STARTS:
            self._refuse(event)
        elif event in _SOCKETS and not isinstance(arguments[1], (str, bytes)):
            self._refuse(event)  # an address that is a text is a socket in the file system

    def _check(
        self, path: object, allowed: "list[str]", asked: "str | bytes | None" = None
    ) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        try:
            real = os.path.realpath(os.fsdecode(path))
        except OSError:  # a link that became something else while it was read
            return self._refuse(os.fsdecode(path))
        if _within(real, allowed):
            return
        is_log = os.path.isdir(real) or any(mark in real for mark in _EVENT_FILE_MARKS)
        if not (allowed is self._read and is_log and _within(real, self._links)):
            self._refuse(os.fsdecode(path if asked is None else asked))

    def _refuse(self, what: str) -> None:
        if what not in self._reported and len(self._reported) < _MAX_REPORTS:
            self._reported.add(what)
            print("refused: %r is not of the logs of this job" % what, file=sys.stderr, flush=True)
        raise PermissionError("%s: a board opens nothing but the logs of its job" % what)


def _within(path: str, folders: "list[str]") -> bool:
    return any(path == each or path.startswith(each.rstrip(os.sep) + os.sep) for each in folders)


if RULES in os.environ:
    try:
        confine()
    except BaseException:
        # Python would go on without it.
        traceback.print_exc()
        os._exit(1)
