"""Convert the two archives to memory-mapped arrays, a list of rejected photos and a summary."""

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
from petseg.data.decode import DecodeResult, decode_all
from petseg.errors import UserError

LISTS = {archives.list_path(name): name for name in ("trainval", "test")}  # by path
CHUNK = 256  # trimaps copied at a time


@dataclass(frozen=True, slots=True)
class RejectedPhoto:
    """A listed photo that is not used; a row of rejected.csv."""

    name: str
    split: str
    reason: str


@dataclass(frozen=True, slots=True)
class Trimap:
    """What the conversion remembers of a trimap; its pixels are a row of a .npy file."""

    row: int
    width: int  # of the original trimap in pixels
    height: int  # of the original trimap in pixels
    digest: bytes  # SHA-256 of the file
    reason: str  # why it cannot be used, or empty


@dataclass
class Annotations:
    """The entries by list, and the trimaps by name."""

    lists: dict[str, list[Entry]] = field(default_factory=dict)
    trimaps: dict[str, Trimap] = field(default_factory=dict)


def read_annotations(path: Path, size: int, pixels: Path) -> Annotations:
    """Read the lists and decode the trimaps in one pass over their archive.

    Args:
        path: annotations.tar.gz.
        size: width and height in pixels to which trimaps are resized.
        pixels: the .npy file to write, (number of readable trimaps, size, size) uint8.

    Raises:
        UserError: the archive has no trainval or no test list, or one that cannot be read.
    """
    annotations = Annotations()

    def trimap_members() -> Iterator[Member]:
        for name, data in archives.read_members(path, is_annotation):
            if name in LISTS:
                annotations.lists[LISTS[name]] = archives.parse_list(data, f"{path}: {name}")
            else:
                yield name, data

    with arrays.RowWriter(pixels, (size, size)) as writer:
        for result in decode_all(photos.decode_trimap, size, trimap_members()):
            picture = result.picture
            width, height = (picture.width, picture.height) if picture else (0, 0)
            annotations.trimaps[result.name] = Trimap(
                writer.rows, width, height, result.digest, result.reason
            )
            if picture:
                writer.append(picture.pixels)
    for list_path, name in LISTS.items():
        if name not in annotations.lists:
            raise UserError(f"{path}: {list_path} is missing; is this the official layout?")
    return annotations


def is_annotation(name: str) -> bool:
    """Return whether a member of annotations.tar.gz is a list or a trimap that is used."""
    folder, suffix = archives.trimap_path("*").split("*")
    return name in LISTS or (name.startswith(folder) and name.endswith(suffix))


def rejection_reason(photo: DecodeResult, trimap: Trimap | None) -> str:
    """Return why a photo cannot be used, or an empty text."""
    picture = photo.picture
    if picture is None:
        return photo.reason
    if trimap is None:
        return "no trimap"
    if trimap.reason:
        return trimap.reason
    if (picture.width, picture.height) != (trimap.width, trimap.height):
        sizes = f"photo {picture.width}x{picture.height}, trimap {trimap.width}x{trimap.height}"
        return f"sizes differ: {sizes}"
    return ""


class SplitWriter:
    """Writes usable photos to the array of their split; collects the index and the trimaps' rows."""

    def __init__(self, folder: Path, size: int, stack: ExitStack) -> None:
        self.size = size
        self.index: dict[str, list[arrays.Photo]] = {split: [] for split in splits.SPLITS}
        self.trimap_rows: dict[str, list[int]] = {split: [] for split in splits.SPLITS}
        self.photos: dict[str, arrays.RowWriter] = {}
        for split in splits.SPLITS:
            (folder / split).mkdir(parents=True)
            self.photos[split] = stack.enter_context(
                arrays.RowWriter(folder / split / arrays.PHOTOS, (size, size, 3))
            )

    def add(self, split: str, entry: Entry, photo: DecodeResult, trimap: Trimap) -> None:
        """Write one photo and add its row to the index."""
        assert photo.picture is not None
        picture = photo.picture
        self.photos[split].append(picture.pixels)
        self.trimap_rows[split].append(trimap.row)
        sha256 = hashlib.sha256(photo.digest + trimap.digest).hexdigest()[:16]
        width, height = picture.width, picture.height
        self.index[split].append(
            arrays.Photo(
                entry.name, entry.breed, entry.species, width, height, sha256, picture.traits
            )
        )


