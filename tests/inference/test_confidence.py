"""The IoU that probabilities let expect of a mask, worked by hand."""

import numpy as np
import pytest

from petseg.inference import confidence


def test_the_expected_iou_is_the_expected_intersection_over_the_expected_union() -> None:
    # At a threshold of 0.5 the mask has 255 and 153. Inside lie 1 + 0.6 of probability, and the
    # union is the two pixels of the mask and the probability outside, 0.2: 1.6 / 2.2.
    levels = np.array([[[255, 153], [51, 0]]], np.uint8)
    assert confidence.expected_iou(levels, 0.5).tolist() == [pytest.approx(1.6 / 2.2)]
    # At 0.7 only the first pixel is in the mask: 1 / (1 + 0.6 + 0.2).
    assert confidence.expected_iou(levels, 0.7).tolist() == [pytest.approx(1 / 1.8)]


def test_the_threshold_itself_is_in_the_mask() -> None:
    levels = np.array([[[51, 50]]], np.uint8)  # 0.2 and a little less
    assert confidence.expected_iou(levels, 0.2).tolist() == [pytest.approx(51 / (255 + 50))]


def test_certain_masks_empty_ones_and_those_of_a_photo_each() -> None:
    nothing, everything = np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)
    doubtful = np.array([[0, 0], [0, 100]], np.uint8)  # an empty mask, but not a certain one
    levels = np.stack([nothing, everything, doubtful])
    assert confidence.expected_iou(levels, 0.5).tolist() == [1, 1, 0]


def test_a_large_photo_does_not_overflow() -> None:
    # 4,200 · 4,200 pixels of 255 are more than 32 bits hold.
    levels = np.full((1, 4200, 4200), 255, np.uint8)
    assert confidence.expected_iou(levels, 0.5).tolist() == [1]
