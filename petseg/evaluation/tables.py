"""The numbers of the test split, written as the files that git keeps."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from petseg import files
from petseg.data import arrays, label_edits, quantisation, splits
from petseg.data.arrays import Photo, PictureArray, Split
from petseg.evaluation import (
    calibration,
    doubt,
    label_issues,
    metrics,
    native,
    scores,
    slices,
    test_set,
    thresholds,
)
from petseg.evaluation.doubt import ReviewRow
from petseg.evaluation.label_issues import LabelIssue
from petseg.evaluation.scores import Measurements, Score
from petseg.evaluation.slices import Slice
from petseg.inference.onnx_engine import ExportMetadata


def write_reports(
    reports: Path,
    raw: Path,
    folder: Path,
    test: Split,
    probabilities: PictureArray,
    metadata: ExportMetadata,
    bad_iou: float,
) -> None:
    """Write every number that follows from the probabilities, and print a summary.

    Args:
        reports: the folder to write to.
        raw: the folder with the two archives and source.json.
        folder: the folder of the arrays, with every split, rejected.csv, summary.json and the
            corrections of labels.
        test: the test split.
        probabilities: of foreground, in 1/255, in the order of the split's photos.
        metadata: that of the model, with its threshold.
        bad_iou: a mask is bad if its IoU is lower, 0 to 1.
    """
    source = files.read_json(raw / "source.json")
    edits = label_edits.read_record(folder / label_edits.RECORD)
    measurements, stats, contradictions = test_set.measure_test_set(
        test,
        probabilities,
        native.overlaps(raw, test.index, probabilities, metadata, edits),
        metadata.threshold,
    )
    data = files.read_json(folder / "summary.json")
    group_kinds = list(data["groups"])
    metric_scores = write_scores(reports, test.index, group_kinds, measurements, source["official"])
    write_curves(reports, measurements, bad_iou)
    test_slices = slices.slices(test.index, group_kinds, stats, measurements.counts)
    files.write_rows(reports / "slices.csv", Slice, test_slices)
    issues = [*contradictions, *label_issues.issues_in_all_splits(folder)]
    files.write_rows(reports / "suspects.csv", LabelIssue, label_issues.rank(issues))
    worst = slices.worst(test_slices)
    files.write_csv(reports / "photos.csv", ["name", "split", "sha256"], photo_rows(folder, test))
    shutil.copyfile(folder / "rejected.csv", reports / "rejected.csv")
    facts = describe_test(test, measurements, bad_iou)
    write_data(reports, data, source, metadata, worst, facts)
    print(summary_text(metric_scores, worst, len(test)))


def write_scores(
    reports: Path,
    index: list[Photo],
    group_kinds: list[str],
    measurements: Measurements,
    official: bool,
) -> list[Score]:
    """Write metrics.json, its intervals and the numbers of each photo; return all metrics."""
    result = scores.scores(measurements)
    values = {score.metric: score.value for score in result}
    values["expected_iou_correlation"] = round(measurements.expected_iou_correlation(), 4)
    headline: dict[str, Any] = {key: values[key] for key in metrics.METRICS}
    files.write_json(reports / "metrics.json", headline | {"official_data": official})
    files.write_rows(reports / "intervals.csv", Score, result)
    columns = ["name", *group_kinds, *metrics.COLUMNS, *metrics.EXTRA_COLUMNS]
    files.write_csv(
        reports / "per_image.csv", columns, photo_score_rows(index, len(group_kinds), measurements)
    )
    return result


def write_curves(reports: Path, measurements: Measurements, bad_iou: float) -> None:
    """Write the tables behind the plots, over the pixels of all photos or over the photos."""
    ious = np.asarray(metrics.image_iou(measurements.counts))
    curve = doubt.review_curve(measurements.expected_ious, ious, bad_iou)
    files.write_rows(reports / "confidence.csv", ReviewRow, curve)
    files.write_csv(
        reports / "confusion.csv",
        ["truth", "predicted", "pixels", "share"],
        confusion_rows(measurements.counts),
    )
    files.write_csv(
        reports / "thresholds.csv",
        ["threshold", "precision", "recall", "iou", "dice", "accuracy"],
        threshold_rows(measurements.histogram),
    )
    files.write_csv(
        reports / "calibration.csv",
        ["from", "to", "pixels", "probability", "foreground"],
        calibration.reliability(measurements.histogram),
    )


def write_data(
    reports: Path,
    data: dict[str, Any],
    source: dict[str, Any],
    metadata: ExportMetadata,
    worst: Slice | None,
    test: dict[str, Any],
) -> None:
    """Write data.json: the data's source and summary, the model's metadata, facts of the test split."""
    content = {
        "source": source,
        "model": asdict(metadata),
        **data,
        "worst_slice": asdict(worst) if worst else None,
        "test": test,
    }
    files.write_json(reports / "data.json", content)


def describe_test(test: Split, measurements: Measurements, bad_iou: float) -> dict[str, Any]:
    """Return how many test photos are larger than the network's input, and how many masks are bad."""
    ious = np.asarray(metrics.image_iou(measurements.counts))
    return {
        "larger_than_input": sum(
            max(row.width, row.height) > test.frame.size for row in test.index
        ),
        "bad_iou": bad_iou,
        "bad_masks": int(np.count_nonzero(ious < bad_iou)),
    }


