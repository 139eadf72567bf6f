"""A Ray cluster of this machine: a head and further nodes, with a token, ended by process id."""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.servers.served import descendants

__all__ = ["RayCluster", "RayNode"]

ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 90.0


class RayNode:
    """``ray start --block``, and what it has started."""

    def __init__(self, output, environ, *arguments):
        with open(str(output), "wb") as file:
            self._start(file, environ, arguments)
        deadline = time.monotonic() + _SECONDS
        while b"Ray runtime started" not in output.read_bytes():
            is_late = time.monotonic() > deadline
            if is_late or self._process.poll() is not None:
                self.kill()
                raise AssertionError("Ray does not come up: %s" % output.read_text())
            time.sleep(0.05)

    def _start(self, output, environ, arguments):
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block"),
                *("--num-cpus=2", "--object-store-memory=80000000", "--disable-usage-stats"),
                *arguments,
            ],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def actors(self):
        """The processes of the boards' actors on this node."""
        return [pid for pid in descendants(self.pid) if _title(pid).startswith(b"ray::BoardHost")]

    def kill(self):
        """Kill the node with all that runs on it, as a power cut does."""
        pids = descendants(self.pid)
        for pid in pids:
            _signal(pid, signal.SIGSTOP)
        for pid in {*pids, *descendants(self.pid)}:
            _signal(pid, signal.SIGKILL)
        self._process.wait()


class RayCluster:
    """A head, which is a node too; ``address`` is where it listens."""

    def __init__(self):
        assert importlib.util.find_spec("ray"), "Ray is not installed: pip install '.[ray]'"
        # Ray puts sockets below it, whose paths must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self.token = self.folder / "token"
        self.token.write_text(secrets.token_hex(32))
        self.token.chmod(0o600)
        # jsonschema loads these packages where they are installed, and compiles a grammar with the
        # first, for four seconds in each process of Ray, which uses none of it.
        (self.folder / "quick").mkdir()
        (self.folder / "tmp").mkdir()
        for name in ("rfc3987_syntax", "rfc3986_validator", "isoduration"):
            (self.folder / "quick" / (name + ".py")).write_text("raise ImportError\n")
        self.environ = {
            "PYTHONPATH": os.pathsep.join([str(self.folder / "quick"), str(ROOT)]),
            "RAY_AUTH_TOKEN_PATH": str(self.token),
        }
        host = _own_address()
        with socket.create_server((host, 0)) as free:
            port = free.getsockname()[1]
        self.address = "%s:%d" % (host, port)
        self.nodes = []
        self.nodes.append(
            self._node(
                *("--head", "--port=%d" % port, "--node-ip-address=" + host),
                *("--include-dashboard=false", "--temp-dir=%s" % (self.folder / "t")),
            )
        )

    def add_node(self):
        """Add a node, on this machine too."""
        try:
            node = self._node("--address=" + self.address)
        except AssertionError:  # Ray gives up when the machine is too busy
            node = self._node("--address=" + self.address)
        self.nodes.append(node)
        return node

    def actors(self):
        """The processes of the boards' actors on all nodes."""
        return [pid for node in self.nodes for pid in node.actors()]

    def end(self):
        """End all of it."""
        for node in reversed(self.nodes):
            node.kill()
        # The parents of boards wait for the next board for some time.
        for path in Path("/proc").glob("[0-9]*"):
            if os.fsencode(self.folder / "tmp") in _title(int(path.name)):
                os.kill(int(path.name), signal.SIGKILL)
        shutil.rmtree(str(self.folder), ignore_errors=True)

    def _node(self, *arguments):
        environ = {
            **os.environ,
            **self.environ,
            "RAY_AUTH_MODE": "token",
            "TMPDIR": str(self.folder / "tmp"),
            # As docs/cluster.md says.
            "RAY_worker_niceness": "0",
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "3000",
        }
        return RayNode(self.folder / ("node-%d" % len(self.nodes)), environ, *arguments)


def _own_address():
    """The address by which Ray knows this machine; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            any_socket.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"  # it has no other
        return any_socket.getsockname()[0]


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it has just ended


def _title(pid):
    try:
        return Path("/proc/%d/cmdline" % pid).read_bytes()
    except OSError:
        return b""
