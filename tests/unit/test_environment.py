"""The virtual environment of a training on this machine, with packages from a local index."""

import os
import sys
import zipfile
from pathlib import Path

import pytest

from modelarts.environment import Environment
from modelarts.environment.conda_env import CondaDependencies
from modelarts.environment.virtual import make_environment, python_of
from modelarts.errors import InvalidArgument
from modelarts.estimator import Estimator, JobStatus
from tests.servers.cloud import with_keys
from tests.servers.http_server import Handler, served
from tests.support.clocks import wait_until

#: As a user of the original would write it, but for the folder and the package.
SAMPLE = """
from modelarts.session import Session
from modelarts.estimator import Estimator
from modelarts.environment import Environment
from modelarts.environment.conda_env import CondaDependencies

session = Session()
env = Environment("mnist")
cd = CondaDependencies.create(pip_packages=["spicy==1.0"], conda_packages=["python=%d.%d.2"],
                              channels=[%r])
env.conda = cd
estimator = Estimator(modelarts_session=session, code_dir=%r, boot_file="train.py",
                      train_instance_type='local', train_instance_count=1, environment=env)
job_instance = estimator.fit(wait=%r, job_name='my_training_job')
"""
BOOT = """
import os, sys
import spicy
print(spicy.TASTE, sys.prefix, sys.argv[1:])
try:
    import attr
except ImportError:
    print("without attrs")
"""
PASSWORD = "hunter2-of-the-index"


