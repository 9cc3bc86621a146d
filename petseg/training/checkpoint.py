"""A training's state on the disk: whole or not there, and only ever used by the run it is of."""

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
GENERATIONS = 2  # states on the disk: of this run, and of the one before it
META = "meta"
Arrays = dict[str, list[np.ndarray]]
Weights = list[np.ndarray]


def key(*facts: object) -> str:
    """Return a digest of what a training depends on: these facts, and all code of the library."""
    files = sorted(LIBRARY.rglob("*.py"))
    code = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    text = json.dumps([facts, code], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Write a state under a temporary name and move it into place; older ones than two go.

    Args:
        path: the state's file, named by its key.
        meta: what JSON can hold.
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
    for old in states[:-GENERATIONS]:
        old.unlink()


def load(path: Path) -> tuple[dict[str, Any], Arrays] | None:
    """Return a state's meta and arrays; None if it is not there, or cannot be read."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            meta: dict[str, Any] = json.loads(str(file[META]))
            arrays: Arrays = {}
            for name in file.files:  # in the order they were written
                if name != META:
                    arrays.setdefault(name.rpartition(".")[0], []).append(file[name])
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    return meta, arrays


def digest(folder: Path) -> str:
    """Return the digest by which dvc.lock names a folder of this content."""
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


def clear(folder: Path) -> None:
    """Remove the states of trainings that DVC has committed: they are over."""
    for state in sorted(folder.glob("*.npz")):
        found = load(state)
        if found and committed(found[0].get("written", ""), LOCK):
            state.unlink()


def committed(found: str, lock: Path) -> bool:
    """Return whether dvc.lock names a folder of this digest."""
    return bool(found) and lock.exists() and found in lock.read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One epoch's results; a row of history.csv."""

    epoch: int  # from 1
    loss: float  # bce: nats per pixel
    accuracy: float
    iou: float
    val_loss: float
    val_accuracy: float
    val_iou: float


@dataclass(frozen=True, slots=True)
class Timing:
    """How long an epoch took; a row of the log, which is no result."""

    epoch: int
    seconds: float
    photos_per_second: float  # while training, without validation


@dataclass
class State:
    """Where a training is: what the rest of it depends on beside photos, schedule and code."""

    epoch: int = 1  # that is being trained
    batches: int = 0  # of it that are done
    totals: np.ndarray = field(default_factory=lambda: np.zeros(5))  # the step's sums over these
    history: list[EpochRow] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    weights: Weights = field(default_factory=list)  # of the model
    optimizer: Weights = field(default_factory=list)  # its variables: moments and step count
    best: Weights = field(default_factory=list)  # of the model at the epoch kept
    frames: Weights = field(default_factory=list)  # for the caller: an array per epoch

    @property
    def best_epoch(self) -> EpochRow:
        """The best epoch by validation IoU, the first of equals; at least one must be done."""
        return max(self.history, key=lambda row: row.val_iou)

    def is_finished(self, epochs: int, patience: int) -> bool:
        """Return whether all epochs are done, or the last ones have brought nothing."""
        waited = self.epoch - 1 - self.best_epoch.epoch if self.history else 0
        return self.epoch > epochs or 0 < patience <= waited

    def packed(self) -> tuple[dict[str, Any], dict[str, Weights]]:
        """Return the state as what JSON can hold, and arrays."""
        numbers = {
            "epoch": self.epoch,
            "batches": self.batches,
            "history": [asdict(row) for row in self.history],
            "timings": [asdict(row) for row in self.timings],
        }
        names = ("weights", "optimizer", "best", "frames")
        return numbers, {"totals": [self.totals]} | {name: getattr(self, name) for name in names}

    @classmethod
    def unpacked(cls, numbers: dict[str, Any], arrays: dict[str, Weights]) -> "State":
        """Return the state that was packed."""
        return cls(
            epoch=numbers["epoch"],
            batches=numbers["batches"],
            history=[EpochRow(**row) for row in numbers["history"]],
            timings=[Timing(**row) for row in numbers["timings"]],
            totals=arrays["totals"][0],
            **{name: found for name, found in arrays.items() if name != "totals"},
        )
