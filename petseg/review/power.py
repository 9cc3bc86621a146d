"""How large a difference a test set and a number of seeds can tell, and how many of either it takes.

A difference is told if all of its 95 % interval over photos and seeds lies on one side of 0. For a
true difference D that happens in four of five cases if D is the interval's reach plus 0.84 standard
errors, the 80th percentile of the normal distribution (Snedecor and Cochran 1989, chapter 6.14).
The variance over photos falls with their number, that over seeds with the number of trainings of
each side.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from tabulate import tabulate

from petseg.errors import UserError
from petseg.evaluation.bootstrap import CONFIDENCE
from petseg.review import compare, paired_bootstrap, results, seed_noise
from petseg.review.compare import Review
from petseg.review.nested import mapping
from petseg.review.results import Results, finite_numbers
from petseg.review.seed_noise import Spread

TRAININGS = (1, 2, 3, 5, 10, 20, 40)  # of each side, in a plan
POWER = 0.8  # the share of cases in which a difference is to be told
MOST = 10_000_000  # photos or trainings that are looked at
Z_REACH, Z_POWER = (NormalDist().inv_cdf(p) for p in ((1 + CONFIDENCE) / 2, POWER))


@dataclass(frozen=True)
class Evidence:
    """What differences of a metric are told by."""

    photos: int
    photo_variance: float  # of the difference of two trainings over this many photos
    spread: Spread | None  # of trainings that differ in their seed alone; None if not measured
    trainings: int = 1  # of each side, whose means are compared


def of_review(review: Review) -> Evidence | None:
    """Return by what the review's main metric was compared; None if it was not."""
    main = review.main
    if main is None or main.by_photos is None:
        return None
    low, high = main.by_photos
    spreads = compare.seed_spreads(review.base, review.head, review.common, "metrics")
    before, after = (side.get(main.name) for side in spreads)
    trainings = min(before.trainings, after.trainings) if before and after else 1
    deviation = (high - low) / (2 * Z_REACH)
    return Evidence(len(review.common), deviation**2, pooled(before, after), trainings)


def pooled(before: Spread | None, after: Spread | None) -> Spread | None:
    """Return the spread of trainings by those of both sides."""
    if not (before and after):
        return before or after
    degrees = [side.trainings - 1 for side in (before, after)]
    variance = (before.variance * degrees[0] + after.variance * degrees[1]) / sum(degrees)
    return Spread(after.mean, variance, sum(degrees) + 1)


def smallest_difference(evidence: Evidence, photos: float, trainings: int) -> float:
    """Return the smallest true difference that is told in four of five cases.

    Args:
        evidence: what was measured.
        photos: how many test photos there would be.
        trainings: how many of each side there would be.
    """
    over_photos = evidence.photo_variance * evidence.photos / photos
    if not evidence.spread:
        return (Z_REACH + Z_POWER) * math.sqrt(over_photos)
    over_seeds = 2 * evidence.spread.variance / trainings
    half = seed_reach(evidence.spread, trainings)
    return math.hypot(Z_REACH * math.sqrt(over_photos), half) + Z_POWER * math.sqrt(
        over_photos + over_seeds
    )


def seed_reach(spread: Spread, trainings: int) -> float:
    """Return how far seeds alone reach with so many trainings of each side."""
    if trainings == 1:
        return seed_noise.reach(spread, None)
    side = Spread(spread.mean, spread.variance, trainings)
    return seed_noise.reach(side, side)


def photos_needed(evidence: Evidence, difference: float, trainings: int) -> int | None:
    """Return how many test photos tell a difference; None if no number of them does."""
    return smallest_number(
        lambda photos: smallest_difference(evidence, photos, trainings) <= difference
    )


def trainings_needed(evidence: Evidence, difference: float, photos: float) -> int | None:
    """Return how many trainings of each side tell a difference; None if no number of them does."""
    if not evidence.spread:
        return None
    return smallest_number(
        lambda trainings: smallest_difference(evidence, photos, trainings) <= difference
    )


