"""The test split cut into kinds of photos: how good the model is on each, and on which it is worst."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from petseg.data.arrays import Photo
from petseg.data.labels import BACKGROUND, PET
from petseg.evaluation import bootstrap, metrics

MIN_PHOTOS = 10  # photos of a slice that may be called the worst
SIZES = ("small", "medium", "large")
Chosen = Bool[np.ndarray, "n"]


@dataclass(frozen=True)
class Slice:
    """The IoU on photos of one kind, and where 95 % of resamples of them have it."""

    kind: str
    slice: str
    photos: int
    iou: float
    low: float
    high: float

    @property
    def title(self) -> str:
        """The name as a sentence has it."""
        return f"{self.kind} {self.slice}"


@dataclass(frozen=True)
class TrimapStats:
    """What a photo's trimap says of it."""

    share: Float64[np.ndarray, "n"]  # of pixels that are pet or border
    at_frame: Chosen  # pet or border in the outermost row or column of pixels
    without_pet: Chosen  # no pixel is pet; there may be a border


def trimap_stats(trimaps: UInt8[np.ndarray, "n size size"]) -> TrimapStats:
    """Return what slices need of some trimaps."""
    pet = trimaps != BACKGROUND
    edges = (pet[:, 0], pet[:, -1], pet[:, :, 0], pet[:, :, -1])
    return TrimapStats(
        pet.mean(axis=(1, 2)),
        np.any([edge.any(axis=1) for edge in edges], axis=0),
        ~(trimaps == PET).any(axis=(1, 2)),
    )


def concatenate(parts: list[TrimapStats]) -> TrimapStats:
    """Return the photos of all parts as one."""
    names = ("share", "at_frame", "without_pet")
    return TrimapStats(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def members(index: list[Photo], shape: TrimapStats) -> Iterator[tuple[str, str, Chosen]]:
    """Yield kind, name and photos of every slice; a kind that does not divide the photos is none."""
    for kind in ("species", "breed"):
        labels = np.array([getattr(photo, kind) for photo in index])
        names = np.unique(labels)
        if len(names) > 1:
            yield from ((kind, str(name), labels == name) for name in names)
    ends = np.quantile(shape.share, (1 / 3, 2 / 3))
    third = np.searchsorted(ends, shape.share, side="right")
    low, high = (f"{100 * end:.1f} %" for end in ends)
    words = (f"under {low}", f"{low} to {high}", f"{high} and over")
    for number, (size, word) in enumerate(zip(SIZES, words, strict=True)):
        yield "object size", f"{size}, {word} of the photo", third == number
    yield "frame", "touched by the animal", shape.at_frame
    yield "frame", "not touched", ~shape.at_frame
    yield "trimap", "without a pet", shape.without_pet
    yield "trimap", "with a pet", ~shape.without_pet


def slices(index: list[Photo], shape: TrimapStats, counts: Int64[np.ndarray, "n 6"]) -> list[Slice]:
    """Return every slice that has a photo, with its IoU over pixels, the border as pet, 4 decimals."""
    cells = metrics.confusion(counts, "pet")
    pixels = np.column_stack([cells.tp, cells.tp + cells.fp + cells.fn])
    found = []
    for kind, name, chosen in members(index, shape):
        if chosen.any():
            value, low, high = iou_with_interval(pixels[chosen])
            found.append(Slice(kind, name, int(chosen.sum()), value, low, high))
    return found


def iou_with_interval(pixels: Int64[np.ndarray, "n 2"]) -> tuple[float, float, float]:
    """Return the IoU and its 95 % interval from each photo's intersection and union."""
    rng = np.random.default_rng(bootstrap.SEED)
    sums = bootstrap.resampled_sums(pixels.astype(float), rng).astype(np.int64)
    samples = np.asarray(metrics.ratio(sums[:, 0], sums[:, 1]), float)
    total = pixels.sum(axis=0)
    value = float(metrics.ratio(total[0], total[1]))
    low, high = (round(end, 4) for end in bootstrap.interval(samples))
    return round(value, 4), low, high


def worst(found: list[Slice]) -> Slice | None:
    """Return the slice with the lowest IoU among those of ten photos and more; None without any."""
    large = [each for each in found if each.photos >= MIN_PHOTOS]
    return min(large, key=lambda each: each.iou, default=None)
