"""The page that compares counts the lines of the programs that the benchmark runs."""

import re
from pathlib import Path

import pytest

from benchmarks.compare import WAYS

pytestmark = pytest.mark.local

PAGE = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")


def test_lines_are_those_of_the_programs():
    rows = re.findall(r"^\| [^|]+ \| (\d+) \| [^|]+ \|$", PAGE, re.M)
    assert [int(lines) for lines in rows] == [way.lines for way in WAYS]


def test_each_program_compiles():
    programs = [way.text for way in WAYS if not way.is_command]
    assert len(programs) == 3
    for text in programs:
        compile(text, "a way to a curve", "exec")
