"""What the tests of the page share: a server, a browser with the page, and photos."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Page, opened
from tests.prediction.red_model import half_red, noise_photo
from tests.web.page import open_page
from tests.web.server import Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests of a file."""
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    """A browser for all tests of a file."""
    with opened() as page:
        yield page


@pytest.fixture
def page(browser: Page, server: Server) -> Page:
    """The page without photos, in a window of a desktop."""
    return open_page(browser, server.address)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo with blots of every probability."""
    path = tmp_path / "cat.png"
    noise_photo((48, 40)).save(path)
    return path


@pytest.fixture
def two_photos(tmp_path: Path) -> list[Path]:
    """Two photos whose left half has a probability: one.png 0.8, two.png 1; the rest has 0."""
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    for red, path in zip((204, 255), paths, strict=True):
        half_red(red).save(path)
    return paths
