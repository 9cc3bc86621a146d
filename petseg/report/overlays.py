"""Masks laid over photos, grids of photos, and the animation of a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from jaxtyping import Bool, UInt8
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from petseg.data.labels import BACKGROUND, BORDER
from petseg.report import plots
from petseg.report.plots import BLUE, GREEN, ORANGE

Photo = UInt8[np.ndarray, "height width 3"]
Mask = Bool[np.ndarray, "height width"]
LEGIBLE = 160  # pixels of a photo in the animation, about


@dataclass(frozen=True)
class Example:
    """One photo with what is true and what was predicted."""

    title: str
    photo: Photo
    trimap: UInt8[np.ndarray, "height width"]
    predicted: Mask


def tint(photo: Photo, mask: Mask, colour: tuple[int, int, int], strength: float = 0.6) -> Photo:
    """Return the photo with a mask laid over it."""
    result = photo.astype(np.float64)
    result[mask] = (1 - strength) * result[mask] + strength * np.array(colour)
    return result.round().astype(np.uint8)


def truth_overlay(example: Example) -> Photo:
    """The photo with pet in green and the border band lighter."""
    body = tint(example.photo, (example.trimap != BACKGROUND) & (example.trimap != BORDER), GREEN)
    return tint(body, example.trimap == BORDER, (240, 228, 66), 0.55)


def prediction_overlay(example: Example) -> Photo:
    """The photo with the predicted pet in green."""
    return tint(example.photo, example.predicted, GREEN)


def pale(photo: Photo) -> Photo:
    """The photo in pale grey, a ground for what is laid over it."""
    grey = photo.mean(axis=2, keepdims=True) * 0.5 + 120
    return np.repeat(grey.clip(0, 255), 3, axis=2).astype(np.uint8)


def error_overlay(example: Example) -> Photo:
    """The photo in pale grey, missed pet in blue, false pet in orange; border as pet."""
    truth = example.trimap != BACKGROUND
    missed = tint(pale(example.photo), truth & ~example.predicted, BLUE, 0.85)
    return tint(missed, example.predicted & ~truth, ORANGE, 0.85)


def change_overlay(
    photo: Photo, trimap: UInt8[np.ndarray, "height width"], before: Mask, after: Mask
) -> Photo:
    """The photo in pale grey, what was mended in green, what was broken in orange; border as pet."""
    truth = trimap != BACKGROUND
    mended = tint(pale(photo), (before != truth) & (after == truth), GREEN, 0.85)
    return tint(mended, (before == truth) & (after != truth), ORANGE, 0.85)


def gallery(examples: Sequence[Example]) -> bytes:
    """Return a PNG with a row per photo: photo, truth, prediction, errors."""
    draw = (truth_overlay, prediction_overlay, error_overlay)
    rows = [(e.title, [e.photo, *(overlay(e) for overlay in draw)]) for e in examples]
    return grid(("photo", "truth", "prediction", "errors"), rows)


def grid(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Photo]]]) -> bytes:
    """Return a PNG with a row of pictures per (title, pictures), under the columns' names."""
    room = ConstrainedLayoutEngine(h_pad=0.08)  # for the titles and the names
    figure = Figure(figsize=(2 * len(columns), 2.15 * len(rows) + 0.4), layout=room)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for line, (title, pictures) in zip(axes, rows, strict=True):
        for axis, column, picture in zip(line, columns, pictures, strict=True):
            axis.imshow(picture, interpolation="lanczos" if column == "photo" else "nearest")
            axis.set_axis_off()
        line[0].text(
            0,
            -0.03,
            title,
            transform=line[0].transAxes,
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
    """Write an animated WebP: validation photos above, below them the prediction epoch by epoch.

    The first frame is the untrained network; a bar below grows with the epochs, and the
    last frame stays longer.
    """
    frames = [
        animation_frame(photos, trimaps, found, number / (len(probabilities) - 1))
        for number, found in enumerate(probabilities)
    ]
    shown = [round(seconds * 1000)] * (len(frames) - 1) + [round(4 * seconds * 1000)]
    iio.imwrite(path, np.stack(frames), extension=".webp", duration=shown, loop=0, quality=70)


def animation_frame(
    photos: UInt8[np.ndarray, "k size size 3"],
    trimaps: UInt8[np.ndarray, "k size size"],
    found: UInt8[np.ndarray, "k size size"],
    share: float,
) -> Photo:
    """Return one frame: photo, truth and probability of each, small photos magnified."""
    truth = np.where(trimaps != BACKGROUND, 255, 0).astype(np.uint8)
    rows = [photos, *(np.repeat(grey[..., None], 3, axis=-1) for grey in (truth, found))]
    picture = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
    times = max(1, round(LEGIBLE / photos.shape[1]))
    picture = picture.repeat(times, axis=0).repeat(times, axis=1)
    bar = np.full((8, picture.shape[1], 3), 225, np.uint8)
    bar[:, : round(share * picture.shape[1])] = BLUE
    return np.concatenate([picture, bar])
