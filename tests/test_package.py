"""What `make` does with the environment, and what a wheel of the project contains."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_in


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder with this Makefile, whose .venv links to a folder with a file in it."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "requirements.txt").touch()
    (folder / "pyproject.toml").touch()
    (tmp_path / "environment").mkdir()
    (tmp_path / "environment/file").write_text("of somebody")
    (folder / ".venv").symlink_to(tmp_path / "environment")
    return folder


def test_make_refuses_to_replace_an_environment_that_is_a_link(linked: Path) -> None:
    output = run_in(linked, "make", "install", fails=True)
    target = linked.parent / "environment"
    assert output.startswith(f".venv is a link to {target}, which may not be replaced: ")
    assert "'rm .venv'" in output.splitlines()[0]
    assert (linked / ".venv").is_symlink()
    assert [path.name for path in target.iterdir()] == ["file"]
    assert (target / "file").read_text() == "of somebody"


def test_make_works_with_a_linked_environment_that_is_up_to_date(linked: Path) -> None:
    (linked / ".venv/ready").touch()
    assert "is a link" not in run_in(linked, "make", "install")
    assert (linked / ".venv/file").read_text() == "of somebody"
