import gc
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

from modelarts.errors import ModelArtsError
from modelarts.session import Session
from tests.servers.cloud import Cloud, installed
from tests.servers.postgres import PostgresServer
from tests.servers.ray_cluster import RayCluster
from tests.servers.service import SECRETS, Service
from tests.servers.training_cloud import TrainingCloud
from tests.support.building import build_once
from tests.support.clocks import FakeClock

#: Variables of these are taken from the environment of all tests.
_OURS = (
    "MODELARTS_",
    "HUAWEICLOUD_",
    "S3_",
    "OS_",
    "MA_",
    "PROJECT_ID",
    "REGION_NAME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "XDG_CACHE_HOME",
)

# jsonschema checks one kind of address by it. To make its grammar takes four seconds, which each
# process that reads a notebook would spend.
sys.modules.setdefault("rfc3987_syntax", None)

# A shell has what it starts in the background ignore Ctrl-C, and so would the commands that tests
# interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


_TESTS = Path(__file__).parent
_MODULES = sorted(_TESTS.rglob("test_*.py"))
#: The files that take longest come first, so that at the end no process waits for another.
_LONGEST = (
    *("confinement", "cluster", "console_screen", "isolation", "cluster_front_ends", "obs_logs"),
    *("trainings", "service", "contract", "screen", "data_server", "mindinsight", "front_ends"),
    *("objects", "durability", "faults", "mindinsight_confined", "testing_service", "notebook"),
    *("samples", "tutorial", "process", "typing", "quickstart", "faq", "packaging", "users"),
)
_FOLDERS = ("local", "wire", "obs", "packaging", "cli", "unit")


def _turn(item):
    """Return the place of a test among all: by its file, or else by its folder."""
    name = item.path.stem[len("test_") :]
    place = _LONGEST.index(name) if name in _LONGEST else len(_LONGEST)
    return place, _FOLDERS.index(item.path.relative_to(_TESTS).parts[0]), item.path.stem


def pytest_collection_modifyitems(items):
    items.sort(key=_turn)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_collection(session):
    """Collect without looking for garbage, and never look at what was collected later on."""
    gc.disable()
    try:
        _import_tests(session.config)
        yield
    finally:
        gc.freeze()
        gc.enable()


def _import_tests(config):
    """Import the tests beginning with other modules in each process of pytest-xdist.

    In a new checkout pytest has to compile them, and the others find what one has compiled.
    """
    worker = getattr(config, "workerinput", None)
    if worker is None or config.args_source != config.ArgsSource.TESTPATHS:
        return
    names = [".".join(p.relative_to(_TESTS.parent).with_suffix("").parts) for p in _MODULES]
    first = len(names) * int(worker["workerid"][2:]) // worker["workercount"]
    for name in names[first:] + names[:first]:
        # What cannot be imported is reported when it is collected.
        with suppress(Exception):
            import_module(name)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Have one process run all tests of a file, so that what they share is made once."""
    if config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.fixture(scope="session")
def new_home(tmp_path_factory):
    """Returns an empty folder; the same one until something is in it."""
    homes = []

    def path():
        if not homes or not homes[-1].is_dir() or any(homes[-1].iterdir()):
            homes.append(tmp_path_factory.mktemp("home"))
        return homes[-1]

    return path


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch, new_home):
    """No test sees the environment, the home or the endpoints of who runs it."""
    for name in list(os.environ):
        if name.upper().startswith(_OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(new_home()))
    monkeypatch.setenv("MODELARTS_METADATA_ENDPOINT", "off")
    # Most services that tests start have no board.
    monkeypatch.setenv("MODELARTS_LOAD_LATE", "1")
    monkeypatch.setattr(Session, "_shared", {})


@pytest.fixture(autouse=True)
def no_secret_in_any_error(monkeypatch):
    """Every error of ours that a test raises is searched for the actual secrets."""
    made = []

    def remembered(error, *arguments):
        super(ModelArtsError, error).__init__(*arguments)
        made.append(error)

    monkeypatch.setattr(ModelArtsError, "__init__", remembered, raising=False)
    yield
    secrets = {Cloud.secret_key, Cloud.password, *SECRETS}
    for error in made:
        shown = "%s %r %r" % (error, error, vars(error))
        assert not [secret for secret in secrets if secret in shown], type(error)


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """One local service for all tests that do it no harm."""
    service = Service(tmp_path_factory.mktemp("service"))
    yield service
    assert service.end() == 0


@pytest.fixture(scope="session")
def objects_service(tmp_path_factory):
    """Likewise one with ``--obs-api``."""
    service = Service(tmp_path_factory.mktemp("objects"), "--obs-api")
    yield service
    assert service.end() == 0


@pytest.fixture(scope="session")
def postgres():
    """One PostgreSQL server for all tests; each takes a database of its own."""
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres_service(postgres, tmp_path_factory):
    """Likewise a local service on PostgreSQL."""
    service = Service(tmp_path_factory.mktemp("postgres"), "--database", postgres.database())
    yield service
    assert service.end() == 0


@pytest.fixture(scope="session")
def ray_service(postgres, tmp_path_factory):
    """Likewise one on PostgreSQL whose boards are on a Ray cluster."""
    folder = tmp_path_factory.mktemp("ray")
    cluster = RayCluster()
    try:
        service = Service(
            folder / "root",
            *("--database", postgres.database(), "--ray-address", cluster.address),
            *("--shared", str(folder / "shared")),
            environ=cluster.environ,
        )
        yield service
        assert service.end() == 0
    finally:
        cluster.end()


@pytest.fixture(scope="session")
def s3():
    """The address of an S3 server, for what OBS does in the same way."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://%s:%d" % server.get_host_and_port()
    server.stop()


@pytest.fixture
def own_service(tmp_path):
    """A local service that a test may hurt."""
    service = Service(tmp_path / "root")
    yield service
    service.end()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def cloud():
    """The documented service, on the wire."""
    with installed(Cloud()) as cloud:
        yield cloud


@pytest.fixture
def training_cloud():
    """The service of today, on the wire; a training has written to /bucket/contract/."""
    with installed(TrainingCloud()) as cloud:
        cloud.add_training("obs://bucket/contract")
        yield cloud


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The wheel and the source archive of this checkout; processes of pytest-xdist share them."""
    base = tmp_path_factory.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    return build_once((base.parent if is_worker else base) / "built")
