"""The way to a curve beside that of peers: lines to write and seconds to wait: ``python -m
benchmarks compare``.

Each way is a program, or a command, as its user writes it, and runs as it is printed by
``python -m benchmarks.compare``, on the same event files. The time is from its start to the last
point of a curve, read over HTTP at the address that it has printed. See ``docs/compare.md``.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional

from benchmarks.harness.rounds import ROOT, ratio
from benchmarks.harness.tables import Row
from tests.servers.served import Served

__all__ = ["WAYS", "Way", "rows"]

_RUNS = 3
_STEPS = 200
_SECONDS = 120.0
#: Seconds between two looks for the last point.
_PERIOD = 0.02
_PLAIN = "tensorboard"

_TENSORBOARD = """\
tensorboard --logdir runs --port 0
"""
_OURS = """\
from modelarts import Session, VisualizationJob

job = VisualizationJob.ensure("runs/", auto_stop=2, session=Session.local())
print(job.wait().service_url)
"""
_OURS_COMMAND = """\
modelarts jobs create runs/ --local --auto-stop 2 --wait
"""
#: As a user of the official client gets there: by its models, a loop, and a limit of their own.
_OFFICIAL = """\
import json
import os
import time

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkmodelarts import v1

with open(os.path.expanduser("~/.modelarts/local/service.json")) as file:
    found = json.load(file)
credentials = BasicCredentials(found["access_key"], found["secret_key"], found["project_id"])
client = (
    v1.ModelArtsClient.new_builder()
    .with_credentials(credentials)
    .with_endpoints([found["modelarts_endpoint"]])
    .build()
)
directory = v1.LogDir(pfs=v1.PFSSummary(pfs_path="obs://logs/"))
job = v1.Job(
    kind="visualization_job",
    metadata=v1.JobMetadata(name="board-%d" % time.time_ns()),
    algorithm=v1.JobAlgorithm(summary=v1.Summary(log_type="tensorboard", log_dir=directory)),
    spec=v1.Spec(auto_stop=v1.AutoStop(time_unit="HOURS", duration=2)),
)
made = client.create_training_job(v1.CreateTrainingJobRequest(body=job))
asked = v1.ShowTrainingJobDetailsRequest(training_job_id=made.metadata.id)
deadline = time.monotonic() + 600
while made.status.phase != "Running":
    if made.status.phase in ("Failed", "Abnormal", "Terminated") or time.monotonic() > deadline:
        raise SystemExit("the board does not run: %s" % made.status.phase)
    time.sleep(2)
    made = client.show_training_job_details(asked)
