"""Photos and trimaps are decoded whatever their format; damaged ones get a reason."""

import io
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from petseg.data import photos
from petseg.data.frame import Frame

SQUARE = Frame("squash", 16)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the bytes of an image file of this format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_photo_is_resized_to_a_square_and_its_original_size_is_returned() -> None:
    picture = photos.decode_photo(encode(Image.new("RGB", (50, 30), (200, 10, 10)), "PNG"), SQUARE)
    assert (picture.pixels.shape, picture.width, picture.height) == ((16, 16, 3), 50, 30)
    assert picture.pixels[8, 8].tolist() == [200, 10, 10]


@pytest.mark.parametrize(
    ("mode", "kind", "traits"),
    [
        ("RGB", "JPEG", ""),
        ("L", "JPEG", "grey"),
        ("CMYK", "JPEG", "CMYK"),
        ("RGB", "PNG", "PNG"),
        ("L", "PNG", "PNG, grey"),
        ("P", "PNG", "PNG, palette"),
        ("RGBA", "PNG", "PNG, alpha"),
        ("LA", "PNG", "PNG, alpha"),
        ("P", "GIF", "GIF, palette"),
        ("RGB", "WEBP", "WEBP"),
        ("RGB", "TIFF", "TIFF"),
    ],
)
def test_other_modes_and_formats_become_rgb_and_are_named(
    mode: str, kind: str, traits: str
) -> None:
    data = encode(Image.new("RGB", (20, 20), (120, 120, 120)).convert(mode), kind)
    picture = photos.decode_photo(data, SQUARE)
    assert picture.pixels.shape == (16, 16, 3)
    assert abs(picture.pixels.mean() - 120) < 4
    assert picture.traits == traits


def test_a_photo_of_16_bits_keeps_its_brightness() -> None:
    image = Image.fromarray(np.full((20, 20), 120 << 8, np.uint16))
    picture = photos.decode_photo(encode(image, "PNG"), SQUARE)
    assert picture.pixels.tolist() == np.full((16, 16, 3), 120).tolist()
    assert picture.traits == "PNG, 16 bits"


def test_a_palette_with_a_transparent_colour_keeps_its_colours() -> None:
    image = Image.new("RGB", (20, 20), (120, 120, 120)).convert("P")
    picture = photos.decode_photo(encode(image, "PNG", transparency=b"\x00" * 9), SQUARE)
    assert abs(picture.pixels.mean() - 120) < 4


def test_an_animation_gives_its_first_frame() -> None:
    first, second = (Image.new("RGB", (20, 20), (n, n, n)) for n in (200, 10))
    data = encode(first, "GIF", save_all=True, append_images=[second])
    picture = photos.decode_photo(data, SQUARE)
    assert picture.pixels.mean() == 200
    assert "animated" in picture.traits


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright_by_its_exif(orientation: int, kind: str) -> None:
    upright = Image.new("RGB", (64, 32), (255, 255, 255))
    upright.paste((255, 0, 0), (0, 0, 32, 16))  # red at the top left
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the value of Image.Transpose by orientation
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = stored.getexif()
    exif[0x0112] = orientation
    picture = photos.decode_photo(encode(stored, kind, exif=exif), SQUARE)
    assert (picture.width, picture.height) == (64, 32)
    assert picture.pixels[2, 2, 1] < 90  # red
    assert picture.pixels[2, 13].min() > 200
    assert picture.pixels[13, 2].min() > 200
    assert ("turned by EXIF" in picture.traits) == (orientation > 1 and kind != "TIFF")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_photo_at_its_own_size_is_upright_and_its_header_tells_that_size(kind: str) -> None:
    stored = Image.new("RGB", (64, 32), (255, 255, 255))
    stored.paste((255, 0, 0), (0, 0, 32, 16))  # red at the top left, so at the top right upright
    exif = stored.getexif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    data = encode(stored, kind, exif=exif)
    assert photos.read_size(data) == photos.decode_full(data).size == (32, 64)
    pixels = np.asarray(photos.decode_full(data))
    assert pixels[4, 28, 1] < 90
    assert pixels[4, 4].min() > 200
    assert pixels[60, 28].min() > 200


