"""Types of the installed package, as users' type checkers see them, strictly.

Lines that end with ``# error: [code]`` must be refused with that code, all others accepted.
"""

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.local

FOLDER = Path(__file__).parent / "typing"
FILES = sorted(FOLDER.glob("*.py"))


def _complaints(built, folder):
    """Return ``(file, line, code)`` of all that mypy says, where the wheel is what is installed."""
    venv.create(str(folder / "venv"))
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    with zipfile.ZipFile(str(built.wheel)) as wheel:
        wheel.extractall(str(site))
    # What it depends on; the path's other packages come after the wheel.
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(others) + "\n")
    for file in FILES:
        (folder / file.name).write_bytes(file.read_bytes())
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"),
            *("--python-executable", str(folder / "venv" / "bin" / "python")),
            *("--cache-dir", str(folder / "cache"), "--show-error-codes"),
            *(file.name for file in FILES),
        ],
        cwd=str(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    lines = [line for line in done.stdout.splitlines() if " note: " not in line]
    matches = [re.match(r"([\w.]+):(\d+): error: .* (\[[\w-]+\])\Z", line) for line in lines]
    assert all(matches), done.stdout
    return {(match.group(1), int(match.group(2)), match.group(3)) for match in matches}


def test_what_is_right_is_accepted_and_what_is_wrong_is_refused(built, tmp_path):
    """One run of mypy, which takes most of the time, over all files."""
    wrong = {
        (file.name, number, line.split("# error: ")[1])
        for file in FILES
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if "# error: " in line
    }
    assert {name for name, _, _ in wrong} == {file.name for file in FILES}
    assert _complaints(built, tmp_path) == wrong
