"""Runs one training to its end and records it, whether or not the service lives meanwhile.

Started as ``python -I -S keeper.py FOLDER``; it imports the standard library only, so that a
training starts at once. It reads ``spec.json`` in the folder, and writes there:

``lock``          locked for as long as this process lives; holds its process id.
``started.json``  made once, before the training is started: a training never runs twice.
``ended.json``    how it ended; there before the lock is free.

It prints ``ready`` once it has the lock, and starts the training when it reads ``go``; where the
service is gone by then, it starts nothing. So where the lock is free, no training of the folder
starts by itself. It prints one more line when the training runs, or the reason why it cannot.
SIGTERM ends the training with its grace period, SIGINT at once. When the training's first process
ends, so do all others that it has started, in whatever session they are.

Sources: ``prctl(2)`` (subreapers), ``proc(5)``, ``flock(2)``.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any, Callable

_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36
#: How often the limits are looked at, and how often the number of all processes of the system is.
_LOOK_SECONDS = 1.0
_COUNT_SECONDS = 0.05
_LOCK_SECONDS = 0.005
#: How long to wait until the record of the end can be written, as on a full disk.
_RETRY_SECONDS = 1.0
#: Of 1000: as if it had half of the memory more than it has.
_OOM_SCORE = "500"
_PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Run the training of the folder that the command line names."""
    folder = sys.argv[1]
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    # One whose service is gone ends at once; one that has started its training is not waited for.
    while not _locked(lock):
        if os.path.exists(os.path.join(folder, "started.json")):
            _report("it was started before")
            return
        time.sleep(_LOCK_SECONDS)
    os.ftruncate(lock, 0)
    os.write(lock, b"%d" % os.getpid())
    with open(os.path.join(folder, "spec.json"), encoding="utf-8") as file:
        spec = json.load(file)
    if not _may_start():
        return
    if spec.get("ends_with") is not None:
        _end_with(spec["ends_with"])
    began = time.monotonic()
    try:
        _write_new(folder, "started.json", {"pid": os.getpid(), "time": time.time()})
    except FileExistsError:
        _report("it was started before")
        return
    keeper = _Keeper(spec)
    problem = keeper.start()
    _report(problem or "started")
    outcome: dict[str, Any] = {"error": problem} if problem else keeper.wait()
    outcome.update(time=time.time(), seconds=time.monotonic() - began)
    while True:
        try:
            _write_new(folder, "ended.json", outcome)
            return
        except OSError:
            if not os.path.isdir(folder):
                return
            time.sleep(_RETRY_SECONDS)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class _Keeper:
    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._pid = 0
        self._ended_by: str | None = None
        self._kill_at: float | None = None
        self._others = 0
        self._wakeup, write = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._end("stop", spec["grace"]))
        signal.signal(signal.SIGINT, lambda *_: self._end("kill", 0))
        signal.signal(signal.SIGUSR1, lambda *_: self._end("lost", 0))
        signal.signal(signal.SIGHUP, lambda *_: None)
        # A thread of Ray that starts this process has blocked some, which processes inherit.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if sys.platform == "linux":
            # Processes whose parents have ended become children of this one, and can be found.
            ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def start(self) -> str | None:
        """Start the training; return the reason why it cannot be, None if it runs."""
        spec = self._spec
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        output = os.open(spec["log"], flags, 0o600)
        _come_first()
        self._others = _count_all()
        nothing = os.open(os.devnull, os.O_RDONLY)
        reading, writing = os.pipe()
        keeper = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                _become(spec, keeper, nothing, output)
                os.execvpe(spec["command"][0], spec["command"], spec["environ"])
            except BaseException as error:
                os.write(writing, str(error).encode()[:2000])
            os._exit(127)
        for descriptor in (writing, output, nothing):
            os.close(descriptor)
        with open(reading, "rb") as file:
            problem = file.read().decode("utf-8", "replace")
        if problem:
            os.waitpid(self._pid, 0)
        return problem or None

    def wait(self) -> dict[str, Any]:
        """Wait for the end, keeping the limits; return how it ended."""
        look_at = time.monotonic() + _LOOK_SECONDS
        status = None
        while status is None:
            select.select([self._wakeup], [], [], _COUNT_SECONDS)
            drain(self._wakeup)
            status = self._reap()
            now = time.monotonic()
            if self._kill_at is not None:
                if now >= self._kill_at:
                    self._kill_all()
            elif now >= look_at or _count_all() - self._others > self._spec["processes"]:
                look_at = now + _LOOK_SECONDS
                exceeded = self._exceeded()
                if exceeded:
                    self._end(exceeded, 0)
        ended_by = self._ended_by
        self._kill_all()
        code = None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        return {"code": code, "signal": number, "by": ended_by}

    def _end(self, reason: str, grace: float) -> None:
        """Begin to end the training; runs in a signal's handler too."""
        if self._ended_by is None:
            self._ended_by = reason
        kill_at = time.monotonic() + grace
        if self._kill_at is None or kill_at < self._kill_at:
            self._kill_at = kill_at
        if grace:
            self._signal(signal.SIGTERM)

    def _reap(self) -> int | None:
        """Reap what has ended; return the status of the first process if it is among it."""
        status = None
        while True:
            try:
                pid, exit_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return status
            if pid == 0:
                return status
            if pid == self._pid:
                status = exit_status
                # Its number may be given to another process from now on.
                self._pid = 0

    def _signal(self, number: int) -> bool:
        if self._pid:
            _kill(os.killpg, self._pid, number)
        descendants = _descendants(os.getpid())
        for pid in descendants:
            _kill(os.kill, pid, number)
        return bool(descendants)

    def _kill_all(self) -> None:
        """Kill all processes of the training until there are none."""
        while self._signal(signal.SIGKILL):
            time.sleep(0.001)

    def _exceeded(self) -> str | None:
        spec = self._spec
        descendants = _descendants(os.getpid())
        if len(descendants) > spec["processes"]:
            return "processes"
        # The second counts pages that processes share once, and takes longer.
        if all(sum(map(size, descendants)) > spec["memory"] for size in (_resident, _proportional)):
            return "memory"
        try:
            if os.stat(spec["log"]).st_size > spec["log_size"]:
                return "log"
            disk = os.statvfs(os.path.dirname(spec["log"]))
            if disk.f_bavail * disk.f_frsize < spec["disk"]:
                return "disk"
        except OSError:
            pass  # the log was removed, which affects only this training
        return None


