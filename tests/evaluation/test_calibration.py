"""Calibration by hand: one bin over-confident, one right."""

import numpy as np
import pytest

from petseg.evaluation import calibration, thresholds

# Four pixels, of which one is pet, have a fifth (51/255); two, of which one is border, have 255/255.
TRIMAPS = np.array([[[1, 2, 2, 2, 3, 2]]], np.uint8)
PROBABILITIES = np.array([[[51, 51, 51, 51, 255, 255]]], np.uint8)


def test_the_expected_error_weighs_each_bins_gap_by_its_pixels() -> None:
    gaps = calibration.gaps(TRIMAPS, PROBABILITIES)
    assert gaps.shape == (1, calibration.BINS)
    assert gaps[0, 3] == pytest.approx(4 * 0.2 - 1)
    assert gaps[0, 14] == pytest.approx(2 - 1)
    # (|0.8 - 1| + |2 - 1|) / 6
    assert float(calibration.expected_error(gaps[0], 6.0)) == pytest.approx(0.2)


def test_gaps_of_opposite_photos_cancel_in_a_bin() -> None:
    trimaps = np.array([[[1, 1]], [[2, 2]]], np.uint8)
    probabilities = np.full((2, 1, 2), 128, np.uint8)
    total = calibration.gaps(trimaps, probabilities).sum(axis=0)
    assert float(calibration.expected_error(total, 4.0)) == pytest.approx(128 / 255 - 0.5)


def test_the_brier_score_adds_up_squares() -> None:
    squares = calibration.squared_errors(TRIMAPS, PROBABILITIES)
    assert squares[0] == pytest.approx(0.8**2 + 3 * 0.2**2 + 0 + 1, abs=1e-6)


def test_the_diagram_has_the_bins_that_have_pixels() -> None:
    rows = calibration.reliability(thresholds.histogram(TRIMAPS, PROBABILITIES))
    assert rows == [(0.2, 0.2667, 4, 0.2, 0.25), (0.9333, 1.0, 2, 1.0, 0.5)]
