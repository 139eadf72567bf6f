"""The pages of trainings: the list, and one training with its log and its metrics."""

from __future__ import annotations

import json
from typing import Any, Callable, Mapping, Sequence

import attr
from werkzeug.wrappers import Response

from modelarts.local.training.store import LIVE, Training
from modelarts.local.web.console.logs import log_part, tail
from modelarts.local.web.console.parts import Parts
from modelarts.local.web.console.visit import Visit
from modelarts.local.web.trainings import PHASES
from modelarts.models import JobStatus

_TRAINING = "/trainings/<string(maxlength=64):training_id>"
_WORKSPACE = "0"
_PER_PAGE = 50
_WIDTH, _HEIGHT = 300, 60
_MAX_DRAWN = 600
#: The percentages that a plot may end with.
_TOPS = (1, 2, 5, 10, 25, 50, 100)
#: The metrics that this service measures.
_METRICS = {"cpuUsage": "Processors", "memUsage": "Memory"}


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Plot:
    """A small plot of percentages over time.

    Attributes:
        title: what is plotted.
        lines: the points of each unbroken line, for SVG.
        last: the last value.
        highest: the highest value.
        top: the value at the upper edge.
        minutes: how many minutes it covers.
    """

    title: str
    lines: tuple[str, ...]
    last: float
    highest: float
    top: int
    minutes: int


def plot(title: str, values: Sequence[float]) -> Plot | None:
    """Return the plot of a mean a minute, in percent; -1 is a gap; None where there is none."""
    known = [value for value in values if value >= 0]
    if not known:
        return None
    top = next(each for each in _TOPS if each >= min(100.0, max(known)))
    step = max(1, -(-len(values) // _MAX_DRAWN))
    lines: list[list[str]] = [[]]
    for index in range(0, len(values), step):
        part = [value for value in values[index : index + step] if value >= 0]
        if not part:
            lines.append([])
            continue
        x = _WIDTH * index / max(1, len(values) - 1)
        y = _HEIGHT - min(100.0, max(part)) / top * _HEIGHT
        # A short line, so that a value between gaps is seen too.
        lines[-1].append(f"{max(0.0, x - 2):.1f},{y:.1f} {x:.1f},{y:.1f}")
    drawn = tuple(" ".join(line) for line in lines if line)
    return Plot(title, drawn, known[-1], max(known), top, len(values))


def _shown(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition without the values of environment variables, which may be passwords."""
    algorithm = dict(definition.get("algorithm") or {})
    if algorithm.get("environments"):
        algorithm["environments"] = dict.fromkeys(algorithm["environments"], "not shown here")
    return {**definition, "algorithm": algorithm}


class TrainingPages:
    """The pages of trainings. What they change goes through the operations of the REST API.

    Args:
        parts: the operations and the users.
    """

    def __init__(self, parts: Parts) -> None:
        self._trainings = parts.trainings

    def routes(self) -> list[tuple[str, str, Callable[..., Response]]]:
        """Return the routes of these pages, as method, path and handler."""
        return [
            ("GET", "/trainings", self.list),
            ("GET", _TRAINING, self.show),
            ("GET", _TRAINING + "/log", self.log),
            ("GET", _TRAINING + "/delete", self.ask),
            ("POST", _TRAINING + "/delete", self.delete),
            ("POST", _TRAINING + "/stop", self.stop),
            ("POST", _TRAINING + "/describe", self.describe),
        ]

    def list(self, visit: Visit, project_id: str) -> Response:
        """Return the list of the trainings of a project, the newest first."""
        search = visit.request.args.get("search", "")[:100]
        page = visit.request.args.get("page", "1")
        number = int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 6 else 1
        trainings = [
            each
            for each in reversed(self._trainings.all(project_id, _WORKSPACE))
            if search.lower() in f"{each.name}\n{each.description}".lower()
        ]
        pages = max(1, -(-len(trainings) // _PER_PAGE))
        number = min(max(1, number), pages)
        shown = trainings[(number - 1) * _PER_PAGE : number * _PER_PAGE]
        return visit.render(
            "trainings.html",
            trainings=[self._row(each) for each in shown],
            total=len(trainings),
            search=search,
            pages=pages,
            number=number,
        )

    def show(self, visit: Visit, project_id: str, training_id: str) -> Response:
        """Return the page of one training."""
        training = self._trainings.get(project_id, training_id)
        metrics = self._trainings.metrics(training)
        drawn = (plot(title, metrics.get(name, ())) for name, title in _METRICS.items())
        content, position = tail(self._trainings.log(training))
        definition = json.dumps(_shown(training.definition), indent=2, ensure_ascii=False)
        return visit.render(
            "training.html",
            training=self._row(training),
            plots=[each for each in drawn if each is not None],
            events=self._trainings.events(training)[-50:],
            definition=definition,
            log=content,
            position=position,
            width=_WIDTH,
            height=_HEIGHT,
        )

    def log(self, visit: Visit, project_id: str, training_id: str) -> Response:
        """Return the part of the log of a training that a page has not shown yet."""
        return log_part(visit, self._trainings.log(self._trainings.get(project_id, training_id)))

    def ask(self, visit: Visit, project_id: str, training_id: str) -> Response:
        """Return the question before a training is deleted."""
        training = self._trainings.get(project_id, training_id)
        return visit.render("training_delete.html", training=self._row(training))

    def delete(self, visit: Visit, project_id: str, training_id: str) -> Response:
        """Delete a training."""
        self._trainings.delete(project_id, training_id)
        return visit.back("trainings", done="deleted")

    def stop(self, visit: Visit, project_id: str, training_id: str) -> Response:
        """Stop a training."""
        training = self._trainings.stop(project_id, training_id)
        return visit.back(f"trainings/{training.job_id}", done="stopping")

    def describe(self, visit: Visit, project_id: str, training_id: str) -> Response:
        """Change the description of a training."""
        training = self._trainings.get(project_id, training_id)
        description = visit.request.form.get("desc", "")
        self._trainings.describe(project_id, training.job_id, description)
        return visit.back(f"trainings/{training.job_id}", done="described")

    def _row(self, training: Training) -> dict[str, Any]:
        """Return the fields of a training for a template."""
        phase = PHASES[training.status]
        groups = {"Completed": "running", "Failed": "failed", "Abnormal": "failed"}
        groups.update(Terminated="stopped", Running="running")
        return {
            "id": training.job_id,
            "name": training.name,
            "desc": training.description,
            "user": training.user_name,
            "phase": phase,
            "group": groups.get(phase, "starting"),
            "create_time": training.create_time,
            "duration": self._trainings.duration(training),
            "exit_code": training.exit_code,
            "reason": training.reason,
            "summary": self._trainings.summary(training),
            "is_live": training.status in LIVE,
            "can_stop": training.status in LIVE and training.status != JobStatus.KILLING,
        }
