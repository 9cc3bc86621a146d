"""Photos whose label or place in the splits a person should look at, each with the reason."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from petseg.data import arrays, splits
from petseg.data.arrays import Photo, Split
from petseg.data.labels import BACKGROUND, FOREGROUND, IGNORED
from petseg.data.near_duplicates import MAX_DIFFERING_BITS, MIN_CONTRAST, Hashes, hashes
from petseg.data.quantisation import MAX_LEVEL

CONFIDENT = (
    0.9  # the model is sure of foreground from this probability on, of background up to 1 - 0.9
)
MIN_DISAGREEMENT = (
    0.5  # share of the foreground's pixels on which the model must be sure of the opposite
)


class Reason(StrEnum):
    """Why a person should look at a photo, the most certain reason first."""

    WITHOUT_FOREGROUND = "no foreground in the trimap"
    DISAGREEMENT = "model sure of the opposite"
    DUPLICATE = "near-duplicate in another split"


@dataclass(frozen=True)
class LabelIssue:
    """A photo to look at; a row of suspects.csv."""

    name: str
    split: str
    group: str  # the smallest that the photo belongs to; empty if the data have no groups
    reason: Reason
    score: float  # 0–1, ranks the photos with the same reason
    detail: str  # for people; empty if the reason says it all


def disagreement(
    trimaps: UInt8[np.ndarray, "n height width"], probabilities: UInt8[np.ndarray, "n height width"]
) -> Float64[np.ndarray, "n"]:
    """Return each photo's share of pixels on which the model is sure of the trimap's opposite.

    The share is of the pixels that are foreground for the model or the trimap. On the border of a trimap
    the model cannot contradict it.
    """
    sure_foreground = probabilities >= CONFIDENT * MAX_LEVEL
    sure_background = probabilities <= (1 - CONFIDENT) * MAX_LEVEL
    opposite = (sure_foreground & (trimaps == BACKGROUND)) | (
        sure_background & (trimaps == FOREGROUND)
    )
    subject = (trimaps == FOREGROUND) | ((probabilities >= 128) & (trimaps != IGNORED))
    counts = [np.count_nonzero(mask, axis=(1, 2)) for mask in (opposite, subject)]
    return np.asarray(counts[0] / np.maximum(counts[1], 1))


def contradicted(
    index: list[Photo],
    empty: Bool[np.ndarray, "n"],
    disagreements: Float64[np.ndarray, "n"],
) -> Iterator[LabelIssue]:
    """Yield the test photos with foreground in the trimap of whose opposite the model is sure."""
    for photo, is_empty, share in zip(index, empty, disagreements, strict=True):
        if share >= MIN_DISAGREEMENT and not is_empty:
            detail = f"{share:.0%} of the foreground"
            yield label_issue(photo, "test", Reason.DISAGREEMENT, float(share), detail)


def without_foreground(name: str, split: Split) -> Iterator[LabelIssue]:
    """Yield a split's photos whose trimap has no pixel of foreground."""
    for rows, (trimaps,) in split.contents(split.trimaps):
        has_foreground = (trimaps == FOREGROUND).any(axis=(1, 2))
        for photo, has in zip(split.index[rows], has_foreground, strict=True):
            if not has:
                yield label_issue(photo, name, Reason.WITHOUT_FOREGROUND, 1.0, "")


def label_issue(photo: Photo, split: str, reason: Reason, score: float, detail: str) -> LabelIssue:
    """Return the issue of a photo, its score with 4 decimals."""
    return LabelIssue(
        photo.name, split, photo.subgroup or photo.group, reason, round(score, 4), detail
    )


@dataclass(frozen=True)
class HashedSplit:
    """A split's photos by their appearance."""

    split: str
    index: list[Photo]
    hashes: Hashes
    contrast: Float64[np.ndarray, "n"]  # mean change between a hash's neighbours, 0–255


def hash_split(name: str, split: Split) -> HashedSplit:
    """Return the hashes of a split's photos, reading some photos at a time."""
    parts = [hashes(photos) for _, (photos,) in split.contents(split.photos)]
    packed, contrast = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return HashedSplit(name, split.index, packed, contrast)


def duplicates(splits: Sequence[HashedSplit]) -> Iterator[LabelIssue]:
    """Yield the photos that look like a photo of an earlier split in this order."""
    for earlier, later in itertools.combinations(splits, 2):
        for photo, bits, contrast in zip(later.index, later.hashes, later.contrast, strict=True):
            distances = np.bitwise_count(bits ^ earlier.hashes).sum(axis=1, dtype=np.int64)
            nearest, distance = int(distances.argmin()), int(distances.min())
            lower_contrast = min(contrast, earlier.contrast[nearest])
            if distance <= MAX_DIFFERING_BITS and lower_contrast >= MIN_CONTRAST:
                twin = f"{earlier.index[nearest].name} in {earlier.split}"
                detail = f"{twin}, {distance} of 128 bits differ"
                score = 1 - distance / 128
                yield label_issue(photo, later.split, Reason.DUPLICATE, score, detail)


def twin_in(detail: str) -> str:
    """Return the name of the photo that a duplicate looks like, from the detail of its issue."""
    return detail.rpartition(", ")[0].rpartition(" in ")[0]


def rank(issues: Iterable[LabelIssue]) -> list[LabelIssue]:
    """Return the issues in the order of their reasons, then the highest score first."""
    order = list(Reason)
    return sorted(issues, key=lambda issue: (order.index(issue.reason), -issue.score, issue.name))


def issues_in_all_splits(folder: Path) -> Iterator[LabelIssue]:
    """Yield the issues that need no model: trimaps without foreground, and photos alike in two splits."""
    loaded = {name: arrays.load(folder / name) for name in splits.SPLITS}
    for name, split in loaded.items():
        yield from without_foreground(name, split)
    yield from duplicates([hash_split(name, split) for name, split in loaded.items() if len(split)])
