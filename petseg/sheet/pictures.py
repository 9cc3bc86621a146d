"""Small pictures of a team's photos, each with its mask as a layer of colours to lay over it."""

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from petseg import parallel, progress
from petseg.data import photos
from petseg.data.frame import Frame
from petseg.data.labels import BACKGROUND, BORDER, FOREGROUND, IGNORED
from petseg.data.listing import Member, RawData
from petseg.report import render

FRAME = Frame("pad", 288)  # the square, in pixels, into which a photo is fitted
QUALITY = 60  # of the photos, 0–100
BATCH = 4  # photos per task of a thread
COLOURS = {  # of a mask's pixels, red, green, blue and opacity, 0–255 each
    IGNORED: (204, 0, 204, 170),
    FOREGROUND: (0, 158, 115, 160),
    BACKGROUND: (0, 0, 0, 0),
    BORDER: (240, 228, 66, 180),
}


@dataclass(frozen=True)
class LayeredPicture:
    """A photo, and its mask as a picture of the same size; both are data URIs of WebP."""

    name: str
    width: int  # in pixels
    height: int  # in pixels
    photo: str
    mask: str  # transparent where there is background


def layered_pictures(data: RawData, names: Collection[str]) -> Iterator[LayeredPicture]:
    """Yield the pictures of usable photos in their order.

    Args:
        data: the photos and masks.
        names: the photos; each can be decoded, and so can its mask.

    Raises:
        UserError: a file has changed since it was listed.
    """
    files = zip(data.photos(names), data.masks(names), strict=True)

    def layered(pair: tuple[Member, Member]) -> LayeredPicture:
        return layered_picture(data, *pair)

    with progress.bar("pictures of the page", len(names), " photos") as bar:
        for picture in parallel.ordered(layered, files, BATCH):
            bar.update()
            yield picture


def layered_picture(data: RawData, photo: Member, mask: Member) -> LayeredPicture:
    """Return the picture of one photo."""
    decoded = photos.decode_photo(photo.read()[0], FRAME)
    labels = data.decode_mask(mask.read()[0], FRAME).pixels
    shown, layer = (
        FRAME.content(pixels, decoded.width, decoded.height) for pixels in (decoded.pixels, labels)
    )
    height, width = layer.shape
    return LayeredPicture(
        photo.name, width, height, render.webp_data_uri(shown, QUALITY), mask_layer(layer)
    )


def mask_layer(labels: UInt8[np.ndarray, "height width"]) -> str:
    """Return labels as a picture in `COLOURS`: a lossless WebP as a data URI."""
    table = np.array([COLOURS[label] for label in sorted(COLOURS)], np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(table[labels]).save(buffer, "WEBP", lossless=True, method=4)
    return render.data_uri(buffer.getvalue(), "image/webp")
