"""Masks are read by the declared convention; what it does not cover is refused with the reason."""

import io
import json
import re
import warnings
import zlib
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

from petseg.data import photos
from petseg.data.frame import Frame
from petseg.data.mask_formats import BAND, MaskFormat, decode_labels, decode_mask

BINARY = MaskFormat("binary")
TRIMAP = MaskFormat("trimap")
VOC = MaskFormat("values", (1, 2), (255,))
RED = MaskFormat("colours", (0x800000,), (0xFFFFFF,))


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Return the bytes of an image file of this format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey_row(*values: int, dtype: type = np.uint8) -> Image.Image:
    """Return an image of one row with these values."""
    return Image.fromarray(np.array([values], dtype))


def colour_row(*colours: int) -> Image.Image:
    """Return an image of one row with these colours, 0xRRGGBB."""
    pixels = [[list(colour.to_bytes(3, "big")) for colour in colours]]
    return Image.fromarray(np.array(pixels, np.uint8))


def palette_row(*indices: int) -> Image.Image:
    """Return an image of one row with a palette of black, red, white and dark grey."""
    image = Image.new("P", (len(indices), 1))
    image.putdata(indices)
    image.putpalette([0, 0, 0, 128, 0, 0, 255, 255, 255, 40, 40, 40])
    return image


def labels(
    image: Image.Image, masks: MaskFormat, kind: str = "PNG", **options: object
) -> list[int]:
    """Return the labels of the only row of an image that has been saved in this format."""
    [row] = decode_labels(encode(image, kind, **options), masks).tolist()
    return list(row)


def check_refused(data: bytes, masks: MaskFormat, reason: str) -> None:
    """Check that a mask is refused at any size with just this reason."""
    with pytest.raises(photos.UnusableError, match=f"^{re.escape(reason)}$"):
        decode_labels(data, masks)
    with pytest.raises(photos.UnusableError, match=f"^{re.escape(reason)}$"):
        decode_mask(data, Frame("squash", 16), masks)


def test_a_convention_is_the_same_after_it_was_stored_as_json() -> None:
    for masks in (BINARY, TRIMAP, VOC, RED, MaskFormat("values", (3,), (), (0, 7))):
        stored = MaskFormat.from_json(json.loads(json.dumps(asdict(masks))))
        assert stored == masks
        assert hash(stored) == hash(masks)


def test_in_a_binary_mask_all_but_0_is_foreground() -> None:
    assert labels(grey_row(0, 1, 128, 255), BINARY) == [2, 1, 1, 1]


def test_a_trimap_keeps_its_three_classes_and_has_no_other_value() -> None:
    assert labels(grey_row(1, 2, 3), TRIMAP) == [1, 2, 3]
    check_refused(
        encode(grey_row(1, 0, 4)),
        TRIMAP,
        "mask has the values 0 and 4, which a trimap does not have",
    )


def test_declared_values_are_foreground_ignored_and_background() -> None:
    assert labels(grey_row(0, 1, 2, 255), VOC) == [2, 1, 1, 0]
    assert labels(grey_row(0, 1, 7), MaskFormat("values", (0,), (), (1, 7))) == [1, 2, 2]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((0, 7), "mask has the value 7, which download.masks does not declare"),
        ((9, 7), "mask has the values 7 and 9, which download.masks does not declare"),
        (
            range(3, 20),
            "mask has the values 3, 4, 5, 6, 7 and 12 more, which download.masks does not declare",
        ),
    ],
)
def test_values_that_are_not_declared_are_named(values: tuple[int, ...], reason: str) -> None:
    check_refused(encode(grey_row(*values)), VOC, reason)


def test_even_0_is_refused_if_another_value_is_the_background() -> None:
    masks = MaskFormat("values", (1,), (), (2,))
    check_refused(
        encode(grey_row(0, 1)), masks, "mask has the value 0, which download.masks does not declare"
    )


def test_declared_colours_are_foreground_ignored_and_background() -> None:
    assert labels(colour_row(0, 0x800000, 0xFFFFFF), RED) == [2, 1, 0]
    green = MaskFormat("colours", (0x800000,), (), (0x00FF00, 0x0000FF))
    assert labels(colour_row(0x0000FF, 0x800000, 0x00FF00), green) == [2, 1, 2]


def test_colours_that_are_not_declared_are_named() -> None:
    reason = "mask has the colours #000080 and #810000, which download.masks does not declare"
    check_refused(encode(colour_row(0, 0x810000, 0x80, 0x800000)), RED, reason)
    reason = "mask has the colour #000000, which download.masks does not declare"
    check_refused(encode(colour_row(0)), MaskFormat("colours", (1,), (), (2,)), reason)


