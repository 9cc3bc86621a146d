"""Two commits' results → what moved, how sure that is, and whether a gate lets it pass."""

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from stages.petseg import bootstrap, metrics, paired, params, results
from stages.petseg.errors import UserError
from stages.petseg.results import Results

BETTER, WORSE, UNCLEAR, FEW = "better", "worse", "no clear change", "few photos"
PASSED, REGRESSION, CANNOT_TELL = 0, 3, 4
LEAST = 8  # photos of a slice to say anything of it
UNSET = "unset"  # what a parameter is that was not or is no longer there
# Student's t, 97.5 %, for 1, 2, … degrees of freedom (Fisher's table III); above 30 nearly normal
STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


@checked(frozen=True, config={"extra": "forbid"})
class Limit:
    """What the gate lets a metric lose: one entry of `gate` in params.yaml."""

    better: Literal["higher", "lower"]
    tolerance: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Obstacle:
    """Why nothing can be said, and what would mend it."""

    why: str
    remedy: str


@dataclass(frozen=True)
class Move:
    """A metric, or the IoU of a slice: base, head, and what their difference is worth.

    `low` and `high` are the 95 % interval of head less base over photos; `reseed` is what two
    trainings that differ in their seed alone differ by in 19 of 20 cases. None is unknown.
    """

    name: str
    base: float | None
    head: float | None
    low: float | None = None
    high: float | None = None
    reseed: float | None = None
    verdict: str = ""
    photos: int = 0

    @property
    def title(self) -> str:
        """The name as a sentence has it."""
        return "IoU" if self.name == "iou" else self.name

    @property
    def difference(self) -> float | None:
        """Head less base."""
        return None if self.base is None or self.head is None else self.head - self.base


@dataclass(frozen=True)
class Loss:
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
    incomparable: tuple[Obstacle, ...]  # why there is no verdict
    common: tuple[str, ...]  # test photos in both, with the same content
    moves: tuple[Move, ...]
    slices: tuple[Move, ...]
    losses: tuple[Loss, ...]  # the largest first

    @property
    def same_test_set(self) -> bool:
        """Whether base and head were tested on the same photos."""
        return len(self.common) == len(self.base.test) == len(self.head.test)

    @property
    def main(self) -> Move | None:
        """The first metric that both have, IoU if they have it."""
        both = [move for move in self.moves if move.difference is not None]
        return next((move for move in both if move.name == "iou"), both[0] if both else None)


def compare(base: Results, head: Results) -> Review:
    """Return what moved from base to head; with verdicts, if the two can be compared."""
    common = common_photos(base, head)
    incomparable = tuple(obstacles(base, head, common))
    if incomparable:
        return Review(base, head, incomparable, common, side_by_side(base, head), (), ())
    moves, slices = judged_metrics(base, head, common), judged_slices(base, head, common)
    return Review(base, head, (), common, moves, slices, losses(base, head, common))


def common_photos(base: Results, head: Results) -> tuple[str, ...]:
    """Return the test photos in both, by name; a photo whose content changed is not the same."""
    found = [
        name
        for name in base.test.keys() & head.test.keys()
        if base.test[name].sha256 == head.test[name].sha256
    ]
    return tuple(sorted(found))


def obstacles(base: Results, head: Results, common: Sequence[str]) -> Iterator[Obstacle]:
    """Yield why base and head cannot be compared."""
    for side in (base, head):
        if not side.metrics:
            yield Obstacle(
                f"{side.label} has no reports/metrics.json",
                "run `dvc repro` there and commit `dvc.lock` and `reports/`",
            )
    if not (base.metrics and head.metrics):
        return
    if base.recipe != head.recipe:
        yield Obstacle(
            f"{base.label} has recipe {base.recipe}, {head.label} has {head.recipe}",
            "compare commits of one recipe (`petseg use`)",
        )
    elif bare := [side.label for side in (base, head) if not side.test]:
        yield Obstacle(
            f"{' and '.join(bare)} has no counts by photo in reports/per_image.csv",
            "run `dvc repro` there and commit `reports/`",
        )
    elif not common:
        yield Obstacle(
            "no test photo is in both with the same content", "evaluate both on the same test set"
        )
    elif (old := pixels(base, common)) != (new := pixels(head, common)):
        yield Obstacle(
            f"the test photos were measured at other sizes ({old:,} against {new:,} pixels in all)",
            "set the same `preprocess.image_size`",
        )


def pixels(found: Results, names: Sequence[str]) -> int:
    """Return how many pixels these test photos have."""
    return int(results.counts_of(found, names).sum())


def side_by_side(base: Results, head: Results) -> tuple[Move, ...]:
    """Return the metrics of both without a verdict."""
    names = dict.fromkeys([*base.metrics, *head.metrics])
    return tuple(Move(name, base.metrics.get(name), head.metrics.get(name)) for name in names)


