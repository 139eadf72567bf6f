"""Jobs of type mindinsight, over a summary that MindSpore wrote.

``mindspore-summary/run-1`` was written by ``mindspore-summary/make.py`` with MindSpore 2.9.0.
"""

from pathlib import Path

import pytest

from modelarts.estimator import VisualizationJob
from tests.local.web import client
from tests.support.clocks import wait_until

SUMMARY = Path(__file__).parent / "mindspore-summary"
ENVIRONMENT = Path(__file__).parents[3] / ".venv-mindinsight"


def home_with_mindinsight(folder):
    """Make a home whose ~/.modelarts/mindinsight is the environment that README makes."""
    if not (ENVIRONMENT / "bin" / "mindinsight").exists():
        pytest.fail(
            "make its environment: python3 -m venv .venv-mindinsight && "
            ".venv-mindinsight/bin/pip install mindinsight"
        )
    place = folder / "home" / ".modelarts" / "mindinsight"
    place.parent.mkdir(parents=True)
    place.symlink_to(ENVIRONMENT)
    return folder / "home"


def create(session):
    return VisualizationJob.create("/bucket/logs/", job_type="mindinsight", session=session)


def ask(job, path, **query):
    """Return an answer of MindInsight's own API, once it has read the summary."""
    url = "%sv1/mindinsight/datavisual/%s" % (job.service_url, path)
    answers = []
    wait_until(lambda: answers.append(client.get(url, query)) or answers[-1].status_code != 400)
    assert answers[-1].status_code == 200, answers[-1].content
    return answers[-1].json()
