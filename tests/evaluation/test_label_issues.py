"""Label issues: trimaps that the model contradicts, and photos that are in two splits."""

import io

import numpy as np
from PIL import Image

from petseg.data.arrays import Photo, Split
from petseg.data.frame import Frame
from petseg.evaluation import label_issues
from petseg.evaluation.label_issues import Reason


def photo(name: str) -> Photo:
    return Photo(name, "x", "cat", 10, 10, "", "")


def split(names: str, photos: np.ndarray) -> Split:
    """Return a split of these photos."""
    index = [photo(name) for name in names]
    trimaps = np.ones(photos.shape[:3], np.uint8)
    return Split(photos, trimaps, index, Frame("squash", photos.shape[1]))


def scenes(seed: int, n: int, size: int = 64) -> np.ndarray:
    """Return photos of soft random blobs."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    images = [
        Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC) for pixels in small
    ]
    return np.stack([np.asarray(image) for image in images])


def compressed(picture: np.ndarray) -> np.ndarray:
    """Return a picture after a JPEG of low quality, and a little brighter."""
    buffer = io.BytesIO()
    Image.fromarray(np.clip(picture.astype(int) + 9, 0, 255).astype(np.uint8)).save(
        buffer, "JPEG", quality=40
    )
    return np.asarray(Image.open(buffer))


def test_disagreement_is_the_share_of_pixels_of_whose_opposite_the_model_is_sure() -> None:
    trimaps = np.array([[[1, 1, 1, 3, 2, 2]]], np.uint8)
    probabilities = np.array([[[255, 0, 100, 0, 255, 128]]], np.uint8)
    # The model is sure of the opposite at the second and the fifth pixel; the first three and the last
    # two are pet for the trimap or the model.
    assert label_issues.disagreement(trimaps, probabilities).tolist() == [2 / 5]


def test_an_inverted_trimap_is_an_issue_and_a_doubtful_one_is_none() -> None:
    index = [photo(name) for name in "abc"]
    empty, shares = np.array([True, False, False]), np.array([0.9, 0.8, 0.4])
    (issue,) = label_issues.contradicted(index, empty, shares)
    assert (issue.name, issue.reason, issue.score) == ("b", Reason.DISAGREEMENT, 0.8)


def test_a_trimap_without_pet_is_an_issue_in_any_split_even_with_a_border() -> None:
    three = split("abc", np.zeros((3, 4, 4, 3), np.uint8))
    three.trimaps[1][:], three.trimaps[2][:] = 2, 3
    (second, third) = label_issues.without_foreground("train", three)
    assert (second.name, third.name) == ("b", "c")
    assert second.split == "train"
    assert second.reason == Reason.WITHOUT_FOREGROUND


def test_a_photo_that_was_compressed_again_is_recognised_in_another_split() -> None:
    train, test = scenes(1, 40), scenes(2, 40)
    test[7] = compressed(train[11])
    sides = [
        label_issues.hash_split(name, split("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN", photos))
        for name, photos in (("train", train), ("test", test))
    ]
    (twin,) = label_issues.duplicates(sides)
    assert (twin.name, twin.split, twin.reason) == ("h", "test", Reason.DUPLICATE)
    assert twin.detail.startswith("l in train, ")
    assert label_issues.twin_in(twin.detail) == "l"
    assert label_issues.twin_in("a in b, c in val, 9 of 128 bits differ") == "a in b, c"


def test_photos_without_contrast_are_no_twins() -> None:
    flat = np.full((2, 32, 32, 3), 128, np.uint8)
    flat[1] += 1
    sides = [label_issues.hash_split(name, split("ab", flat)) for name in ("train", "test")]
    assert list(label_issues.duplicates(sides)) == []


def test_the_ranking_is_by_reason_then_by_score() -> None:
    rows = [
        label_issues.LabelIssue(name, "test", "x", reason, score, "")
        for name, reason, score in (
            ("a", Reason.DUPLICATE, 0.9),
            ("b", Reason.DISAGREEMENT, 0.6),
            ("c", Reason.DISAGREEMENT, 0.7),
            ("d", Reason.WITHOUT_FOREGROUND, 1.0),
        )
    ]
    assert [issue.name for issue in label_issues.rank(rows)] == ["d", "c", "b", "a"]
