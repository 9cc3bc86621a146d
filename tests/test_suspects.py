"""Suspects: labels that the model contradicts, and photos that are in two splits."""

import io

import numpy as np
from PIL import Image

from petseg.data.arrays import Photo, Split
from petseg.evaluation import label_issues
from petseg.evaluation.label_issues import Reason


def photo(name: str) -> Photo:
    return Photo(name, "x", "cat", 10, 10, "", "")


def split(names: str, photos: np.ndarray) -> Split:
    """Return a split of these photos."""
    return Split(photos, np.ones(photos.shape[:3], np.uint8), [photo(name) for name in names])


def scenes(seed: int, n: int, size: int = 64) -> np.ndarray:
    """Return photos of soft random blobs."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    images = [
        Image.fromarray(each).resize((size, size), Image.Resampling.BICUBIC) for each in small
    ]
    return np.stack([np.asarray(image) for image in images])


def compressed(picture: np.ndarray) -> np.ndarray:
    """Return a picture after a JPEG of low quality, and a little brighter."""
    buffer = io.BytesIO()
    Image.fromarray(np.clip(picture.astype(int) + 9, 0, 255).astype(np.uint8)).save(
        buffer, "JPEG", quality=40
    )
    return np.asarray(Image.open(buffer))


def test_disagreement_is_the_share_of_sure_and_wrong_pixels() -> None:
    trimaps = np.array([[[1, 1, 1, 3, 2, 2]]], np.uint8)
    found = np.array([[[255, 0, 100, 0, 255, 128]]], np.uint8)
    # sure and wrong: the second and the fifth; pet for either: the first three and the last two
    assert label_issues.disagreement(trimaps, found).tolist() == [2 / 5]


def test_an_inverted_trimap_is_found_and_a_doubtful_one_is_not() -> None:
    index = [photo(name) for name in "abc"]
    empty, shares = np.array([True, False, False]), np.array([0.9, 0.8, 0.4])
    (found,) = label_issues.contradicted(index, empty, shares)
    assert (found.name, found.reason, found.score) == ("b", Reason.DISAGREEMENT, 0.8)


def test_an_empty_trimap_is_found_in_any_split_also_with_a_border() -> None:
    three = split("abc", np.zeros((3, 4, 4, 3), np.uint8))
    three.trimaps[1], three.trimaps[2] = 2, 3
    (second, third) = label_issues.empty("train", three)
    assert (second.name, third.name) == ("b", "c")
    assert second.split == "train"
    assert second.reason == Reason.WITHOUT_PET


def test_a_photo_that_was_compressed_again_is_found_in_another_split() -> None:
    train, test = scenes(1, 40), scenes(2, 40)
    test[7] = compressed(train[11])
    sides = [
        label_issues.hashed(name, split("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN", photos))
        for name, photos in (("train", train), ("test", test))
    ]
    (twin,) = label_issues.duplicates(sides)
    assert (twin.name, twin.split, twin.reason) == ("h", "test", Reason.DUPLICATE)
    assert twin.detail.startswith("l in train, ")


def test_photos_without_contrast_are_no_twins() -> None:
    flat = np.full((2, 32, 32, 3), 128, np.uint8)
    flat[1] += 1
    sides = [label_issues.hashed(name, split("ab", flat)) for name in ("train", "test")]
    assert list(label_issues.duplicates(sides)) == []


def test_the_ranking_is_by_reason_then_by_score() -> None:
    rows = [
        label_issues.Suspect(name, "test", "x", reason, score, "")
        for name, reason, score in (
            ("a", Reason.DUPLICATE, 0.9),
            ("b", Reason.DISAGREEMENT, 0.6),
            ("c", Reason.DISAGREEMENT, 0.7),
            ("d", Reason.WITHOUT_PET, 1.0),
        )
    ]
    assert [each.name for each in label_issues.ranked(rows)] == ["d", "c", "b", "a"]
