"""The sample of the README does what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.local

SWEEP = Path(__file__).parents[2] / "samples" / "sweep.py"
SAMPLE = Path(__file__).parents[2] / "samples" / "quickstart.py"


# One is run by .ci/run, as the README says.
@pytest.mark.extended
def test_two_quickstarts_read_own_curves(tmp_path):
    """Two quickstarts beside each other read their own curves back."""
    runs = [
        subprocess.Popen(
            [sys.executable, str(SAMPLE), "--root", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    for run in runs:
        printed, _ = run.communicate(timeout=180)
        assert run.returncode == 0, printed
        assert ": Completed" in printed
        assert "step 54" in printed
        assert "equal" in printed


def test_sweep_compares_eight_trainings(tmp_path):
    command = [sys.executable, str(SWEEP), "--root", str(tmp_path), "--steps", "2"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count(": loss 0.") == 8
    assert "the best of 8 rates is" in run.stdout
