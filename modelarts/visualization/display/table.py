"""Jobs as text for a terminal: a table of several jobs, the fields of a single job."""

import os
import sys
from typing import TYPE_CHECKING, Dict, Iterable, List, Optional, Sequence, TextIO, Tuple

from modelarts._internal.folders import in_short
from modelarts._internal.terminal import text_width, writable
from modelarts._status import JobStatus
from modelarts.visualization.display.text import clock_time, folders, last_known, one_line, span

if TYPE_CHECKING:
    from modelarts.models import JobInfo
    from modelarts.visualization.display.text import Shown

_HEADS = ("ID", "NAME", "STATUS", "CREATED", "TRAIN URL", "DESCRIPTION")
_STATUS = _HEADS.index("STATUS")
#: The columns that are shortened in a narrow terminal, first to last: the smallest width, and True
#: if the end is kept, in which folders differ.
_YIELDING = (("DESCRIPTION", 11, False), ("TRAIN URL", 12, True), ("NAME", 8, False))
#: The columns that are left out if that is not enough.
_LEAVING = ("DESCRIPTION", "CREATED", "TRAIN URL")
_GAP = 2
#: The width if it is not known, such as in a notebook.
_USUAL = 120
#: More characters than a folder or a description can have.
_LONGEST = 2048
_GREEN, _YELLOW, _RED, _GREY = "32", "33", "31", "90"


def look(stream: Optional[TextIO], otherwise: Optional[int] = None) -> Tuple[Optional[int], bool]:
    """Return the number of columns of a stream, and True if it shows colours.

    Args:
        otherwise: the columns of a stream that is not a terminal; None for as many as needed.
    """
    if stream is None or not stream.isatty():
        return otherwise, False
    import shutil

    environ = os.environ
    plain = (
        environ.get("NO_COLOR")
        or environ.get("TERM") == "dumb"
        or (os.name == "nt" and "WT_SESSION" not in environ)
    )
    return shutil.get_terminal_size().columns, not plain


