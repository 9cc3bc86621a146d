"""The bytes of a photo or a trimap → an array of the wanted size, or a reason why not."""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from stages.petseg.archives import BORDER, PET


class UnusableError(Exception):
    """The file cannot be used; its text is the reason, in words for the table of rejects."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture squashed to a square, and its original size in pixels."""

    pixels: UInt8[np.ndarray, "size size *channels"]
    width: int
    height: int


def decode_photo(data: bytes, size: int) -> Decoded:
    """Return the photo as RGB, (size, size, 3), turned upright and antialiased.

    Any picture that Pillow reads will do, whatever the file is called.

    Raises:
        UnusableError: the bytes are not a whole picture.
    """
    image = ImageOps.exif_transpose(open_whole(data, "photo"))
    rgb = (
        image.convert("RGBA").convert("RGB")
        if "transparency" in image.info
        else image.convert("RGB")
    )
    small = rgb.resize((size, size), Image.Resampling.BILINEAR)
    return Decoded(np.asarray(small), *image.size)


def decode_trimap(data: bytes, size: int) -> Decoded:
    """Return the trimap, (size, size) of 1 pet, 2 background, 3 border, nearest neighbour.

    Raises:
        UnusableError: the bytes are not a whole picture, or hold other values.
    """
    image = open_whole(data, "trimap")
    if image.mode not in ("L", "P"):
        raise UnusableError(f"trimap is {image.mode}, not one channel of 8 bits")
    values = np.asarray(image)
    if values.min() < PET or values.max() > BORDER:
        raise UnusableError("trimap has values outside 1 to 3")
    small = Image.fromarray(values).resize((size, size), Image.Resampling.NEAREST)
    return Decoded(np.asarray(small), *image.size)


def open_whole(data: bytes, kind: str) -> Image.Image:
    """Return the decoded picture; `kind` names it in the reason."""
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split("<")[0].split())  # without an object's address
        raise UnusableError(f"{kind} cannot be decoded: {reason}") from error
    return image
