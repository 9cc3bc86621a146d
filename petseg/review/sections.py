"""A review as sections of tables, and these as one Markdown comment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from petseg.evaluation import bootstrap
from petseg.review import changes, compare, results
from petseg.review.compare import MetricChange, PhotoRegression, Review, Verdict

ROWS = 30  # of a table of what a user can change without bounds
MAX_ROWS = {"losses": 10, "breeds": 8}
MAX_NAMES = 5  # such as these
BARS = "▁▂▃▄▅▆▇█"
CURVE_POINTS = 24  # of a curve drawn in one line
CURVES = ("loss", "val_loss", "val_accuracy", "val_iou")


class Data(str):
    """A text from data or from a commit: shown as it is, whatever it holds."""

    __slots__ = ()


Cell = str | Data


@dataclass(frozen=True)
class Section:
    """A title, a sentence where one is needed, and a table."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


def headline(found: Review) -> str:
    """Return the verdict in one sentence."""
    if found.incomparable:
        return f"No verdict: {'; '.join(why.why for why in found.incomparable)}."
    move = found.main
    if move is None:
        return "No verdict: no metric is in both."
    words = f"test {move.title} {format_metric(move.base)} → {format_metric(move.head)}"
    if counted_alike(found):
        return f"No change: every test photo has the same counts, {words}."
    interval = f"{format_difference(move.difference)}, 95 % interval {interval_of(move)}"
    photos = f"over {len(found.common):,} photos"
    broken = [each.name for each in found.slices if each.verdict is Verdict.WORSE]
    aside = f"; clearly worse: {', '.join(broken[:MAX_NAMES])}" if broken else ""
    verdict = (move.verdict or "no verdict").capitalize()
    return f"{verdict}: {words} ({interval} {photos}){aside}."


def counted_alike(found: Review) -> bool:
    """Return whether head segments each common photo as base does."""
    return found.same_test_set and all(
        found.base.test[name].counts == found.head.test[name].counts for name in found.common
    )


def remarks(found: Review, lagging: bool) -> list[str]:
    """Return what a reader must know to take the verdict for what it is."""
    base, head = found.base, found.head
    said = [f"Base: {commit_label(base)}. Head: {commit_label(head)}."]
    said += [f"To compare them: {why.remedy}." for why in found.incomparable]
    if lagging:
        said.append(
            f"{base.label} has commits that head lacks: their effect is in the differences, too. "
            f"`petseg review $(git merge-base BASE HEAD)` leaves it out."
        )
    for side in (base, head):
        if side.faults:
            more = (
                f" and {len(side.faults) - MAX_NAMES} more" if len(side.faults) > MAX_NAMES else ""
            )
            said.append(
                f"The results of {side.label} are not of its code: "
                f"{'; '.join(side.faults[:MAX_NAMES])}{more}. `dvc repro` makes them anew."
            )
    if not found.incomparable and not found.same_test_set:
        said.append(
            f"The test set changed: compared are the {len(found.common):,} photos in both, of "
            f"{len(base.test):,} in base and {len(head.test):,} in head."
        )
    if not found.incomparable and not counted_alike(found):
        said.append(interval_note(found))
    return said


def interval_note(found: Review) -> str:
    """Return what the intervals are, and what they leave out."""
    text = (
        f"The intervals are over photos (paired bootstrap, {bootstrap.RESAMPLES:,} resamples), "
        "with one training each. "
    )
    seeds, main = found.base.seeds, found.main
    if main is None or main.seed_noise is None:
        return text + (
            "By how much a mere reseed moves the metrics was not measured on base, and it can be "
            "more: `petseg seeds -n 5` measures it."
        )
    text += (
        f"Two trainings that differ in their seed alone differ by up to {main.seed_noise:.4f} in "
        f"{main.title} in 19 of 20 cases (measured on {len(seeds['runs'])} seeds): a change is "
        "clear if its interval lies beyond that."
    )
    if seeds.get("trained_from") != results.trained_from(found.base.stages):
        text += (
            " That was measured with other code, data or parameters than base's: "
            "`petseg seeds -n 5` measures it anew."
        )
    return text


def commit_label(side: results.Results) -> str:
    """Return which commit a side is, and of which recipe."""
    known = side.commit and side.commit.startswith(side.label)
    name = side.commit[:7] if known else side.label
    commit = f" ({side.commit[:7]})" if side.commit and not known else ""
    return f"{name}{commit}, recipe {side.recipe or 'none'}"


def sections(found: Review) -> list[Section]:
    """Return the sections that have something to say."""
    made = [
        metrics_section(found),
        regressions_section(found),
        slices_section(found),
        curves_section(found),
        parameters_section(found),
        data_section(found),
        stages_section(found),
    ]
    return [section for section in made if section.rows]


def metrics_section(found: Review) -> Section:
    """Return every metric of either side; nothing if they are all equal."""
    moves = found.moves if any(move.base != move.head for move in found.moves) else ()
    columns: dict[str, list[Any]] = {
        "metric": [Data(move.name) for move in moves],
        "base": [format_metric(move.base) for move in moves],
        "head": [format_metric(move.head) for move in moves],
        "difference": [format_difference(move.difference) for move in moves],
        "95 % interval": [interval_of(move) for move in moves],
        "by reseed": [
            "" if move.seed_noise is None else f"±{move.seed_noise:.4f}" for move in moves
        ],
        "verdict": [move.verdict or missing_side(move) for move in moves],
    }
    return section_of_columns("Metrics", columns)


def missing_side(move: MetricChange) -> str:
    """Return on which side alone a metric is."""
    if move.base is None:
        return "only in head"
    return "only in base" if move.head is None else ""


