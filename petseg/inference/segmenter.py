"""Photos to the probability of the foreground for every pixel."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from petseg import progress
from petseg.data import arrays, quantisation
from petseg.data.arrays import Split

if TYPE_CHECKING:
    import keras


def predict(
    model: "keras.Model", split: Split, batch_size: int, target: Path
) -> UInt8[np.ndarray, "n size size"]:
    """Write the probabilities of a split to a .npy file, and return them mapped from the disk.

    Args:
        model: a network from photos to probabilities, (n, size, size, 1).
        split: the photos to predict.
        batch_size: photos per prediction.
        target: the .npy file to write.
    """
    with (
        arrays.RowWriter(target, (split.size, split.size)) as writer,
        progress.bar("predicting", len(split)) as bar,
    ):
        for start in range(0, len(split), batch_size):
            photos = np.asarray(split.photos[start : start + batch_size])
            writer.extend(probabilities(model, photos))
            bar.update(len(photos))
    mapped: UInt8[np.ndarray, "n size size"] = np.load(target, mmap_mode="r", allow_pickle=False)
    return mapped


def probabilities(
    model: "keras.Model", photos: UInt8[np.ndarray, "n size size 3"]
) -> UInt8[np.ndarray, "n size size"]:
    """Return the probability of pet for every pixel, in 1/255."""
    return quantisation.quantise(np.asarray(model.predict_on_batch(photos))[..., 0])
