"""Square windows of a picture, which may reach beyond its edges."""

import numpy as np
from jaxtyping import UInt8

Picture = UInt8[np.ndarray, "height width *channels"]
Window = UInt8[np.ndarray, "size size *channels"]


def mirrored(picture: Picture, top: int, left: int, size: int) -> Window:
    """Return a window of a picture that is mirrored at its edges, as often as needed.

    The pixels at the edge are not repeated, as in the overlap-tile strategy of Ronneberger, Fischer
    and Brox: U-Net, MICCAI 2015.

    Args:
        picture: a photo or a trimap.
        top: the window's first row; negative above the picture.
        left: the window's first column; negative to the left of the picture.
        size: side of the window in pixels.
    """
    for axis, start in enumerate((top, left)):
        edge = picture.shape[axis]
        period = max(1, 2 * (edge - 1))
        places = np.arange(start, start + size) % period
        picture = picture.take(np.minimum(places, period - places), axis=axis)
    return picture


def filled(picture: Picture, top: int, left: int, size: int, filling: int) -> Window:
    """Return a window of a picture, as `mirrored` does, but with one value beyond the edges."""
    window = np.full((size, size, *picture.shape[2:]), filling, np.uint8)
    source, target = inside(picture.shape[:2], top, left, size)
    window[target] = picture[source]
    return window


def inside(
    shape: tuple[int, ...], top: int, left: int, size: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the part of a window that lies in a picture: where in the picture, where in the window.

    Args:
        shape: height and width of the picture in pixels.
        top: the window's first row, as in `mirrored`.
        left: the window's first column.
        size: side of the window in pixels.
    """
    (first_row, last_row), (first_column, last_column) = (
        (max(0, start), min(edge, start + size))
        for start, edge in zip((top, left), shape, strict=True)
    )
    return (
        (slice(first_row, last_row), slice(first_column, last_column)),
        (slice(first_row - top, last_row - top), slice(first_column - left, last_column - left)),
    )
