"""The memory-mapped arrays of one split and the index that names their rows."""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import UInt8

from petseg import files
from petseg.errors import UserError

BUFFER = 1 << 20  # bytes gathered before they go to the disk
PHOTOS, TRIMAPS, INDEX = "photos.npy", "trimaps.npy", "index.csv"


@dataclass(frozen=True, slots=True)
class Photo:
    """One row of the index."""

    name: str
    breed: str
    species: str  # cat or dog
    width: int  # of the original, pixels
    height: int
    sha256: str  # of the original photo's and trimap's bytes, first 16 digits
    odd: str  # what is odd about the file that was used, or empty


@dataclass(frozen=True)
class Split:
    """One split's photos and trimaps, mapped from disk, and what is known of each."""

    photos: UInt8[np.ndarray, "n size size 3"]
    trimaps: UInt8[np.ndarray, "n size size"]  # 1 pet, 2 background, 3 border
    index: list[Photo]

    @property
    def size(self) -> int:
        """The side of a photo in pixels."""
        return int(self.photos.shape[1])

    def __len__(self) -> int:
        return len(self.index)


def load(folder: Path) -> Split:
    """Map a split's arrays; nothing is read until it is indexed.

    Raises:
        UserError: a file is missing, or the files do not belong together.
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


def read_index(folder: Path) -> list[Photo]:
    """Return the rows' names without touching the arrays."""
    rows = files.read_csv(folder / INDEX)
    return [Photo(**row | {side: int(row[side]) for side in ("width", "height")}) for row in rows]  # type: ignore[arg-type]


class RowWriter:
    """Appends rows to a .npy file whose length is known only in the end.

    numpy pads the header so that the number of rows can be written afterwards.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...]) -> None:
        self.row_shape, self.rows = row_shape, 0
        self.file = path.open("wb", buffering=BUFFER)
        self._write_header()

    def append(self, row: UInt8[np.ndarray, "..."]) -> None:
        """Write one row; it must have the shape that was announced."""
        self.extend(row[None])

    def extend(self, rows: UInt8[np.ndarray, "n ..."]) -> None:
        """Write some rows."""
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
