"""The test split's numbers with their intervals: what every photo adds up to, and what follows.

Each photo has a row of sums; over any photos they add up to the metrics' sums, over a resample of
them, too. So one product of matrices gives 10,000 resamples of all metrics at once.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from petseg.data.labels import BACKGROUND
from petseg.evaluation import bootstrap, boundary, calibration, metrics, thresholds
from petseg.evaluation.metrics import Value

Rows = Float64[np.ndarray, "photos columns"]


@dataclass(frozen=True)
class Measurements:
    """What was counted on each of n photos."""

    counts: Int64[np.ndarray, "n 6"]  # in the order of `metrics.COLUMNS`
    bands: Int64[np.ndarray, "n 2"]  # intersection and union of the boundary bands, pixels
    f_scores: Float64[np.ndarray, "n tolerances"]
    gaps: Float64[np.ndarray, "n bins"]  # probability less truth, summed over the bin's pixels
    squared_errors: Float64[np.ndarray, "n"]
    histogram: Int64[np.ndarray, "3 256"]  # of all photos' pixels

    def per_image(self) -> Float64[np.ndarray, "n measured"]:
        """Return what per_image.csv has of each photo."""
        f_scores = self.f_scores[:, boundary.TOLERANCES.index(2)].round(4)
        columns = (self.counts, self.bands, f_scores, self.squared_errors.round(4))
        return np.column_stack(columns).astype(float)

    def rows(self) -> Rows:
        """Return all that adds up, a photo's in a row, as `values` takes it apart again."""
        added = metrics.by_photo(self.per_image())
        return np.column_stack([self.gaps, self.f_scores, added])


@dataclass(frozen=True)
class Score:
    """A metric, and where 95 % of resamples of the photos have it."""

    metric: str
    value: float
    low: float
    high: float


def measure(
    trimaps: UInt8[np.ndarray, "n size size"],
    probabilities: UInt8[np.ndarray, "n size size"],
    threshold: float,
) -> Measurements:
    """Count some photos; the border counts as pet where there is no other word of it."""
    found, truth = probabilities >= thresholds.min_level(threshold), trimaps != BACKGROUND
    depth = boundary.band_width(*truth.shape[1:])
    return Measurements(
        metrics.count(trimaps, found),
        boundary.band_overlap(truth, found, depth),
        boundary.f_scores(truth, found),
        calibration.gaps(trimaps, probabilities),
        calibration.squared_errors(trimaps, probabilities),
        thresholds.histogram(trimaps, probabilities),
    )


def concatenate(parts: list[Measurements]) -> Measurements:
    """Return the photos of all parts as one."""

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return Measurements(
        joined("counts"),
        joined("bands"),
        joined("f_scores"),
        joined("gaps"),
        joined("squared_errors"),
        np.sum([part.histogram for part in parts], axis=0),
    )


def values(sums: Rows, n: int) -> dict[str, Value]:
    """Return every metric from sums over n photos, a row of `Measured.rows` added up each."""
    ends = np.cumsum([calibration.BINS, len(boundary.TOLERANCES)])
    gaps, f_scores, added = np.split(sums, ends, axis=1)
    found = metrics.from_sums(added, n)
    for tolerance, column in zip(boundary.TOLERANCES, f_scores.T, strict=True):
        found.setdefault(f"boundary_f_{tolerance}px", column / n)
    pixels = added[:, : len(metrics.COLUMNS)].sum(axis=1)
    found["calibration_error"] = calibration.expected_error(gaps, pixels)
    return found


def scores(measured: Measurements) -> list[Score]:
    """Return every metric with its interval, 4 decimals."""
    rows, n = measured.rows(), len(measured.counts)
    exact = values(rows.sum(axis=0, keepdims=True), n)
    resampled = bootstrap.resampled_sums(rows, np.random.default_rng(bootstrap.SEED))
    found = []
    for name, samples in values(resampled, n).items():
        ends = bootstrap.interval(np.asarray(samples))
        found.append(
            Score(name, *(round(end, 4) for end in (np.asarray(exact[name]).item(), *ends)))
        )
    return found
