"""The size of a cluster that cannot be run here: ``python -m benchmarks.cluster_simulation``.

Simulates 10,000 boards on 50 machines, of which 2,000 are visited in an hour, from costs that were
measured on a small cluster (``python -m benchmarks.cluster``). Each visited board starts if it
sleeps, and sleeps an hour after its last visit. A start takes its processor time on a machine,
after those that were begun there before it; machines have so many processors for starts. One
machine is lost in the middle.

It knows nothing of networks, of file systems, of Ray's own limits and of Python's. It says what
processors and memory suffice for, not that it works.
"""

import argparse
import heapq
import random
import statistics
from typing import Dict, List, NamedTuple, Tuple

__all__ = ["Costs", "Result", "simulate"]

_HOUR = 3600.0


class Costs(NamedTuple):
    """Measured costs of one board.

    Attributes:
        start: processor seconds until its page answers.
        memory: megabytes of its actor and its own process, while it is awake.
        idle: processor seconds a second, while it is awake.
        ray: megabytes of Ray on each machine.
        notice: seconds until Ray misses a machine.
    """

    start: float
    memory: float
    idle: float
    ray: float
    notice: float


class Result(NamedTuple):
    """The outcome of a simulation.

    Attributes:
        awake: the most boards that were awake at once.
        memory: the most megabytes that one machine needed.
        processors: the mean number of processors that one machine used for boards.
        median: the median of the seconds from the first visit of a sleeping board to its page.
        late: the 99th percentile of that.
        back: the seconds until the last board of the lost machine answered again.
    """

    awake: int
    memory: float
    processors: float
    median: float
    late: float
    back: float


class _Machine:
    """The processors of one machine, each with the time at which it is free."""

    def __init__(self, processors: int) -> None:
        self.free = [0.0] * processors
        self.boards: Dict[int, float] = {}

    def start(self, now: float, seconds: float) -> float:
        """Return when a start that begins now is done."""
        begins = max(now, heapq.heappop(self.free))
        heapq.heappush(self.free, begins + seconds)
        return begins + seconds


def simulate(
    costs: Costs,
    boards: int = 10_000,
    visited: int = 2_000,
    machines: int = 50,
    processors: int = 8,
    hours: int = 8,
    seed: int = 1,
) -> Result:
    """Simulate some hours.

    Args:
        visited: how many boards are visited in an hour, at random times.
        processors: those of each machine.
        hours: how long; in the middle a machine is lost.
    """
    chance = random.Random(seed)
    cluster = [_Machine(processors) for _ in range(machines)]
    homes: Dict[int, _Machine] = {}
    waits: List[float] = []
    most_awake = most_here = 0
    back = awake_seconds = 0.0
    lost_at = hours * _HOUR / 2
    visits = sorted(
        (hour * _HOUR + chance.random() * _HOUR, board)
        for hour in range(hours)
        for board in chance.sample(range(boards), visited)
    )
    sleeps: List[Tuple[float, int]] = []
    for now, board in visits:
        if cluster and lost_at and now >= lost_at:
            back = _lose(cluster, homes, lost_at, costs)
            lost_at = 0.0
        while sleeps and sleeps[0][0] <= now:
            when, sleeper = heapq.heappop(sleeps)
            home = homes.get(sleeper)
            if home is not None and home.boards.get(sleeper) == when:
                del home.boards[sleeper], homes[sleeper]
        home = homes.get(board)
        if home is None:
            home = min(cluster, key=lambda machine: len(machine.boards))
            waits.append(home.start(now, costs.start) - now)
            homes[board] = home
            awake_seconds += _HOUR
        else:
            awake_seconds += _HOUR - (home.boards[board] - now)
        home.boards[board] = now + _HOUR
        heapq.heappush(sleeps, (now + _HOUR, board))
        most_awake = max(most_awake, len(homes))
        most_here = max(most_here, len(home.boards))
    seconds = len(waits) * costs.start + awake_seconds * costs.idle
    return Result(
        awake=most_awake,
        memory=costs.ray + most_here * costs.memory,
        processors=seconds / (hours * _HOUR) / machines,
        median=statistics.median(waits),
        late=sorted(waits)[int(len(waits) * 0.99)],
        back=back,
    )


def _lose(cluster: List[_Machine], homes: Dict[int, _Machine], now: float, costs: Costs) -> float:
    """Lose a machine; return how many seconds later its last board answers elsewhere."""
    lost = cluster.pop()
    last = now
    for board, until in lost.boards.items():
        home = min(cluster, key=lambda machine: len(machine.boards))
        home.boards[board] = until
        homes[board] = home
        last = max(last, home.start(now + costs.notice, costs.start))
    return last - now


def _main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.cluster_simulation")
    parser.add_argument("--start", type=float, default=1.43, help="processor seconds of a start")
    parser.add_argument("--memory", type=float, default=68.0, help="MB of a board")
    parser.add_argument("--idle", type=float, default=0.0105, help="processors of a board")
    parser.add_argument("--ray", type=float, default=494.0, help="MB of Ray on a machine")
    parser.add_argument("--notice", type=float, default=5.0, help="seconds until a loss is noticed")
    chosen = parser.parse_args()
    costs = Costs(chosen.start, chosen.memory, chosen.idle, chosen.ray, chosen.notice)
    print("| machines | awake at most | MB of a machine | processors | median | 99 % | loss |")
    for machines in (10, 25, 50):
        result = simulate(costs, machines=machines)
        print(
            "| %d | %d | %.0f | %.1f | %.2f s | %.2f s | %.0f s |" % (machines, *result),
        )


if __name__ == "__main__":
    _main()
