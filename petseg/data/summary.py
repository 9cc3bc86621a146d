"""Summarise a dataset in numbers: the content of summary.json, shown in reports/data.json."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from jaxtyping import UInt8

from petseg.data.arrays import Photo
from petseg.data.labels import BACKGROUND, BORDER, FOREGROUND

VALUES = {"foreground": FOREGROUND, "background": BACKGROUND, "border": BORDER}


class PixelCounter:
    """Counts the pixels of every class in the trimaps of one split."""

    def __init__(self) -> None:
        self.counts = np.zeros(len(VALUES), dtype=np.int64)
        self.without_foreground = 0  # trimaps without a pixel of the foreground

    def add(self, trimaps: UInt8[np.ndarray, "n height width"]) -> None:
        """Add the pixels of some trimaps to the counts."""
        self.counts += [np.count_nonzero(trimaps == value) for value in VALUES.values()]
        self.without_foreground += int(np.count_nonzero(~(trimaps == FOREGROUND).any(axis=(1, 2))))

    def shares(self) -> dict[str, float]:
        """Return the share of every class, 0 to 1, rounded to 4 decimals."""
        total = max(1, int(self.counts.sum()))
        return {
            name: round(int(count) / total, 4)
            for name, count in zip(VALUES, self.counts, strict=True)
        }


def describe(
    index: Mapping[str, list[Photo]],
    pixels: Mapping[str, PixelCounter],
    group_kinds: Sequence[str],
    rejection_reasons: Collection[str],
) -> dict[str, Any]:
    """Return the summary of a dataset.

    Args:
        index: the photos of every split.
        pixels: the pixel counts of every split.
        group_kinds: what a group of photos and a subgroup are called, such as species and breed;
            shorter if the data have no subgroups or no groups.
        rejection_reasons: a reason for every listed photo that is not used.

    Returns:
        Photos by split and by group, classes, original sizes in pixels, unusual traits of the
        files, and the rejected photos by reason.
    """
    photos = [row for rows in index.values() for row in rows]
    return {
        "splits": {split: describe_split(rows, pixels[split]) for split, rows in index.items()},
        "groups": {kind: photos_by_group(index, level) for level, kind in enumerate(group_kinds)},
        "original_width": min_median_max(row.width for row in photos),
        "original_height": min_median_max(row.height for row in photos),
        "odd": frequencies(trait for row in photos for trait in row.odd.split(", ") if trait),
        "rejected": {
            "photos": len(rejection_reasons),
            "reasons": frequencies(reason.partition(":")[0] for reason in rejection_reasons),
        },
    }


def frequencies(texts: Iterable[str]) -> dict[str, int]:
    """Return how often every text occurs, the most frequent first."""
    return dict(sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0])))


def photos_by_group(index: Mapping[str, list[Photo]], level: int) -> dict[str, dict[str, int]]:
    """Return the number of photos of every group (level 0) or subgroup (1) in every split."""
    counts = {split: Counter(row.groups[level] for row in rows) for split, rows in index.items()}
    names = sorted(set().union(*counts.values()))
    return {name: {split: count[name] for split, count in counts.items()} for name in names}


def describe_split(rows: list[Photo], pixels: PixelCounter) -> dict[str, Any]:
    """Return the summary of one split."""
    return {
        "photos": len(rows),
        "pixel_shares": pixels.shares(),
        "masks_without_foreground": pixels.without_foreground,
    }


def min_median_max(values: Iterable[int]) -> dict[str, float]:
    """Return the smallest, the median and the largest value."""
    values = list(values)
    return {"least": min(values), "median": median(values), "largest": max(values)}
