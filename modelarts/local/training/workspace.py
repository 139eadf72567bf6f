"""The folders of a training: its code, what it reads and writes, its log, its variables."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Mapping

from modelarts._internal.disk import make_folder
from modelarts.local.engine.base import Launch
from modelarts.local.logs.source import LogSource, folder_of
from modelarts.local.training.definition import Definition, illegal
from modelarts.local.training.machine_types import Interpreter
from modelarts.local.training.store import Training

TASK = "worker-0"
_MOXING = Path(__file__).resolve().parents[2] / "_moxing"
#: What trainings have of the environment of the service; nothing in it is a key.
_INHERITED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("VIRTUAL_ENV", "CONDA_PREFIX", "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
_INHERITED_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_", "NCCL_", "XLA_")


class PreparationError(Exception):
    """A training cannot be started; the message says why."""


class Workspaces:
    """The folders of the trainings of one service.

    Args:
        root: the root folder of the service.
        logs: knows which folders of this machine stand for buckets.
    """

    def __init__(self, root: Path, logs: LogSource) -> None:
        self._root = root
        self._obs = (root / "obs").resolve()
        self._logs = logs
        for folder in (self._root / "trainings", self._root / "training-work"):
            make_folder(str(folder))

    def state(self, job_id: str) -> Path:
        """Return the folder for the state of a training."""
        return self._root / "trainings" / job_id

    def log(self, job_id: str) -> Path:
        """Return the path of the log of a training."""
        return self.state(job_id) / f"{TASK}.log"

    def ids(self) -> list[str]:
        """Return the ids of all trainings that have a folder."""
        folders = (self._root / "trainings", self._root / "training-work")
        return sorted({entry.name for folder in folders for entry in folder.iterdir()})

    def check(self, definition: Definition) -> None:
        """Check that all exists which a training reads, and the buckets that it writes to.

        Raises:
            TrainingFailure: something is missing.
        """
        code = self._existing(definition.code_dir, "The code folder")
        boot = code / definition.boot_file
        if not boot.is_file():
            raise illegal(
                f"There is no boot file {definition.boot_file} in {definition.code_dir}.",
                "Send it there, or correct algorithm.boot_file.",
            )
        for data in definition.inputs:
            self._existing(data.folder, f"The input {data.name}")
        for data in definition.outputs:
            self._bucket(data.folder, f"The output {data.name}")
        if definition.log_folder is not None:
            self._bucket(definition.log_folder, "The folder of the log")
        if definition.summary_folder is not None:
            self._bucket(definition.summary_folder, "The folder of the summary")

    def prepare(
        self, training: Training, definition: Definition, interpreter: Interpreter
    ) -> Launch:
        """Make the folders of a training, with a copy of its code.

        Raises:
            PreparationError: a folder cannot be read or written any more.
        """
        try:
            return self._prepare(training, definition, interpreter)
        except shutil.Error as error:  # of several files; the first says enough
            source, _, problem = error.args[0][0]
            raise PreparationError(f"{source} cannot be copied: {problem}") from None
        except (OSError, ValueError) as error:
            raise PreparationError(str(error)) from None

    def export_log(self, training: Training, definition: Definition) -> None:
        """Put the log into its bucket, if it has one and is not there. Raises OSError."""
        if definition.log_folder is None:
            return
        target = self._log_object(training, definition.log_folder)
        log = self.log(training.job_id)
        if log.exists() and not (target.exists() and os.path.samefile(log, target)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(log, target)

    def remove_work(self, job_id: str) -> None:
        """Remove the copy of the code and the temporary files of a training."""
        shutil.rmtree(self._root / "training-work" / job_id, ignore_errors=True)

    def remove(self, job_id: str) -> None:
        """Remove all folders of a training; what it has written to buckets stays."""
        self.remove_work(job_id)
        shutil.rmtree(self.state(job_id), ignore_errors=True)

    def _prepare(
        self, training: Training, definition: Definition, interpreter: Interpreter
    ) -> Launch:
        # What the keeper records there must not be lost with the name of the folder.
        make_folder(str(self.state(training.job_id)))
        self.remove_work(training.job_id)
        work = self._root / "training-work" / training.job_id
        code_dir = self._path(definition.code_dir)
        home = work / "home" / "ma-user"
        job_dir = home / "modelarts" / "user-job-dir"
        code = job_dir / code_dir.name
        if definition.local_code_dir is not None:
            code = work / definition.local_code_dir.strip("/")
        shutil.copytree(code_dir, code, symlinks=True, copy_function=_copy)
        cwd = code
        if definition.working_dir is not None:
            cwd = work / definition.working_dir.strip("/")
        for folder in (job_dir, cwd, work / "tmp", home / "modelarts" / "log"):
            folder.mkdir(parents=True, exist_ok=True)
        command = [interpreter.python, str(code / definition.boot_file)]
        variables: dict[str, str] = {}
        for data in (*definition.inputs, *definition.outputs):
            path = self._path(data.folder)
            if data in definition.outputs:
                path.mkdir(parents=True, exist_ok=True)
            elif not path.exists():
                raise PreparationError(f"{data.folder}, the input {data.name}, is gone")
            if data.as_variable:
                variables[data.name] = str(path)
            else:
                command.append(f"--{data.name}={path}")
        command.extend(f"--{name}={value}" for name, value in definition.parameters)
        log = self.log(training.job_id)
        log.touch(0o600)
        if definition.log_folder is not None:
            self._link_log(training, definition.log_folder)
        if definition.summary_folder is not None:
            summary = self._path(definition.summary_folder)
            summary.mkdir(parents=True, exist_ok=True)
            variables["MODELARTS_SUMMARY_DIR"] = str(summary)
        environ = {
            **_inherited(),
            **_documented(training, definition, home, code),
            "MODELARTS_OBS_ENDPOINT": self._obs.as_uri(),
            "TMPDIR": str(work / "tmp"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join([str(code), str(_MOXING)]),
            "CUDA_VISIBLE_DEVICES": training.gpu or "",
            **variables,
            **definition.environments,
        }
        return Launch(command, cwd, environ, log, training.key)

    def _link_log(self, training: Training, folder: str) -> None:
        """Show the log in its bucket while it is written, where the file system can."""
        target = self._log_object(training, folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(self.log(training.job_id), target)
        except OSError:
            pass  # it comes there when the training ends

    def _log_object(self, training: Training, folder: str) -> Path:
        return self._path(folder) / f"modelarts-job-{training.job_id}-{TASK}.log"

    def _path(self, folder: str) -> Path:
        """Return the folder, or the file, of this machine that stands for one in OBS.

        Raises:
            ValueError: links lead out of its bucket, or it stands for several.
        """
        mounted = self._logs.folders(folder)
        if len(mounted) > 1:
            raise ValueError(f"{folder} stands for several folders")
        return Path(mounted[0]) if mounted else folder_of(self._obs, folder)

    def _existing(self, folder: str, name: str) -> Path:
        self._bucket(folder, name)
        path = self._found(folder)
        if not path.exists():
            raise illegal(f"{name}, {folder}, does not exist.", "Send it there, or correct it.")
        return path

    def _bucket(self, folder: str, name: str) -> None:
        bucket = folder.strip("/").partition("/")[0]
        if not self._logs.has_bucket(bucket):
            raise illegal(
                f"{name}, {folder}, is in a bucket that does not exist.",
                f"Create the bucket {bucket}, for example with session.obs.create_bucket.",
            )
        self._found(folder)

    def _found(self, folder: str) -> Path:
        try:
            return self._path(folder)
        except ValueError as error:
            raise illegal(str(error), "Give another folder.") from None


def _copy(source: str, target: str) -> None:
    """Copy a file, if it is still there: another program may be sending the same folder."""
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        if os.path.lexists(source):
            raise


def _inherited() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }


def _documented(
    training: Training, definition: Definition, home: Path, code: Path
) -> Mapping[str, str]:
    """Return the variables that trainings have on ModelArts.

    Source: *ModelArts — Viewing Environment Variables of a Training Container*.
    """
    host = f"modelarts-job-{training.job_id}-{TASK}"
    return {
        "MA_HOME": str(home),
        "MA_MOUNT_PATH": str(home / "modelarts"),
        "MA_JOB_DIR": str(home / "modelarts" / "user-job-dir"),
        "MA_LOG_DIR": str(home / "modelarts" / "log"),
        "MA_CODE_DIR": str(code),
        "MA_JOB_ID": training.job_id,
        "MA_JOB_NAME": training.name,
        "MA_INSTANCE_NAME": host,
        "MA_CURRENT_INSTANCE_NAME": host,
        "MA_CURRENT_IP": "127.0.0.1",
        "MA_CURRENT_HOST_IP": "127.0.0.1",
        "MA_TASK_NAME": "worker",
        "MA_NUM_HOSTS": "1",
        "MA_NUM_GPUS": "1" if training.gpu else "0",
        "MA_SCRIPT_INTERPRETER": "python",
        "VC_TASK_NAMES": "worker",
        "VC_TASK_INDEX": "0",
        "VK_TASK_INDEX": "0",
        "VC_WORKER_NUM": "1",
        "VC_WORKER_HOSTS": "127.0.0.1",
        "JOB_ID": training.job_id,
    }