def test_labels_of_the_project_are_taken_as_they_are() -> None:
    assert labels(grey_row(3, 2, 1, 0), MaskFormat("labels")) == [3, 2, 1, 0]
    check_refused(
        encode(grey_row(4)), MaskFormat("labels"), "mask has the value 4, which no label has"
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_a_mask_of_one_bit_a_pixel_has_0_and_255(kind: str) -> None:
    image = Image.fromarray(np.array([[False, True]]))
    assert image.mode == "1"
    assert labels(image, BINARY, kind) == [2, 1]
    assert labels(image, MaskFormat("values", (255,)), kind) == [2, 1]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_mask_of_16_bits_keeps_its_values(kind: str) -> None:
    image = grey_row(0, 255, 256, 65535, dtype=np.uint16)
    assert labels(image, BINARY, kind) == [2, 1, 1, 1]
    assert labels(image, MaskFormat("values", (256, 65535), (255,)), kind) == [2, 0, 1, 1]
    check_refused(encode(image, kind), MaskFormat("values", (256, 65535)), "mask has the value 255, which download.masks does not declare")  # fmt: skip


def test_a_mask_of_16_bits_in_the_other_order_of_bytes_keeps_its_values() -> None:
    # A TIFF of one row with two pixels, 1 and 256, whose bytes have the highest one first.
    tags = ((256, 2), (257, 1), (258, 16), (259, 1), (262, 1), (273, 122), (277, 1), (278, 1), (279, 4))  # fmt: skip
    entries = b"".join(tag.to_bytes(2) + b"\0\x03\0\0\0\x01" + n.to_bytes(2) + b"\0\0" for tag, n in tags)  # fmt: skip
    data = b"MM\0*\0\0\0\x08" + len(tags).to_bytes(2) + entries + bytes(4) + b"\0\x01\x01\0"
    assert Image.open(io.BytesIO(data)).mode == "I;16B"
    assert decode_labels(data, MaskFormat("values", (256,), (1,))).tolist() == [[0, 1]]


def test_a_mask_of_32_bits_keeps_its_values_and_those_above_16_bits_cannot_be_declared() -> None:
    image = grey_row(0, 1, 255, dtype=np.int32)
    assert image.mode == "I"
    assert labels(image, VOC, "TIFF") == [2, 1, 0]
    image = grey_row(0, 65536 + 1, -1, 65536, 1, dtype=np.int32)
    assert labels(image, BINARY, "TIFF") == [2, 1, 1, 1, 1]
    reason = "mask has the values -1, 65536 and 65537, which download.masks does not declare"
    check_refused(encode(image, "TIFF"), VOC, reason)


def test_the_indices_of_a_palette_are_values_and_its_entries_are_colours() -> None:
    image = palette_row(0, 1, 2, 1)
    for kind in ("PNG", "TIFF", "BMP"):
        assert labels(image, BINARY, kind) == [2, 1, 1, 1]
        assert labels(image, MaskFormat("values", (1,), (2,)), kind) == [2, 1, 0, 1]
        assert labels(image, RED, kind) == [2, 1, 0, 1]
    assert labels(palette_row(3, 1, 2), TRIMAP) == [3, 1, 2]
    reason = "mask has the colour #282828, which download.masks does not declare"
    check_refused(encode(palette_row(1, 3)), RED, reason)


def test_a_gif_has_only_colours_as_its_writers_number_the_palette_anew() -> None:
    data = encode(grey_row(255, 1, 255), "GIF")
    image = Image.open(io.BytesIO(data))
    assert image.mode == "P"
    assert np.asarray(image).max() < 255
    assert decode_labels(data, VOC).tolist() == [[0, 1, 0]]
    reason = "mask has colours, not grey values; declare them as download.masks.colours"
    check_refused(encode(palette_row(1, 2), "GIF"), BINARY, reason)
    assert labels(palette_row(1, 2, 0), RED, "GIF") == [1, 0, 2]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_three_equal_channels_count_as_grey(kind: str, mode: str) -> None:
    image = grey_row(0, 1, 255).convert(mode)
    assert labels(image, VOC, kind, lossless=True) == [2, 1, 0]
    assert labels(image, BINARY, kind, lossless=True) == [2, 1, 1]


def test_grey_with_opaque_transparency_counts_as_grey() -> None:
    assert labels(grey_row(0, 1, 255).convert("LA"), VOC) == [2, 1, 0]


def test_grey_values_are_colours_as_well() -> None:
    for mode in ("L", "LA", "1"):
        assert labels(grey_row(0, 255).convert(mode), RED) == [2, 0]


@pytest.mark.parametrize("masks", [BINARY, TRIMAP, VOC])
def test_colours_where_values_are_declared_get_a_reason_with_the_remedy(masks: MaskFormat) -> None:
    reason = "mask has colours, not grey values; declare them as download.masks.colours"
    check_refused(encode(colour_row(0, 0x010102)), masks, reason)


def test_wide_grey_values_where_colours_are_declared_get_a_reason() -> None:
    reason = "mask has grey values of 16 or 32 bits; declare them as download.masks.values"
    check_refused(encode(grey_row(0, 1, dtype=np.uint16)), RED, reason)
    check_refused(encode(grey_row(0, 1, dtype=np.int32), "TIFF"), RED, reason)


def test_floating_point_numbers_get_a_reason() -> None:
    reason = "mask has floating-point numbers; save it with whole numbers, as PNG"
    for masks in (BINARY, RED):
        check_refused(encode(Image.new("F", (4, 4), 1), "TIFF"), masks, reason)


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_other_colour_modes_get_a_reason(mode: str) -> None:
    reason = f"mask has the colour mode {mode}; save it as grey or RGB, in PNG"
    for masks in (BINARY, RED):
        check_refused(encode(Image.new(mode, (4, 4)), "TIFF"), masks, reason)


def test_colours_of_16_bits_a_channel_get_a_reason_as_their_lower_bits_would_be_lost() -> None:
    header = b"".join(n.to_bytes(4) for n in (1, 1)) + bytes([16, 2, 0, 0, 0])
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + b"\0\x01" * 3)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)
        for name, body in chunks
    )
    assert np.asarray(Image.open(io.BytesIO(data))).tolist() == [[[0, 0, 0]]]  # it was 1
    check_refused(data, BINARY, "mask has 16 bits per colour channel; save it with 8")


