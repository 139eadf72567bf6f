"""The comparisons that are made, and the figures they must show."""

import tempfile
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from benchmarks.harness import imports
from benchmarks.harness.memory import Held, held
from benchmarks.harness.rounds import Ratio, Worker, environment, interleave, ratio

__all__ = ["Effort", "Load", "Row", "rows"]

#: Few, which is where a client that scans the environment at each call is at its best.
FEW = 2
MANY = 120

_REFRESH = "job.refresh().status"
#: The peers of one call, and at most how much of each it may cost; None where that is not set.
_CALL_PEERS: Sequence[Tuple[str, str, Optional[float]]] = (
    ("requests", "requests.Session.get().json()", 0.70),
    ("huaweicloudsdkcore", "huaweicloudsdkcore, signed", 0.5),
    ("otcextensions", "otcextensions, with a token", 0.25),
    ("boto3", "boto3 get_object, signed", None),
    ("urllib3", "urllib3 .json(), unsigned", None),
    ("http_client", "http.client + json, unsigned", None),
)


class Effort(NamedTuple):
    """How often things are measured."""

    rounds: int
    interpreters: int
    calls: int
    signatures: int


class Load(NamedTuple):
    """How often the service is measured, and with how many jobs."""

    rounds: int
    calls: int
    jobs: int


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        unit: of the two figures: seconds or bytes.
        most: the ratio that must not be exceeded; None where none is set.
        ratio: None where the peer did not run: it is not installed, mostly.
    """

    what: str
    against: str
    unit: str
    most: Optional[float]
    ratio: Optional[Ratio]

    @property
    def verdict(self) -> str:
        """Return True if the row shows the figure that it must."""
        if self.ratio is None:
            return "did not run"
        if self.most is None:
            return ""
        return "ok" if self.ratio.median <= self.most else "MISSED"


def rows(address: str, effort: Effort) -> Iterator[Row]:
    """All comparisons, each as soon as it is made."""
    # An empty home: nobody's .netrc, clouds.yaml or credentials are read.
    with tempfile.TemporaryDirectory() as home:
        yield from _imports(address, effort, environment(home, FEW))
        yield from _calls(address, effort, home)
        few = environment(home, FEW)
        yield from _signature(address, effort, few)
        yield from _list(address, effort, few)
        yield from _v2(address, effort, few)
        yield from _memory(address, few)


def _imports(address: str, effort: Effort, environ: Dict[str, str]) -> Iterator[Row]:
    spent = imports.interpreters(address, effort.interpreters, environ)
    for what, ours, theirs, most in (
        ("import Session, VisualizationJob", imports.OURS, imports.PLAIN, 0.35),
        ("… to the first signed answer", imports.FIRST_ANSWER, imports.FIRST_PLAIN, 1.1),
    ):
        figures = ratio(imports.net(spent, ours), imports.net(spent, theirs))
        yield Row(what, theirs, "seconds", most, figures)


def _calls(address: str, effort: Effort, home: str) -> Iterator[Row]:
    few, many = environment(home, FEW), environment(home, MANY)
    workers = [Worker(name, name, address, few) for name, _, _ in _CALL_PEERS]
    workers += [
        Worker("modelarts", "modelarts", address, few),
        Worker("modelarts, many", "modelarts", address, many),
        Worker("requests, many", "requests", address, many),
    ]
    spent = interleave(workers, effort.rounds, effort.calls)
    ours, ours_many = spent["modelarts"], spent["modelarts, many"]
    for name, against, most in _CALL_PEERS:
        yield Row(_REFRESH, against, "seconds", most, ratio(ours, spent.get(name)))
    crowded = "the same in %d variables" % MANY
    yield Row(crowded, "itself in %d variables" % FEW, "seconds", 1.05, ratio(ours_many, ours))
    against = "requests in %d variables" % MANY
    yield Row(crowded, against, "seconds", None, ratio(ours_many, spent.get("requests, many")))


def _signature(address: str, effort: Effort, environ: Dict[str, str]) -> Iterator[Row]:
    spent = _pair(address, "signature", "huaweicloudsdkcore", effort, effort.signatures, environ)
    figures = ratio(spent[0], spent[1])
    yield Row("one signature", "huaweicloudsdkcore's", "seconds", 0.5, figures)


def _list(address: str, effort: Effort, environ: Dict[str, str]) -> Iterator[Row]:
    spent = _pair(address, "list", "requests", effort, 1, environ)
    figures = ratio(spent[0], spent[1])
    yield Row("10 000 jobs through iter", "dicts over requests", "seconds", 1.5, figures)


def _v2(address: str, effort: Effort, environ: Dict[str, str]) -> Iterator[Row]:
    spent = _pair(address, "v2", "requests", effort, effort.calls, environ)
    figures = ratio(spent[0], spent[1])
    yield Row("v2: " + _REFRESH, "requests.Session.get().json()", "seconds", 0.70, figures)
    spent = _pair(address, "list_v2", "requests", effort, 1, environ)
    figures = ratio(spent[0], spent[1])
    yield Row("v2: 5000 jobs through iter", "dicts over requests", "seconds", 1.5, figures)


def _memory(address: str, environ: Dict[str, str]) -> Iterator[Row]:
    def held_by(kind: str) -> Tuple[Held, Optional[Held]]:
        ours = held("modelarts_" + kind, address, environ)
        assert ours is not None
        return ours, held("requests_" + kind, address, environ)

    ours, theirs = held_by("list")
    peaks = ratio([ours.peak], theirs and [theirs.peak])
    yield Row("… memory, at the most", "the same loop", "bytes", 1.1, peaks)
    ours, theirs = held_by("kept")
    kept, peaks = (
        ratio([figure], theirs and [other]) for figure, other in zip(ours, theirs or (0, 0))
    )
    yield Row("… all kept in a list", "a list of the dicts", "bytes", 1.1, kept)
    yield Row("… at the most while it grows", "a list of the dicts", "bytes", 1.1, peaks)


def _pair(
    address: str, kind: str, other: str, effort: Effort, calls: int, environ: Dict[str, str]
) -> Tuple[List[float], Optional[List[float]]]:
    names = ("modelarts_" + kind, "%s_%s" % (other, kind))
    workers = [Worker(name, name, address, environ) for name in names]
    spent = interleave(workers, effort.rounds, calls)
    return spent[names[0]], spent.get(names[1])
