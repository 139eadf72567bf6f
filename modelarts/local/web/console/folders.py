"""The folders that a new job can show: buckets, mounts, and what is in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

import attr

from modelarts import validation as arguments
from modelarts.errors import InvalidArgument
from modelarts.local.errors import Failure
from modelarts.local.identity.authentication import Caller
from modelarts.local.operations import Operations

_EVENTS = ".tfevents."
_MAX_CHOICES = 500
#: So many entries are looked at for event files, in all folders of a page.
_MAX_LOOKS = 5000
_DEPTH = 3


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Choice:
    """A folder that can be chosen.

    Attributes:
        name: its own name.
        url: its ``train_url``.
        events: how many event files are in it and below, as far as it was looked at.
    """

    name: str
    url: str
    events: int


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Choices:
    """The folders in a folder.

    Attributes:
        url: the ``train_url`` of the folder; empty for that of all buckets.
        above: that of the folder above; None where there is none.
        events: how many event files are in the folder itself and below.
        folders: the folders in it.
        remark: what kept them from being listed, if anything did.
        is_cut: there are more.
    """

    url: str
    above: str | None
    events: int
    folders: tuple[Choice, ...]
    remark: str = ""
    is_cut: bool = False


class Folders:
    """Lists folders, as far as the caller reaches their buckets.

    Args:
        operations: know the buckets, and who reaches them.
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def choices(self, caller: Caller, url: str) -> Choices:
        """Return the folders in one, or the buckets."""
        looks = _Looks()
        if not url.strip("/"):
            names = self._operations.buckets(caller)
            choices = [self._choice(caller, name, f"/{name}/", looks) for name in names]
            remark = "" if choices else "There are no buckets and no mounts on this machine."
            return Choices("", None, 0, tuple(choices[:_MAX_CHOICES]), remark)
        try:
            url = arguments.train_url(url)
        except InvalidArgument as error:
            return Choices("", None, 0, (), str(error))
        above = url.rstrip("/").rpartition("/")[0]
        above = above + "/" if above else ""
        try:
            place = self._operations.place(caller, url)
        except Failure as failure:
            return Choices(url, above, 0, (), failure.message)
        if place is None:
            return Choices(url, above, 0, (), "Its folders cannot be listed here.")
        try:
            names = sorted(each.name for each in _folders(place))
        except FileNotFoundError:
            return Choices(url, above, 0, (), "This folder does not exist yet.")
        except OSError as error:
            return Choices(url, above, 0, (), f"It cannot be read: {error.strerror}")
        choices = [
            Choice(name, f"{url}{name}/", looks.count(place / name))
            for name in names[:_MAX_CHOICES]
        ]
        return Choices(
            url, above, looks.count(place), tuple(choices), "", len(names) > _MAX_CHOICES
        )

    def _choice(self, caller: Caller, name: str, url: str, looks: _Looks) -> Choice:
        try:
            place = self._operations.place(caller, url)
        except Failure:
            place = None
        return Choice(name, url, 0 if place is None else looks.count(place))


class _Looks:
    """Counts event files, and looks at a limited number of entries for it."""

    def __init__(self) -> None:
        self._left = _MAX_LOOKS

    def count(self, folder: Path) -> int:
        """Return how many event files are in a folder and below, as far as it is looked at."""
        count, level = 0, [folder]
        for _ in range(_DEPTH):
            below: list[Path] = []
            for each in level:
                try:
                    with os.scandir(each) as entries:
                        for entry in entries:
                            if self._left <= 0:
                                return count
                            self._left -= 1
                            if _EVENTS in entry.name:
                                count += 1
                            elif entry.is_dir(follow_symlinks=False):
                                below.append(Path(entry.path))
                except OSError:
                    continue
            level = below
        return count


def _folders(place: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield entry
