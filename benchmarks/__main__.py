"""``python -m benchmarks``: measures and prints; a missed figure is marked, and fails nothing."""

import argparse
from typing import Iterable

from benchmarks.harness import server
from benchmarks.harness.report import HEADING, as_json, line, versions
from benchmarks.harness.tables import Effort, Load, Row, rows

_QUICK = Effort(rounds=3, interpreters=5, calls=50, signatures=2000)
_FULL = Effort(rounds=15, interpreters=25, calls=200, signatures=5000)
_QUICK_LOAD = Load(rounds=3, calls=50, jobs=50)
_FULL_LOAD = Load(rounds=9, calls=200, jobs=200)


def _main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=["sdk", "service", "boards", "obs", "trainings", "compare"],
        default="sdk",
        help="default: sdk",
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: rough figures")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    if given.what == "service":
        from benchmarks import service

        made = service.rows(_QUICK_LOAD if given.quick else _FULL_LOAD)
        _show(made, given.json, "The local service.")
        return
    if given.what == "boards":
        from benchmarks import boards

        _show(boards.rows(given.quick), given.json, "Boards beside TensorBoard with its defaults.")
        return
    if given.what == "trainings":
        from benchmarks import trainings

        _show(trainings.rows(given.quick), given.json, "Trainings beside scripts run by hand.")
        return
    if given.what == "compare":
        from benchmarks import compare

        _show(compare.rows(given.quick), given.json, "From nothing to a curve.")
        return
    if given.what == "obs":
        from benchmarks import obs

        return obs.main(5 if given.quick else 15)
    with server.running() as address:
        made = rows(address, _QUICK if given.quick else _FULL)
        _show(made, given.json, "CPU per call of the client's process.")


def _show(made: Iterable[Row], json: bool, title: str) -> None:
    if json:
        print(as_json(made))
        return
    print("%s %s\n\n%s" % (title, versions(), HEADING))
    for row in made:
        print(line(row), flush=True)


if __name__ == "__main__":
    _main()
