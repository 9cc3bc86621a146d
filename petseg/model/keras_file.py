"""The .keras file with the metadata inside it; equal weights give equal bytes."""

import json
import re
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path

import keras

from petseg.errors import UserError
from petseg.model.metadata import MEMBER, Metadata

ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold


def save(model: keras.Model, metadata: Metadata, path: Path) -> None:
    """Write the model and its metadata, without the dates and addresses that differ between runs."""
    rewrite = {"metadata.json": without_date, "config.json": renumbered}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        written = Path(folder) / "model.keras"
        model.save(written)
        repacked = Path(folder) / "repacked.keras"
        with zipfile.ZipFile(written) as source, zipfile.ZipFile(repacked, "w") as target:
            for name in sorted(source.namelist()):
                data = rewrite.get(name, bytes)(source.read(name))
                target.writestr(zipfile.ZipInfo(name, ZIP_DATE), data)
            target.writestr(zipfile.ZipInfo(MEMBER, ZIP_DATE), json.dumps(asdict(metadata)))
        repacked.replace(path)


def without_date(metadata: bytes) -> bytes:
    """Return Keras's metadata with a save date that never changes."""
    return json.dumps(json.loads(metadata) | {"date_saved": "1980-01-01@00:00:00"}).encode()


def renumbered(config: bytes) -> bytes:
    """Return Keras's configuration with shared objects numbered from 1 instead of by address."""
    numbers: dict[bytes, int] = {}

    def number(match: re.Match[bytes]) -> bytes:
        return match[1] + str(numbers.setdefault(match[2], len(numbers) + 1)).encode()

    return re.sub(rb'("shared_object_id": )(\d+)', number, config)


def load(path: Path) -> tuple[keras.Model, Metadata]:
    """Read a model and its metadata, without running code from the file.

    Raises:
        UserError: it is missing, or not a model written by `save`.
    """
    try:
        with zipfile.ZipFile(path) as source:
            metadata = Metadata(**json.loads(source.read(MEMBER)))
        return keras.saving.load_model(path, compile=False, safe_mode=True), metadata
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: not a model of this project ({error}); run `dvc repro train`"
        ) from error
