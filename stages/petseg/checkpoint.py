"""A training's state on the disk: whole or not there, and only ever used by the run it is of."""

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

LOCK = Path("dvc.lock")
GENERATIONS = 2  # states on the disk: of this run, and of the one before it
META = "meta"
Arrays = dict[str, list[np.ndarray]]


def key(*facts: object) -> str:
    """Return a digest of what a training depends on: these facts, and all code of the stages."""
    files = sorted(Path(__file__).parent.parent.rglob("*.py"))
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
