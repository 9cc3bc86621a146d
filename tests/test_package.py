"""What `make` does with the environment, and what a wheel of the project contains."""

import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT, copy_parts, run_in

PACKAGES = ("flows", "petseg", "stages")


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
    output = run_in(linked, "make", "--no-print-directory", "install", fails=True)
    target = linked.parent / "environment"
    assert output.startswith(f".venv is a link to {target}, which may not be replaced: ")
    assert "'rm .venv'" in output.splitlines()[0]
    assert (linked / ".venv").is_symlink()
    assert [path.name for path in target.iterdir()] == ["file"]
    assert (target / "file").read_text() == "of somebody"


def test_make_works_with_a_linked_environment_that_is_up_to_date(linked: Path) -> None:
    (linked / ".venv/ready").touch()
    assert "is a link" not in run_in(linked, "make", "--no-print-directory", "install")
    assert (linked / ".venv/file").read_text() == "of somebody"


def test_a_wheel_has_every_package_template_script_and_style(tmp_path: Path) -> None:
    source = tmp_path / "source"  # the build leaves files beside pyproject.toml
    copy_parts((*PACKAGES, "pyproject.toml", "README.md", "LICENSE"), source)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path))
    run_in(source, sys.executable, "-m", "pip", "wheel", "--quiet", *options, ".")
    (wheel,) = tmp_path.glob("petseg-*.whl")
    contents = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".j2", ".js", ".css")
    }
    assert {Path(name).suffix for name in expected} == {".py", ".j2", ".js", ".css"}
    assert {name for name in contents if ".dist-info/" not in name} == expected
