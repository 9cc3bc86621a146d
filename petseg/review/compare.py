"""Two commits' results → what moved, how sure that is, and whether a gate lets it pass."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from petseg.evaluation import bootstrap, metrics
from petseg.evaluation.metrics import METRICS, Direction
from petseg.review import paired_bootstrap, results
from petseg.review.results import Results

MIN_PHOTOS = 8  # photos of a slice to say anything of it

# Student's t, 97.5 %, for 1, 2, … degrees of freedom (Fisher's table III); above 30 nearly normal
STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


class Verdict(StrEnum):
    """What the interval of a difference says of head."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "no clear change"
    FEW_PHOTOS = "few photos"


@dataclass(frozen=True)
class Blocker:
    """Why nothing can be said, and what would mend it."""

    why: str
    remedy: str


@dataclass(frozen=True)
class MetricChange:
    """A metric, or the IoU of a slice: base, head, and what their difference is worth.

    `low` and `high` are the 95 % interval of head less base over photos; `reseed` is what two
    trainings that differ in their seed alone differ by in 19 of 20 cases. None is unknown.
    """

    name: str
    base: float | None
    head: float | None
    low: float | None = None
    high: float | None = None
    seed_noise: float | None = None
    verdict: Verdict | None = None  # None where one side lacks the metric
    photos: int = 0

    @property
    def title(self) -> str:
        """The name as a sentence has it."""
        metric = METRICS.get(self.name)
        return metric.title if metric else self.name

    @property
    def difference(self) -> float | None:
        """Head less base."""
        return None if self.base is None or self.head is None else self.head - self.base


@dataclass(frozen=True)
class PhotoRegression:
    """A photo whose IoU fell."""

    name: str
    breed: str
    base: float
    head: float


@dataclass(frozen=True)
class Review:
    """What is to be said of head against base."""

    base: Results
    head: Results
    incomparable: tuple[Blocker, ...]  # why there is no verdict
    common: tuple[str, ...]  # test photos in both, with the same content
    moves: tuple[MetricChange, ...]
    slices: tuple[MetricChange, ...]
    regressions: tuple[PhotoRegression, ...]  # the largest first

    @property
    def same_test_set(self) -> bool:
        """Whether base and head were tested on the same photos."""
        return len(self.common) == len(self.base.test) == len(self.head.test)

    @property
    def main(self) -> MetricChange | None:
        """The first metric that both have, IoU if they have it."""
        both = [move for move in self.moves if move.difference is not None]
        return next((move for move in both if move.name == "iou"), both[0] if both else None)


def compare(base: Results, head: Results) -> Review:
    """Return what moved from base to head; with verdicts, if the two can be compared."""
    common = common_photos(base, head)
    incomparable = tuple(find_blockers(base, head, common))
    if incomparable:
        return Review(base, head, incomparable, common, side_by_side(base, head), (), ())
    moves, slices = metric_changes(base, head, common), slice_changes(base, head, common)
    return Review(base, head, (), common, moves, slices, photo_regressions(base, head, common))


def common_photos(base: Results, head: Results) -> tuple[str, ...]:
    """Return the test photos in both, by name; a photo whose content changed is not the same."""
    found = [
        name
        for name in base.test.keys() & head.test.keys()
        if base.test[name].sha256 == head.test[name].sha256
    ]
    return tuple(sorted(found))


def find_blockers(base: Results, head: Results, common: Sequence[str]) -> Iterator[Blocker]:
    """Yield why base and head cannot be compared."""
    for side in (base, head):
        if not side.metrics:
            yield Blocker(
                f"{side.label} has no reports/metrics.json",
                "run `dvc repro` there and commit `dvc.lock` and `reports/`",
            )
    if not (base.metrics and head.metrics):
        return
    if base.recipe != head.recipe:
        yield Blocker(
            f"{base.label} has recipe {base.recipe}, {head.label} has {head.recipe}",
            "compare commits of one recipe (`petseg use`)",
        )
    elif bare := [side.label for side in (base, head) if not side.test]:
        yield Blocker(
            f"{' and '.join(bare)} has no counts by photo in reports/per_image.csv",
            "run `dvc repro` there and commit `reports/`",
        )
    elif not common:
        yield Blocker(
            "no test photo is in both with the same content", "evaluate both on the same test set"
        )
    elif (old := pixels(base, common)) != (new := pixels(head, common)):
        yield Blocker(
            f"the test photos were measured at other sizes ({old:,} against {new:,} pixels in all)",
            "set the same `preprocess.image_size`",
        )


