"""Imports and lists of names of all modules, walked with ``ast``.

Who may import whom is checked by import-linter, whose contracts are in ``pyproject.toml``.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path

import pytest

import modelarts

pytestmark = pytest.mark.local

ROOT = Path(modelarts.__file__).parent
CHECKOUT = Path(__file__).parents[2]
LOCAL = ("modelarts.local", "modelarts.local.*")
#: What only some may import.
RESERVED = {
    "requests": ("modelarts.auth.*", "modelarts.http.*", "modelarts.testing.*"),
    "responses": ("modelarts.testing.*",),
    "pytest": ("modelarts.testing.plugin",),
    "urllib3": ("modelarts.auth.*", "modelarts.http.*"),
    "jinja2": ("modelarts.local.web.console.*",),
    "hypercorn": ("modelarts.local.server.tls",),
    "psycopg": ("modelarts.local.database.*",),
    "ray": (
        "modelarts.local.boards.cluster.host",
        "modelarts.local.engine.driver",
        "modelarts.local.engine.host",
        "modelarts.local.engine.spares",
        "modelarts.local.engine.training_host",
    ),
    "argcomplete": ("modelarts.cli.completion",),
    "IPython": ("modelarts.visualization.display.notebook", "modelarts.magic"),
    "pandas": ("modelarts.visualization.display.lists",),
    "webbrowser": ("modelarts.visualization.display.notebook",),
    "tqdm": ("modelarts.obs.progress",),
    "multiprocessing": LOCAL,
    "obs": (*LOCAL, "modelarts.obs.*"),
    "subprocess": (*LOCAL, "modelarts.training.here"),
    "tensorboard": (*LOCAL, "modelarts.testing.local"),
    "waitress": LOCAL,
    "werkzeug": LOCAL,
}


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def matches(name, patterns):
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def is_for_types(node):
    """Return True for ``if TYPE_CHECKING:``, whose body is never run."""
    return isinstance(node, ast.If) and (
        getattr(node.test, "id", None) == "TYPE_CHECKING"
        or getattr(node.test, "attr", None) == "TYPE_CHECKING"
    )


def run_nodes(node):
    """All nodes that may be run, in functions too."""
    yield node
    for child in node.orelse if is_for_types(node) else ast.iter_child_nodes(node):
        yield from run_nodes(child)


def imports(tree, within, known):
    """Return the modules that a module imports when it runs."""
    found = set()
    for node in run_nodes(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = within.split(".")[: -node.level]
                base = ".".join([*package, base] if base else package)
            for alias in node.names:
                full = "%s.%s" % (base, alias.name)
                found.add(full if full in known else base)
    return found


@pytest.fixture(scope="module")
def trees():
    """The syntax trees of all modules by their names."""
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}


@pytest.fixture(scope="module")
def known_imports(trees):
    return {name: imports(tree, name, SOURCES) for name, tree in trees.items()}


def ours(found):
    return sorted(name for name in found if name.split(".")[0] == "modelarts")


# The walk itself --------------------------------------------------------------------------


def test_the_walk_sees_what_is_run_and_not_what_is_for_types():
    source = """
import os
from typing import TYPE_CHECKING
from modelarts import errors, __version__
if TYPE_CHECKING:
    import requests
else:
    import json
def function():
    from . import transport
    from ..auth.signer import sign
    if os.name:
        import ssl
"""
    known = {"modelarts.errors", "modelarts.http.transport"}
    assert imports(ast.parse(source), "modelarts.http.client", known) == {
        "os",
        "typing",
        "modelarts",
        "modelarts.errors",
        "json",
        "modelarts.http.transport",
        "modelarts.auth.signer",
        "ssl",
    }


def test_the_walk_finds_the_package():
    assert {"modelarts", "modelarts.session", "modelarts.local.server.main"} <= set(SOURCES)


# Imports --------------------------------------------------------------------------------


def test_folders_have_at_most_17_modules():
    folders = Counter(
        path.parent
        for name in ("modelarts", "tests", "benchmarks")
        for path in (CHECKOUT / name).rglob("*.py")
        if path.name != "__init__.py"
    )
    assert max(folders.values()) <= 17, folders.most_common(3)


def test_docstring_of_local_lists_its_folders_and_modules(trees):
    listed = re.findall(r"^``(\w+)``", ast.get_docstring(trees["modelarts.local"]), re.M)
    names = [name.split(".") for name in SOURCES if name.startswith("modelarts.local.")]
    assert sorted(listed) == sorted({parts[2] for parts in names})


def test_session_imports_service_lazily(trees, known_imports):
    """A program that never calls ``Session.local()`` loads none of it."""
    known = [found for found in ours(known_imports["modelarts.session"]) if matches(found, LOCAL)]
    assert known == ["modelarts.local.logs.mounts", "modelarts.local.server.launcher"]
    for name in (name for name in SOURCES if not matches(name, LOCAL)):
        functions = (ast.FunctionDef, ast.ClassDef)
        outside = [node for node in trees[name].body if not isinstance(node, functions)]
        tree = ast.Module(body=outside, type_ignores=[])
        assert not any(matches(found, LOCAL) for found in imports(tree, name, SOURCES))


def test_no_module_imports_itself_by_way_of_others(known_imports):
    finished, cycles = set(), []

    def visit(name, way):
        if name in way:
            cycles.append([*way[way.index(name) :], name])
        elif name not in finished:
            for found in known_imports.get(name, ()):
                visit(found, [*way, name])
            finished.add(name)

    for name in SOURCES:
        visit(name, [])
    assert cycles == []


@pytest.mark.parametrize("library", RESERVED)
def test_a_library_is_imported_only_where_it_belongs(library, known_imports):
    users = [
        name
        for name, found in known_imports.items()
        if any(one.split(".")[0] == library for one in found)
    ]
    assert [name for name in users if not matches(name, RESERVED[library])] == []


def test_only_packages_import_by_a_name_that_is_made_up(trees):
    """The walk cannot see those; a package may so offer the names of its own modules."""
    users = {
        name
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in ("import_module", "__import__")
    }
    assert all(SOURCES[name].name == "__init__.py" for name in users)


@pytest.mark.parametrize(
    "module",
    [
        "modelarts.session",
        "modelarts.estimator",
        "modelarts.estimatorV2",
        "modelarts.train_params",
        "modelarts.config.auth",
        "modelarts.cli",
    ],
)
def test_importing_the_sdk_loads_nothing_that_is_large(module):
    program = "import sys, %s; print(*sys.modules)" % module
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "modelarts" in loaded
    large = {
        "requests",
        "urllib3",
        "ssl",
        "cachetools",
        "tensorboard",
        "werkzeug",
        "IPython",
        "obs",
        "tqdm",
    }
    assert loaded & large == set()


# What a module says of itself -------------------------------------------------------------


def test_modules_say_what_they_are_for(trees):
    short = [name for name, tree in trees.items() if len(ast.get_docstring(tree) or "") <= 10]
    assert short == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard")
def test_what_modules_list_is_there_and_listed_once():
    modules = [import_module(name) for name in SOURCES]
    listed = {module: getattr(module, "__all__", []) for module in modules}
    assert [module for module, names in listed.items() if len(set(names)) != len(names)] == []
    absent = [
        (module.__name__, name)
        for module, names in listed.items()
        for name in names
        if getattr(module, name, None) is None
    ]
    assert absent == []
