"""Compare the results of two commits: which metrics changed, and whether by more than chance."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from petseg import markup
from petseg.evaluation import bootstrap, metrics
from petseg.evaluation.metrics import METRICS, Direction
from petseg.review import paired_bootstrap, results, seed_noise
from petseg.review.agreement import Fault
from petseg.review.results import Results
from petseg.review.seed_noise import Spread

Spreads = dict[str, Spread]  # by metric or slice

MIN_PHOTOS = 8  # photos that a slice needs for a verdict
MAX_FAULTS = 3  # of a commit in one sentence
RUN_AND_COMMIT = "run `dvc repro` there and commit dvc.lock and reports/"


class Verdict(StrEnum):
    """What the interval of a difference says about head."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "no clear change"
    FEW_PHOTOS = "few photos"


@dataclass(frozen=True)
class Blocker:
    """A reason why two commits cannot be compared, and what to do about it."""

    reason: str
    remedy: str


@dataclass(frozen=True)
class MetricChange:
    """A metric, or the IoU of a slice, in base and head, and how much their difference means.

    None stands for a number that is not known, or for a verdict that cannot be given.
    """

    name: str  # the metric's key, or the slice
    base: float | None
    head: float | None
    low: float | None = None  # of the 95 % interval of head - base over photos and seeds
    high: float | None = None
    by_photos: tuple[float, float] | None = None  # the interval over photos alone
    seed_noise: float = 0.0  # how far other seeds alone take the difference; 0 if not known
    verdict: Verdict | None = None
    photos: int = 0  # on which it was measured

    @property
    def title(self) -> str:
        """The name for people."""
        metric = METRICS.get(self.name)
        return metric.title if metric else self.name

    @property
    def difference(self) -> float | None:
        """Head - base."""
        return None if self.base is None or self.head is None else self.head - self.base


@dataclass(frozen=True)
class PhotoRegression:
    """A photo whose IoU is lower in head than in base."""

    name: str
    group: str  # the smallest that the photo belongs to; empty if the data have no groups
    base: float
    head: float


@dataclass(frozen=True)
class Review:
    """The comparison of head to base."""

    base: Results
    head: Results
    blockers: tuple[Blocker, ...]  # why there is no verdict; empty if there is one
    common: tuple[str, ...]  # test photos in both with the same content
    metrics: tuple[MetricChange, ...]
    slices: tuple[MetricChange, ...]
    regressions: tuple[PhotoRegression, ...]  # the largest first

    @property
    def same_test_set(self) -> bool:
        """Whether base and head were tested on the same photos."""
        return tests_all(self.base, self.head, self.common)

    @property
    def compares_means(self) -> bool:
        """Whether base and head are the means of several trainings each."""
        return has_own_means(self.base, self.head, self.common)

    @property
    def noise_is_outdated(self) -> bool:
        """Whether the seed noise was measured with other code, data or parameters than base's."""
        are_own = self.base.seeds_are_its_own or self.head.seeds_are_its_own
        return bool(self.base.seeds) and not are_own

    @property
    def main(self) -> MetricChange | None:
        """The IoU, or else the first metric that both have; None if they share none."""
        shared = [change for change in self.metrics if change.difference is not None]
        iou = (change for change in shared if change.name == "iou")
        return next(iou, shared[0] if shared else None)


def compare(base: Results, head: Results) -> Review:
    """Return the changes from base to head, with verdicts if the two can be compared."""
    common = common_photos(base, head)
    if blockers := tuple(find_blockers(base, head, common)):
        return Review(base, head, blockers, common, side_by_side(base, head), (), ())
    metric_rows, slice_rows = metric_changes(base, head, common), slice_changes(base, head, common)
    regressions = photo_regressions(base, head, common)
    return Review(base, head, (), common, metric_rows, slice_rows, regressions)


def common_photos(base: Results, head: Results) -> tuple[str, ...]:
    """Return the names of the test photos in both; with other content a photo is another one."""
    names = base.test.keys() & head.test.keys()
    return tuple(sorted(n for n in names if base.test[n].sha256 == head.test[n].sha256))


