"""Boundary scores against masks worked by hand, and against their definitions pixel by pixel."""

import itertools

import numpy as np
import pytest

from petseg.evaluation import boundary


def square(size: int, top: int, left: int, side: int) -> np.ndarray:
    """Return one square mask as a batch of one."""
    mask = np.zeros((1, size, size), bool)
    mask[0, top : top + side, left : left + side] = True
    return mask


def noise(seed: int, n: int = 6, size: int = 12) -> np.ndarray:
    """Return random blotches."""
    rng = np.random.default_rng(seed)
    return rng.random((n, size, size)) < rng.random((n, 1, 1))


def test_the_band_is_two_percent_of_the_diagonal_deep_and_at_least_a_pixel() -> None:
    assert boundary.band_width(128, 128) == 4  # 0.02 · 181 = 3.6
    assert boundary.band_width(8, 8) == 1


def test_boundary_iou_of_a_square_moved_by_a_pixel() -> None:
    # The bands of a 4×4 square, 1 deep, have 12 pixels each. Moved right by one, 3 + 3 pixels of the
    # top and bottom rows coincide. Of the left and right columns none do: they meet inner pixels.
    overlap = boundary.band_overlap(square(10, 3, 3, 4), square(10, 3, 4, 4), 1)
    assert overlap.tolist() == [[6, 18]]


def test_the_frame_of_the_image_is_an_outline_of_the_band() -> None:
    everything = np.ones((1, 5, 5), bool)
    assert np.count_nonzero(boundary.band(everything, 1)) == 16
    assert np.count_nonzero(boundary.band(everything, 2)) == 24


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_the_band_has_the_mask_pixels_with_background_in_their_square(depth: int) -> None:
    masks = noise(depth)
    size = masks.shape[1]
    padded = np.pad(masks, ((0, 0), (depth, depth), (depth, depth)))
    expected = np.zeros_like(masks)
    for n, y, x in itertools.product(range(len(masks)), range(size), range(size)):
        around = padded[n, y : y + 2 * depth + 1, x : x + 2 * depth + 1]
        expected[n, y, x] = masks[n, y, x] and not around.all()
    assert (boundary.band(masks, depth) == expected).all()


def outline_pixels(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return the pixels of a mask with a neighbour in the image that is background."""
    inside = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    image = set(itertools.product(range(mask.shape[0]), range(mask.shape[1])))
    neighbours = ((0, 1), (0, -1), (1, 0), (-1, 0))
    return [
        (y, x)
        for y, x in inside
        if any((y + down, x + right) in image - inside for down, right in neighbours)
    ]


def share_near(pixels: list[tuple[int, int]], others: list[tuple[int, int]], reach: int) -> float:
    """Return which share of the pixels has one of the others within the reach."""
    near = [any(np.hypot(y - v, x - u) <= reach for v, u in others) for y, x in pixels]
    return sum(near) / len(near) if near else 0.0


def test_the_f_score_is_what_its_definition_says() -> None:
    truth, predictions = noise(1), noise(2)
    truth[4], truth[5], predictions[5] = False, False, False
    scores = boundary.f_scores(truth, predictions)
    for n, (true, predicted) in enumerate(zip(truth, predictions, strict=True)):
        outlines = outline_pixels(true), outline_pixels(predicted)
        for column, reach in enumerate(boundary.TOLERANCES):
            recall = share_near(*outlines, reach)
            precision = share_near(*outlines[::-1], reach)
            expected = 2 * precision * recall / max(1e-9, precision + recall)
            if not any(outlines):
                expected = 1.0
            assert scores[n, column] == pytest.approx(expected)
    assert scores[4].tolist() == [0, 0, 0]
    assert scores[5].tolist() == [1, 1, 1]


def test_a_square_moved_by_two_pixels_is_right_at_two_pixels_tolerance() -> None:
    # At a tolerance of one pixel the far side and its neighbours, of 12 outline pixels, are missed.
    one, two, three = boundary.f_scores(square(12, 3, 3, 4), square(12, 3, 5, 4))[0]
    assert one < 1
    assert two == three == 1