def test_transparent_pixels_get_a_reason() -> None:
    reason = "mask has transparent pixels; save it without transparency"
    for mode, kinds in (("RGBA", ("PNG", "TIFF", "WEBP")), ("LA", ("PNG", "TIFF"))):
        image = grey_row(0, 255).convert(mode)
        image.putalpha(grey_row(255, 254))
        for kind in kinds:
            check_refused(encode(image, kind, lossless=True), BINARY, reason)
            check_refused(encode(image, kind, lossless=True), RED, reason)
    for kind in ("PNG", "GIF"):
        check_refused(encode(palette_row(0, 1), kind, transparency=1), BINARY, reason)
    check_refused(encode(grey_row(0, 1), transparency=1), BINARY, reason)


def test_a_transparent_entry_of_the_palette_that_no_pixel_has_is_no_fault() -> None:
    assert labels(palette_row(0, 1), BINARY, transparency=3) == [2, 1]


LOSSY: dict[str, tuple[str, dict[str, object]]] = {
    "a JPEG": ("JPEG", {}),
    "a lossy WebP": ("WEBP", {"quality": 100}),
    "a TIFF of JPEG data": ("TIFF", {"compression": "jpeg"}),
}


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("masks", [BINARY, RED])
def test_lossy_formats_get_a_reason_with_the_remedy(name: str, masks: MaskFormat) -> None:
    kind, options = LOSSY[name]
    data = encode(Image.new("RGB", (16, 16)), kind, **options)
    reason = f"mask is {name}, whose compression changes values at the edges; save it as PNG"
    check_refused(data, masks, reason)


def test_a_lossy_webp_is_recognised_behind_other_chunks() -> None:
    image = Image.new("RGBA", (16, 16), (9, 9, 9, 255))
    reason = "mask is a lossy WebP, whose compression changes values at the edges; save it as PNG"
    data = encode(image, "WEBP", icc_profile=b"odd")
    assert data.index(b"VP8 ") > data.index(b"ICCP") > 12
    check_refused(data, BINARY, reason)
    lossless = encode(image, "WEBP", icc_profile=b"VP8 ", lossless=True)
    assert decode_labels(lossless, BINARY).min() == 1


