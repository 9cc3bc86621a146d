"""The memory-mapped arrays of one split and the index that names their rows."""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import UInt8

from petseg import files
from petseg.errors import UserError

BUFFER = 1 << 20  # bytes collected in memory before they are written
PHOTOS, TRIMAPS, INDEX = "photos.npy", "trimaps.npy", "index.csv"


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

    photos: UInt8[np.ndarray, "n size size 3"]  # RGB
    trimaps: UInt8[np.ndarray, "n size size"]  # 1 foreground, 2 background, 3 border
    index: list[Photo]

    @property
    def size(self) -> int:
        """The width and height of the resized photos in pixels."""
        return int(self.photos.shape[1])

    def __len__(self) -> int:
        return len(self.index)


def load(folder: Path) -> Split:
    """Return a split with its arrays memory-mapped: pixels are read when they are indexed.

    Raises:
        UserError: a file is missing, or the arrays and the index differ in length.
    """
    try:
        photos, trimaps = (
            np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in (PHOTOS, TRIMAPS)
        )
        index = read_index(folder)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: {error}; run `dvc repro preprocess`") from error
    if not len(photos) == len(trimaps) == len(index):
        raise UserError(
            f"{folder}: {len(photos)} photos, {len(trimaps)} trimaps, {len(index)} names; run `dvc repro -f preprocess`"
        )
    return Split(photos, trimaps, index)


def spread_rows(split: Split, count: int) -> list[int]:
    """Return at most `count` rows, spread evenly over a split."""
    return [int(row) for row in np.linspace(0, len(split) - 1, min(count, len(split)))]


def read_index(folder: Path) -> list[Photo]:
    """Return a split's index without opening its arrays."""
    rows = files.read_csv(folder / INDEX)
    return [Photo(**row | {side: int(row[side]) for side in ("width", "height")}) for row in rows]  # type: ignore[arg-type]


class RowWriter:
    """Writes a .npy file row by row, without being given the number of rows.

    numpy pads the header, so it has room for the number of rows, which is written last.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...]) -> None:
        self.row_shape, self.rows = row_shape, 0
        self.file = path.open("wb", buffering=BUFFER)
        self._write_header()

    def append(self, row: UInt8[np.ndarray, "..."]) -> None:
        """Write one row of the shape given to the constructor."""
        self.extend(row[None])

    def extend(self, rows: UInt8[np.ndarray, "n ..."]) -> None:
        """Write several rows of the shape given to the constructor."""
        assert rows.shape[1:] == self.row_shape
        assert rows.dtype == np.uint8
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
