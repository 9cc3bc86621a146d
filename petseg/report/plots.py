"""The plots of the report and of a review as SVG.

Training curves, thresholds, reliability, the doubtful masks, confusion.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Row = dict[str, str]
# Okabe and Ito's palette, which people with colour blindness can read; the orange is darker than theirs
BLUE, ORANGE, GREEN = (0, 114, 178), (230, 120, 0), (0, 158, 115)
INK = (36, 41, 47)
CURVES = {
    "loss": "Loss",
    "accuracy": "Pixel accuracy",
    "iou": "IoU",
}
STYLE: Any = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "svg.hashsalt": "petseg",  # without it, equal figures differ in the names of their parts
    "svg.fonttype": "none",
}


def to_fractions(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    """Return an RGB colour of 0–255 as fractions of 0–1, as matplotlib takes it."""
    red, green, blue = colour
    return red / 255, green / 255, blue / 255


def draw_line(axis: Axes, history: Sequence[Row], column: str, label: str, first: bool) -> None:
    """Draw one column of a history by epoch, in the style of the first or the second line."""
    epochs = [int(row["epoch"]) for row in history]
    style: Any = {"marker": "o", "ls": "-"} if first else {"marker": "s", "ls": "--"}
    colour = to_fractions(BLUE if first else ORANGE)
    axis.plot(
        epochs, [float(row[column]) for row in history], color=colour, ms=3, label=label, **style
    )


def by_epoch(draw: Callable[[Axes, str], None]) -> str:
    """Return an SVG with a plot by epoch for each of `CURVES`; `draw(axis, name)` fills one."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 3.2), layout="constrained")
        for axis, (name, title) in zip(figure.subplots(1, 3), CURVES.items(), strict=True):
            draw(axis, name)
            axis.set(title=title, xlabel="epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
        figure.axes[0].legend(frameon=False)
        return svg(figure)


def curves(history: Sequence[Row], best_epoch: int) -> str:
    """Return an SVG with loss, accuracy and IoU by epoch; a vertical line marks the best epoch."""

    def draw(axis: Axes, name: str) -> None:
        draw_line(axis, history, name, "training", first=True)
        draw_line(axis, history, f"val_{name}", "validation", first=False)
        label = f"model: epoch {best_epoch}"
        axis.axvline(best_epoch, color=to_fractions(INK), lw=0.8, ls=":", label=label)

    return by_epoch(draw)


def two_histories(base: Sequence[Row], head: Sequence[Row]) -> str:
    """Return an SVG with the validation curves of two trainings, base against head."""

    def draw(axis: Axes, name: str) -> None:
        draw_line(axis, base, f"val_{name}", "base", first=True)
        draw_line(axis, head, f"val_{name}", "head", first=False)

    return by_epoch(draw)


def unit_plot(title: str, xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    """Return a figure of one plot, legible at half the page's width, with both axes from 0 to 1."""
    figure = Figure(figsize=(4.8, 3.8), layout="constrained")
    axis = figure.subplots()
    axis.set(title=title, xlabel=xlabel, ylabel=ylabel, xlim=(0, 1.01), ylim=(0, 1.01))
    return figure, axis


def column(rows: Sequence[Row], name: str) -> list[float]:
    """Return one column's numbers."""
    return [float(row[name]) for row in rows]


def nearest_row(rows: Sequence[Row], threshold: float) -> Row:
    """Return the row whose threshold is nearest to the one in use."""
    return min(rows, key=lambda row: abs(float(row["threshold"]) - threshold))


def precision_recall(rows: Sequence[Row], threshold: float) -> str:
    """Return an SVG of the precision–recall curve with the threshold in use marked."""
    with mpl.rc_context(STYLE):
        figure, axis = unit_plot("Precision and recall", "recall", "precision")
        axis.plot(column(rows, "recall"), column(rows, "precision"), color=to_fractions(BLUE))
        row = nearest_row(rows, threshold)
        axis.plot(
            float(row["recall"]),
            float(row["precision"]),
            "o",
            color=to_fractions(ORANGE),
            label=f"threshold {threshold:.2f}",
        )
        axis.legend(frameon=False, loc="lower left")
        return svg(figure)


def sweep(rows: Sequence[Row], threshold: float) -> str:
    """Return an SVG of IoU, Dice and accuracy by threshold, the one in use marked."""
    lines = {"iou": ("IoU", BLUE, "-"), "dice": ("Dice", ORANGE, "--")}
    lines |= {"accuracy": ("accuracy", GREEN, ":")}
    with mpl.rc_context(STYLE):
        figure, axis = unit_plot("By threshold", "threshold", "score")
        for name, (label, colour, style) in lines.items():
            values = column(rows, name)
            axis.plot(
                column(rows, "threshold"), values, style, color=to_fractions(colour), label=label
            )
        axis.axvline(threshold, color=to_fractions(INK), lw=0.8, label=f"in use: {threshold:.2f}")
        axis.legend(frameon=False, loc="lower center")
        return svg(figure)


def reliability(rows: Sequence[Row], foreground: str) -> str:
    """Return an SVG of the reliability diagram, with the share of pixels in each bin below it."""
    with mpl.rc_context(STYLE):
        figure, axis = unit_plot(
            "Reliability", f"probability of {foreground}", f"share that is {foreground}"
        )
        axis.plot((0, 1), (0, 1), ":", color=to_fractions(INK), lw=1, label="calibrated")
        pixels = column(rows, "pixels")
        lefts, rights = column(rows, "from"), column(rows, "to")
        axis.bar(
            lefts,
            [count / sum(pixels) for count in pixels],
            [right - left for left, right in zip(lefts, rights, strict=True)],
            align="edge",
            color=to_fractions(INK),
            alpha=0.2,
            label="share of pixels",
        )
        axis.plot(
            column(rows, "probability"),
            column(rows, "foreground"),
            "o-",
            color=to_fractions(BLUE),
            label="model",
        )
        axis.legend(frameon=False, loc="upper left")
        return svg(figure)


def confidence(rows: Sequence[Row], marks: Sequence[Row]) -> str:
    """Return an SVG of the share of bad masks among the least sure photos.

    Args:
        rows: the rows of confidence.csv.
        marks: those of them to mark with a point.
    """
    with mpl.rc_context(STYLE):
        figure, axis = unit_plot(
            "Bad masks among the least sure photos",
            "share of photos, the least sure first",
            "share of the bad masks",
        )
        ink, blue, orange = map(to_fractions, (INK, BLUE, ORANGE))
        axis.plot((0, 1), (0, 1), ":", color=ink, lw=1, label="by chance")
        axis.plot(column(rows, "reviewed"), column(rows, "bad_found"), color=blue, label="model")
        shares = column(marks, "reviewed")
        percents = ", ".join(f"{100 * share:.0f}" for share in shares)
        axis.plot(shares, column(marks, "bad_found"), "o", color=orange, label=f"{percents} %")
        axis.legend(frameon=False, loc="lower right")
        return svg(figure)


def confusion(rows: Sequence[Row], foreground: str) -> str:
    """Return an SVG of the confusion matrix: for each true class, the share of each prediction."""
    truths = list(dict.fromkeys(row["truth"] for row in rows))
    predictions = list(dict.fromkeys(row["predicted"] for row in rows))
    shares = {(row["truth"], row["predicted"]): float(row["share"]) for row in rows}
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(4.8, 3.8), layout="constrained")
        axis = figure.subplots()
        matrix = np.array([[shares[truth, guess] for guess in predictions] for truth in truths])
        axis.imshow(matrix, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column_number), share in np.ndenumerate(matrix):
            colour = "white" if share > 0.5 else "black"
            axis.text(column_number, row, f"{share:.1%}", ha="center", va="center", color=colour)
        axis.set(title="Pixels by truth", xlabel="predicted", ylabel="truth")
        titles = {"foreground": foreground}
        axis.set_xticks(range(len(predictions)), [titles.get(name, name) for name in predictions])
        axis.set_yticks(range(len(truths)), [titles.get(name, name) for name in truths])
        return svg(figure)


def svg(figure: Figure) -> str:
    """Return the figure as SVG without its date."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def png(figure: Figure) -> bytes:
    """Return the figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
