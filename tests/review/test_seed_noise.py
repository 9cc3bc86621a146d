"""The noise of seeds: Student's t by its density, sums by hand, and intervals by simulation."""

import math
import statistics

import numpy as np
import pytest
from jaxtyping import Int64

from petseg.evaluation import bootstrap, metrics
from petseg.review import paired_bootstrap, seed_noise
from petseg.review.seed_noise import Spread

PIXELS = 5000


def test_the_spread_is_of_what_every_training_has() -> None:
    document = {"runs": [{"metrics": {"iou": 0.9, "x": 1}}, {"metrics": {"iou": 0.92}}]}
    # Two values 0.02 apart have a variance of 0.02² / 2.
    (spread,) = seed_noise.spreads(document, "metrics").values()
    assert (spread.mean, spread.variance) == pytest.approx((0.91, 0.0002))
    assert spread.trainings == 2
    assert seed_noise.spreads({"runs": [{"metrics": {"iou": 0.9}}]}, "metrics") == {}
    assert seed_noise.spreads({}, "metrics") == {}


def test_students_quantiles_are_those_of_its_density() -> None:
    for freedom in (1, 2, 2.7, 4, 9, 30, 400):
        for probability in (0.6, 0.8, 0.975, 0.999):
            scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(
                freedom * math.pi
            )
            x = np.linspace(0, seed_noise.student(probability, freedom), 400_001)
            density = scale * (1 + x**2 / freedom) ** (-(freedom + 1) / 2)
            assert np.trapezoid(density, x) == pytest.approx(probability - 0.5, abs=2e-5)
    assert seed_noise.student(0.975, 1) == pytest.approx(12.706, abs=1e-3)  # Fisher's table


def test_the_reach_of_seeds_is_by_students_t() -> None:
    # Three seeds with a deviation of 0.01 of one side: 4.3027 · √2 · 0.01.
    spread = Spread(0.9, 0.0001, 3)
    assert seed_noise.reach(spread, None) == pytest.approx(0.060849, abs=1e-6)
    assert seed_noise.reach(None, spread) == seed_noise.reach(spread, None)
    # Of both: the variance of the difference of two means is 2 · 0.0001 / 3, with 4 degrees.
    assert seed_noise.reach(spread, spread) == pytest.approx(
        2.77645 * math.sqrt(0.0002 / 3), rel=1e-5
    )
    assert seed_noise.reach(None, None) == 0
    assert seed_noise.reach(Spread(0.9, 0.0, 3), None) == 0


def test_the_ends_of_a_sum_are_at_the_root_of_the_squared_distances() -> None:
    low, high = seed_noise.widen((-0.03, 0.06), 0.0, 0.04, 0.1)
    assert low == pytest.approx(0.1 - 0.05)  # 3, 4, 5
    assert high == pytest.approx(0.1 + math.hypot(0.06, 0.04))
    assert seed_noise.widen((0.1, 0.2), 0.15, 0.0, 0.15) == pytest.approx((0.1, 0.2))


def photos_of(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return each photo's foreground in pixels, and how easy it is."""
    return (rng.beta(4, 6, count) * PIXELS).astype(int), rng.normal(0, 0.8, count)


def training(
    photos: tuple[np.ndarray, np.ndarray], gain: float, spread: float, rng: np.random.Generator
) -> Int64[np.ndarray, "n 6"]:
    """Return the counts of photos by one training, whose seed makes it better or worse."""
    foreground, ease = photos
    skill = 3 + gain + rng.normal(0, spread) - ease - 0.35 * rng.normal(0, 1, len(ease))
    error = 1 / (1 + np.exp(skill))
    missed, false = (
        rng.binomial(foreground, error),
        rng.binomial(PIXELS - foreground, 0.7 * error),
    )
    zeros = np.zeros(len(ease), int)
    cells = (foreground - missed, missed, zeros, zeros, false, PIXELS - foreground - false)
    return np.stack(cells, axis=1).astype(np.int64)


def spread_of(trainings: list[Int64[np.ndarray, "n 6"]]) -> Spread | None:
    """Return the spread of the IoU; None of a single training."""
    ious = [float(metrics.dataset_iou(counts)) for counts in trainings]
    if len(ious) == 1:
        return None
    return Spread(statistics.mean(ious), statistics.variance(ious), len(ious))


@pytest.mark.parametrize(("base_trainings", "head_trainings"), [(5, 1), (5, 5), (3, 3)])
def test_the_interval_holds_the_true_difference_in_about_95_of_100_cases(
    base_trainings: int, head_trainings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 500)
    gain, spread, cases = 0.1, 0.06, 300
    rng = np.random.default_rng(1)
    true = statistics.mean(
        metrics.dataset_iou(training(photos, gain, spread, rng))
        - metrics.dataset_iou(training(photos, 0, spread, rng))
        for photos in (photos_of(20_000, rng) for _ in range(100))
    )
    assert 0.005 < true < 0.02
    covered = 0
    for _ in range(cases):
        photos = photos_of(100, rng)
        base = [training(photos, 0, spread, rng) for _ in range(base_trainings)]
        head = [training(photos, gain, spread, rng) for _ in range(head_trainings)]
        before, after = spread_of(base), spread_of(head)
        by_photos = bootstrap.interval(paired_bootstrap.differences(base[0], head[0])["iou"])
        difference = float(metrics.dataset_iou(head[0]) - metrics.dataset_iou(base[0]))
        centre = after.mean - before.mean if before and after else difference
        half = seed_noise.reach(before, after)
        low, high = seed_noise.widen(by_photos, difference, half, centre)
        covered += low <= true <= high
    assert 0.93 <= covered / cases <= 1
