"""The table that is printed."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Dict, Iterable

from benchmarks.harness.tables import Row

__all__ = ["HEADING", "as_json", "line", "versions"]

_FORM = "%-34s %9s   %-30s %9s   %5s  %-11s %7s  %s"

HEADING = (
    _FORM % ("what", "costs", "against", "costs", "ratio", "quartiles", "at most", "")
    + "\n"
    + "-" * 117
)


def line(row: Row) -> str:
    """Print one row."""
    ours = theirs = ratio = spread = ""
    if row.ratio is not None:
        ours, theirs = _figure(row.ratio.ours, row.unit), _figure(row.ratio.theirs, row.unit)
        ratio = "%.2f" % row.ratio.median
        if row.ratio.low != row.ratio.high:
            spread = "%.2f-%.2f" % (row.ratio.low, row.ratio.high)
    most = "" if row.most is None else "%.2f" % row.most
    shown = (row.what, ours, row.against, theirs, ratio, spread, most, row.verdict)
    return (_FORM % shown).rstrip()


def versions() -> str:
    """Return the versions of the packages that were measured."""
    names = ("requests", "urllib3", "huaweicloudsdkcore", "otcextensions", "openstacksdk", "boto3")
    shown = ["Python " + platform.python_version()]
    for name in names:
        try:
            shown.append("%s %s" % (name, version(name)))
        except PackageNotFoundError:
            shown.append("no %s" % name)
    return ", ".join(shown)


def as_json(rows: Iterable[Row]) -> str:
    """All rows for another program."""
    return json.dumps({"measured": versions(), "rows": [_as_dict(row) for row in rows]}, indent=1)


def _as_dict(row: Row) -> Dict[str, object]:
    figures = None if row.ratio is None else row.ratio._asdict()
    return {**row._asdict(), "ratio": figures, "verdict": row.verdict}


def _figure(value: float, unit: str) -> str:
    if unit == "bytes":
        return "%.1f MB" % (value / 1e6)
    return "%.1f ms" % (value * 1e3) if value >= 2e-3 else "%.1f µs" % (value * 1e6)