def find_blockers(base: Results, head: Results, common: Sequence[str]) -> Iterator[Blocker]:
    """Yield why base and head cannot be compared.

    Numbers of base that are only older than its code can be: another code made them, and head's are
    better or worse than they are.
    """
    for side in (base, head):
        if not side.metrics:
            yield Blocker(f"{side.label} has no reports/metrics.json", RUN_AND_COMMIT)
    broken = tuple(fault for fault in base.faults if not fault.due)
    for side, faults in ((base, broken), (head, head.faults)):
        if side.metrics and faults:
            yield faults_blocker(side, faults)
    if broken or head.faults or not (base.metrics and head.metrics):
        return
    if base.recipe != head.recipe:
        yield Blocker(
            f"{base.label} has recipe {base.recipe}, {head.label} has {head.recipe}",
            "compare commits of one recipe (`petseg use`)",
        )
    elif without_counts := [side.label for side in (base, head) if not side.test]:
        yield Blocker(
            f"{' and '.join(without_counts)} {'has' if len(without_counts) == 1 else 'have'} no "
            "counts by photo in reports/per_image.csv",
            RUN_AND_COMMIT,
        )
    elif not common:
        yield Blocker(
            "no test photo is in both with the same content", "evaluate both on the same test set"
        )
    elif (old := pixels(base, common)) != (new := pixels(head, common)):
        yield Blocker(
            f"the test photos were measured at other sizes ({old:,} against {new:,} pixels in all)",
            "set the same `preprocess.mode` and `preprocess.image_size`",
        )


def faults_blocker(side: Results, faults: Sequence[Fault]) -> Blocker:
    """Return that nobody knows which code made the results of a commit, and why."""
    return Blocker(
        f"the results of {side.label} are not known to be of its code: {clauses(faults)}",
        RUN_AND_COMMIT,
    )


def clauses(faults: Sequence[Fault]) -> str:
    """Return the first few faults of a commit in one clause."""
    rest = len(faults) - MAX_FAULTS
    more = f" and {rest:,} more" if rest > 0 else ""
    return "; ".join(markup.shorten(fault.text) for fault in faults[:MAX_FAULTS]) + more


def pixels(side: Results, names: Sequence[str]) -> int:
    """Return how many pixels these test photos have."""
    return int(results.counts_of(side, names).sum())


def side_by_side(base: Results, head: Results) -> tuple[MetricChange, ...]:
    """Return the metrics of either without a verdict."""
    names = dict.fromkeys([*base.metrics, *head.metrics])
    return tuple(
        MetricChange(name, base.metrics.get(name), head.metrics.get(name)) for name in names
    )


def metric_changes(base: Results, head: Results, common: Sequence[str]) -> tuple[MetricChange, ...]:
    """Return the metrics of either; those that the common photos give have interval and verdict.

    A metric that is known for all photos of each side alone, such as the calibration error, is left
    out if these are not the same photos: their difference would be that of the photos.
    """
    before, after = results.common_measurements(base, head, common)
    old, new = metrics.from_photos(before), metrics.from_photos(after)
    samples = paired_bootstrap.differences(before, after)
    spreads = seed_spreads(base, head, common, "metrics")
    changes = []
    for change in side_by_side(base, head):
        name = change.name
        if name not in samples or change.difference is None:
            if tests_all(base, head, common) or change.difference is None:
                changes.append(change)
            continue
        ends = bootstrap.interval(samples[name])
        direction = METRICS[name].direction
        sides = replace(change, base=old[name], head=new[name], photos=len(common))
        changes.append(judged(sides, ends, spreads, bootstrap.CONFIDENCE, direction))
    return tuple(changes)


def slice_changes(base: Results, head: Results, common: Sequence[str]) -> tuple[MetricChange, ...]:
    """Return the IoU of every group of photos on the common photos, the largest change first."""
    common_names = set(common)
    members = {
        key: names
        for key, photos in results.slices(head).items()
        if (names := [name for name in photos if name in common_names])
    }
    compared = sum(len(names) >= MIN_PHOTOS for names in members.values())
    spreads = seed_spreads(base, head, common, "slices")
    changes = []
    for seed, (key, names) in enumerate(members.items(), start=bootstrap.SEED + 1):
        old, new = results.counts_of(base, names), results.counts_of(head, names)
        ious = metrics.dataset_iou(old), metrics.dataset_iou(new)
        low = high = math.inf
        if len(names) >= MIN_PHOTOS:
            low, high = paired_bootstrap.iou_interval(old, new, compared, seed)
        sides = MetricChange(key, *ious, photos=len(names))
        if math.isinf(low):
            changes.append(replace(sides, verdict=Verdict.FEW_PHOTOS))
            continue
        confidence = bootstrap.CONFIDENCE ** (1 / compared)  # Šidák, as in iou_interval
        changes.append(judged(sides, (low, high), spreads, confidence, Direction.HIGHER))
    return tuple(sorted(changes, key=lambda change: -abs(change.difference or 0)))


