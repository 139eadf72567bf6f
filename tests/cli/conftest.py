"""Fixtures of the tests of the command."""

import pytest

from modelarts.cli import main


@pytest.fixture
def run_command(capsys):
    """Runs ``modelarts`` with arguments; returns its exit code, and what it printed."""

    def run(*arguments):
        capsys.readouterr()
        try:
            code = main([*map(str, arguments)])
        except SystemExit as ended:
            code = ended.code
        return (code, *capsys.readouterr())

    return run