@pytest.fixture
def index(tmp_path):
    """The address of a package index with the package spicy."""
    folder = tmp_path / "simple" / "spicy"
    folder.mkdir(parents=True)
    name = "spicy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(str(folder / name), "w") as wheel:
        wheel.writestr("spicy.py", "TASTE = 'hot'\n")
        for part, content in (
            ("METADATA", "Metadata-Version: 2.1\nName: spicy\nVersion: 1.0\n"),
            ("WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            ("RECORD", ""),
        ):
            wheel.writestr("spicy-1.0.dist-info/" + part, content)
    (folder / "index.html").write_text('<a href="%s">%s</a>' % (name, name))
    return folder.parent.as_uri()


@pytest.fixture
def empty_index():
    """The port of a package index without packages."""

    class Empty(Handler):
        def do_GET(self):
            self.send_error(404)

    with served(Empty) as address:
        yield int(address.split(":")[1])


@pytest.fixture
def code(tmp_path, monkeypatch):
    """The folder of the code; environments are made in a folder of this test."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "train.py").write_text(BOOT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in (
        ("ACCESS_KEY", "AK"),
        ("SECRET_KEY", "SK"),
        ("PROJECT_ID", "p"),
        ("REGION", "r-1"),
        ("OBS_ENDPOINT", tmp_path.as_uri()),
    ):
        monkeypatch.setenv("MODELARTS_" + name, value)
    return folder


def session(tmp_path):
    return with_keys(obs_endpoint=tmp_path.as_uri())


def define(tmp_path, code, environment):
    return Estimator(
        session(tmp_path),
        train_instance_type="local",
        code_dir=str(code),
        boot_file="train.py",
        environment=environment,
    )


def environments(tmp_path):
    folder = tmp_path / "cache" / "modelarts" / "environments"
    return sorted(path.name for path in folder.glob("*") if path.is_dir())


def test_documented_sample_runs_with_its_packages(code, index, tmp_path, capfd):
    program = SAMPLE % (*sys.version_info[:2], index, str(code), True)
    for is_first in (True, False):
        variables = {}
        exec(program, variables)
        job = variables["job_instance"]
        assert job.get_job_info()["status"] == JobStatus.COMPLETED
        lines = capfd.readouterr().out.splitlines()
        (made,) = environments(tmp_path)
        hot = next(line for line in lines if line.startswith("hot"))
        assert os.path.join("environments", made) in hot
        assert "--num_gpus" in hot
        assert "--data_url" not in hot
        assert "without attrs" in lines
        # The second training finds the environment.
        assert any("Successfully installed spicy" in line for line in lines) == is_first
        job.delete_job()


@pytest.fixture
def quick_python(tmp_path, monkeypatch):
    """A Python whose new environments have the pip of this one: to install it takes seconds."""
    pip = pytest.importorskip("pip")
    path = tmp_path / "quick-python"
    path.write_text(
        "#!/bin/sh -e\n"
        'test "$2" = venv || exec %s "$@"\n'
        '%s -m venv --without-pip "$3"\n'
        'ln -s %s "$3"/lib/python*/site-packages/\n'
        % (sys.executable, sys.executable, Path(pip.__file__).parent)
    )
    path.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(path))


def test_packages_that_cannot_be_installed_fail_the_training(
    code, empty_index, quick_python, tmp_path, capfd
):
    environment = Environment("none")
    secret = "http://user:%s@127.0.0.1:%d/" % (PASSWORD, empty_index)
    environment.conda = CondaDependencies.create([secret], ["no-such-package"])
    estimator = define(tmp_path, code, environment)
    job = estimator.fit(wait=True)
    info = job.get_job_info()
    assert info["status"] == JobStatus.FAILED
    assert info["reason"].endswith("pip install ended with exit status 1")
    output = capfd.readouterr()
    assert "no-such-package" in output.out
    assert PASSWORD not in output.out + output.err + repr(environment) + str(info)
    assert environments(tmp_path) == []


def test_training_is_stopped_while_its_environment_is_made(code, tmp_path):
    job = define(tmp_path, code, Environment("stopped", CondaDependencies.create())).fit()
    wait_until(lambda: environments(tmp_path))
    assert job.get_job_info()["status"] == JobStatus.INIT
    assert job.stop_job_version() == {"is_success": True}
    wait_until(lambda: job.get_job_info()["status"] == JobStatus.KILLED)
    assert environments(tmp_path) == []


def test_environment_of_a_killed_program_is_made_anew(code, tmp_path):
    """Its folder has no mark of completion."""
    commands = []

    def execute(command, settings):
        commands.append(command[1:3])
        path = Path(python_of(command[-1]))
        path.parent.mkdir(parents=True)
        path.write_text("")
        return 0

    environment = Environment("mnist", CondaDependencies.create())
    folder = Path(make_environment(environment, execute)).parent.parent
    assert make_environment(environment, execute).startswith(str(folder))
    assert commands == [["-m", "venv"]]
    (folder / "complete").unlink()
    (folder / "half").write_text("")
    make_environment(environment, execute)
    assert commands == [["-m", "venv"]] * 2
    assert not (folder / "half").exists()


@pytest.mark.parametrize(
    ("values", "argument"),
    [
        ({"conda_packages": ["numpy=1.19"]}, "conda_packages"),
        ({"conda_packages": ["python=3.10", "python=3.11"]}, "conda_packages"),
        ({"channels": ["conda-forge"]}, "channels"),
        ({"pip_packages": "requests"}, "pip_packages"),
        ({"pip_packages": ["--index-url=https://example.com"]}, "pip_packages"),
        ({"pip_packages": ["a\n-e ."]}, "pip_packages"),
        ({"pip_packages": [""]}, "pip_packages"),
        ({"pip_packages": [1]}, "pip_packages"),
    ],
)
def test_wrong_dependencies_are_refused(values, argument):
    with pytest.raises(InvalidArgument) as caught:
        CondaDependencies.create(**values)
    assert caught.value.argument == argument


def test_wrong_environments_are_refused(code, tmp_path):
    for name in ("", "../up", "a" * 65, 1):
        with pytest.raises(InvalidArgument, match="name"):
            Environment(name)
    environment = Environment("right")
    with pytest.raises(InvalidArgument, match="conda"):
        environment.conda = ["requests"]
    with pytest.raises(InvalidArgument, match="environment"):
        define(tmp_path, code, "mnist")
    environment.conda = CondaDependencies.create(conda_packages=["python=2.6"])
    estimator = define(tmp_path, code, environment)
    with pytest.raises(InvalidArgument, match="conda_packages") as caught:
        estimator.fit()
    assert caught.value.given == "'python=2.6'"


def test_password_of_a_package_is_not_shown():
    package = "spicy @ https://user:%s@example.com/spicy.whl" % PASSWORD
    dependencies = CondaDependencies.create(pip_packages=[package])
    assert "https://****@example.com" in repr(dependencies)
    assert PASSWORD not in repr(dependencies)
    for values in ({"channels": ["ftp://u:%s@x" % PASSWORD]}, {"pip_packages": ["-e " + package]}):
        with pytest.raises(InvalidArgument) as caught:
            CondaDependencies.create(**values)
        assert PASSWORD not in str(caught.value) + repr(caught.value.given)
