"""The names in ``modelarts`` itself, whose import costs nothing."""

import pickle
import subprocess
import sys

import pytest

import modelarts
from modelarts import JobInfo, JobStatus, Session, VisualizationJob, errors


def run(program):
    """Return what a new interpreter prints."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def test_names_are_those_of_their_modules():
    import modelarts.errors
    import modelarts.estimator
    import modelarts.models
    import modelarts.session

    assert Session is modelarts.session.Session
    assert VisualizationJob is modelarts.estimator.VisualizationJob
    assert JobStatus is modelarts.estimator.JobStatus
    assert JobInfo is modelarts.models.JobInfo
    assert errors is modelarts.errors
    assert pickle.loads(pickle.dumps(JobStatus.RUNNING)) is JobStatus.RUNNING


@pytest.mark.parametrize("name", modelarts.__all__)
def test_name_can_be_imported_first(name):
    assert run("from modelarts import %s as value; print(value is not None)" % name) == "True\n"


def test_dir_lists_names_before_use():
    assert set(modelarts.__all__) <= set(run("import modelarts; print(*dir(modelarts))").split())


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'modelarts' has no attribute 'Sesion'"):
        modelarts.Sesion  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Sesion'"):
        from modelarts import Sesion  # noqa: F401


def test_package_alone_imports_nothing():
    program = "import sys; before = set(sys.modules); import modelarts; "
    assert run(program + "print(*set(sys.modules) - before)") == "modelarts\n"


def test_status_imports_neither_session_nor_requests():
    loaded = run("import sys; from modelarts import JobStatus; print(*sys.modules)").split()
    assert not {"modelarts.session", "requests", "attr"} & set(loaded)


def test_session_and_board_import_no_attrs_and_no_training():
    program = (
        "import sys; from modelarts.session import Session; "
        "from modelarts.estimator import VisualizationJob; print(*sys.modules)"
    )
    loaded = run(program).split()
    assert {"modelarts.session", "modelarts.visualization.job"} <= set(loaded)
    assert "attr" not in loaded
    assert [name for name in loaded if name.startswith("modelarts.training")] == []


@pytest.mark.parametrize("name", ["Estimator", "TrainingJobVersion"])
def test_names_of_trainings_are_imported_on_first_use(name):
    assert name in run("import modelarts.estimator; print(*dir(modelarts.estimator))").split()
    assert run("from modelarts.estimator import %s as value; print(value.__name__)" % name) == (
        name + "\n"
    )
