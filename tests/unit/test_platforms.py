"""The SDK where Windows' Python would run it: without the modules that only POSIX has."""

import subprocess
import sys

import pytest

POSIX_ONLY = ("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "posix_ipc")
WITHOUT = (
    "import importlib, pkgutil, sys\n"
    "sys.modules.update(dict.fromkeys(%r))\n"
    "import modelarts\n" % (POSIX_ONLY,)
)


def run(program):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def test_everything_but_the_service_can_be_imported():
    code, printed = run(
        "ours = [found.name for found in pkgutil.walk_packages(modelarts.__path__, 'modelarts.')]\n"
        "for name in ours:\n"
        "    if not name.startswith(('modelarts.local', 'modelarts.__main__')):\n"
        "        try:\n"
        "            importlib.import_module(name)\n"
        "            print(name)\n"
        "        except ImportError as error:\n"
        "            # What an extra brings need not be here.\n"
        "            assert error.name not in (*sys.modules, *ours), (name, error)\n"
    )
    assert code == 0, printed
    assert {"modelarts.session", "modelarts.http.transport", "modelarts.testing.fake"} <= set(
        printed.split()
    )


def test_jobs_can_be_worked_with():
    code, printed = run(
        "from modelarts.estimator import VisualizationJob\n"
        "from modelarts.testing import FakeModelArts\n"
        "with FakeModelArts():\n"
        "    print(VisualizationJob.create('/bucket/logs/').wait().stop().refresh().status.name)\n"
    )
    assert (code, printed) == (0, "KILLING\n")


@pytest.mark.parametrize(
    "program",
    [
        "from modelarts.session import Session\nSession.local(%r)\n",
        "from modelarts.cli import main\nsys.exit(main(['serve', '--root', %r]))\n",
    ],
)
def test_the_service_says_what_it_needs(program, tmp_path):
    code, printed = run(program % str(tmp_path))
    assert code == 1
    needs = ["a POSIX system (Linux, macOS, or WSL on Windows)", "Python 3.9 or newer"]
    said = printed.strip().splitlines()[-1]
    assert [need for need in needs if "the local service needs " + need in said]
    assert "Traceback" not in printed or "ConfigurationError" in said
