"""A review as a headline, remarks, and sections with a table each; comment and page show these."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from petseg import markup
from petseg.data.label_edits import Action, LabelEdit
from petseg.evaluation import bootstrap
from petseg.review import changes, headline, nested, power
from petseg.review.compare import (
    MetricChange,
    PhotoRegression,
    Review,
    Verdict,
    clauses,
    format_difference,
    format_interval,
    format_metric,
    is_same_model,
    same_counts,
)
from petseg.review.headline import Outcome
from petseg.review.nested import mapping
from petseg.review.results import Results, finite_numbers

MAX_NAMES = 5  # of photos, files or slices in one cell or sentence
MAX_MAIN_ROWS = 6  # of the table before everything else
# The metrics that come first in it, if they changed clearly: the others follow from these.
CHIEF_METRICS = ("native_iou", "image_iou", "boundary_iou", "precision", "recall")
MAX_ROWS = 30  # of a table whose length depends on what a user changes
MAX_PHOTOS = 10  # that got worse
MAX_SUBGROUPS = 8  # beside those with a clear change
BARS = "▁▂▃▄▅▆▇█"
CURVE_POINTS = 24  # bars of a curve
CURVES = ("loss", "val_loss", "val_accuracy", "val_iou")


class Data(str):
    """A text from data or from a commit: it may hold anything, and is only ever shown as text."""

    __slots__ = ()


Cell = str | Data


@dataclass(frozen=True)
class Section:
    """A title, a table, and a sentence where the table needs one."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


def remarks(review: Review, lagging: bool) -> list[str]:
    """Return the sentences without which the verdict could be misunderstood.

    Args:
        review: what changed from base to head.
        lagging: whether head lacks commits of base.
    """
    base, head = review.base, review.head
    sentences = [f"To compare them: {blocker.remedy}." for blocker in review.blockers]
    if not review.blockers and not same_counts(base, head, review.common):
        sentences.append(interval_note(review))
    if headline.outcome(review) is Outcome.UNCLEAR:
        sentences.append(power_note(review))
    if not review.blockers and not review.same_test_set:
        sentences.append(
            f"The test set changed: compared are the {len(review.common):,} photos in both, of "
            f"{len(base.test):,} in base and {len(head.test):,} in head."
        )
    if not review.blockers and base.faults:
        sentences.append(
            f"The numbers of {base.label} are older than its code: {clauses(base.faults)}. Compared "
            "are these numbers."
        )
    if lagging:
        sentences.append(
            f"{base.label} has commits that head lacks: their effect is in the differences, too. "
            f"`petseg review $(git merge-base BASE HEAD)` leaves it out."
        )
    sentences.append(f"Base: {commit_label(base)}. Head: {commit_label(head)}.")
    return [sentence for sentence in sentences if sentence]


def changed_note(review: Review) -> str:
    """Return in a sentence what was changed: parameters, code, data and labels."""
    base, head = review.base, review.head
    kinds = {
        "": [
            f"{key} {nested.format_value(old)} → {nested.format_value(new)}"
            for key, old, new in parameter_changes(review)
        ],
        "code: ": changes.code_changes(base, head),
        "data: ": [f"{what} {amount}" for what, amount, _ in changes.data_changes(base, head)],
        "labels of ": [name for name, _, _ in changes.label_changes(base, head)],
    }
    parts = [
        f"{kind}{', '.join(map(markup.shorten, texts[:MAX_NAMES]))}{rest_of(texts)}"
        for kind, texts in kinds.items()
        if texts
    ]
    return f"Changed: {'; '.join(parts) or 'nothing that the stages depend on'}."


def rest_of(texts: Sequence[object]) -> str:
    """Return how many texts there are beside the first few; empty if there are none."""
    return f" and {len(texts) - MAX_NAMES:,} more" if len(texts) > MAX_NAMES else ""


