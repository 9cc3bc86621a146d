"""The photos that got worse with both predictions, from DVC's cache or its remote."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dvc.api import DVCFileSystem
from dvc.config import Config
from jaxtyping import Bool, UInt8

from petseg.data import quantisation
from petseg.data.arrays import PHOTOS, TRIMAPS
from petseg.files import parse_csv
from petseg.report import gallery, overlays
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


def regression_pictures(review: Review, regressions: Sequence[PhotoRegression]) -> Pictures:
    """Return a row for each photo: photo, truth, predictions of base and head, and the changes."""
    if not regressions:
        return Pictures()
    names = [photo.name for photo in regressions]
    try:
        photos, trimaps = (
            [gallery.shrunk(picture, method) for picture in rows(review.head, path, names)]
            for path, method in (
                (f"{TEST}/{PHOTOS}", gallery.BILINEAR),
                (f"{TEST}/{TRIMAPS}", gallery.NEAREST),
            )
        )
        base, head = (masks(side, names) for side in (review.base, review.head))
    except (
        Exception
    ) as error:  # a remote may raise anything, and the page is of use without pictures
        reason = f"{type(error).__name__}: {error}"
        return Pictures(without=f"The pictures could not be had from DVC ({reason}). {REMEDY}")
    lines = [
        (f"{photo.name}\nIoU {photo.base:.3f} → {photo.head:.3f}", panels(*arrays))
        for photo, *arrays in zip(regressions, photos, trimaps, base, head, strict=True)
    ]
    return Pictures(overlays.grid(("photo", "truth", "base", "head", "changed"), lines))


def panels(
    photo: UInt8[np.ndarray, "height width 3"],
    trimap: UInt8[np.ndarray, "height width"],
    before: Bool[np.ndarray, "height width"],
    after: Bool[np.ndarray, "height width"],
) -> list[UInt8[np.ndarray, "height width 3"]]:
    """Return a photo, its truth, the masks of base and head, and the pixels that changed."""
    base, head = (overlays.Example("", photo, trimap, mask) for mask in (before, after))
    return [
        photo,
        overlays.truth_overlay(base),
        overlays.prediction_overlay(base),
        overlays.prediction_overlay(head),
        overlays.change_overlay(photo, trimap, before, after),
    ]


def masks(side: Results, names: Sequence[str]) -> list[Any]:
    """Return the predicted masks of these test photos, with the threshold used by `evaluate`."""
    min_level = quantisation.min_level(side.data["model"]["threshold"])
    return [
        gallery.shrunk(probabilities, gallery.NEAREST) >= min_level
        for probabilities in rows(side, PREDICTIONS, names)
    ]


def rows(side: Results, path: str, names: Sequence[str]) -> list[UInt8[np.ndarray, "..."]]:
    """Return the rows of these test photos from an array, reading no others."""
    # The configuration of the working tree: a commit may be older than the remote's set-up.
    config = {section: values for section, values in Config.from_cwd().items() if values}
    files = DVCFileSystem(rev=side.commit or None, config=config)
    with files.open(f"{TEST}/index.csv", "r") as index:
        index_rows = list(parse_csv(index.read()))
    row_by_name = {line["name"]: row for row, line in enumerate(index_rows)}
    arrays = []
    with files.open(path) as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
        channels = shape[len(shape) - path.endswith(PHOTOS) :]
        if len(shape) - len(channels) == 1:  # one picture after another, each with its own size
            shapes = [(int(line["height"]), int(line["width"]), *channels) for line in index_rows]
        else:
            shapes = [shape[1:]] * len(index_rows)
        offsets = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
        for row in (row_by_name[name] for name in names):
            file.seek(start + offsets[row])
            data = file.read(int(offsets[row + 1] - offsets[row]))
            arrays.append(np.frombuffer(data, dtype).reshape(shapes[row]))
    return arrays
