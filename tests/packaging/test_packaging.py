"""The published wheel and source archive: their metadata, and the names they offer."""

import configparser
import email
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from hashlib import sha256
from importlib import import_module
from pathlib import PurePosixPath

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from trove_classifiers import classifiers

import modelarts
from tests.support.building import EPOCH, ROOT, Built, build

pytestmark = pytest.mark.local

SETUP = configparser.ConfigParser()
SETUP.read(str(ROOT / "setup.cfg"), encoding="utf-8")
NAME = "modelarts-" + modelarts.__version__


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(str(built.wheel)) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    return email.message_from_bytes(wheel.read(NAME + ".dist-info/METADATA"))


# Contents ---------------------------------------------------------------------------------


def test_the_wheel_has_the_package_and_nothing_else(wheel):
    info = NAME + ".dist-info/"
    names = {name for name in wheel.namelist() if not name.startswith(info)}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "modelarts").rglob("*.py")}
    data = {"modelarts/py.typed"}
    for line in SETUP["options.package_data"].get("modelarts", "").split(","):
        data |= {
            path.relative_to(ROOT).as_posix() for path in (ROOT / "modelarts").glob(line.strip())
        }
    assert names == sources | data | {"_modelarts_command.py"}


def test_the_wheel_has_the_license(wheel):
    held = [name for name in wheel.namelist() if PurePosixPath(name).name == "LICENSE"]
    assert [wheel.read(name) for name in held] == [(ROOT / "LICENSE").read_bytes()]


def test_the_archive_has_tests_documents_and_samples(built):
    with tarfile.open(str(built.archive)) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    wanted = {"LICENSE", "README.md", "CHANGELOG.md", "setup.cfg", "pyproject.toml", ".ci/run"}
    wanted |= {"CONTRIBUTING.md", "SECURITY.md"}
    for folder, pattern in (("tests", "**/*.py"), ("docs", "*.md"), ("samples", "*.*")):
        wanted |= {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob(pattern)}
    assert wanted <= names
    assert [name for name in names if name.endswith((".pyc", ".sqlite", ".log"))] == []


def test_second_build_is_the_same(built, tmp_path):
    """The times, the permissions and the order of the files that it is made from do not matter.

    Nor does it matter whether the wheel is made from the archive or from the checkout.
    """
    before = os.umask(0o077)
    try:
        build(tmp_path, directly=True, PYTHONHASHSEED="1", TZ="Asia/Shanghai")
    finally:
        os.umask(before)
    again = Built(tmp_path)
    for first, second in ((built.wheel, again.wheel), (built.archive, again.archive)):
        assert first.name == second.name
        assert sha256(first.read_bytes()).hexdigest() == sha256(second.read_bytes()).hexdigest()


def test_the_archive_names_no_user_and_one_time(built):
    with tarfile.open(str(built.archive)) as archive:
        members = archive.getmembers()
    assert {(each.uid, each.gid, each.uname) for each in members} == {(0, 0, "root")}
    assert {each.mtime for each in members} == {int(EPOCH)}
    assert {each.mode for each in members} == {0o644, 0o755}


def test_twine_finds_nothing_wrong(built):
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(built.wheel), str(built.archive)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


# Metadata ---------------------------------------------------------------------------------


def test_the_version_is_said_once(metadata):
    assert metadata["Version"] == modelarts.__version__
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "docs/conf.py"):
        assert modelarts.__version__ not in (ROOT / name).read_text(encoding="utf-8")


def test_the_description_is_the_readme(metadata):
    assert metadata["Description-Content-Type"].startswith("text/markdown")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert metadata.get_payload(decode=True).decode("utf-8").strip() == readme.strip()


def test_classifiers_are_known_and_name_pythons(metadata):
    """Classifiers are those of the index and name every python."""
    said = metadata.get_all("Classifier")
    assert set(said) <= set(classifiers)
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(said))
    supported = SpecifierSet(metadata["Requires-Python"])
    assert versions == ["3.%d" % minor for minor in range(7, 14)]
    assert [version for version in versions if version not in supported] == []
    assert "3.6" not in supported


def test_few_things_are_always_installed(metadata):
    always = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    names = {one.name for one in always if one.marker is None or "extra" not in str(one.marker)}
    assert names == {"attrs", "cachetools", "requests"}


def test_extras_of_extras_are_there(metadata):
    offered = set(metadata.get_all("Provides-Extra"))
    for line in metadata.get_all("Requires-Dist"):
        one = Requirement(line)
        if one.name == "modelarts":
            assert one.extras <= offered
    assert {"local", "testing", "openstack"} <= offered


def test_each_dependency_has_its_line_in_the_documentation(metadata):
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    names = {Requirement(line).name for line in metadata.get_all("Requires-Dist")}
    assert [name for name in sorted(names) if "`%s`" % name not in page] == ["modelarts"]


def test_the_commands_and_the_plugin_are_found(wheel):
    points = configparser.ConfigParser()
    points.read_string(wheel.read(NAME + ".dist-info/entry_points.txt").decode("utf-8"))
    for group in points.sections():
        for target in points[group].values():
            module, _, name = target.partition(":")
            assert import_module(module) is not None
            assert not name or callable(getattr(import_module(module), name))
    assert set(points.sections()) == {"console_scripts", "pytest11"}


# Names ------------------------------------------------------------------------------------

API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (modelarts[\w.]*)\n(.*?)(?=^## |\Z)", API, re.M | re.S))
DIRECTIVE = r"^\.\. auto(?:class|function|exception|data|module):: ([\w.]+)"


@pytest.mark.parametrize("module", SECTIONS)
def test_the_reference_has_every_name_that_a_module_offers(module):
    """By its description, or by a word on where that is."""
    section = SECTIONS[module]
    described = set(re.findall(DIRECTIVE, section, re.M))
    for automatic in [name for name in described if name.startswith("modelarts.")]:
        if re.search(r"automodule:: %s$" % re.escape(automatic), section, re.M):
            hidden = re.findall(r":exclude-members: (.+)", section)
            names = set(import_module(automatic).__all__) - set(", ".join(hidden).split(", "))
            described |= {"%s.%s" % (automatic, name) for name in names}
    described = {name.rsplit(".", 1)[1] for name in described}
    mentioned = set(re.findall(r"`(\w+)`", section))
    offered = import_module(module).__all__
    assert [name for name in offered if name not in described | mentioned] == []


@pytest.mark.parametrize("module", SECTIONS)
def test_the_reference_has_no_name_that_is_not_offered(module):
    for name in re.findall(DIRECTIVE, SECTIONS[module], re.M):
        home, _, last = name.rpartition(".")
        if "automodule:: " + name not in SECTIONS[module]:
            assert last in import_module(home).__all__


def test_the_modules_that_users_import_are_in_the_reference():
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    used = {
        module
        for path in pages
        for module in re.findall(
            r"^ *from (modelarts[\w.]*) import", path.read_text(encoding="utf-8"), re.M
        )
    }
    assert used - {"modelarts"} <= set(SECTIONS)
