"""Photos → the probability of the foreground for every pixel."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from petseg import progress
from petseg.data import arrays
from petseg.data.arrays import Split

if TYPE_CHECKING:
    import keras


def predict(
    model: "keras.Model", test: Split, batch_size: int, target: Path
) -> UInt8[np.ndarray, "n size size"]:
    """Write the probability of pet for every pixel, in 1/255, and return it mapped from disk."""
    with (
        arrays.RowWriter(target, (test.size, test.size)) as writer,
        progress.bar("predicting", len(test)) as bar,
    ):
        for start in range(0, len(test), batch_size):
            photos = np.asarray(test.photos[start : start + batch_size])
            writer.extend(probabilities(model, photos))
            bar.update(len(photos))
    mapped: UInt8[np.ndarray, "n size size"] = np.load(target, mmap_mode="r", allow_pickle=False)
    return mapped


def probabilities(
    model: "keras.Model", photos: UInt8[np.ndarray, "n size size 3"]
) -> UInt8[np.ndarray, "n size size"]:
    """Return the probability of pet for every pixel, in 1/255."""
    found = np.asarray(model.predict_on_batch(photos))[..., 0]
    return np.round(found * 255).astype(np.uint8)
