"""Masks laid over photos, grids of photos, and the animation of a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from jaxtyping import Bool, UInt8
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from petseg.data.labels import BORDER, FOREGROUND, IGNORED, is_foreground
from petseg.report import plots
from petseg.report.plots import BLUE, GREEN, ORANGE

Photo = UInt8[np.ndarray, "height width 3"]
Mask = Bool[np.ndarray, "height width"]
ANIMATION_PHOTO_SIDE = 160  # pixels, about; smaller photos are magnified to it


@dataclass(frozen=True)
class Example:
    """One photo with its trimap and its predicted mask."""

    title: str
    photo: Photo
    trimap: UInt8[np.ndarray, "height width"]
    predicted: Mask


def tint(photo: Photo, mask: Mask, colour: tuple[int, int, int], strength: float = 0.6) -> Photo:
    """Return the photo with a mask laid over it, `strength` (0–1) of the colour."""
    result = photo.astype(np.float64)
    result[mask] = (1 - strength) * result[mask] + strength * np.array(colour)
    return result.round().astype(np.uint8)


def truth_overlay(example: Example) -> Photo:
    """Return the photo with the foreground in green and the border band in yellow."""
    body = tint(example.photo, example.trimap == FOREGROUND, GREEN)
    return tint(body, example.trimap == BORDER, (240, 228, 66), 0.55)


def prediction_overlay(example: Example) -> Photo:
    """Return the photo with the predicted foreground in green."""
    return tint(example.photo, example.predicted, GREEN)


def pale_grey(photo: Photo) -> Photo:
    """Return the photo in pale grey, on which overlays stand out."""
    grey = photo.mean(axis=2, keepdims=True) * 0.5 + 120
    return np.repeat(grey.clip(0, 255), 3, axis=2).astype(np.uint8)


def error_overlay(example: Example) -> Photo:
    """Return the photo in pale grey, missed foreground in blue, false foreground in orange; border as foreground."""
    truth = is_foreground(example.trimap)
    missed = tint(pale_grey(example.photo), truth & ~example.predicted, BLUE, 0.85)
    return tint(missed, example.predicted & ~truth & (example.trimap != IGNORED), ORANGE, 0.85)


def change_overlay(
    photo: Photo, trimap: UInt8[np.ndarray, "height width"], before: Mask, after: Mask
) -> Photo:
    """Return the photo in pale grey with the pixels that changed between two predictions; border as foreground.

    Pixels that were wrong before and are right after are green; those that became wrong, orange.
    """
    truth, counted = is_foreground(trimap), trimap != IGNORED
    corrected = tint(pale_grey(photo), counted & (before != truth) & (after == truth), GREEN, 0.85)
    return tint(corrected, counted & (before == truth) & (after != truth), ORANGE, 0.85)


def example_grid(examples: Sequence[Example]) -> bytes:
    """Return a PNG with a row per photo: photo, truth, prediction, errors."""
    overlays = (truth_overlay, prediction_overlay, error_overlay)
    rows = [(e.title, [e.photo, *(overlay(e) for overlay in overlays)]) for e in examples]
    return grid(("photo", "truth", "prediction", "errors"), rows)


def grid(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Photo]]]) -> bytes:
    """Return a PNG with a row of pictures per (title, pictures), below the names of the columns."""
    layout = ConstrainedLayoutEngine(h_pad=0.08)  # leaves space for the titles and the names
    figure = Figure(figsize=(2 * len(columns), 2.15 * len(rows) + 0.4), layout=layout)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for row_axes, (title, pictures) in zip(axes, rows, strict=True):
        for axis, column, picture in zip(row_axes, columns, pictures, strict=True):
            axis.imshow(picture, interpolation="lanczos" if column == "photo" else "nearest")
            axis.set_axis_off()
        row_axes[0].text(
            0,
            -0.03,
            title,
            transform=row_axes[0].transAxes,
            va="top",
            fontsize=8.5,
            parse_math=False,
        )
    for axis, column in zip(axes[0], columns, strict=True):
        axis.set_title(column)
    return plots.png(figure)


def animate(
    path: Path,
    photos: UInt8[np.ndarray, "k size size 3"],
    trimaps: UInt8[np.ndarray, "k size size"],
    probabilities: UInt8[np.ndarray, "epochs k size size"],
    seconds: float,
) -> None:
    """Write an animated WebP: validation photos, their masks, and the prediction epoch by epoch.

    The first frame is the untrained network. A bar at the bottom grows with the epochs.

    Args:
        path: File to write.
        photos: A few validation photos, RGB.
        trimaps: Their trimaps.
        probabilities: Of foreground in 1/255, for the untrained network and after every epoch.
        seconds: How long a frame is shown; the last one is shown four times as long.
    """
    frames = [
        animation_frame(photos, trimaps, probability, epoch / (len(probabilities) - 1))
        for epoch, probability in enumerate(probabilities)
    ]
    durations = [round(seconds * 1000)] * (len(frames) - 1) + [round(4 * seconds * 1000)]  # ms
    iio.imwrite(path, np.stack(frames), extension=".webp", duration=durations, loop=0, quality=70)


def animation_frame(
    photos: UInt8[np.ndarray, "k size size 3"],
    trimaps: UInt8[np.ndarray, "k size size"],
    probabilities: UInt8[np.ndarray, "k size size"],
    progress: float,
) -> Photo:
    """Return one frame: a column per photo with its mask and probability; `progress` is 0–1."""
    truth = np.where(is_foreground(trimaps), 255, 0).astype(np.uint8)
    rows = [photos, *(np.repeat(grey[..., None], 3, axis=-1) for grey in (truth, probabilities))]
    picture = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
    factor = max(1, round(ANIMATION_PHOTO_SIDE / photos.shape[1]))
    picture = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    bar = np.full((8, picture.shape[1], 3), 225, np.uint8)
    bar[:, : round(progress * picture.shape[1])] = BLUE
    return np.concatenate([picture, bar])
