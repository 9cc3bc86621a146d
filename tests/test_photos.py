"""Decoding photos and trimaps: what is odd is read, what is broken gets a reason."""

import io

import numpy as np
import pytest
from PIL import Image

from stages.petseg import photos


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_photo_is_squashed_to_a_square_and_keeps_its_first_size() -> None:
    decoded = photos.decode_photo(encoded(Image.new("RGB", (50, 30), (200, 10, 10)), "PNG"), 16)
    assert (decoded.pixels.shape, decoded.width, decoded.height) == ((16, 16, 3), 50, 30)
    assert decoded.pixels[8, 8].tolist() == [200, 10, 10]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_other_modes_become_rgb(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    data = encoded(Image.new("RGB", (20, 20), (120, 120, 120)).convert(mode), kind)
    pixels = photos.decode_photo(data, 16).pixels
    assert pixels.shape == (16, 16, 3)
    assert abs(pixels.mean() - 120) < 4


def test_a_photo_is_turned_upright_by_its_exif() -> None:
    image = Image.new("RGB", (40, 20))
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter turn
    decoded = photos.decode_photo(encoded(image, "JPEG", exif=exif), 16)
    assert (decoded.width, decoded.height) == (20, 40)


@pytest.mark.parametrize("cut", [0, 40, 500])
def test_a_truncated_photo_has_a_reason(cut: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG")[:cut]
    with pytest.raises(photos.UnusableError, match="photo cannot be decoded"):
        photos.decode_photo(data, 16)


def test_a_trimap_keeps_its_three_classes() -> None:
    values = np.repeat(np.repeat(np.array([[1, 2], [3, 2]], np.uint8), 8, axis=0), 8, axis=1)
    decoded = photos.decode_trimap(encoded(Image.fromarray(values), "PNG"), 4)
    assert decoded.pixels.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 2, 2], [3, 3, 2, 2]]


@pytest.mark.parametrize("value", [0, 4, 255])
def test_a_trimap_with_another_value_has_a_reason(value: int) -> None:
    with pytest.raises(photos.UnusableError, match="values outside 1 to 3"):
        photos.decode_trimap(encoded(Image.new("L", (8, 8), value), "PNG"), 4)
