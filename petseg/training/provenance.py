"""Where a model was trained: commit, device and time, which are no part of DVC's outputs.

Two trainings can write the same model, byte for byte, on different machines. So these facts lie
beside DVC's outputs, in a file that is named by the SHA-256 of the model. It holds the latest
training on this machine that wrote the model.
"""

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from petseg import files, git

NOT_RECORDED = "Not recorded on this machine."


@dataclass(frozen=True)
class Provenance:
    """One training."""

    commit: str  # of git, with "and changes" if the files differed from it; empty without git
    device: str  # the processor or the GPU that trained
    cores: int
    system: str
    epochs: int
    seconds: float  # of training and validation


def current(device: str, epochs: int, seconds: float) -> Provenance:
    """Return the record of a training that has just ended in this folder."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()}, Python {platform.python_version()}"
    return Provenance(commit(), device, cores or 1, system, epochs, round(seconds, 1))


def commit() -> str:
    """Return the commit that is checked out; empty without git or without a commit."""
    head = git.or_empty("rev-parse", "--short=12", "HEAD")
    # DVC itself writes dvc.lock and the git-tracked numbers, and they are not code
    changed = git.or_empty(
        "status", "--porcelain", "--untracked-files=no", "--", ":!dvc.lock", ":!reports"
    )
    return f"{head} and changes" if head and changed else head


def save(folder: Path, model: Path, record: Provenance) -> None:
    """Write the record of a model's training; it replaces one of a model with equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(record_path(folder, model), asdict(record))


def load(folder: Path, model: Path) -> Provenance | None:
    """Return the record of a model's training; None if the folder has none of this model."""
    path = record_path(folder, model)
    return Provenance(**files.read_json(path)) if path.exists() else None


def record_path(folder: Path, model: Path) -> Path:
    """Return the path of a model's record, by the SHA-256 of the model's file."""
    return folder / f"{files.sha256(model)}.json"


def as_rows(record: Provenance) -> dict[str, str]:
    """Return a record as text for people, by name."""
    return {
        "commit": record.commit or "no git commit",
        "device": record.device,
        "cores": str(record.cores),
        "system": record.system,
        "epochs": str(record.epochs),
        "minutes": f"{record.seconds / 60:.1f}",
    }
