"""Predicts the test split, once, and writes every number that git keeps.

Reads: MODEL/model.keras, MODEL/history.csv, ARRAYS (of train and val the index alone),
RAW/source.json.
Writes: PREDICTIONS/probabilities.npy (n, size, size), uint8 in 1/255; and in REPORTS
metrics.json, per_image.csv, history.csv, precision_recall.csv, confusion.csv, photos.csv,
rejected.csv, data.json. What a killed training would have gone on with, in STATE, goes once DVC
has committed the training.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from jaxtyping import Int64, UInt8
from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from stages.petseg import arrays, checkpoint, command, metrics, params, progress, splits, tables
from stages.petseg.arrays import Photo, Split
from stages.petseg.errors import UserError

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
) -> tuple[Int64[np.ndarray, "n 6"], Int64[np.ndarray, "2 256"]]:
    """Return each photo's confusion counts at the threshold, and the histogram of probabilities."""
    least = metrics.least(threshold)
    counts, histogram = [], np.zeros((2, 256), np.int64)
    for start in range(0, len(test), CHUNK):
        trimaps, found = (
            np.asarray(test.trimaps[start : start + CHUNK]),
            np.asarray(probabilities[start : start + CHUNK]),
        )
        counts.append(metrics.count(trimaps, found >= least))
        histogram += metrics.histogram(trimaps, found)
    return np.concatenate(counts), histogram


def per_image(index: list[Photo], counts: Int64[np.ndarray, "n 6"]) -> list[list[object]]:
    """Return the rows of per_image.csv, by name."""
    rows = [
        [photo.name, photo.breed, photo.species, *row]
        for photo, row in zip(index, counts.tolist(), strict=True)
    ]
    return sorted(rows, key=lambda row: str(row[0]))


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


def write_numbers(
    reports: Path,
    test: Split,
    counts: Int64[np.ndarray, "n 6"],
    histogram: Int64[np.ndarray, "2 256"],
    official: bool,
) -> None:
    """Write what follows from the counts and from the probabilities."""
    values = metrics.headline(counts) | {"official_data": official}
    tables.write_json(reports / "metrics.json", values)
    tables.write_csv(
        reports / "per_image.csv",
        ["name", "breed", "species", *metrics.COLUMNS],
        per_image(test.index, counts),
    )
    tables.write_csv(
        reports / "confusion.csv", ["truth", "predicted", "pixels", "share"], confusion_rows(counts)
    )
    curve = metrics.precision_recall(histogram, list(range(0, 256, 5)))
    tables.write_csv(reports / "precision_recall.csv", ["threshold", "precision", "recall"], curve)
    print(
        f"test IoU {values['iou']:.4f}, Dice {values['dice']:.4f}, accuracy {values['accuracy']:.4f} on {len(test):,} photos"
    )


def write_data(
    reports: Path, folder: Path, test: Split, source: dict[str, Any], facts: "Facts"
) -> None:
    """Write what the numbers were measured with: the photos, those set aside, the model's facts."""
    tables.write_csv(
        reports / "photos.csv", ["name", "split", "breed", "sha256"], photo_rows(folder, test)
    )
    shutil.copyfile(folder / "rejected.csv", reports / "rejected.csv")
    model = {
        "threshold": facts.threshold,
        "border_in_training": facts.border,
        "kept_epoch": facts.epoch,
        "recipe": facts.recipe,
        "data_sha256": facts.data_sha256,
    }
    summary = tables.read_json(folder / "summary.json")
    tables.write_json(reports / "data.json", {"source": source, **summary, "model": model})


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__,
        raw="folder with source.json",
        arrays="folder with test/ and the index of the others",
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
    counts, histogram = measure(test, probabilities, facts.threshold)
    write_numbers(paths.reports, test, counts, histogram, source["official"])
    write_data(paths.reports, paths.arrays, test, source, facts)
    shutil.copyfile(paths.model / "history.csv", paths.reports / "history.csv")


if __name__ == "__main__":
    command.exit_cleanly(main)