def slices_note(review: Review) -> str:
    """Return the slices that moved clearly, the largest change first; empty if none did."""
    parts = []
    for verdict in (Verdict.WORSE, Verdict.BETTER):
        rows = [row for row in review.slices if row.verdict is verdict]
        if rows:
            texts = (
                f"{markup.shorten(row.name)} {format_difference(row.difference)}"
                for row in rows[:MAX_NAMES]
            )
            parts.append(f"Clearly {verdict}: {', '.join(texts)}{rest_of(rows)}.")
    return " ".join(parts)


def power_note(review: Review) -> str:
    """Return how small a difference the review can tell, and what would tell a smaller one."""
    evidence, main = power.of_review(review), review.main
    if evidence is None or main is None:
        return ""
    smallest = power.smallest_difference(evidence, evidence.photos, evidence.trainings)
    each = "one training" if evidence.trainings == 1 else f"{evidence.trainings} trainings"
    text = (
        f"With {evidence.photos:,} test photos and {each} of each side, a difference in {main.title} of "
        f"{smallest:.4f} is told in four of five cases."
    )
    limit = finite_numbers(mapping(review.base.params.get("gate"))).get(main.name, 0.0)
    wanted = {"the one measured": abs(main.difference or 0.0), "the gate's limit": limit}
    return " ".join(
        [text]
        + [
            f"To tell {value:.4f}, {name}, takes {power.clause(evidence, value)}."
            for name, value in wanted.items()
            if value >= 0.00005
        ]
    )


def interval_note(review: Review) -> str:
    """Return what the intervals cover, and how much another seed changes."""
    bootstrapped = f"over photos (paired bootstrap, {bootstrap.RESAMPLES:,} resamples)"
    main = review.main
    if is_same_model(review.base, review.head):
        return f"The intervals are {bootstrapped}. Base and head have the same model."
    if main is None or not main.seed_noise:
        return (
            f"The intervals are {bootstrapped}, with one training each. By how much another seed "
            "changes the metrics was not measured on base, and it can be more: `petseg seeds -n 5` "
            "measures it."
        )
    if review.compares_means:
        counts = [len(side.seeds["runs"]) for side in (review.base, review.head)]
        compared = (
            f"Compared are the means of {counts[0]} trainings of base and {counts[1]} of head. "
        )
    else:
        compared = ""
    text = (
        f"{compared}The intervals are {bootstrapped} and over seeds: other seeds alone change "
        f"{main.title} by up to {main.seed_noise:.4f} in 19 of 20 cases."
    )
    if review.noise_is_outdated:
        text += (
            " That was measured with other code, data or parameters than base's: "
            "`petseg seeds -n 5` measures it again."
        )
    return text


def commit_label(side: Results) -> str:
    """Return the name of a commit for people: its label, hash and recipe."""
    is_hash = side.commit and side.commit.startswith(side.label)
    name = side.commit[:7] if is_hash else side.label
    commit = f" ({side.commit[:7]})" if side.commit and not is_hash else ""
    return f"{name}{commit}, recipe {side.recipe or 'none'}"


def sections(review: Review) -> list[Section]:
    """Return the sections whose table has a row."""
    candidates = (
        metrics_section(review),
        regressions_section(review),
        slices_section(review),
        curves_section(review),
        parameters_section(review),
        data_section(review),
        labels_section(review),
        stages_section(review),
    )
    return [section for section in candidates if section.rows]


def main_rows(review: Review) -> list[MetricChange]:
    """Return the metric that decides, and those that changed clearly: at most six, the chief ones."""
    if review.main is None or review.main.verdict is None:
        return []
    clear = [row for row in review.metrics if is_clear(row) and row != review.main]
    order = {name: number for number, name in enumerate(CHIEF_METRICS)}
    clear.sort(key=lambda row: order.get(row.name, len(order)))
    return [review.main, *clear][:MAX_MAIN_ROWS]


def is_clear(row: MetricChange) -> bool:
    """Return whether a metric or slice changed by more than chance."""
    return row.verdict in (Verdict.BETTER, Verdict.WORSE)