def smallest_number(is_enough: Callable[[int], bool]) -> int | None:
    """Return the smallest number from 1 on that is enough, if all above it are; None above 10 million."""
    if not is_enough(MOST):
        return None
    low, high = 0, MOST  # the first is not enough, the second is
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def of_results(side: Results, other: Results | None) -> Evidence:
    """Return by what a next change would be compared with these results.

    How the difference of two models varies over photos is taken from the model of another commit, or
    else from trainings with other seeds, or else as if two models erred independently of each other,
    which is at least as much as two similar models do.

    Raises:
        UserError: there are no numbers by photo, or the two commits have the same.
    """
    if not side.test:
        raise UserError(f"{side.label} has no numbers by photo: run `dvc repro` there first")
    spread = seed_noise.spreads(side.seeds, "metrics").get("iou")
    if other:
        return replace(of_pair(side, other), spread=spread)
    deviations = [
        numbers["iou"]
        for run in side.seeds.get("runs", [])
        if "iou" in (numbers := finite_numbers(mapping(run.get("photo_deviation"))))
    ]
    if deviations:
        return Evidence(len(side.test), float(np.mean(np.square(deviations))), spread)
    measured, _ = results.common_measurements(side, side, side.test)
    variance = 2 * float(np.var(paired_bootstrap.values(measured)["iou"]))
    return Evidence(len(side.test), variance, spread)


def of_pair(side: Results, other: Results) -> Evidence:
    """Return how the difference of two models varies over the photos that both were tested on."""
    review = compare.compare(other, side)
    evidence = of_review(review)
    if evidence is None or not evidence.photo_variance:
        raise UserError(
            f"{other.label} and {side.label} do not show how two models vary: their masks are the "
            "same or cannot be compared; name another commit, or none"
        )
    return evidence


def clause(evidence: Evidence, difference: float) -> str:
    """Return in words what it takes to tell a difference in four of five cases."""
    photos = photos_needed(evidence, difference, evidence.trainings)
    trainings = trainings_needed(evidence, difference, evidence.photos)
    if photos is not None and photos <= evidence.photos:
        return "no more than there is"
    ways = []
    if photos is not None:
        ways.append(f"{photos:,} test photos ({photos - evidence.photos:,} more)")
    if trainings is not None:
        ways.append(f"{trainings:,} trainings of each side")
    return " or ".join(ways) or more_of_both(evidence, difference)


def more_of_both(evidence: Evidence, difference: float) -> str:
    """Return photos and trainings that together tell a difference: each has half of the variance."""
    trainings = trainings_needed(evidence, difference / math.sqrt(2), MOST)
    photos = photos_needed(evidence, difference, trainings) if trainings else None
    if not (trainings and photos):
        return f"more than {MOST:,} test photos"
    return f"{trainings:,} trainings of each side and {photos:,} test photos"


def summary(evidence: Evidence) -> str:
    """Return what the plan rests on."""
    lines = [
        f"{evidence.photos:,} test photos: over other photos the difference of two models varies by "
        f"{math.sqrt(evidence.photo_variance):.4f} (standard deviation)"
    ]
    if evidence.spread:
        deviation = math.sqrt(evidence.spread.variance)
        lines.append(
            f"{evidence.spread.trainings} trainings: with another seed IoU varies by {deviation:.4f}"
        )
    else:
        lines.append("seeds: not measured, so left out; `petseg seeds -n 5` measures them")
    return "\n".join([*lines, "", "Told in four of five cases:"])


def plan(evidence: Evidence, difference: float) -> str:
    """Return a table by the number of trainings: what is told, and the photos to tell a difference."""
    rows = []
    for trainings in TRAININGS if evidence.spread else (1,):
        needed = photos_needed(evidence, difference, trainings)
        smallest = smallest_difference(evidence, evidence.photos, trainings)
        photos = "no number is enough" if needed is None else f"{needed:,}"
        rows.append((trainings, f"{smallest:.4f}", photos))
    headers = ("trainings of each side", "difference told", f"test photos to tell {difference:g}")
    table: str = tabulate(rows, headers, tablefmt="plain", disable_numparse=True)
    return table
