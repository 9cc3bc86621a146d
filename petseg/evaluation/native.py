"""The masks at the photos' own size against the original ones, streamed from data/raw."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from PIL import Image

from petseg import parallel, progress
from petseg.data import photos, raw
from petseg.data.arrays import Photo, PictureArray
from petseg.data.edited_photos import EditedPhotos
from petseg.data.label_edits import LabelEdits
from petseg.data.labels import IGNORED, is_foreground
from petseg.data.listing import Member, RawData
from petseg.errors import UserError
from petseg.evaluation import boundary
from petseg.inference import masks
from petseg.inference.onnx_engine import ExportMetadata

BATCH = 4  # photos per task of a thread


@dataclass(frozen=True)
class TestPhoto:
    """A test photo as its files hold it."""

    row: int  # in the arrays
    mask: Member
    photo: Member | None  # None unless the masks are refined with it


def overlaps(
    folder: Path,
    index: list[Photo],
    probabilities: PictureArray,
    metadata: ExportMetadata,
    edits: LabelEdits,
) -> Int64[np.ndarray, "n 4"]:
    """Return each photo's intersection and union of mask and truth, then of their boundary bands.

    All four are pixels at the photo's own size; the border counts as foreground.

    Args:
        folder: the folder with the two archives, or with the list of a team's own photos.
        index: the test split's photos.
        probabilities: of foreground, in 1/255, at the network's scale, in the order of the index.
        metadata: that of the model: threshold and refinement.
        edits: the corrections that the index was made with.

    Raises:
        UserError: the photos are not those that the arrays were made of.
    """
    rows = {photo.name: row for row, photo in enumerate(index)}
    result = np.full((len(index), 4), -1, np.int64)
    data = EditedPhotos(raw.open_raw(folder), edits)
    files = read(data, rows, with_photos=metadata.refinement != "none")
    measure = partial(overlap, data=data, probabilities=probabilities, metadata=metadata)
    with progress.bar("measuring at full size", len(index)) as bar:
        for row, values in parallel.ordered(measure, files, BATCH):
            result[row] = values
            bar.update()
    if missing := [index[row].name for row in np.flatnonzero(result[:, 0] < 0)]:
        raise UserError(
            f"{folder} has no files of {len(missing)} test photos, such as {missing[0]}; "
            "run `dvc repro preprocess`"
        )
    return result


def read(data: RawData, rows: dict[str, int], with_photos: bool) -> Iterator[TestPhoto]:
    """Yield the files of test photos; with photos, the masks of an archive wait in memory.

    Args:
        data: the photos and masks.
        rows: the rows of the arrays by name.
        with_photos: whether to read the photos, too.
    """
    masks = data.masks(rows)
    if not with_photos:
        for mask in masks:
            yield TestPhoto(rows[mask.name], mask, None)
        return
    by_name = {mask.name: mask for mask in masks}
    for photo in data.photos(by_name):
        yield TestPhoto(rows[photo.name], by_name[photo.name], photo)


def overlap(
    files: TestPhoto, data: RawData, probabilities: PictureArray, metadata: ExportMetadata
) -> tuple[int, list[int]]:
    """Return a photo's row, and its four numbers in the order of `overlaps`."""

    def read_photo() -> Image.Image:
        assert files.photo
        return photos.decode_full(files.photo.read()[0])

    labels = data.decode_full_mask(files.mask.read()[0])
    truth = is_foreground(labels)
    height, width = truth.shape
    content = metadata.frame.content(np.asarray(probabilities[files.row]), width, height)
    levels = masks.at_photo_size(content, (width, height), metadata.refinement, read_photo)
    mask = masks.mask(levels, metadata.threshold) & (labels != IGNORED)
    pixels = [int(np.count_nonzero(both)) for both in (truth & mask, truth | mask)]
    depth = boundary.band_width(height, width)
    bands = boundary.band_overlap(truth[None], mask[None], depth)[0]
    return files.row, [*pixels, *bands.tolist()]
