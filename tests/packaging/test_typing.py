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


@pytest.fixture(scope="module")
def complaints(built, tmp_path_factory):
    """``(file, line, code)`` of all that mypy says, where the wheel is what is installed."""
    folder = tmp_path_factory.mktemp("typing")
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
    found = [re.match(r"([\w.]+):(\d+): error: .* (\[[\w-]+\])\Z", line) for line in lines]
    assert all(found), done.stdout
    return {(one.group(1), int(one.group(2)), one.group(3)) for one in found}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_is_right_is_accepted_and_what_is_wrong_is_refused(file, complaints):
    lines = file.read_text(encoding="utf-8").splitlines()
    wrong = {
        (file.name, number, line.split("# error: ")[1])
        for number, line in enumerate(lines, 1)
        if "# error: " in line
    }
    assert {one for one in complaints if one[0] == file.name} == wrong
    assert wrong
