"""What a dataset holds, in numbers: the data summary that travels to reports/data.json."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from statistics import median
from typing import Any

import numpy as np
from jaxtyping import UInt8

from petseg.data.arrays import Photo
from petseg.data.labels import BACKGROUND, BORDER, PET

VALUES = {"pet": PET, "background": BACKGROUND, "border": BORDER}


class Pixels:
    """Counts a split's trimap pixels by class while they pass."""

    def __init__(self) -> None:
        self.counts = np.zeros(len(VALUES), dtype=np.int64)
        self.without_pet = 0

    def add(self, trimaps: UInt8[np.ndarray, "n size size"]) -> None:
        """Count some trimaps."""
        self.counts += [np.count_nonzero(trimaps == value) for value in VALUES.values()]
        self.without_pet += int(np.count_nonzero(~(trimaps == PET).any(axis=(1, 2))))

    def shares(self) -> dict[str, float]:
        """Return the share of each class, 4 decimals."""
        total = max(1, int(self.counts.sum()))
        return {
            name: round(int(count) / total, 4)
            for name, count in zip(VALUES, self.counts, strict=True)
        }


def describe(
    index: Mapping[str, list[Photo]], pixels: Mapping[str, Pixels], reasons: Collection[str]
) -> dict[str, Any]:
    """Return the summary: photos per split and breed, classes, sizes, what is odd, what is set aside."""
    every = [row for rows in index.values() for row in rows]
    return {
        "splits": {split: describe_split(rows, pixels[split]) for split, rows in index.items()},
        "breeds": by_breed(index),
        "original_width": spread(row.width for row in every),
        "original_height": spread(row.height for row in every),
        "odd": counted(word for row in every for word in row.odd.split(", ") if word),
        "rejected": {
            "photos": len(reasons),
            "reasons": counted(reason.partition(":")[0] for reason in reasons),
        },
    }


def counted(words: Iterable[str]) -> dict[str, int]:
    """Return how often each word comes, the most frequent first."""
    return dict(sorted(Counter(words).items(), key=lambda item: (-item[1], item[0])))


def by_breed(index: Mapping[str, list[Photo]]) -> dict[str, dict[str, int]]:
    """Return each breed's photos per split."""
    counts = {split: Counter(row.breed for row in rows) for split, rows in index.items()}
    breeds = sorted(set().union(*counts.values()))
    return {breed: {split: count[breed] for split, count in counts.items()} for breed in breeds}


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
