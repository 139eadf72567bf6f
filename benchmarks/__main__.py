"""``python -m benchmarks``: measures and prints; a missed figure is marked, and fails nothing."""

import argparse

from benchmarks import server
from benchmarks.report import HEADING, as_json, line, versions
from benchmarks.tables import Effort, rows

_QUICK = Effort(rounds=3, interpreters=5, calls=50, signatures=2000)
_FULL = Effort(rounds=15, interpreters=25, calls=200, signatures=5000)


def _main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: rough figures")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("what", nargs="?", choices=["obs"], help="only bringing files to OBS")
    given = parser.parse_args()
    if given.what == "obs":
        from benchmarks import obs

        return obs.main(5 if given.quick else 15)
    with server.running() as address:
        made = rows(address, _QUICK if given.quick else _FULL)
        if given.json:
            print(as_json(made))
            return
        print("CPU per call of the client's process. %s\n\n%s" % (versions(), HEADING))
        for row in made:
            print(line(row), flush=True)


if __name__ == "__main__":
    _main()