def main_section(review: Review) -> Section:
    """Return the metrics that a reviewer needs first."""
    rows = main_rows(review)
    columns: dict[str, list[Any]] = {"metric": [Data(row.name) for row in rows]}
    return section_of_columns("", columns | change_columns(rows))


def other_metrics_note(review: Review) -> str:
    """Return how many metrics beside the main section changed; empty without a verdict on any."""
    others = [row for row in review.metrics if row.verdict and row not in main_rows(review)]
    clear = sum(map(is_clear, others))
    if not others:
        return ""
    return f"Of {len(others)} other metrics, {clear} changed clearly."


def metrics_section(review: Review) -> Section:
    """Return every metric of either side; no row if none changed."""
    any_changed = any(change.base != change.head for change in review.metrics)
    metrics = review.metrics if any_changed else ()
    columns = {"metric": [Data(change.name) for change in metrics]} | change_columns(metrics)
    return section_of_columns("Metrics", columns)


def change_columns(rows: Sequence[MetricChange]) -> dict[str, list[Any]]:
    """Return the columns of a table of metrics or slices, apart from the names."""
    return {
        "base": [format_metric(row.base) for row in rows],
        "head": [format_metric(row.head) for row in rows],
        "difference": [format_difference(row.difference) for row in rows],
        "95 % interval": [format_interval(row) for row in rows],
        "seed noise": [f"±{row.seed_noise:.4f}" if row.seed_noise else "" for row in rows],
        "verdict": [row.verdict or missing_side(row) for row in rows],
    }


def missing_side(change: MetricChange) -> str:
    """Return which side alone has a metric; empty if both have it."""
    if change.base is None:
        return "only in head"
    return "only in base" if change.head is None else ""


def regressions_section(review: Review) -> Section:
    """Return the photos with the largest loss of IoU."""
    photos = largest_regressions(review)
    kinds = review.head.group_kinds
    columns: dict[str, list[Any]] = {
        "photo": [Data(photo.name) for photo in photos],
        kinds[-1] if kinds else "group": [Data(photo.group) for photo in photos],
        "base": [format_metric(photo.base) for photo in photos],
        "head": [format_metric(photo.head) for photo in photos],
        "difference": [format_difference(photo.head - photo.base) for photo in photos],
    }
    note = f"The largest losses of IoU, of {len(review.regressions):,} photos that lost."
    return section_of_columns("Photos that got worse", columns, note)


def largest_regressions(review: Review) -> list[PhotoRegression]:
    """Return the ten photos that lost the most IoU, if the loss is visible in four decimals."""
    largest = review.regressions[:MAX_PHOTOS]
    return [photo for photo in largest if photo.base - photo.head >= 0.0001]


def slices_section(review: Review) -> Section:
    """Return all groups, and the subgroups with the largest change or a clear one."""
    kinds = review.head.group_kinds
    changed = [row for row in review.slices if row.base != row.head]
    subgroups = [row for row in changed if len(kinds) > 1 and row.name.startswith(f"{kinds[1]} ")]
    groups = [row for row in changed if row not in subgroups]
    clear = [
        row for row in subgroups[MAX_SUBGROUPS:] if row.verdict in (Verdict.BETTER, Verdict.WORSE)
    ]
    rows = [*groups[:MAX_ROWS], *subgroups[:MAX_SUBGROUPS], *clear[:MAX_ROWS]]
    columns: dict[str, list[Any]] = {
        "slice": [Data(row.name) for row in rows],
        "photos": [f"{row.photos:,}" for row in rows],
    }
    note = f"IoU. The intervals hold all at once, for {len(review.slices)} slices compared."
    return section_of_columns("Groups of photos", columns | change_columns(rows), note)


def curves_section(review: Review) -> Section:
    """Return the training curves as a line of bars each, on one scale for base and head."""
    base, head = review.base.history, review.head.history
    names = [name for name in CURVES if base and head and name in base[0] and name in head[0]]
    rows = []
    for name in names if base != head else ():
        old, new = ([float(row[name]) for row in history] for history in (base, head))
        scale = min(old + new), max(old + new)
        rows.append((Data(name), sparkline(old, *scale), sparkline(new, *scale)))
    return Section("Training", ("curve", "base", "head"), rows, "By epoch, with the last value.")