def write_photos(
    writer: SplitWriter, path: Path, annotations: Annotations, split_by_name: dict[str, str]
) -> list[RejectedPhoto]:
    """Decode the photos that have a split in one pass over their archive.

    Returns:
        The photos that cannot be used.
    """
    entries = {entry.name: entry for rows in annotations.lists.values() for entry in rows}
    reasons = dict.fromkeys(split_by_name, f"not in {archives.IMAGES}")
    photo_paths = set(map(archives.photo_path, split_by_name))
    members = archives.read_members(path, photo_paths.__contains__)
    for photo in decode_all(photos.decode_photo, writer.size, members):
        name = photo.name
        trimap = annotations.trimaps.get(name)
        reasons[name] = rejection_reason(photo, trimap)
        if not reasons[name] and trimap:
            writer.add(split_by_name[name], entries[name], photo, trimap)
    return [
        RejectedPhoto(name, split_by_name[name], reason)
        for name, reason in reasons.items()
        if reason
    ]


def write_trimaps(source: Path, size: int, rows: list[int], path: Path) -> summary.PixelCounter:
    """Write the trimaps of one split in the order of its photos, and count their pixels.

    Args:
        source: the .npy file with the trimaps of all splits.
        size: width and height of a trimap in pixels.
        rows: the rows of `source` that belong to the split.
        path: the .npy file to write.
    """
    counter = summary.PixelCounter()
    with arrays.RowWriter(path, (size, size)) as writer:
        for start in range(0, len(rows), CHUNK):
            # The file is mapped again for every chunk: pages that have been read count as memory
            # of this process until they are unmapped.
            pixels = np.load(source, mmap_mode="r", allow_pickle=False)
            trimaps = pixels[rows[start : start + CHUNK]]
            writer.extend(trimaps)
            counter.add(trimaps)
    return counter


def assign_splits(
    annotations: Annotations, val_fraction: float, seed: int
) -> tuple[dict[str, str], list[RejectedPhoto]]:
    """Return the split of every name, and the names rejected because they are listed twice."""
    duplicates = archives.duplicate_names(annotations.lists)
    trainval, test = (
        [entry for entry in annotations.lists[name] if entry.name not in duplicates]
        for name in ("trainval", "test")
    )
    rejected = [
        RejectedPhoto(name, lists.partition(".")[0], f"listed twice: {lists}")
        for name, lists in duplicates.items()
    ]
    return splits.assign_splits(trainval, test, val_fraction, seed), rejected


def convert_archives(
    raw: Path, target: Path, *, image_size: int, val_fraction: float, seed: int, max_rejected: int
) -> None:
    """Convert the two archives in `raw` to arrays in `target`, an empty folder.

    Args:
        raw: folder with images.tar.gz and annotations.tar.gz.
        target: where train/, val/, test/, rejected.csv and summary.json are written.
        image_size: side in pixels of the square to which every photo is resized.
        val_fraction: share of the trainval photos of every breed used for validation, 0 to 1.
        seed: determines which photos are used for validation.
        max_rejected: how many listed photos may be unusable.

    Raises:
        UserError: more than `max_rejected` photos are unusable, or a split is empty.
    """
    start = time.perf_counter()
    with ExitStack() as stack:
        all_trimaps = target / "trimaps.npy"
        annotations = read_annotations(raw / archives.ANNOTATIONS, image_size, all_trimaps)
        split_by_name, rejected = assign_splits(annotations, val_fraction, seed)
        writer = SplitWriter(target, image_size, stack)
        rejected += write_photos(writer, raw / archives.IMAGES, annotations, split_by_name)
    rejected.sort(key=lambda row: row.name)
    check_usable(writer.index, rejected, max_rejected)
    splits.check_disjoint(
        {split: [row.name for row in rows] for split, rows in writer.index.items()}
    )
    pixels = {}
    for split, rows in writer.index.items():
        files.write_rows(target / split / arrays.INDEX, arrays.Photo, rows)
        path = target / split / arrays.TRIMAPS
        pixels[split] = write_trimaps(all_trimaps, image_size, writer.trimap_rows[split], path)
    all_trimaps.unlink()
    files.write_rows(target / "rejected.csv", RejectedPhoto, rejected)
    reasons = [row.reason for row in rejected]
    files.write_json(target / "summary.json", summary.describe(writer.index, pixels, reasons))
    used = ", ".join(f"{len(rows):,} {split}" for split, rows in writer.index.items())
    rate = len(split_by_name) / (time.perf_counter() - start)
    print(f"{used}; {len(rejected)} set aside; {rate:,.0f} photos/s")


def check_usable(
    index: dict[str, list[arrays.Photo]], rejected: list[RejectedPhoto], max_rejected: int
) -> None:
    """Check that not too many photos are rejected and no split is empty.

    Raises:
        UserError: one of the two does not hold.
    """
    if len(rejected) > max_rejected:
        examples = "; ".join(f"{row.name}: {row.reason}" for row in rejected[:5])
        raise UserError(
            f"{len(rejected)} photos cannot be used, more than preprocess.max_rejected "
            f"{max_rejected}: {examples}"
        )
    for split, rows in index.items():
        if not rows:
            name = "test" if split == "test" else "trainval"
            raise UserError(f"no photo is left for {split}; see {archives.list_path(name)}")
