"""Move photo and mask together, a batch at a time."""

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator

Photos = UInt8[np.ndarray, "batch size size 3"]
Trimaps = UInt8[np.ndarray, "batch size size"]


def flip_half(rng: Generator, photos: Photos, trimaps: Trimaps) -> None:
    """Mirror about half of the batch left to right, in place."""
    chosen = rng.random(len(photos)) < 0.5
    photos[chosen] = photos[chosen, :, ::-1]
    trimaps[chosen] = trimaps[chosen, :, ::-1]
