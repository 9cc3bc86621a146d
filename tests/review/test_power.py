"""How much evidence a difference takes: by hand, and by simulated reviews."""

import math

import numpy as np
import pytest

from petseg.review import power, seed_noise
from petseg.review.power import Evidence
from petseg.review.seed_noise import Spread

PHOTOS_ONLY = Evidence(100, 0.0001, None)  # a deviation of 0.01 over 100 photos
WITH_SEEDS = Evidence(100, 0.0001, Spread(0.9, 0.000025, 5))  # and one of 0.005 over seeds


def test_without_seeds_it_is_2_80_standard_errors() -> None:
    assert power.smallest_difference(PHOTOS_ONLY, 100, 1) == pytest.approx(0.0280159, abs=1e-7)
    assert power.smallest_difference(PHOTOS_ONLY, 400, 1) == pytest.approx(0.0280159 / 2, abs=1e-7)
    # A tenth of it takes a hundred times as many photos.
    assert power.photos_needed(PHOTOS_ONLY, 0.00280159, 1) == pytest.approx(10_000, abs=2)
    assert power.trainings_needed(PHOTOS_ONLY, 0.01, 100) is None


def test_no_number_of_photos_tells_what_two_trainings_may_differ_by() -> None:
    # Four degrees of freedom: 2.776 · √2 · 0.005 + 0.8416 · √2 · 0.005
    limit = (2.77645 + 0.84162) * math.sqrt(2) * 0.005
    assert power.smallest_difference(WITH_SEEDS, 1e12, 1) == pytest.approx(limit, rel=1e-4)
    assert power.photos_needed(WITH_SEEDS, 0.99 * limit, 1) is None
    assert power.photos_needed(WITH_SEEDS, 1.1 * limit, 1) is not None


def test_no_number_of_seeds_tells_what_the_photos_hide() -> None:
    assert power.trainings_needed(WITH_SEEDS, 0.028, 100) is None
    needed = power.trainings_needed(WITH_SEEDS, 0.03, 100)
    assert needed is not None
    assert power.smallest_difference(WITH_SEEDS, 100, needed) <= 0.03
    assert power.smallest_difference(WITH_SEEDS, 100, needed - 1) > 0.03


@pytest.mark.parametrize("trainings", [1, 3, 10])
def test_the_smallest_difference_is_told_in_four_of_five_simulated_reviews(trainings: int) -> None:
    rng = np.random.default_rng(trainings)
    photo_deviation, seed_deviation, cases = 0.01, 0.006, 2000
    spread = Spread(0.9, seed_deviation**2, 5)
    difference = power.smallest_difference(
        Evidence(100, photo_deviation**2, spread), 100, trainings
    )
    told = 0
    for _ in range(cases):
        measured = spread.trainings if trainings == 1 else trainings
        seeds = rng.normal(0, seed_deviation, (2, measured))
        base, head = (Spread(side.mean(), side.var(ddof=1), measured) for side in seeds)
        over_photos = rng.normal(0, photo_deviation)
        if trainings == 1:
            centre = difference + over_photos + rng.normal(0, seed_deviation) - seeds[0, 0]
            half = seed_noise.reach(base, None)
        else:
            centre = difference + over_photos + head.mean - base.mean
            half = seed_noise.reach(base, head)
        ends = over_photos - 1.96 * photo_deviation, over_photos + 1.96 * photo_deviation
        low, _ = seed_noise.widen(ends, over_photos, half, centre)
        told += low > 0
    assert 0.75 <= told / cases <= 0.87
