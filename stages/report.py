"""Draws the report: one HTML page that carries its pictures, the model card, the animation.

Reads: REPORTS's numbers, PREDICTIONS/probabilities.npy, ARRAYS/test, MODEL/snapshots.npz, and of
MODEL/model.keras the hash, by which ORIGINS tells where it was trained.
Writes: REPORTS/report.html, REPORTS/model_card.md, and in REPORTS/figures epochs.webp, overview.png,
best.png, median.png, worst.png, and as SVG curves, precision_recall, sweep, reliability, confusion.
"""

import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float64, UInt8
from pydantic import Field
from pydantic.dataclasses import dataclass as checked
from ruamel.yaml import YAML

from stages.petseg import (
    arrays,
    command,
    figures,
    gallery,
    metrics,
    origin,
    page,
    params,
    tables,
    thresholds,
)
from stages.petseg.arrays import Split

STILL = 4  # photos in each of the best, median and worst, drawn for the figures
LISTED = 50  # rows of a table that grows with the data
TABLES = (
    *("calibration", "confusion", "history", "intervals", "per_image"),
    *("rejected", "slices", "suspects", "thresholds"),
)


@checked(frozen=True, config={"extra": "forbid"})
class Params:
    """`report` in params.yaml."""

    gallery: Annotated[int, Field(ge=1, le=300)]
    frame_seconds: Annotated[float, Field(ge=0.05, le=5)]


def image_ious(rows: tables.Rows, test: Split) -> Float64[np.ndarray, "n"]:
    """Return the IoU of each test photo in the order of the arrays, border as pet."""
    values = np.atleast_1d(metrics.image_iou(metrics.read_counts(rows)))
    by_name = {row["name"]: value for row, value in zip(rows, values, strict=True)}
    return np.array([by_name[photo.name] for photo in test.index])


