"""The state of a training on the disk, so that a killed training can be resumed.

A state file is either complete or absent, and its name holds a digest of everything that the
training depends on, so that no other training can resume from it.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

LIBRARY = Path(__file__).parent.parent  # the package petseg
LOCK = Path("dvc.lock")
MAX_STATES = 2  # state files on the disk: of this training, and of the one before it
META = "meta"
Weights = list[np.ndarray]
Arrays = dict[str, Weights]


@dataclass(frozen=True, slots=True)
class EpochRow:
    """The results of one epoch; a row of history.csv."""

    epoch: int  # from 1
    loss: float  # with the loss bce in nats per pixel
    accuracy: float
    iou: float
    val_loss: float
    val_accuracy: float
    val_iou: float


@dataclass(frozen=True, slots=True)
class Timing:
    """How long an epoch took; a row of the training's log, which is no output of the stage."""

    epoch: int
    seconds: float  # of training and validation
    photos_per_second: float  # of training alone


@dataclass
class State:
    """How far a training is: with photos, parameters and code it determines the rest."""

    epoch: int = 1  # the epoch that is being trained
    batches: int = 0  # how many of its batches are done
    totals: np.ndarray = field(default_factory=lambda: np.zeros(5))  # sums of the steps over them
    history: list[EpochRow] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    weights: Weights = field(default_factory=list)  # of the model
    optimizer: Weights = field(default_factory=list)  # moments and step counts
    best: Weights = field(default_factory=list)  # of the model at its best epoch
    frames: Weights = field(default_factory=list)  # predictions for the animation, one an epoch

    @property
    def best_epoch(self) -> EpochRow:
        """The epoch with the highest validation IoU, the first of equals.

        Raises:
            ValueError: no epoch is done yet.
        """
        return max(self.history, key=lambda row: row.val_iou)

    def is_finished(self, epochs: int, patience: int) -> bool:
        """Return whether all epochs are done, or the last `patience` brought no better IoU."""
        epochs_since_best = self.epoch - 1 - self.best_epoch.epoch if self.history else 0
        return self.epoch > epochs or 0 < patience <= epochs_since_best

    def packed(self) -> tuple[dict[str, Any], Arrays]:
        """Return the state in two parts: what JSON can hold, and the arrays."""
        meta = {
            "epoch": self.epoch,
            "batches": self.batches,
            "history": [asdict(row) for row in self.history],
            "timings": [asdict(row) for row in self.timings],
        }
        names = ("weights", "optimizer", "best", "frames")
        return meta, {"totals": [self.totals]} | {name: getattr(self, name) for name in names}

    @classmethod
    def unpacked(cls, meta: dict[str, Any], arrays: Arrays) -> "State":
        """Return the state that `packed` took apart."""
        return cls(
            epoch=meta["epoch"],
            batches=meta["batches"],
            history=[EpochRow(**row) for row in meta["history"]],
            timings=[Timing(**row) for row in meta["timings"]],
            totals=arrays["totals"][0],
            **{name: value for name, value in arrays.items() if name != "totals"},
        )


def key(*facts: object) -> str:
    """Return a digest of these facts and of all code of the library."""
    files = sorted(LIBRARY.rglob("*.py"))
    code = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    text = json.dumps([facts, code], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Write a state under a temporary name and move it into place; remove all but the last two.

    Args:
        path: the state's file, named by its key.
        meta: values that JSON can hold.
        arrays: lists of arrays by name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {f"{name}.{n}": array for name, many in arrays.items() for n, array in enumerate(many)}
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez(file, **{META: np.array(json.dumps(meta))}, **named)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    states = sorted(path.parent.glob("*.npz"), key=lambda state: state.stat().st_mtime_ns)
    for old in states[:-MAX_STATES]:
        old.unlink()


def load(path: Path) -> tuple[dict[str, Any], Arrays] | None:
    """Return the meta values and arrays of a state; None if it is absent or damaged."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            meta: dict[str, Any] = json.loads(str(file[META]))
            arrays: Arrays = {}
            for name in file.files:  # in the order in which they were written
                if name != META:
                    arrays.setdefault(name.rpartition(".")[0], []).append(file[name])
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    return meta, arrays


def folder_digest(folder: Path) -> str:
    """Return the MD5 by which dvc.lock names a folder with this content."""
    rows = [
        {
            "md5": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest(),
            "relpath": path.relative_to(folder).as_posix(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    text = json.dumps(rows, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def remove_committed(folder: Path) -> None:
    """Remove the states of trainings whose model stands in dvc.lock: nothing resumes from them."""
    for path in sorted(folder.glob("*.npz")):
        state = load(path)
        if state and is_committed(state[0].get("written", ""), LOCK):
            path.unlink()


def is_committed(digest: str, lock: Path) -> bool:
    """Return whether dvc.lock names an output with this digest."""
    return bool(digest) and lock.exists() and digest in lock.read_text(encoding="utf-8")