def test_a_photo_at_its_own_size_is_never_decoded_at_a_smaller_scale() -> None:
    data = encode(Image.effect_noise((1600, 30), 90), "PNG")
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(np.asarray(photos.decode_full(data)), expected)
    jpeg = encode(Image.fromarray(expected), "JPEG")
    assert photos.decode_full(jpeg).size == photos.read_size(jpeg) == (1600, 30)


@pytest.mark.parametrize(
    ("kind", "mode", "has_profile"),
    [
        *((kind, "RGB", True) for kind in ("JPEG", "PNG", "WEBP", "TIFF")),
        *((kind, "RGBA", True) for kind in ("PNG", "WEBP", "TIFF")),
        *((kind, "L", False) for kind in ("JPEG", "PNG", "TIFF")),
        *((kind, "CMYK", False) for kind in ("JPEG", "TIFF")),
    ],
)
def test_only_the_colour_profile_of_an_rgb_file_is_kept_at_its_own_size(
    kind: str, mode: str, has_profile: bool
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new(mode, (20, 10))
    for options in ({}, {"exif": exif, "dpi": (72, 72)}):
        data = encode(image, kind, icc_profile=profile, **options)
        expected = {"icc_profile": profile} if has_profile else {}
        assert photos.decode_full(data).info == expected
        assert photos.decode_full(encode(image, kind, **options)).info == {}


@pytest.mark.parametrize("length", [0, 40, 500])
def test_a_truncated_photo_has_a_reason_at_its_own_size_as_well(length: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), "PNG")[:length]
    for decode in (photos.decode_full, photos.decode_full_trimap):
        with pytest.raises(photos.UnusableError, match=r"cannot be decoded|not one channel"):
            decode(data)


def test_decoding_at_a_smaller_scale_differs_little_from_decoding_at_full_size() -> None:
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).resize((600, 400))
    data = encode(smooth, "JPEG", quality=95)
    full = Image.open(io.BytesIO(data)).resize((64, 64), Image.Resampling.BILINEAR)
    pixels = photos.decode_photo(data, Frame("squash", 64)).pixels
    assert np.abs(pixels.astype(int) - np.asarray(full)).mean() < 2


@pytest.mark.parametrize("kind", ["photo", "trimap"])
def test_a_decompression_bomb_is_refused_by_its_header(kind: str) -> None:
    data = bytearray(encode(Image.new("L", (8, 8), 1), "PNG"))
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    decode = photos.decode_photo if kind == "photo" else photos.decode_trimap
    with pytest.raises(photos.UnusableError, match=f"{kind} has too many pixels: more than 89,"):
        decode(bytes(data), SQUARE)


def test_a_postscript_file_is_no_photo() -> None:
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with pytest.raises(photos.UnusableError, match="photo cannot be decoded"):
        photos.decode_photo(data, SQUARE)


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_jpeg_with_corrupt_data_gets_a_reason(mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = bytearray(encode(Image.fromarray(noise).convert(mode), "JPEG"))
    data[len(data) // 2 :] = bytes(64) + b"\xff\xd9"
    Image.open(io.BytesIO(bytes(data))).load()  # Pillow reports nothing
    with pytest.raises(photos.UnusableError, match="photo cannot be decoded: Corrupt JPEG data"):
        photos.decode_photo(bytes(data), SQUARE)


@pytest.mark.parametrize("length", [0, 40, 500])
def test_a_truncated_photo_gets_a_reason(length: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), "JPEG")[:length]
    with pytest.raises(photos.UnusableError, match="photo cannot be decoded"):
        photos.decode_photo(data, SQUARE)


def test_a_trimap_keeps_its_three_classes() -> None:
    values = np.repeat(np.repeat(np.array([[1, 2], [3, 2]], np.uint8), 8, axis=0), 8, axis=1)
    picture = photos.decode_trimap(encode(Image.fromarray(values), "PNG"), Frame("squash", 4))
    assert picture.pixels.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 2, 2], [3, 3, 2, 2]]