def choose(test: Split, ious: Float64[np.ndarray, "n"]) -> dict[str, list[int]]:
    """Return a few rows of the test split: the best, those around the median, the worst first."""
    ranked = sorted(range(len(test)), key=lambda row: (-ious[row], test.index[row].name))
    middle = max(0, (len(ranked) - STILL) // 2)
    return {
        "Best": ranked[:STILL],
        "Median": ranked[middle : middle + STILL],
        "Worst": ranked[: -STILL - 1 : -1],
    }


def example(
    test: Split, probabilities: UInt8[np.ndarray, "n size size"], row: int, least: int, iou: float
) -> figures.Example:
    """Return one test photo as the figures show it."""
    return figures.Example(
        f"{test.index[row].name}, IoU {iou:.3f}",
        np.asarray(test.photos[row]),
        np.asarray(test.trimaps[row]),
        np.asarray(probabilities[row]) >= least,
    )


def overview(shown: dict[str, list[figures.Example]]) -> list[figures.Example]:
    """Return a few examples of different quality for one picture: the README's."""
    return [*shown["Best"][:1], *shown["Median"][:2], *shown["Worst"][:1]]


def draw(
    pictures: Path, found: Mapping[str, tables.Rows], model: Mapping[str, Any]
) -> dict[str, str]:
    """Write the plots as SVG; return each as an address for the page."""
    threshold = model["threshold"]
    made = {
        "curves": figures.curves(found["history"], model["epoch"]),
        "precision_recall": figures.precision_recall(found["thresholds"], threshold),
        "sweep": figures.sweep(found["thresholds"], threshold),
        "reliability": figures.reliability(found["calibration"]),
        "confusion": figures.confusion(found["confusion"]),
    }
    for name, svg in made.items():
        tables.write_text(pictures / f"{name}.svg", svg)
    return {name: page.data_address(svg.encode(), "image/svg+xml") for name, svg in made.items()}


def draw_photos(pictures: Path, shown: dict[str, list[figures.Example]]) -> list[tuple[str, str]]:
    """Write the pictures of a few test photos; return the worst and the best as addresses."""
    made = {name: figures.gallery(rows) for name, rows in shown.items()}
    for name, png in {**made, "Overview": figures.gallery(overview(shown))}.items():
        (pictures / f"{name.lower()}.png").write_bytes(png)
    return [(name, gallery.smaller(made[name])) for name in ("Worst", "Best")]


def animate(path: Path, snapshots: Path, seconds: float) -> str:
    """Write the animation of the training; return it as an address."""
    with np.load(snapshots, allow_pickle=False) as seen:
        figures.animate(path, seen["photos"], seen["trimaps"], seen["probabilities"], seconds)
    return page.data_address(path.read_bytes(), "image/webp")


def how(data: Mapping[str, Any], made: Mapping[str, Any], official: bool) -> dict[str, str]:
    """Return how the model was made, in words."""
    model = data["model"]
    rows = {
        "recipe": model["recipe"],
        "official data": "yes" if official else "no",
        "git commit": made.get("commit") or "not known",
        "trained on": "not known: on another machine",
        "threshold": f"{model['threshold']:.4f}, the best on validation",
        "border in training": model["border"],
        "training data": f"SHA-256 {model['data_sha256']}",
        "libraries": ", ".join(f"{name} {version}" for name, version in model["versions"].items()),
    }
    if made:
        minutes = f"{made['seconds'] / 60:.1f} minutes, {made['epochs']} epochs"
        rows["trained on"] = f"{made['device']}, {made['cores']} cores, {made['system']}: {minutes}"
    for name, archive in data["source"]["archives"].items():
        rows[name] = f"{archive['bytes']:,} bytes, SHA-256 {archive['sha256']}"
    return rows


def written(sections: Mapping[str, Any]) -> str:
    """Return a recipe's sections as YAML."""
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(dict(sections), stream)
    return stream.getvalue().rstrip()


def facts(reports: Path, found: Mapping[str, tables.Rows]) -> dict[str, Any]:
    """Return what page and model card both tell."""
    numbers, data = (tables.read_json(reports / f"{name}.json") for name in ("metrics", "data"))
    recipe, sections = params.read_recipe(None)
    headline = page.headline(numbers, found["intervals"])
    return {
        "recipe": recipe,
        "sections": sections,
        "parameters": written(sections),
        "numbers": numbers,
        "official": numbers["official_data"],
        "headline": headline,
        "iou": headline[0][0],
        "data": data,
        "slices": found["slices"],
        "suspects": found["suspects"],
    }


def photos(
    test: Split,
    probabilities: UInt8[np.ndarray, "n size size"],
    per_image: tables.Rows,
    least: int,
    settings: Params,
    pictures: Path,
) -> dict[str, Any]:
    """Write the pictures of test photos; return them and the gallery as the page takes them."""
    ious, doubts = image_ious(per_image, test), gallery.uncertainty(probabilities)
    shown = {
        name: [example(test, probabilities, row, least, ious[row]) for row in rows]
        for name, rows in choose(test, ious).items()
    }
    chosen = gallery.choose(ious, doubts, settings.gallery)
    shots = gallery.shots(test, probabilities, chosen, doubts)
    return {
        "still": draw_photos(pictures, shown),
        "least": least,
        "shots": [asdict(shot) for shot in shots],
        "shown_species": sorted({shot.species for shot in shots}),
        "shown_breeds": sorted({shot.breed for shot in shots}),
    }


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__,
        arrays="folder with test/",
        model="folder with the model and the snapshots",
        predictions="folder with the probabilities",
        reports="folder with the numbers, and to write to",
        origins="folder that tells where models were trained",
    )
    settings = params.load(Params, "report")
    found = {name: tables.read_csv(paths.reports / f"{name}.csv") for name in TABLES}
    known = facts(paths.reports, found)
    known["origin"] = origin.find(paths.origins, paths.model / "model.keras")
    test = arrays.load(paths.arrays / "test")
    probabilities = np.load(
        paths.predictions / "probabilities.npy", mmap_mode="r", allow_pickle=False
    )
    pictures = paths.reports / "figures"
    pictures.mkdir(parents=True, exist_ok=True)
    model = known["data"]["model"]
    least = thresholds.least(model["threshold"])
    film, snapshots = pictures / "epochs.webp", paths.model / "snapshots.npz"
    html = page.render(
        "report.html.j2",
        **known,
        **draw(pictures, found, model),
        **photos(test, probabilities, found["per_image"], least, settings, pictures),
        animation=animate(film, snapshots, settings.frame_seconds),
        levels=[{key: float(cell) for key, cell in row.items()} for row in found["thresholds"]],
        cells=found["confusion"],
        rejected=found["rejected"],
        listed=LISTED,
        made=how(known["data"], known["origin"], known["official"]),
    )
    tables.write_text(paths.reports / "report.html", html)
    card = page.render("model_card.md.j2", **known)
    tables.write_text(paths.reports / "model_card.md", card)
    print(f"report: {paths.reports / 'report.html'}")


if __name__ == "__main__":
    command.exit_cleanly(main)
