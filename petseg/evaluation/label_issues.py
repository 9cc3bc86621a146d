"""Photos whose label or place in the splits a person should look at, each with the reason."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, UInt8, UInt64

from petseg.data import arrays, splits
from petseg.data.arrays import Photo, Split
from petseg.data.labels import BACKGROUND, PET

CONFIDENT = 0.9  # a probability from which on, or a tenth up to which, the model is sure
DISAGREED = 0.5  # share of sure and wrong pixels, of those that are pet for model or trimap
MAX_DIFFERING_BITS = 10  # bits of 128 in which two photos' hashes may differ
CHUNK = 256  # photos read at a time
MIN_CONTRAST = 6  # mean change between neighbours, of 255, below which a hash says nothing
Hashes = UInt64[np.ndarray, "n 2"]


class Reason(StrEnum):
    """Why a person should look at a photo, the most certain reason first."""

    WITHOUT_PET = "no pet in the trimap"
    DISAGREEMENT = "model sure of the opposite"
    DUPLICATE = "near-duplicate in another split"


@dataclass(frozen=True)
class Suspect:
    """A photo to look at; `score` is 0–1, and ranks within a reason."""

    name: str
    split: str
    breed: str
    reason: Reason
    score: float
    detail: str


def disagreement(
    trimaps: UInt8[np.ndarray, "n height width"], probabilities: UInt8[np.ndarray, "n height width"]
) -> Float64[np.ndarray, "n"]:
    """Return each photo's share of pixels on which model and trimap disagree though the model is sure.

    Of the pixels that are pet for either of them; the border is left out.
    """
    sure, sure_not = probabilities >= CONFIDENT * 255, probabilities <= (1 - CONFIDENT) * 255
    wrong = (sure & (trimaps == BACKGROUND)) | (sure_not & (trimaps == PET))
    either = (trimaps == PET) | (probabilities >= 128)
    counts = [np.count_nonzero(mask, axis=(1, 2)) for mask in (wrong, either)]
    return np.asarray(counts[0] / np.maximum(counts[1], 1))


def contradicted(
    index: list[Photo],
    without_pet: Bool[np.ndarray, "n"],
    disagreements: Float64[np.ndarray, "n"],
) -> Iterator[Suspect]:
    """Yield the test photos whose trimap, which is not empty, is the opposite of what the model is sure of."""
    for photo, empty, share in zip(index, without_pet, disagreements, strict=True):
        if share >= DISAGREED and not empty:
            yield suspect(
                photo, "test", Reason.DISAGREEMENT, float(share), f"{share:.0%} of the animal"
            )


def empty(name: str, split: Split) -> Iterator[Suspect]:
    """Yield a split's photos whose trimap has no pixel of a pet."""
    for photo, trimap in zip(split.index, split.trimaps, strict=True):
        if not (trimap == PET).any():
            yield suspect(photo, name, Reason.WITHOUT_PET, 1.0, "")


def suspect(photo: Photo, split: str, reason: Reason, score: float, detail: str) -> Suspect:
    """Return a photo as a suspect."""
    return Suspect(photo.name, split, photo.breed, reason, round(score, 4), detail)


@dataclass(frozen=True)
class Hashed:
    """A split's photos by what they look like."""

    split: str
    index: list[Photo]
    hashes: Hashes
    contrast: Float64[np.ndarray, "n"]  # mean change between a hash's neighbours, 0–255


def hashes(
    photos: UInt8[np.ndarray, "n size size 3"],
) -> tuple[Hashes, Float64[np.ndarray, "n"]]:
    """Return each photo's difference hash of 128 bits, and its contrast.

    The grey photo shrunk to 9×9 means; a bit says whether a cell is darker than its right
    neighbour (64), or than the one below it (64). N. Krawetz: Kind of like that, 2013.
    """
    size = photos.shape[1]
    edges = np.arange(9) * size // 9
    grey = photos.sum(axis=3, dtype=np.uint16)
    rows = np.add.reduceat(grey, edges, axis=1, dtype=np.uint32)
    cells = np.add.reduceat(rows, edges, axis=2, dtype=np.uint32).astype(float)
    sides = np.diff(np.append(edges, size))
    cells /= 3.0 * sides[:, None] * sides
    steps = np.stack([np.diff(cells, axis=2)[:, :8], np.diff(cells, axis=1)[:, :, :8]], axis=1)
    bits = (steps > 0).reshape(len(photos), 2, 64)
    return np.packbits(bits, axis=2).view(np.uint64)[..., 0], np.abs(steps).mean(axis=(1, 2, 3))


def hashed(name: str, split: Split) -> Hashed:
    """Return the hashes of a whole split, reading it a part at a time."""
    parts = [
        hashes(np.asarray(split.photos[start : start + CHUNK]))
        for start in range(0, len(split), CHUNK)
    ]
    packed, contrast = (np.concatenate(side) for side in zip(*parts, strict=True))
    return Hashed(name, split.index, packed, contrast)


def duplicates(splits: Sequence[Hashed]) -> Iterator[Suspect]:
    """Yield the photos that look like one of a split before theirs in the order given."""
    for earlier, later in itertools.combinations(splits, 2):
        for photo, own, contrast in zip(later.index, later.hashes, later.contrast, strict=True):
            apart = np.bitwise_count(own ^ earlier.hashes).sum(axis=1, dtype=np.int64)
            nearest, bits = int(apart.argmin()), int(apart.min())
            if (
                bits <= MAX_DIFFERING_BITS
                and min(contrast, earlier.contrast[nearest]) >= MIN_CONTRAST
            ):
                twin = f"{earlier.index[nearest].name} in {earlier.split}"
                yield suspect(
                    photo,
                    later.split,
                    Reason.DUPLICATE,
                    1 - bits / 128,
                    f"{twin}, {bits} of 128 bits differ",
                )


def ranked(found: Iterable[Suspect]) -> list[Suspect]:
    """Return the suspects by reason, the most certain first."""
    order = list(Reason)
    return sorted(found, key=lambda each: (order.index(each.reason), -each.score, each.name))


def issues_in_all_splits(folder: Path) -> Iterator[Suspect]:
    """Yield the photos of any split with an empty trimap, and those that look like one of another."""
    every = {name: arrays.load(folder / name) for name in splits.SPLITS}
    for name, split in every.items():
        yield from empty(name, split)
    yield from duplicates([hashed(name, split) for name, split in every.items() if len(split)])
