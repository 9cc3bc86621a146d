"""The numbers of the test split as the files that git keeps."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64, UInt8

from petseg import files
from petseg.data import arrays, splits
from petseg.data.arrays import Photo, Split
from petseg.evaluation import (
    calibration,
    label_issues,
    metrics,
    scores,
    slices,
    test_set,
    thresholds,
)
from petseg.evaluation.label_issues import Suspect
from petseg.evaluation.scores import Measurements, Score
from petseg.evaluation.slices import Slice

if TYPE_CHECKING:
    from petseg.model.metadata import Metadata


def as_int(value: float) -> float | int:
    """Return a whole number as such."""
    return int(value) if value.is_integer() else value


def photo_score_rows(index: list[Photo], measured: Measurements) -> list[list[object]]:
    """Return the rows of per_image.csv, by name."""
    rows: list[list[object]] = [
        [photo.name, photo.breed, photo.species, *map(as_int, row)]
        for photo, row in zip(index, measured.per_image().tolist(), strict=True)
    ]
    return sorted(rows, key=lambda row: str(row[0]))


def threshold_rows(histogram: Int64[np.ndarray, "3 256"]) -> list[list[float]]:
    """Return (threshold, precision, recall, IoU, Dice, accuracy) for every threshold, 4 decimals."""
    c = metrics.confusion(thresholds.sweep(histogram), "pet")
    kinds = (metrics.precision, metrics.recall, metrics.iou, metrics.dice, metrics.accuracy)
    levels = [thresholds.level_threshold(level) for level in range(thresholds.LEVELS)]
    rows: list[list[float]] = (
        np.column_stack([levels, *(kind(c) for kind in kinds)]).round(4).tolist()
    )
    return rows


def confusion_rows(counts: Int64[np.ndarray, "n 6"]) -> list[tuple[str, str, int, float]]:
    """Return (truth, predicted, pixels, share of the truth) for the six cells."""
    total = counts.sum(axis=0)
    rows = []
    for name, pixels, whole in zip(
        metrics.COLUMNS, total, np.repeat(total[::2] + total[1::2], 2), strict=True
    ):
        truth, _, predicted = name.partition("_as_")
        rows.append((truth, predicted, int(pixels), round(int(pixels) / max(1, int(whole)), 4)))
    return rows


def photo_rows(folder: Path, test: Split) -> list[tuple[str, str, str, str]]:
    """Return (name, split, breed, content hash) of every photo used, by name."""
    rows = [(row.name, "test", row.breed, row.sha256) for row in test.index]
    for split in splits.SPLITS[:2]:
        rows += [
            (row.name, split, row.breed, row.sha256) for row in arrays.read_index(folder / split)
        ]
    return sorted(rows)


def write_scores(
    reports: Path, index: list[Photo], measured: Measurements, official: bool
) -> list[Score]:
    """Write metrics.json, and beside it what every photo adds to it; return the metrics."""
    found = scores.scores(measured)
    values = {score.metric: score.value for score in found}
    headline: dict[str, Any] = {key: values[key] for key in metrics.METRICS}
    files.write_json(reports / "metrics.json", headline | {"official_data": official})
    files.write_rows(reports / "intervals.csv", Score, found)
    columns = ["name", "breed", "species", *metrics.COLUMNS, *metrics.EXTRA_COLUMNS]
    files.write_csv(reports / "per_image.csv", columns, photo_score_rows(index, measured))
    return found


def write_curves(reports: Path, measured: Measurements) -> None:
    """Write what the pixels of all photos together say."""
    files.write_csv(
        reports / "confusion.csv",
        ["truth", "predicted", "pixels", "share"],
        confusion_rows(measured.counts),
    )
    files.write_csv(
        reports / "thresholds.csv",
        ["threshold", "precision", "recall", "iou", "dice", "accuracy"],
        threshold_rows(measured.histogram),
    )
    files.write_csv(
        reports / "calibration.csv",
        ["from", "to", "pixels", "probability", "pet"],
        calibration.reliability(measured.histogram),
    )


def summary_text(found: list[Score], worst: Slice | None, photos: int) -> str:
    """Return the summary for the terminal."""
    by_name = {each.metric: each for each in found}
    iou = by_name["iou"]
    lines = [
        f"test IoU {iou.value:.4f} (95 % interval {iou.low:.4f} to {iou.high:.4f}), "
        f"Dice {by_name['dice'].value:.4f}, boundary IoU {by_name['boundary_iou'].value:.4f} on {photos:,} photos"
    ]
    if worst:
        lines.append(
            f"worst slice: {worst.title}, IoU {worst.iou:.4f} "
            f"({worst.low:.4f} to {worst.high:.4f}) on {worst.photos:,} photos"
        )
    return "\n".join(lines)


def write_data(reports: Path, folder: Path, test: Split, worst: Slice | None, **known: Any) -> None:
    """Write what the numbers were measured with: the photos, those set aside, what is known besides."""
    files.write_csv(
        reports / "photos.csv", ["name", "split", "breed", "sha256"], photo_rows(folder, test)
    )
    shutil.copyfile(folder / "rejected.csv", reports / "rejected.csv")
    summary = files.read_json(folder / "summary.json")
    content = {**known, **summary, "worst_slice": asdict(worst) if worst else None}
    files.write_json(reports / "data.json", content)


def write_reports(
    reports: Path,
    folder: Path,
    test: Split,
    probabilities: UInt8[np.ndarray, "n size size"],
    facts: "Metadata",
    source: dict[str, Any],
) -> None:
    """Write all that follows from the probabilities, and say the gist of it."""
    measured, shape, odd = test_set.measure_test_set(test, probabilities, facts.threshold)
    found = write_scores(reports, test.index, measured, source["official"])
    write_curves(reports, measured)
    cut = slices.slices(test.index, shape, measured.counts)
    files.write_rows(reports / "slices.csv", Slice, cut)
    odd = label_issues.ranked([*odd, *label_issues.issues_in_all_splits(folder)])
    files.write_rows(reports / "suspects.csv", Suspect, odd)
    worst = slices.worst(cut)
    write_data(reports, folder, test, worst, source=source, model=asdict(facts))
    print(summary_text(found, worst, len(test)))