print(made.endpoints.tensorboard.url)
"""


class Way(NamedTuple):
    """One way to a curve.

    Attributes:
        name: what it is called.
        text: what its user writes.
        is_command: True for a command of the shell, False for a program in Python.
        needs: what has to run before: ``"service"``, ``"jupyter"`` or nothing.
    """

    name: str
    text: str
    is_command: bool
    needs: str = ""

    @property
    def lines(self) -> int:
        """The lines to write, without empty ones."""
        return sum(bool(line.strip()) for line in self.text.splitlines())


WAYS = (
    Way(_PLAIN, _TENSORBOARD, True),
    Way("… by jupyter-server-proxy", _TENSORBOARD, True, "jupyter"),
    Way("ensure, no service runs", _OURS, False),
    Way("ensure, the service runs", _OURS, False, "service"),
    Way("modelarts jobs create", _OURS_COMMAND, True, "service"),
    Way("official client, a loop", _OFFICIAL, False, "service"),
)


def rows(quick: bool) -> Iterator[Row]:
    """All ways beside ``tensorboard`` alone, in turns."""
    seconds: Dict[str, List[float]] = {way.name: [] for way in WAYS}
    for _ in range(1 if quick else 5):
        for way in WAYS:
            with tempfile.TemporaryDirectory() as folder:
                took = _time(Path(folder), way)
            if took is not None:
                seconds[way.name].append(took)
    for way in WAYS:
        what = "%2d line%s %s" % (way.lines, " " if way.lines == 1 else "s", way.name)
        mine = seconds[way.name]
        figures = ratio(mine, seconds[_PLAIN]) if mine else None
        yield Row(what, _PLAIN, "seconds", None, figures)


def _time(home: Path, way: Way) -> Optional[float]:
    """Return the seconds from the start of a way to the last point; None if a peer is missing."""
    work = home / "work"
    _write(work / "runs")
    environ = {
        **{name: text for name, text in os.environ.items() if not name.startswith("MODELARTS")},
        "HOME": str(home),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONPATH": str(ROOT),
        "BROWSER": "true",
    }
    with contextlib.ExitStack() as started:
        if way.needs == "service":
            root = home / ".modelarts" / "local"
            served = Served(root, "--mount", "logs=%s" % (work / "runs"), environ=environ)
            started.callback(served.end)
        jupyter = ""
        if way.needs == "jupyter":
            port = _free_port()
            jupyter = "http://127.0.0.1:%d/proxy/%%s/" % port
            command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--ip=127.0.0.1"]
            command += ["--port=%d" % port, "--allow-root", "--IdentityProvider.token="]
            server = started.enter_context(_running(command, work, environ))
            if not _answers("http://127.0.0.1:%d/api" % port, server):
                return None
        if way.is_command:
            command = way.text.split()
        else:
            (work / "program.py").write_text(way.text, encoding="utf-8")
            # As in a notebook, the interpreter is still there when the program has ended.
            command = [sys.executable, "-i", "-q", "program.py"]
        began = time.perf_counter()
        process = started.enter_context(_running(command, work, environ))
        url = _address(process)
        if url is None:
            return None
        if jupyter:
            url = jupyter % url.split(":")[2].strip("/")
        _last_point(url)
        took = time.perf_counter() - began
        if way.text is _OURS and not way.needs:
            # It would end a moment after its program, in a folder that is removed by then.
            _stop_service(environ)
    return took


@contextlib.contextmanager
def _running(
    command: List[str], folder: Path, environ: Dict[str, str]
) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        command,
        cwd=str(folder),
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()


def _address(process: "subprocess.Popen[str]") -> Optional[str]:
    """Return the address that a way prints; None if it ends without one."""
    assert process.stdout is not None
    for line in process.stdout:
        match = re.search(r"http://(localhost|127\.0\.0\.1):\d+\S*", line)
        if match is not None:
            return match.group()
    return None


def _last_point(url: str) -> None:
    """Return as soon as the last point of the last run can be read."""
    address = "%s/data/plugin/scalars/scalars?tag=loss&run=run%d" % (url.rstrip("/"), _RUNS - 1)
    deadline = time.monotonic() + _SECONDS
    while True:
        points = json.loads(_get(address) or b"[]")
        if points and points[-1][1] == _STEPS - 1:
            return
        assert time.monotonic() < deadline, "no last point at %s" % url
        time.sleep(_PERIOD)


def _answers(url: str, process: "subprocess.Popen[str]") -> bool:
    """Wait for an answer; return False if the process ends without one."""
    deadline = time.monotonic() + _SECONDS
    while _get(url) is None:
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline, "nothing answers at %s" % url
        time.sleep(_PERIOD)
    return True


def _get(url: str) -> Optional[bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=30) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, OSError):
        return None


def _stop_service(environ: Dict[str, str]) -> None:
    command = [sys.executable, "-m", "modelarts", "serve", "--stop"]
    subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write(path: Path) -> None:
    from tensorboardX import SummaryWriter

    for run in range(_RUNS):
        with SummaryWriter(str(path / ("run%d" % run))) as writer:
            for step in range(_STEPS):
                writer.add_scalar("loss", 1 / (step + run + 1), step)


def _main() -> None:
    for way in WAYS:
        print("%s\n%s\n%s" % (way.name, "-" * len(way.name), way.text))


if __name__ == "__main__":
    _main()
