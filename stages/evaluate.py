"""Predicts the test split, once, and writes every number that git keeps.

Reads: MODEL/model.keras, MODEL/history.csv, ARRAYS, RAW/source.json.
Writes: PREDICTIONS/probabilities.npy (n, size, size), uint8 in 1/255; and in REPORTS
metrics.json, data.json, and as CSV intervals, slices, per_image, thresholds, calibration, confusion,
suspects, history, photos, rejected. What a killed training would have gone on with, in STATE, goes
once DVC has committed the training.
"""

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from jaxtyping import Int64, UInt8
from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from stages.petseg import (
    arrays,
    calibration,
    checkpoint,
    command,
    metrics,
    params,
    progress,
    scores,
    slices,
    splits,
    suspects,
    tables,
    thresholds,
)
from stages.petseg.arrays import Photo, Split
from stages.petseg.errors import UserError
from stages.petseg.scores import Measured, Score
from stages.petseg.slices import Shape, Slice
from stages.petseg.suspects import Suspect

if TYPE_CHECKING:
    import keras

    from stages.petseg.model_file import Facts


CHUNK = 256  # photos whose masks are counted at a time


@checked(frozen=True, config={"extra": "forbid"})
class Params:
    """`evaluate` in params.yaml."""

    batch_size: Annotated[int, Field(ge=1)]


def predict(
    model: "keras.Model", test: Split, batch_size: int, target: Path
) -> UInt8[np.ndarray, "n size size"]:
    """Write the probability of pet for every pixel, in 1/255, and return it mapped from disk."""
    from stages.petseg import model_file

    with (
        arrays.RowWriter(target, (test.size, test.size)) as writer,
        progress.bar("predicting", len(test)) as bar,
    ):
        for start in range(0, len(test), batch_size):
            photos = np.asarray(test.photos[start : start + batch_size])
            writer.extend(model_file.probabilities(model, photos))
            bar.update(len(photos))
    mapped: UInt8[np.ndarray, "n size size"] = np.load(target, mmap_mode="r", allow_pickle=False)
    return mapped


def measure(
    test: Split, probabilities: UInt8[np.ndarray, "n size size"], threshold: float
) -> tuple[Measured, Shape, list[Suspect]]:
    """Return what is counted on the test photos, what their trimaps say of them, and odd labels."""
    measured, shapes, disagreements = [], [], []
    with progress.bar("measuring", len(test)) as bar:
        for start in range(0, len(test), CHUNK):
            trimaps, found = (
                np.asarray(array[start : start + CHUNK]) for array in (test.trimaps, probabilities)
            )
            measured.append(scores.measure(trimaps, found, threshold))
            shapes.append(slices.shape(trimaps))
            disagreements.append(suspects.disagreement(trimaps, found))
            bar.update(len(found))
    shape = slices.together(shapes)
    odd = suspects.contradicted(test.index, shape.without_pet, np.concatenate(disagreements))
    return scores.together(measured), shape, list(odd)


def plain(value: float) -> float | int:
    """Return a whole number as such."""
    return int(value) if value.is_integer() else value


def per_image(index: list[Photo], measured: Measured) -> list[list[object]]:
    """Return the rows of per_image.csv, by name."""
    rows: list[list[object]] = [
        [photo.name, photo.breed, photo.species, *map(plain, row)]
        for photo, row in zip(index, measured.per_image().tolist(), strict=True)
    ]
    return sorted(rows, key=lambda row: str(row[0]))


def threshold_rows(histogram: Int64[np.ndarray, "3 256"]) -> list[list[float]]:
    """Return (threshold, precision, recall, IoU, Dice, accuracy) for every threshold, 4 decimals."""
    c = metrics.confusion(thresholds.sweep(histogram), "pet")
    kinds = (metrics.precision, metrics.recall, metrics.iou, metrics.dice, metrics.accuracy)
    levels = [thresholds.value(level) for level in range(thresholds.LEVELS)]
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
    reports: Path, index: list[Photo], measured: Measured, official: bool
) -> list[Score]:
    """Write metrics.json, and beside it what every photo adds to it; return the metrics."""
    found = scores.scores(measured)
    kept = {each.metric: each.value for each in found if each.metric in scores.HEADLINE}
    tables.write_json(reports / "metrics.json", kept | {"official_data": official})
    tables.write_rows(reports / "intervals.csv", Score, found)
    columns = ["name", "breed", "species", *metrics.COLUMNS, *metrics.MORE]
    tables.write_csv(reports / "per_image.csv", columns, per_image(index, measured))
    return found


