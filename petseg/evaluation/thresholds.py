"""From probabilities to masks: what every threshold makes of a split, and the one that is best.

A probability is a whole number of 1/255, so there are 256 thresholds that differ, and one histogram
holds what each of them does to the pixels of a split.
"""

import math

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from petseg.data.labels import CLASSES, TRUTH, Border

LEVELS = 256


def min_level(threshold: float) -> int:
    """Return the smallest probability in 1/255 from which on a pixel is pet."""
    return math.ceil(threshold * (LEVELS - 1))


def level_threshold(level: int) -> float:
    """Return a threshold, 4 decimals, from which on just the probabilities of `level`/255 are pet."""
    return math.floor(level / (LEVELS - 1) * 10_000) / 10_000


def histogram(
    trimaps: UInt8[np.ndarray, "n height width"], probabilities: UInt8[np.ndarray, "n height width"]
) -> Int64[np.ndarray, "3 256"]:
    """Return how many pixels of pet, border and background (rows) have each probability in 1/255."""
    counts = [np.bincount(probabilities[trimaps == each], minlength=LEVELS) for each in CLASSES]
    return np.stack(counts).astype(np.int64)


def sweep(histogram: Int64[np.ndarray, "3 256"]) -> Int64[np.ndarray, "256 6"]:
    """Return the counts in the order of `metrics.COLUMNS` at the thresholds 0/255 to 255/255."""
    above = histogram[:, ::-1].cumsum(axis=1)[:, ::-1]  # pixels at or above each level
    below = above[:, :1] - above
    return np.stack([above, below], axis=1).reshape(6, LEVELS).T


def best_threshold(histogram: Int64[np.ndarray, "3 256"], border: Border) -> float:
    """Return the threshold with the highest IoU of pet over all pixels.

    Where the curve is flat at its top, noise decides which is the highest: it is the mean of all
    thresholds that lose at most 0.0002 to it.
    """
    ious = iou_by_level(histogram, border)
    level = np.flatnonzero(ious >= ious.max() - 0.0002).mean()
    return level_threshold(round(float(level)))


def iou_by_level(
    histogram: Int64[np.ndarray, "3 256"], border: Border
) -> Float64[np.ndarray, "256"]:
    """Return the IoU of pet at every threshold, in 0–1; 1 where there is no pet and none is found."""
    pet, ground = (histogram[rows].sum(axis=0) for rows in TRUTH[border])
    hits, false = (side[::-1].cumsum()[::-1] for side in (pet, ground))
    union = pet.sum() + false
    return np.asarray(np.where(union == 0, 1.0, hits / np.maximum(union, 1)))
