"""The registry of metrics, the confusion counts of a photo, and the metrics computed from them.

A photo's counts are pixels by trimap class (foreground, border, background) and prediction (foreground,
background). They add up over photos, and are enough for every border policy.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float64, Int64, Real, UInt8

from petseg.data.labels import BACKGROUND, BORDER, CLASSES, FOREGROUND, TRUTH, Border

Counts = Int64[np.ndarray, "*photos 6"]
Cell = Int64[np.ndarray, "*photos"] | np.int64
Value = Float64[np.ndarray, "*photos"] | np.float64
COLUMNS = (
    "foreground_as_foreground",
    "foreground_as_background",
    "border_as_foreground",
    "border_as_background",
    "background_as_foreground",
    "background_as_background",
)

# The columns of per_image.csv beside the counts: the intersection and the union of a photo's two
# boundary bands in pixels, its boundary F-score, the sum of its pixels' squared errors, the IoU
# expected of its mask; and at the photo's own size the intersection and the union of the masks and
# of their boundary bands. Older commits have the first of these columns, so new ones come last.
EXTRA_COLUMNS = (
    *("boundary_intersection", "boundary_union", "boundary_f_2px", "squared_error"),
    "expected_iou",
    *("native_intersection", "native_union"),
    *("native_boundary_intersection", "native_boundary_union"),
)
EXPECTED = EXTRA_COLUMNS.index("expected_iou")


class Direction(StrEnum):
    """Which values of a metric are the better ones."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True)
class Metric:
    """What the whole project says about a metric of metrics.json."""

    key: str  # in metrics.json, intervals.csv, and in `gate` of params.yaml
    title: str  # the name for people
    formula: str  # over the pixels of all photos, with the border as foreground, unless it says otherwise
    direction: Direction
    explanation: str
    has_interval: bool = True  # over photos, in intervals.csv
    has_paired_interval: bool = True  # of the difference of two models, from per_image.csv


# In the order of metrics.json. A new metric needs an entry here, and its computation: in `from_sums`
# if it follows from the columns of per_image.csv, in `scores.values` otherwise.
METRICS = {
    metric.key: metric
    for metric in (
        Metric(
            "iou",
            "IoU",
            "TP / (TP + FP + FN)",
            Direction.HIGHER,
            "intersection over union of foreground, over the pixels of all photos",
        ),
        Metric(
            "dice",
            "Dice",
            "2 TP / (2 TP + FP + FN)",
            Direction.HIGHER,
            "the F1 score of foreground pixels",
        ),
        Metric(
            "accuracy",
            "accuracy",
            "(TP + TN) / (TP + FP + FN + TN)",
            Direction.HIGHER,
            "share of pixels that are right",
        ),
        Metric(
            "precision",
            "precision",
            "TP / (TP + FP)",
            Direction.HIGHER,
            "share of predicted foreground that is foreground",
        ),
        Metric(
            "recall",
            "recall",
            "TP / (TP + FN)",
            Direction.HIGHER,
            "share of foreground that is predicted",
        ),
        Metric(
            "mean_iou",
            "mean IoU",
            "(TP / (TP + FP + FN) + TN / (TN + FP + FN)) / 2",
            Direction.HIGHER,
            "mean of the IoU of foreground and of background",
        ),
        Metric(
            "image_iou",
            "IoU per photo",
            "mean over photos of TP / (TP + FP + FN)",
            Direction.HIGHER,
            "mean of each photo's IoU",
        ),
        Metric(
            "iou_border_background",
            "IoU, border as background",
            "TP / (TP + FP + FN), the border as background",
            Direction.HIGHER,
            "the trimap's border counted as no foreground",
        ),
        Metric(
            "iou_border_ignored",
            "IoU, border ignored",
            "TP / (TP + FP + FN), without the border's pixels",
            Direction.HIGHER,
            "the trimap's border left out",
        ),
        Metric(
            "boundary_iou",
            "boundary IoU",
            "intersection / union of the two bands along the outlines",
            Direction.HIGHER,
            "IoU of the bands along both outlines, 2 % of the diagonal deep",
        ),
        Metric(
            "boundary_f_2px",
            "boundary F",
            "mean over photos of 2 P R / (P + R) of the outlines' pixels",
            Direction.HIGHER,
            "F-score of the outlines at 2 pixels' tolerance, mean over photos",
        ),
        Metric(
            "brier",
            "Brier score",
            "mean of (probability − truth)²",
            Direction.LOWER,
            "mean squared error of the probability; 0 is best",
        ),
        Metric(
            "calibration_error",
            "calibration error",
            "Σ over bins of |Σ (probability − truth)| / pixels",
            Direction.LOWER,
            "expected, over 15 bins of probability; 0 is best",
            has_paired_interval=False,  # the gaps of each photo's bins are not in per_image.csv
        ),
        Metric(
            "native_iou",
            "IoU at full size",
            "TP / (TP + FP + FN), at the photos' own size",
            Direction.HIGHER,
            "the masks at the photos' own size against the original trimaps",
        ),
        Metric(
            "native_boundary_iou",
            "boundary IoU at full size",
            "intersection / union of the two bands, at the photos' own size",
            Direction.HIGHER,
            "boundary IoU of the masks at the photos' own size",
        ),
        Metric(
            "expected_iou_error",
            "error of the expected IoU",
            "mean over photos of |expected IoU − IoU|",
            Direction.LOWER,
            "how far the IoU that the model expects of a mask is from the true one",
        ),
        Metric(
            "expected_iou_correlation",
            "rank correlation of the expected IoU",
            "Spearman's ρ of expected IoU and IoU over photos",
            Direction.HIGHER,
            "1 if the masks that the model is less sure of are the worse ones; 0 by chance",
            has_interval=False,  # it does not follow from sums over photos
            has_paired_interval=False,
        ),
    )
}

