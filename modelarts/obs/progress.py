"""The progress of a transfer: a bar, or calls of a function."""

import sys
import warnings
from typing import Any, Callable, Dict, Optional, Sequence, Union

import attr

from modelarts._internal.clock import Clock
from modelarts.errors import InvalidArgument
from modelarts.obs.executor import Task, Watcher
from modelarts.obs.results import Transferred

__all__ = ["Meter", "ProgressOption", "TransferProgress"]

_PAUSE = 0.1


@attr.s(frozen=True, slots=True, auto_attribs=True, kw_only=True)
class TransferProgress:
    """The state of a transfer: the argument of the function ``progress=``.

    Attributes:
        files: the number of files that are done.
        total_files: the number of files in all.
        bytes: the number of bytes that are done.
        total_bytes: the number of bytes in all; it increases with a file that grows meanwhile.
        seconds: the time since the beginning.
        name: the name of the file of the last change.
    """

    files: int
    total_files: int
    bytes: int
    total_bytes: int
    seconds: float
    name: str


#: None for a bar in a terminal or notebook; True for a bar, False for none; or a function.
ProgressOption = Union[None, bool, Callable[[TransferProgress], object]]


class Meter(Watcher):
    """Counts the transferred bytes, and shows the progress.

    Args:
        option: the argument ``progress=``.
        what: the text before the bar.

    Raises:
        InvalidArgument: ``option`` is not valid.
    """

    def __init__(self, option: ProgressOption, what: str, clock: Clock) -> None:
        if option is not None and not isinstance(option, bool) and not callable(option):
            raise InvalidArgument(
                "progress", option, "True, False, or a function of a TransferProgress"
            )
        self._tell = option if callable(option) else None
        self._bar: Any = None
        self._clock = clock
        self._began = self._told = clock.monotonic()
        self._what = what
        self._wants_bar = option is True or (option is None and _somebody_looks())
        #: True if totals are shown, so that files are counted first.
        self.shows = self._wants_bar or self._tell is not None
        self.files = self.bytes = self.total_files = self.total_bytes = 0
        self._name = ""
        #: Bytes of the files in transfer.
        self._moved: Dict[str, int] = {}

    def expect(self, files: int, count: int) -> None:
        """Set the totals."""
        self.total_files += files
        self.total_bytes += count
        if self._wants_bar and self._bar is None and self.total_files:
            self._bar = _make_bar(self._what)
            self._wants_bar = self._bar is not None
        if self._bar is not None:
            self._bar.total = self.total_bytes
            self._show_files()

    def began(self, task: Task) -> None:
        self._name = task.name

    def moved(self, task: Task, count: int) -> None:
        """Record transferred bytes; a negative number if they are sent again."""
        self.bytes += count
        self._moved[task.name] = self._moved.get(task.name, 0) + count
        self._name = task.name
        if self._bar is not None:
            self._bar.update(count)
        if self._tell is not None and self._clock.monotonic() - self._told >= _PAUSE:
            self._call()

    def ended(self, task: Task, error: Optional[Exception]) -> None:
        """Record the end of a file, also of one that failed."""
        moved = self._moved.pop(task.name, 0)
        if error is None:
            self.files += 1
            # No bytes remain, also if the file was skipped or has grown meanwhile.
            self.expect(0, moved - task.size if self.shows else 0)
        if self._bar is not None:
            self._show_files()
        if self._tell is not None:
            self._call()

    @property
    def seconds(self) -> float:
        """The seconds since the beginning."""
        return self._clock.monotonic() - self._began

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *error: object) -> None:
        """Close the bar, which stays visible."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def moved_to(
        self, target: str, files: int, unchanged: int = 0, skipped: Sequence[str] = ()
    ) -> Transferred:
        """Return the result of the transfer."""
        return Transferred(
            target=target,
            files=files,
            bytes=self.bytes,
            seconds=self.seconds,
            unchanged=unchanged,
            skipped=tuple(skipped),
        )

    def _show_files(self) -> None:
        self._bar.set_postfix_str("%d/%d files" % (self.files, self.total_files))

    def _call(self) -> None:
        self._told = self._clock.monotonic()
        if self._tell is not None:
            self._tell(
                TransferProgress(
                    files=self.files,
                    total_files=max(self.files, self.total_files),
                    bytes=self.bytes,
                    total_bytes=max(self.bytes, self.total_bytes),
                    seconds=self.seconds,
                    name=self._name,
                )
            )


def _make_bar(what: str) -> Any:
    try:
        with warnings.catch_warnings():
            # A notebook without ipywidgets has a bar of text; that needs no warning.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(desc=what, total=0, unit="B", unit_scale=True, dynamic_ncols=True)


def _somebody_looks() -> bool:
    """Return True in a terminal or a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is not None:
        return True
    try:
        return bool(sys.stderr.isatty())
    except (AttributeError, ValueError):  # no stream, or a closed one
        return False
