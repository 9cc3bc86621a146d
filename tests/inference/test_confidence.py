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


def test_the_numbers_by_level_are_those_of_a_mask_from_each_level_on() -> None:
    # Of four pixels one has 255, one 153 and one 51: 1, 0.6 and 0.2 of probability.
    levels = np.array([[255, 153], [51, 0]], np.uint8)
    shares, ious = confidence.by_level(levels)
    assert shares.shape == ious.shape == (256,)
    for level, share, iou in [
        (255, 1 / 4, 1 / 1.8),  # the first pixel, and 0.8 of probability outside
        (154, 1 / 4, 1 / 1.8),
        (153, 2 / 4, 1.6 / 2.2),
        (51, 3 / 4, 1.8 / 3),
        (1, 3 / 4, 1.8 / 3),
        (0, 1, 1.8 / 4),
    ]:
        assert (shares[level], ious[level]) == (share, pytest.approx(iou))


def test_the_numbers_by_level_are_the_expected_iou_of_every_threshold() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (31, 17), np.uint8)
    _, ious = confidence.by_level(levels)
    for level in range(256):
        (expected,) = confidence.expected_iou(levels[None], level / 255)
        assert ious[level] == pytest.approx(expected, abs=1e-12)


def test_of_a_photo_without_any_probability_every_empty_mask_is_right() -> None:
    shares, ious = confidence.by_level(np.zeros((2, 2), np.uint8))
    assert (shares[0], ious[0]) == (1, 0)  # at level 0 the mask is everything
    assert shares[1:].tolist() == [0] * 255
    assert ious[1:].tolist() == [1] * 255
