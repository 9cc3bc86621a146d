"""Predicting is light: what it imports, and the wheel in an environment with nothing else.

The environment has the base dependencies alone, or those of the extra `web` beside them. They are
copied, file by file, from the environment that runs the tests, which has the same versions: this
stands for an installation from the lock, and needs no network.
"""

import io
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

import numpy as np
import pytest
import requests
from packaging.requirements import Requirement
from PIL import Image

from flows.cli import app
from tests.conftest import run_in
from tests.test_graph import NOT_FOR_PREDICTING
from tests.test_package import build_wheel

MAX_SIZE = 150  # of the environment's packages, in MB
WIDTH, HEIGHT = 40, 30  # of the photo
PREDICT = "petseg predict --model model.onnx photo.jpg"
SCRIPT = "from petseg import Segmenter; mask = Segmenter.load('model.onnx').mask('photo.jpg')"
EXTRA = '`pip install "petseg[{}]"`'
OTHER_COMMANDS = [
    path.partition(":")[2].rstrip("_").replace("_", "-")
    for group in app.COMMANDS.values()
    for path in group
    if not path.endswith(":predict")
]


@pytest.fixture
def folder(finished: tuple[Path, str], tmp_path: Path) -> Path:
    """An empty folder but for an exported model and a photo."""
    shutil.copy(finished[0] / "data/export/model.onnx", tmp_path)
    pixels = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    return tmp_path


