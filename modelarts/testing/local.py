"""The real local service for tests, in a temporary folder."""

import json
import os
import shutil
import signal
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Union

from modelarts import validation as arguments
from modelarts._status import STOPPED, JobStatus
from modelarts.errors import InvalidArgument
from modelarts.estimator import VisualizationJob
from modelarts.session import Session
from modelarts.testing.environment import environment, variables

_END_SECONDS = 60.0


class LocalService:
    """A running local service, made by :func:`service` and by the fixture ``modelarts_service``.

    Attributes:
        root: the root folder of the service.
        session: a session with the service.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.session = _session(root)

    @property
    def obs(self) -> Path:
        """The folder that holds the buckets: ``/bucket/logs/`` is ``obs / "bucket/logs"``."""
        return self.root / "obs"

    @property
    def environ(self) -> Dict[str, str]:
        """The environment variables by which ``Session()`` finds the service."""
        session = self.session
        keys = session.keys()
        environment = variables(
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            project_id=session.project_id,
            region_name=session.region_name or "",
            modelarts_endpoint=session.modelarts_endpoint,
            iam_endpoint=session.iam_endpoint,
            obs_endpoint=session.obs_endpoint,
        )
        # A proxy of the environment has no part in this.
        direct = [host for host in (os.environ.get("NO_PROXY"), "127.0.0.1") if host]
        return {**environment, "NO_PROXY": ",".join(direct)}

    def write_scalars(self, train_url: str, **curves: Sequence[float]) -> Path:
        """Write a real event file to a folder in OBS.

        Args:
            train_url: the folder in OBS, as for a job.
            curves: the values of a tag, by the tag's name, for the steps 0, 1, 2, …

        Returns:
            The folder on this machine.

        Raises:
            InvalidArgument: ``train_url`` is not a folder in OBS.

        Example:
            >>> service.write_scalars("/bucket/logs/", loss=[0.7, 0.5, 0.4])      # doctest: +SKIP
            PosixPath('…/obs/bucket/logs')
        """
        from tensorboard.summary import Writer

        folder = self.obs / arguments.train_url(train_url).strip("/")
        folder.mkdir(parents=True, exist_ok=True)
        writer = Writer(str(folder))
        try:
            for tag, values in curves.items():
                for step, value in enumerate(values):
                    writer.add_scalar(tag, value, step)
        finally:
            writer.close()
        return folder

    def advance(self, seconds: float) -> None:
        """Let time pass for the service: for schedules, boards that sleep, tokens that expire.

        A job whose schedule has ended by then is being stopped when this returns. The service keeps
        its clock for the next test: time only goes forward.

        Args:
            seconds: the seconds that pass.
        """
        self.session.request("PUT", "/local/clock", body={"advance_seconds": seconds})

    def clear(self) -> None:
        """Delete all jobs, and all files in the buckets."""
        for job in VisualizationJob.list(self.session):
            if job.status == JobStatus.KILLING:
                job.wait(until=list(STOPPED))
            job.delete()
        for entry in self.obs.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(str(entry))
            else:
                entry.unlink()

    def end(self) -> None:
        """End the service; its folder stays."""
        self.session.close()
        try:
            service = json.loads((self.root / "service.json").read_text())
        except FileNotFoundError:  # it has ended by itself
            return
        _end(int(service["pid"]))

    def come_back(self) -> None:
        """Start the service again if a test has ended it."""
        self.session.close()
        self.session = _session(self.root)


def _session(root: Path) -> Session:
    from modelarts.local.server.launcher import connect

    connect(root, False, ("--test-clock",))
    return Session.local(root)


@contextmanager
def service(root: Union[None, str, "os.PathLike[str]"] = None) -> Iterator[LocalService]:
    """Run the real local service, with real TensorBoard, while a block runs.

    In the block ``Session()`` finds it in the environment. Jobs take the time that TensorBoard
    takes, less than a second each on most machines. Requires Python 3.9 or newer on Linux or macOS.

    Args:
        root: a new or an empty folder, which is kept; by default a temporary one.

    Yields:
        The running service.

    Raises:
        InvalidArgument: the folder is not empty.
        ConfigurationError: the service cannot be started; the message gives the reason.

    Example:
        >>> with service() as running:                                        # doctest: +SKIP
        ...     running.write_scalars("/bucket/logs/", loss=[0.7, 0.5, 0.4])
        ...     job = VisualizationJob.create("/bucket/logs/", session=running.session).wait()
    """
    if root is not None:
        with started(Path(root)) as running, environment(running.environ):
            yield running
        return
    temporary = tempfile.mkdtemp(prefix="modelarts-")
    try:
        with service(temporary) as running:
            yield running
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def started(root: Path) -> Iterator[LocalService]:
    """The same, but the environment stays as it is."""
    if root.is_dir() and os.listdir(str(root)):
        raise InvalidArgument("root", str(root), "a new or an empty folder")
    running = LocalService(root.resolve())
    try:
        yield running
    finally:
        running.end()


def _end(pid: int) -> None:
    """End a child, by force if it does not end soon. Real time, whatever sessions go by."""
    deadline = time.monotonic() + _END_SECONDS
    asked: List[int] = []
    while not _has_ended(pid):
        due = [signal.SIGTERM] if time.monotonic() < deadline else [signal.SIGTERM, signal.SIGKILL]
        if len(asked) < len(due):
            asked.append(due[-1])
            os.kill(pid, due[-1])
        time.sleep(0.01)


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # it was waited for; its number may belong to another process now
        return True
