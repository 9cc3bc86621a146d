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
from petseg.review import compare
from petseg.review.agreement import PARAMS
from petseg.review.compare import Blocker, MetricChange, Review, Verdict

Tolerance = Annotated[float, Field(ge=0, le=1)]  # by which a metric may get worse
# Without an interval for the difference of two models, the gate cannot judge a metric.
GATE_METRICS = [key for key, metric in METRICS.items() if metric.has_paired_interval]


class GateResult(IntEnum):
    """The gate's decision: the exit code of `petseg gate`."""

    PASSED = 0
    REGRESSION = 3
    CANNOT_TELL = 4


@checked(frozen=True, config={"extra": "forbid"})
class OldLimit:
    """The older form of an entry of `gate`, with the direction: a base commit may have it."""

    better: Direction
    tolerance: Tolerance


def limits(source: str, document: Mapping[str, Any]) -> dict[str, float]:
    """Return the tolerance of each metric in the `gate` of a params.yaml; empty without a gate.

    Raises:
        UserError: one line with every metric that is unknown, and every value out of range.
    """
    section = document.get("gate") or {}
    if not isinstance(section, dict):
        raise UserError(
            f"{source}: gate is {section!r}; allowed: a tolerance for each metric, "
            "such as `iou: 0.005`"
        )
    if faults := [fault for key, entry in section.items() for fault in limit_faults(key, entry)]:
        raise UserError(f"{source}: {'; '.join(faults)}")
    return {
        key: float(entry["tolerance"] if isinstance(entry, dict) else entry)
        for key, entry in section.items()
    }


def limit_faults(key: str, entry: Any) -> list[str]:
    """Return what is wrong with an entry of `gate`: a tolerance, or an `OldLimit`."""
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
    """Return whether head may replace base, and one line why.

    The limits are those of base, so that a change cannot loosen its own. Nor is a change blamed for
    a difference that another seed alone could make.
    """
    try:
        tolerances = limits(f"{review.base.label}: {PARAMS}", review.base.params)
    except UserError as error:
        return GateResult.CANNOT_TELL, f"cannot tell: {error}"
    if blockers := list(find_blockers(review, tolerances)):
        reasons = (f"{blocker.reason} ({blocker.remedy})" for blocker in blockers)
        return GateResult.CANNOT_TELL, f"cannot tell: {'; '.join(reasons)}"
    limited = [change for change in review.metrics if change.name in tolerances]
    ends = {change.name: interval(review, change) for change in limited}
    texts = {
        change.name: format_change(change, *ends[change.name], tolerances[change.name])
        for change in limited
    }
    if worse := [name for name in texts if is_worse(name, *ends[name], tolerances[name])]:
        return GateResult.REGRESSION, f"regression: {'; '.join(texts[name] for name in worse)}"
    return GateResult.PASSED, f"no regression: {'; '.join(texts.values())}"


def interval(review: Review, change: MetricChange) -> tuple[float, float]:
    """Return the interval that counts: over photos and seeds, or over photos if seeds are outdated."""
    if review.noise_is_outdated and change.by_photos:
        return change.by_photos
    assert change.low is not None
    assert change.high is not None
    return change.low, change.high


def is_worse(name: str, low: float, high: float, tolerance: float) -> bool:
    """Return whether all of a metric's interval lies on the worse side of its tolerance."""
    direction = METRICS[name].direction
    return compare.judge_interval(low, high, tolerance, direction) is Verdict.WORSE


def is_doubtful(review: Review, change: MetricChange, tolerance: float) -> bool:
    """Return whether a metric is worse than its limit, unless outdated seed noise excuses it."""
    if not review.noise_is_outdated or change.low is None or change.high is None:
        return False
    return is_worse(change.name, *interval(review, change), tolerance) and not is_worse(
        change.name, change.low, change.high, tolerance
    )


def find_blockers(review: Review, tolerances: Mapping[str, float]) -> Iterator[Blocker]:
    """Yield why the gate cannot tell whether head may replace base."""
    base, head = review.base, review.head
    yield from review.blockers
    if not tolerances:
        yield Blocker(
            f"params.yaml of {base.label} has no limits",
            "add a section `gate` there first",
        )
    if review.blockers:
        return
    if base.faults:
        yield compare.faults_blocker(base, base.faults)
    if not review.same_test_set:
        yield Blocker(
            f"the test set changed ({len(review.common):,} photos are in both, of "
            f"{len(base.test):,} and {len(head.test):,})",
            "look at `petseg review`, and change the test set in a commit of its own",
        )
    doubtful = [
        change.name
        for change in review.metrics
        if change.name in tolerances and is_doubtful(review, change, tolerances[change.name])
    ]
    if doubtful:
        yield Blocker(
            f"{', '.join(doubtful)} got worse by no more than another seed changes it, but that was "
            f"measured with other code, data or parameters than those of {base.label}",
            "measure it again there with `petseg seeds -n 5`",
        )
    compared = {change.name for change in review.metrics if change.low is not None}
    if missing := [name for name in tolerances if name not in compared]:
        yield Blocker(
            f"{', '.join(missing)} cannot be compared: not in reports/metrics.json of both",
            "put it back, or change `gate` in a commit of its own",
        )


def format_change(change: MetricChange, low: float, high: float, tolerance: float) -> str:
    """Return a metric's change, its interval and its limit in words."""
    ends = " to ".join(map(compare.format_difference, (low, high)))
    return (
        f"{change.name} {change.base:.4f} → {change.head:.4f} "
        f"(95 % interval {ends}, may lose {tolerance:.4f})"
    )
