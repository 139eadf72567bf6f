"""Jobs as HTML for a notebook, from the last responses, without a request.

Styles are inline, and do not use those that a notebook removes from untrusted pages.
Text has the notebook's own colour; a status is white on a colour that is dark enough for it, so
that both are readable on a light and on a dark page.
"""

from html import escape
from typing import TYPE_CHECKING, Iterable, Iterator, Optional, Sequence, Tuple

from modelarts._internal.folders import in_short
from modelarts._status import JobStatus
from modelarts.models import JobInfo
from modelarts.visualization.display.board_url import board_address, is_web_address
from modelarts.visualization.display.text import clock_time, folders, last_known, span, title

if TYPE_CHECKING:
    from modelarts.visualization.display.text import Shown

_MOST_ROWS = 100
_GREEN, _BLUE, _AMBER, _RED, _GREY = "#1a7f37", "#0969da", "#9a6700", "#cf222e", "#5f6770"
_PILL = (
    "display: inline-block; padding: 0 8px; border-radius: 9px; color: #ffffff; "
    "background-color: %s; font-size: 85%%; font-weight: 600"
)
_BOX = (
    "display: inline-block; padding: 8px 14px; border: 1px solid rgba(128, 128, 128, 0.5); "
    "border-radius: 6px; line-height: 1.6"
)
_CELL = "text-align: left; vertical-align: top; padding: 2px 14px 2px 0"
_SHORT = _CELL + "; white-space: nowrap"
_FAINT = "opacity: 0.75"


def card(job: "Shown") -> str:
    """Return a job as a card: name, status, link to the board, times, folder, description."""
    info = last_known(job)
    return box(
        info.job_name or title(info), [status_word(info.status), _link(info)], _facts(job, info)
    )


def box(name: str, parts: Sequence[str], facts: Iterable[Tuple[str, str]]) -> str:
    """Return a card: a head with a name and further HTML, and below it facts as text."""
    head = ['<strong style="font-size: 110%%">%s</strong>' % escape(name), *parts]
    rows = "".join(
        '<tr style="background: none"><th scope="row" style="%s; font-weight: normal; %s">%s</th>'
        '<td style="%s">%s</td></tr>' % (_CELL, _FAINT, name, _CELL, escape(value))
        for name, value in facts
    )
    return '<div style="%s"><div>%s</div><table style="margin: 4px 0 0 0">%s</table></div>' % (
        _BOX,
        " &nbsp; ".join(part for part in head if part),
        rows,
    )


def table(jobs: Sequence["Shown"]) -> str:
    """Return jobs as a table; of a long list only the first."""
    names = ("ID", "Name", "Status", "Created", "Stops in", "Folder", "Description")
    head = "".join('<th scope="col" style="%s">%s</th>' % (_CELL, name) for name in names)
    rows = "".join("<tr>%s</tr>" % _cells(last_known(job)) for job in jobs[:_MOST_ROWS])
    more = len(jobs) - _MOST_ROWS
    note = "%d job%s" % (len(jobs), "" if len(jobs) == 1 else "s")
    if more > 0:
        note += ", of which the first %d are shown; to_dataframe() has all" % _MOST_ROWS
    # By default JupyterLab makes all columns equally wide, and breaks dates in two.
    body = (
        '<table style="margin: 0; table-layout: auto"><thead><tr>%s</tr></thead>'
        "<tbody>%s</tbody></table>"
    )
    return '<div>%s<div style="%s">%s</div></div>' % (
        body % (head, rows) if jobs else "",
        _FAINT,
        note,
    )


def link(job: "Shown", address: str) -> str:
    """Return a line with the job's name and a link to the board."""
    return '<div style="margin-bottom: 4px"><strong>%s</strong> &nbsp; %s</div>' % (
        escape(title(last_known(job))),
        _anchor(address, last_known(job)),
    )


def frame(job: "Shown", address: str, height: int) -> str:
    """Return the board itself, below that line."""
    return (
        '%s<iframe src="%s" title="TensorBoard" width="100%%" height="%d" '
        'style="border: 1px solid rgba(128, 128, 128, 0.5)"></iframe>'
        % (link(job, address), escape(address), height)
    )


def status_word(status: Optional[JobStatus]) -> str:
    """Return a status as a coloured word."""
    if status is None:
        return '<span style="%s">not asked yet</span>' % _FAINT
    return '<span style="%s">%s</span>' % (_PILL % _colour(status), escape(status.name))


def _colour(status: JobStatus) -> str:
    if status == JobStatus.RUNNING:
        return _GREEN
    if status == JobStatus.KILLING:
        return _AMBER
    if status.is_failed:
        return _RED
    unknown = status == JobStatus.UNKNOWN or status.name.startswith("UNLISTED")
    return _GREY if status.is_stopped or unknown else _BLUE


def _link(info: JobInfo) -> str:
    if info.status != JobStatus.RUNNING or not info.service_url:
        return ""
    address = board_address(info.service_url)
    return _anchor(address, info) if is_web_address(address) else ""


def _anchor(address: str, info: JobInfo) -> str:
    # For screen readers and lists of links, each link names its job.
    return (
        '<a href="%s" target="_blank" rel="noopener noreferrer" '
        'aria-label="open the board of %s">open the board</a>'
        % (escape(address), escape(title(info)))
    )


def _facts(job: "Shown", info: JobInfo) -> Iterator[Tuple[str, str]]:
    yield "job", "" if info.job_id is None else str(info.job_id)
    if folders(info) or info.train_url:
        yield "folder", in_short(folders(info)) or str(info.train_url)
    if info.job_desc:
        yield "description", info.job_desc
    if info.created:
        yield "created", clock_time(info.created)
    if info.duration:
        ended = info.status is not None and info.status.is_final
        yield "ran for" if ended else "running for", span(info.duration / 1000)
    stops = _stops_in(info)
    if stops:
        yield "stops in", stops
    reason = job.raw.get("reason")
    if reason:
        yield "reason", str(reason)
    if job.last_seen is not None:
        yield "as of", job.last_seen.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _stops_in(info: JobInfo) -> str:
    if info.status is not None and info.status.is_final:
        return ""
    if info.remaining_duration is not None:
        return span(info.remaining_duration / 1000)
    return "%d h, once it runs" % info.schedule.duration if info.schedule is not None else ""


def _cells(info: JobInfo) -> str:
    link = _link(info)
    name = escape(info.job_name or "")
    short = (
        "" if info.job_id is None else str(info.job_id),
        name + (" &nbsp; " + link if link else ""),
        status_word(info.status),
        clock_time(info.created),
        escape(_stops_in(info)),
    )
    long = (escape(", ".join(folders(info)) or info.train_url or ""), escape(info.job_desc or ""))
    return "".join(
        '<td style="%s">%s</td>' % (style, cell)
        for style, cells in ((_SHORT, short), (_CELL, long))
        for cell in cells
    )
