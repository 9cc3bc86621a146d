"""The two archives → memory-mapped arrays per split, the rejects and a summary."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from petseg import files
from petseg.data import archives, arrays, photos, splits, summary
from petseg.data.archives import Entry, Member
from petseg.data.photos import Result, decode_all
from petseg.errors import UserError

LISTS = ("annotations/trainval.txt", "annotations/test.txt")
TRIMAPS = "annotations/trimaps/"
CHUNK = 256  # trimaps copied at a time


@dataclass(frozen=True, slots=True)
class Rejected:
    """One listed photo that is not used; a row of rejected.csv."""

    name: str
    split: str
    reason: str


@dataclass(frozen=True, slots=True)
class Trimap:
    """What is kept of a trimap between the two archives; its pixels lie in a file, a row each."""

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


def read_annotations(path: Path, size: int, pixels: Path) -> Annotations:
    """Read the lists and decode the trimaps in one pass; their pixels go to a .npy file."""
    found = Annotations()

    def trimap_members() -> Iterator[Member]:
        for name, data in archives.read_members(path, wanted):
            if name in LISTS:
                found.lists[Path(name).stem] = archives.parse_list(data, f"{path}: {name}")
            else:
                yield name, data

    def wanted(name: str) -> bool:
        return name in LISTS or (name.startswith(TRIMAPS) and name.endswith(".png"))

    with arrays.RowWriter(pixels, (size, size)) as writer:
        for result in decode_all(photos.decode_trimap, size, trimap_members()):
            picture = result.picture
            width, height = (picture.width, picture.height) if picture else (0, 0)
            found.trimaps[result.name] = Trimap(
                writer.rows, width, height, result.digest, result.fault
            )
            if picture:
                writer.append(picture.pixels)
    for name in LISTS:
        if Path(name).stem not in found.lists:
            raise UserError(f"{path}: {name} is missing; is this the official layout?")
    return found


def fault_of(result: Result, trimap: Trimap | None) -> str:
    """Return why a photo cannot be used, or nothing."""
    if result.picture is None:
        return result.fault
    if trimap is None:
        return "no trimap"
    if trimap.fault:
        return trimap.fault
    photo = result.picture
    if (photo.width, photo.height) != (trimap.width, trimap.height):
        sizes = f"photo {photo.width}x{photo.height}, trimap {trimap.width}x{trimap.height}"
        return f"sizes differ: {sizes}"
    return ""


class Writer:
    """Writes photos that can be used to their split's array, and remembers what belongs to them."""

    def __init__(self, folder: Path, size: int, stack: ExitStack) -> None:
        self.size = size
        self.index: dict[str, list[arrays.Photo]] = {split: [] for split in splits.SPLITS}
        self.trimaps: dict[str, list[int]] = {split: [] for split in splits.SPLITS}
        self.photos: dict[str, arrays.RowWriter] = {}
        for split in splits.SPLITS:
            (folder / split).mkdir(parents=True)
            self.photos[split] = stack.enter_context(
                arrays.RowWriter(folder / split / arrays.PHOTOS, (size, size, 3))
            )

    def add(self, split: str, entry: Entry, photo: Result, trimap: Trimap) -> None:
        """Write one photo and its row of the index."""
        assert photo.picture is not None
        picture = photo.picture
        self.photos[split].append(picture.pixels)
        self.trimaps[split].append(trimap.row)
        content = hashlib.sha256(photo.digest + trimap.digest).hexdigest()[:16]
        width, height = picture.width, picture.height
        self.index[split].append(
            arrays.Photo(
                entry.name, entry.breed, entry.species, width, height, content, picture.odd
            )
        )


def fill(
    writer: Writer, path: Path, found: Annotations, assigned: dict[str, str]
) -> list[Rejected]:
    """Decode the photos that have a split in one pass over their archive; return those set aside."""
    entries = {entry.name: entry for rows in found.lists.values() for entry in rows}
    faults = dict.fromkeys(assigned, f"not in {archives.IMAGES}")
    members = archives.read_members(path, {f"images/{name}.jpg" for name in assigned}.__contains__)
    for result in decode_all(photos.decode_photo, writer.size, members):
        trimap = found.trimaps.get(result.name)
        faults[result.name] = fault_of(result, trimap)
        if not faults[result.name] and trimap:
            writer.add(assigned[result.name], entries[result.name], result, trimap)
    return [Rejected(name, assigned[name], fault) for name, fault in faults.items() if fault]


def write_trimaps(unsorted: Path, size: int, rows: list[int], path: Path) -> summary.Pixels:
    """Write one split's trimaps in its photos' order; return what is counted of them."""
    counted = summary.Pixels()
    with arrays.RowWriter(path, (size, size)) as writer:
        for start in range(0, len(rows), CHUNK):
            # mapped anew each time: pages once read count as memory until they are unmapped
            pixels = np.load(unsorted, mmap_mode="r", allow_pickle=False)
            trimaps = pixels[rows[start : start + CHUNK]]
            writer.extend(trimaps)
            counted.add(trimaps)
    return counted


def assign(
    found: Annotations, val_fraction: float, seed: int
) -> tuple[dict[str, str], list[Rejected]]:
    """Return each name's split, and the names that are in no split for being listed twice."""
    twice = archives.listed_twice(found.lists)
    trainval, test = (
        [entry for entry in found.lists[name] if entry.name not in twice]
        for name in ("trainval", "test")
    )
    rejected = [
        Rejected(name, places.partition(".")[0], f"listed twice: {places}")
        for name, places in twice.items()
    ]
    return splits.assign(trainval, test, val_fraction, seed), rejected


def convert_archives(
    raw: Path, target: Path, *, image_size: int, val_fraction: float, seed: int, max_rejected: int
) -> None:
    """Turn the two archives in `raw` into arrays in `target`, an empty folder.

    Args:
        raw: folder with images.tar.gz and annotations.tar.gz.
        target: where train/, val/, test/, rejected.csv and summary.json are written.
        image_size: side in pixels of the square that every photo is resized to.
        val_fraction: share of the trainval photos of each breed that validate, 0 to 1.
        seed: decides which photos validate.
        max_rejected: how many photos may be set aside.

    Raises:
        UserError: more photos than `max_rejected` are set aside, or a split is left empty.
    """
    started = time.perf_counter()
    with ExitStack() as stack:
        unsorted = target / "trimaps.npy"
        found = read_annotations(raw / archives.ANNOTATIONS, image_size, unsorted)
        assigned, rejected = assign(found, val_fraction, seed)
        writer = Writer(target, image_size, stack)
        rejected += fill(writer, raw / archives.IMAGES, found, assigned)
    rejected.sort(key=lambda row: row.name)
    check_enough(writer, rejected, max_rejected)
    names = {split: [row.name for row in rows] for split, rows in writer.index.items()}
    splits.check_disjoint(names)
    counted = {}
    for split, rows in writer.index.items():
        files.write_rows(target / split / arrays.INDEX, arrays.Photo, rows)
        path = target / split / arrays.TRIMAPS
        counted[split] = write_trimaps(unsorted, writer.size, writer.trimaps[split], path)
    unsorted.unlink()
    files.write_rows(target / "rejected.csv", Rejected, rejected)
    reasons = [row.reason for row in rejected]
    files.write_json(target / "summary.json", summary.describe(writer.index, counted, reasons))
    used = ", ".join(f"{len(rows):,} {split}" for split, rows in names.items())
    rate = len(assigned) / (time.perf_counter() - started)
    print(f"{used}; {len(rejected)} set aside; {rate:,.0f} photos/s")


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
