"""The content of the report, ready for the templates: numbers, plots, photos and what made the model."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from petseg import files, params
from petseg.data import quantisation
from petseg.data.arrays import PictureArray, Split
from petseg.data.frame import Mode
from petseg.evaluation import metrics
from petseg.report import gallery, overlays, plots, render

Tables = Mapping[str, files.Rows]
TABLES = (
    *("calibration", "confidence", "confusion", "export", "history", "intervals"),
    *("per_image", "rejected", "slices", "suspects", "thresholds"),
)
EXPORT_FILES = {"onnx": "model.onnx", "onnx int8": "model-int8.onnx"}  # by engine in export.csv
INPUTS: Mapping[Mode, str] = {  # what the network reads, by mode, with a place for its size
    "squash": "a photo squashed to a square of {} pixels",
    "pad": "a photo whose longer side is resized to {} pixels, padded to a square",
    "tiles": "a photo at its own size, in overlapping tiles of {} pixels",
}
REVIEW_PERCENTS = (5, 10, 20)  # of the test photos, the least sure first
EXAMPLES = 4  # photos in each of the best, median and worst, drawn for the figures
MAX_ROWS = 50  # rows that the page shows of a table that grows with the data


def read_tables(reports: Path) -> dict[str, files.Rows]:
    """Return the rows of each CSV that the report shows."""
    return {name: files.read_csv(reports / f"{name}.csv") for name in TABLES}


def shared_content(reports: Path, tables: Tables) -> dict[str, Any]:
    """Return what both the page and the model card show."""
    numbers, data = (files.read_json(reports / f"{name}.json") for name in ("metrics", "data"))
    recipe, document = params.active_recipe(), params.read_yaml(params.FILE)
    sections = {key: document[key] for key in document if key not in ("recipe", "gate")}
    border = has_border(data)
    headline = render.headline(numbers, tables["intervals"], border)
    return {
        "recipe": recipe,
        "sections": sections,
        "parameters": params.to_yaml(sections).rstrip(),
        "numbers": numbers,
        "official": numbers["official_data"],
        "is_own": data["source"]["source"] == "folder",
        "headline": headline,
        "iou": headline[0][0],
        "data": data,
        "foreground": data["model"]["foreground"],
        "has_border": border,
        "slices": tables["slices"],
        "suspects": tables["suspects"],
        "full_size": full_size_sentence(data, numbers),
        "input": INPUTS[data["model"]["mode"]].format(data["model"]["image_size"]),
        "expected_iou_error": next(
            score for score, _ in headline if score.metric == "expected_iou_error"
        ),
        "review_rows": review_rows(tables["confidence"]),
        "reference": tables["export"][0],
        "exports": {EXPORT_FILES[row["engine"]]: row for row in tables["export"][1:]},
    }


def has_border(data: Mapping[str, Any]) -> bool:
    """Return whether any mask has a border band; most data but trimaps have none."""
    return any(split["pixel_shares"]["border"] > 0 for split in data["splits"].values())


def full_size_sentence(data: Mapping[str, Any], numbers: Mapping[str, Any]) -> str:
    """Return a sentence on how many test photos are larger than the network's input."""
    if data["model"]["mode"] == "tiles":
        return "Masks have the photos' own size, so the numbers at full size equal the others."
    photos, larger_photos = data["splits"]["test"]["photos"], data["test"]["larger_than_input"]
    size = f"larger than the network's input of {data['model']['image_size']} pixels"
    if larger_photos:
        share = "All" if larger_photos == photos else f"{larger_photos:,} of the"
        verb = "is" if larger_photos == 1 else "are"
        return (
            f"{share} {photos:,} test photos {verb} {size}; "
            "at full size, masks are enlarged to the photos."
        )
    if numbers["native_iou"] == numbers["iou"]:
        return f"No test photo is {size}, so the numbers at full size equal the others."
    return f"No test photo is {size}, but some are smaller and are measured at their own size."


def review_rows(curve: files.Rows) -> files.Rows:
    """Return the rows of confidence.csv that the page's table and the card show."""
    rows = {round(100 * float(row["reviewed"])): row for row in curve}
    return [rows[percent] for percent in REVIEW_PERCENTS]


def page_tables(tables: Tables) -> dict[str, Any]:
    """Return the tables that the page alone shows, and how many rows it shows of a long one."""
    return {
        "threshold_rows": [
            {column: float(value) for column, value in row.items()} for row in tables["thresholds"]
        ],
        "confusion_rows": tables["confusion"],
        "rejected": tables["rejected"],
        "max_rows": MAX_ROWS,
    }


def model_rows(
    data: Mapping[str, Any], official: bool, model_files: Iterable[Path]
) -> dict[str, str]:
    """Return what made the model, by its content: nothing of it differs between equal trainings.

    Args:
        data: the content of data.json.
        official: whether the data are the official archives.
        model_files: the model in each of its formats.
    """
    model = data["model"]
    rows = {
        "recipe": model["recipe"],
        "official data": "yes" if official else "no",
        "epoch": f"{model['epoch']}, the best on validation",
        "threshold": f"{model['threshold']:.4f}, the best on validation",
        "border in training": model["border"],
        "refinement of the masks": model["refinement"],
        "training data": f"SHA-256 {model['data_sha256']}",
        "libraries": ", ".join(f"{name} {version}" for name, version in model["versions"].items()),
        **{path.name: f"SHA-256 {files.sha256(path)}" for path in model_files},
    }
    return rows | source_rows(data["source"])


