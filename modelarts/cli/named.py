"""The jobs that a command line means: by their ids or by their names."""

import re
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence

from modelarts.cli.errors import NOT_FOUND, Refused
from modelarts.errors import NotFound

if TYPE_CHECKING:
    from modelarts.estimator import VisualizationJob
    from modelarts.session import Session

__all__ = ["named", "one_named"]

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


def one_named(session: "Session", text: str) -> "VisualizationJob":
    """The job of that id, or else of that name."""
    from modelarts.estimator import VisualizationJob

    if re.match(_ID, text) and int(text) > 0:
        try:
            return VisualizationJob.get(text, session)
        except NotFound:
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
            job_ids=[int(one) for one in ids],
        )
    return jobs[0]
