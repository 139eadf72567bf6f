"""Jobs of type mindinsight, over a summary that MindSpore wrote.

``mindspore-summary/run-1`` was written by ``mindspore-summary/make.py`` with MindSpore 2.9.0.
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from modelarts.estimator import VisualizationJob

SUMMARY = Path(__file__).parent / "mindspore-summary"
ENVIRONMENT = Path(__file__).parents[2] / ".venv-mindinsight"
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


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


def get(url):
    """The HTTP status and the content of a page."""
    try:
        with _direct.open(url, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def ask(job, path, **query):
    """Return an answer of MindInsight's own API, once it has read the summary."""
    url = "%sv1/mindinsight/datavisual/%s?%s" % (
        job.service_url,
        path,
        urllib.parse.urlencode(query),
    )
    deadline = time.monotonic() + 60
    status, answer = get(url)
    while status == 400 and time.monotonic() < deadline:
        status, answer = get(url)
    assert status == 200, answer
    return json.loads(answer)