def judged_metrics(base: Results, head: Results, common: Sequence[str]) -> tuple[Move, ...]:
    """Return every metric of both, on the common photos, with interval and verdict."""
    before, after = results.measured_alike(base, head, common)
    old, new = metrics.headline(before), metrics.headline(after)
    samples = paired.differences(before, after)
    limits = directions(base)
    reseeds = reseed(base.seeds, "metrics")
    moves = []
    for move in side_by_side(base, head):
        if move.name not in samples or move.difference is None:
            moves.append(move)
            continue
        low, high = bootstrap.interval(samples[move.name])
        slack = reseeds.get(move.name)
        usual = "lower" if move.name in metrics.LESS_IS_BETTER else "higher"
        verdict = judge(low, high, slack or 0.0, limits.get(move.name, usual))
        values = (old[move.name], new[move.name], low, high, slack, verdict, len(common))
        moves.append(Move(move.name, *values))
    return tuple(moves)


def judged_slices(base: Results, head: Results, common: Sequence[str]) -> tuple[Move, ...]:
    """Return the IoU of every species and breed, on the common photos, largest move first."""
    chosen = set(common)
    members = {
        key: names
        for key, found in results.slices(head).items()
        if (names := [name for name in found if name in chosen])
    }
    judged = sum(len(names) >= LEAST for names in members.values())
    reseeds = reseed(base.seeds, "slices")
    moves = []
    for seed, (key, names) in enumerate(members.items(), start=bootstrap.SEED + 1):
        old, new = results.counts_of(base, names), results.counts_of(head, names)
        ious = metrics.dataset_iou(old), metrics.dataset_iou(new)
        low = high = math.inf
        if len(names) >= LEAST:
            low, high = paired.iou_interval(old, new, judged, seed)
        if math.isinf(low):
            moves.append(Move(key, *ious, verdict=FEW, photos=len(names)))
            continue
        slack = reseeds.get(key)
        verdict = judge(low, high, slack or 0.0)
        moves.append(Move(key, *ious, low, high, slack, verdict, len(names)))
    return tuple(sorted(moves, key=lambda move: -abs(move.difference or 0)))


def losses(base: Results, head: Results, common: Sequence[str]) -> tuple[Loss, ...]:
    """Return the photos whose IoU fell, the largest loss first."""
    old, new = (
        np.atleast_1d(metrics.image_iou(results.counts_of(side, common))).tolist()
        for side in (base, head)
    )
    fallen = [
        Loss(name, head.test[name].breed, before, after)
        for name, before, after in zip(common, old, new, strict=True)
        if after < before
    ]
    return tuple(sorted(fallen, key=lambda loss: loss.head - loss.base))


def judge(low: float, high: float, slack: float, better: str = "higher") -> str:
    """Return the verdict on an interval: clear only if all of it lies beyond the slack."""
    if better == "lower":
        low, high = -high, -low
    if low > slack:
        return BETTER
    return WORSE if high < -slack else UNCLEAR


def reseed(seeds: Mapping[str, Any], kind: str) -> dict[str, float]:
    """Return by how much two trainings with other seeds differ in 19 of 20 cases, by name.

    With s, the standard deviation over n seeds, the difference of two trainings spreads by
    √2·s; Student's t for n − 1 degrees of freedom allows for s being an estimate.

    Args:
        seeds: a file that `petseg seeds` wrote; empty where nothing was measured.
        kind: metrics or slices.
    """
    runs = [results.finite(run.get(kind, {})) for run in seeds.get("runs", [])]
    if len(runs) < 2:
        return {}
    student = STUDENT[min(len(runs) - 1, len(STUDENT)) - 1]
    shared = set.intersection(*(set(run) for run in runs))
    return {name: student * 2**0.5 * statistics.stdev(run[name] for run in runs) for name in shared}


def limits(label: str, document: Mapping[str, Any]) -> dict[str, Limit]:
    """Return the gate's limits in a params.yaml; empty where it has none.

    Raises:
        UserError: one line with every key that is unknown, missing or out of range.
    """
    adapter = TypeAdapter(dict[str, Limit])
    try:
        return adapter.validate_python(document.get("gate") or {})
    except ValidationError as error:
        schema = TypeAdapter(Limit).json_schema()
        faults = [
            params.explain(schema, f"gate.{detail['loc'][0]}", detail | {"loc": detail["loc"][1:]})
            for detail in error.errors()
        ]
        raise UserError(f"{label}: {results.PARAMS}: {'; '.join(faults)}") from None


def directions(found: Results) -> dict[str, str]:
    """Return which way each of the gate's metrics is better."""
    return {name: limit.better for name, limit in limits(found.label, found.params).items()}


