"""A Prefect server for the tests of a file that names it."""

from collections.abc import Iterator

import pytest

from tests.flows.prefect_server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prefect server on loopback."""
    running = Server(tmp_path_factory.mktemp("prefect") / "home")
    running.start()
    yield running
    running.stop()