def photo_score_rows(
    index: list[Photo], group_levels: int, measurements: Measurements
) -> list[list[object]]:
    """Return the rows of per_image.csv by name; `group_levels` of a photo's groups are in them."""
    rows: list[list[object]] = [
        [photo.name, *photo.groups[:group_levels], *map(without_zero_decimals, numbers)]
        for photo, numbers in zip(index, measurements.per_image().tolist(), strict=True)
    ]
    return sorted(rows, key=lambda row: str(row[0]))


def without_zero_decimals(value: float) -> float | int:
    """Return a float that is a whole number as an int."""
    return int(value) if value.is_integer() else value


def photo_rows(folder: Path, test: Split) -> list[tuple[str, str, str]]:
    """Return (name, split, content hash) of every photo of the three splits, by name."""
    indexes = {name: arrays.read_index(folder / name) for name in splits.SPLITS[:2]}
    return sorted(
        (photo.name, name, photo.sha256)
        for name, index in (indexes | {"test": test.index}).items()
        for photo in index
    )


def threshold_rows(histogram: Int64[np.ndarray, "3 256"]) -> list[list[float]]:
    """Return (threshold, precision, recall, IoU, Dice, accuracy) for every threshold, 4 decimals."""
    c = metrics.confusion(thresholds.sweep(histogram), "foreground")
    formulas = (metrics.precision, metrics.recall, metrics.iou, metrics.dice, metrics.accuracy)
    levels = [quantisation.level_threshold(level) for level in range(quantisation.LEVELS)]
    rows: list[list[float]] = (
        np.column_stack([levels, *(formula(c) for formula in formulas)]).round(4).tolist()
    )
    return rows


def confusion_rows(counts: Int64[np.ndarray, "n 6"]) -> list[tuple[str, str, int, float]]:
    """Return (truth, predicted, pixels, share of the truth's pixels) for the six kinds of pixels."""
    cells = counts.sum(axis=0)
    truth_pixels = np.repeat(cells[::2] + cells[1::2], 2)
    rows = []
    for name, pixels, total in zip(metrics.COLUMNS, cells, truth_pixels, strict=True):
        truth, _, predicted = name.partition("_as_")
        rows.append((truth, predicted, int(pixels), round(int(pixels) / max(1, int(total)), 4)))
    return rows


def summary_text(metric_scores: list[Score], worst: Slice | None, photos: int) -> str:
    """Return the summary for the terminal."""
    by_key = {score.metric: score for score in metric_scores}
    iou, dice, native_iou = (by_key[key] for key in ("iou", "dice", "native_iou"))
    lines = [
        f"test IoU {iou.value:.4f} (95 % interval {iou.low:.4f} to {iou.high:.4f}), "
        f"Dice {dice.value:.4f}, IoU at full size {native_iou.value:.4f} on {photos:,} photos"
    ]
    if worst:
        lines.append(
            f"worst slice: {worst.title}, IoU {worst.iou:.4f} "
            f"({worst.low:.4f} to {worst.high:.4f}) on {worst.photos:,} photos"
        )
    return "\n".join(lines)
