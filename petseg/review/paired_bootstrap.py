"""The paired bootstrap: how far the difference of two models on the same photos may be chance.

Photos are drawn with replacement, each with its counts by both models, and every metric is
computed again from the summed counts: the IoU of a dataset is no mean over photos, and the
difficulty of the photos, which both models share, cancels out. The interval holds the middle of the
resamples' differences. It is about other photos of the same kind with these two models; another
training of either model may differ by more.
"""

import numpy as np
from jaxtyping import Float64, Int64, Real

from petseg.evaluation import metrics
from petseg.evaluation.bootstrap import CONFIDENCE, SEED, Samples, resampled_sums


def differences(
    base: Real[np.ndarray, "n measured"], head: Real[np.ndarray, "n measured"], seed: int = SEED
) -> dict[str, Samples]:
    """Return every metric's difference, head less base, in 10,000 resamples of the photos.

    Args:
        base: the rows of at least one photo, as `metrics.by_photo` takes them.
        head: the rows of the same photos by the other model.
        seed: of the resampling; equal seeds give equal samples.
    """
    sides = np.hstack([metrics.by_photo(base), metrics.by_photo(head)])
    sums = resampled_sums(sides, np.random.default_rng(seed))
    old, new = (metrics.from_sums(side, len(base)) for side in np.split(sums, 2, axis=1))
    return {name: np.asarray(new[name] - old[name], float) for name in new}


def values(side: Real[np.ndarray, "n measured"], seed: int = SEED) -> dict[str, Samples]:
    """Return every metric of one model in 10,000 resamples of the photos.

    Args:
        side: the rows of at least one photo, as `metrics.by_photo` takes them.
        seed: of the resampling; equal seeds give equal samples.
    """
    sums = resampled_sums(metrics.by_photo(side), np.random.default_rng(seed))
    return {
        name: np.asarray(value, float) for name, value in metrics.from_sums(sums, len(side)).items()
    }


def iou_interval(
    base: Int64[np.ndarray, "n 6"], head: Int64[np.ndarray, "n 6"], among: int, seed: int
) -> tuple[float, float]:
    """Return the interval of the IoU's difference in one slice of several that are compared.

    The intervals of `among` independent slices all hold in 95 % of cases (Šidák, 1967), so that a
    look at 37 groups finds a false change in one review of twenty, and not in most. A slice
    has few photos, for which the percentile interval is too narrow: here each resample's
    difference is divided by its own standard error (the bootstrap-t: Efron and Tibshirani,
    1993, chapter 12.5), and the interval is the difference ± that quantile of them.

    Returns:
        Low and high; infinite if too few photos differ for an interval.
    """
    base_overlap, head_overlap = (
        (cells.tp, cells.tp + cells.fp + cells.fn)  # intersection and union
        for cells in (metrics.confusion(counts, "foreground") for counts in (base, head))
    )
    pixels = np.column_stack([*base_overlap, *head_overlap]).astype(float)
    products = (pixels[:, :, None] * pixels[:, None, :]).reshape(len(pixels), 16)
    columns = np.hstack([pixels, products])
    sums = resampled_sums(columns, np.random.default_rng(seed))
    values, errors = iou_difference(np.vstack([columns.sum(axis=0), sums]), len(columns))
    value, error = values[0], errors[0]  # of the photos; the others are those of the resamples
    gaps = np.abs(values - value)
    distances = np.divide(gaps, errors, out=np.where(gaps > 0, np.inf, 0.0), where=errors > 0)
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
    gradient[:, :2] *= -1  # base is subtracted
    variance = np.einsum("ki,kij,kj->k", gradient, products, gradient) * n / (n - 1)
    pixels = totals.astype(np.int64)
    base, head = (metrics.ratio(pixels[:, i], pixels[:, i + 1]) for i in (0, 2))
    return np.asarray(head - base), np.sqrt(np.maximum(variance, 0.0))
