"""Confusion counts per photo, then everything that follows from them.

A photo's counts are pixels by trimap class (pet, border, background) and prediction (pet,
background). They add up over photos, and hold what every border policy needs.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from stages.petseg.archives import BACKGROUND, BORDER, PET

Border = Literal["pet", "background", "ignored"]
Counts = Int64[np.ndarray, "*photos 6"]
Cell = Int64[np.ndarray, "*photos"] | np.int64
Value = Float64[np.ndarray, "*photos"] | np.float64
COLUMNS = (
    "pet_as_pet",
    "pet_as_background",
    "border_as_pet",
    "border_as_background",
    "background_as_pet",
    "background_as_background",
)


def least(threshold: float) -> int:
    """Return the smallest probability in 1/255 from which on a pixel is pet."""
    return math.ceil(threshold * 255)


def count(
    trimaps: UInt8[np.ndarray, "n height width"], predicted: Bool[np.ndarray, "n height width"]
) -> Int64[np.ndarray, "n 6"]:
    """Return each photo's pixels in the order of `COLUMNS`."""
    masks = [trimaps == value for value in (PET, BORDER, BACKGROUND)]
    cells = [
        np.count_nonzero(mask & side, axis=(1, 2))
        for mask in masks
        for side in (predicted, ~predicted)
    ]
    return np.stack(cells, axis=1).astype(np.int64)


def read_counts(rows: Iterable[Mapping[str, str]]) -> Int64[np.ndarray, "n 6"]:
    """Return the counts in the rows of per_image.csv."""
    cells = [[int(row[name]) for name in COLUMNS] for row in rows]
    return np.array(cells, np.int64).reshape(-1, len(COLUMNS))


@dataclass(frozen=True)
class Confusion:
    """Pixels by truth and prediction: arrays of one shape, or numbers."""

    tp: Cell
    fp: Cell
    fn: Cell
    tn: Cell


def confusion(counts: Counts, border: Border) -> Confusion:
    """Return the confusion with the border band as pet, as background, or left out."""
    pet_hit, pet_miss, border_pet, border_background, false_pet, ground = np.moveaxis(counts, -1, 0)
    if border == "pet":
        return Confusion(pet_hit + border_pet, false_pet, pet_miss + border_background, ground)
    if border == "background":
        return Confusion(pet_hit, false_pet + border_pet, pet_miss, ground + border_background)
    return Confusion(pet_hit, false_pet, pet_miss, ground)


def ratio(part: Cell, whole: Cell) -> Value:
    """Return part / whole; 1 where both are 0, for nothing was there and nothing was wrong."""
    filled = np.where(whole == 0, 1, whole)
    value: Value = np.where(whole == 0, 1.0, part / filled)[()]
    return value


def iou(c: Confusion) -> Value:
    """Return TP / (TP + FP + FN), the Jaccard index of the pet class, in 0–1."""
    return ratio(c.tp, c.tp + c.fp + c.fn)


def mean_iou(c: Confusion) -> Value:
    """Return the mean of the IoU of pet and of background, in 0–1."""
    return (iou(c) + ratio(c.tn, c.tn + c.fp + c.fn)) / 2


def dice(c: Confusion) -> Value:
    """Return 2 TP / (2 TP + FP + FN), the F1 score of the pet class, in 0–1."""
    return ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn)


def accuracy(c: Confusion) -> Value:
    """Return the share of pixels that are right, in 0–1."""
    return ratio(c.tp + c.tn, c.tp + c.fp + c.fn + c.tn)


def precision(c: Confusion) -> Value:
    """Return TP / (TP + FP), in 0–1."""
    return ratio(c.tp, c.tp + c.fp)


def recall(c: Confusion) -> Value:
    """Return TP / (TP + FN), in 0–1."""
    return ratio(c.tp, c.tp + c.fn)


def image_iou(counts: Counts) -> Value:
    """Return each photo's IoU with the border as pet, in 0–1."""
    return iou(confusion(counts, "pet"))


def dataset_iou(counts: Int64[np.ndarray, "n 6"]) -> float:
    """Return the IoU of all photos' pixels taken together, with the border as pet."""
    return float(iou(confusion(counts.sum(axis=0), "pet")))


def values(total: Counts, mean_image_iou: Value) -> dict[str, Value]:
    """Return every metric of metrics.json from counts added up over photos; more is better in all.

    Over the dataset with the border as pet, but `image_iou`, the mean over photos, and the two
    that name another border policy. Leading axes stay: a resample each, for example.
    """
    pet = confusion(total, "pet")
    return {
        "iou": iou(pet),
        "dice": dice(pet),
        "accuracy": accuracy(pet),
        "precision": precision(pet),
        "recall": recall(pet),
        "mean_iou": mean_iou(pet),
        "image_iou": mean_image_iou,
        "iou_border_background": iou(confusion(total, "background")),
        "iou_border_ignored": iou(confusion(total, "ignored")),
    }


def headline(counts: Int64[np.ndarray, "n 6"]) -> dict[str, float]:
    """Return the numbers of metrics.json, 4 decimals."""
    found = values(counts.sum(axis=0), image_iou(counts).mean())
    return {name: round(float(value), 4) for name, value in found.items()}


def histogram(
    trimaps: UInt8[np.ndarray, "n height width"], probabilities: UInt8[np.ndarray, "n height width"]
) -> Int64[np.ndarray, "2 256"]:
    """Return how many pixels of background (0) and of pet or border (1) have each probability in 1/255."""
    truth = trimaps != BACKGROUND
    return np.stack(
        [np.bincount(probabilities[mask], minlength=256) for mask in (~truth, truth)]
    ).astype(np.int64)


def precision_recall(
    histograms: Int64[np.ndarray, "2 256"], thresholds: list[int]
) -> list[tuple[float, float, float]]:
    """Return (threshold, precision, recall) for thresholds in 1/255, border as pet."""
    above = histograms[:, ::-1].cumsum(axis=1)[:, ::-1]  # pixels at or above each value
    false, true = above
    rows = []
    for value in thresholds:
        c = Confusion(true[value], false[value], true[0] - true[value], false[0] - false[value])
        rows.append(
            (round(value / 255, 4), round(float(precision(c)), 4), round(float(recall(c)), 4))
        )
    return rows
