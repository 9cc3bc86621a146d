"""Photo and trimap moved together: by hand, and against photos whose trimap can be seen."""

from typing import Any

import numpy as np
import pytest

from petseg.model import backend

NOTHING: dict[str, Any] = {"flip": False, "crop": 1, "colour": 0}
TRANSFORMS = [
    {"flip": True},
    {"crop": 0.4},
    {"colour": 0.5},
    {"flip": True, "crop": 0.4, "colour": 0.5},
]


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.start(seed=1)


def blobs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Photos that show their trimap: pet is light red, background dark blue; no two are alike."""
    rng = np.random.default_rng(0)
    pet = np.zeros((count, 40, 40), bool)
    for row in range(count):
        for _ in range(3):
            y, x = rng.integers(0, 30, 2)
            pet[row, y : y + 12, x : x + 7] = True
    photos = np.where(pet[..., None], [200, 120, 100], [20, 40, 120]).astype(np.uint8)
    return photos, np.where(pet, 1, 2).astype(np.uint8)


def inside(pet: np.ndarray) -> np.ndarray:
    """Return where all eight neighbours are of the same class."""
    rolled = [np.roll(pet, (y, x), (1, 2)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    same: np.ndarray = np.all([one == pet for one in rolled], axis=0)
    same[:, [0, -1]] = same[:, :, [0, -1]] = False
    return same


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_what_the_photo_shows_and_what_the_trimap_says_stay_the_same(
    transform: dict[str, Any],
) -> None:
    from petseg.training import augment

    before = blobs(64)
    draws = augment.draw_transforms(np.random.default_rng(2), 64, **NOTHING | transform)
    photos, trimaps = augment.apply_transforms(*before, draws)
    assert photos.dtype == trimaps.dtype == np.uint8
    shown = photos[..., 0] > photos[..., 2]  # red against blue
    agree = shown == (trimaps == 1)
    assert agree[inside(trimaps == 1)].all()
    assert agree.mean() > 0.99  # a pixel between the two is either's
    moved = (trimaps != before[1]).any(axis=(1, 2)).sum()
    expected = {"flip": 32, "crop": 64, "colour": 0}
    assert abs(moved - max(expected[name] for name in transform)) <= 12
    assert (photos != before[0]).any()


def test_without_a_transform_every_byte_stays() -> None:
    from petseg.training import augment

    before = blobs(8)
    after = augment.apply_transforms(
        *before, augment.draw_transforms(np.random.default_rng(1), 8, **NOTHING)
    )
    assert [(a == b).all() for a, b in zip(before, after, strict=True)] == [True, True]


def made(photo: list[Any], box: list[float], colours: list[float]) -> tuple[Any, Any]:
    """Return a row of a photo of equal rows, and of its trimap of classes 1, 2, 3 …, augmented."""
    from petseg.training import augment

    size = len(photo)
    photos = np.array([[photo] * size], np.uint8)
    trimaps = np.tile(np.arange(1, size + 1, dtype=np.uint8), (1, size, 1))
    draws = augment.Transforms(np.array([box], float), np.array([colours], float))
    photos, trimaps = augment.apply_transforms(photos, trimaps, draws)
    return photos[0, 0].tolist(), trimaps[0, 0].tolist()


def test_a_crop_by_hand() -> None:
    row = [[0] * 3, [100] * 3, [200] * 3]
    # the right half, from the middle of the second pixel on: at 1, 1.5 and 2
    photo, classes = made(row, [0, 0.5, 0, 1], [1, 1, 1])
    assert photo == [[100] * 3, [150] * 3, [200] * 3]
    assert (classes[0], classes[2]) == (2, 3)
    # mirrored: left and right changed places
    assert made(row, [0, 1, 0, 0], [1, 1, 1]) == (row[::-1], [3, 2, 1])


def test_colours_by_hand() -> None:
    whole = [0.0, 0, 0, 1]
    row = [[100, 50, 0], [100, 50, 0]]
    assert made(row, whole, [1.5, 1, 1])[0] == [[150, 75, 0]] * 2
    # grey is 0.2989 · 100 + 0.587 · 50 + 0.114 · 0 = 59.24
    assert made(row, whole, [1, 1, 0])[0] == [[59] * 3] * 2
    # around the mean grey of 100: half as far from it; too light is white
    assert made([[50] * 3, [150] * 3], whole, [1, 0.5, 1])[0] == [[75] * 3, [125] * 3]
    assert made([[50] * 3, [250] * 3], whole, [2, 1, 1])[0] == [[100] * 3, [255] * 3]


def test_draws_keep_to_their_limits_and_depend_on_the_seed_alone() -> None:
    from petseg.training import augment

    draws, again, other = (
        augment.draw_transforms(np.random.default_rng(seed), 1000, flip=True, crop=0.6, colour=0.3)
        for seed in (1, 1, 2)
    )
    top, left, bottom, right = draws.boxes.T
    sides = np.concatenate([bottom - top, np.abs(right - left)])
    assert 0.6 <= sides.min() < 0.62 < 0.98 < sides.max() <= 1
    assert 0 <= draws.boxes.min() < draws.boxes.max() <= 1
    assert 400 < (left > right).sum() < 600
    assert 0.7 <= draws.colours.min() < 0.71 < 1.29 < draws.colours.max() <= 1.3
    assert (draws.boxes == again.boxes).all()
    assert (draws.boxes != other.boxes).any()
