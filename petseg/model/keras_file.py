"""The .keras file with what it needs to predict; equal weights give equal bytes."""

import json
import re
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path

import keras

from petseg.errors import UserError
from petseg.model.metadata import MEMBER, Metadata

EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)


def save(model: keras.Model, facts: Metadata, path: Path) -> None:
    """Write the model and its facts, without what changes from one run to the next."""
    clean = {"metadata.json": without_date, "config.json": renumbered}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        written = Path(folder) / "model.keras"
        model.save(written)
        repacked = Path(folder) / "repacked.keras"
        with zipfile.ZipFile(written) as source, zipfile.ZipFile(repacked, "w") as target:
            for name in sorted(source.namelist()):
                data = clean.get(name, bytes)(source.read(name))
                target.writestr(zipfile.ZipInfo(name, EPOCH_OF_ZIP), data)
            target.writestr(zipfile.ZipInfo(MEMBER, EPOCH_OF_ZIP), json.dumps(asdict(facts)))
        repacked.replace(path)


def without_date(metadata: bytes) -> bytes:
    """Return Keras's metadata with a save date that never changes."""
    return json.dumps(json.loads(metadata) | {"date_saved": "1980-01-01@00:00:00"}).encode()


def renumbered(config: bytes) -> bytes:
    """Return Keras's configuration with its shared objects counted, not named by address."""
    seen: dict[bytes, int] = {}

    def number(found: re.Match[bytes]) -> bytes:
        return found[1] + str(seen.setdefault(found[2], len(seen) + 1)).encode()

    return re.sub(rb'("shared_object_id": )(\d+)', number, config)


def load(path: Path) -> tuple[keras.Model, Metadata]:
    """Read a model and its facts; never runs code from the file.

    Raises:
        UserError: it is missing, or not a model written by `save`.
    """
    try:
        with zipfile.ZipFile(path) as source:
            facts = Metadata(**json.loads(source.read(MEMBER)))
        return keras.saving.load_model(path, compile=False, safe_mode=True), facts
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: not a model of this project ({error}); run `dvc repro train`"
        ) from error
