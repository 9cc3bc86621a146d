"""Slices: the facts of a trimap, and the photos of each slice."""

import numpy as np

from petseg.data.arrays import Photo
from petseg.evaluation import slices

KINDS = ("species", "breed")


def photo(name: str, breed: str, species: str) -> Photo:
    return Photo(name, species, breed, 10, 10, "", "")


def trimaps() -> np.ndarray:
    """Return four trimaps: an animal in the middle, one at the frame, only border, only background."""
    result = np.full((4, 6, 6), 2, np.uint8)
    result[0, 2:4, 2:4] = 1
    result[1, 0:5, 1:5] = 1
    result[2, 2, 2:5] = 3
    return result


INDEX = [
    photo(*row)
    for row in zip("abcd", ("x", "y", "x", "x"), ("cat", "dog", "cat", "cat"), strict=True)
]


def test_a_trimap_gives_the_animals_size_whether_the_frame_cuts_it_and_whether_it_is_empty() -> (
    None
):
    stats = slices.trimap_stats(trimaps())
    assert (stats.share * 36).round().tolist() == [4, 20, 3, 0]
    assert stats.at_frame.tolist() == [False, True, False, False]
    assert stats.without_foreground.tolist() == [False, False, True, True]


def test_the_members_of_every_slice() -> None:
    names = {
        (kind, name.partition(",")[0]): "".join(
            row.name for row, chosen in zip(INDEX, in_slice, strict=True) if chosen
        )
        for kind, name, in_slice in slices.members(INDEX, KINDS, slices.trimap_stats(trimaps()))
    }
    assert names == {
        ("species", "cat"): "acd",
        ("species", "dog"): "b",
        ("breed", "x"): "acd",
        ("breed", "y"): "b",
        ("object size", "small"): "d",
        ("object size", "medium"): "c",
        ("object size", "large"): "ab",
        ("frame", "touched by the foreground"): "b",
        ("frame", "not touched"): "acd",
        ("trimap", "without foreground"): "cd",
        ("trimap", "with foreground"): "ab",
    }


def test_photos_of_one_breed_have_no_slice_by_breed() -> None:
    one_breed = [photo(name, "x", "cat") for name in "abcd"]
    kinds = {
        kind for kind, _, _ in slices.members(one_breed, KINDS, slices.trimap_stats(trimaps()))
    }
    assert kinds == {"object size", "frame", "trimap"}


def test_a_slices_iou_is_over_its_pixels_and_lies_in_its_interval() -> None:
    counts = np.array(
        [[9, 0, 0, 0, 1, 26], [0, 1, 0, 0, 0, 35], [4, 0, 0, 0, 0, 32], [0, 0, 0, 0, 0, 36]]
    )
    by_title = {
        item.title: item
        for item in slices.slices(INDEX, KINDS, slices.trimap_stats(trimaps()), counts)
    }
    cats = by_title["species cat"]
    assert (cats.photos, cats.iou) == (3, round(13 / 14, 4))
    assert cats.low <= cats.iou <= cats.high
    dogs = by_title["species dog"]
    assert (dogs.iou, dogs.low, dogs.high) == (0, 0, 0)


def test_a_slice_of_few_photos_is_never_the_worst() -> None:
    few, worse, better = (
        slices.Slice("breed", name, photos, iou, 0, 1)
        for name, photos, iou in (("a", 9, 0.1), ("b", 10, 0.5), ("c", 40, 0.9))
    )
    assert slices.worst([few, better, worse]) == worse
    assert slices.worst([few]) is None
