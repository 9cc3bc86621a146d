"""Decode a photo or a trimap as the arrays hold it, or give the reason why it cannot be used."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps

from petseg.data.frame import Frame
from petseg.data.labels import BORDER, FOREGROUND, IGNORED

# The formats that Pillow may try: it decodes these itself; for others it starts a program.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp")  # of their files
ANIMATED = ("GIF", "PNG", "WEBP")
MAX_PIXELS = 89_000_000  # just below Pillow's limit, where it warns; at twice that it raises
MAX_SCANS = 100  # of a progressive JPEG; usual ones have about ten
MAX_SEGMENTS = 20_000  # of a JPEG; each has at most 64 KB
JPEG_START = b"\xff\xd8"
JPEG_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")  # those with a length, and the end
END_OF_IMAGE, START_OF_SCAN = 0xD9, 0xDA
PADDING = 128  # the grey around a photo that is padded to a square
MODE_NAMES = {"L": "grey", "P": "palette", "RGBA": "alpha", "LA": "alpha", "1": "black and white"}


class UnusableError(Exception):
    """The file cannot be used; the text is the reason, as it stands in rejected.csv."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as the arrays hold it, with the size and the unusual traits of its file."""

    pixels: UInt8[np.ndarray, "height width *channels"]
    width: int  # of the upright original in pixels
    height: int  # of the upright original in pixels
    traits: str = ""  # what is unusual about the file, joined by commas


def decode_photo(data: bytes, frame: Frame) -> Picture:
    """Return a photo as RGB in its frame, turned upright and antialiased.

    The file may have any of `FORMATS`, whatever its name says. Of an animation the first frame
    is used, of transparent pixels the colour, of 16 bits the upper 8.

    Raises:
        UnusableError: the bytes are not a complete picture, or have too many pixels to decode.
    """
    with decoding_errors("photo"):
        image = open_header(data)
        orientation = exif_orientation(image)
        width, height = upright_size(image)
        target = frame.content_size(width, height)
        stored = target if orientation < 5 else target[::-1]  # before the photo is turned
        resized = decode_rgb(data, image, min(target)).resize(stored, Image.Resampling.BILINEAR)
        pixels = frame.place(np.asarray(turned_upright(resized, orientation)), PADDING)
        return Picture(pixels, width, height, unusual_traits(image, orientation))


def decode_full(data: bytes) -> Image.Image:
    """Return a photo as an RGB image of its own size, turned upright.

    `info` has nothing but the colour profile, and that only if the file is RGB with or without
    transparency: a profile of grey or CMYK says nothing about RGB.

    Raises:
        UnusableError: as `decode_photo` does.
    """
    with decoding_errors("photo"):
        image = open_header(data)
        profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
        rgb = decode_rgb(data, image, min(image.size))
        upright = turned_upright(rgb, exif_orientation(image))
        upright.info = {"icc_profile": profile} if profile else {}
        return upright


def read_size(data: bytes) -> tuple[int, int]:
    """Return the width and height of a photo turned upright, from its header alone.

    Raises:
        UnusableError: the bytes are not a picture, or have too many pixels to decode.
    """
    with decoding_errors("photo"):
        return upright_size(open_header(data))


def decode_trimap(data: bytes, frame: Frame) -> Picture:
    """Return a trimap in its frame: 1 foreground, 2 background, 3 border, 0 padding.

    Raises:
        UnusableError: the bytes are not a complete picture, or hold other values.
    """
    with decoding_errors("trimap"):
        return framed_labels(open_trimap(data), frame)


def decode_full_trimap(data: bytes) -> UInt8[np.ndarray, "height width"]:
    """Return a trimap at its own size: 1 foreground, 2 background, 3 border.

    Raises:
        UnusableError: as `decode_trimap` does.
    """
    with decoding_errors("trimap"):
        return np.asarray(open_trimap(data))


def framed_labels(image: Image.Image, frame: Frame) -> Picture:
    """Return an image of labels in its frame, by nearest neighbour; padding is ignored."""
    resized = image.resize(frame.content_size(*image.size), Image.Resampling.NEAREST)
    return Picture(frame.place(np.asarray(resized), IGNORED), *image.size)


def open_trimap(data: bytes) -> Image.Image:
    """Return the image of a trimap, one channel of 8 bits with no other values than 1, 2 and 3."""
    image = open_header(data)
    if image.mode not in ("L", "P"):
        raise UnusableError(f"trimap is not one channel of 8 bits: {image.mode}")
    values = np.asarray(image)
    if values.min() < FOREGROUND or values.max() > BORDER:
        raise UnusableError(f"trimap has values outside 1 to 3: {values.min()} to {values.max()}")
    return image


