"""What is measured on a padded photo: its content, as if there were no bars."""

from dataclasses import asdict

import numpy as np

from petseg.data.arrays import Photo, Split
from petseg.data.frame import Frame
from petseg.data.labels import BACKGROUND, FOREGROUND, IGNORED
from petseg.evaluation import label_issues, scores, slices
from petseg.evaluation.test_set import measure_test_set

PAD = Frame("pad", 32)


def padded(content: np.ndarray, filling: int) -> np.ndarray:
    """Return a wide picture in its frame, as the only row of an array."""
    return PAD.place(content, filling)[None]


def test_the_bars_of_a_padded_photo_change_no_number() -> None:
    rng = np.random.default_rng(0)
    trimap = np.full((8, 32), BACKGROUND, np.uint8)
    trimap[:, 10:16] = FOREGROUND  # from the upper to the lower edge
    levels = rng.integers(0, 256, trimap.shape, np.uint8)
    index = [Photo("wide", "", "", 128, 32, "", "")]
    photos = padded(rng.integers(0, 256, (8, 32, 3), np.uint8), 128)
    test = Split(photos, padded(trimap, IGNORED), index, PAD)
    native = np.array([[3, 4, 1, 2]])
    measured, stats, _ = measure_test_set(test, padded(levels, 200), native, 0.5)
    expected = scores.measure(trimap[None], levels[None], native, 0.5)
    for name, value in asdict(expected).items():
        np.testing.assert_array_equal(getattr(measured, name), value, err_msg=name)
    assert stats.share == slices.trimap_stats(trimap[None]).share == 6 / 32
    assert stats.at_frame.all()


def test_wide_padded_photos_that_look_alike_are_found() -> None:
    content = np.random.default_rng(1).integers(0, 256, (4, 32, 3), np.uint8)
    splits = []
    for name in ("train", "test"):
        index = [Photo(name, "", "", 256, 32, "", "")]
        split = Split(padded(content, 128), padded(content[..., 0], IGNORED), index, PAD)
        splits.append(label_issues.hash_split(name, split))
    (issue,) = label_issues.duplicates(splits)
    assert issue.name == "test"