def decide(review: Review) -> tuple[int, str]:
    """Return whether head may replace base: an exit code, and one line why.

    The limits are base's, so that a change cannot loosen its own. What a mere reseed moves is
    never held against it.
    """
    wanted = limits(review.base.label, review.base.params)
    if doubts := list(uncertain(review, wanted)):
        return CANNOT_TELL, "cannot tell: " + "; ".join(f"{d.why}: {d.remedy}" for d in doubts)
    judged = [
        (move, max(wanted[move.name].tolerance, move.reseed or 0.0))
        for move in review.moves
        if move.name in wanted
    ]
    fallen = [
        told(move, slack)
        for move, slack in judged
        if move.low is not None
        and move.high is not None
        and judge(move.low, move.high, slack, wanted[move.name].better) == WORSE
    ]
    if fallen:
        return REGRESSION, "regression: " + "; ".join(fallen)
    return PASSED, "no regression: " + "; ".join(told(move, slack) for move, slack in judged)


def uncertain(review: Review, wanted: Mapping[str, Limit]) -> Iterator[Obstacle]:
    """Yield why the gate cannot tell."""
    base, head = review.base, review.head
    yield from review.incomparable
    if not wanted:
        yield Obstacle(
            f"params.yaml of {base.label} has no limits",
            "add a section `gate` there first",
        )
    for side in (base, head):
        if side.faults:
            yield Obstacle(
                f"the results of {side.label} are not of its code: {'; '.join(side.faults[:3])}",
                "run `dvc repro` there and commit `dvc.lock` and `reports/`",
            )
    if review.incomparable:
        return
    if not review.same_test_set:
        yield Obstacle(
            f"the test set changed ({len(review.common):,} photos are in both, of "
            f"{len(base.test):,} and {len(head.test):,})",
            "look at `petseg review`, and change the test set in a commit of its own",
        )
    judged = {move.name for move in review.moves if move.low is not None}
    if missing := [name for name in wanted if name not in judged]:
        yield Obstacle(
            f"{', '.join(missing)} cannot be compared: not in reports/metrics.json of both",
            "put it back, or change `gate` in a commit of its own",
        )


def told(move: Move, slack: float) -> str:
    """Return a judged metric in words."""
    return (
        f"{move.name} {move.base:.4f} → {move.head:.4f} (95 % interval {signed(move.low)} to "
        f"{signed(move.high)}, may lose {slack:.4f})"
    )


def signed(value: float | None) -> str:
    """Return a difference with its sign; empty if there is none."""
    return "" if value is None else f"{value:+.4f}".replace("-", "−")


def differences(key: str, before: Any, now: Any) -> list[tuple[str, Any, Any]]:
    """Return each value that differs between two nested mappings: its dotted key, old, new."""
    kinds = {type(side) for side in (before, now) if side != UNSET}
    if kinds == {dict}:
        old, new = ({} if side == UNSET else side for side in (before, now))
        return [
            change
            for name in dict.fromkeys([*old, *new])
            for change in differences(
                f"{key}.{name}".lstrip("."), old.get(name, UNSET), new.get(name, UNSET)
            )
        ]
    return [] if before == now else [(key, before, now)]


def shown(value: Any) -> str:
    """Return a parameter's value as params.yaml has it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def stages_that_ran(base: Results, head: Results) -> list[tuple[str, list[str]]]:
    """Return the stages whose entry in dvc.lock changed, with what made them run."""
    changed = []
    for stage, now in head.stages.items():
        before = base.stages.get(stage)
        if before is None:
            changed.append((stage, ["it is new"]))
        elif before != now:
            same = "the same inputs gave other outputs: another machine, or a forced run"
            changed.append((stage, inputs_changed(before, now) or [same]))
    return changed


def inputs_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return which of a stage's command, parameters and dependencies differ."""
    old, new = ({dep["path"]: dep for dep in entry.get("deps", [])} for entry in (before, now))
    words = ["its command"] if before.get("cmd") != now.get("cmd") else []
    words += ["its parameters"] if before.get("params") != now.get("params") else []
    return words + [path for path in dict.fromkeys([*old, *new]) if old.get(path) != new.get(path)]


def data_changes(base: Results, head: Results) -> list[tuple[str, str, list[str]]]:
    """Return what changed in the data: what, how much, and names (base's and head's hashes too)."""
    old, new = base.photos, head.photos
    if not (old and new):
        return []
    groups: dict[str, list[str]] = {}
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            groups.setdefault(f"added to {new[name][0]}", []).append(name)
        elif name not in new:
            groups.setdefault(f"removed from {old[name][0]}", []).append(name)
        else:
            if old[name][0] != new[name][0]:
                groups.setdefault(f"moved from {old[name][0]} to {new[name][0]}", []).append(name)
            if old[name][1] != new[name][1]:
                groups.setdefault(f"with other content in {new[name][0]}", []).append(name)
    rows = [(f"photos {what}", f"{len(names):,}", names) for what, names in groups.items()]
    facts = [side.data.get("source", {}) | side.data.get("rejected", {}) for side in (base, head)]
    for key, before, now in differences("", *facts):
        rows.append((key, f"{short(before)} → {short(now)}", []))
    return rows


def short(value: Any) -> str:
    """Return a fact in a few characters: the start of a hash."""
    text = str(value)
    return text[:12] if len(text) == 64 else text
