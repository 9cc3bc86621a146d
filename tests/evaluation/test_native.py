"""Masks at the photos' own size against trimaps in real archives, worked by hand."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from petseg.data import archives
from petseg.data.arrays import Photo
from petseg.data.label_edits import NO_EDITS
from petseg.errors import UserError
from petseg.evaluation import metrics, native, scores
from petseg.inference.onnx_engine import ExportMetadata, Refinement


def metadata(size: int, refinement: Refinement = "none") -> ExportMetadata:
    """Return the metadata of a model with this input and a threshold of 0.5."""
    return ExportMetadata(size, "squash", 0.5, "foreground", "tiny", "", 1, {}, refinement, "pet")


def png(pixels: np.ndarray) -> bytes:
    """Return the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_raw(
    folder: Path, trimaps: dict[str, np.ndarray], photos: dict[str, np.ndarray]
) -> list[Photo]:
    """Write both archives, with a file that is no test photo in each; return the photos' index."""
    others = {"train_1": np.full((5, 5), 2, np.uint8)}
    archives.write(
        folder / archives.ANNOTATIONS,
        [(archives.trimap_path(name), png(pixels)) for name, pixels in (others | trimaps).items()],
    )
    archives.write(
        folder / archives.IMAGES,
        [(archives.photo_path(name), png(pixels)) for name, pixels in photos.items()],
    )
    index = [
        Photo(name, "x", "cat", trimap.shape[1], trimap.shape[0], "", "")
        for name, trimap in trimaps.items()
    ]
    return index[::-1]  # in another order than in the archives


def wide_trimap() -> np.ndarray:
    """Return a trimap of 4 rows and 8 columns: border in column 3, pet right of it."""
    trimap = np.full((4, 8), 2, np.uint8)
    trimap[:, 3], trimap[:, 4:] = 3, 1
    return trimap


def right_half(size: int) -> np.ndarray:
    """Return probabilities that are 1 in the right half and 0 in the left one."""
    levels = np.zeros((size, size), np.uint8)
    levels[:, size // 2 :] = 255
    return levels


def test_a_larger_photo_is_measured_at_its_own_size_with_the_border_as_foreground(
    tmp_path: Path,
) -> None:
    index = write_raw(tmp_path, {"a_1": wide_trimap()}, {})
    (overlap,) = native.overlaps(tmp_path, index, right_half(4)[None], metadata(4), NO_EDITS)
    # Of 4 columns the right 2 are foreground, and enlarged the right 4 of 8: 16 pixels, all of them
    # among the 20 of pet and border. The bands are 1 deep: 14 pixels of the 5×4 rectangle, 12 of
    # the 4×4 square. Common are the top and the bottom row of the square, and 2 pixels at the right
    # frame: 10, so the union has 14 + 12 − 10.
    assert overlap.tolist() == [16, 20, 10, 16]


def test_photos_of_the_networks_size_have_the_same_numbers_as_at_the_networks_size(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(1)
    trimaps = {f"a_{n}": rng.integers(1, 4, (9, 9), np.uint8) for n in range(11)}
    levels = rng.integers(0, 256, (11, 9, 9), np.uint8)
    index = write_raw(tmp_path, trimaps, {})
    overlaps = native.overlaps(tmp_path, index, levels, metadata(9), NO_EDITS)
    stacked = np.stack([trimaps[photo.name] for photo in index])
    measured = scores.measure(stacked, levels, overlaps, 0.5)
    values = metrics.from_photos(measured.per_image())
    assert values["native_iou"] == values["iou"]
    assert values["native_boundary_iou"] == values["boundary_iou"]
    confusion = metrics.confusion(measured.counts, "foreground")
    assert (overlaps[:, 0] == confusion.tp).all()
    assert (overlaps[:, 1] == confusion.tp + confusion.fp + confusion.fn).all()
    assert (overlaps[:, 2:] == measured.bands).all()


def step_edge_files() -> dict[str, dict[str, np.ndarray]]:
    """Return a photo of 64×64, bright from column 35 on, and the trimap that has pet there."""
    photo = np.full((64, 64, 3), 40, np.uint8)
    photo[:, 35:] = 210
    trimap = np.where(photo[..., 0] > 100, 1, 2).astype(np.uint8)
    return {"trimaps": {"a_1": trimap}, "photos": {"a_1": photo}}


def test_guided_reads_the_photos_and_is_nearer_to_an_edge_of_theirs(tmp_path: Path) -> None:
    index = write_raw(tmp_path, **step_edge_files())
    refinements: tuple[Refinement, ...] = ("none", "guided")
    plain, guided = (
        native.overlaps(tmp_path, index, right_half(16)[None], metadata(16, refinement), NO_EDITS)[
            0
        ]
        for refinement in refinements
    )
    # Enlarged, the foreground begins at column 32, and covers the 29 columns of pet and 3 others.
    assert plain[:2].tolist() == [29 * 64, 32 * 64]
    assert guided[1] - guided[0] < plain[1] - plain[0]
    assert guided[2] / guided[3] > plain[2] / plain[3]


@pytest.mark.parametrize(
    ("refinement", "files"),
    [
        ("none", {"trimaps": {}, "photos": {}}),
        ("guided", step_edge_files() | {"photos": {}}),
        ("guided", step_edge_files() | {"trimaps": {}}),
    ],
)
def test_a_test_photo_whose_files_are_missing_is_named_with_the_remedy(
    tmp_path: Path, refinement: Refinement, files: dict[str, Any]
) -> None:
    write_raw(tmp_path, **files)
    index = [Photo("a_1", "x", "cat", 64, 64, "", "")]
    with pytest.raises(UserError) as raised:
        native.overlaps(tmp_path, index, right_half(16)[None], metadata(16, refinement), NO_EDITS)
    assert str(raised.value) == (
        f"{tmp_path} has no files of 1 test photos, such as a_1; run `dvc repro preprocess`"
    )