def test_a_trimap_at_its_own_size_keeps_every_pixel() -> None:
    values = np.random.default_rng(0).integers(1, 4, (7, 11), dtype=np.uint8)
    assert np.array_equal(photos.decode_full_trimap(encode(Image.fromarray(values), "PNG")), values)
    with pytest.raises(photos.UnusableError, match="values outside 1 to 3: 0 to 3"):
        photos.decode_full_trimap(encode(Image.fromarray(values * (values != 1)), "PNG"))


@pytest.mark.parametrize("value", [0, 4, 255])
def test_a_trimap_with_another_value_gets_a_reason(value: int) -> None:
    with pytest.raises(photos.UnusableError, match="values outside 1 to 3: "):
        photos.decode_trimap(encode(Image.new("L", (8, 8), value), "PNG"), Frame("squash", 4))


@pytest.mark.parametrize("mode", ["RGB", "1", "I;16"])
def test_a_trimap_of_another_mode_gets_a_reason(mode: str) -> None:
    with pytest.raises(photos.UnusableError, match=f"not one channel of 8 bits: {mode}"):
        photos.decode_trimap(encode(Image.new(mode, (8, 8)), "PNG"), Frame("squash", 4))


def test_a_trimap_with_a_palette_keeps_its_indices() -> None:
    image = Image.new("P", (8, 8), 3)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    assert (
        photos.decode_trimap(encode(image, "PNG"), Frame("squash", 4)).pixels.tolist()
        == [[3] * 4] * 4
    )


def test_damaged_files_of_every_format_give_a_picture_or_a_reason() -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    files = [encode(image, kind, exif=exif) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    files += [encode(image.convert("CMYK"), "JPEG"), encode(image.convert("P"), "GIF")]
    files += [encode(image, "BMP"), encode(image.convert("RGBA"), "PNG")]
    reasons = []
    for number in range(1200):
        data = np.frombuffer(files[number % len(files)], np.uint8).copy()
        positions = rng.integers(0, rng.choice([64, 256, len(data)]), size=rng.choice([1, 3, 20]))
        data[positions % len(data)] = rng.integers(0, 256, len(positions))
        for decode in (photos.decode_photo, photos.decode_trimap):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's warnings about damaged metadata
                try:
                    assert decode(data.tobytes(), SQUARE).pixels.shape[:2] == (16, 16)
                except photos.UnusableError as error:
                    reasons.append(str(error))
    assert 600 < len(reasons) < 2400
    assert all(len(reason.splitlines()) == 1 for reason in reasons)


def test_a_jpeg_with_very_many_scans_is_refused_before_it_is_decoded() -> None:
    data = encode(Image.effect_noise((16, 16), 50).convert("RGB"), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert photos.read_size(data[:-2] + 50 * scan + data[-2:]) == (16, 16)
    for before in (b"", b"\xff\x01", b"\xff\xd0", b"\xff"):  # markers that have no length
        with pytest.raises(photos.UnusableError, match="more than 100 scans"):
            photos.read_size(data[:-2] + before + 200 * scan + data[-2:])
    comment = b"\xff\xfe\x00\x02"
    with pytest.raises(photos.UnusableError, match="more than 20,000 segments"):
        photos.read_size(data[:2] + 20_000 * comment + data[2:])


def test_a_fault_for_which_pillow_has_no_error_of_its_own_is_a_reason_as_well() -> None:
    # Orientation 6, and a text where a number is due: turning the photo raises `struct.error`.
    exif = (
        b"MM\0*\0\0\0\x08\0\x02\x01\x06\0\x02\0\0\0\x05\0\0\0\x26\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
        b"\0\0\0\0xxxx\0\0"
    )
    data = encode(Image.new("RGB", (20, 10)), "PNG", exif=exif)
    for decode in (photos.decode_full, lambda data: photos.decode_photo(data, SQUARE)):
        with pytest.raises(photos.UnusableError, match="required argument is not an integer"):
            decode(data)
