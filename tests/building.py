"""Builds what is published, from a copy of the checkout."""

import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "Built", "build"]

ROOT = Path(__file__).parent.parent
#: What a checkout may hold that belongs to nobody else.
_OWN = (
    *(".git", ".venv", "*.egg-info", "build", "dist", "_build", "__pycache__", ".*_cache"),
    ".hypothesis",  # written by other tests at the same time
)


class Built:
    """The two files."""

    def __init__(self, folder):
        (self.wheel,) = folder.glob("*.whl")
        (self.archive,) = folder.glob("*.tar.gz")


def build(folder):
    """Build both into ``folder``; the wheel from what is in the archive, as installers would."""
    copy = folder / "copy"
    shutil.copytree(str(ROOT), str(copy), ignore=shutil.ignore_patterns(*_OWN))
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(copy)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    shutil.rmtree(str(copy))
    return Built(folder)
