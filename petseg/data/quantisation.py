"""Probabilities as whole numbers of 1/255: how they are stored, counted and compared.

A probability is an integer from 0 to 255, so 256 thresholds are all that can make a difference, and
everything that depends on the threshold follows from one histogram.
"""

import math

import numpy as np
from jaxtyping import Float32, UInt8

LEVELS = 256
MAX_LEVEL = LEVELS - 1


def quantise(probabilities: Float32[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Return probabilities from 0 to 1 as the nearest whole numbers of 1/255."""
    return np.round(probabilities * MAX_LEVEL).astype(np.uint8)


def min_level(threshold: float) -> int:
    """Return the smallest level, in 1/255, that reaches a threshold from 0 to 1."""
    return math.ceil(threshold * MAX_LEVEL)


def level_threshold(level: int) -> float:
    """Return a threshold, 4 decimals, that `level` reaches and `level` - 1 does not."""
    return math.floor(level / MAX_LEVEL * 10_000) / 10_000
