"""Trainings of the V1 Estimator as processes of this machine (``train_instance_type='local'``).

The code and the data are copied from OBS, the boot file runs in a process group of its own, and
what it wrote is sent to OBS at the end. The trainings are known to the process that started them.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from typing import IO, Any, Callable, Dict, Optional, Sequence

from modelarts._internal.terminal import writable
from modelarts._status import JobStatus
from modelarts.environment.virtual import find_python, make_environment
from modelarts.errors import InvalidArgument, JobStateError, ModelArtsError, api_error
from modelarts.http.client import ServiceClient
from modelarts.session import Session
from modelarts.training.v1_definition import (
    DATA,
    LOCAL,
    NUM_GPUS,
    OUTPUT,
    REST,
    Definition,
    part_of,
    wanted,
)

Body = Dict[str, Any]

_PREFIX = "local-"
_VERSION = "1"
#: Seconds that a training has to end after SIGTERM.
_GRACE = 10
#: The exit status of a command that was not started, as the training was stopped.
_STOPPED = 143
#: Seconds between two looks at the output.
_LOOK = 0.05
_MOXING = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "_moxing")
_ENDPOINT = "MODELARTS_OBS_ENDPOINT"
#: Runs a command, and ends it with its process group when the program that started it has ended:
#: its standard input is a pipe from there. After SIGTERM it goes on until the command has ended.
_GUARD = """
import os, signal, subprocess, sys, threading

def guard():
    sys.stdin.buffer.read()
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    child.kill()

