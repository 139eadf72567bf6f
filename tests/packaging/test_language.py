"""The form of docstrings and of the names of tests, in all modules."""

import ast
import gc
from pathlib import Path

import pytest

# Python 3.7 parses docstrings otherwise.
pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[2]
QUESTIONS = {"what", "which", "whether", "where", "who", "whose", "whoever", "whatever"}
MODULES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("modelarts", "tests", "benchmarks", "samples")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
# Names that do not tell what they hold.
VAGUE = {"found", "given", "here", "one", "said", "there", "told", "who"}
# Public names, which do not change.
DOCUMENTED = {("modelarts/errors.py", "given")}  # InvalidArgument.given
OURS = [name for name in MODULES if name.startswith("modelarts/")]


def parsed(module):
    """Return the syntax tree of a module.

    Python before 3.11.8 counts the depth of a tree in one place for the whole process. A finalizer
    that runs in between (sockets of earlier tests) and parses too makes ast.parse raise
    SystemError, so nothing is collected meanwhile (python/cpython#106905).
    """
    source = (ROOT / module).read_text(encoding="utf-8")
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        gc.enable()


@pytest.fixture(scope="module")
def trees():
    """The syntax trees of all modules by their paths."""
    return {name: parsed(name) for name in MODULES}


def documented(module, tree):
    """Return the name and the docstring of each object of a module that has one."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        text = ast.get_docstring(node) if isinstance(node, kinds) else None
        if text is not None:
            yield getattr(node, "name", module), text


def test_docstrings_are_no_questions_and_no_fragments(trees):
    # No dict: several objects of a module have the same name.
    first = [
        (module, name, text.split("\n\n")[0].split())
        for module, tree in trees.items()
        for name, text in documented(module, tree)
    ]
    questions = [
        (module, name)
        for module, name, words in first
        if words[0].strip(".,:").lower() in QUESTIONS
    ]
    fragments = [(module, name) for module, name, words in first if len(words) < 3]
    assert (questions, fragments) == ([], [])


def test_names_of_tests_are_short(trees):
    long = [
        (module, node.name)
        for module, tree in trees.items()
        if "/test_" in module
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if len(node.name) > 60
    ]
    assert long == []


def assigned(tree):
    """Return the names of the variables, parameters and caught exceptions of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.ExceptHandler) and node.name is not None:
            yield node.name


def test_variables_are_named_by_what_they_hold(trees):
    vague = {(name, word) for name in OURS for word in VAGUE.intersection(assigned(trees[name]))}
    assert vague - DOCUMENTED == set()
