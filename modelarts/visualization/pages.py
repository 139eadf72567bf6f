"""Reads all pages of a list whose jobs come and go meanwhile."""

from typing import Any, Callable, Dict, Iterator, Optional, Sequence, Set, Tuple

__all__ = ["each"]

Body = Dict[str, Any]


def each(
    fetch: Callable[[int], Tuple[Sequence[Body], Optional[int]]], key: Callable[[Body], str]
) -> Iterator[Body]:
    """Yield every job of all pages, none twice.

    A page is fetched when its first job is needed. Jobs that others delete meanwhile move the later
    ones forward, so when the total shrinks the pages they may have moved to are read again.

    Args:
        fetch: returns the jobs of a page, counted from 1, and the total; None where it is unknown.
        key: returns what tells a job from others.
    """
    seen: Set[str] = set()
    number, size = 1, 1
    total_before = 0
    while True:
        jobs, total = fetch(number)
        size = max(size, len(jobs))  # the service may allow less than was asked for
        if total is not None and total < total_before:
            # Read again from where the first job that was not seen may be now; in order.
            number = max(1, number - -(-(total_before - total) // size))
            total_before = total
            continue
        fresh = False
        for job in jobs:
            if key(job) not in seen:
                seen.add(key(job))
                fresh = True
                yield job
        if not jobs or (number * size >= total if total is not None else not fresh):
            return
        del jobs  # or this page would be held while the next one is read
        total_before = total or 0
        number += 1
