"""How jobs look to a person."""

from datetime import datetime
from typing import TYPE_CHECKING, Iterable, Sequence

if TYPE_CHECKING:
    from modelarts.jobs.known import KnownJob

__all__ = ["table"]


def table(jobs: Iterable["KnownJob"]) -> str:
    """Jobs as a table of text, a line each, statuses as words."""
    rows = [("ID", "NAME", "STATUS", "CREATED", "TRAIN URL", "DESCRIPTION")]
    for job in jobs:
        info = job.info
        rows.append(
            (
                str(info.job_id),
                info.job_name or "",
                info.status.name if info.status is not None else "",
                _when(info.created),
                info.train_url or "",
                _one_line(info.job_desc or ""),
            )
        )
    return _columns(rows)


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _when(created: "datetime | None") -> str:
    return created.astimezone().strftime("%Y-%m-%d %H:%M") if created else ""


def _one_line(text: str, most: int = 40) -> str:
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= most else text[: most - 1] + "…"
