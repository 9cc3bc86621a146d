"""What a review comes to, in a sentence and in a title: comment, page, proposal and artifact share it."""

from enum import StrEnum

from petseg import markup
from petseg.review.compare import (
    Review,
    Verdict,
    clauses,
    format_difference,
    format_interval,
    format_metric,
    same_counts,
)

MAX_SLICES = 3  # in the headline


class Outcome(StrEnum):
    """What the comparison of two commits comes to."""

    NOT_RUN = "not run"
    NO_VERDICT = "no verdict"
    SAME = "no change"
    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "no clear change"


OUTCOMES = {
    Verdict.BETTER: Outcome.BETTER,
    Verdict.WORSE: Outcome.WORSE,
    Verdict.UNCLEAR: Outcome.UNCLEAR,
}


def outcome(review: Review) -> Outcome:
    """Return what the review comes to; whatever cannot be known is no verdict."""
    if review.head.due:
        return Outcome.NOT_RUN
    if review.blockers or review.main is None:
        return Outcome.NO_VERDICT
    if same_counts(review.base, review.head, review.common):
        return Outcome.SAME
    return OUTCOMES.get(review.main.verdict or Verdict.FEW_PHOTOS, Outcome.NO_VERDICT)


def headline(review: Review) -> str:
    """Return the outcome in one sentence, with the reason or the numbers for it."""
    result = outcome(review)
    name = str(result).capitalize()
    if result is Outcome.NOT_RUN:
        return f"{name}: {clauses(review.head.faults)}. Due: {', '.join(review.head.due)}."
    if review.blockers:
        return f"{name}: {'; '.join(blocker.reason for blocker in review.blockers)}."
    if review.main is None:
        return f"{name}: no metric is in both."
    change = review.main
    values = f"test {change.title} {format_metric(change.base)} → {format_metric(change.head)}"
    if result is Outcome.SAME:
        return f"{name}: every test photo has the same counts, {values}."
    interval = f"{format_difference(change.difference)}, 95 % interval {format_interval(change)}"
    worse = [markup.shorten(row.name) for row in review.slices if row.verdict is Verdict.WORSE]
    worse_slices = f"; clearly worse: {', '.join(worse[:MAX_SLICES])}" if worse else ""
    photos = f"over {len(review.common):,} photos"
    return f"{name}: {values} ({interval} {photos}){worse_slices}."


def title(review: Review) -> str:
    """Return the outcome as the end of a title, with numbers only if there is a verdict on them."""
    result, change = outcome(review), review.main
    if change is None or result in (Outcome.NOT_RUN, Outcome.NO_VERDICT):
        return str(result)
    values = f"test {change.title} {format_metric(change.base)}"
    if result is Outcome.SAME:
        return f"{result}, {values}"
    return f"{values} → {format_metric(change.head)}, {result}"
