"""Splits: the official test list, validation photos by breed, and no photo in two splits."""

import pytest

from petseg.data import splits
from petseg.data.archives import Entry
from petseg.errors import UserError


def photos(breed: str, count: int) -> list[Entry]:
    """Return the entries of some photos of a breed."""
    return [Entry(f"{breed}_{number}", 1, 1, 1) for number in range(count)]


def test_every_breed_gives_the_same_share_to_validation() -> None:
    sample = splits.sample_by_breed(photos("a", 100) + photos("b", 50), 0.1, seed=1)
    assert sum(name.startswith("a_") for name in sample) == 10
    assert sum(name.startswith("b_") for name in sample) == 5


def test_at_least_one_photo_of_a_breed_is_trained_on() -> None:
    assert splits.sample_by_breed(photos("a", 1), 0.5, seed=1) == set()
    assert len(splits.sample_by_breed(photos("a", 2), 0.9, seed=1)) == 1


def test_the_seed_determines_the_sample_and_a_new_photo_changes_at_most_one() -> None:
    sample = splits.sample_by_breed(photos("a", 40), 0.25, seed=1)
    assert sample == splits.sample_by_breed(photos("a", 40)[::-1], 0.25, seed=1)
    assert sample != splits.sample_by_breed(photos("a", 40), 0.25, seed=2)
    assert len(sample - splits.sample_by_breed(photos("a", 41), 0.25, seed=1)) <= 1


def test_the_test_list_is_the_test_split() -> None:
    split_by_name = splits.assign_splits(photos("a", 10), photos("b", 3), 0.2, seed=1)
    assert sorted(split_by_name.values()) == ["test"] * 3 + ["train"] * 8 + ["val"] * 2


def test_a_photo_in_two_splits_is_refused() -> None:
    with pytest.raises(UserError, match="a_0 is in both train and test"):
        splits.check_disjoint({"train": ["a_0", "a_1"], "test": ["a_0"]})
