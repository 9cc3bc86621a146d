"""The .keras file with what it needs to predict; equal weights give equal bytes."""

import json
import re
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
from jaxtyping import UInt8

from stages.petseg.errors import UserError

FACTS = "petseg.json"  # a member of ours in Keras's zip, which Keras ignores
EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Facts:
    """What a prediction needs beside the network, and where the network came from."""

    image_size: int  # side of the input, pixels
    threshold: float  # a pixel is pet from this probability on; the best on validation
    border: str  # what the border counted as in training
    recipe: str
    data_sha256: str  # of the training and validation photos' hashes
    epoch: int  # the epoch kept
    versions: dict[str, str]  # of the libraries that trained it


def save(model: keras.Model, facts: Facts, path: Path) -> None:
    """Write the model and its facts, without what changes from one run to the next."""
    clean = {"metadata.json": undated, "config.json": renumbered}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        written = Path(folder) / "model.keras"
        model.save(written)
        repacked = Path(folder) / "repacked.keras"
        with zipfile.ZipFile(written) as source, zipfile.ZipFile(repacked, "w") as target:
            for name in sorted(source.namelist()):
                data = clean.get(name, bytes)(source.read(name))
                target.writestr(zipfile.ZipInfo(name, EPOCH_OF_ZIP), data)
            target.writestr(zipfile.ZipInfo(FACTS, EPOCH_OF_ZIP), json.dumps(asdict(facts)))
        repacked.replace(path)


def undated(metadata: bytes) -> bytes:
    """Return Keras's metadata with a save date that never changes."""
    return json.dumps(json.loads(metadata) | {"date_saved": "1980-01-01@00:00:00"}).encode()


def renumbered(config: bytes) -> bytes:
    """Return Keras's configuration with its shared objects counted, not named by address."""
    seen: dict[bytes, int] = {}

    def number(found: re.Match[bytes]) -> bytes:
        return found[1] + str(seen.setdefault(found[2], len(seen) + 1)).encode()

    return re.sub(rb'("shared_object_id": )(\d+)', number, config)


def load(path: Path) -> tuple[keras.Model, Facts]:
    """Read a model and its facts; never runs code from the file.

    Raises:
        UserError: it is missing, or not a model written by `save`.
    """
    try:
        with zipfile.ZipFile(path) as source:
            facts = Facts(**json.loads(source.read(FACTS)))
        return keras.saving.load_model(path, compile=False, safe_mode=True), facts
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: not a model of this project ({error}); run `dvc repro train`"
        ) from error


def probabilities(
    model: keras.Model, photos: UInt8[np.ndarray, "n size size 3"]
) -> UInt8[np.ndarray, "n size size"]:
    """Return the probability of pet for every pixel, in 1/255."""
    found = np.asarray(model.predict_on_batch(photos))[..., 0]
    return np.round(found * 255).astype(np.uint8)
