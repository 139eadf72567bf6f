"""The fixtures that pytest finds by itself where this package is installed."""

from typing import TYPE_CHECKING, Iterator

import pytest

if TYPE_CHECKING:
    from modelarts.testing.clocks import FakeClock
    from modelarts.testing.fake import FakeModelArts
    from modelarts.testing.local import LocalService

# Nothing else at the top: this is loaded in every run of pytest, whatever is tested.


@pytest.fixture
def fake_modelarts(tmp_path_factory: "pytest.TempPathFactory") -> "Iterator[FakeModelArts]":
    """ModelArts and IAM in memory; ``Session()`` finds it, and waits take no time.

    Yields:
        The fake, with a temporary folder as OBS.
    """
    from modelarts.testing.fake import FakeModelArts

    with FakeModelArts(obs=tmp_path_factory.mktemp("obs")) as fake:
        yield fake


@pytest.fixture
def modelarts_service(_modelarts_local_service: "LocalService") -> "Iterator[LocalService]":
    """The real local service, without jobs or files; ``Session()`` finds it.

    One process serves all tests; jobs and files are deleted after each test.

    Yields:
        The running service.
    """
    from modelarts.testing.environment import environment

    _modelarts_local_service.come_back()
    with environment(_modelarts_local_service.environ):
        yield _modelarts_local_service
    _modelarts_local_service.clear()


@pytest.fixture(scope="session")
def _modelarts_local_service(
    tmp_path_factory: "pytest.TempPathFactory",
) -> "Iterator[LocalService]":
    from modelarts.testing.local import started

    with started(tmp_path_factory.mktemp("modelarts")) as running:
        yield running


@pytest.fixture
def no_sleep() -> "Iterator[FakeClock]":
    """Waits and retries of all sessions take no time.

    Yields:
        The clock of the sessions.
    """
    from modelarts.testing.clocks import no_sleep as meanwhile

    with meanwhile() as clock:
        yield clock
