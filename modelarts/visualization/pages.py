"""Reads all pages of a list that changes meanwhile."""

from typing import Any, Callable, Dict, Iterator, Optional, Sequence, Tuple, Union

Body = Dict[str, Any]
#: 512 numbers that follow each other are bits of one integer.
_SHIFT, _MASK = 9, 511


def each(
    fetch: Callable[[int], Tuple[Sequence[Body], Optional[int]]], key: Callable[[Body], object]
) -> Iterator[Body]:
    """Yield every job of all pages once.

    A page is fetched when its first job is needed. If jobs are deleted meanwhile, later jobs move
    to earlier pages, so the pages that they may be on are read again if the total shrinks.

    Args:
        fetch: returns the jobs of a page, counted from 1, and the total; None if it is unknown.
        key: returns the id of a job, a number or a text.
    """
    seen: Dict[Union[int, str], int] = {}
    number, size = 1, 1
    total_before = 0
    while True:
        jobs, total = fetch(number)
        size = max(size, len(jobs))  # the service may allow less than was requested
        if total is not None and total < total_before:
            # Read again, in order, from the page that the first new job may be on.
            number = max(1, number - -(-(total_before - total) // size))
            total_before = total
            continue
        fresh = False
        for job in jobs:
            group, bit = _place(key(job))
            known = seen.get(group, 0)
            if not known & bit:
                seen[group] = known | bit
                fresh = True
                yield job
        if not jobs or (number * size >= total if total is not None else not fresh):
            return
        del jobs  # otherwise this page stays in memory while the next is read
        total_before = total or 0
        number += 1


def _place(key: object) -> "Tuple[Union[int, str], int]":
    """Return the group of a job and its bit there: ids of v1 count up, and there can be many."""
    if type(key) is not int:
        text = str(key)
        if not text.isdecimal():
            return text, 1
        key = int(text)  # some editions write numbers as strings
    return key >> _SHIFT, 1 << (key & _MASK)