def source_rows(source: Mapping[str, Any]) -> dict[str, str]:
    """Return what identifies the data: the archives, or the list of a team's own photos."""
    if "archives" not in source:
        return {"photos and masks": f"{source['photos']:,} pairs, SHA-256 {source['sha256']}"}
    return {
        name: f"{archive['bytes']:,} bytes, SHA-256 {archive['sha256']}"
        for name, archive in source["archives"].items()
    }


def write_plots(figures: Path, tables: Tables, data: Mapping[str, Any]) -> dict[str, str]:
    """Write the plots as SVG; return each as a data URI, by name.

    Args:
        figures: the folder to write the plots to.
        tables: the rows of each CSV.
        data: the content of data.json; without a bad mask in it, `confidence` is not drawn.
    """
    model, curve = data["model"], tables["confidence"]
    threshold = model["threshold"]
    svgs = {
        "curves": plots.curves(tables["history"], model["epoch"]),
        "precision_recall": plots.precision_recall(tables["thresholds"], threshold),
        "sweep": plots.sweep(tables["thresholds"], threshold),
        "reliability": plots.reliability(tables["calibration"], model["foreground"]),
        "confusion": plots.confusion(tables["confusion"], model["foreground"]),
    }
    if data["test"]["bad_masks"]:
        svgs["confidence"] = plots.confidence(curve, review_rows(curve))
    for name, svg in svgs.items():
        files.write_text(figures / f"{name}.svg", svg)
    return {name: render.data_uri(svg.encode(), "image/svg+xml") for name, svg in svgs.items()}


def write_animation(path: Path, snapshots: Path, seconds: float) -> str:
    """Write the animation of the training, `seconds` per epoch; return it as a data URI."""
    with np.load(snapshots, allow_pickle=False) as epochs:
        overlays.animate(
            path, epochs["photos"], epochs["trimaps"], epochs["probabilities"], seconds
        )
    return render.data_uri(path.read_bytes(), "image/webp")


def write_photos(
    figures: Path,
    test: Split,
    probabilities: PictureArray,
    tables: Tables,
    data: Mapping[str, Any],
    limit: int,
) -> dict[str, Any]:
    """Write the figures of test photos; return them and the gallery, as the page's template takes them.

    Args:
        figures: Folder to write the figures to.
        test: The test split.
        probabilities: Of foreground, in 1/255, in the order of the split.
        tables: The rows of each CSV; `per_image` is used.
        data: The content of data.json; the model's threshold and the groups are used.
        limit: Photos that the gallery may have.
    """
    min_level = quantisation.min_level(data["model"]["threshold"])
    ious, uncertainties = (
        image_ious(tables["per_image"], test),
        gallery.uncertainty(test, probabilities),
    )
    examples = {
        name: [example(test, probabilities, row, min_level, ious[row]) for row in rows]
        for name, rows in example_rows(test, ious).items()
    }
    rows = gallery.choose_rows(ious, uncertainties, limit)
    photos = gallery.gallery_photos(test, probabilities, rows, len(data["groups"]), uncertainties)
    return {
        "largest_side": gallery.MAX_SIDE if gallery.is_any_shrunk(test, rows) else None,
        "static_figures": write_example_figures(figures, examples),
        "min_level": min_level,
        "max_level": quantisation.MAX_LEVEL,
        "shades": gallery.SHADES_BY_NAME,
        "photos": [asdict(photo) for photo in photos],
        "gallery_groups": [
            (kind, sorted({photo.groups[level] for photo in photos}))
            for level, kind in enumerate(data["groups"])
        ],
    }


def image_ious(rows: files.Rows, test: Split) -> Float64[np.ndarray, "n"]:
    """Return the IoU of each test photo in the order of the arrays, border as foreground."""
    values = np.atleast_1d(metrics.image_iou(metrics.read_counts(rows)))
    by_name = {row["name"]: value for row, value in zip(rows, values, strict=True)}
    return np.array([by_name[photo.name] for photo in test.index])


def example_rows(test: Split, ious: Float64[np.ndarray, "n"]) -> dict[str, list[int]]:
    """Return a few rows of the test split: the best, those around the median, the worst first."""
    ranked = sorted(range(len(test)), key=lambda row: (-ious[row], test.index[row].name))
    middle = max(0, (len(ranked) - EXAMPLES) // 2)
    return {
        "Best": ranked[:EXAMPLES],
        "Median": ranked[middle : middle + EXAMPLES],
        "Worst": ranked[: -EXAMPLES - 1 : -1],
    }


def example(
    test: Split,
    probabilities: PictureArray,
    row: int,
    min_level: int,
    iou: float,
) -> overlays.Example:
    """Return one test photo as the figures show it; pixels from `min_level`/255 on are foreground."""
    return overlays.Example(
        f"{test.index[row].name}, IoU {iou:.3f}",
        gallery.shrunk(test.photos[row], gallery.BILINEAR),
        gallery.shrunk(test.trimaps[row], gallery.NEAREST),
        gallery.shrunk(probabilities[row], gallery.NEAREST) >= min_level,
    )


def write_example_figures(
    figures: Path, examples: dict[str, list[overlays.Example]]
) -> list[tuple[str, str]]:
    """Write a figure of each group of examples, and one of all for the README.

    Returns the worst and the best as (name, data URI), for the page without JavaScript.
    """
    pngs = {name: overlays.example_grid(group) for name, group in examples.items()}
    for name, png in {**pngs, "Overview": overlays.example_grid(overview(examples))}.items():
        (figures / f"{name.lower()}.png").write_bytes(png)
    return [(name, render.compressed_png(pngs[name])) for name in ("Worst", "Best")]


def overview(examples: dict[str, list[overlays.Example]]) -> list[overlays.Example]:
    """Return a few examples of different quality for one picture: the README's."""
    return [*examples["Best"][:1], *examples["Median"][:2], *examples["Worst"][:1]]
