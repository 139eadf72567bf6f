import pytest

from tests.obs.transfers import AK, SK, make_store
from tests.obs_server import ObsServer


@pytest.fixture
def server():
    server = ObsServer({AK: (SK, None)})
    server.chunk, server.smallest_part = server.chunk // 64, server.smallest_part // 64
    yield server
    server.close()


@pytest.fixture
def store(server):
    return make_store(server)


@pytest.fixture
def by_host(server):
    """The same server as OBS: by names in the host, signed in OBS's way, through a proxy."""
    url = "http://obs.test.example"
    return make_store(server, obs_endpoint=url, proxies={"http": server.url})
