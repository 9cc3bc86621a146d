"""The paired bootstrap: its arithmetic by hand, and the coverage of its intervals by simulation."""

import numpy as np
import pytest
from jaxtyping import Int64

from petseg.evaluation import bootstrap, metrics
from petseg.review import paired_bootstrap

PIXELS = 5000


def two_models(photos: int, seed: int, better: float) -> list[Int64[np.ndarray, "n 6"]]:
    """Return counts of photos of different difficulty by two models; the second errs less."""
    rng = np.random.default_rng(seed)
    pet = (rng.beta(4, 6, photos) * PIXELS).astype(int)
    skill = rng.normal(0, 0.8, photos)
    sides = []
    for gain in (0.0, better):
        error = 1 / (1 + np.exp(3 + gain - skill - 0.35 * rng.normal(0, 1, photos)))
        missed, false = rng.binomial(pet, error), rng.binomial(PIXELS - pet, 0.7 * error)
        zeros = np.zeros(photos, int)
        cells = (pet - missed, missed, zeros, zeros, false, PIXELS - pet - false)
        sides.append(np.stack(cells, axis=1).astype(np.int64))
    return sides


def test_a_models_difference_to_itself_is_zero_in_every_resample() -> None:
    counts, _ = two_models(30, seed=0, better=0)
    differences = paired_bootstrap.differences(counts, counts)
    assert set(differences) == set(metrics.from_photos(counts))
    assert all(bootstrap.interval(samples) == (0, 0) for samples in differences.values())
    assert paired_bootstrap.iou_interval(counts, counts, among=5, seed=1) == (0, 0)


def test_a_resample_has_as_many_photos_as_there_are_and_each_as_often_on_average() -> None:
    columns = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 6.0]])
    sums = bootstrap.resampled_sums(columns, np.random.default_rng(0))
    assert sums.shape == (bootstrap.RESAMPLES, 2)
    assert set(sums[:, 0]) == {3.0}
    # 3, 4, 5, 6, 8, 9, 10, 13, 14 and 18 are the sums of three of 1, 2 and 6
    assert set(sums[:, 1]) == {3.0, 4.0, 5.0, 6.0, 8.0, 9.0, 10.0, 13.0, 14.0, 18.0}
    assert sums[:, 1].mean() == pytest.approx(9.0, abs=0.15)


def test_the_iou_is_of_the_dataset_and_no_mean_over_photos() -> None:
    # two photos, of 90 and of 10 pixels of pet: the first is hit wholly by both models, the
    # second by head alone. Base: 90 / 100 and 1/2 in the mean, head: 1 in both.
    base = np.array([[90, 0, 0, 0, 0, 10], [0, 10, 0, 0, 0, 90]])
    head = np.array([[90, 0, 0, 0, 0, 10], [10, 0, 0, 0, 0, 90]])
    differences = paired_bootstrap.differences(base, head)
    # The resamples are the first photo twice, both photos, or the second photo twice.
    assert sorted(set(differences["iou"].round(6))) == [0, 0.1, 1]
    assert sorted(set(differences["image_iou"].round(6))) == [0, 0.5, 1]


def test_equal_seeds_give_equal_intervals() -> None:
    base, head = two_models(40, seed=3, better=0.1)
    first, again = (
        bootstrap.interval(paired_bootstrap.differences(base, head)["iou"]) for _ in range(2)
    )
    assert first == again


def test_the_interval_holds_the_true_difference_in_about_95_of_100_cases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 1000)
    ious = [metrics.dataset_iou(side) for side in two_models(200_000, seed=0, better=0.1)]
    true = ious[1] - ious[0]
    assert 0.005 < true < 0.02
    covered = 0
    for seed in range(1, 301):
        base, head = two_models(100, seed=seed, better=0.1)
        low, high = bootstrap.interval(paired_bootstrap.differences(base, head)["iou"])
        covered += low <= true <= high
    assert 0.91 <= covered / 300 <= 0.98  # four standard errors are 0.05


@pytest.mark.parametrize("photos", [8, 15])
def test_looking_at_many_slices_finds_a_false_move_in_few_reviews(
    photos: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 2000)
    slices, reviews, false = 12, 60, 0
    for number in range(reviews):
        intervals = []
        for item in range(slices):
            base, head = two_models(photos, seed=1000 * number + item, better=0)
            intervals.append(paired_bootstrap.iou_interval(base, head, slices, item))
        false += any(low > 0 or high < 0 for low, high in intervals)
    assert false / reviews <= 0.1


def test_a_slice_in_which_one_photo_differs_says_nothing() -> None:
    base, other = two_models(12, seed=5, better=0)
    head = base.copy()
    head[0] = other[0]
    assert paired_bootstrap.iou_interval(base, head, among=10, seed=1) == (-np.inf, np.inf)


def test_a_real_difference_of_a_slice_is_found() -> None:
    base, head = two_models(15, seed=6, better=-1.5)
    low, high = paired_bootstrap.iou_interval(base, head, among=10, seed=1)
    assert low < high < 0
