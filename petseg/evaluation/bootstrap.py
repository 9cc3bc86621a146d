"""Other photos of the same kind: rows drawn with replacement, summed, and the middle of the results.

The percentile method: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.3.
"""

import numpy as np
from jaxtyping import Float64

RESAMPLES = 10_000
CONFIDENCE = 0.95
SEED = 1
CHUNK = 1 << 20  # draws at a time
Samples = Float64[np.ndarray, "resamples"]


def resampled_sums(
    columns: Float64[np.ndarray, "n k"], rng: np.random.Generator
) -> Float64[np.ndarray, "resamples k"]:
    """Return the columns' sums over each resample of the rows."""
    n = len(columns)
    each = max(1, CHUNK // n)
    sums = []
    for start in range(0, RESAMPLES, each):
        many = min(each, RESAMPLES - start)
        drawn = rng.integers(0, n, (many, n)) + n * np.arange(many)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=many * n).reshape(many, n)
        sums.append(weights @ columns)
    return np.concatenate(sums)


def interval(samples: Samples) -> tuple[float, float]:
    """Return the 95 % percentile interval."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(low), float(high)
