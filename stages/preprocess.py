"""Reads the two archives, writes memory-mapped arrays per split, the rejects and a summary.

Reads: RAW/images.tar.gz, RAW/annotations.tar.gz.
Writes: ARRAYS/{train,val,test}/{photos.npy,trimaps.npy,index.csv}, ARRAYS/rejected.csv,
ARRAYS/summary.json.
"""

import hashlib
import os
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO, TypeVar

import numpy as np
from jaxtyping import UInt8
from pydantic import Field
from pydantic.dataclasses import dataclass as checked
from tqdm import tqdm

from stages.petseg import archives, arrays, command, params, photos, splits, summary, tables
from stages.petseg.archives import Entry
from stages.petseg.errors import UserError

T = TypeVar("T")
R = TypeVar("R")
Member = tuple[str, bytes]


@checked(frozen=True, config={"extra": "forbid"})
class Params:
    """`preprocess` in params.yaml."""

    image_size: Annotated[int, Field(ge=16, le=1024)]
    val_share: Annotated[float, Field(gt=0, lt=1)]
    seed: Annotated[int, Field(ge=0)]
    max_rejected: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Rejected:
    """One listed photo that is not used; a row of rejected.csv."""

    name: str
    split: str
    reason: str


@dataclass(frozen=True, slots=True)
class Trimap:
    """What is kept of a trimap between the two archives; its pixels lie in a scratch file."""

    row: int
    width: int
    height: int
    digest: bytes
    fault: str  # empty if it can be used


@dataclass
class Annotations:
    """The lists, and the trimaps by name."""

    lists: dict[str, list[Entry]] = field(default_factory=dict)
    trimaps: dict[str, Trimap] = field(default_factory=dict)


