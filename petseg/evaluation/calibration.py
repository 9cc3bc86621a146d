"""Whether a pixel with a probability of 80 % is foreground in 80 % of cases.

Pixels are binned by their probability. A bin's calibration gap is the sum of its pixels'
probabilities minus the number of its pixels that are foreground; the border counts as foreground. Gaps are sums,
so that they add up over photos. Guo, Pleiss, Sun and Weinberger: On Calibration of Modern Neural Networks, ICML 2017.
"""

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from petseg.data.labels import is_foreground
from petseg.data.quantisation import LEVELS, MAX_LEVEL

BINS = 15  # of equal width, as in the paper
PROBABILITIES = np.arange(LEVELS) / MAX_LEVEL
BIN_BY_LEVEL = np.minimum(np.arange(LEVELS) * BINS // MAX_LEVEL, BINS - 1)


def gaps(
    trimaps: UInt8[np.ndarray, "n height width"], probabilities: UInt8[np.ndarray, "n height width"]
) -> Float64[np.ndarray, "n bins"]:
    """Return each photo's sum of (probability − truth) over the pixels of every bin."""
    n = len(trimaps)
    bins = BIN_BY_LEVEL.astype(np.uint8)[probabilities].reshape(n, -1)
    cells = bins + BINS * np.arange(n)[:, None]  # a number for each bin of each photo
    errors = probabilities / float(MAX_LEVEL) - is_foreground(trimaps)
    return np.bincount(cells.ravel(), errors.ravel(), minlength=BINS * n).reshape(n, BINS)


def squared_errors(
    trimaps: UInt8[np.ndarray, "n height width"], probabilities: UInt8[np.ndarray, "n height width"]
) -> Float64[np.ndarray, "n"]:
    """Return each photo's sum of (probability − truth)² over its pixels."""
    errors = probabilities / np.float32(MAX_LEVEL) - is_foreground(trimaps)
    return np.asarray(np.square(errors).sum(axis=(1, 2), dtype=np.float64))


def expected_error(
    gaps: Float64[np.ndarray, "*sums bins"], pixels: Float64[np.ndarray, "*sums"] | float
) -> Float64[np.ndarray, "*sums"]:
    """Return the expected calibration error, the mean of |gap| weighed by the bins' pixels, in 0–1."""
    return np.asarray(np.abs(gaps).sum(axis=-1) / pixels)


def reliability(
    histogram: Int64[np.ndarray, "3 256"],
) -> list[tuple[float, float, int, float, float]]:
    """Return the reliability diagram: a row for every bin that has pixels.

    Args:
        histogram: pixels of foreground, border and background by probability in 1/255.

    Returns:
        Rows of (from, to, pixels, mean probability, share of foreground), 4 decimals.
    """
    foreground, total = histogram[:2].sum(axis=0), histogram.sum(axis=0)
    rows = []
    for number in range(BINS):
        in_bin = number == BIN_BY_LEVEL
        if pixels := int(total[in_bin].sum()):
            mean = float((total * PROBABILITIES)[in_bin].sum()) / pixels
            share = int(foreground[in_bin].sum()) / pixels
            ends = (round(number / BINS, 4), round((number + 1) / BINS, 4))
            rows.append((*ends, pixels, round(mean, 4), round(share, 4)))
    return rows
