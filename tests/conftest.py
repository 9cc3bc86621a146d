"""What tests share: a small real DVC repo that has run once, and a few pixels by hand."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tests.shapes  # noqa: F401 - named in pyproject.toml, and looked up without an import

ROOT = Path(__file__).parent.parent
PARTS = ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/plots", "stages", "flows")
Run = Callable[..., str]

DEMO = "download: {source: demo, seed: 3, trainval: 12, test: 4}"
SECTIONS = f"""
    {DEMO}
    preprocess: {{image_size: 32, val_share: 0.2, seed: 3, max_rejected: 0}}
    train:
      base_channels: 2
      depth: 2
      epochs: EPOCHS
      batch_size: 4
      learning_rate: 0.01
      decay: none
      border: pet
      flip: true
      threshold: 0.5
      snapshots: 2
      seed: 3
    evaluate: {{batch_size: 4}}
    report: {{gallery: 2, frame_seconds: 0.5}}
"""
TINY = f"""recipe: tiny
recipes:
  tiny:{SECTIONS.replace("EPOCHS", "2")}  other:{SECTIONS.replace("EPOCHS", "1")}"""


def with_archives(mirrors: list[str], images: str = "null", annotations: str = "null") -> str:
    """Return the tiny recipes, the first of them on archives from mirrors with these checksums."""
    checksums = f"{{images: {images}, annotations: {annotations}}}"
    wanted = f"download: {{source: archives, mirrors: {json.dumps(mirrors)}, sha256: {checksums}}}"
    return TINY.replace(DEMO, wanted, 1)


def run_in(folder: Path, *command: str, fails: bool = False) -> str:
    """Run a command there with this environment first on PATH; return all that it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    names = {
        f"GIT_{who}_{what}": "test@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | names | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


def ran(output: str) -> list[str]:
    """Return the stages that a `dvc repro` really ran, in order."""
    return re.findall(r"^> python -m stages\.(\w+)", output, flags=re.MULTILINE)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A git and DVC repo of this project with two tiny recipes, run and committed; its output."""
    folder = tmp_path_factory.mktemp("finished") / "repo"
    for part in PARTS:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    (folder / "params.yaml").write_text(TINY)
    run_in(folder, "git", "init", "-q", "-b", "main")
    output = run_in(folder, "dvc", "repro")
    run_in(folder, "git", "add", ".")
    run_in(folder, "git", "commit", "-qm", "first")
    return folder, output


@pytest.fixture
def repo(finished: tuple[Path, str], tmp_path: Path) -> Path:
    """The test's own copy of the finished repo."""
    return Path(shutil.copytree(finished[0], tmp_path / "repo", symlinks=True))
