"""What `make` does with the environment, and what a wheel of the project contains."""

import email
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT, copy_parts, run_in

PACKAGES = ("flows", "petseg", "stages")
SUFFIXES = {".py", ".typed", ".j2", ".html", ".js", ".css"}


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


def build_wheel(folder: Path) -> Path:
    """Build a wheel of the project in a folder, without the network, and return its path."""
    source = folder / "source"  # The build leaves files beside pyproject.toml.
    copy_parts((*PACKAGES, "pyproject.toml", "README.md", "LICENSE"), source)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder))
    run_in(source, sys.executable, "-m", "pip", "wheel", "--quiet", *options, ".")
    (wheel,) = folder.glob("petseg-*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of the project."""
    return zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel")))


def test_a_wheel_has_every_package_template_script_and_style(wheel: zipfile.ZipFile) -> None:
    contents = set(wheel.namelist())
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in SUFFIXES
    }
    assert {Path(name).suffix for name in expected} == SUFFIXES
    assert {name for name in contents if ".dist-info/" not in name} == expected


def test_the_metadata_of_a_wheel_separate_what_predicting_needs_from_the_extras(
    wheel: zipfile.ZipFile,
) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel.read(name))
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    base = {requirement.name for requirement in requirements if not requirement.marker}
    assert metadata.get_all("Provides-Extra") == ["web", "pipeline", "lite1", "lite2", "dev"]
    assert {"numpy", "onnxruntime", "pillow", "cyclopts"} <= base
    assert {"tensorflow", "prefect", "dvc"} <= {
        requirement.name
        for requirement in requirements
        if requirement.marker and requirement.marker.evaluate({"extra": "pipeline"})
    }
