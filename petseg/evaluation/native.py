"""The masks at the photos' own size against the original trimaps, streamed from data/raw."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from petseg import parallel, progress
from petseg.data import archives, photos
from petseg.data.arrays import Photo
from petseg.data.labels import BACKGROUND
from petseg.errors import UserError
from petseg.evaluation import boundary
from petseg.inference import masks
from petseg.inference.onnx_engine import ExportMetadata

BATCH = 4  # photos per task of a thread
Probabilities = UInt8[np.ndarray, "n size size"]


@dataclass(frozen=True)
class TestPhoto:
    """A test photo as its files hold it."""

    row: int  # in the arrays
    trimap: bytes
    photo: bytes  # empty unless the masks are refined with it


def overlaps(
    raw: Path, index: list[Photo], probabilities: Probabilities, metadata: ExportMetadata
) -> Int64[np.ndarray, "n 4"]:
    """Return each photo's intersection and union of mask and truth, then of their boundary bands.

    All four are pixels at the photo's own size; the border counts as pet.

    Args:
        raw: the folder with the two archives.
        index: the test split's photos.
        probabilities: of pet, in 1/255, at the network's size, in the order of the index.
        metadata: that of the model: threshold and refinement.

    Raises:
        UserError: an archive is not the one that the arrays were made of.
    """
    rows = {photo.name: row for row, photo in enumerate(index)}
    result = np.full((len(index), 4), -1, np.int64)
    files = read(raw, rows, with_photos=metadata.refinement != "none")
    measure = partial(overlap, probabilities=probabilities, metadata=metadata)
    with progress.bar("measuring at full size", len(index)) as bar:
        for row, values in parallel.ordered(measure, files, BATCH):
            result[row] = values
            bar.update()
    if missing := [index[row].name for row in np.flatnonzero(result[:, 0] < 0)]:
        raise UserError(
            f"{raw} has no files of {len(missing)} test photos, such as {missing[0]}; "
            "run `dvc repro preprocess`"
        )
    return result


def read(raw: Path, rows: dict[str, int], with_photos: bool) -> Iterator[TestPhoto]:
    """Yield the files of test photos; with photos, the trimaps wait in memory as compressed files.

    Args:
        raw: the folder with the two archives.
        rows: the rows of the arrays by name.
        with_photos: whether to read the photos, too.
    """
    paths = {archives.trimap_path(name) for name in rows}
    trimaps = archives.read_members(raw / archives.ANNOTATIONS, paths.__contains__)
    if not with_photos:
        for path, trimap in trimaps:
            yield TestPhoto(rows[PurePosixPath(path).stem], trimap, b"")
        return
    by_name = {PurePosixPath(path).stem: trimap for path, trimap in trimaps}
    paths = {archives.photo_path(name) for name in by_name}
    for path, photo in archives.read_members(raw / archives.IMAGES, paths.__contains__):
        name = PurePosixPath(path).stem
        yield TestPhoto(rows[name], by_name[name], photo)


def overlap(
    files: TestPhoto, probabilities: Probabilities, metadata: ExportMetadata
) -> tuple[int, list[int]]:
    """Return a photo's row, and its four numbers in the order of `overlaps`."""

    def read_photo() -> Image.Image:
        return photos.decode_full(files.photo)

    truth = photos.decode_full_trimap(files.trimap) != BACKGROUND
    height, width = truth.shape
    levels = masks.at_photo_size(
        np.asarray(probabilities[files.row]), (width, height), metadata.refinement, read_photo
    )
    mask = masks.mask(levels, metadata.threshold)
    pixels = [int(np.count_nonzero(both)) for both in (truth & mask, truth | mask)]
    depth = boundary.band_width(height, width)
    bands = boundary.band_overlap(truth[None], mask[None], depth)[0]
    return files.row, [*pixels, *bands.tolist()]
