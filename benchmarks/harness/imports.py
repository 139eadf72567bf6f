"""The time of whole interpreters: imports, and all up to the first answer."""

import os
import sys
import sysconfig
from typing import Dict, List, Mapping

from benchmarks.harness.answers import JOB_ID, PROJECT_ID
from benchmarks.harness.peers import ACCESS_KEY, PATH, SECRET_KEY
from benchmarks.harness.rounds import ROOT

__all__ = ["BARE", "FIRST_ANSWER", "FIRST_PLAIN", "OURS", "PLAIN", "interpreters", "net"]

BARE = "bare interpreter"
OURS = "import modelarts"
PLAIN = "import requests"
FIRST_ANSWER = "modelarts, first answer"
FIRST_PLAIN = "requests, first answer"

_OURS = "from modelarts.session import Session; from modelarts.estimator import VisualizationJob"
_FIRST_ANSWER = """
session = Session(access_key=%r, secret_key=%r, project_id=%r, region_name="eu-de",
                  modelarts_endpoint=%r)
assert VisualizationJob(session, %r).status == 8
"""
_FIRST_PLAIN = "; assert requests.get(%r).json()['status'] == 8"


def interpreters(address: str, rounds: int, environ: Mapping[str, str]) -> Dict[str, List[float]]:
    """CPU seconds, user and system, of each kind of interpreter, a new one in each round."""
    keys = (ACCESS_KEY, SECRET_KEY, PROJECT_ID, address, JOB_ID)
    url = "%s%s/%s" % (address, PATH, JOB_ID)
    programs = {
        BARE: "",
        OURS: _OURS,
        PLAIN: "import requests",
        FIRST_ANSWER: _OURS + _FIRST_ANSWER % keys,
        FIRST_PLAIN: "import requests" + _FIRST_PLAIN % url,
    }
    for program in programs.values():  # writes what is missing of the compiled modules
        _spend(program, environ)
    spent: Dict[str, List[float]] = {name: [] for name in programs}
    names = list(programs)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            spent[name].append(_spend(programs[name], environ))
    return spent


def net(spent: Dict[str, List[float]], name: str) -> List[float]:
    """The same without what a bare interpreter spent in the same round."""
    return [whole - bare for whole, bare in zip(spent[name], spent[BARE])]


def _spend(program: str, environ: Mapping[str, str]) -> float:
    # Without the site module (-S): whatever other packages have started at each start, such as an
    # editable installation's hook, has imported much of this already and would hide its cost.
    places = [str(ROOT), sysconfig.get_path("purelib")]
    program = "import sys; sys.path += %r\n%s" % (places, program)
    command = [sys.executable, "-I", "-S", "-c", program]
    child = os.spawnve(os.P_NOWAIT, sys.executable, command, dict(environ))
    _, status, used = os.wait4(child, 0)
    if status:
        raise RuntimeError("this program failed:\n" + program)
    return used.ru_utime + used.ru_stime
