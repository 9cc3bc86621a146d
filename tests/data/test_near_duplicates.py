"""Near-duplicates: hashes of a few different bits, joined directly or through others."""

import itertools

import numpy as np
import pytest

from petseg.data import near_duplicates
from petseg.data.near_duplicates import MAX_DIFFERING_BITS, MIN_CONTRAST, Hashes


def unrelated(n: int, seed: int = 0) -> Hashes:
    """Return random hashes, which differ in about 64 bits."""
    return np.random.default_rng(seed).integers(0, 2**64, (n, 2), dtype=np.uint64)


def flipped(bits: Hashes, positions: range) -> Hashes:
    """Return a hash with the bits at some positions inverted."""
    mask = np.zeros(128, bool)
    mask[positions] = True
    flipped: Hashes = bits ^ np.packbits(mask).view(np.uint64)
    return flipped


def noisy(bits: Hashes, n: int, flips: int, seed: int = 0) -> Hashes:
    """Return copies of a hash, each with at most `flips` bits inverted."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((n, 128), bool)
    for _ in range(flips):
        mask[np.arange(n), rng.integers(0, 128, n)] = True
    copies: Hashes = bits ^ np.packbits(mask, axis=1).view(np.uint64)
    return copies


def clusters(hashes: Hashes) -> list[int]:
    """Return the numbers of photos with much contrast."""
    numbers: list[int] = near_duplicates.clusters(hashes, np.full(len(hashes), 30.0)).tolist()
    return numbers


def by_all_pairs(hashes: Hashes, contrast: np.ndarray) -> list[int]:
    """Return the same numbers by comparing every pair until no number changes."""
    numbers = list(range(len(hashes)))
    max_bits = near_duplicates.max_differing_bits(hashes[contrast >= MIN_CONTRAST])
    pairs = [
        (i, j)
        for i, j in itertools.combinations(np.flatnonzero(contrast >= MIN_CONTRAST).tolist(), 2)
        if int(np.bitwise_count(hashes[i] ^ hashes[j]).sum()) <= max_bits
    ]
    for _ in numbers:
        for i, j in pairs:
            numbers[i] = numbers[j] = min(numbers[i], numbers[j])
    return numbers


def test_ten_different_bits_look_alike_and_eleven_do_not() -> None:
    hashes = unrelated(40)
    hashes[7] = flipped(hashes[3], range(20, 30))
    hashes[9] = flipped(hashes[5], range(20, 31))
    assert clusters(hashes) == [3 if row == 7 else row for row in range(40)]


@pytest.mark.parametrize("stride", [1, 11, 12, 13])
def test_ten_bits_are_recognised_wherever_they_lie(stride: int) -> None:
    hashes = unrelated(40)
    hashes[1] = flipped(hashes[0], range(5, 5 + 10 * stride, stride))
    assert clusters(hashes)[1] == 0


def test_photos_that_look_alike_through_others_have_one_number() -> None:
    hashes = unrelated(40)
    for row in (20, 10, 30):  # each differs from the one before in 9 bits, the last from 0 in 27
        hashes[row] = flipped(hashes[0], range(9 * {20: 1, 10: 2, 30: 3}[row]))
    assert [row for row, number in enumerate(clusters(hashes)) if number == 0] == [0, 10, 20, 30]


def test_photos_of_little_contrast_join_nothing() -> None:
    hashes = unrelated(40)
    hashes[1] = hashes[2] = hashes[0]
    contrast = np.full(40, float(MIN_CONTRAST))
    contrast[1] = MIN_CONTRAST - 0.1
    assert near_duplicates.clusters(hashes, contrast).tolist()[:3] == [0, 1, 0]


@pytest.mark.parametrize("seed", range(20))
def test_the_bands_miss_no_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = unrelated(5, seed)[rng.integers(0, 5, 120)]
    hashes = noisy(scenes, 120, int(rng.integers(3, 12)), seed)
    contrast = rng.uniform(MIN_CONTRAST - 1, MIN_CONTRAST + 9, 120)
    numbers = near_duplicates.clusters(hashes, contrast).tolist()
    assert numbers == by_all_pairs(hashes, contrast)


def test_thousands_of_photos_that_share_a_band_are_compared_with_all_of_them() -> None:
    hashes = unrelated(3000)
    hashes &= ~near_duplicates.bands(MAX_DIFFERING_BITS + 1)[4]
    hashes[1] = hashes[2998]
    hashes[2999] = flipped(hashes[0], range(10))
    expected = list(range(3000))
    expected[2998], expected[2999] = 1, 0
    assert clusters(hashes) == expected


def test_thousands_of_photos_that_look_alike_are_one_cluster_beside_unrelated_ones() -> None:
    hashes = unrelated(9000)
    hashes[1000:4000] = noisy(hashes[1000], 3000, 5)
    expected = list(range(9000))
    expected[1000:4000] = [1000] * 3000
    assert clusters(hashes) == expected


def test_photos_of_one_scene_by_a_fixed_camera_do_not_all_look_alike() -> None:
    hashes = noisy(unrelated(1), 200, 10)  # two of them differ in about 18 bits: 4 may differ
    hashes[150] = flipped(hashes[50], range(3))
    assert near_duplicates.max_differing_bits(hashes) == 4
    numbers = clusters(hashes)
    assert numbers[150] == numbers[50]
    assert len(set(numbers)) > 180


def test_photos_whose_hashes_are_nearly_all_equal_are_not_joined() -> None:
    assert clusters(np.repeat(unrelated(1), 50, axis=0)) == list(range(50))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_photos_are_clusters_of_their_own(n: int) -> None:
    assert clusters(unrelated(n)) == list(range(n))


def test_the_bands_have_every_bit_once() -> None:
    bands = near_duplicates.bands(11)
    assert np.bitwise_or.reduce(bands, axis=0).tolist() == [2**64 - 1] * 2
    assert sum(int(count) for count in np.bitwise_count(bands).ravel()) == 128


def test_joined_rows_have_their_smallest_label() -> None:
    labels = np.arange(7)
    near_duplicates.join(labels, np.array([5, 6, 2]), np.array([6, 3, 1]))
    assert labels.tolist() == [0, 1, 1, 3, 4, 3, 3]
    near_duplicates.join(labels, np.array([6]), np.array([2]))
    assert labels.tolist() == [0, 1, 1, 1, 4, 1, 1]