BORDER_METRICS = ("iou_border_background", "iou_border_ignored")  # of another border policy


def count(
    trimaps: UInt8[np.ndarray, "n height width"], predicted: Bool[np.ndarray, "n height width"]
) -> Int64[np.ndarray, "n 6"]:
    """Return each photo's pixels in the order of `COLUMNS`."""
    masks = [trimaps == label for label in (FOREGROUND, BORDER, BACKGROUND)]
    cells = [
        np.count_nonzero(mask & prediction, axis=(1, 2))
        for mask in masks
        for prediction in (predicted, ~predicted)
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
    """Return the confusion with the border band as foreground, as background, or left out."""
    cells = counts.reshape(*counts.shape[:-1], len(CLASSES), 2)  # by class and by prediction
    foreground, background = (cells[..., rows, :].sum(axis=-2) for rows in TRUTH[border])
    return Confusion(foreground[..., 0], background[..., 0], foreground[..., 1], background[..., 1])


def ratio(part: Cell, total: Cell) -> Value:
    """Return part / total; 1 where both are 0, since a prediction of nothing is right there."""
    value: Value = np.where(total == 0, 1.0, part / np.where(total == 0, 1, total))[()]
    return value


def iou(c: Confusion) -> Value:
    """Return TP / (TP + FP + FN), the Jaccard index of the foreground class, in 0–1."""
    return ratio(c.tp, c.tp + c.fp + c.fn)


def mean_iou(c: Confusion) -> Value:
    """Return the mean of the IoU of foreground and of background, in 0–1."""
    return (iou(c) + ratio(c.tn, c.tn + c.fp + c.fn)) / 2


def dice(c: Confusion) -> Value:
    """Return 2 TP / (2 TP + FP + FN), the F1 score of the foreground class, in 0–1."""
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
    """Return each photo's IoU with the border as foreground, in 0–1."""
    return iou(confusion(counts, "foreground"))


def dataset_iou(counts: Int64[np.ndarray, "n 6"]) -> float:
    """Return the IoU of all photos' pixels taken together, with the border as foreground."""
    return float(iou(confusion(counts.sum(axis=0), "foreground")))


def values(total: Counts, mean_image_iou: Value) -> dict[str, Value]:
    """Return the metrics that follow from counts added up over photos, in 0–1 and higher is better.

    They are over the pixels of all photos with the border as foreground, except for the two that name
    another border policy, and for `image_iou`, the mean over photos.

    Args:
        total: counts in the order of `COLUMNS` on the last axis; leading axes, such as resamples,
            stay in the result.
        mean_image_iou: the mean of the photos' IoU, with the same leading axes.
    """
    foreground = confusion(total, "foreground")
    return {
        "iou": iou(foreground),
        "dice": dice(foreground),
        "accuracy": accuracy(foreground),
        "precision": precision(foreground),
        "recall": recall(foreground),
        "mean_iou": mean_iou(foreground),
        "image_iou": mean_image_iou,
        "iou_border_background": iou(confusion(total, "background")),
        "iou_border_ignored": iou(confusion(total, "ignored")),
    }


def by_photo(rows: Real[np.ndarray, "n measured"]) -> Float64[np.ndarray, "n added"]:
    """Return what every photo adds to the sums of `from_sums`.

    These are the counts, the photo's IoU, and the extra columns; in place of the expected IoU its
    absolute error.

    Args:
        rows: for each photo the counts in the order of `COLUMNS`, then the first of `EXTRA_COLUMNS`,
            as many as were measured.
    """
    counts, extra = np.split(rows.astype(float), [len(COLUMNS)], axis=1)
    ious = image_iou(counts.astype(np.int64))
    if extra.shape[1] > EXPECTED:
        extra[:, EXPECTED] = np.abs(extra[:, EXPECTED] - ious)
    return np.column_stack([counts, ious, extra])


def from_sums(sums: Float64[np.ndarray, "sums added"], n: int) -> dict[str, Value]:
    """Return every metric, by its key, that follows from the sums of `by_photo` over n photos.

    Each row of sums, such as a resample, gives one value of every metric.
    """
    counts, image_ious, extra_sums = np.split(sums, [len(COLUMNS), len(COLUMNS) + 1], axis=1)
    counts = counts.astype(np.int64)
    result = values(counts, image_ious[:, 0] / n)
    extra = dict(zip(EXTRA_COLUMNS, extra_sums.T, strict=False))

    def overlap(name: str) -> Value:
        return ratio(
            *(extra[f"{name}_{part}"].astype(np.int64) for part in ("intersection", "union"))
        )

    if "squared_error" in extra:
        result["boundary_iou"] = overlap("boundary")
        result["boundary_f_2px"] = extra["boundary_f_2px"] / n
        result["brier"] = extra["squared_error"] / counts.sum(axis=1)
    if "native_boundary_union" in extra:
        result["native_iou"] = overlap("native")
        result["native_boundary_iou"] = overlap("native_boundary")
        result["expected_iou_error"] = extra["expected_iou"] / n
    return result


def from_photos(rows: Real[np.ndarray, "n measured"]) -> dict[str, float]:
    """Return the metrics of photos from their rows, as `by_photo` takes them, 4 decimals."""
    result = from_sums(by_photo(rows).sum(axis=0, keepdims=True), len(rows))
    return {key: round(np.asarray(value).item(), 4) for key, value in result.items()}