def test_a_jpeg_of_many_scans_is_refused_as_a_jpeg() -> None:
    data = encode(Image.effect_noise((16, 16), 50).convert("RGB"), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    reason = "mask is a JPEG, whose compression changes values at the edges; save it as PNG"
    check_refused(data[:-2] + 200 * scan + data[-2:], BINARY, reason)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_several_frames_or_pages_get_a_reason(kind: str) -> None:
    first, second = Image.new("L", (8, 8), 0), Image.new("L", (8, 8), 255)
    data = encode(first, kind, save_all=True, append_images=[second], lossless=True)
    check_refused(data, BINARY, "mask has several frames or pages; save one mask a file")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_an_exif_orientation_gets_a_reason_unless_it_is_upright(kind: str) -> None:
    image = grey_row(0, 1)
    for orientation in (3, 6, 8):
        exif = image.getexif()
        exif[0x0112] = orientation
        reason = f"mask has the EXIF orientation {orientation}; save it without EXIF"
        check_refused(encode(image, kind, exif=exif, lossless=True), BINARY, reason)
    for orientation in (1, 0, 9):  # there is no 0 and no 9
        exif[0x0112] = orientation
        assert labels(image, BINARY, kind, exif=exif, lossless=True) == [2, 1]


def test_an_empty_file_gets_a_reason() -> None:
    check_refused(b"", BINARY, "mask is an empty file")


def test_a_mask_with_too_many_pixels_is_refused_by_its_header() -> None:
    data = bytearray(encode(Image.new("L", (8, 8), 1)))
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    check_refused(bytes(data), BINARY, "mask has too many pixels: more than 89,000,000")


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_mask_gets_a_reason(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind, lossless=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of truncated metadata
        with pytest.raises(photos.UnusableError, match="mask cannot be decoded: "):
            decode_labels(data[: int(share * len(data))], BINARY)


def test_a_text_is_no_mask() -> None:
    with pytest.raises(photos.UnusableError, match=r"^mask cannot be decoded: cannot identify"):
        decode_labels(b"%!PS-Adobe-3.0 EPSF-3.0\n", BINARY)


def test_damaged_files_of_every_format_give_labels_or_a_reason_of_one_line() -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (30, 40), dtype=np.uint8))
    exif = image.getexif()
    exif[0x0112] = 1
    files = [encode(image, kind, exif=exif, lossless=True) for kind in ("PNG", "WEBP", "TIFF")]
    files += [encode(image.convert("P"), kind) for kind in ("PNG", "GIF", "BMP", "TIFF")]
    files += [encode(image.convert("RGBA")), encode(image.convert("1"), "TIFF")]
    reasons = []
    for number in range(900):
        data = np.frombuffer(files[number % len(files)], np.uint8).copy()
        positions = rng.integers(0, rng.choice([64, 256, len(data)]), size=rng.choice([1, 3, 20]))
        data[positions % len(data)] = rng.integers(0, 256, len(positions))
        for masks in (BINARY, VOC, RED):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's warnings about damaged metadata
                try:
                    assert decode_labels(data.tobytes(), masks).max() <= 3
                except photos.UnusableError as error:
                    reasons.append(str(error))
    assert 900 < len(reasons) < 2700
    assert all(len(reason.splitlines()) == 1 for reason in reasons)


def test_a_mask_is_resized_by_nearest_neighbour_and_its_original_size_is_returned() -> None:
    blocks = np.kron(np.array([[0, 1], [255, 2]], np.uint8), np.ones((6, 10), np.uint8))
    picture = decode_mask(encode(Image.fromarray(blocks)), Frame("squash", 4), VOC)
    assert picture.pixels.tolist() == [[2, 2, 1, 1], [2, 2, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert (picture.width, picture.height, picture.traits) == (20, 12, "")


def test_a_single_pixel_that_is_not_declared_is_refused_though_resizing_leaves_it_out() -> None:
    values = np.zeros((64, 64), np.uint8)
    values[33, 33] = 9
    assert 1 not in decode_mask(encode(Image.fromarray(values)), Frame("squash", 2), BINARY).pixels
    check_refused(encode(Image.fromarray(values)), VOC, "mask has the value 9, which download.masks does not declare")  # fmt: skip


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_a_mask_of_many_rows_is_read_in_bands_without_a_seam(mode: str) -> None:
    values = np.zeros((3000, 1000), np.uint8)
    assert values.size > 2 * BAND
    values[::7, ::3] = 1
    image = Image.fromarray(values.astype(np.uint16)) if mode == "I;16" else Image.fromarray(values)
    data = encode(image.convert(mode), "PNG", compress_level=1)
    assert np.array_equal(decode_labels(data, VOC), np.where(values, 1, 2))
    if mode == "RGB":
        colours = MaskFormat("colours", (0x010101,))
        assert np.array_equal(decode_labels(data, colours), np.where(values, 1, 2))
