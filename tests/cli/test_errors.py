"""That what a command rewords of an error's text is still what the errors say."""

import ast
from pathlib import Path

import pytest

import modelarts
from modelarts.cli import errors

# Python 3.7 parses strings otherwise.
pytestmark = pytest.mark.local

SOURCES = [
    path
    for path in sorted(Path(modelarts.__file__).parent.rglob("*.py"))
    if path != Path(errors.__file__)
]
TEXTS = [
    node.value
    for path in SOURCES
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
]


@pytest.mark.parametrize("phrase", [phrase for phrase, _ in errors._IN_A_TERMINAL])
def test_reworded_phrase_is_in_a_message(phrase):
    """A message that is reworded elsewhere has to be reworded in ``cli.errors`` too."""
    assert any(phrase in text for text in TEXTS)
