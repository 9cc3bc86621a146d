"""Move the edges of a mask to those of the photo, with the guided filter.

He, Sun and Tang: Guided Image Filtering, TPAMI 2013; and He and Sun: Fast Guided Filter, 2015, whose
coefficients are computed on a smaller image.
"""

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from petseg.data import quantisation

RADIUS = 2  # of the window, in pixels of the network
REGULARISATION = (
    1e-3  # ε of the paper: the variance of grey, 0–1, below which the photo has no edge
)
WORKING_SCALE = 4  # longest side of the smaller image, in sides of the network's input
Grid = Float32[np.ndarray, "height width"]


def guided(
    levels: UInt8[np.ndarray, "rows columns"], photo: Image.Image
) -> UInt8[np.ndarray, "height width"]:
    """Return probabilities at the photo's size whose edges follow those of the photo.

    In every window the result is a linear function of the photo's grey, fitted to the probabilities.

    Args:
        levels: the probability of the foreground, in 1/255, at the network's scale.
        photo: RGB, upright, at its own size.
    """
    grey = photo.convert("L")
    longest = max(photo.size)
    network_side = max(levels.shape)
    side = min(longest, WORKING_SCALE * network_side)
    working = tuple(max(1, round(edge * side / longest)) for edge in photo.size)
    guide, coarse = (
        to_unit(image.resize(working, Image.Resampling.BILINEAR))
        for image in (grey, Image.fromarray(levels))
    )
    slope, offset = coefficients(guide, coarse, max(1, RADIUS * side // network_side))
    full_slope, full_offset = (
        np.asarray(Image.fromarray(grid).resize(photo.size, Image.Resampling.BILINEAR))
        for grid in (slope, offset)
    )
    refined = full_slope * to_unit(grey) + full_offset
    return quantisation.quantise(refined.clip(0, 1))


def to_unit(image: Image.Image) -> Grid:
    """Return an image of 8 bits as numbers from 0 to 1."""
    return np.asarray(image, np.float32) / np.float32(quantisation.MAX_LEVEL)


def coefficients(guide: Grid, target: Grid, radius: int) -> tuple[Grid, Grid]:
    """Return a and b, averaged over windows, with which a · guide + b is nearest to the target.

    Algorithm 1 of the paper: a = cov(guide, target) / (var(guide) + ε), b = mean(target) − a · mean(guide).
    """
    guide_mean, target_mean = box_mean(guide, radius), box_mean(target, radius)
    covariance = box_mean(guide * target, radius) - guide_mean * target_mean
    variance = box_mean(guide * guide, radius) - guide_mean * guide_mean
    slope = covariance / (variance + REGULARISATION)
    return box_mean(slope, radius), box_mean(target_mean - slope * guide_mean, radius)


def box_mean(grid: Grid, radius: int) -> Grid:
    """Return each pixel's mean over the square of ±radius around it; beyond the image is nothing."""
    for axis in (0, 1):
        length = grid.shape[axis]
        sums = np.cumsum(grid, axis, dtype=np.float64)
        sums = np.concatenate([np.zeros_like(sums.take([0], axis)), sums], axis)
        ends = np.minimum(np.arange(length) + radius + 1, length)
        starts = np.maximum(np.arange(length) - radius, 0)
        counts = (ends - starts).reshape([-1 if axis == other else 1 for other in (0, 1)])
        grid = ((sums.take(ends, axis) - sums.take(starts, axis)) / counts).astype(np.float32)
    return grid