def judged(
    sides: MetricChange,
    by_photos: tuple[float, float],
    spreads: tuple[Spreads, Spreads],
    confidence: float,
    direction: Direction,
) -> MetricChange:
    """Return a metric with its interval over photos and seeds, and the verdict on it.

    If both sides were repeated with several seeds, base and head become the means of these.

    Args:
        sides: the metric of the two trainings that were measured by photo.
        by_photos: the interval of their difference over photos.
        spreads: the metrics of base and of head over seeds.
        confidence: of the interval over seeds.
        direction: whether more is better.
    """
    base, head = (side.get(sides.name) for side in spreads)
    noise = seed_noise.reach(base, head, confidence)
    measured = difference = sides.difference or 0.0
    if base and head:
        sides, difference = replace(sides, base=base.mean, head=head.mean), head.mean - base.mean
    low, high = seed_noise.widen(by_photos, measured, noise, difference)
    photo_ends = by_photos[0] + difference - measured, by_photos[1] + difference - measured
    verdict = judge_interval(low, high, 0.0, direction)
    return replace(
        sides, low=low, high=high, by_photos=photo_ends, seed_noise=noise, verdict=verdict
    )


def seed_spreads(
    base: Results, head: Results, common: Sequence[str], kind: str
) -> tuple[Spreads, Spreads]:
    """Return the metrics or slices of base and of head over seeds; with both, means are compared.

    A side's repetitions are of use if they are of its own training. If neither's are, those of base
    serve for want of better ones. There is no noise between two measurements of one model.
    """
    if is_same_model(base, head) or same_counts(base, head, common):
        return {}, {}
    own = [side.seeds if side.seeds_are_its_own else {} for side in (base, head)]
    if not any(own):
        own[0] = base.seeds
    elif not has_own_means(base, head, common) and all(own):
        own[1] = {}
    before, after = (seed_noise.spreads(seeds, kind) for seeds in own)
    return before, after


def has_own_means(base: Results, head: Results, common: Sequence[str]) -> bool:
    """Return whether both sides were repeated with several seeds and tested on the same photos."""
    return tests_all(base, head, common) and all(
        side.seeds_are_its_own and len(side.seeds["runs"]) > 1 for side in (base, head)
    )


def is_same_model(base: Results, head: Results) -> bool:
    """Return whether the model of both came from one training, by their dvc.lock."""
    return bool(base.stages.get("train")) and base.stages["train"] == head.stages.get("train")


def tests_all(base: Results, head: Results, common: Sequence[str]) -> bool:
    """Return whether the test photos of both are those in common."""
    return len(common) == len(base.test) == len(head.test)


def same_counts(base: Results, head: Results, common: Sequence[str]) -> bool:
    """Return whether the masks of both have the same counts on every test photo."""
    return tests_all(base, head, common) and all(
        base.test[name].counts == head.test[name].counts for name in common
    )


def photo_regressions(
    base: Results, head: Results, common: Sequence[str]
) -> tuple[PhotoRegression, ...]:
    """Return the photos whose IoU fell, the largest loss first."""
    old, new = (
        np.atleast_1d(metrics.image_iou(results.counts_of(side, common))).tolist()
        for side in (base, head)
    )
    regressions = [
        PhotoRegression(name, (head.test[name].groups or ("",))[-1], before, after)
        for name, before, after in zip(common, old, new, strict=True)
        if after < before
    ]
    return tuple(sorted(regressions, key=lambda photo: photo.head - photo.base))


def judge_interval(
    low: float, high: float, margin: float, direction: Direction = Direction.HIGHER
) -> Verdict:
    """Return the verdict on the interval of a difference.

    It is better or worse only if all of the interval lies more than the margin away from 0.
    """
    if direction is Direction.LOWER:
        low, high = -high, -low
    if low > margin:
        return Verdict.BETTER
    return Verdict.WORSE if high < -margin else Verdict.UNCLEAR


def format_difference(value: float | None) -> str:
    """Return a difference with its sign and 4 decimals; empty if there is none."""
    return "" if value is None else f"{value:+.4f}".replace("-", "−")


def format_metric(value: float | None) -> str:
    """Return a metric with 4 decimals, as metrics.json has it; empty if there is none."""
    return "" if value is None else f"{value:.4f}"


def format_interval(change: MetricChange) -> str:
    """Return the interval of a difference in words; empty if there is none."""
    if change.low is None:
        return ""
    return f"{format_difference(change.low)} to {format_difference(change.high)}"
