"""The operations on trainings, and the refusals that they raise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

from modelarts import validation as arguments
from modelarts.errors import InvalidArgument
from modelarts.local.errors import NoSuchTraining, TrainingFailure
from modelarts.local.identity.authentication import Caller
from modelarts.local.identity.buckets import BucketAccess
from modelarts.local.jobs.clock import Timeline
from modelarts.local.training.datasets import Datasets
from modelarts.local.training.definition import illegal, read
from modelarts.local.training.machine_types import MachineTypes
from modelarts.local.training.store import Event, Training, TrainingStore
from modelarts.local.training.supervisor import TrainingSupervisor
from modelarts.local.training.workspace import Workspaces


class Trainings:
    """The operations on the trainings of one service.

    Args:
        buckets: tells whether the service has one user; it runs trainings only then.
        max_live: how many trainings of a project may wait or run.
        refusal: the reason why this service runs no trainings; None: it does.
    """

    def __init__(
        self,
        store: TrainingStore,
        supervisor: TrainingSupervisor,
        workspaces: Workspaces,
        types: MachineTypes,
        datasets: Datasets,
        timeline: Timeline,
        buckets: BucketAccess,
        max_live: int,
        refusal: str | None = None,
    ) -> None:
        self.types = types
        self._datasets = datasets
        self._store = store
        self._supervisor = supervisor
        self._workspaces = workspaces
        self._timeline = timeline
        self._buckets = buckets
        self._max_live = max_live
        self._refusal = refusal

    def create(
        self, caller: Caller, project_id: str, workspace_id: str, body: Mapping[str, Any]
    ) -> Training:
        """Add a training, and start it when there is room.

        Raises:
            TrainingFailure: its definition is wrong, something that it reads is missing, its name
                is taken, or the project has too many.
        """
        self._check_available()
        body = self._datasets.resolve(body)
        definition = read(body)
        self.types.flavor(definition.flavor)
        self.types.interpreter(definition.engine)
        self._workspaces.check(definition)
        kept = {name: body[name] for name in ("metadata", "algorithm", "spec") if body.get(name)}
        try:
            training = self._store.add(
                self._max_live,
                project_id=project_id,
                workspace_id=workspace_id,
                user_name=caller.user.name,
                name=definition.name,
                description=definition.description,
                definition=json.dumps(kept),
                schedule_hours=definition.hours,
                create_time=self._timeline.wall(),
            )
        except ValueError:
            raise TrainingFailure(
                400,
                "ModelArts.2751",
                f"The name {definition.name} is taken by another training.",
                "Give another name, or delete that training.",
            ) from None
        if training is None:
            raise TrainingFailure(
                400,
                "ModelArts.0118",
                f"{self._max_live} trainings wait or run.",
                "Terminate trainings that are not needed, or wait.",
            )
        self._store.add_event(
            training.number, Event(training.create_time, "Info", "The training was created.")
        )
        self._supervisor.submit()
        return training

    def get(self, project_id: str, job_id: str) -> Training:
        """Return a training. Raises NoSuchTraining where the project has none of that id."""
        training = self._store.get(job_id, project_id)
        if training is None:
            raise NoSuchTraining(f"The training job {job_id[:64]} does not exist.")
        return training

    def all(self, project_id: str, workspace_id: str) -> list[Training]:
        """Return all trainings of a project, the oldest first."""
        return self._store.of_project(project_id, workspace_id)

    def describe(self, project_id: str, job_id: str, description: object) -> None:
        """Change a description. Raises TrainingFailure."""
        training = self.get(project_id, job_id)
        try:
            text = arguments.job_desc(description)
        except InvalidArgument as error:
            raise illegal(str(error), f"It must be {error.allowed}.") from None
        self._store.describe(training.job_id, text)

    def stop(self, project_id: str, job_id: str) -> Training:
        """Stop a training that has not ended. Raises TrainingFailure where it has."""
        training = self.get(project_id, job_id)
        stopped = self._supervisor.stop(training.job_id, "it was stopped by a request")
        if stopped is None:
            raise TrainingFailure(
                409,
                "ModelArts.2796",
                "The training cannot be terminated: it has ended, or is being terminated.",
                "Look at its phase.",
            )
        return stopped

    def delete(self, project_id: str, job_id: str) -> None:
        """Delete a training, which ends it if it runs. Raises TrainingFailure."""
        self._supervisor.delete(self.get(project_id, job_id))

    def events(self, training: Training) -> list[Event]:
        """Return the events of a training, the oldest first."""
        return self._store.events(training.number)

    def metrics(self, training: Training) -> dict[str, list[float]]:
        """Return a mean a minute of each metric since the start; -1 where there is none."""
        series = self._store.metrics(training.number)
        minute, means = self._supervisor.current_metrics(training)
        for name, mean in means.items():
            series.setdefault(name, {}).setdefault(minute, mean)
        minutes = 1 + max((minute for values in series.values() for minute in values), default=-1)
        return {
            name: [values.get(minute, -1) for minute in range(minutes)]
            for name, values in series.items()
        }

    def duration(self, training: Training) -> int:
        """Return how long a training has been running, in milliseconds."""
        return training.duration(self._timeline.passed())

    def log(self, training: Training) -> Path:
        """Return the path of the log of a training."""
        return self._workspaces.log(training.job_id)

    def summary(self, training: Training) -> str | None:
        """Return the folder with the event files of a training, ``/bucket/folder/``, if any."""
        return read(training.definition).summary_folder

    def _check_available(self) -> None:
        refusal = self._refusal
        if refusal is None and not self._buckets.is_open:
            refusal = (
                "This service has several users, and a training could read the files of all: it "
                "runs none."
            )
        if refusal is not None:
            raise illegal(refusal, "Run a service of your own: modelarts serve")