def pixels(found: Results, names: Sequence[str]) -> int:
    """Return how many pixels these test photos have."""
    return int(results.counts_of(found, names).sum())


def side_by_side(base: Results, head: Results) -> tuple[MetricChange, ...]:
    """Return the metrics of both without a verdict."""
    names = dict.fromkeys([*base.metrics, *head.metrics])
    return tuple(
        MetricChange(name, base.metrics.get(name), head.metrics.get(name)) for name in names
    )


def metric_changes(base: Results, head: Results, common: Sequence[str]) -> tuple[MetricChange, ...]:
    """Return every metric of both, on the common photos, with interval and verdict."""
    before, after = results.common_measurements(base, head, common)
    old, new = metrics.from_photos(before), metrics.from_photos(after)
    samples = paired_bootstrap.differences(before, after)
    reseeds = seed_noise(base.seeds, "metrics")
    moves = []
    for move in side_by_side(base, head):
        if move.name not in samples or move.difference is None:
            moves.append(move)
            continue
        low, high = bootstrap.interval(samples[move.name])
        slack = reseeds.get(move.name)
        verdict = judge_interval(low, high, slack or 0.0, METRICS[move.name].direction)
        values = (old[move.name], new[move.name], low, high, slack, verdict, len(common))
        moves.append(MetricChange(move.name, *values))
    return tuple(moves)


def slice_changes(base: Results, head: Results, common: Sequence[str]) -> tuple[MetricChange, ...]:
    """Return the IoU of every species and breed, on the common photos, largest move first."""
    chosen = set(common)
    members = {
        key: names
        for key, found in results.slices(head).items()
        if (names := [name for name in found if name in chosen])
    }
    judged = sum(len(names) >= MIN_PHOTOS for names in members.values())
    reseeds = seed_noise(base.seeds, "slices")
    moves = []
    for seed, (key, names) in enumerate(members.items(), start=bootstrap.SEED + 1):
        old, new = results.counts_of(base, names), results.counts_of(head, names)
        ious = metrics.dataset_iou(old), metrics.dataset_iou(new)
        low = high = math.inf
        if len(names) >= MIN_PHOTOS:
            low, high = paired_bootstrap.iou_interval(old, new, judged, seed)
        if math.isinf(low):
            moves.append(MetricChange(key, *ious, verdict=Verdict.FEW_PHOTOS, photos=len(names)))
            continue
        slack = reseeds.get(key)
        verdict = judge_interval(low, high, slack or 0.0)
        moves.append(MetricChange(key, *ious, low, high, slack, verdict, len(names)))
    return tuple(sorted(moves, key=lambda move: -abs(move.difference or 0)))


def photo_regressions(
    base: Results, head: Results, common: Sequence[str]
) -> tuple[PhotoRegression, ...]:
    """Return the photos whose IoU fell, the largest loss first."""
    old, new = (
        np.atleast_1d(metrics.image_iou(results.counts_of(side, common))).tolist()
        for side in (base, head)
    )
    fallen = [
        PhotoRegression(name, head.test[name].breed, before, after)
        for name, before, after in zip(common, old, new, strict=True)
        if after < before
    ]
    return tuple(sorted(fallen, key=lambda loss: loss.head - loss.base))


def judge_interval(
    low: float, high: float, slack: float, direction: Direction = Direction.HIGHER
) -> Verdict:
    """Return the verdict on an interval: clear only if all of it lies beyond the slack."""
    if direction is Direction.LOWER:
        low, high = -high, -low
    if low > slack:
        return Verdict.BETTER
    return Verdict.WORSE if high < -slack else Verdict.UNCLEAR


def seed_noise(seeds: Mapping[str, Any], kind: str) -> dict[str, float]:
    """Return by how much two trainings with other seeds differ in 19 of 20 cases, by name.

    With s, the standard deviation over n seeds, the difference of two trainings spreads by
    √2·s; Student's t for n − 1 degrees of freedom allows for s being an estimate.

    Args:
        seeds: a file that `petseg seeds` wrote; empty where nothing was measured.
        kind: metrics or slices.
    """
    runs = [results.finite_numbers(run.get(kind, {})) for run in seeds.get("runs", [])]
    if len(runs) < 2:
        return {}
    student = STUDENT[min(len(runs) - 1, len(STUDENT)) - 1]
    shared = set.intersection(*(set(run) for run in runs))
    return {name: student * 2**0.5 * statistics.stdev(run[name] for run in runs) for name in shared}


def format_difference(value: float | None) -> str:
    """Return a difference with its sign; empty if there is none."""
    return "" if value is None else f"{value:+.4f}".replace("-", "−")
