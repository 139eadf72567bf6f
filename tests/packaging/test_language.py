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
# The files that are still to be corrected: this list only becomes shorter.
TO_DO = ("modelarts/local/boards/",)
CORRECTED = [
    name for name in MODULES if name.startswith("modelarts/") and not name.startswith(TO_DO)
]


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


@pytest.fixture
def tree(module):
    """The syntax tree of a module."""
    return parsed(module)


def documented(module, tree):
    """Return the name and the docstring of each object of a module that has one."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        text = ast.get_docstring(node) if isinstance(node, kinds) else None
        if text is not None:
            yield getattr(node, "name", module), text


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_are_no_questions_and_no_fragments(module, tree):
    first = {name: text.split("\n\n")[0].split() for name, text in documented(module, tree)}
    questions = [
        name for name, words in first.items() if words[0].strip(".,:").lower() in QUESTIONS
    ]
    fragments = [name for name, words in first.items() if len(words) < 3]
    assert (questions, fragments) == ([], [])


@pytest.mark.parametrize("module", [name for name in MODULES if "/test_" in name])
def test_names_of_tests_are_short(tree):
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [name for name in names if name.startswith("test_") and len(name) > 60] == []


def assigned(tree):
    """Return the names of the variables, parameters and caught exceptions of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.ExceptHandler) and node.name is not None:
            yield node.name


@pytest.mark.parametrize("module", CORRECTED)
def test_variables_are_named_by_what_they_hold(module, tree):
    vague = VAGUE.intersection(assigned(tree))
    assert {name for name in vague if (module, name) not in DOCUMENTED} == set()


@pytest.mark.parametrize("entry", TO_DO)
def test_list_of_files_to_correct_is_current(entry):
    """An entry is removed once its files are corrected."""
    trees = [parsed(name) for name in MODULES if name.startswith(entry)]
    assert VAGUE.intersection(name for tree in trees for name in assigned(tree))
