"""The jobs that a command line means: by their ids or by their names."""

import re
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Union

from modelarts._fields import is_uuid
from modelarts.cli.errors import NOT_FOUND, Refused
from modelarts.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from modelarts.estimator import VisualizationJob
    from modelarts.session import Session

__all__ = ["id_value", "named", "one_named"]

_ID = r"[0-9]{1,19}\Z"
_LONGEST_SEARCH = 100


def named(session: "Session", texts: Sequence[str]) -> "List[VisualizationJob]":
    """The jobs of these ids or names, each once.

    Raises:
        Refused: one of them is none's, or several jobs'.
    """
    found: Dict[Optional[str], VisualizationJob] = {}
    for text in texts:
        job = one_named(session, text)
        found.setdefault(job.visualization_id, job)
    return list(found.values())


def id_value(job: "VisualizationJob") -> Union[int, str]:
    """Return the id of a job as JSON has it: a number with v1, a UUID with v2."""
    job_id = job.visualization_id or "0"
    return int(job_id) if job_id.isdigit() else job_id


def one_named(session: "Session", text: str) -> "VisualizationJob":
    """The job of that id, or else of that name."""
    from modelarts.estimator import VisualizationJob

    if is_uuid(text) or (re.match(_ID, text) and int(text) > 0):
        try:
            return VisualizationJob.get(text, session)
        except (NotFound, InvalidArgument):
            pass  # names may be digits too
    jobs: List[VisualizationJob] = []
    if text and len(text) <= _LONGEST_SEARCH:
        # What is searched for may be in the middle of a name.
        jobs = [
            job
            for job in VisualizationJob.iter(session, search_content=text)
            if job.job_name == text
        ]
    if not jobs:
        raise Refused(
            "no job has the id or the name %r; 'modelarts jobs list' shows all" % text,
            NOT_FOUND,
            "NotFound",
            job=text,
        )
    if len(jobs) > 1:
        ids = [job.visualization_id or "" for job in jobs]
        raise Refused(
            "%d jobs have the name %r: %s; say which by its id" % (len(jobs), text, ", ".join(ids)),
            NOT_FOUND,
            "AmbiguousName",
            job=text,
            job_ids=[id_value(job) for job in jobs],
        )
    return jobs[0]
