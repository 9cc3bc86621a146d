"""How photos of any shape are brought to the network's input: squashed, padded, or left whole."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image

from petseg.data import photos
from petseg.data.frame import Frame, Mode
from petseg.data.labels import IGNORED
from petseg.data.mask_formats import MaskFormat, decode_mask

PAD = Frame("pad", 16)


def png(pixels: np.ndarray, **options: object) -> bytes:
    """Return an array as the bytes of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "size", "expected"),
    [
        ("squash", (40, 20), (16, 16)),
        ("pad", (40, 20), (16, 8)),
        ("pad", (20, 40), (8, 16)),
        ("pad", (8, 4), (16, 8)),  # small photos are enlarged
        ("pad", (1000, 1), (16, 1)),
        ("tiles", (40, 20), (40, 20)),
    ],
)
def test_a_mode_decides_to_which_size_a_photo_is_resized(
    mode: Mode, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert Frame(mode, 16).content_size(*size) == expected


def test_a_padded_photo_keeps_its_shape_between_two_bars_of_grey() -> None:
    picture = photos.decode_photo(png(np.full((20, 40, 3), 200, np.uint8)), PAD)
    assert (picture.pixels.shape, picture.width, picture.height) == ((16, 16, 3), 40, 20)
    assert (picture.pixels[4:12] == 200).all()
    assert (picture.pixels[:4] == photos.PADDING).all()
    assert (picture.pixels[12:] == photos.PADDING).all()


def test_a_photo_turned_by_exif_is_padded_as_it_is_looked_at() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # turned by 90 degrees: the photo stands upright
    data = png(np.full((20, 40, 3), 200, np.uint8), exif=exif)
    picture = photos.decode_photo(data, PAD)
    assert (picture.width, picture.height) == (20, 40)
    assert (picture.pixels[:, 4:12] == 200).all()
    assert (picture.pixels[:, :4] == photos.PADDING).all()
    assert photos.decode_photo(data, Frame("tiles", 16)).pixels.shape == (40, 20, 3)


def test_the_padding_of_masks_and_trimaps_counts_nowhere() -> None:
    trimap = photos.decode_trimap(png(np.full((20, 40), 2, np.uint8)), PAD)
    mask = decode_mask(png(np.full((20, 40), 255, np.uint8)), PAD, MaskFormat("binary"))
    assert np.unique(trimap.pixels[4:12]).tolist() == [2]
    assert np.unique(mask.pixels[4:12]).tolist() == [1]
    for labels in (trimap.pixels, mask.pixels):
        assert set(np.unique(labels[:4])) == set(np.unique(labels[12:])) == {IGNORED}


def test_tiles_leave_photo_and_mask_as_they_are() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (21, 40, 3), np.uint8)
    frame = Frame("tiles", 16)
    assert np.array_equal(photos.decode_photo(png(noise), frame).pixels, noise)
    labels = np.random.default_rng(1).integers(1, 4, (21, 40), np.uint8)
    assert np.array_equal(photos.decode_trimap(png(labels), frame).pixels, labels)


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (33, 17), (16, 16), (5, 300)])
def test_the_content_of_a_frame_is_what_was_placed_in_it(size: tuple[int, int]) -> None:
    width, height = PAD.content_size(*size)
    content = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
    assert np.array_equal(PAD.content(PAD.place(content, 9), *size), content)
