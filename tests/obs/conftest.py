"""The places that keep objects; the OBS server and stores over it.

The latter are imported by the tests that use them, as the tests of folders run without their
packages.
"""

import pytest

from tests.support.places import FolderPlace, ObsPlace, ServicePlace


@pytest.fixture
def server():
    from tests.servers.obs_server import ObsServer
    from tests.support.transfers import AK, SK

    server = ObsServer({AK: (SK, None)})
    server.chunk, server.smallest_part = server.chunk // 64, server.smallest_part // 64
    yield server
    server.close()


@pytest.fixture
def store(server):
    from tests.support.transfers import make_store

    return make_store(server)


@pytest.fixture
def by_host(server):
    """The same server as OBS: by names in the host, signed in OBS's way, through a proxy."""
    from tests.support.transfers import make_store

    url = "http://obs.test.example"
    return make_store(server, obs_endpoint=url, proxies={"http": server.url})


#: The OBS API of the local service has tests of its own, in tests/local/obs_api/test_objects.py.
PLACES = [
    pytest.param(FolderPlace, id="folder"),
    pytest.param(ServicePlace, id="service", marks=pytest.mark.extended),
    pytest.param(ObsPlace, id="obs"),
]


@pytest.fixture(params=PLACES)
def place(request, tmp_path):
    """A place that keeps objects, with a session and one bucket."""
    place = request.param(request, tmp_path)
    yield place
    place.close()


@pytest.fixture
def obs(place):
    return place.session.obs


@pytest.fixture
def bucket(place):
    return "obs://%s/" % place.bucket


@pytest.fixture
def home(tmp_path):
    """A folder of the user's."""
    home = tmp_path / "home"
    home.mkdir()
    return home
