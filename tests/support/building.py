"""Builds what is published, from a copy of the checkout."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["EPOCH", "ROOT", "Built", "build", "build_once"]

ROOT = Path(__file__).parents[2]
#: The time of all files that are built, in seconds since 1970.
EPOCH = "1700000000"
#: What a checkout may hold that belongs to nobody else.
_OWN = (
    *(".git", ".venv*", "*.egg-info", "build", "dist", "_build", "__pycache__", ".*_cache"),
    ".hypothesis",  # written by other tests at the same time
)


class Built:
    """The two files."""

    def __init__(self, folder):
        (self.wheel,) = folder.glob("*.whl")
        (self.archive,) = folder.glob("*.tar.gz")


def build_once(folder):
    """Build both, or take those that another process of the tests has built there."""
    folder.mkdir(exist_ok=True)
    with open(str(folder / "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "done"
        if not done.exists():
            build(folder)
            done.touch()
    return Built(folder)


#: Builds both in one process, without the tool ``build``.
_DIRECTLY = """
import sys
from setuptools import build_meta
folder = sys.argv[1]  # they have arguments of their own
build_meta.build_sdist(folder)
build_meta.build_wheel(folder)
"""


def build(folder, directly=False, **environ):
    """Build both into ``folder``; the wheel from what is in the archive, as installers would.

    Args:
        directly: build both from the copy, in one process, which takes half as long.
        environ: more variables of the environment.
    """
    copy = folder / "copy"
    shutil.copytree(str(ROOT), str(copy), ignore=shutil.ignore_patterns(*_OWN))
    done = subprocess.run(
        [sys.executable, "-c", _DIRECTLY, str(folder)]
        if directly
        else [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(copy)],
        cwd=str(copy if directly else ROOT),
        env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    shutil.rmtree(str(copy))