def ordered(pool: Executor, work: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """Yield `work` of each item in order, at most `ahead` of them in memory at a time."""
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def decode(
    kind: Callable[[bytes, int], photos.Decoded], size: int, member: Member
) -> tuple[str, bytes, photos.Decoded | str]:
    """Return (name, digest of the bytes, the picture or why it cannot be used)."""
    path, data = member
    digest = hashlib.sha256(data).digest()
    try:
        return Path(path).stem, digest, kind(data, size)
    except photos.UnusableError as error:
        return Path(path).stem, digest, str(error)


def read_annotations(path: Path, size: int, pool: Executor, scratch: BinaryIO) -> Annotations:
    """Read the lists and decode the trimaps in one pass; pixels go to `scratch`, a row each."""
    found = Annotations()

    def trimap_members() -> Iterator[Member]:
        for name, data in archives.read_members(path):
            if name.endswith(".png"):
                yield name, data
            elif name.endswith(("/trainval.txt", "/test.txt")):
                where = f"{path}: {name}"
                found.lists[Path(name).stem] = archives.parse_list(data.decode(), where)

    results = ordered(pool, partial(decode, photos.decode_trimap, size), trimap_members(), 64)
    for name, digest, result in tqdm(
        results, "trimaps", unit=" trimaps", disable=None, leave=False
    ):
        if isinstance(result, str):
            found.trimaps[name] = Trimap(-1, 0, 0, digest, result)
        else:
            row = scratch.tell() // (size * size)
            scratch.write(result.pixels.tobytes())
            found.trimaps[name] = Trimap(row, result.width, result.height, digest, "")
    for name in ("trainval", "test"):
        if name not in found.lists:
            raise UserError(
                f"{path}: annotations/{name}.txt is missing; is this the official layout?"
            )
    return found


def fault_of(result: photos.Decoded | str, trimap: Trimap | None) -> str:
    """Return why a photo cannot be used, or nothing."""
    if isinstance(result, str):
        return result
    if trimap is None:
        return "no trimap"
    if trimap.fault:
        return trimap.fault
    if (result.width, result.height) != (trimap.width, trimap.height):
        return f"photo is {result.width}x{result.height}, trimap {trimap.width}x{trimap.height}"
    return ""


class Writer:
    """Writes photos that can be used to their split's arrays, row by row."""

    def __init__(self, folder: Path, size: int, scratch: BinaryIO, stack: ExitStack) -> None:
        self.folder, self.size, self.scratch = folder, size, scratch
        self.index: dict[str, list[arrays.Photo]] = {split: [] for split in splits.SPLITS}
        self.pixels = {split: summary.Pixels() for split in splits.SPLITS}
        self.photos: dict[str, arrays.RowWriter] = {}
        self.trimaps: dict[str, arrays.RowWriter] = {}
        for split in splits.SPLITS:
            (folder / split).mkdir(parents=True)
            self.photos[split] = stack.enter_context(
                arrays.RowWriter(folder / split / arrays.PHOTOS, (size, size, 3))
            )
            self.trimaps[split] = stack.enter_context(
                arrays.RowWriter(folder / split / arrays.TRIMAPS, (size, size))
            )

    def add(
        self, split: str, entry: Entry, photo: photos.Decoded, trimap: Trimap, digest: bytes
    ) -> None:
        """Write one photo, its trimap and its row of the index."""
        pixels = self.trimap_pixels(trimap.row)
        self.photos[split].append(photo.pixels)
        self.trimaps[split].append(pixels)
        self.pixels[split].add(pixels)
        content = hashlib.sha256(digest + trimap.digest).hexdigest()[:16]
        row = arrays.Photo(
            entry.name, entry.breed, entry.species, photo.width, photo.height, content
        )
        self.index[split].append(row)

    def trimap_pixels(self, row: int) -> UInt8[np.ndarray, "size size"]:
        """Return a trimap from the scratch file."""
        self.scratch.seek(row * self.size * self.size)
        data = self.scratch.read(self.size * self.size)
        return np.frombuffer(data, np.uint8).reshape(self.size, self.size)


def fill(
    writer: Writer, path: Path, found: Annotations, assigned: dict[str, str], pool: Executor
) -> list[Rejected]:
    """Decode the listed photos in one pass over their archive; return those set aside."""
    entries = {entry.name: entry for rows in found.lists.values() for entry in rows}
    listed = (
        member
        for member in archives.read_members(path)
        if member[0].endswith(".jpg") and Path(member[0]).stem in entries
    )
    results = ordered(pool, partial(decode, photos.decode_photo, writer.size), listed, 64)
    faults = dict.fromkeys(entries, "no photo")
    for name, digest, result in tqdm(
        results, "photos", len(entries), unit=" photos", disable=None, leave=False
    ):
        trimap = found.trimaps.get(name)
        faults[name] = fault_of(result, trimap)
        if not faults[name]:
            assert trimap is not None
            assert not isinstance(result, str)
            writer.add(assigned[name], entries[name], result, trimap, digest)
    return [
        Rejected(name, assigned[name], fault) for name, fault in sorted(faults.items()) if fault
    ]


def convert(raw: Path, target: Path, settings: Params) -> None:
    """Turn the archives into arrays in `target`, an empty folder."""
    with ExitStack() as stack:
        pool = stack.enter_context(
            ThreadPoolExecutor(os.cpu_count())
        )  # Pillow decodes without the GIL
        scratch = stack.enter_context(tempfile.TemporaryFile(dir=target))
        found = read_annotations(raw / archives.ANNOTATIONS, settings.image_size, pool, scratch)
        assigned = splits.assign(
            found.lists["trainval"], found.lists["test"], settings.val_share, settings.seed
        )
        writer = Writer(target, settings.image_size, scratch, stack)
        rejected = fill(writer, raw / archives.IMAGES, found, assigned, pool)
    check_enough(writer, rejected, settings.max_rejected)
    splits.check_disjoint(
        {split: [row.name for row in rows] for split, rows in writer.index.items()}
    )
    for split, rows in writer.index.items():
        tables.write_rows(target / split / arrays.INDEX, arrays.Photo, rows)
    tables.write_rows(target / "rejected.csv", Rejected, rejected)
    reasons = Counter(row.reason for row in rejected)
    tables.write_json(
        target / "summary.json", summary.describe(writer.index, writer.pixels, reasons)
    )
    used = ", ".join(f"{len(rows):,} {split}" for split, rows in writer.index.items())
    print(f"{used}; {len(rejected)} set aside")


def check_enough(writer: Writer, rejected: list[Rejected], most: int) -> None:
    """Refuse data with too many rejects, or with a split left empty."""
    if len(rejected) > most:
        shown = "; ".join(f"{row.name}: {row.reason}" for row in rejected[:5])
        raise UserError(
            f"{len(rejected)} photos cannot be used, more than preprocess.max_rejected {most}: {shown}"
        )
    for split, rows in writer.index.items():
        if not rows:
            raise UserError(
                f"no photo is left for {split}; see annotations/{'test' if split == 'test' else 'trainval'}.txt"
            )


def main() -> None:
    """Run the stage."""
    paths = command.paths(__doc__, raw="folder with the two archives", arrays="folder to write")
    settings = params.load(Params, "preprocess")
    partial_folder = paths.arrays.with_name(paths.arrays.name + ".partial")
    shutil.rmtree(partial_folder, ignore_errors=True)  # what a killed run has left
    partial_folder.mkdir(parents=True)
    try:
        convert(paths.raw, partial_folder, settings)
        shutil.rmtree(paths.arrays, ignore_errors=True)
        partial_folder.replace(paths.arrays)
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


if __name__ == "__main__":
    command.exit_cleanly(main)
