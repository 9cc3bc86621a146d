"""From probabilities to masks: the pixels' counts at every threshold, and the best threshold.

A probability is stored as a whole number of 1/255, so only 256 thresholds differ, and one histogram
of a split holds the counts at each of them.
"""

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from petseg.data.labels import CLASSES, TRUTH, Border
from petseg.data.quantisation import LEVELS, level_threshold


def histogram(
    trimaps: UInt8[np.ndarray, "n height width"], probabilities: UInt8[np.ndarray, "n height width"]
) -> Int64[np.ndarray, "3 256"]:
    """Return how many pixels of foreground, border and background (rows) have each probability in 1/255."""
    counts = [np.bincount(probabilities[trimaps == label], minlength=LEVELS) for label in CLASSES]
    return np.stack(counts).astype(np.int64)


def sweep(histogram: Int64[np.ndarray, "3 256"]) -> Int64[np.ndarray, "256 6"]:
    """Return the counts in the order of `metrics.COLUMNS` at the thresholds 0/255 to 255/255."""
    above = histogram[:, ::-1].cumsum(axis=1)[:, ::-1]  # pixels at or above each level
    below = above[:, :1] - above
    return np.stack([above, below], axis=1).reshape(6, LEVELS).T


def best_threshold(histogram: Int64[np.ndarray, "3 256"], border: Border) -> float:
    """Return the threshold with the highest IoU of foreground over all pixels.

    Where the curve is flat at its top, noise decides which threshold is the highest. The result is
    therefore the mean of all thresholds whose IoU is at most 0.0002 below the highest.
    """
    ious = iou_by_level(histogram, border)
    level = np.flatnonzero(ious >= ious.max() - 0.0002).mean()
    return level_threshold(round(float(level)))


def iou_by_level(
    histogram: Int64[np.ndarray, "3 256"], border: Border
) -> Float64[np.ndarray, "256"]:
    """Return the IoU of foreground at every threshold, in 0–1; 1 where no pixel is foreground or predicted as foreground."""
    foreground, background = (histogram[rows].sum(axis=0) for rows in TRUTH[border])
    true_positives, false_positives = (
        pixels[::-1].cumsum()[::-1] for pixels in (foreground, background)
    )
    union = foreground.sum() + false_positives
    return np.asarray(np.where(union == 0, 1.0, true_positives / np.maximum(union, 1)))