@dataclass(frozen=True)
class LightEnvironment:
    """A virtual environment with the wheel of the project and few dependencies."""

    programs: Path  # the folder of its programs
    packages: Path  # the folder of its packages, site-packages

    def start(self, folder: Path, *command: str) -> subprocess.Popen[str]:
        """Start a program of this environment in a folder; no other program is on PATH."""
        variables = {
            "PATH": str(self.programs),
            "HOME": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.Popen(
            (self.programs / command[0], *command[1:]),
            cwd=folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment to its end."""
        with self.start(folder, *command) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> LightEnvironment:
    """The wheel, installed by pip into an empty environment, with its base dependencies."""
    return install(tmp_path_factory.mktemp("light"))


def install(root: Path, *extras: str) -> LightEnvironment:
    """Return an environment with the project, its base dependencies and those of extras."""
    wheel = build_wheel(root)
    venv.create(root / "venv", symlinks=True, with_pip=False)
    programs = root / "venv/bin"
    options = ("--quiet", "--no-deps", "--no-index", "--no-compile")
    pip = (sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", *options)
    run_in(root, *pip, str(wheel))
    (packages,) = root.glob("venv/lib/python*/site-packages")
    (metadata,) = packages.glob("petseg-*.dist-info")
    for dependency in dependencies(PathDistribution(metadata), *extras):
        copy_files(dependency, packages)
    return LightEnvironment(programs, packages)


def dependencies(package: Distribution, *extras: str) -> list[Distribution]:
    """Return what a package and its extras need, and what that needs, as installed here."""
    result: dict[str, Distribution] = {}
    waiting = [(package, extra) for extra in ("", *extras)]
    while waiting:
        dependent, extra = waiting.pop()
        for requirement in map(Requirement, dependent.requires or []):
            key = f"{requirement.name} {sorted(requirement.extras)}"
            applies = not requirement.marker or requirement.marker.evaluate({"extra": extra})
            if applies and key not in result:
                result[key] = distribution(requirement.name)
                waiting += [(result[key], name) for name in ("", *requirement.extras)]
    return list(result.values())


def copy_files(package: Distribution, target: Path) -> None:
    """Copy the installed files of a package into another site-packages, without its programs."""
    for file in package.files or []:
        if ".." not in file.parts and "__pycache__" not in file.parts:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(package.locate_file(file)), target / file)


def sizes(packages: Path) -> dict[str, float]:
    """Return the size of every entry of site-packages in MB (a million bytes), largest first."""
    result = {
        entry.name: sum(
            path.stat().st_size
            for path in (entry, *entry.rglob("*"))
            if path.is_file() and path.parent.name != "__pycache__"
        )
        / 1e6
        for entry in packages.iterdir()
    }
    return dict(sorted(result.items(), key=lambda item: -item[1]))


def test_the_light_environment_has_at_most_150_mb(light: LightEnvironment) -> None:
    by_entry = sizes(light.packages)
    largest = ", ".join(f"{name} {size:.1f}" for name, size in list(by_entry.items())[:6])
    print(f"{sum(by_entry.values()):.1f} MB of packages; the largest: {largest}")
    assert sum(by_entry.values()) <= MAX_SIZE


def test_the_light_environment_lacks_the_packages_of_the_pipeline(light: LightEnvironment) -> None:
    names = {path.name for path in light.packages.iterdir()}
    assert {"petseg", "flows", "numpy", "onnxruntime", "PIL", "cyclopts"} <= names
    assert not names & (NOT_FOR_PREDICTING | {"pip", "setuptools"})


def test_the_wheel_alone_shows_its_help(light: LightEnvironment, folder: Path) -> None:
    result = light.run(folder, "petseg", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Usage: petseg COMMAND" in result.stdout


def test_the_wheel_alone_predicts_from_the_shell(light: LightEnvironment, folder: Path) -> None:
    result = light.run(folder, *PREDICT.split())
    assert result.returncode == 0, result.stderr
    assert "expected IoU" in result.stdout + result.stderr
    with Image.open(folder / "photo.mask.png") as mask:
        assert mask.size == (WIDTH, HEIGHT)


def test_the_wheel_alone_predicts_from_python(light: LightEnvironment, folder: Path) -> None:
    result = light.run(folder, "python", "-c", f"{SCRIPT}; print(mask.shape, mask.dtype)")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"({HEIGHT}, {WIDTH}) bool\n"


def test_a_command_of_the_pipeline_names_the_extra_that_it_needs(
    light: LightEnvironment, folder: Path
) -> None:
    result = light.run(folder, "petseg", "run")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "error: `petseg run` needs the package httpx, which this installation lacks: "
        f"install petseg with its extra, {EXTRA.format('pipeline')}\n"
    )


ARGUMENTS = {
    "use": ["demo"],
    "serve": ["--cron", "0 3 * * 1"],
    "review": ["main"],
    "gate": ["main"],
    "labels": ["review"],
}


def test_the_wheel_with_the_extra_web_serves_masks(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "light").mkdir()
    light = install(tmp_path / "light", "web")
    command = ("petseg", "try", "--model", "model.onnx", "--port", "0")
    with light.start(folder, *command) as process:
        try:
            assert process.stdout
            address = process.stdout.readline().strip()
            page = requests.get(address, timeout=60)
            photo = (folder / "photo.jpg").read_bytes()
            answer = requests.post(f"{address}/mask", files={"photo": photo}, timeout=60)
        finally:
            process.terminate()
    assert (page.status_code, answer.status_code) == (200, 200)
    assert Image.open(io.BytesIO(answer.content)).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("command", OTHER_COMMANDS)
def test_every_other_command_fails_in_one_line_without_its_extra(
    command: str, light: LightEnvironment, folder: Path
) -> None:
    result = light.run(folder, "petseg", command, *ARGUMENTS.get(command, []))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: `petseg {command}` needs the package ")
    extra = "web" if command in ("try", "labels") else "pipeline"
    assert result.stderr.endswith(f"{EXTRA.format(extra)}\n")
    assert len(result.stderr.splitlines()) == 1


def test_a_file_that_is_missing_in_the_project_is_no_missing_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("def broken():\n    import petseg.no_such_file\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(app, "COMMANDS", {"Commands": {"broken:broken": ""}})
    with pytest.raises(ModuleNotFoundError, match=r"petseg\.no_such_file"):
        app.run_command(["broken"])


def test_importing_the_package_imports_no_other_package(folder: Path) -> None:
    packages = imported_packages(folder, "import petseg")
    assert not packages & {"numpy", "onnxruntime", "PIL", "cyclopts"}


def test_predicting_imports_nothing_that_trains_runs_or_reports(folder: Path) -> None:
    packages = imported_packages(folder, SCRIPT)
    assert {"petseg", "numpy", "onnxruntime", "PIL"} <= packages
    assert not packages & NOT_FOR_PREDICTING


def imported_packages(folder: Path, script: str) -> set[str]:
    """Return the first part of the name of every module that a script has imported at its end."""
    script = f"import sys; {script}; print(*sys.modules, sep=chr(10))"
    modules = run_in(folder, sys.executable, "-c", script).splitlines()
    return {module.partition(".")[0] for module in modules}