def regressions_section(found: Review) -> Section:
    """Return the photos with the largest loss of IoU."""
    rows = [
        (
            Data(loss.name),
            Data(loss.breed),
            format_metric(loss.base),
            format_metric(loss.head),
            format_difference(loss.head - loss.base),
        )
        for loss in largest_regressions(found)
    ]
    note = f"The largest losses of IoU, of {len(found.regressions):,} photos that lost."
    header = ("photo", "breed", "base", "head", "difference")
    return Section("Photos that got worse", header, rows, note)


def largest_regressions(found: Review) -> list[PhotoRegression]:
    """Return the losses that are shown: those that four decimals can tell."""
    return [
        loss for loss in found.regressions[: MAX_ROWS["losses"]] if loss.base - loss.head >= 0.0001
    ]


def slices_section(found: Review) -> Section:
    """Return both species, and the breeds with the largest or a clear move."""
    moving = [move for move in found.slices if move.base != move.head]
    species = [move for move in moving if move.name.startswith("species")]
    breeds = [move for move in moving if move.name.startswith("breed")]
    clear = [
        m for m in breeds[MAX_ROWS["breeds"] :] if m.verdict in (Verdict.BETTER, Verdict.WORSE)
    ]
    shown = [*species, *breeds[: MAX_ROWS["breeds"]], *clear[:ROWS]]
    columns: dict[str, list[Any]] = {
        "slice": [Data(move.name) for move in shown],
        "photos": [f"{move.photos:,}" for move in shown],
        "base": [format_metric(move.base) for move in shown],
        "head": [format_metric(move.head) for move in shown],
        "difference": [format_difference(move.difference) for move in shown],
        "95 % interval": [interval_of(move) for move in shown],
        "by reseed": [
            "" if move.seed_noise is None else f"±{move.seed_noise:.4f}" for move in shown
        ],
        "verdict": [move.verdict or "" for move in shown],
    }
    note = f"IoU. The intervals hold all at once, for {len(found.slices)} slices looked at."
    return section_of_columns("Species and breeds", columns, note)


def curves_section(found: Review) -> Section:
    """Return the training curves as a line of bars each, on one scale for base and head."""
    base, head = found.base.history, found.head.history
    names = [name for name in CURVES if base and head and name in base[0] and name in head[0]]
    rows = []
    for name in names if base != head else ():
        old, new = ([float(row[name]) for row in side] for side in (base, head))
        scale = min(old + new), max(old + new)
        rows.append((Data(name), sparkline(old, *scale), sparkline(new, *scale)))
    return Section("Training", ("curve", "base", "head"), rows, "By epoch, with the last value.")


def sparkline(values: Sequence[float], low: float, high: float) -> Data:
    """Return a curve as bars, with its last value."""
    step = max(1.0, (len(values) - 1) / (CURVE_POINTS - 1))
    count = min(len(values), CURVE_POINTS)
    chosen = [values[round(number * step)] for number in range(count)]
    heights = [round((value - low) / ((high - low) or 1) * (len(BARS) - 1)) for value in chosen]
    return Data(f"{''.join(BARS[height] for height in heights)} {values[-1]:.4f}")


def parameters_section(found: Review) -> Section:
    """Return which parameters of the recipe changed, and the gate's."""
    base, head = found.base, found.head
    moved = changes.differences("", base.sections, head.sections)
    gates = [side.params.get("gate", changes.UNSET) for side in (base, head)]
    moved += changes.differences("gate", *gates)
    if base.recipe != head.recipe:
        moved = [("recipe", base.recipe, head.recipe), *moved]
    rows = [
        (Data(key), Data(changes.format_value(old)), Data(changes.format_value(new)))
        for key, old, new in moved
    ]
    gate = any(key.startswith("gate") for key, _, _ in moved)
    note = "New limits of the gate hold for what comes after." if gate else ""
    return Section("Parameters", ("parameter", "base", "head"), limit_rows(rows), note)


def data_section(found: Review) -> Section:
    """Return what changed in the data."""
    rows = [
        (
            Data(what),
            Data(much),
            Data(", ".join(names[:MAX_NAMES]) + (", …" * (len(names) > MAX_NAMES))),
        )
        for what, much, names in changes.data_changes(found.base, found.head)
    ]
    return Section("Data", ("change", "how much", "such as"), limit_rows(rows))


def stages_section(found: Review) -> Section:
    """Return the stages that ran, and why."""
    rows = [
        (Data(stage), Data(", ".join(words[:MAX_NAMES]) + (", …" * (len(words) > MAX_NAMES))))
        for stage, words in changes.stages_that_ran(found.base, found.head)
    ]
    return Section("Stages that ran", ("stage", "because of"), limit_rows(rows))


def limit_rows(rows: Sequence[tuple[Cell, ...]]) -> Sequence[tuple[Cell, ...]]:
    """Return the first rows, and in how many there are more."""
    if len(rows) <= ROWS:
        return rows
    return [*rows[:ROWS], (f"and {len(rows) - ROWS:,} more", *[""] * (len(rows[0]) - 1))]


def section_of_columns(title: str, columns: dict[str, list[Any]], note: str = "") -> Section:
    """Return a section of the columns in which anything stands."""
    used = {name: cells for name, cells in columns.items() if any(cells)}
    return Section(title, tuple(used), list(zip(*used.values(), strict=True)), note)


def format_metric(value: float | None) -> str:
    """Return a metric as metrics.json has it."""
    return "" if value is None else f"{value:.4f}"


def format_difference(value: float | None) -> str:
    """Return a difference with its sign."""
    return compare.format_difference(value)


def interval_of(move: MetricChange) -> str:
    """Return an interval in words."""
    return (
        ""
        if move.low is None
        else f"{format_difference(move.low)} to {format_difference(move.high)}"
    )
