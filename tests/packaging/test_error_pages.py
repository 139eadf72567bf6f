"""The page on errors: each error is there, and its claims on codes hold."""

import re
from pathlib import Path

import pytest

from modelarts import errors
from modelarts.errors import ModelArtsError, api_error
from modelarts.http.hints import hint

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
CLASSES = [
    name
    for name in errors.__all__
    if isinstance(getattr(errors, name), type) and issubclass(getattr(errors, name), ModelArtsError)
]
CODES = re.findall(r"^\| ((?:ModelArts|APIG)\.\d{4}) \| (?:`(\w+)`)? ?\| (.+) \|$", PAGE, re.M)
ROWS = re.findall(r"^\| ([^|]*) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.M)


@pytest.mark.parametrize("name", [*CLASSES, "NoEventFiles"])
def test_a_class_is_on_the_page(name):
    assert "`%s`" % name in PAGE


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in CLASSES
        if not getattr(errors, name).__subclasses__() and name not in ("ApiException",)
    ],
)
def test_raised_class_is_explained(name):
    """A class that is raised says what happened and what to do."""
    (row,) = [row for row in ROWS if row[0].startswith("`%s`" % name)]
    assert all(len(cell.strip()) > 3 for cell in row)


@pytest.mark.parametrize(("code", "name", "advice"), CODES)
def test_a_code_is_the_error_that_the_page_names(code, name, advice):
    made = api_error("x", status_code=418, error_code=code)
    # Without one of its own it is the HTTP status' error.
    assert type(made).__name__ in ((name,) if name else ("BadRequest",)), advice


def test_every_code_that_is_known_here_is_on_the_page():
    known = {*errors._BY_CODE, *hint.__globals__["_BY_CODE"]}
    ours = {code for code in known if code.startswith(("ModelArts.", "APIG."))}
    assert ours <= {code for code, _, _ in CODES}
