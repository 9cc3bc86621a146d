"""From the network's size to the photo's: bilinear by hand, and edges that follow the photo's."""

import numpy as np
import pytest
from PIL import Image

from petseg.evaluation import boundary
from petseg.inference import masks, refine


def no_photo() -> Image.Image:
    """Stand for a photo that must not be read."""
    raise AssertionError("the photo was read")


def test_a_photo_of_the_networks_size_gets_the_probabilities_as_they_are() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    assert (masks.at_photo_size(levels, (8, 8), "none", no_photo) == levels).all()


def test_probabilities_are_enlarged_bilinearly() -> None:
    # The 4 columns lie at −1/4, 1/4, 3/4 and 5/4 of the way from the first of the 2 columns to the
    # second, and what lies beyond a column has its value. The rows are alike: row 2 is 3/4 of row 1
    # and 1/4 of row 4.
    levels = np.array([[0, 160], [80, 32]], np.uint8)
    assert masks.at_photo_size(levels, (4, 4), "none", no_photo).tolist() == [
        [0, 40, 120, 160],
        [20, 47, 101, 128],
        [60, 61, 63, 64],
        [80, 68, 44, 32],
    ]


def test_the_size_is_width_by_height() -> None:
    levels = np.array([[0, 100], [0, 100]], np.uint8)
    enlarged = masks.at_photo_size(levels, (4, 2), "none", no_photo)
    assert enlarged.tolist() == [[0, 25, 75, 100]] * 2


def test_a_photo_smaller_than_the_input_gets_the_mean_and_not_every_second_pixel() -> None:
    levels = np.tile(np.array([0, 200], np.uint8), (8, 4))
    reduced = masks.at_photo_size(levels, (1, 1), "none", no_photo)
    assert reduced.tolist() == [[100]]


def test_the_mask_has_the_pixels_that_reach_the_threshold() -> None:
    levels = np.array([[127, 128, 0, 255]], np.uint8)
    assert masks.mask(levels, 0.5).tolist() == [[False, True, False, True]]  # 0.5 · 255 = 127.5
    assert masks.mask(levels, 127 / 255).tolist() == [[True, True, False, True]]
    assert masks.mask(levels, 0).all()


def step_edge(column: int, size: int = 64, low: int = 40, high: int = 210) -> Image.Image:
    """Return a photo that is dark left of a column and bright from it on."""
    pixels = np.full((size, size, 3), low, np.uint8)
    pixels[:, column:] = high
    return Image.fromarray(pixels)


def edge_columns(mask: np.ndarray) -> np.ndarray:
    """Return the first column of the mask in each row."""
    return np.asarray(mask.argmax(axis=1))


@pytest.mark.parametrize("column", [30, 35])
def test_guided_edges_are_nearer_to_those_of_the_photo(column: int) -> None:
    # Of 16 columns the right 8 are foreground: enlarged, the edge lies at column 32 of 64.
    levels = np.zeros((16, 16), np.uint8)
    levels[:, 8:] = 255
    photo = step_edge(column)
    plain = masks.mask(masks.at_photo_size(levels, (64, 64), "none", no_photo), 0.5)
    guided = masks.mask(masks.at_photo_size(levels, (64, 64), "guided", lambda: photo), 0.5)
    assert (edge_columns(plain) == 32).all()
    assert (np.abs(edge_columns(guided) - column) < np.abs(32 - column)).all()

    truth = np.asarray(photo.convert("L")) > 100
    depth = boundary.band_width(64, 64)
    overlap = [boundary.band_overlap(truth[None], mask[None], depth)[0] for mask in (plain, guided)]
    (before, after) = (intersection / union for intersection, union in overlap)
    assert after > before


def test_without_an_edge_in_the_photo_the_mask_stays_where_it_was() -> None:
    levels = np.zeros((16, 16), np.uint8)
    levels[:, 8:] = 255
    plain_photo = Image.new("RGB", (64, 64), (120, 120, 120))
    guided = masks.mask(refine.guided(levels, plain_photo), 0.5)
    assert (edge_columns(guided) == 32).all()


@pytest.mark.parametrize("size", [(40, 24), (17, 90), (1, 1), (3, 300)])
def test_guided_probabilities_have_the_photos_size_whatever_its_shape(
    size: tuple[int, int],
) -> None:
    levels = np.full((16, 16), 255, np.uint8)
    photo = Image.effect_noise(size, 80).convert("RGB")
    refined = refine.guided(levels, photo)
    assert refined.shape == size[::-1]
    assert refined.min() >= 254  # where all is foreground, an edge of the photo is none of the mask


def test_the_mean_over_a_window_leaves_out_what_lies_beyond_the_image() -> None:
    grid = np.array([[1, 2, 6], [3, 4, 8]], np.float32)
    # A window of ±1: at the corner 1, 2, 3, 4; in the middle of the row all six.
    assert refine.box_mean(grid, 1).tolist() == [[2.5, 4, 5], [2.5, 4, 5]]


def test_where_target_and_guide_are_the_same_the_slope_is_nearly_one() -> None:
    guide = np.tile(np.array([0, 1], np.float32), (8, 4))
    slope, offset = refine.coefficients(guide, guide, 2)
    # The variance in a window is about 1/4, and ε = 0.001: 0.25 / 0.251.
    assert slope == pytest.approx(0.996, abs=0.001)
    assert np.abs(slope * guide + offset - guide).max() < 0.01
