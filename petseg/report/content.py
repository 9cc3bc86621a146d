"""What the report shows: numbers, plots, photos and provenance, ready for the templates."""

import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8
from ruamel.yaml import YAML

from petseg import files, params
from petseg.data.arrays import Split
from petseg.evaluation import metrics
from petseg.report import gallery, overlays, plots, render

EXAMPLES = 4  # photos in each of the best, median and worst, drawn for the figures


def image_ious(rows: files.Rows, test: Split) -> Float64[np.ndarray, "n"]:
    """Return the IoU of each test photo in the order of the arrays, border as pet."""
    values = np.atleast_1d(metrics.image_iou(metrics.read_counts(rows)))
    by_name = {row["name"]: value for row, value in zip(rows, values, strict=True)}
    return np.array([by_name[photo.name] for photo in test.index])


def choose(test: Split, ious: Float64[np.ndarray, "n"]) -> dict[str, list[int]]:
    """Return a few rows of the test split: the best, those around the median, the worst first."""
    ranked = sorted(range(len(test)), key=lambda row: (-ious[row], test.index[row].name))
    middle = max(0, (len(ranked) - EXAMPLES) // 2)
    return {
        "Best": ranked[:EXAMPLES],
        "Median": ranked[middle : middle + EXAMPLES],
        "Worst": ranked[: -EXAMPLES - 1 : -1],
    }


def example(
    test: Split, probabilities: UInt8[np.ndarray, "n size size"], row: int, least: int, iou: float
) -> overlays.Example:
    """Return one test photo as the figures show it."""
    return overlays.Example(
        f"{test.index[row].name}, IoU {iou:.3f}",
        np.asarray(test.photos[row]),
        np.asarray(test.trimaps[row]),
        np.asarray(probabilities[row]) >= least,
    )


def overview(shown: dict[str, list[overlays.Example]]) -> list[overlays.Example]:
    """Return a few examples of different quality for one picture: the README's."""
    return [*shown["Best"][:1], *shown["Median"][:2], *shown["Worst"][:1]]


def write_plots(
    pictures: Path, found: Mapping[str, files.Rows], model: Mapping[str, Any]
) -> dict[str, str]:
    """Write the plots as SVG; return each as an address for the page."""
    threshold = model["threshold"]
    made = {
        "curves": plots.curves(found["history"], model["epoch"]),
        "precision_recall": plots.precision_recall(found["thresholds"], threshold),
        "sweep": plots.sweep(found["thresholds"], threshold),
        "reliability": plots.reliability(found["calibration"]),
        "confusion": plots.confusion(found["confusion"]),
    }
    for name, svg in made.items():
        files.write_text(pictures / f"{name}.svg", svg)
    return {name: render.data_uri(svg.encode(), "image/svg+xml") for name, svg in made.items()}


def write_photo_figures(
    pictures: Path, shown: dict[str, list[overlays.Example]]
) -> list[tuple[str, str]]:
    """Write the pictures of a few test photos; return the worst and the best as addresses."""
    made = {name: overlays.example_grid(rows) for name, rows in shown.items()}
    for name, png in {**made, "Overview": overlays.example_grid(overview(shown))}.items():
        (pictures / f"{name.lower()}.png").write_bytes(png)
    return [(name, render.compressed_png(made[name])) for name in ("Worst", "Best")]


def write_animation(path: Path, snapshots: Path, seconds: float) -> str:
    """Write the animation of the training; return it as an address."""
    with np.load(snapshots, allow_pickle=False) as seen:
        overlays.animate(path, seen["photos"], seen["trimaps"], seen["probabilities"], seconds)
    return render.data_uri(path.read_bytes(), "image/webp")


def provenance_rows(
    data: Mapping[str, Any], made: Mapping[str, Any], official: bool
) -> dict[str, str]:
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


def as_yaml(sections: Mapping[str, Any]) -> str:
    """Return a recipe's sections as YAML."""
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(dict(sections), stream)
    return stream.getvalue().rstrip()


def shared_content(reports: Path, found: Mapping[str, files.Rows]) -> dict[str, Any]:
    """Return what page and model card both tell."""
    numbers, data = (files.read_json(reports / f"{name}.json") for name in ("metrics", "data"))
    recipe, sections = params.read_recipe(None)
    headline = render.headline(numbers, found["intervals"])
    return {
        "recipe": recipe,
        "sections": sections,
        "parameters": as_yaml(sections),
        "numbers": numbers,
        "official": numbers["official_data"],
        "headline": headline,
        "iou": headline[0][0],
        "data": data,
        "slices": found["slices"],
        "suspects": found["suspects"],
    }


def photo_content(
    test: Split,
    probabilities: UInt8[np.ndarray, "n size size"],
    per_image: files.Rows,
    least: int,
    limit: int,
    pictures: Path,
) -> dict[str, Any]:
    """Write the pictures of test photos; return them and the gallery as the page takes them."""
    ious, doubts = image_ious(per_image, test), gallery.uncertainty(probabilities)
    shown = {
        name: [example(test, probabilities, row, least, ious[row]) for row in rows]
        for name, rows in choose(test, ious).items()
    }
    chosen = gallery.choose(ious, doubts, limit)
    shots = gallery.gallery_photos(test, probabilities, chosen, doubts)
    return {
        "still": write_photo_figures(pictures, shown),
        "least": least,
        "shots": [asdict(shot) for shot in shots],
        "shown_species": sorted({shot.species for shot in shots}),
        "shown_breeds": sorted({shot.breed for shot in shots}),
    }
