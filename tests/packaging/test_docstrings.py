"""The sections of the docstrings of public names: arguments, results, sources, in one order."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

# They are the same on each Python, so one is enough.
pytestmark = pytest.mark.local

PORTING = Path(__file__).parents[2] / "docs" / "porting.md"
#: The modules whose names users import, or whose objects they are given.
MODULES = (
    "modelarts",
    "modelarts.session",
    "modelarts.estimator",
    "modelarts.estimatorV2",
    "modelarts.environment",
    "modelarts.environment.conda_env",
    "modelarts.train_params",
    "modelarts.training.job",
    "modelarts.visualization.job",
    "modelarts.visualization.ensure",
    "modelarts.visualization.display.lists",
    "modelarts.models",
    "modelarts.errors",
    "modelarts.auth",
    "modelarts.config.auth",
    "modelarts.constant",
    "modelarts.obs.api",
    "modelarts.obs.results",
    "modelarts.obs.progress",
    "modelarts.obs.sync",
    "modelarts.testing",
    "modelarts.whoami",
    "modelarts.magic",
)
#: Names of those modules that other modules of the package use, and no user.
INSIDE = {"Meter", "ProgressOption", "Sync", "bytes_for_people", "keep_following"}
ORDER = ("Args", "Attributes", "Returns", "Yields", "Raises", "Source", "Example")
HEAD = re.compile(r"(%s):( |\Z)" % "|".join(ORDER))


def exported():
    """Return the public classes and functions of the modules by their full names."""
    found = {}
    for name in MODULES:
        module = import_module(name)
        for exported_name in set(module.__all__) - INSIDE:
            value = getattr(module, exported_name)
            if inspect.isclass(value) or inspect.isfunction(value):
                found[full_name(value)] = value
    return found


def full_name(value):
    return "%s.%s" % (value.__module__, value.__qualname__)


def methods(kind):
    """Return the public methods that a class defines itself."""
    bare = [getattr(value, "__func__", value) for value in vars(kind).values()]
    return [
        value
        for value in bare
        if inspect.isfunction(value)
        and not value.__name__.startswith("_")
        and value.__qualname__.startswith(kind.__qualname__)  # not what attrs adds
    ]


CLASSES = {name: value for name, value in exported().items() if inspect.isclass(value)}
FUNCTIONS = {name: value for name, value in exported().items() if inspect.isfunction(value)}
FUNCTIONS.update((full_name(f), f) for kind in CLASSES.values() for f in methods(kind))
PROPERTIES = {
    "%s.%s" % (kind, name): value
    for kind in CLASSES
    for name, value in vars(CLASSES[kind]).items()
    if isinstance(value, property) and not name.startswith("_")
}
ALL = {**CLASSES, **FUNCTIONS, **PROPERTIES}
CONSTRUCTORS = {name: kind for name, kind in CLASSES.items() if "__init__" in vars(kind)}
#: What the page of the original's names lists, without attributes and constants.
DOCUMENTED = re.findall(
    r"^\| `([\w.]+)\([^`]*` \| (?:same|changed) ", PORTING.read_text(encoding="utf-8"), re.M
)
OWNERS = {
    "session.obs": "modelarts.obs.api.Obs",
    "session": "modelarts.session.Session",
    "Session": "modelarts.session.Session",
    "job": "modelarts.visualization.job.VisualizationJob",
    "VisualizationJob": "modelarts.visualization.job.VisualizationJob",
    "training": "modelarts.training.job.TrainingJob",
    "estimatorV2.Estimator": "modelarts.training.estimator.Estimator",
    "train_params": "modelarts.training.params",
    "CondaDependencies": "modelarts.environment.conda_env.CondaDependencies",
    "Environment": "modelarts.environment.Environment",
    "auth_by_apig": "modelarts.config.auth.auth_by_apig",
    "Estimator": "modelarts.training.estimator_v1.Estimator",
    "estimator": "modelarts.training.estimator_v1.Estimator",
    "version": "modelarts.training.estimator_v1.TrainingJobVersion",
}


def sections(text):
    """Return the sections of a docstring by their names, and what precedes them as "Summary"."""
    found, lines = {}, []
    found["Summary"] = lines
    for line in inspect.cleandoc(text or "").splitlines():
        head = HEAD.match(line)
        if head:
            lines = found[head.group(1)] = []
        lines.append(line)
    return found


def described(text, *names):
    """Return the arguments, or attributes, that sections of a docstring describe."""
    lines = [line for name in names for line in sections(text).get(name, ())]
    found = [re.match(r" {4}(\w+): \S", line) for line in lines]
    return {match.group(1) for match in found if match}


def arguments(function):
    """Return the names of a function's public arguments, but for the object itself."""
    names = [name for name in inspect.signature(function).parameters if not name.startswith("_")]
    return set(names) - {"self", "cls"}


def test_args_name_every_argument():
    wrong = {
        name: described(function.__doc__, "Args") ^ arguments(function)
        for name, function in FUNCTIONS.items()
        if arguments(function) and described(function.__doc__, "Args") != arguments(function)
    }
    assert wrong == {}


def test_classes_name_every_argument():
    """Those of value classes are attributes; those of objects that users do not make, in init."""
    missing = {}
    for name, kind in CONSTRUCTORS.items():
        in_class = described(kind.__doc__, "Args", "Attributes")
        missing[name] = arguments(kind.__init__) - in_class
        missing[name] -= described(kind.__init__.__doc__, "Args")
    assert {name: names for name, names in missing.items() if names} == {}


def test_results_are_described():
    missing = []
    for name, function in FUNCTIONS.items():
        no_result = inspect.signature(function).return_annotation in (None, "None")
        if not no_result and not {"Returns", "Yields"} & set(sections(function.__doc__)):
            missing.append(name)
    assert missing == []


def test_documented_names_have_a_source():
    missing = []
    for path in sorted(set(DOCUMENTED)):
        owner, _, name = path.rpartition(".") if path not in OWNERS else (path, "", "")
        key = ".".join(filter(None, (OWNERS[owner], name)))
        if "Source" not in sections(ALL[key].__doc__):
            missing.append(path)
    assert missing == []


def test_summaries_are_one_line():
    first = {name: inspect.cleandoc(ALL[name].__doc__).split("\n\n")[0] for name in ALL}
    assert [name for name, text in first.items() if not text.endswith(".") or "\n" in text] == []


def test_sections_are_in_order():
    found = {
        name: [section for section in sections(value.__doc__) if section != "Summary"]
        for name, value in ALL.items()
    }
    expected = {name: [each for each in ORDER if each in found[name]] for name in found}
    assert found == expected


def test_examples_have_a_section():
    having = {
        (name, section)
        for name, value in ALL.items()
        for section, lines in sections(value.__doc__).items()
        if ">>> " in "\n".join(lines)
    }
    assert {(name, section) for name, section in having if section != "Example"} == set()


def test_documented_names_are_found():
    assert len(set(DOCUMENTED)) > 15
    assert len(ALL) > 150


def test_results_begin_without_colon():
    """Sphinx shows what precedes a colon in the first line as the type of the result."""
    first = {}
    for name, function in FUNCTIONS.items():
        found = sections(function.__doc__)
        lines = found.get("Returns", found.get("Yields", ["", ""]))
        first[name] = re.sub(r":\w+:`[^`]*`|``[^`]*``", "", lines[1])
    assert [name for name, text in first.items() if ":" in text] == []
