"""Whether a change may replace its base: the decision and its exit code."""

from collections.abc import Iterator, Mapping
from enum import IntEnum

from petseg.evaluation.metrics import METRICS
from petseg.review import compare
from petseg.review.compare import Blocker, Limit, MetricChange, Review, Verdict


class GateResult(IntEnum):
    """The gate's decision: the exit code of `petseg gate`."""

    PASSED = 0
    REGRESSION = 3
    CANNOT_TELL = 4


def decide(review: Review) -> tuple[GateResult, str]:
    """Return whether head may replace base: an exit code, and one line why.

    The limits are base's, so that a change cannot loosen its own. What a mere reseed moves is
    never held against it.
    """
    wanted = compare.limits(review.base.label, review.base.params)
    if doubts := list(find_blockers(review, wanted)):
        return GateResult.CANNOT_TELL, "cannot tell: " + "; ".join(
            f"{d.why}: {d.remedy}" for d in doubts
        )
    judged = [
        (move, max(wanted[move.name].tolerance, move.seed_noise or 0.0))
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


def find_blockers(review: Review, wanted: Mapping[str, Limit]) -> Iterator[Blocker]:
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
