"""What a network is trained and validated on: whole photos, or windows of photos that keep their size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8
from numpy.random import Generator

from petseg.data.arrays import Photo, Pictures, Split
from petseg.data.frame import Frame
from petseg.data.labels import IGNORED
from petseg.data.windows import filled, mirrored

Batch = tuple[UInt8[np.ndarray, "batch size size 3"], UInt8[np.ndarray, "batch size size"]]
Rows = slice | list[int] | Int64[np.ndarray, "batch"]
Windows = Int64[np.ndarray, "n 3"]  # a photo's row, and the window's top and left in its pixels


@runtime_checkable
class Examples(Protocol):
    """Pairs of photo and trimap, each a square of the network's size."""

    @property
    def index(self) -> list[Photo]:
        """The photos that they come from."""

    @property
    def frame(self) -> Frame:
        """The network's input."""

    def __len__(self) -> int:
        """Return how many there are in an epoch."""

    def read(self, rows: Rows) -> Batch:
        """Return some of them."""

    def drawn(self, rng: Generator) -> "Examples":
        """Return those of an epoch of training."""


def of_split(split: Split) -> Examples:
    """Return the examples of a split: its photos, or windows that cover each of its pixels once."""
    return (
        TiledPhotos(split, covering(split.index, split.frame.size))
        if split.frame.mode == "tiles"
        else FramedPhotos(split)
    )


def spread_rows(examples: Examples, count: int) -> list[int]:
    """Return at most `count` rows, spread evenly over the examples."""
    return [int(row) for row in np.linspace(0, len(examples) - 1, min(count, len(examples)))]


class FramedPhotos:
    """The photos of a split that were resized to the network's size."""

    def __init__(self, split: Split) -> None:
        assert not isinstance(split.photos, Pictures)
        assert not isinstance(split.trimaps, Pictures)
        self.photos, self.trimaps = split.photos, split.trimaps
        self.index: list[Photo] = split.index
        self.frame: Frame = split.frame

    def __len__(self) -> int:
        return len(self.index)

    def read(self, rows: Rows) -> Batch:
        """Return these photos with their trimaps."""
        return np.asarray(self.photos[rows]), np.asarray(self.trimaps[rows])

    def drawn(self, rng: Generator) -> "FramedPhotos":
        """Return the same photos: each epoch has all of them."""
        return self


@dataclass(frozen=True)
class TiledPhotos:
    """Windows of the photos of a split, which have their own size."""

    split: Split
    windows: Windows

    @property
    def index(self) -> list[Photo]:
        """The photos."""
        return self.split.index

    @property
    def frame(self) -> Frame:
        """The network's input."""
        return self.split.frame

    def __len__(self) -> int:
        return len(self.windows)

    def read(self, rows: Rows) -> Batch:
        """Return what is in these windows.

        Beyond the edge of a photo it is mirrored, and its trimap is ignored.
        """
        size, windows = self.frame.size, self.windows[rows].tolist()
        photos, trimaps = self.split.photos, self.split.trimaps
        return (
            np.stack([mirrored(photos[row], top, left, size) for row, top, left in windows]),
            np.stack(
                [filled(trimaps[row], top, left, size, IGNORED) for row, top, left in windows]
            ),
        )

    def drawn(self, rng: Generator) -> "TiledPhotos":
        """Return as many windows of each photo in random places, inside it where it is large enough."""
        rows = self.windows[:, 0]
        room = [
            [max(0, edge - self.frame.size) for edge in (photo.height, photo.width)]
            for photo in self.index
        ]
        corners = rng.integers(0, np.array(room)[rows], endpoint=True)
        return TiledPhotos(self.split, np.column_stack([rows, corners]))


def covering(photos: Sequence[Photo], size: int) -> Windows:
    """Return windows of `size` pixels, side by side, that cover each pixel of the photos once."""
    return np.array(
        [
            (row, top, left)
            for row, photo in enumerate(photos)
            for top in range(0, photo.height, size)
            for left in range(0, photo.width, size)
        ],
        np.int64,
    ).reshape(-1, 3)
