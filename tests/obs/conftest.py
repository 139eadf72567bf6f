"""The OBS server and stores over it.

They are imported by the tests that use them, as the tests of folders run without their packages.
"""

import pytest


@pytest.fixture
def server():
    from tests.obs.transfers import AK, SK
    from tests.obs_server import ObsServer

    server = ObsServer({AK: (SK, None)})
    server.chunk, server.smallest_part = server.chunk // 64, server.smallest_part // 64
    yield server
    server.close()


@pytest.fixture
def store(server):
    from tests.obs.transfers import make_store

    return make_store(server)


@pytest.fixture
def by_host(server):
    """The same server as OBS: by names in the host, signed in OBS's way, through a proxy."""
    from tests.obs.transfers import make_store

    url = "http://obs.test.example"
    return make_store(server, obs_endpoint=url, proxies={"http": server.url})