signal.signal(signal.SIGTERM, lambda number, frame: None)
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
threading.Thread(target=guard, daemon=True).start()
code = child.wait()
os._exit(code if code >= 0 else 128 - code)
"""


def is_local_id(job_id: str) -> bool:
    """Return True for the id of a training of this machine."""
    return job_id.startswith(_PREFIX)


class Run:
    """A training that runs as a process of this machine.

    Args:
        session: the session, whose OBS has the code and the data.
        definition: the definition, with a name and with data.
        say: prints a line; None to print nothing.
    """

    def __init__(
        self, session: Session, definition: Definition, say: Optional[Callable[[str], object]]
    ) -> None:
        self.job_id = _PREFIX + os.urandom(6).hex()
        self.definition = definition
        self.description = definition.description
        self.status = JobStatus.INIT
        self.create_time = int(session.clock.time() * 1000)
        self.duration = 0
        self.reason: Optional[str] = None
        self._session = session
        self._say = say
        self._began: Optional[float] = None
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._is_stopped = False
        self._rest = ""  # of the output: a line without its end
        self._shown = 0  # the position in the log behind the last command's output
        self._lock = threading.Lock()
        self._folder = tempfile.mkdtemp(prefix="modelarts-training-")
        self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self.log_path = os.path.join(self._folder, self.log_name)
        open(self.log_path, "wb").close()

    @property
    def log_name(self) -> str:
        """The name of the log file, as v1 forms it."""
        return "job-%s.0" % self.definition.job_name

    def start(self) -> None:
        """Run the training in a thread, which a program waits for before it ends."""
        threading.Thread(target=self.run, name="modelarts training", daemon=False).start()

    def run(self) -> None:
        """Run the training to its end; what goes wrong is its status and reason."""
        try:
            self._enter(JobStatus.INIT)
            code = self._run()
            self._send_output()
            if self._is_stopped:
                self._end(JobStatus.KILLED)
            elif code:
                self._end(JobStatus.FAILED, "the boot file ended with exit status %d" % code)
            else:
                self._end(JobStatus.COMPLETED)
        except (ModelArtsError, OSError) as error:
            if self._is_stopped:
                self._end(JobStatus.KILLED)
            else:
                self._end(JobStatus.FAILED, str(error))
        except BaseException:
            # Ctrl-C: the process belongs to this program, which has to end it.
            self.stop()
            self._end(JobStatus.KILLED)
            raise

    def stop(self) -> None:
        """End the process and all that it started.

        Raises:
            JobStateError: the training has ended.
        """
        with self._lock:
            if self.status.is_final:
                raise JobStateError(
                    "This job can't be stop. job status: %d" % self.status,
                    error_code="ModelArts.0105",
                    operation="stop training job %s" % self.job_id,
                )
            self._is_stopped = True
            process = self._process
        if process is None:
            return
        _signal(process, "SIGTERM")
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            pass
        _signal(process, "SIGKILL")

    def details(self) -> Body:
        """Return the details in the form of v1."""
        definition = self.definition
        duration = self.duration
        if self._began is not None and not self.status.is_final:
            duration = int((self._session.clock.monotonic() - self._began) * 1000)
        return {
            "job_id": self.job_id,
            "job_name": definition.job_name,
            "job_desc": self.description,
            "version_id": _VERSION,
            "version_name": "V0001",
            "pre_version_id": None,
            "engine_name": definition.framework_type,
            "engine_version": definition.framework_version,
            "status": int(self.status),
            "app_url": definition.code_dir,
            "boot_file_url": "%s%s" % (_folder(definition.code_dir), definition.boot_file),
            "create_time": self.create_time,
            "parameter": [
                {"label": label, "value": value} for label, value in definition.parameters
            ],
            "duration": duration,
            "spec_code": LOCAL,
            "worker_server_num": 1,
            "data_url": definition.inputs,
            "train_url": definition.output_path,
            "log_url": definition.log_url,
            "reason": self.reason,
        }

    def close(self) -> None:
        """Remove the log."""
        self._remove()

    def check(self) -> None:
        """Look for the code and the data.

        Raises:
            InvalidArgument: something is missing.
            ApiError: OBS refused the request.
        """
        definition, obs = self.definition, self._session.obs
        find_python(definition.environment)
        code, data = str(definition.code_dir), definition.inputs
        if not _is_here(code):
            boot_file = "obs:/%s%s" % (code, definition.boot_file)
            if not obs.is_obs_path_exists(boot_file):
                raise InvalidArgument("boot_file", boot_file, "a file that exists in OBS")
        if data is not None and not _is_here(data) and not obs.is_obs_path_exists("obs:/" + data):
            raise InvalidArgument("inputs", data, "a folder or object that exists in OBS")

    # Inside -------------------------------------------------------------------------------------

    def _run(self) -> int:
        """Fetch what is needed and run the boot file; return its exit status."""
        definition = self.definition
        python = make_environment(definition.environment, self._execute)
        code = self._fetch(str(definition.code_dir), "code")
        boot_file = os.path.join(code, *str(definition.boot_file).split("/"))
        if not os.path.isfile(boot_file):
            raise InvalidArgument("boot_file", definition.boot_file, "a file in code_dir")
        arguments = ["--%s=%s" % pair for pair in definition.parameters]
        if definition.inputs is not None:
            arguments.insert(0, "--%s=%s" % (DATA, self._fetch(definition.inputs, "data")))
        output = os.path.join(self._folder, "output")
        os.mkdir(output)
        if NUM_GPUS not in dict(definition.parameters):
            arguments.append("--%s=%d" % (NUM_GPUS, _count_gpus()))
        arguments.append("--%s=%s" % (OUTPUT, output))
        process = self._launch([python, "-u", boot_file, *arguments], code, self._environment())
        if process is None:
            return 0
        self._began = self._session.clock.monotonic()
        self._enter(JobStatus.RUNNING)
        return self._finish(process)

    def _execute(self, command: Sequence[str], variables: Dict[str, str]) -> int:
        """Run a command that prepares the training; return its exit status."""
        process = self._launch(command, os.getcwd(), {**os.environ, **variables})
        return _STOPPED if process is None else self._finish(process)

    def _launch(
        self, command: Sequence[str], folder: str, environ: Dict[str, str]
    ) -> "Optional[subprocess.Popen[bytes]]":
        """Start a command in a process group of its own; None if the training was stopped."""
        with open(self.log_path, "ab", buffering=0) as log, self._lock:
            if self._is_stopped:
                return None
            # A file, no pipe: what the boot file leaves running could hold that open.
            self._process = subprocess.Popen(
                [sys.executable, "-c", _GUARD, *command],
                cwd=folder,
                env=environ,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            return self._process

    def _finish(self, process: "subprocess.Popen[bytes]") -> int:
        """Wait for a command and end what it left running; return its exit status."""
        try:
            return self._wait(process)
        finally:
            # As in the cloud.
            _signal(process, "SIGKILL")
            assert process.stdin is not None
            process.stdin.close()

    def _wait(self, process: "subprocess.Popen[bytes]") -> int:
        """Wait for the process; meanwhile its output is shown."""
        with open(self.log_path, encoding="utf-8", errors="replace", newline="\n") as log:
            log.seek(self._shown)
            while True:
                try:
                    code: Optional[int] = process.wait(_LOOK)
                except subprocess.TimeoutExpired:
                    code = None
                self._show(log, code is not None)
                if code is not None:
                    return code

    def _show(self, log: IO[str], is_end: bool) -> None:
        if self._say is None:
            return
        for line in iter(log.readline, ""):
            self._rest += line
            if line.endswith("\n"):
                self._say(self._rest.rstrip("\r\n"))
                self._rest = ""
        if is_end and self._rest:
            self._say(self._rest)
            self._rest = ""
        if is_end:
            self._shown = log.tell()

    def _environment(self) -> Dict[str, str]:
        environ = dict(os.environ)
        paths = [_MOXING, environ.get("PYTHONPATH", "")]
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        endpoint = self._session.obs_endpoint
        if endpoint.startswith("file:"):
            environ.setdefault(_ENDPOINT, endpoint)
        return environ

    def _fetch(self, path: str, name: str) -> str:
        """Return the path on this machine of a folder or object, fetched if it is in OBS."""
        if _is_here(path):
            return path
        url, target = "obs:/" + path, os.path.join(self._folder, name)
        os.mkdir(target)
        obs = self._session.obs
        if not path.endswith("/"):
            if not obs.is_obs_path_exists(url + "/"):
                obs.download_file(url, target + os.sep, progress=False)
                return os.path.join(target, path.rpartition("/")[2])
            url += "/"
        return str(obs.download_dir(url, target, progress=False).target)

    def _send_output(self) -> None:
        """Send what the training wrote, and its log."""
        obs, definition = self._session.obs, self.definition
        output = os.path.join(self._folder, "output")
        if definition.output_path is not None and os.path.isdir(output):
            target = "obs:/" + definition.output_path
            for name in sorted(os.listdir(output)):
                path = os.path.join(output, name)
                if os.path.isdir(path) and not os.path.islink(path):
                    if any(files for _, _, files in os.walk(path)):
                        obs.upload_dir(path, target, progress=False)
                elif os.path.isfile(path):
                    obs.upload_file(path, target, progress=False)
        if definition.log_url is not None:
            obs.upload_file(self.log_path, "obs:/" + definition.log_url, progress=False)

    def _enter(self, status: JobStatus) -> None:
        self.status = status
        if self._say is not None:
            self._say("JOBSTAT_%s" % status.name)

    def _end(self, status: JobStatus, reason: Optional[str] = None) -> None:
        if self._began is not None:
            self.duration = int((self._session.clock.monotonic() - self._began) * 1000)
        self.reason = reason
        for name in ("code", "data", "output"):
            shutil.rmtree(os.path.join(self._folder, name), ignore_errors=True)
        if reason is not None and self._say is not None:
            self._say(reason)
        self._enter(status)


class LocalTrainings:
    """The trainings that this process has started on this machine, by their ids."""

    def __init__(self) -> None:
        self._runs: Dict[str, Run] = {}

    def add(self, run: Run) -> None:
        """Remember a training."""
        self._runs[run.job_id] = run

    def details(self, client: ServiceClient, job_id: str, version_id: Optional[str]) -> Body:
        """Return the details of a training."""
        return self._of(job_id).details()

    def versions(self, client: ServiceClient, job_id: str) -> Body:
        """Return a training with its only version."""
        version = self._of(job_id).details()
        names = ("job_id", "job_name", "job_desc")
        return {
            **{name: version[name] for name in names},
            "version_count": 1,
            "versions": [{name: version[name] for name in version if name not in names}],
        }

    def stop(self, client: ServiceClient, job_id: str, version_id: str) -> Body:
        """Stop a training."""
        self._of(job_id).stop()
        return {}

    def delete_version(self, client: ServiceClient, job_id: str, version_id: str) -> Body:
        """Forget a training, which is stopped first."""
        return self.delete(client, job_id)

    def delete(self, client: ServiceClient, job_id: str) -> Body:
        """Forget a training, which is stopped first."""
        run = self._of(job_id)
        if not run.status.is_final:
            run.stop()
        else:
            run.close()
        del self._runs[job_id]
        return {}

    def update(self, client: ServiceClient, job_id: str, description: str) -> Body:
        """Change the description."""
        self._of(job_id).description = description
        return {}

    def log_names(self, client: ServiceClient, job_id: str, version_id: Optional[str]) -> Body:
        """Return the name of the log file."""
        return {"log_file_list": [self._of(job_id).log_name]}

    def log(
        self,
        client: ServiceClient,
        job_id: str,
        version_id: Optional[str],
        name: str,
        start: int,
        length: int,
    ) -> Body:
        """Return bytes of the log."""
        run = self._of(job_id)
        if name != run.log_name:
            raise InvalidArgument("log_file", name, "one of get_job_log_file_list()")
        size = os.path.getsize(run.log_path)
        begin, end = wanted(size, start, length)
        with open(run.log_path, "rb") as file:
            file.seek(begin)
            content = file.read(end - begin + REST)
        return part_of(content, begin, size, start, length)

    def _of(self, job_id: str) -> Run:
        try:
            return self._runs[job_id]
        except KeyError:
            raise api_error(
                "this process has no such training on this machine",
                status_code=404,
                error_code="ModelArts.0015",
                operation="show training job %s" % job_id,
            ) from None


HERE = LocalTrainings()


def say(line: str) -> None:
    """Print a line at once, in the characters that the terminal has."""
    print(writable(line, sys.stdout), flush=True)


def _folder(path: Optional[str]) -> str:
    text = path or ""
    return text if text.endswith("/") else text + "/"


def _is_here(path: str) -> bool:
    return os.path.isabs(path) and os.path.exists(path)


def _count_gpus() -> int:
    """Return the number of GPUs that a training on this machine can use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([each for each in visible.split(",") if each.strip() not in ("", "-1")])
    try:
        return sum(1 for name in os.listdir("/dev") if re.match(r"nvidia[0-9]+\Z", name))
    except OSError:
        return 0


def _signal(process: "subprocess.Popen[bytes]", name: str) -> None:
    """Send a signal to the process group of a training; on Windows end the process."""
    number = getattr(signal, name, None)
    try:
        if number is None or not hasattr(os, "killpg"):
            process.kill()
        else:
            os.killpg(process.pid, number)
    except OSError:
        pass  # it has ended