def table(jobs: Iterable["Shown"], columns: Optional[int] = None, colour: bool = False) -> str:
    """Return jobs as a table of text, a line each, without a request.

    Args:
        columns: the greatest width; None for as wide as needed.
        colour: True for coloured statuses.
    """
    infos = [last_known(job) for job in jobs]
    if not infos:
        return "No visualization jobs."
    rows: List[Sequence[str]] = [_HEADS]
    rows += [[one_line(cell, _LONGEST) for cell in _cells(info)] for info in infos]
    kinds = ["KIND", *map(kind_of, infos)]
    if set(kinds) != {"KIND", "board"}:
        rows = [[*row[: _STATUS + 1], kind, *row[_STATUS + 1 :]] for row, kind in zip(rows, kinds)]
    rows = _fitted(rows, columns)
    widths = [max(text_width(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row, status in zip(rows, [None, *(info.status for info in infos)]):
        padded = [cell + " " * (width - text_width(cell)) for cell, width in zip(row, widths)]
        if colour:
            padded[_STATUS] = _coloured(padded[_STATUS], status)
        lines.append((" " * _GAP).join(padded).rstrip())
    return "\n".join(lines)


def fitting(jobs: Iterable["Shown"]) -> str:
    """Return the table without colours, in the width of the terminal or the notebook's output."""
    return table(jobs, look(sys.stdout, _USUAL)[0])


def show(jobs: Iterable["Shown"]) -> None:
    """Print the table, likewise, with colours if the stream shows them."""
    columns, colour = look(sys.stdout, _USUAL)
    print(writable(table(jobs, columns, colour), sys.stdout))


def facts(job: "Shown", colour: bool = False) -> str:
    """Return all known fields of a job, a line each, without a request."""
    info = last_known(job)
    status = _word(info)
    reason = info.extra.get("reason")
    shown: Dict[str, Optional[str]] = {
        "id": _number(info),
        "name": info.job_name,
        "status": (_coloured(status, info.status) if colour else status)
        + (": %s" % one_line(str(reason), _LONGEST) if reason else ""),
        "board": None if info.status and info.status.is_final else info.service_url,
        "train url": info.train_url,
        "folder": in_short(folders(info)),
        "read by": None
        if info.status and info.status.is_final
        else _text(info.extra.get("reader")),
        "OBS requests": _requests(info.extra.get("obs_requests")),
        "type": info.job_type,
        "description": info.job_desc,
        "created": clock_time(info.created),
        "run time": None if not info.duration else span(info.duration / 1000),
        "auto stop": _auto_stop(info),
        "resource": info.resource_id,
    }
    lines = []
    for name, value in shown.items():
        # The status may have colours; all other values are single lines already.
        text = value if name == "status" else one_line(value or "", _LONGEST)
        if text:
            lines.append("%-13s%s" % (name, text))
    return "\n".join(lines)


def _requests(value: object) -> Optional[str]:
    if not isinstance(value, dict):
        return None
    try:
        counts = [int(value[key]) for key in ("list", "read", "bytes")]
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return "%d list, %d read (%.1f MB)" % (counts[0], counts[1], counts[2] / 1e6)


def _cells(info: "JobInfo") -> Sequence[str]:
    return (
        _number(info),
        info.job_name or "",
        _word(info),
        clock_time(info.created),
        in_short(folders(info)) or info.train_url or "",
        info.job_desc or "",
    )


def kind_of(info: "JobInfo") -> str:
    """Return the kind of a job in a word: ``board``, ``training``, or another that v2 has."""
    kind = info.extra.get("kind")
    return {None: "board", "visualization_job": "board", "job": "training"}.get(
        kind if isinstance(kind, str) else None, str(kind)
    )


def _number(info: "JobInfo") -> str:
    return "" if info.job_id is None else str(info.job_id)


def _word(info: "JobInfo") -> str:
    return info.status.name if info.status is not None else ""


def _auto_stop(info: "JobInfo") -> Optional[str]:
    if info.schedule is None:
        return None
    hours = info.schedule.duration
    rule = "%d hour%s after its start" % (hours, "" if hours == 1 else "s")
    if info.remaining_duration is not None and info.status == JobStatus.RUNNING:
        rule += "; %s left" % span(info.remaining_duration / 1000)
    return rule


def _coloured(text: str, status: Optional[JobStatus]) -> str:
    if status is None:
        return text
    colour = _YELLOW
    if status == JobStatus.RUNNING:
        colour = _GREEN
    elif status.is_failed:
        colour = _RED
    elif status.is_stopped:
        colour = _GREY
    word = text.rstrip()
    return "\x1b[%sm%s\x1b[0m%s" % (colour, word, text[len(word) :])


def _fitted(rows: List[Sequence[str]], columns: Optional[int]) -> List[Sequence[str]]:
    """Return the rows with cells shortened or columns left out until they fit."""
    if columns is None:
        return rows
    heads = list(rows[0])
    widths = [max(text_width(row[i]) for row in rows) for i in range(len(heads))]

    def excess() -> int:
        return sum(widths) + _GAP * (len(widths) - 1) - columns

    for head, least, _ in _YIELDING:
        i = heads.index(head)
        widths[i] = max(min(widths[i], least), widths[i] - max(0, excess()))
    for head in _LEAVING:
        if excess() > 0:
            i = heads.index(head)
            del heads[i], widths[i]
            rows = [[*row[:i], *row[i + 1 :]] for row in rows]
    widths[_STATUS] = max(min(widths[_STATUS], 6), widths[_STATUS] - max(0, excess()))
    # A removed column may leave room for columns that were shortened before.
    for head, _, _ in reversed(_YIELDING):
        if head in heads and excess() < 0:
            i = heads.index(head)
            wanted = max(text_width(row[i]) for row in rows)
            widths[i] = min(wanted, widths[i] - excess())
    ends = {head for head, _, end in _YIELDING if end}
    return [
        [_cut(cell, width, head in ends) for cell, width, head in zip(row, widths, heads)]
        for row in rows
    ]


def _cut(text: str, width: int, end: bool) -> str:
    if text_width(text) <= width:
        return text
    kept = list(reversed(text)) if end else list(text)
    room = width - 1
    for number, character in enumerate(kept):
        room -= text_width(character)
        if room < 0:
            kept = kept[:number]
            break
    return "…" + "".join(reversed(kept)) if end else "".join(kept) + "…"


def _text(value: object) -> Optional[str]:
    return value if isinstance(value, str) else None
