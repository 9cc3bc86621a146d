"""The bootstrap: how much a number would vary with other photos of the same kind.

Rows are drawn with replacement and summed, 10,000 times; the interval holds the middle 95 % of the
results. The percentile method: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.3.
"""

import numpy as np
from jaxtyping import Float64

RESAMPLES = 10_000
CONFIDENCE = 0.95
SEED = 1
CHUNK = 1 << 20  # rows that are drawn at a time, to bound the memory
Samples = Float64[np.ndarray, "resamples"]


def resampled_sums(
    columns: Float64[np.ndarray, "n k"], rng: np.random.Generator
) -> Float64[np.ndarray, "resamples k"]:
    """Return the columns' sums over each resample of the n rows."""
    n = len(columns)
    chunk = max(1, CHUNK // n)  # resamples at a time
    sums = []
    for start in range(0, RESAMPLES, chunk):
        resamples = min(chunk, RESAMPLES - start)
        cells = rng.integers(0, n, (resamples, n)) + n * np.arange(resamples)[:, None]
        weights = np.bincount(cells.ravel(), minlength=resamples * n).reshape(resamples, n)
        sums.append(weights @ columns)
    return np.concatenate(sums)


def interval(samples: Samples) -> tuple[float, float]:
    """Return the 95 % percentile interval."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(low), float(high)
