"""Predict a photo at its own size in overlapping tiles, blended so that no seam shows.

The overlap-tile strategy of Ronneberger, Fischer and Brox: U-Net, MICCAI 2015: tiles overlap, and
beyond its edges the photo is mirrored. An eighth of a tile along each of its sides is only context.
The rest of it overlaps with a quarter of the next tile, in which the one fades into the other.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, UInt8

from petseg.data import windows

Engine = Callable[[UInt8[np.ndarray, "n size size 3"]], Float32[np.ndarray, "n size size"]]


def starts(edge: int, size: int) -> list[int]:
    """Return where tiles begin along an edge of a photo, so that every pixel is in a tile's inner part.

    Their distance is half their size. It is a multiple of the network's largest stride, so that
    tiles that share a pixel predict it from the same grid.

    Args:
        edge: length of the edge in pixels.
        size: side of a tile in pixels.
    """
    step, context = size // 2, size // 8
    rest = edge + 2 * context - size  # that the first tile does not cover
    return [number * step - context for number in range(1 + max(0, -(-rest // step)))]


def side_weights(size: int) -> Float32[np.ndarray, "size"]:
    """Return the weight of a tile's pixels along its side: 0 in the context, then up to 1, and back."""
    places = np.arange(size)
    inner = np.minimum(places, places[::-1]) - size // 8
    return ((inner + 0.5) / (size // 4)).clip(0, 1).astype(np.float32)


def axis_totals(edge: int, size: int, places: list[int]) -> Float32[np.ndarray, "edge"]:
    """Return the sum of the weights of all tiles for each pixel along an edge of a photo."""
    totals = np.zeros(edge, np.float32)
    weights = side_weights(size)
    for start in places:
        first, last = max(0, start), min(edge, start + size)
        totals[first:last] += weights[first - start : last - start]
    return totals


def probabilities(
    engine: Engine, photo: UInt8[np.ndarray, "height width 3"], size: int, batch: int = 1
) -> Float32[np.ndarray, "height width"]:
    """Return the probability of the foreground for every pixel of a photo, 0 to 1.

    Args:
        engine: gives the probabilities of tiles.
        photo: RGB, at its own size.
        size: side of a tile in pixels, a multiple of 8.
        batch: how many tiles to give to the engine at a time.
    """
    height, width = photo.shape[:2]
    tops, lefts = starts(height, size), starts(width, size)
    corners = [(top, left) for top in tops for left in lefts]
    weights = np.outer(side_weights(size), side_weights(size))
    blended = np.zeros((height, width), np.float32)
    for start in range(0, len(corners), batch):
        some = corners[start : start + batch]
        predicted = engine(np.stack([windows.mirrored(photo, *corner, size) for corner in some]))
        for corner, tile in zip(some, predicted, strict=True):
            photo_part, tile_part = windows.inside(blended.shape, *corner, size)
            blended[photo_part] += (weights * tile)[tile_part]
    blended /= axis_totals(height, size, tops)[:, None]
    blended /= axis_totals(width, size, lefts)
    return np.asarray(blended.clip(0, 1, out=blended))


def probabilities_of_all(
    engine: Engine, size: int, batch: int, photos: UInt8[np.ndarray, "n height width 3"]
) -> Float32[np.ndarray, "n height width"]:
    """Return the probabilities of several photos of one size; the arguments are as above."""
    return np.stack([probabilities(engine, photo, size, batch) for photo in photos])
