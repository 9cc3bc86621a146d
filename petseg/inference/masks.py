"""From probabilities at the network's size to probabilities and a mask at the photo's own size.

Evaluation and prediction both come through here.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from petseg.data import quantisation
from petseg.inference import refine
from petseg.inference.onnx_engine import Refinement

Levels = UInt8[np.ndarray, "height width"]


def at_photo_size(
    levels: UInt8[np.ndarray, "rows columns"],
    size: tuple[int, int],
    refinement: Refinement,
    read_photo: Callable[[], Image.Image],
) -> Levels:
    """Return probabilities in 1/255 for every pixel of a photo.

    They are resized bilinearly, and antialiased where the photo is smaller than the network's
    input. A photo of that size gets the probabilities as they are.

    Args:
        levels: the probability of the foreground, in 1/255, for the whole photo at any size.
        size: width and height of the upright photo in pixels.
        refinement: `guided` moves the edges to those of the photo.
        read_photo: returns the photo, RGB, upright, at its own size; called for `guided` alone.
    """
    if refinement == "guided":
        return refine.guided(levels, read_photo())
    return np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BILINEAR))


def mask(levels: Levels, threshold: float) -> Bool[np.ndarray, "height width"]:
    """Return the pixels whose probability reaches a threshold from 0 to 1."""
    return np.asarray(levels >= quantisation.min_level(threshold))
