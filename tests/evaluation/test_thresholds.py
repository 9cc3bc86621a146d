"""Thresholds: histograms by hand, and the best one on a split."""

import numpy as np
import pytest

from petseg.data import labels, quantisation
from petseg.evaluation import metrics, thresholds

TRIMAPS = np.array([[[1, 3, 2, 2]]], np.uint8)
PROBABILITIES = np.array([[[255, 100, 100, 0]]], np.uint8)


def test_a_sweep_counts_as_the_mask_at_each_threshold_does() -> None:
    rng = np.random.default_rng(0)
    trimaps = rng.integers(1, 4, (3, 8, 8), dtype=np.uint8)
    probabilities = rng.integers(0, 256, (3, 8, 8), dtype=np.uint8)
    counts_by_level = thresholds.sweep(thresholds.histogram(trimaps, probabilities))
    for level in (0, 1, 100, 255):
        counts = metrics.count(trimaps, probabilities >= level).sum(axis=0)
        assert counts_by_level[level].tolist() == counts.tolist()


@pytest.mark.parametrize(
    ("border", "at_100", "at_101"),
    [("foreground", 2 / 3, 1 / 2), ("background", 1 / 3, 1.0), ("ignored", 1 / 2, 1.0)],
)
def test_iou_by_threshold_under_each_border_policy(
    border: labels.Border, at_100: float, at_101: float
) -> None:
    ious = thresholds.iou_by_level(thresholds.histogram(TRIMAPS, PROBABILITIES), border)
    assert (ious[100], ious[101]) == (pytest.approx(at_100), at_101)


def test_the_best_threshold_is_the_middle_of_those_that_are_as_good() -> None:
    # With the border as background, all thresholds from 101/255 to 255/255 are right.
    assert (
        thresholds.best_threshold(thresholds.histogram(TRIMAPS, PROBABILITIES), "background")
        == 0.698
    )  # 178/255
    certain = np.where(TRIMAPS == 2, 0, 255).astype(np.uint8)
    assert (
        thresholds.best_threshold(thresholds.histogram(TRIMAPS, certain), "foreground") == 0.5019
    )  # 128/255


def test_a_level_written_as_a_threshold_is_read_as_the_same_level() -> None:
    levels = range(quantisation.LEVELS)
    assert [
        quantisation.min_level(quantisation.level_threshold(level)) for level in levels
    ] == list(levels)