@contextmanager
def decoding_errors(kind: str) -> Iterator[None]:
    """Turn what the decoders raise into an `UnusableError` of one line; `kind` begins its text."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableError(f"{kind} has too many pixels: more than {MAX_PIXELS:,}") from error
    except UnusableError:
        raise
    except Exception as error:
        # Most are OSError, SyntaxError or ValueError, but damaged bytes can cause any other, such
        # as struct.error. Pillow's texts may hold an object's address, which differs from run to run.
        text = " ".join(str(error).split("<")[0].split()) or type(error).__name__
        raise UnusableError(f"{kind} cannot be decoded: {text}") from error


def open_header(data: bytes) -> Image.Image:
    """Return the picture with only its header read."""
    check_scans(data)
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    return image


def check_scans(data: bytes) -> None:
    """Refuse the bytes of a JPEG with too many scans; any other file passes.

    A scan of a progressive JPEG can be a few bytes and refine every pixel, so a file of some
    megabytes can keep a core busy for a day.

    Raises:
        UnusableError: there are more than `MAX_SCANS` scans, or `MAX_SEGMENTS` segments.
    """
    scans = segments = 0
    position = len(JPEG_START) if data.startswith(JPEG_START) else len(data)
    while marker := JPEG_MARKER.search(data, position):
        kind = data[marker.end() - 1]
        if kind == END_OF_IMAGE:
            return
        scans += kind == START_OF_SCAN
        segments += 1
        if scans > MAX_SCANS:
            raise UnusableError(f"photo cannot be decoded: more than {MAX_SCANS} scans")
        if segments > MAX_SEGMENTS:
            raise UnusableError(f"photo cannot be decoded: more than {MAX_SEGMENTS:,} segments")
        length = int.from_bytes(data[marker.end() : marker.end() + 2], "big")
        position = marker.end() + length


def exif_orientation(image: Image.Image) -> int:
    """Return the orientation in EXIF, 1 to 8; 1 (upright) if it is missing or invalid.

    It is also 1 for a TIFF, which Pillow turns upright itself and gives the upright size of.
    """
    if image.format == "TIFF":
        return 1
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return the width and height that the picture has once it is turned upright."""
    return image.size if exif_orientation(image) < 5 else image.size[::-1]


def turned_upright(rgb: Image.Image, orientation: int) -> Image.Image:
    """Return a picture without EXIF turned as an orientation of EXIF says; 1 is upright."""
    if orientation == 1:
        return rgb
    rgb.getexif()[ExifTags.Base.Orientation] = orientation
    return ImageOps.exif_transpose(rgb)


def decode_rgb(data: bytes, image: Image.Image, size: int) -> Image.Image:
    """Return a photo as RGB, not turned; a JPEG may be smaller, but never below `size`."""
    if is_plain_jpeg(image):
        return decode_jpeg(data, image.size, size)
    return decode_other(data, image)


def is_plain_jpeg(image: Image.Image) -> bool:
    """Return whether this is a JPEG whose colours libjpeg converts to RGB."""
    return image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB")


def decode_jpeg(data: bytes, full_size: tuple[int, int], size: int) -> Image.Image:
    """Return a JPEG as RGB, at 1, 1/2, 1/4 or 1/8 of its full size, never below `size`.

    libjpeg scales while it decodes, which saves most of the resizing. It also fills corrupt
    data with grey: Pillow does not report that, simplejpeg does.
    """
    shift = max(n for n in range(4) if not n or min(full_size) >> n >= size)
    width, height = (-(-side >> shift) for side in full_size)
    decode = partial(simplejpeg.decode_jpeg, data, "RGB", min_height=height, min_width=width)
    try:
        return Image.fromarray(decode())
    except ValueError as error:
        # Some phones write such parameters; the pixels are intact.
        if not str(error).startswith("Invalid SOS parameters"):
            raise
        return Image.fromarray(decode(strict=False))


def decode_other(data: bytes, image: Image.Image) -> Image.Image:
    """Return any other picture as RGB."""
    if image.format == "JPEG":
        # This call only reports corrupt data. Pillow decodes, as it handles Adobe's inverted CMYK.
        simplejpeg.decode_jpeg(data, "CMYK")
    image.load()
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UnusableError(f"photo has 32 bits per pixel in one channel: {image.mode}")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")  # converting RGB copies it


def unusual_traits(image: Image.Image, orientation: int) -> str:
    """Return in a few words how the file differs from most photos, or an empty text."""
    mode = "16 bits" if image.mode.startswith("I;16") else MODE_NAMES.get(image.mode, image.mode)
    traits = {
        image.format or "": image.format != "JPEG",
        mode: image.mode != "RGB",
        "animated": image.format in ANIMATED and getattr(image, "is_animated", False),
        "turned by EXIF": orientation > 1,
    }
    return ", ".join(trait for trait, applies in traits.items() if applies)
