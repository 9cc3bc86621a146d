"""How sure a mask is: the IoU that the probabilities let expect of it."""

import numpy as np
from jaxtyping import Float64, UInt8

from petseg.data import quantisation


def expected_iou(
    levels: UInt8[np.ndarray, "n height width"], threshold: float
) -> Float64[np.ndarray, "n"]:
    """Return the IoU, 0 to 1, that each mask would have if its probabilities were right.

    With the probability p of each pixel and its mask m, 0 or 1, it is Σ p m / Σ (p + m − p m): the
    expected intersection over the expected union. It is 1 if the mask is empty and every
    probability is 0. A mask that is empty although some probabilities are not has 0.

    Args:
        levels: the probability of the foreground, in 1/255.
        threshold: the smallest probability, in 0–1, with which a pixel is foreground.
    """
    masks = levels >= quantisation.min_level(threshold)
    inside = np.where(masks, levels, 0).sum(axis=(1, 2), dtype=np.int64)
    pixels = quantisation.MAX_LEVEL * np.count_nonzero(masks, axis=(1, 2))
    union = levels.sum(axis=(1, 2), dtype=np.int64) + pixels - inside
    return np.where(union == 0, 1.0, inside / np.maximum(union, 1))


def by_level(
    levels: UInt8[np.ndarray, "height width"],
) -> tuple[Float64[np.ndarray, "256"], Float64[np.ndarray, "256"]]:
    """Return, for each level, what the mask of the pixels with that level or a higher one has.

    Returns:
        The mask's share of the photo, 0 to 1, and its expected IoU, as `expected_iou` defines it.
    """
    counts = np.bincount(levels.ravel(), minlength=quantisation.LEVELS)
    sums = counts * np.arange(quantisation.LEVELS)  # of the probabilities, by level
    pixels, inside = (numbers[::-1].cumsum()[::-1] for numbers in (counts, sums))
    union = sums.sum() + quantisation.MAX_LEVEL * pixels - inside
    return pixels / levels.size, np.where(union == 0, 1.0, inside / np.maximum(union, 1))
