"""A local service in a process of its own, and what can be seen of processes under Linux."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Dict, List, Optional

from tests.servers.forkserver import ForkedCommand

__all__ = ["Served", "descendants", "fetch", "memory", "parent_of", "spent"]

ROOT = Path(__file__).resolve().parents[2]

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_SECONDS = 120.0


class Served:
    """``modelarts serve`` over a folder; it answers once this is made.

    Args:
        is_forked: fork it from a process that has imported the service, as most tests do.
    """

    def __init__(
        self,
        root: Path,
        *arguments: str,
        environ: Optional[Dict[str, str]] = None,
        is_forked: bool = False,
    ) -> None:
        command = ["serve", "--root", str(root), *arguments]
        self._process: Any = None
        if is_forked:
            self._process = ForkedCommand(command, environ or {}, stderr=subprocess.DEVNULL)
        else:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "modelarts", *command],
                cwd=str(ROOT),
                env={**os.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.connection: Dict[str, Any] = {}
        deadline = time.monotonic() + _SECONDS
        while self.connection.get("pid") != self.pid:
            assert self._process.poll() is None, "the service ended"
            assert time.monotonic() < deadline, "the service does not come up"
            time.sleep(0.01)
            try:
                self.connection = json.loads((root / "service.json").read_text())
            except (FileNotFoundError, ValueError):
                pass

    def session(self, **changes: Any) -> Any:
        """A session by AK/SK."""
        from modelarts.session import Session

        names = ("access_key", "secret_key", "project_id", "region_name", "modelarts_endpoint")
        found = {name: self.connection[name] for name in names}
        return Session(**{**found, "proxies": {}, **changes})

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal and wait for its end."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        self._process.wait()

    def end(self) -> None:
        """End it as its user would."""
        self.kill(signal.SIGTERM)


def fetch(url: str) -> Optional[bytes]:
    """A page; None where there is none, or none yet."""
    # As every browser; TensorBoard unpacks what it keeps packed otherwise.
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    try:
        with _DIRECT.open(request, timeout=60) as answer:
            body = bytes(answer.read())
            return gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body
    except (urllib.error.URLError, OSError):
        return None


def descendants(pid: int) -> List[int]:
    """A process and all that it started, and those started, that run."""
    parents: Dict[int, List[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = _stat(int(name))
        if fields is not None and fields[0] != "Z":
            parents.setdefault(int(fields[1]), []).append(int(name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def parent_of(pid: int) -> Optional[int]:
    """Return the parent of a process; None where there is no such process."""
    fields = _stat(pid)
    return None if fields is None else int(fields[1])


def memory(pids: List[int]) -> int:
    """Return the bytes that processes hold; shared ones count once (PSS)."""
    total = 0
    for pid in pids:
        for line in Path("/proc/%d/smaps_rollup" % pid).read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def spent(pids: List[int]) -> float:
    """The CPU seconds, user and system, that processes have spent."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        ticks += int(fields[11]) + int(fields[12]) if fields is not None else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> Optional[List[str]]:
    try:
        return Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
