"""Where a model came from: commit, machine and time of its training, which are no result of it.

They differ from run to run where the model does not, so they lie outside of DVC's outputs, by the
model's hash, and the first training's stay: another one of equal bytes changes no report.
"""

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from petseg import files, git


@dataclass(frozen=True)
class Provenance:
    """One training."""

    commit: str  # of git, with "and changes" if the files differed from it; empty without git
    device: str  # what computed
    cores: int
    system: str
    epochs: int
    seconds: float  # of training and validation


def current(device: str, epochs: int, seconds: float) -> Provenance:
    """Return the origin of what has been trained just now in this folder."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()}, Python {platform.python_version()}"
    return Provenance(commit(), device, cores or 1, system, epochs, round(seconds, 1))


def commit() -> str:
    """Return the commit that is checked out; empty where git, or a commit, is not."""
    head = git.or_empty("rev-parse", "--short=12", "HEAD")
    # DVC writes its lock and git-tracked numbers itself, and they are not code
    changed = git.or_empty(
        "status", "--porcelain", "--untracked-files=no", "--", ":!dvc.lock", ":!reports"
    )
    return f"{head} and changes" if head and changed else head


def save(folder: Path, model: Path, made: Provenance) -> None:
    """Write a model's origin, unless one is there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = record_path(folder, model)
    if not path.exists():
        files.write_json(path, asdict(made))


def load(folder: Path, model: Path) -> dict[str, Any]:
    """Return a model's origin; empty if it was trained elsewhere."""
    path = record_path(folder, model)
    return files.read_json(path) if path.exists() else {}


def record_path(folder: Path, model: Path) -> Path:
    """Return where a model's origin is kept."""
    return folder / f"{files.sha256(model)}.json"
