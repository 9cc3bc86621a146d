"""The photos of the page's gallery, packed so that a browser can draw and score every threshold."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8

from petseg.data.arrays import Split
from petseg.data.labels import BACKGROUND, BORDER, FOREGROUND, IGNORED
from petseg.data.quantisation import LEVELS, MAX_LEVEL
from petseg.report import render

CHUNK = 256  # photos read at a time

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


def uncertainty(probabilities: UInt8[np.ndarray, "n size size"]) -> Float64[np.ndarray, "n"]:
    """Return the mean entropy of each photo's pixels in bits, 0–1, reading `CHUNK` photos at a time."""
    means = [
        ENTROPY[probabilities[start : start + CHUNK]].mean(axis=(1, 2))
        for start in range(0, len(probabilities), CHUNK)
    ]
    return np.concatenate(means)


def choose_rows(
    ious: Float64[np.ndarray, "n"], uncertainties: Float64[np.ndarray, "n"], limit: int
) -> list[int]:
    """Return at most `limit` rows: the worst, the best and the most uncertain in turn."""
    orders = [np.argsort(key, kind="stable").tolist() for key in (ious, -ious, -uncertainties)]
    in_turn = [row for three in zip(*orders, strict=True) for row in three]
    return list(dict.fromkeys(in_turn))[:limit]


def gallery_photos(
    test: Split,
    probabilities: UInt8[np.ndarray, "n size size"],
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
            render.webp_data_uri(np.asarray(test.photos[row]), render.QUALITY),
            render.webp_data_uri(
                pack(np.asarray(test.trimaps[row]), np.asarray(probabilities[row]))
            ),
        )
        for row in rows
    ]


def pack(
    trimap: UInt8[np.ndarray, "size size"], probability: UInt8[np.ndarray, "size size"]
) -> UInt8[np.ndarray, "size size 3"]:
    """Return a picture with the probability in red and the trimap's classes as shades of green."""
    shades = np.zeros(max(SHADES) + 1, np.uint8)
    shades[list(SHADES)] = list(SHADES.values())
    return np.stack([probability, shades[trimap], np.zeros_like(probability)], axis=-1)
