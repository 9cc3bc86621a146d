"""How far another seed moves a metric, from trainings that differ in their seed alone."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from petseg.evaluation.bootstrap import CONFIDENCE
from petseg.review.results import finite_numbers

ANGLES = 100_001  # points at which Student's density is summed


@dataclass(frozen=True)
class Spread:
    """A metric over trainings that differ in their seed alone."""

    mean: float
    variance: float  # between the trainings, with n - 1
    trainings: int


def spreads(seeds: Mapping[str, Any], kind: str) -> dict[str, Spread]:
    """Return the spread of each metric or slice that all trainings have; none below two trainings.

    Args:
        seeds: a file that `petseg seeds` wrote; empty where nothing was measured.
        kind: metrics or slices.
    """
    runs = [finite_numbers(run.get(kind, {})) for run in seeds.get("runs", [])]
    if len(runs) < 2:
        return {}
    shared = set.intersection(*(set(run) for run in runs))
    values = {name: [run[name] for run in runs] for name in runs[0] if name in shared}
    return {
        name: Spread(statistics.mean(column), statistics.variance(column), len(column))
        for name, column in values.items()
    }


def reach(base: Spread | None, head: Spread | None, confidence: float = CONFIDENCE) -> float:
    """Return how far from 0 other seeds alone take the difference of two commits; 0 if not measured.

    With several trainings of both, their means are compared; with those of one alone, two single
    trainings that spread alike. The variances are estimates, for which Student's t allows; with two
    of them its degrees of freedom are those of Welch and Satterthwaite (Welch 1947).

    Args:
        base: the trainings of base, or None.
        head: the trainings of head, or None.
        confidence: of the interval that the reach is half of.
    """
    if base and head:
        parts = [(side.variance / side.trainings, side.trainings - 1) for side in (base, head)]
    elif single := base or head:
        parts = [(2 * single.variance, single.trainings - 1)]
    else:
        return 0.0
    variance = sum(part for part, _ in parts)
    if not variance:
        return 0.0
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    return student((1 + confidence) / 2, freedom) * math.sqrt(variance)


def widen(
    interval: tuple[float, float], around: float, half: float, centre: float
) -> tuple[float, float]:
    """Return the interval of a sum of two independent parts, of which the second is symmetric.

    Each end lies as far from the sum as the root of the squared distances of the two parts' ends
    (Zou and Donner 2008, "Construction of confidence limits about effect measures").

    Args:
        interval: the ends of the first part.
        around: the value that the first part's interval is about.
        half: by how much the second part reaches to both sides.
        centre: the value of the sum.
    """
    low, high = interval
    return centre - math.hypot(around - low, half), centre + math.hypot(high - around, half)


def student(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t of at least one degree of freedom, for 0.5 and more.

    With t = √freedom · tan(angle) its density is proportional to cos(angle) ^ (freedom - 1).
    """
    angles = np.linspace(0, math.pi / 2, ANGLES)
    density = np.cos(angles) ** (freedom - 1)
    steps = (density[1:] + density[:-1]) / 2
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    angle = np.interp((probability - 0.5) * 2 * cumulative[-1], cumulative, angles)
    return math.sqrt(freedom) * math.tan(angle)
