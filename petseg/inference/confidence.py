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
