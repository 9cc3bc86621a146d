"""Predict with the Keras network, in training and to hold the exported network against it."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, UInt8

from petseg.data import quantisation

if TYPE_CHECKING:
    import keras


def probabilities(
    model: "keras.Model", photos: UInt8[np.ndarray, "n size size 3"]
) -> Float32[np.ndarray, "n size size"]:
    """Return the probability of the foreground for every pixel, 0 to 1.

    Args:
        model: a network from photos to probabilities, (n, size, size, 1).
        photos: RGB.
    """
    return np.asarray(model.predict_on_batch(photos))[..., 0]


def levels(
    model: "keras.Model", photos: UInt8[np.ndarray, "n size size 3"]
) -> UInt8[np.ndarray, "n size size"]:
    """Return the probability of the foreground for every pixel, in 1/255."""
    return quantisation.quantise(probabilities(model, photos))