def write_curves(reports: Path, measured: Measured) -> None:
    """Write what the pixels of all photos together say."""
    tables.write_csv(
        reports / "confusion.csv",
        ["truth", "predicted", "pixels", "share"],
        confusion_rows(measured.counts),
    )
    tables.write_csv(
        reports / "thresholds.csv",
        ["threshold", "precision", "recall", "iou", "dice", "accuracy"],
        threshold_rows(measured.histogram),
    )
    tables.write_csv(
        reports / "calibration.csv",
        ["from", "to", "pixels", "probability", "pet"],
        calibration.reliability(measured.histogram),
    )


def in_all_splits(folder: Path) -> Iterator[Suspect]:
    """Yield the photos of any split with an empty trimap, and those that look like one of another."""
    every = {name: arrays.load(folder / name) for name in splits.SPLITS}
    for name, split in every.items():
        yield from suspects.empty(name, split)
    yield from suspects.duplicates(
        [suspects.hashed(name, split) for name, split in every.items() if len(split)]
    )


def said(found: list[Score], worst: Slice | None, photos: int) -> str:
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
    tables.write_csv(
        reports / "photos.csv", ["name", "split", "breed", "sha256"], photo_rows(folder, test)
    )
    shutil.copyfile(folder / "rejected.csv", reports / "rejected.csv")
    summary = tables.read_json(folder / "summary.json")
    content = {**known, **summary, "worst_slice": asdict(worst) if worst else None}
    tables.write_json(reports / "data.json", content)


def write(
    reports: Path,
    folder: Path,
    test: Split,
    probabilities: UInt8[np.ndarray, "n size size"],
    facts: "Facts",
    source: dict[str, Any],
) -> None:
    """Write all that follows from the probabilities, and say the gist of it."""
    measured, shape, odd = measure(test, probabilities, facts.threshold)
    found = write_scores(reports, test.index, measured, source["official"])
    write_curves(reports, measured)
    cut = slices.slices(test.index, shape, measured.counts)
    tables.write_rows(reports / "slices.csv", Slice, cut)
    odd = suspects.ranked([*odd, *in_all_splits(folder)])
    tables.write_rows(reports / "suspects.csv", Suspect, odd)
    worst = slices.worst(cut)
    write_data(reports, folder, test, worst, source=source, model=asdict(facts))
    print(said(found, worst, len(test)))


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__,
        raw="folder with source.json",
        arrays="folder with test/, train/ and val/",
        model="folder with the model and its history",
        predictions="folder to write the probabilities to",
        reports="folder to write the numbers to",
        state="folder in which train keeps what a killed run goes on with",
    )
    settings = params.load(Params, "evaluate")
    checkpoint.clear(paths.state)
    test = arrays.load(paths.arrays / "test")
    source = tables.read_json(paths.raw / "source.json")
    # imported late: TensorFlow takes seconds, and a wrong parameter shall be told at once
    from stages.petseg import backend

    backend.start(seed=0)
    from stages.petseg import model_file

    model, facts = model_file.load(paths.model / "model.keras")
    if facts.image_size != test.size:
        raise UserError(
            f"{paths.model} takes {facts.image_size} pixels, {paths.arrays} has {test.size}; run `dvc repro train`"
        )
    for folder in (paths.predictions, paths.reports):
        folder.mkdir(parents=True, exist_ok=True)
    probabilities = predict(
        model, test, settings.batch_size, paths.predictions / "probabilities.npy"
    )
    write(paths.reports, paths.arrays, test, probabilities, facts, source)
    shutil.copyfile(paths.model / "history.csv", paths.reports / "history.csv")


if __name__ == "__main__":
    command.exit_cleanly(main)
