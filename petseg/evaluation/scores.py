"""The metrics of the test split with their intervals over photos.

Each photo has a row of numbers that add up over photos, and every metric follows from the sums. That
holds for a resample of the photos, too, so one product of matrices gives 10,000 resamples of all
metrics at once.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from petseg.data import quantisation
from petseg.data.labels import IGNORED, is_foreground
from petseg.evaluation import bootstrap, boundary, calibration, doubt, metrics, thresholds
from petseg.evaluation.metrics import Value
from petseg.inference import confidence

Rows = Float64[np.ndarray, "photos columns"]


@dataclass(frozen=True)
class Measurements:
    """The numbers measured on each of n photos, and the histogram of all their pixels."""

    counts: Int64[np.ndarray, "n 6"]  # in the order of `metrics.COLUMNS`
    bands: Int64[np.ndarray, "n 2"]  # intersection and union of the boundary bands, pixels
    f_scores: Float64[np.ndarray, "n tolerances"]  # of the outlines, 0–1
    gaps: Float64[np.ndarray, "n bins"]  # probability minus truth, summed over the bin's pixels
    squared_errors: Float64[np.ndarray, "n"]  # of the probability, summed over the pixels
    expected_ious: Float64[np.ndarray, "n"]  # of the masks, 0–1
    native: Int64[np.ndarray, "n 4"]  # at the photos' own size, see `native.overlaps`
    histogram: Int64[np.ndarray, "3 256"]  # pixels by trimap class and probability in 1/255

    def per_image(self) -> Float64[np.ndarray, "n measured"]:
        """Return the numbers of per_image.csv: `metrics.COLUMNS` and `metrics.EXTRA_COLUMNS`."""
        f_scores = self.f_scores[:, boundary.TOLERANCES.index(2)].round(4)
        decimals = (self.squared_errors.round(4), self.expected_ious.round(4))
        return np.column_stack([self.counts, self.bands, f_scores, *decimals, self.native])

    def expected_iou_correlation(self) -> float:
        """Return the rank correlation of the expected IoU with the true one, −1 to 1."""
        ious = np.asarray(metrics.image_iou(self.counts))
        return doubt.rank_correlation(self.expected_ious, ious)

    def rows(self) -> Rows:
        """Return a row for each photo, whose sums `values` takes: gaps, F-scores, `by_photo`."""
        return np.column_stack([self.gaps, self.f_scores, metrics.by_photo(self.per_image())])


@dataclass(frozen=True)
class Score:
    """A metric's value, and the ends of its 95 % interval over photos; a row of intervals.csv."""

    metric: str
    value: float
    low: float
    high: float


def measure(
    trimaps: UInt8[np.ndarray, "n height width"],
    probabilities: UInt8[np.ndarray, "n height width"],
    native: Int64[np.ndarray, "n 4"],
    threshold: float,
) -> Measurements:
    """Return the measurements of some photos; only the counts keep the border apart from foreground.

    Args:
        trimaps: the truth: foreground, border or background.
        probabilities: of foreground, in 1/255.
        native: what `native.overlaps` measured on these photos at their own size.
        threshold: the smallest probability, in 0–1, with which a pixel counts as foreground.
    """
    # Ignored pixels are background in truth and prediction, and no class counts them.
    probabilities = np.where(trimaps == IGNORED, np.uint8(0), probabilities)
    predictions = probabilities >= quantisation.min_level(threshold)
    truth = is_foreground(trimaps)
    depth = boundary.band_width(*truth.shape[1:])
    return Measurements(
        metrics.count(trimaps, predictions),
        boundary.band_overlap(truth, predictions, depth),
        boundary.f_scores(truth, predictions),
        calibration.gaps(trimaps, probabilities),
        calibration.squared_errors(trimaps, probabilities),
        confidence.expected_iou(probabilities, threshold),
        native,
        thresholds.histogram(trimaps, probabilities),
    )


def concatenate(parts: list[Measurements]) -> Measurements:
    """Return the measurements of all parts' photos in one."""

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return Measurements(
        joined("counts"),
        joined("bands"),
        joined("f_scores"),
        joined("gaps"),
        joined("squared_errors"),
        joined("expected_ious"),
        joined("native"),
        np.sum([part.histogram for part in parts], axis=0),
    )


def values(sums: Rows, n: int) -> dict[str, Value]:
    """Return every metric, by its key, from sums of `Measurements.rows` over n photos.

    Each row of sums, such as a resample, gives one value of every metric.
    """
    ends = np.cumsum([calibration.BINS, len(boundary.TOLERANCES)])
    gaps, f_scores, photo_sums = np.split(sums, ends, axis=1)
    result = metrics.from_sums(photo_sums, n)
    for tolerance, column in zip(boundary.TOLERANCES, f_scores.T, strict=True):
        result.setdefault(f"boundary_f_{tolerance}px", column / n)
    pixels = photo_sums[:, : len(metrics.COLUMNS)].sum(axis=1)
    result["calibration_error"] = calibration.expected_error(gaps, pixels)
    return result


def scores(measurements: Measurements) -> list[Score]:
    """Return every metric with its interval, 4 decimals."""
    rows, n = measurements.rows(), len(measurements.counts)
    exact = values(rows.sum(axis=0, keepdims=True), n)
    resampled = bootstrap.resampled_sums(rows, np.random.default_rng(bootstrap.SEED))
    result = []
    for key, samples in values(resampled, n).items():
        value = np.asarray(exact[key]).item()
        low, high = bootstrap.interval(np.asarray(samples))
        result.append(Score(key, round(value, 4), round(low, 4), round(high, 4)))
    return result