def sparkline(values: Sequence[float], low: float, high: float) -> Data:
    """Return a curve as bars of which `high` is the tallest, with its last value."""
    step = max(1.0, (len(values) - 1) / (CURVE_POINTS - 1))
    count = min(len(values), CURVE_POINTS)
    points = [values[round(number * step)] for number in range(count)]
    heights = [round((value - low) / ((high - low) or 1) * (len(BARS) - 1)) for value in points]
    return Data(f"{''.join(BARS[height] for height in heights)} {values[-1]:.4f}")


def parameter_changes(review: Review) -> list[tuple[str, Any, Any]]:
    """Return the changed parameters of the recipe and limits of the gate: key, old, new."""
    base, head = review.base, review.head
    changed = nested.differences("", base.sections, head.sections)
    gates = [side.params.get("gate", nested.UNSET) for side in (base, head)]
    changed += nested.differences("gate", *gates)
    if base.recipe != head.recipe:
        changed = [("recipe", base.recipe, head.recipe), *changed]
    return changed


def parameters_section(review: Review) -> Section:
    """Return the changed parameters of the recipe, and the changed limits of the gate."""
    changed = parameter_changes(review)
    rows = [
        (Data(key), Data(nested.format_value(old)), Data(nested.format_value(new)))
        for key, old, new in changed
    ]
    gate_changed = any(key.startswith("gate") for key, _, _ in changed)
    note = "The gate's new limits are in force from the next change on." if gate_changed else ""
    return Section("Parameters", ("parameter", "base", "head"), limit_rows(rows), note)


def data_section(review: Review) -> Section:
    """Return what changed in the data."""
    rows = [
        (Data(change), Data(amount), examples(names))
        for change, amount, names in changes.data_changes(review.base, review.head)
    ]
    return Section("Data", ("change", "how much", "such as"), limit_rows(rows))


def labels_section(review: Review) -> Section:
    """Return the corrections of labels that differ; those that keep a label are only counted."""
    differing = changes.label_changes(review.base, review.head)
    changing = [row for row in differing if not all(map(is_kept, row[1:]))]
    rows = []
    for name, old, new in changing:
        edit = new or old
        assert edit
        actions = (side.action_text if side else "" for side in (old, new))
        rows.append(tuple(map(Data, (name, *actions, edit.reason, edit.who))))
    kept = len(differing) - len(changing)
    note = f"Not listed: {kept:,} that were looked at and kept as they are." if kept else ""
    return Section("Labels", ("photo", "base", "head", "reason", "who"), limit_rows(rows), note)


def is_kept(edit: LabelEdit | None) -> bool:
    """Return whether a correction leaves the label as it is; none does, too."""
    return edit is None or edit.action is Action.KEEP


def stages_section(review: Review) -> Section:
    """Return the stages that ran, and why."""
    rows = [
        (Data(stage), examples(reasons))
        for stage, reasons in changes.stages_that_ran(review.base, review.head)
    ]
    return Section("Stages that ran", ("stage", "because of"), limit_rows(rows))


def examples(names: Sequence[str]) -> Data:
    """Return the first few names, with … if there are more."""
    return Data(", ".join(names[:MAX_NAMES]) + (", …" * (len(names) > MAX_NAMES)))


def limit_rows(rows: Sequence[tuple[Cell, ...]]) -> Sequence[tuple[Cell, ...]]:
    """Return at most 30 rows, and a last one with the number of those left out."""
    if len(rows) <= MAX_ROWS:
        return rows
    rest = f"and {len(rows) - MAX_ROWS:,} more"
    return [*rows[:MAX_ROWS], (rest, *[""] * (len(rows[0]) - 1))]


def section_of_columns(title: str, columns: dict[str, list[Any]], note: str = "") -> Section:
    """Return a section of the columns that are not empty."""
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    return Section(title, tuple(filled), list(zip(*filled.values(), strict=True)), note)
