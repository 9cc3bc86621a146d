"""What a dataset holds, in numbers: the data summary that travels to reports/data.json."""

from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

import numpy as np
from jaxtyping import UInt8

from stages.petseg.archives import BACKGROUND, BORDER, PET
from stages.petseg.arrays import Photo


class Pixels:
    """Counts a split's trimap pixels by class while they pass."""

    def __init__(self) -> None:
        self.counts = np.zeros(4, dtype=np.int64)
        self.without_pet = 0

    def add(self, trimap: UInt8[np.ndarray, "size size"]) -> None:
        """Count one trimap."""
        counts = np.bincount(trimap.ravel(), minlength=4)
        self.counts += counts
        self.without_pet += int(counts[PET] == 0)

    def shares(self) -> dict[str, float]:
        """Return the share of each class, 4 decimals."""
        total = max(1, int(self.counts.sum()))
        names = {"pet": PET, "background": BACKGROUND, "border": BORDER}
        return {name: round(int(self.counts[value]) / total, 4) for name, value in names.items()}


def describe(
    index: Mapping[str, list[Photo]], pixels: Mapping[str, Pixels], reasons: Counter[str]
) -> dict[str, Any]:
    """Return the summary: per split photos, species, classes and sizes; photos by breed; rejects."""
    every = [row for rows in index.values() for row in rows]
    return {
        "splits": {split: describe_split(rows, pixels[split]) for split, rows in index.items()},
        "breeds": dict(sorted(Counter(row.breed for row in every).items())),
        "original_width": spread(row.width for row in every),
        "original_height": spread(row.height for row in every),
        "rejected": {"photos": reasons.total(), "reasons": dict(sorted(reasons.items()))},
    }


def describe_split(rows: list[Photo], pixels: Pixels) -> dict[str, Any]:
    """Return one split's numbers."""
    species = Counter(row.species for row in rows)
    return {
        "photos": len(rows),
        "cats": species["cat"],
        "dogs": species["dog"],
        "pixel_shares": pixels.shares(),
        "masks_without_pet": pixels.without_pet,
    }


def spread(values: Iterable[int]) -> dict[str, float]:
    """Return the least, the median and the largest value, in pixels."""
    listed = list(values)
    return {"least": min(listed), "median": median(listed), "largest": max(listed)}
