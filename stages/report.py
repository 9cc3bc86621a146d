"""Draws the report: one HTML page that carries its pictures, the model card, the animation.

Reads: REPORTS's numbers, PREDICTIONS/probabilities.npy, ARRAYS/test, MODEL/snapshots.npz.
Writes: REPORTS/report.html, REPORTS/model_card.md, and in REPORTS/figures epochs.gif, curves.svg,
precision_recall.svg, overview.png, and best.png, median.png, worst.png.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import UInt8
from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from stages.petseg import arrays, command, figures, metrics, page, params, tables
from stages.petseg.arrays import Split

TILES = {
    "IoU": "iou",
    "mean IoU": "mean_iou",
    "IoU per photo": "image_iou",
    "Dice": "dice",
    "accuracy": "accuracy",
}
TILES |= {"precision": "precision", "recall": "recall", "IoU, border ignored": "iou_border_ignored"}


@checked(frozen=True, config={"extra": "forbid"})
class Params:
    """`report` in params.yaml."""

    gallery: Annotated[int, Field(ge=1, le=20)]
    frame_seconds: Annotated[float, Field(ge=0.05, le=5)]


def image_ious(rows: tables.Rows) -> dict[str, float]:
    """Return each photo's IoU by name, border as pet."""
    values = np.atleast_1d(metrics.image_iou(metrics.read_counts(rows)))
    return {row["name"]: float(value) for row, value in zip(rows, values, strict=True)}


def choose(test: Split, ious: dict[str, float], each: int) -> dict[str, list[int]]:
    """Return rows of the test split: the best, those around the median, the worst first."""
    ranked = sorted(
        range(len(test)), key=lambda row: (-ious[test.index[row].name], test.index[row].name)
    )
    middle = max(0, (len(ranked) - each) // 2)
    return {
        "Best": ranked[:each],
        "Median": ranked[middle : middle + each],
        "Worst": ranked[: -each - 1 : -1],
    }


def example(
    test: Split, probabilities: UInt8[np.ndarray, "n size size"], row: int, least: int, iou: float
) -> figures.Example:
    """Return one test photo as the gallery shows it."""
    title = f"{test.index[row].name}, IoU {iou:.3f}"
    return figures.Example(
        title,
        np.asarray(test.photos[row]),
        np.asarray(test.trimaps[row]),
        np.asarray(probabilities[row]) >= least,
    )


def galleries(
    test: Split,
    probabilities: UInt8[np.ndarray, "n size size"],
    threshold: float,
    ious: dict[str, float],
    each: int,
) -> dict[str, list[figures.Example]]:
    """Return the examples of every gallery."""
    least = metrics.least(threshold)
    chosen = choose(test, ious, each)
    return {
        name: [example(test, probabilities, row, least, ious[test.index[row].name]) for row in rows]
        for name, rows in chosen.items()
    }


def overview(shown: dict[str, list[figures.Example]]) -> list[figures.Example]:
    """Return a few examples of different quality for one picture: the README's."""
    return [*shown["Best"][:1], *shown["Median"][:2], *shown["Worst"][:1]]


def draw(
    reports: Path,
    snapshots: Path,
    model: dict[str, Any],
    shown: dict[str, list[figures.Example]],
    seconds: float,
) -> Path:
    """Write every picture to REPORTS/figures; return that folder."""
    pictures = reports / "figures"
    pictures.mkdir(parents=True, exist_ok=True)
    history = tables.read_csv(reports / "history.csv")
    sweep = tables.read_csv(reports / "precision_recall.csv")
    tables.write_text(pictures / "curves.svg", figures.curves(history, model["kept_epoch"]))
    tables.write_text(
        pictures / "precision_recall.svg", figures.precision_recall(sweep, model["threshold"])
    )
    (pictures / "overview.png").write_bytes(figures.gallery(overview(shown)))
    for name, rows in shown.items():
        (pictures / f"{name.lower()}.png").write_bytes(figures.gallery(rows))
    with np.load(snapshots, allow_pickle=False) as seen:
        figures.animate(
            pictures / "epochs.gif",
            seen["photos"],
            seen["trimaps"],
            seen["probabilities"],
            seconds,
        )
    return pictures


def illustrations(pictures: Path, names: Iterable[str]) -> dict[str, Any]:
    """Return the page's pictures by their names in the template."""
    return {
        "curves": page.drawing((pictures / "curves.svg").read_text()),
        "precision_recall": page.drawing((pictures / "precision_recall.svg").read_text()),
        "animation": page.data_address((pictures / "epochs.gif").read_bytes(), "image/gif"),
        "galleries": [
            (name, page.data_address((pictures / f"{name.lower()}.png").read_bytes(), "image/png"))
            for name in names
        ],
    }


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__,
        arrays="folder with test/",
        model="folder with the snapshots",
        predictions="folder with the probabilities",
        reports="folder with the numbers, and to write to",
    )
    settings = params.load(Params, "report")
    numbers = tables.read_json(paths.reports / "metrics.json")
    data = tables.read_json(paths.reports / "data.json")
    ious = image_ious(tables.read_csv(paths.reports / "per_image.csv"))
    test = arrays.load(paths.arrays / "test")
    probabilities = np.load(
        paths.predictions / "probabilities.npy", mmap_mode="r", allow_pickle=False
    )
    shown = galleries(test, probabilities, data["model"]["threshold"], ious, settings.gallery)
    pictures = draw(
        paths.reports,
        paths.model / "snapshots.npz",
        data["model"],
        shown,
        settings.frame_seconds,
    )
    facts = {"recipe": data["model"]["recipe"], "metrics": numbers, "data": data}
    html = page.render(
        "report.html.j2",
        **facts,
        **illustrations(pictures, shown),
        tiles=[(name, numbers[key]) for name, key in TILES.items()],
        confusion=tables.read_csv(paths.reports / "confusion.csv"),
        rejected=tables.read_csv(paths.reports / "rejected.csv"),
    )
    tables.write_text(paths.reports / "report.html", html)
    tables.write_text(paths.reports / "model_card.md", page.render("model_card.md.j2", **facts))
    print(f"report: {paths.reports / 'report.html'}")


if __name__ == "__main__":
    command.exit_cleanly(main)
