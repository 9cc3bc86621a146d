"""The IoU on slices of the test split, such as a group of photos or small subjects, and the worst slice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from petseg.data.arrays import Photo
from petseg.data.labels import FOREGROUND, is_foreground
from petseg.evaluation import bootstrap, metrics

MIN_PHOTOS = 10  # photos that a slice needs to be called the worst
SIZES = ("small", "medium", "large")
PhotoMask = Bool[np.ndarray, "n"]  # whether a photo is in the slice


@dataclass(frozen=True)
class Slice:
    """The IoU on the photos of a slice, with its 95 % interval over photos; a row of slices.csv."""

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
    """Facts of n photos that follow from their trimaps."""

    share: Float64[np.ndarray, "n"]  # share of pixels that are foreground or border, 0–1
    at_frame: PhotoMask  # foreground or border in the outermost row or column of pixels
    without_foreground: PhotoMask  # no pixel is foreground; there may be a border


def trimap_stats(trimaps: UInt8[np.ndarray, "n height width"]) -> TrimapStats:
    """Return the facts of some trimaps by which photos are divided into slices."""
    foreground = is_foreground(trimaps)
    edges = (foreground[:, 0], foreground[:, -1], foreground[:, :, 0], foreground[:, :, -1])
    return TrimapStats(
        foreground.mean(axis=(1, 2)),
        np.any([edge.any(axis=1) for edge in edges], axis=0),
        ~(trimaps == FOREGROUND).any(axis=(1, 2)),
    )


def concatenate(parts: list[TrimapStats]) -> TrimapStats:
    """Return the facts of all parts' photos in one."""
    names = ("share", "at_frame", "without_foreground")
    return TrimapStats(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def members(
    index: list[Photo], group_kinds: Sequence[str], stats: TrimapStats
) -> Iterator[tuple[str, str, PhotoMask]]:
    """Yield kind, name and photos of every slice; of a kind of groups only if there are several."""
    for level, kind in enumerate(group_kinds):
        labels = np.array([photo.groups[level] for photo in index])
        names = np.unique(labels)
        if len(names) > 1:
            yield from ((kind, str(name), labels == name) for name in names)
    third, ends = size_thirds(stats.share)
    low, high = (f"{100 * end:.1f} %" for end in ends)
    ranges = (f"under {low}", f"{low} to {high}", f"{high} and over")
    for number, (size, shares) in enumerate(zip(SIZES, ranges, strict=True)):
        yield "object size", f"{size}, {shares} of the photo", third == number
    yield "frame", "touched by the foreground", stats.at_frame
    yield "frame", "not touched", ~stats.at_frame
    yield "trimap", "without foreground", stats.without_foreground
    yield "trimap", "with foreground", ~stats.without_foreground


def size_thirds(
    share: Float64[np.ndarray, "n"],
) -> tuple[Int64[np.ndarray, "n"], Float64[np.ndarray, "2"]]:
    """Return each photo's third by the subject's share, 0 to 2 as in `SIZES`, and what divides them."""
    ends = np.quantile(share, (1 / 3, 2 / 3))
    return np.searchsorted(ends, share, side="right"), ends


def slices(
    index: list[Photo],
    group_kinds: Sequence[str],
    stats: TrimapStats,
    counts: Int64[np.ndarray, "n 6"],
) -> list[Slice]:
    """Return every slice that has a photo, with its IoU over pixels, the border as foreground.

    Args:
        index: the photos.
        group_kinds: what their groups and subgroups are called; as many as the photos have.
        stats: the facts of their trimaps.
        counts: their pixels in the order of `metrics.COLUMNS`.
    """
    cells = metrics.confusion(counts, "foreground")
    pixels = np.column_stack([cells.tp, cells.tp + cells.fp + cells.fn])
    result = []
    for kind, name, in_slice in members(index, group_kinds, stats):
        if in_slice.any():
            value, low, high = iou_with_interval(pixels[in_slice])
            result.append(Slice(kind, name, int(in_slice.sum()), value, low, high))
    return result


def iou_with_interval(pixels: Int64[np.ndarray, "n 2"]) -> tuple[float, float, float]:
    """Return the IoU and its 95 % interval from each photo's intersection and union."""
    rng = np.random.default_rng(bootstrap.SEED)
    sums = bootstrap.resampled_sums(pixels.astype(float), rng).astype(np.int64)
    samples = np.asarray(metrics.ratio(sums[:, 0], sums[:, 1]), float)
    total = pixels.sum(axis=0)
    value = float(metrics.ratio(total[0], total[1]))
    low, high = (round(end, 4) for end in bootstrap.interval(samples))
    return round(value, 4), low, high


def worst(candidates: list[Slice]) -> Slice | None:
    """Return the slice with the lowest IoU among those of ten photos and more; None without any."""
    large = [candidate for candidate in candidates if candidate.photos >= MIN_PHOTOS]
    return min(large, key=lambda candidate: candidate.iou, default=None)
