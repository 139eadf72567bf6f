"""The pages for contributors: files, names and tests that are there, and the version."""

import re
from pathlib import Path

import pytest

import modelarts

# Python 3.7 to 3.13 have the same page.
pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TABLE = re.search(r"^## Where a line belongs\n\n(.*?)^\n", PAGE, re.M | re.S).group(1)
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines()[2:]]


def paths(cell):
    """Return the paths of a cell; one without a folder is beside the first."""
    named = re.findall(r"`([\w./]+)`", cell)
    first = ROOT / named[0]
    folder = first if first.is_dir() else first.parent
    return [first, *(ROOT / name if "/" in name else folder / name for name in named[1:])]


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_row_names_what_is_there(row):
    _, files, name, test = row
    found = paths(files)
    assert [path for path in found if not path.exists()] == []
    assert all((ROOT / each).is_file() for each in re.findall(r"`([^`]+)`", test))
    folder = found[0] if found[0].is_dir() else found[0].parent
    sources = [path for path in found if path.is_file()]
    for word in re.findall(r"`([\w./]+)`", name):
        if word.endswith((".py", "/")):
            assert (folder / word).exists()
            sources.append(folder / word)
        else:
            every = sources + [folder / each for each in re.findall(r"`(\w+\.py)`", name)]
            assert any(
                re.search(r"\b%s\b" % word, path.read_text(encoding="utf-8")) for path in every
            ), word


def test_commands_of_the_day_are_those_of_ci():
    checks = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = ("ruff check .", "ruff format --check .", "mypy --strict modelarts")
    for command in (*commands, "lint-imports --no-cache", "sphinx -W -q -b html docs"):
        assert command in PAGE
        assert command in checks


def test_version_has_its_changes_and_gets_fixes():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[(.*?)\]", changelog, re.M).group(1) == modelarts.__version__
    policy = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    series = modelarts.__version__.rpartition(".")[0]
    assert "| %s.x | yes |" % series in policy
