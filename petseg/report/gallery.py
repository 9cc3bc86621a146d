"""The photos of the page's gallery, packed so that a browser can draw and score every threshold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from petseg.data.arrays import PictureArray, Split
from petseg.data.labels import BACKGROUND, BORDER, FOREGROUND, IGNORED
from petseg.data.quantisation import LEVELS, MAX_LEVEL
from petseg.report import render

BILINEAR, NEAREST = Image.Resampling.BILINEAR, Image.Resampling.NEAREST
MAX_SIDE = 512  # pixels; larger photos are shown smaller

SHADES = {
    BACKGROUND: 0,
    IGNORED: 64,
    BORDER: 128,
    FOREGROUND: 255,
}  # green of a packed pixel, by its class in the trimap
SHADES_BY_NAME = {  # for the page's script
    "background": SHADES[BACKGROUND],
    "ignored": SHADES[IGNORED],
    "border": SHADES[BORDER],
    "foreground": SHADES[FOREGROUND],
}

# the entropy in bits of a pixel that is foreground with a probability of 0/255, 1/255, …
P = np.clip(np.arange(LEVELS) / MAX_LEVEL, 1e-12, 1 - 1e-12)
ENTROPY = -(P * np.log2(P) + (1 - P) * np.log2(1 - P))


@dataclass(frozen=True)
class GalleryPhoto:
    """One photo of the gallery."""

    name: str
    groups: tuple[str, ...]  # such as species and breed; empty if the data have no groups
    uncertainty: float  # mean entropy of its pixels, bits, 0–1
    photo: str  # WebP as a data URI
    packed: str  # lossless WebP as a data URI: probability in red, trimap in green


def uncertainty(test: Split, probabilities: PictureArray) -> Float64[np.ndarray, "n"]:
    """Return the mean entropy of each photo's pixels in bits, 0–1, reading some photos at a time."""
    parts = test.contents(probabilities)
    return np.concatenate([ENTROPY[levels].mean(axis=(1, 2)) for _, (levels,) in parts])


def choose_rows(
    ious: Float64[np.ndarray, "n"], uncertainties: Float64[np.ndarray, "n"], limit: int
) -> list[int]:
    """Return at most `limit` rows: the worst, the best and the most uncertain in turn."""
    orders = [np.argsort(key, kind="stable").tolist() for key in (ious, -ious, -uncertainties)]
    in_turn = [row for three in zip(*orders, strict=True) for row in three]
    return list(dict.fromkeys(in_turn))[:limit]


def gallery_photos(
    test: Split,
    probabilities: PictureArray,
    rows: list[int],
    group_levels: int,
    uncertainties: Float64[np.ndarray, "n"],
) -> list[GalleryPhoto]:
    """Return these rows of the test split as photos of the gallery, with so many levels of groups."""
    return [
        GalleryPhoto(
            test.index[row].name,
            test.index[row].groups[:group_levels],
            round(float(uncertainties[row]), 4),
            render.webp_data_uri(shrunk(test.photos[row], BILINEAR), render.QUALITY),
            render.webp_data_uri(
                # Both lose the same pixels, so that the page measures about the same IoU.
                pack(*(shrunk(pixels[row], NEAREST) for pixels in (test.trimaps, probabilities)))
            ),
        )
        for row in rows
    ]


def is_any_shrunk(test: Split, rows: Sequence[int]) -> bool:
    """Return whether a photo is shown smaller than the network reads it."""
    return any(max(test.photos[row].shape[:2]) > MAX_SIDE for row in rows)


def shrunk(
    picture: UInt8[np.ndarray, "height width *channels"], method: Image.Resampling
) -> UInt8[np.ndarray, "rows columns *channels"]:
    """Return a picture whose longer side has at most `MAX_SIDE` pixels."""
    longer = max(picture.shape[:2])
    if longer <= MAX_SIDE:
        return np.asarray(picture)
    height, width = (max(1, round(side * MAX_SIDE / longer)) for side in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), method))


def pack(
    trimap: UInt8[np.ndarray, "height width"], probability: UInt8[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    """Return a picture with the probability in red and the trimap's classes as shades of green."""
    shades = np.zeros(max(SHADES) + 1, np.uint8)
    shades[list(SHADES)] = list(SHADES.values())
    return np.stack([probability, shades[trimap], np.zeros_like(probability)], axis=-1)
