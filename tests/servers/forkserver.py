"""Commands in processes that are forked from one which has imported the local service.

To import it takes most of the processor time of a service that tests start. What is forked runs
the same ``main`` with its own environment, session, folder and files. It has the command line, and
``/proc/PID/environ``, of its parent.

The same holds for the parent of its boards, which loads TensorBoard: it is forked before the
service begins, holds nothing of the service, and waits until multiprocessing starts it.
"""

import atexit
import fcntl
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from importlib import import_module
from multiprocessing import util
from pathlib import Path

__all__ = ["ForkedCommand", "needs_exec", "run_forked"]

_ROOT = Path(__file__).resolve().parents[2]
#: The beginnings of names in the environment that a program looks at when it starts.
_AT_START = ("PYTHON", "LD_", "MALLOC_", "LC_", "LANG", "RAY_", "GRPC_")

#: What services import when they run.
_IMPORTED = ("modelarts.__main__", "modelarts.local.server.main")
#: The place of what the parent of the boards imports.
_BOARDS = "modelarts.local.boards.parent"


def needs_exec(name):
    """Return True for a variable of the environment that has no effect after the start."""
    return name.startswith(_AT_START)


class ForkedCommand:
    """A command ``modelarts`` with the methods of ``subprocess.Popen`` that tests use.

    Args:
        arguments: those after ``modelarts``.
        environ: more variables of its environment.
        stdout: a descriptor or a file; its output is thrown away where there is none.
        stderr: ``subprocess.PIPE``, or ``subprocess.DEVNULL`` if nobody reads it.
    """

    def __init__(self, arguments, environ, stdout=None, stderr=subprocess.PIPE):
        self.stderr, write = None, os.open(os.devnull, os.O_WRONLY)
        if stderr == subprocess.PIPE:
            os.close(write)
            read, write = os.pipe()
            self.stderr = os.fdopen(read, encoding="utf-8", errors="replace")
        null = os.open(os.devnull, os.O_RDWR)
        output = null if stdout is None else stdout if isinstance(stdout, int) else stdout.fileno()
        try:
            environ = {**os.environ, **environ}
            files = [null, output, write]
            self.pid, self._ended = _Parent.running().start(list(arguments), environ, files)
        finally:
            os.close(null)
            os.close(write)
        self.returncode = None

    def poll(self):
        """Return the exit code; None while it runs."""
        if self._ended.is_set():
            self.returncode = self._ended.code
        return self.returncode

    def wait(self, timeout=None):
        """Return the exit code, once it has ended."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("modelarts", timeout)
        return self.poll()

    def send_signal(self, number):
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)


def run_forked(*arguments, timeout=120):
    """Run a command ``modelarts`` to its end, as ``subprocess.run`` does.

    Args:
        arguments: those after ``modelarts``.
        timeout: seconds; where it has not ended by then, it is killed and the test fails.

    Returns:
        A ``CompletedProcess`` with its output as texts.
    """
    with tempfile.TemporaryFile("w+") as output:
        command = ForkedCommand(arguments, {}, stdout=output)
        timer = threading.Timer(timeout, command.kill)
        timer.start()
        try:
            with command.stderr:
                error = command.stderr.read()
            code = command.wait(timeout)
        finally:
            timer.cancel()
        output.seek(0)
        return subprocess.CompletedProcess(arguments, code, output.read(), error)


class _Ended(threading.Event):
    code = None


_LOCK = threading.Lock()
#: Those that run, by the environment of their Python.
_PARENTS = {}


class _Parent:
    """The process that forks, one for each process of the tests and environment of Python."""

    @classmethod
    def running(cls):
        """Return the one for the environment as it is now."""
        environ = tuple(sorted(pair for pair in os.environ.items() if needs_exec(pair[0])))
        with _LOCK:
            if environ not in _PARENTS:
                _PARENTS[environ] = cls()
            return _PARENTS[environ]

    def __init__(self):
        self._socket, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(other.fileno())],
                cwd=str(_ROOT),
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._answers = self._socket.makefile("r")
        self._order = threading.Lock()
        self._started = threading.Condition()
        self._new = []
        self._ends = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        atexit.register(self.close)

    def start(self, arguments, environ, descriptors):
        """Return the process id of a new command, and what tells its end."""
        order = {"arguments": arguments, "environ": environ, "cwd": os.getcwd()}
        content = json.dumps(order).encode()
        with self._order, self._started:
            socket.send_fds(self._socket, [b"%10d" % len(content)], descriptors)
            self._socket.sendall(content)
            assert self._started.wait_for(lambda: self._new, timeout=120), "nothing was started"
            return self._new.pop()

    def _read(self):
        for line in self._answers:
            answer = json.loads(line)
            with self._started:
                if "code" in answer:
                    ended = self._ends.pop(answer["pid"])
                    ended.code = answer["code"]
                    ended.set()
                else:
                    ended = self._ends[answer["pid"]] = _Ended()
                    self._new.append((answer["pid"], ended))
                    self._started.notify_all()

    def close(self):
        """End it; what it has started goes on."""
        atexit.unregister(self.close)
        self._socket.shutdown(socket.SHUT_WR)
        self._process.wait()
        self._reader.join()
        self._answers.close()
        self._socket.close()


def _serve(channel):
    """Fork a command for each order, and report its end."""
    from modelarts.cli import main

    for name in (*_IMPORTED, *import_module(_BOARDS)._PRELOADED):
        with suppress(ImportError):  # as multiprocessing does
            import_module(name)
    woken, wake = os.pipe()
    for descriptor in (woken, wake):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake)
    running = set()
    while True:
        ready, _, _ = select.select([channel, woken], [], [])
        if channel in ready:
            size, descriptors, _, _ = socket.recv_fds(channel, 10, 3)
            if not size:
                return
            content = b""
            while len(content) < int(size):
                content += channel.recv(int(size) - len(content))
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for descriptor in (woken, wake):
                    os.close(descriptor)
                channel.close()
                _run(main, json.loads(content), descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            running.add(pid)
            _answer(channel, pid=pid)
        if woken in ready:
            os.read(woken, 4096)
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                running.remove(pid)
                _answer(channel, pid=pid, code=os.waitstatus_to_exitcode(status))


class _BoardsParent:
    """A child of a service that becomes the parent of its boards."""

    def __init__(self):
        self._channel, other = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            self._channel.close()
            self._become(other)
        other.close()

    def wait_for_start(self):
        """Have multiprocessing start its server for forks as this child, once."""
        self._start, util.spawnv_passfds = util.spawnv_passfds, self._spawn

    def _spawn(self, path, arguments, descriptors):
        if "multiprocessing.forkserver" not in arguments[-1]:
            return self._start(path, arguments, descriptors)
        util.spawnv_passfds = self._start
        status = Path("/proc/self/status").read_text()
        order = {
            "program": arguments[-1],
            "numbers": list(descriptors),
            "cwd": os.getcwd(),
            "umask": int(status.partition("Umask:")[2].split()[0], 8),
            "files": resource.getrlimit(resource.RLIMIT_NOFILE),
            "environ": dict(os.environ),
        }
        socket.send_fds(self._channel, [json.dumps(order).encode()], descriptors)
        self._channel.close()
        return self._pid

    @staticmethod
    def _become(channel):
        content, descriptors, _, _ = socket.recv_fds(channel, 1 << 20, 8)
        if not content:
            os._exit(0)  # the service has ended
        channel.close()
        order = json.loads(content)
        os.chdir(order["cwd"])
        os.umask(order["umask"])
        resource.setrlimit(resource.RLIMIT_NOFILE, order["files"])
        os.environ.clear()
        os.environ.update(order["environ"])
        high = [fcntl.fcntl(number, fcntl.F_DUPFD, 500) for number in descriptors]
        for number in (*descriptors, *high):
            if number in high:
                os.dup2(number, order["numbers"][high.index(number)])
            os.close(number)
        sys.argv[:] = ["-c"]
        try:
            exec(order["program"], {})
        finally:
            os._exit(0)


def _answer(channel, **answer):
    channel.sendall(json.dumps(answer).encode() + b"\n")


def _run(main, order, descriptors):
    """Run a command in this new process; does not return."""
    code = 1
    try:
        os.setsid()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["environ"])
        time.tzset()
        tempfile.tempdir = None
        _BoardsParent().wait_for_start()
        # What multiprocessing loads in a child that it starts.
        sys.modules["__main__"] = import_module("modelarts.__main__")
        sys.argv[:] = ["modelarts", *order["arguments"]]
        code = main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            # As an interpreter ends: the threads that are no daemons, then what is registered.
            threading._shutdown()
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
