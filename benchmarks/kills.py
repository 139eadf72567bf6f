"""Kills the service, again and again, while clients use it: ``python -m benchmarks.kills 200``.

See :mod:`tests.crashes.kills`; ``--objects`` does so with clients of the OBS API, ``--v2`` with
those of the v2 API, and ``--trainings`` with those of trainings.
"""

import argparse
import tempfile
from pathlib import Path

from tests.crashes.kills import kill_repeatedly, kill_under_trainings


def _main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.kills", description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=200, help="how often (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (%(default)s)")
    parser.add_argument(
        "--objects", action="store_true", help="kill it under the OBS API's clients"
    )
    parser.add_argument("--v2", action="store_true", help="kill it under clients of the v2 API")
    parser.add_argument("--trainings", action="store_true", help="kill it under trainings")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        if given.trainings:
            seen = kill_under_trainings(Path(root), given.kills, given.seed)
        else:
            api = "v2" if given.v2 else "v1"
            seen = kill_repeatedly(Path(root), given.kills, given.seed, given.objects, api)
    print("\n".join(seen.wrong))
    print(
        "%d kills, %d calls acknowledged, %d not answered; %d wrong"
        % (seen.kills, seen.acknowledged, seen.unanswered, len(seen.wrong))
    )
    raise SystemExit(1 if seen.wrong else 0)


if __name__ == "__main__":
    _main()
