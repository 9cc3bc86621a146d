"""How far a difference of two models on the same photos may be chance: the paired bootstrap.

Photos are drawn with replacement, each with its counts by both models, and every metric is
computed anew from the summed counts: the IoU of a dataset is no mean over photos, and the
photos' difficulty, common to both models, cancels out. The interval holds the middle of the
resamples' differences (the percentile method: Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13.3). It speaks of other photos of the same kind, with these two
models; another training of either may differ by more.
"""

import numpy as np
from jaxtyping import Float64, Int64

from stages.petseg import metrics

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


def differences(
    base: Int64[np.ndarray, "n 6"], head: Int64[np.ndarray, "n 6"], seed: int = SEED
) -> dict[str, Samples]:
    """Return every metric's difference, head less base, in 10,000 resamples of the photos.

    Args:
        base: a photo's counts each, in the order of `metrics.COLUMNS`; at least one photo.
        head: the same photos' counts by the other model.
        seed: of the resampling; equal seeds give equal samples.
    """
    sides = [
        np.column_stack([counts, metrics.image_iou(counts)]).astype(float)
        for counts in (base, head)
    ]
    sums = resampled_sums(np.column_stack(sides), np.random.default_rng(seed))
    old, new = (
        metrics.values(side[:, :6].astype(np.int64), side[:, 6] / len(base))
        for side in np.split(sums, 2, axis=1)
    )
    return {name: np.asarray(new[name] - old[name], float) for name in new}


def interval(samples: Samples) -> tuple[float, float]:
    """Return the 95 % percentile interval."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def iou_interval(
    base: Int64[np.ndarray, "n 6"], head: Int64[np.ndarray, "n 6"], among: int, seed: int
) -> tuple[float, float]:
    """Return the interval of the IoU's difference in one slice of several that are looked at.

    Together the intervals of `among` independent slices hold in 95 % of cases (Šidák, 1967), so
    that looking at 37 breeds finds a false move in one review of twenty, not in most. A slice
    has few photos, for which the percentile interval is too narrow: here each resample's
    difference is divided by its own standard error (the bootstrap-t: Efron and Tibshirani,
    1993, chapter 12.5), and the interval is the difference ± that quantile of them.

    Returns:
        Low and high; infinite if so few photos differ that nothing can be said.
    """
    unions = [
        (cells.tp, cells.tp + cells.fp + cells.fn)
        for cells in (metrics.confusion(counts, "pet") for counts in (base, head))
    ]
    pixels = np.column_stack([*unions[0], *unions[1]]).astype(float)
    products = (pixels[:, :, None] * pixels[:, None, :]).reshape(len(pixels), 16)
    columns = np.hstack([pixels, products])
    sums = resampled_sums(columns, np.random.default_rng(seed))
    found, errors = iou_difference(np.vstack([columns.sum(axis=0), sums]), len(columns))
    value, error = found[0], errors[0]
    away = np.abs(found - value)
    distances = np.divide(away, errors, out=np.where(away > 0, np.inf, 0.0), where=errors > 0)
    reach = np.quantile(distances, CONFIDENCE ** (1 / among), method="higher") if error else 0.0
    return float(value - reach * error), float(value + reach * error)


def iou_difference(
    sums: Float64[np.ndarray, "sums 20"], n: int
) -> tuple[Float64[np.ndarray, "sums"], Float64[np.ndarray, "sums"]]:
    """Return the IoU's difference and its standard error by the delta method.

    Args:
        sums: over n photos, of intersection and union of base and of head, then of the 16
            products of these four.
        n: how many photos.
    """
    totals, products = sums[:, :4], sums[:, 4:].reshape(-1, 4, 4)
    intersection, union = totals[:, ::2], np.maximum(totals[:, 1::2], 1.0)
    gradient = np.stack([1 / union, -intersection / union**2], axis=-1).reshape(-1, 4)
    gradient[:, :2] *= -1  # of base, which is subtracted
    variance = np.einsum("ki,kij,kj->k", gradient, products, gradient) * n / (n - 1)
    pixels = totals.astype(np.int64)
    base, head = (metrics.ratio(pixels[:, i], pixels[:, i + 1]) for i in (0, 2))
    return np.asarray(head - base), np.sqrt(np.maximum(variance, 0.0))
