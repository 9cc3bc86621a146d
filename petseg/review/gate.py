"""Whether a change may replace its base: the limits, the decision and its exit code."""

import json
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from petseg import params
from petseg.errors import UserError
from petseg.evaluation.metrics import METRICS, Direction
from petseg.review import compare, results
from petseg.review.compare import Blocker, MetricChange, Review, Verdict

# By how much a metric may get worse. One that is no key of METRICS, or that has no interval for the
# difference of two models, cannot be judged.
Tolerance = Annotated[float, Field(ge=0, le=1)]
GATE_METRICS = [key for key, metric in METRICS.items() if metric.has_paired_interval]


class GateResult(IntEnum):
    """The gate's decision: the exit code of `petseg gate`."""

    PASSED = 0
    REGRESSION = 3
    CANNOT_TELL = 4


@checked(frozen=True, config={"extra": "forbid"})
class OldLimit:
    """An entry of `gate` in a base commit from before the direction came from the registry."""

    better: Direction
    tolerance: Tolerance


def limits(label: str, document: Mapping[str, Any]) -> dict[str, float]:
    """Return the tolerance of each metric in the `gate` of a params.yaml; empty without a gate.

    Raises:
        UserError: one line with every metric that is unknown, and every value out of range.
    """
    section = document.get("gate") or {}
    if not isinstance(section, dict):
        raise UserError(
            f"{label}: {results.PARAMS}: gate is {section!r}; allowed: a tolerance for each metric, "
            "such as `iou: 0.005`"
        )
    if faults := [fault for key, entry in section.items() for fault in limit_faults(key, entry)]:
        raise UserError(f"{label}: {results.PARAMS}: {'; '.join(faults)}")
    return {
        key: float(entry["tolerance"] if isinstance(entry, dict) else entry)
        for key, entry in section.items()
    }


def limit_faults(key: str, entry: Any) -> list[str]:
    """Return what is wrong with an entry of `gate`: a tolerance, or the older {better, tolerance}."""
    if key not in GATE_METRICS:
        return [f"gate.{key} is unknown; known: {', '.join(GATE_METRICS)}"]
    adapter = TypeAdapter[Any](OldLimit if isinstance(entry, dict) else Tolerance)
    try:
        adapter.validate_json(json.dumps(entry, default=str), strict=True)
    except ValidationError as error:
        schema = adapter.json_schema()
        return [params.explain(schema, f"gate.{key}", detail) for detail in error.errors()]
    direction = METRICS[key].direction
    if isinstance(entry, dict) and entry["better"] != direction:
        return [f"gate.{key}.better is {entry['better']!r}; allowed: {direction}"]
    return []


def decide(review: Review) -> tuple[GateResult, str]:
    """Return whether head may replace base: an exit code, and one line why.

    The limits are base's, so that a change cannot loosen its own. What a mere reseed moves is
    never held against it.
    """
    wanted = limits(review.base.label, review.base.params)
    if doubts := list(find_blockers(review, wanted)):
        return GateResult.CANNOT_TELL, "cannot tell: " + "; ".join(
            f"{d.why}: {d.remedy}" for d in doubts
        )
    judged = [
        (move, max(wanted[move.name], move.seed_noise or 0.0))
        for move in review.moves
        if move.name in wanted
    ]
    fallen = [
        format_change(move, slack)
        for move, slack in judged
        if move.low is not None
        and move.high is not None
        and compare.judge_interval(move.low, move.high, slack, METRICS[move.name].direction)
        is Verdict.WORSE
    ]
    if fallen:
        return GateResult.REGRESSION, "regression: " + "; ".join(fallen)
    return GateResult.PASSED, "no regression: " + "; ".join(
        format_change(move, slack) for move, slack in judged
    )


def find_blockers(review: Review, wanted: Mapping[str, float]) -> Iterator[Blocker]:
    """Yield why the gate cannot tell."""
    base, head = review.base, review.head
    yield from review.incomparable
    if not wanted:
        yield Blocker(
            f"params.yaml of {base.label} has no limits",
            "add a section `gate` there first",
        )
    for side in (base, head):
        if side.faults:
            yield Blocker(
                f"the results of {side.label} are not of its code: {'; '.join(side.faults[:3])}",
                "run `dvc repro` there and commit `dvc.lock` and `reports/`",
            )
    if review.incomparable:
        return
    if not review.same_test_set:
        yield Blocker(
            f"the test set changed ({len(review.common):,} photos are in both, of "
            f"{len(base.test):,} and {len(head.test):,})",
            "look at `petseg review`, and change the test set in a commit of its own",
        )
    judged = {move.name for move in review.moves if move.low is not None}
    if missing := [name for name in wanted if name not in judged]:
        yield Blocker(
            f"{', '.join(missing)} cannot be compared: not in reports/metrics.json of both",
            "put it back, or change `gate` in a commit of its own",
        )


def format_change(move: MetricChange, slack: float) -> str:
    """Return a judged metric in words."""
    return (
        f"{move.name} {move.base:.4f} → {move.head:.4f} (95 % interval {compare.format_difference(move.low)} to "
        f"{compare.format_difference(move.high)}, may lose {slack:.4f})"
    )
