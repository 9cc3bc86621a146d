"""Whether a pixel that is called pet with 80 % is pet in 80 % of cases.

Pixels are binned by their probability. In each bin the calibration gap is the sum of the
probabilities less the pixels that are pet, the border counted as pet: sums, so that they add up over
photos. Guo, Pleiss, Sun and Weinberger: On Calibration of Modern Neural Networks, ICML 2017.
"""

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from petseg.data.labels import BACKGROUND

BINS = 15  # of equal width, as in the paper
LEVELS = 256
PROBABILITIES = np.arange(LEVELS) / (LEVELS - 1)
BIN_OF = np.minimum(np.arange(LEVELS) * BINS // (LEVELS - 1), BINS - 1)


def gaps(
    trimaps: UInt8[np.ndarray, "n height width"], probabilities: UInt8[np.ndarray, "n height width"]
) -> Float64[np.ndarray, "n bins"]:
    """Return each photo's sum of (probability − truth) over the pixels of every bin."""
    n = len(trimaps)
    slots = BIN_OF.astype(np.uint8)[probabilities].reshape(n, -1) + BINS * np.arange(n)[:, None]
    error = probabilities / 255.0 - (trimaps != BACKGROUND)
    return np.bincount(slots.ravel(), error.ravel(), minlength=BINS * n).reshape(n, BINS)


def squared_errors(
    trimaps: UInt8[np.ndarray, "n height width"], probabilities: UInt8[np.ndarray, "n height width"]
) -> Float64[np.ndarray, "n"]:
    """Return each photo's sum of (probability − truth)² over its pixels."""
    error = probabilities / np.float32(255) - (trimaps != BACKGROUND)
    return np.asarray(np.square(error).sum(axis=(1, 2), dtype=np.float64))


def expected_error(
    gaps: Float64[np.ndarray, "*sums bins"], pixels: Float64[np.ndarray, "*sums"] | float
) -> Float64[np.ndarray, "*sums"]:
    """Return the expected calibration error, the mean of |gap| weighed by the bins' pixels, in 0–1."""
    return np.asarray(np.abs(gaps).sum(axis=-1) / pixels)


def reliability(
    histogram: Int64[np.ndarray, "3 256"],
) -> list[tuple[float, float, int, float, float]]:
    """Return (from, to, pixels, mean probability, share of pet) of every bin that has pixels."""
    pet, every = histogram[:2].sum(axis=0), histogram.sum(axis=0)
    rows = []
    for each in range(BINS):
        inside = each == BIN_OF
        if pixels := int(every[inside].sum()):
            mean = float((every * PROBABILITIES)[inside].sum()) / pixels
            share = int(pet[inside].sum()) / pixels
            ends = (round(each / BINS, 4), round((each + 1) / BINS, 4))
            rows.append((*ends, pixels, round(mean, 4), round(share, 4)))
    return rows
