"""The photos of a review with both predictions, from DVC's cache or its remote."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dvc.api import DVCFileSystem
from dvc.config import Config
from jaxtyping import UInt8

from petseg.evaluation import thresholds
from petseg.report import overlays
from petseg.review.compare import PhotoRegression, Review
from petseg.review.results import Results

TEST = "data/arrays/test"
PREDICTIONS = "data/predictions/probabilities.npy"
REMEDY = (
    "`dvc fetch --all-commits` brings them from a remote that has them; where they were made, "
    "`dvc push` sends them there."
)


@dataclass(frozen=True)
class Pictures:
    """A PNG, or why there is none; both are empty if there is nothing to show."""

    png: bytes = b""
    without: str = ""


def regression_pictures(found: Review, losses: Sequence[PhotoRegression]) -> Pictures:
    """Return a row per photo: photo, truth, base's and head's prediction, and what changed."""
    if not losses:
        return Pictures()
    names = [loss.name for loss in losses]
    try:
        photos = rows(found.head, f"{TEST}/photos.npy", names)
        trimaps = rows(found.head, f"{TEST}/trimaps.npy", names)
        base, head = (masks(side, names) for side in (found.base, found.head))
    except Exception as error:  # each kind of remote raises its own, and the numbers stand alone
        why = f"{type(error).__name__}: {error}"
        return Pictures(without=f"The pictures could not be had from DVC ({why}). {REMEDY}")
    lines = []
    for loss, photo, trimap, before, after in zip(losses, photos, trimaps, base, head, strict=True):
        example = overlays.Example(loss.name, photo, trimap, before)
        lines.append(
            (
                f"{loss.name}\nIoU {loss.base:.3f} → {loss.head:.3f}",
                (
                    photo,
                    overlays.truth_overlay(example),
                    overlays.prediction_overlay(example),
                    overlays.prediction_overlay(overlays.Example(loss.name, photo, trimap, after)),
                    overlays.change_overlay(photo, trimap, before, after),
                ),
            )
        )
    return Pictures(overlays.grid(("photo", "truth", "base", "head", "changed"), lines))


def masks(side: Results, names: Sequence[str]) -> list[Any]:
    """Return what a side predicts as pet, as `evaluate` counted it."""
    least = thresholds.min_level(side.data["model"]["threshold"])
    return [found >= least for found in rows(side, PREDICTIONS, names)]


def rows(side: Results, path: str, names: Sequence[str]) -> list[UInt8[np.ndarray, "..."]]:
    """Return the rows of these test photos from an array, reading no others."""
    # a commit of before the remote was set up shall find it as well
    here = {section: values for section, values in Config.from_cwd().items() if values}
    files = DVCFileSystem(rev=side.commit or None, config=here)
    with files.open(f"{TEST}/index.csv", "r") as index:
        order = {line["name"]: row for row, line in enumerate(csv.DictReader(index))}
    found = []
    with files.open(path) as file:
        np.lib.format.read_magic(file)
        shape, _, kind = np.lib.format.read_array_header_1_0(file)
        start, size = file.tell(), int(np.prod(shape[1:])) * kind.itemsize
        for name in names:
            file.seek(start + order[name] * size)
            found.append(np.frombuffer(file.read(size), kind).reshape(shape[1:]))
    return found
