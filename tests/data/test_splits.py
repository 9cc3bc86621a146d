"""Splits: the official test list, validation photos by subgroup.

Without official lists: a draw by the seed that divides no cluster.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
import pytest

from petseg.data import splits
from petseg.data.listing import ListedPhoto
from petseg.data.splits import Candidate
from petseg.errors import UserError


def photos(subgroup: str, count: int) -> dict[str, str]:
    """Return the names of some photos with their subgroup."""
    return {f"{subgroup}_{number}": subgroup for number in range(count)}


def listed(subgroup: str, count: int, split: str) -> list[ListedPhoto]:
    """Return some photos as a list has them."""
    return [ListedPhoto(name, split, subgroup=subgroup) for name in photos(subgroup, count)]


def test_every_subgroup_gives_the_same_share_to_validation() -> None:
    sample = splits.sample_by_subgroup(photos("a", 100) | photos("b", 50), 0.1, seed=1)
    assert sum(name.startswith("a_") for name in sample) == 10
    assert sum(name.startswith("b_") for name in sample) == 5


def test_at_least_one_photo_of_a_subgroup_is_trained_on() -> None:
    assert splits.sample_by_subgroup(photos("a", 1), 0.5, seed=1) == set()
    assert len(splits.sample_by_subgroup(photos("a", 2), 0.9, seed=1)) == 1


def test_the_seed_determines_the_sample_and_a_new_photo_changes_at_most_one() -> None:
    sample = splits.sample_by_subgroup(photos("a", 40), 0.25, seed=1)
    turned = dict(reversed(photos("a", 40).items()))
    assert sample == splits.sample_by_subgroup(turned, 0.25, seed=1)
    assert sample != splits.sample_by_subgroup(photos("a", 40), 0.25, seed=2)
    assert len(sample - splits.sample_by_subgroup(photos("a", 41), 0.25, seed=1)) <= 1


def test_the_test_list_is_the_test_split_and_the_other_list_is_divided() -> None:
    rows = listed("a", 10, "trainval") + listed("b", 3, "test")
    split_by_name = splits.divide_trainval(rows, 0.2, seed=1)
    assert sorted(split_by_name.values()) == ["test"] * 3 + ["train"] * 8 + ["val"] * 2


def candidates(stratum: str, count: int, split: str = "") -> list[Candidate]:
    """Return photos of a stratum, all of different subjects."""
    names = [f"{stratum}_{number}" for number in range(count)]
    return [Candidate(name, stratum, name, split) for name in names]


def subject(name: str, count: int, stratum: str = "", split: str = "") -> list[Candidate]:
    """Return photos that must stay in one split."""
    return [Candidate(f"{name}/{number}", stratum, name, split) for number in range(count)]


def draw(
    photos: Iterable[Candidate], seed: int = 1, test: float = 0.2, val: float = 0.1
) -> dict[str, str]:
    """Return the split of every name."""
    return splits.draw_splits(photos, test_fraction=test, val_fraction=val, seed=seed)


def counts(split_by_name: dict[str, str], start: str = "") -> tuple[int, int, int]:
    """Return the numbers of photos in train, val and test whose names start like this."""
    counter = Counter(split for name, split in split_by_name.items() if name.startswith(start))
    return counter["train"], counter["val"], counter["test"]


def random_photos(seed: int) -> list[Candidate]:
    """Return 40 to 300 photos of subjects with 1 to 6 photos in strata of any size."""
    rng = random.Random(seed)
    photos: list[Candidate] = []
    for number in range(rng.randrange(20, 80)):
        stratum = rng.choice("aaaaabbbc") + rng.choice(["", "", str(rng.randrange(20))])
        photos += subject(f"{number:02}", rng.choice([1, 1, 1, 2, 6]), stratum)
    return photos


def test_every_stratum_gives_the_same_shares_and_val_is_a_share_of_what_test_leaves() -> None:
    drawn = draw(candidates("a", 100) + candidates("b", 50))
    assert counts(drawn, "a") == (72, 8, 20)
    assert counts(drawn, "b") == (36, 4, 10)


@pytest.mark.parametrize("seed", range(60))
def test_no_cluster_is_divided_and_no_split_is_empty(seed: int) -> None:
    photos = random_photos(seed)
    drawn = draw(photos, seed)
    assert drawn.keys() == {photo.name for photo in photos}
    splits_of_cluster = defaultdict(set)
    for photo in photos:
        splits_of_cluster[photo.cluster].add(drawn[photo.name])
    assert {len(names) for names in splits_of_cluster.values()} == {1}
    assert all(counts(drawn))


@pytest.mark.parametrize("seed", range(60))
def test_the_shares_are_met_though_clusters_are_not_divided(seed: int) -> None:
    photos = random_photos(seed)
    _, val, test = counts(draw(photos, seed))
    # A cluster has 6 photos at most: 3 too many or too few for each of at most 3 large strata, and
    # for the small ones.
    assert abs(test - 0.2 * len(photos)) <= 12
    assert abs(val - 0.1 * (len(photos) - test)) <= 12


@pytest.mark.parametrize("seed", range(30))
def test_the_order_of_the_photos_does_not_matter(seed: int) -> None:
    photos = random_photos(seed)
    drawn = draw(photos, seed)
    random.Random(seed).shuffle(photos)
    assert draw(photos, seed) == drawn
    assert draw(photos, seed + 1) != drawn


@pytest.mark.parametrize("seed", range(60))
def test_one_more_photo_moves_few_others(seed: int) -> None:
    before = draw(candidates("a", 100) + candidates("b", 100), seed)
    after = draw(candidates("a", 101) + candidates("b", 100), seed)
    # It may take a place in test or val itself, or raise their numbers: one photo goes to or comes
    # from train, one goes between val and test.
    assert sum(after[name] != split for name, split in before.items()) <= 2


@pytest.mark.parametrize("seed", range(60))
def test_one_more_photo_of_a_subject_moves_few_other_subjects(seed: int) -> None:
    photos = [photo for n in range(100) for photo in subject(f"{n:02}", 1 + n % 4)]
    more = [*photos, Candidate("50/9", "", "50", "")]
    before, after = draw(photos, seed), draw(more, seed)
    changed = {photo.cluster for photo in photos if after[photo.name] != before[photo.name]}
    assert len(changed - {"50"}) <= 8


def test_the_place_of_a_subject_in_the_draw_stays_when_it_gets_more_photos() -> None:
    (few,), (more,) = splits.group(subject("a", 1), 1), splits.group(subject("a", 3), 1)
    assert few.rank == more.rank


@pytest.mark.parametrize("seed", range(20))
def test_val_is_drawn_as_from_the_official_lists_if_splits_csv_names_train_and_test(
    seed: int,
) -> None:
    sizes = {"a": 1, "b": 2, "c": 3, "d": 7, "e": 40, "f": 101}
    trainval = [photo for name, size in sizes.items() for photo in candidates(name, size, "train")]
    test = candidates("g", 30, "test")
    entries = [row for name, size in sizes.items() for row in listed(name, size, "trainval")]
    official = splits.divide_trainval(entries + listed("g", 30, "test"), 0.1, seed)
    assert draw(trainval + test, seed) == official


def test_a_fixed_split_stays_and_val_and_test_are_not_drawn_on_top() -> None:
    fixed = candidates("a", 3, "test") + candidates("b", 2, "val") + candidates("c", 4, "train")
    drawn = draw([*fixed, *candidates("d", 100)])
    assert counts(drawn, "d") == (100, 0, 0)
    assert all(drawn[photo.name] == photo.split for photo in fixed)


def test_only_the_split_that_splits_csv_does_not_name_is_drawn() -> None:
    assert counts(draw(candidates("a", 7, "test") + candidates("b", 100)), "b") == (90, 10, 0)
    assert counts(draw(candidates("a", 7, "val") + candidates("b", 100)), "b") == (80, 0, 20)


def test_photos_of_train_in_splits_csv_are_never_test() -> None:
    for seed in range(20):
        drawn = draw(candidates("a", 50, "train") + candidates("b", 50), seed)
        assert counts(drawn, "a")[2] == 0
        assert counts(drawn, "b")[2] == 10
    drawn = draw(candidates("a", 50, "train") + candidates("b", 50) + candidates("c", 5, "val"))
    assert counts(drawn, "a") == (50, 0, 0)


def test_the_rest_of_a_cluster_follows_its_photo_in_splits_csv() -> None:
    for split in splits.SPLITS:
        photos = [*subject("x", 5), Candidate("x/fixed", "", "x", split)]
        others = [photo for name in splits.SPLITS for photo in candidates(name, 9, name)]
        assert set(counts(draw(photos + others), "x")) == {0, 6}
        assert draw(photos + others)["x/0"] == split


@pytest.mark.parametrize(
    ("first", "second", "rest"),
    [("train", "test", "train"), ("val", "test", "val"), ("train", "val", "train")],
)
def test_the_rest_of_a_cluster_that_splits_csv_divides_measures_nothing_new(
    first: str, second: str, rest: str
) -> None:
    photos = [Candidate("x/0", "", "x", second), Candidate("x/1", "", "x", first)]
    drawn = draw([*photos, *subject("x2", 1), Candidate("x/2", "", "x", ""), *candidates("a", 40)])
    assert (drawn["x/0"], drawn["x/1"], drawn["x/2"]) == (second, first, rest)


def test_small_strata_are_drawn_as_one() -> None:
    ones = [photo for n in range(100) for photo in candidates(f"s{n:02}", 1)]
    assert counts(draw(ones)) == (72, 8, 20)
    pairs = [photo for n in range(50) for photo in candidates(f"s{n:02}", 2)]
    assert counts(draw(pairs)) == (72, 8, 20)
    threes = [photo for n in range(50) for photo in candidates(f"s{n:02}", 3)]
    assert counts(draw(threes, test=0.1)) == (121, 14, 15)  # a tenth of 3 is no photo


def test_strata_of_few_large_clusters_are_drawn_as_one() -> None:
    # 10 of 50 photos would be test, which is nearer to none than to a subject of 25.
    photos = [
        photo
        for stratum in "abcdefghij"
        for number in range(2)
        for photo in subject(f"{stratum}{number}", 25, stratum)
    ]
    assert counts(draw(photos)) == (350, 50, 100)


def test_a_single_photo_of_a_stratum_is_trained_on() -> None:
    for seed in range(20):
        assert draw([*candidates("a", 50), *candidates("b", 1)], seed)["b_0"] == "train"


def test_a_cluster_counts_for_the_stratum_of_most_of_its_photos() -> None:
    mixed = [
        Candidate(f"x{cluster}/{number}", stratum, cluster, "")
        for cluster in range(10)
        for number, stratum in enumerate(["b", "a", "b"])
    ]
    # All 30 photos count as b, so 6 of them are test: two clusters.
    assert counts(draw(mixed + candidates("a", 10)), "x")[2] == 6
    assert splits.group(mixed[:3], 1)[0].stratum == "b"
    assert splits.group(mixed[:2], 1)[0].stratum == "a"


@pytest.mark.parametrize("test", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("val", [0.01, 0.5, 0.99])
def test_three_clusters_are_enough_whatever_the_shares(test: float, val: float) -> None:
    for seed in range(10):
        assert counts(draw(candidates("a", 3), seed, test, val)) == (1, 1, 1)
        ones = [*candidates("a", 1), *candidates("b", 1), *candidates("c", 1)]
        assert counts(draw(ones, seed, test, val)) == (1, 1, 1)
        large = [*subject("a", 90), *subject("b", 20), *subject("c", 5)]
        assert all(counts(draw(large, seed, test, val)))


def test_too_few_photos_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"^1 photo cannot be divided into train, val and test; add"
    ):
        draw(candidates("a", 1))
    with pytest.raises(UserError, match=r"^2 photos cannot be divided"):
        draw(candidates("a", 2))
    with pytest.raises(UserError, match=r"^0 photos cannot be divided"):
        draw([])


def test_photos_of_one_or_two_subjects_are_refused() -> None:
    with pytest.raises(UserError, match=r"^40 photos .* leaves 1 of the 3 .* name the split of"):
        draw(subject("a", 40))
    with pytest.raises(UserError, match=r"^60 photos .* leaves 2 of the 3 .* name the split of"):
        draw(subject("a", 40) + subject("b", 20))


def test_a_list_that_leaves_no_photo_for_a_split_is_refused() -> None:
    with pytest.raises(UserError, match=r"^splits.csv leaves no photo for test: name photos of"):
        draw(candidates("a", 40, "train"))
    with pytest.raises(UserError, match=r"^splits.csv leaves no photo for train"):
        draw(candidates("a", 40, "test") + candidates("b", 40, "val"))
    with pytest.raises(UserError, match=r"^splits.csv leaves no photo for val"):
        draw(candidates("a", 40, "test") + subject("b", 40))


def test_photos_of_a_subject_and_near_duplicates_are_merged_through_one_another() -> None:
    subjects = ["x", "", "y", "", "x", "z", "y"]
    near = np.array([0, 1, 1, 3, 4, 4, 6])
    # 0 and 4 are x; 4 and 5 look alike; 1 and 2 look alike; 2 and 6 are y; 3 is nobody's.
    assert splits.merge_clusters(subjects, near) == [0, 1, 1, 3, 0, 0, 1]
    assert splits.merge_clusters([], np.array([], np.int64)) == []


def test_a_subject_whose_name_is_a_number_is_not_the_number_of_a_near_duplicate() -> None:
    assert splits.merge_clusters(["1", "", "0"], np.array([0, 1, 2])) == [0, 1, 2]
