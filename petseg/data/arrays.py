"""The memory-mapped arrays of one split and the index that names their photos."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64, UInt8

from petseg import files
from petseg.data.frame import Frame
from petseg.errors import UserError

CHUNK = 256  # pictures read at a time
BUFFER = 1 << 20  # bytes collected in memory before they are written
PHOTOS, TRIMAPS, INDEX, FRAME = "photos.npy", "trimaps.npy", "index.csv", "frame.json"
Sizes = Sequence[tuple[int, int]]  # height and width of pictures in pixels
Stack = UInt8[np.ndarray, "n ..."]  # (n, height, width) or (n, height, width, channels)


class Pictures:
    """Pictures of different sizes, one after another in one array of pixels."""

    def __init__(
        self,
        pixels: UInt8[np.ndarray, "pixels *channels"],
        sizes: Sizes,
        ends: Int64[np.ndarray, "..."],
    ) -> None:
        """Take the pixels; those of picture n lie between `ends[n]` and `ends[n + 1]`."""
        self.pixels, self.sizes, self.ends = pixels, sizes, ends
        if ends[-1] != len(pixels):
            raise ValueError(f"{len(pixels):,} pixels instead of {ends[-1]:,}")

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, row: int) -> UInt8[np.ndarray, "height width *channels"]:
        pixels = self.pixels[self.ends[row] : self.ends[row + 1]]
        return pixels.reshape(*self.sizes[row], *self.pixels.shape[1:])


PictureArray: TypeAlias = Stack | Pictures


@dataclass(frozen=True)
class PictureFile:
    """A .npy file of pictures that a `RowWriter` wrote, read some of them at a time."""

    path: Path
    frame: Frame
    sizes: Sizes  # of the pictures before they were resized

    def open(self) -> PictureArray:
        """Return the pictures, memory-mapped.

        Raises:
            OSError: the file is missing or cannot be read.
            ValueError: it is no such file, or its pictures have other sizes.
        """
        pixels = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return Pictures(pixels, self.sizes, self.ends) if self.frame.mode == "tiles" else pixels

    @cached_property
    def ends(self) -> Int64[np.ndarray, "..."]:
        """Where each picture of its own size begins in the array of pixels, and where the last ends."""
        return np.cumsum([0, *(height * width for height, width in self.sizes)], dtype=np.int64)

    def chunks(self, rows: list[int]) -> Iterator[Stack]:
        """Yield these pictures in this order, some at a time, or one if each has its own size."""
        step = 1 if self.frame.mode == "tiles" else CHUNK
        for start in range(0, len(rows), step):
            # The file is mapped again for every chunk: pages that have been read count as memory
            # of this process until they are unmapped.
            pictures, chunk = self.open(), rows[start : start + step]
            if isinstance(pictures, Pictures):
                yield from (pictures[row][None] for row in chunk)
            else:
                yield pictures[chunk]

    def contents(self, rows: list[int]) -> Iterator[Stack]:
        """Yield these pictures as `chunks` does, but without padding: padded ones one at a time."""
        if self.frame.mode != "pad":
            yield from self.chunks(rows)
            return
        pictures = (picture for chunk in self.chunks(rows) for picture in chunk)
        for row, picture in zip(rows, pictures, strict=True):
            height, width = self.sizes[row]
            yield self.frame.content(picture, width, height)[None]


@dataclass(frozen=True, slots=True)
class Photo:
    """One row of index.csv: a photo as it was before it was resized."""

    name: str
    group: str  # such as the species; empty if the data have no groups
    subgroup: str  # such as the breed; empty if the data have no subgroups
    width: int  # of the original photo in pixels
    height: int  # of the original photo in pixels
    sha256: str  # of the SHA-256 of the original photo and trimap; first 16 digits
    odd: str  # unusual traits of the original file, joined by commas; usually empty

    @property
    def groups(self) -> tuple[str, str]:
        """The group and the subgroup."""
        return self.group, self.subgroup


@dataclass(frozen=True)
class Split:
    """One split: its photos and trimaps, memory-mapped, and its index in the same order."""

    photos: PictureArray  # RGB: (n, size, size, 3), or pictures of their own size
    trimaps: PictureArray  # labels: (n, size, size), or pictures of their own size
    index: list[Photo]
    frame: Frame

    def __len__(self) -> int:
        return len(self.index)

    def contents(self, *columns: PictureArray) -> Iterator[tuple[slice, tuple[Stack, ...]]]:
        """Yield the rows of arrays in the order of the index, without padding, some at a time.

        Padded photos, and photos of their own size, come one at a time.
        """
        if self.frame.mode != "pad":
            yield from stacks(CHUNK, *columns)
            return
        for row, photo in enumerate(self.index):
            yield (
                slice(row, row + 1),
                tuple(
                    self.frame.content(np.asarray(column[row]), photo.width, photo.height)[None]
                    for column in columns
                ),
            )


def load(folder: Path) -> Split:
    """Return a split with its arrays memory-mapped: pixels are read when they are indexed.

    Raises:
        UserError: a file is missing, or the arrays and the index differ in length.
    """
    try:
        index = read_index(folder)
        frame = Frame(**files.read_json(folder / FRAME))
        photos, trimaps = (
            PictureFile(folder / name, frame, sizes(index)).open() for name in (PHOTOS, TRIMAPS)
        )
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: {error}; run `dvc repro preprocess`") from error
    if not len(photos) == len(trimaps) == len(index):
        raise UserError(
            f"{folder}: {len(photos)} photos, {len(trimaps)} trimaps, {len(index)} names; run `dvc repro -f preprocess`"
        )
    return Split(photos, trimaps, index, frame)


def load_probabilities(path: Path, test: Split) -> PictureArray:
    """Return the probabilities of a split's photos, in 1/255, memory-mapped, in its order.

    Raises:
        UserError: the file is missing, or does not belong to the split.
    """
    try:
        probabilities = PictureFile(path, test.frame, sizes(test.index)).open()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}; run `dvc repro export`") from error
    if len(probabilities) != len(test):
        raise UserError(
            f"{path} has {len(probabilities)} photos, the test split {len(test)}; "
            "run `dvc repro -f export`"
        )
    return probabilities


def sizes(index: Sequence[Photo]) -> Sizes:
    """Return the height and width of every photo as it was before it was resized."""
    return [(photo.height, photo.width) for photo in index]


def stacks(count: int, *columns: PictureArray) -> Iterator[tuple[slice, tuple[Stack, ...]]]:
    """Yield the rows of several arrays together, at most `count` of them at a time.

    Pictures that have sizes of their own come one at a time, so that each stack is an array.
    """
    step = 1 if any(isinstance(column, Pictures) for column in columns) else count
    for start in range(0, len(columns[0]), step):
        rows = slice(start, start + step)
        yield (
            rows,
            tuple(
                column[start][None] if isinstance(column, Pictures) else np.asarray(column[rows])
                for column in columns
            ),
        )


def read_index(folder: Path) -> list[Photo]:
    """Return a split's index without opening its arrays."""
    rows = files.read_csv(folder / INDEX)
    return [Photo(**row | {side: int(row[side]) for side in ("width", "height")}) for row in rows]  # type: ignore[arg-type]


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays to a .npz file; equal arrays give equal bytes.

    Those of `np.savez` differ between versions of Python.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())


class RowWriter:
    """Writes pictures to a .npy file one after another, without being given their number.

    A row of the array is a picture, or a pixel if pictures have sizes of their own. numpy pads the
    header, so it has room for the number of rows, which is written last.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...]) -> None:
        self.row_shape, self.rows = row_shape, 0
        self.file = path.open("wb", buffering=BUFFER)
        self._write_header()

    def extend(self, pictures: UInt8[np.ndarray, "..."]) -> None:
        """Write a picture, or several: as many rows of the shape given to the constructor."""
        assert pictures.dtype == np.uint8
        rows = pictures.reshape(-1, *self.row_shape)
        assert pictures.shape[pictures.ndim - len(self.row_shape) :] == self.row_shape
        self.file.write(rows.tobytes())
        self.rows += len(rows)

    def _write_header(self) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.rows, *self.row_shape)}
        np.lib.format.write_array_header_1_0(self.file, header)

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.file.seek(0)
        self._write_header()
        self.file.close()
