"""The jobs of a command line, by their ids or names."""

import os
import re
import shlex
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Sequence, Union

from modelarts._fields import is_uuid
from modelarts.cli.errors import NOT_FOUND, WRONG_USAGE, Refused
from modelarts.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from modelarts.estimator import VisualizationJob
    from modelarts.session import Session
    from modelarts.training.job import TrainingJob

    AnyJob = Union[VisualizationJob, TrainingJob]

_ID = r"[0-9]{1,19}\Z"
_LONGEST_SEARCH = 100
_LONGEST_NAME = 64
_BOARD = "visualization_job"


def jobs_named(session: "Session", texts: Sequence[str]) -> "List[AnyJob]":
    """Return the jobs with these ids or names, each once.

    Raises:
        Refused: no job has such an id or name, or several jobs have that name.
    """
    by_id: Dict[Optional[str], AnyJob] = {}
    for text in texts:
        job = job_named(session, text)
        by_id.setdefault(job.job_id, job)
    return list(by_id.values())


def is_training(job: "AnyJob") -> bool:
    """Return True for a training, False for a board."""
    from modelarts.training.job import TrainingJob

    return isinstance(job, TrainingJob)


def trainings(session: "Session", **filters: object) -> "Iterator[TrainingJob]":
    """Return the trainings of a service; none if it has only the v1 API."""
    from modelarts.http.client import lacks_api
    from modelarts.training.job import TrainingJob

    try:
        yield from TrainingJob.iter(session, **filters)  # type: ignore[arg-type]
    except NotFound as error:
        if not lacks_api(error):
            raise


def id_value(job: "AnyJob") -> Union[int, str]:
    """Return the id of a job for JSON output: a number with v1, a UUID with v2."""
    job_id = job.job_id or "0"
    return int(job_id) if job_id.isdigit() else job_id


def training_named(session: "Session", text: str) -> "TrainingJob":
    """Return the training of that id, or else of that name.

    Raises:
        Refused: there is none, there are several, or it is a board.
    """
    from modelarts.training.job import TrainingJob

    job = job_named(session, text)
    if not isinstance(job, TrainingJob):
        raise Refused(
            "job %s is a board, not a training" % job.job_id, WRONG_USAGE, "NoTraining", job=text
        )
    return job


def board_named(session: "Session", text: str) -> "VisualizationJob":
    """Return the board of that id, or else of that name.

    Raises:
        Refused: there is none, there are several, or it is a training.
    """
    from modelarts.estimator import VisualizationJob

    job = job_named(session, text)
    if not isinstance(job, VisualizationJob):
        raise Refused(
            "job %s is a training, not a board" % job.job_id, WRONG_USAGE, "NoBoard", job=text
        )
    return job


def service_option(session: "Session") -> str:
    """Return the option that names the session's service, with a blank before it, if it is local.

    A command that an error recommends is for the service that was asked.
    """
    root = session.local_root
    if root is None:
        return ""
    from modelarts.local.server.launcher import DEFAULT_ROOT, root_folder

    if os.path.realpath(root) == os.path.realpath(str(root_folder(DEFAULT_ROOT))):
        return " --local"
    return " --root %s" % shlex.quote(root)


def job_named(session: "Session", text: str) -> "AnyJob":
    """Return the job of that id, or else of that name."""
    from modelarts.estimator import VisualizationJob
    from modelarts.training.job import TrainingJob

    if is_uuid(text):
        try:
            training = TrainingJob.get(text, session)
            if training.kind != _BOARD:
                return training
        except (NotFound, InvalidArgument):
            pass
    if is_uuid(text) or (re.match(_ID, text) and int(text) > 0):
        try:
            return VisualizationJob.get(text, session)
        except (NotFound, InvalidArgument):
            pass  # names may be digits too
    jobs: List[AnyJob] = []
    if text and len(text) <= _LONGEST_SEARCH:
        # The search also returns names that contain the text.
        jobs += VisualizationJob.iter(session, search_content=text)
        if len(text) <= _LONGEST_NAME:
            jobs += trainings(session, search_content=text)
        jobs = [job for job in jobs if job.job_name == text]
    if not jobs:
        raise Refused(
            "no job has the id or the name %r; 'modelarts jobs list%s' shows all"
            % (text, service_option(session)),
            NOT_FOUND,
            "NotFound",
            job=text,
        )
    if len(jobs) > 1:
        ids = [job.job_id or "" for job in jobs]
        raise Refused(
            "%d jobs have the name %r: %s; say which by its id" % (len(jobs), text, ", ".join(ids)),
            NOT_FOUND,
            "AmbiguousName",
            job=text,
            job_ids=[id_value(job) for job in jobs],
        )
    return jobs[0]