def _become(spec: dict[str, Any], keeper: int, nothing: int, output: int) -> None:
    """Turn the forked process into that of the training, but for its program."""
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for what, limit in (
        (resource.RLIMIT_DATA, spec["memory"]),
        (resource.RLIMIT_NOFILE, spec["files"]),
        # Of all processes and threads of this user; the kernel exempts root.
        (resource.RLIMIT_NPROC, _count_all() + spec["processes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(what, (limit, limit))
    try:
        # If the machine has no memory left, this ends, and neither its keeper nor the service.
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(_OOM_SCORE)
    except OSError:
        pass
    os.umask(0o077)
    os.chdir(spec["cwd"])


def _end_with(parent: int) -> None:
    """End with the thread that started this process, as if a limit was exceeded (Linux only)."""
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGUSR1)
        if os.getppid() != parent:
            sys.exit(1)


def _come_first() -> None:
    """Be scheduled before the training, where that is allowed, so that limits can be kept."""
    try:
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(1))
    except (AttributeError, OSError):
        pass  # root may; for others the kernel keeps the limit of processes


def _count_all() -> int:
    """Return the number of all processes and threads of the system, 0 where it is unknown."""
    try:
        with open("/proc/loadavg", "rb") as file:
            return int(file.read().split()[3].split(b"/")[1])
    except (OSError, ValueError, IndexError):
        return 0


def _descendants(ancestor: int) -> list[int]:
    """Return the processes below one that have not ended."""
    children: dict[int, list[tuple[int, bytes]]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, "rb") as file:
                # The program's name, in brackets, may hold anything.
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        children.setdefault(int(parent), []).append((int(name), state))
    running, parents = [], [ancestor]
    while parents:
        for pid, state in children.get(parents.pop(), ()):
            parents.append(pid)
            if state not in (b"Z", b"X"):
                running.append(pid)
    return running


def _resident(pid: int) -> int:
    try:
        with open("/proc/%d/statm" % pid, "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    try:
        with open("/proc/%d/smaps_rollup" % pid, "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return _resident(pid)


def _kill(call: Callable[[int, int], None], pid: int, number: int) -> None:
    try:
        call(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def drain(descriptor: int) -> None:
    """Read what there is to read, without waiting for more."""
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        pass


def _may_start() -> bool:
    """Tell the service that this is ready; return True if it is there to say ``go``."""
    try:
        os.write(1, b"ready\n")
    except OSError:
        return False
    return sys.stdin.readline() == "go\n"


def _report(text: str) -> None:
    """Print a line for the service, which may be gone, and close the output."""
    try:
        os.write(1, text.encode() + b"\n")
    except OSError:
        pass
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def _write_new(folder: str, name: str, content: dict[str, Any]) -> None:
    """Write a file that is not there yet, whole or not at all, so that it survives a power cut.

    Raises:
        FileExistsError: it is there.
        OSError: it cannot be written.
    """
    temporary = os.path.join(folder, ".%s.%d" % (name, os.getpid()))
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, os.path.join(folder, name))
    finally:
        try:
            os.unlink(temporary)
        except OSError:
            pass
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


if __name__ == "__main__":
    main()
